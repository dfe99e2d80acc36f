"""Runs the processes of an installation on one machine and keeps them running.

A child that dies is started again (at once, then with growing pauses); `run.json` in the data folder names
the processes as they are now. SIGINT and SIGTERM stop everything in reverse order. When the supervisor
itself is killed, the kernel ends its children.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from partnerhub.kit import logs
from partnerhub.kit.errors import HubError
from partnerhub.kit.processes import end_with_parent

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.5
_STABLE_AFTER_SECONDS = 10.0

log = logs.get(__name__)


class ChildFailed(RuntimeError):
    """A child ended before it was ready for the first time."""


@dataclass(frozen=True)
class Child:
    """One process to run. `ready` returns when it can be used; `before_restart` when it may start again.

    What it writes goes to our own output, or to the end of `log_file`. It inherits `listener`, which the
    supervisor keeps open until the child is to stop.
    """

    service: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    run_as: Mapping[str, Any] = field(default_factory=dict)  # Any: subprocess takes these by keyword
    log_file: Path | None = None
    listener: socket.socket | None = None
    ready: Callable[[], Awaitable[None]] | None = None
    before_restart: Callable[[], Awaitable[None]] | None = None


class Supervisor:
    """Owns the children of one data folder."""

    def __init__(self, folder: Path) -> None:
        self._run_file = folder / "run.json"
        self._processes: dict[int, tuple[Child, asyncio.subprocess.Process]] = {}
        self._keepers: list[tuple[Child, asyncio.Task[None]]] = []
        self._stopping = False

    async def start(self, child: Child) -> None:
        """Start a child and wait until it is ready; from then on it is kept running.

        Raises: ChildFailed.
        """
        process = await self._spawn(child)
        if child.ready is not None:
            waiting = asyncio.ensure_future(child.ready())
            ended = asyncio.ensure_future(process.wait())
            await asyncio.wait({waiting, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                told = f" What it said is in {child.log_file}." if child.log_file else ""
                raise ChildFailed(f"{child.service} ended with {process.returncode} while starting.{told}")
            ended.cancel()
            await waiting
        self._keepers.append((child, asyncio.create_task(self._keep(child, process))))

    async def stop(self) -> None:
        """Stop every child, last started first."""
        self._stopping = True
        for child, keeper in reversed(self._keepers):
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            if child.listener is not None:
                child.listener.close()  # or callers would wait for a process that nobody starts any more
            for pid, (owner, process) in list(self._processes.items()):
                if owner is child:
                    await _end(child, process)
                    self._processes.pop(pid, None)
        # What was started but never became ready has no keeper.
        for child, process in self._processes.values():
            await _end(child, process)
        self._processes.clear()
        self._run_file.unlink(missing_ok=True)

    async def _keep(self, child: Child, process: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_SECONDS
        while True:
            started = loop.time()
            code = await process.wait()
            self._processes.pop(process.pid, None)
            log.warning("process ended", service=child.service, pid=process.pid, code=code)
            if loop.time() - started > _STABLE_AFTER_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            process = await self._spawn_again(child)

    async def _spawn_again(self, child: Child) -> asyncio.subprocess.Process:
        """Start a child that was running, however long it takes until it may."""
        while True:
            try:
                if child.before_restart is not None:
                    await child.before_restart()
                return await self._spawn(child)
            except (HubError, OSError) as error:
                # Whatever is in the way may go, and nobody else would try again.
                log.warning("process cannot start yet", service=child.service, reason=str(error))
                await asyncio.sleep(_LONGEST_PAUSE_SECONDS)

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        with ExitStack() as stack:
            output = stack.enter_context(child.log_file.open("ab")) if child.log_file else None
            process = await asyncio.create_subprocess_exec(
                *child.command,
                env={**os.environ, **child.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the supervisor, which then stops them in order
                preexec_fn=end_with_parent(),
                pass_fds=[] if child.listener is None else [child.listener.fileno()],
                **child.run_as,
            )
        self._processes[process.pid] = (child, process)
        self._write()
        return process

    def _write(self) -> None:
        pids: dict[str, list[int]] = {}
        for pid, (child, _) in self._processes.items():
            pids.setdefault(child.service, []).append(pid)
        draft = self._run_file.with_suffix(".new")
        draft.write_text(json.dumps({"pids": pids}, indent=1))
        draft.replace(self._run_file)


async def _end(child: Child, process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(child.stop_signal)
    try:
        async with asyncio.timeout(child.grace_seconds):
            await process.wait()
    except TimeoutError:
        log.warning("process did not stop and is killed", service=child.service, pid=process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def python(*arguments: str) -> list[str]:
    """Return the command that runs one of our own modules with this interpreter."""
    return [sys.executable, "-X", "utf8", *arguments]
