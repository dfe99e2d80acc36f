"""Serves an ASGI application over real HTTP on a free loopback port, in the loop of the test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import uvicorn
from uvicorn._types import ASGI3Application


class _Server(uvicorn.Server):
    """Leaves the signals of the test process alone."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)


def free_listener() -> tuple[socket.socket, str]:
    """Bind a free port, for applications that must know their address before they are made."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def serving(
    app: object, *, proxy_headers: bool = False, listener: socket.socket | None = None
) -> AsyncIterator[str]:
    """Run the application, lifespan included, and give its address; `listener` is closed at the end."""
    listener = listener or free_listener()[0]
    server = _Server(
        uvicorn.Config(
            cast("ASGI3Application", app),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=proxy_headers,
            lifespan="on",
            timeout_graceful_shutdown=2,
        )
    )
    task = asyncio.create_task(server.serve([listener]))
    try:
        while not server.started:
            if task.done():
                task.result()
                raise RuntimeError("The application did not start.")
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()
