"""Running one application in this process until SIGTERM or SIGINT.

Then it drains: the server stops accepting, requests in hand finish, the lifespan ends, what waits is written.
"""

from __future__ import annotations

import errno
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
import uvloop

from partnerhub import settings as settings_module
from partnerhub.app.connections import BoundedProtocol
from partnerhub.kit import logs
from partnerhub.kit.database import DatabaseTooOld
from partnerhub.kit.errors import Conflict
from partnerhub.settings import Settings

Application = Callable[..., Awaitable[None]]

_DRAIN_SECONDS = 15
_BACKLOG = 2_048
_TAKE_OVER = "--listening-socket="


class PortTaken(Conflict):
    """Another program listens on the port."""

    code = "port_taken"


class _Server(uvicorn.Server):
    """Ends with 0 after a signal: a clean stop is no accident to report to the parent."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """Listen on a port; a shared one lets further processes of one service bind it too.

    Raises: PortTaken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortTaken(f"Port {port} of {host} is taken by another program.") from error
    return sock


def taking_over(listener: socket.socket) -> str:
    """Return the argument that lets a process serve on a socket which its parent keeps open.

    While such a process is away, who connects waits for the next one and is not refused.
    """
    return f"{_TAKE_OVER}{listener.fileno()}"


def _listener(host: str, port: int) -> socket.socket:
    for argument in sys.argv[1:]:
        if argument.startswith(_TAKE_OVER):
            return socket.socket(fileno=int(argument.removeprefix(_TAKE_OVER)))
    return listen(host, port, is_shared=True)


async def run_application(application: Application, *, host: str, port: int) -> None:
    """Serve an application until a signal; returns when its lifespan has ended. Raises: PortTaken."""
    config = uvicorn.Config(
        application,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,  # ours to judge: web.wrapper knows the trusted networks
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        backlog=_BACKLOG,
    )
    await _Server(config).serve(sockets=[_listener(host, port)])


def run_process(service: str, main: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    """Read the settings, set up logs and run a service; what is wrong with them is told on the way out."""
    try:
        settings = settings_module.load()
    except settings_module.SettingsWrong as error:
        sys.exit("\n".join(error.problems))
    logs.configure(process=service, level=settings.log_level, readable=settings.readable_logs)
    try:
        uvloop.run(main(settings))
    except (DatabaseTooOld, PortTaken) as error:
        sys.exit(f"{error.message} ({error.code})")
