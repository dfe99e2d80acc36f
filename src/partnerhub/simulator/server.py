"""Running a simulator as a process of its own, or inside a test."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from partnerhub.simulator.app import create_app
from partnerhub.simulator.config import SimulatorConfig


class _ResettableProtocol(HttpToolsProtocol):
    """Hands the application the one thing ASGI has no word for: breaking the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]  # Any: extensions are free-form
        scope["extensions"] = {"simulator.abort": self.transport.abort}


class _Server(uvicorn.Server):
    """Ends with 0 after SIGTERM or SIGINT: a clean stop is no accident to report to the parent."""

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


def make_server(config: SimulatorConfig, *, host: str = "127.0.0.1", port: int = 8090) -> uvicorn.Server:
    """Make a server that is not running yet; a test may `serve()` it in its own loop."""
    return _Server(
        uvicorn.Config(
            create_app(config),
            host=host,
            port=port,
            http=_ResettableProtocol,
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=True,  # as Graph does; the doctor reads its clock
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=3,
            backlog=2_048,
        )
    )


def run(config: SimulatorConfig, host: str = "127.0.0.1", port: int = 8090) -> None:
    """Serve until SIGTERM or SIGINT, then stop cleanly; returns when everything is written."""
    make_server(config, host=host, port=port).run()
