"""Real servers with scripted manners, good and bad, for the client to meet."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from partnerhub.kit.http import Address

Script = Callable[["Visit"], Awaitable[None]]


@dataclass
class Request:
    """What arrived: the head as text without its final line, and the body after un-chunking."""

    head: str
    body: bytes

    @property
    def lines(self) -> list[str]:
        return self.head.split("\r\n")

    def header(self, name: str) -> str | None:
        for line in self.lines[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


@dataclass
class Visit:
    """One connection, from the receiver's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    receiver: Receiver

    async def request(self) -> Request:
        head = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1")
        request = Request(head, b"")
        if (length := request.header("content-length")) is not None:
            request.body = await self.reader.readexactly(int(length))
        elif request.header("transfer-encoding") == "chunked":
            while size := int(await self.reader.readline(), 16):
                request.body += await self.reader.readexactly(size)
                assert await self.reader.readline() == b"\r\n"
            assert await self.reader.readline() == b"\r\n"
        async with self.receiver.changed:
            self.receiver.requests.append(request)
            self.receiver.changed.notify_all()
        return request

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def send_bytewise(self, raw: bytes) -> None:
        """Send so that each byte is likely to arrive by itself."""
        for index in range(len(raw)):
            await self.send(raw[index : index + 1])
            await asyncio.sleep(0)

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> bytes:
        """Wait until the client has closed; return what it still sent."""
        return await self.reader.read()


@dataclass
class Receiver:
    """A running server; `host` is how a URL names it."""

    port: int
    host: str = "127.0.0.1"
    scheme: str = "http"
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def seen(self, count: int) -> None:
        """Wait until so many requests have come."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.requests) >= count)

    def url(self, path: str = "/hook", *, host: str | None = None) -> str:
        return f"{self.scheme}://{host or self.host}:{self.port}{path}"


@asynccontextmanager
async def receiver(
    script: Script, *, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
) -> AsyncIterator[Receiver]:
    """Serve connections by `script` on a free loopback port; a script that fails fails the test."""
    running: set[asyncio.Task[None]] = set()
    shown = f"[{address}]" if ":" in address else address
    here = Receiver(0, host=shown, scheme="https" if tls else "http")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here.connections += 1
        try:
            await script(Visit(reader, writer, here.connections, here))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass  # the client left, which is often the point
        except BaseException as error:  # noqa: BLE001 - told to the test below
            here.failures.append(error)
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        running.add(task)
        task.add_done_callback(running.discard)

    server = await asyncio.start_server(accept, address, 0, ssl=tls)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.sleep(0)
    assert not here.failures, here.failures


def always(raw: bytes) -> Script:
    """Answer every request on a kept connection with the same bytes."""

    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            await visit.send(raw)

    return script


def once(*pieces: bytes) -> Script:
    """Answer one request piece by piece, then close in good order."""

    async def script(visit: Visit) -> None:
        await visit.request()
        for piece in pieces:
            await visit.send(piece)
            await asyncio.sleep(0.002)
        visit.writer.close()
        await visit.writer.wait_closed()

    return script


async def silent(visit: Visit) -> None:
    """Take the request and never answer."""
    await visit.request()
    await visit.gone()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a state that other tasks bring about."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the state announces nothing
            await asyncio.sleep(0.001)


class Names:
    """A resolver with fixed answers, by the first label of a name."""

    def __init__(self, **names: Sequence[str]) -> None:
        self.names = names
        self.asked: list[str] = []

    async def resolve(self, host: str) -> Sequence[Address]:
        self.asked.append(host)
        ips = self.names[host.partition(".")[0]]
        return [Address(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip) for ip in ips]


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
