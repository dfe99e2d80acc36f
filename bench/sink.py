"""A receiver that costs next to nothing: answers 200 and remembers how old each event was when it came.

The events of the benches begin with `{"at":<nanoseconds of the monotonic clock, 20 digits>`; on one machine
that clock is the same in every process.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import cast

import uvloop

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_PREFIX = b'{"at":'


def event_body(size: int = 2000) -> bytes:
    """Make an event that knows when it was made."""
    head = _PREFIX + b"%020d" % time.monotonic_ns() + b',"fill":"'
    return head + b"x" * (size - len(head) - 2) + b'"}'


class _Sink(asyncio.Protocol):
    """Answers once a request with Content-Length has come whole; parses no more than it must."""

    def __init__(self, ages: list[int]) -> None:
        self._held = bytearray()
        self._ages = ages
        self._body_at = self._wanted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._held += data
        while True:
            if not self._wanted:
                end = self._held.find(b"\r\n\r\n")
                if end < 0:
                    return
                head = bytes(self._held[:end]).lower()
                start = head.index(b"content-length:") + 15
                self._body_at = end + 4
                self._wanted = self._body_at + int(head[start:].split(b"\r\n", 1)[0])
            if len(self._held) < self._wanted:
                return
            stamp = self._body_at + len(_PREFIX)
            self._ages.append(time.monotonic_ns() - int(self._held[stamp : stamp + 20]))
            del self._held[: self._wanted]
            self._wanted = 0
            self._transport.write(_ANSWER)


@dataclass
class Sink:
    """A running sink in a process of its own."""

    url: str
    _pipe: Connection

    def take(self) -> list[int]:
        """Return the age in nanoseconds of every event since the last call, sorted."""
        self._pipe.send(None)
        return cast("list[int]", self._pipe.recv())


def _serve(sock: socket.socket, pipe: Connection) -> None:
    async def forever() -> None:
        ages: list[int] = []
        loop = asyncio.get_running_loop()

        def report() -> None:
            pipe.recv()
            pipe.send(sorted(ages))
            ages.clear()

        loop.add_reader(pipe.fileno(), report)
        server = await loop.create_server(lambda: _Sink(ages), sock=sock)
        await server.serve_forever()

    uvloop.run(forever())


@contextmanager
def sink() -> Iterator[Sink]:
    """Run a sink for the length of the block."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as sock:
        port = sock.getsockname()[1]
        process = context.Process(target=_serve, args=(sock, theirs), daemon=True)
        process.start()
    try:
        yield Sink(f"http://127.0.0.1:{port}/hook", ours)
    finally:
        process.terminate()
        process.join()
