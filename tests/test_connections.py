"""Connections to a served application over plain sockets: what a stranger may send, and for how long."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

import pytest
import uvicorn

from partnerhub.app.connections import MOST_HEAD_BYTES, MOST_HEADERS, BoundedProtocol

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /%b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n"


class Hasty(BoundedProtocol):
    """As served, with less patience."""

    head_seconds: ClassVar[float] = 0.3
    linger_seconds: ClassVar[float] = 0.3


async def application(scope: Any, receive: Any, send: Any) -> None:  # Any: ASGI's own untyped protocol
    """Answer with the length of the body; `/refused` does not wait for it, `/slow` takes a while."""
    if scope["type"] != "http":
        return
    size, more = 0, scope["path"] != "/refused"
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(0.6)
    said = b"%d" % size
    status = 401 if scope["path"] == "/refused" else 200
    headers = [(b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": said})


Connect = Callable[[], Any]  # Any: the awaitable of a reader and a writer


@asynccontextmanager
async def served(protocol: type[BoundedProtocol] = Hasty) -> AsyncIterator[Connect]:
    """Serve the application and give what opens a connection to it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            application, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110 - the state announces nothing
            await asyncio.sleep(0.005)
        port = listener.getsockname()[1]
        opened: list[asyncio.StreamWriter] = []

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            opened.append(writer)
            return reader, writer

        try:
            yield connect
        finally:
            for writer in opened:
                writer.close()
            server.should_exit = True
            await task


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open connections to an application that is served with little patience."""
    async with served() as connecting:
        yield connecting


async def rest(reader: asyncio.StreamReader, *, within: float = 3.0) -> bytes:
    """Read until the server ends the connection."""
    raw = b""
    async with asyncio.timeout(within):
        with suppress(ConnectionError):
            while piece := await reader.read(65_536):
                raw += piece
    return raw


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Read one answer whose body has one byte."""
    async with asyncio.timeout(3):
        return await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(1)


async def test_a_connection_is_kept_for_further_requests(connect: Connect) -> None:
    reader, writer = await connect()
    whole = GET + b"\r\n"
    for pieces, answers in (
        ([whole], 1),
        ([POST % (b"", 3) + b"\r\n", b"abc"], 1),
        ([GET, b"\r\n"], 1),
        ([whole + whole + GET, b"\r\n"], 3),
    ):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)
        for _ in range(answers):
            assert (await answer(reader)).startswith(b"HTTP/1.1 200 OK\r\n")
    # Longer than a head may take, because no head has begun.
    await asyncio.sleep(0.5)
    writer.write(GET + b"\r\n")
    assert (await answer(reader)).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X: " + b"x" * (MOST_HEAD_BYTES + 1) + b"\r\n\r\n",
        GET + b"X: 1\r\n" * MOST_HEADERS + b"\r\n",
        GET.replace(b"/ ", b"/" + b"x" * (MOST_HEAD_BYTES + 1) + b" ") + b"\r\n",
        GET + b"X: " + b"x" * (MOST_HEAD_BYTES + 1),
        POST % (b"", 9) + b"X: " + b"x" * (MOST_HEAD_BYTES + 1) + b"\r\n\r\n" + b"123456789",
    ],
)
async def test_a_head_beyond_its_limits_is_refused_and_the_connection_ends(
    connect: Connect, head: bytes
) -> None:
    reader, writer = await connect()
    writer.write(head)
    raw = await rest(reader)
    assert raw.startswith(b"HTTP/1.1 431 ")
    assert b"connection: close" in raw


async def test_what_is_large_for_a_head_is_little_for_a_body(connect: Connect) -> None:
    reader, writer = await connect()
    body = b"x" * (10 * MOST_HEAD_BYTES)
    writer.write(POST % (b"", len(body)) + b"Cookie: " + b"c" * 30_000 + b"\r\n\r\n" + body)
    async with asyncio.timeout(3):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert await reader.readexactly(6) == b"%d" % len(body)


async def test_a_header_of_many_megabytes_freezes_nobody() -> None:
    async with served(BoundedProtocol) as connect:
        reader, writer = await connect()
        other_reader, other = await connect()
        writer.write(GET + b"X: ")
        pouring = asyncio.create_task(_pour(writer, b"x" * 1_000_000, 50))
        longest = 0.0
        for _ in range(20):
            began = time.perf_counter()
            other.write(GET + b"\r\n")
            await answer(other_reader)
            longest = max(longest, time.perf_counter() - began)
        assert longest < 0.5
        assert (await rest(reader)).startswith(b"HTTP/1.1 431 ")
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)


async def test_what_follows_a_body_is_bounded_too(connect: Connect) -> None:
    reader, writer = await connect()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: "
    writer.write(head)
    pouring = asyncio.create_task(_pour(writer, b"x" * 100_000, 100))
    assert b"HTTP/1.1 431 " in await rest(reader)
    pouring.cancel()
    await asyncio.gather(pouring, return_exceptions=True)


@pytest.mark.parametrize(("start", "piece"), [(b"", b""), (b"", b"\r\n"), (GET + b"X: ", b"x")])
async def test_who_sends_no_whole_head_in_time_is_left(connect: Connect, start: bytes, piece: bytes) -> None:
    began = time.perf_counter()
    reader, writer = await connect()
    writer.write(start)
    dripping = asyncio.create_task(_pour(writer, piece, 100, pause=0.02))
    assert await rest(reader) == b""
    assert 0.2 < time.perf_counter() - began < 1.5
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)


@pytest.mark.parametrize("piece", [b"G", b"\r\n"])
async def test_a_later_head_has_its_time_too(connect: Connect, piece: bytes) -> None:
    reader, writer = await connect()
    writer.write(GET + b"\r\n")
    await answer(reader)
    began = time.perf_counter()
    writer.write(piece)
    assert await rest(reader) == b""
    assert 0.2 < time.perf_counter() - began < 1.5


async def test_an_answer_under_way_does_not_suffer_from_the_next_head(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(GET.replace(b"/ ", b"/slow ") + b"\r\n" + b"GET / HT")
    raw = await rest(reader)
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert raw.endswith(b"\r\n\r\n0")


@pytest.mark.parametrize("length", [10, 50_000_000])
async def test_who_is_refused_before_the_body_hears_it_and_is_left(connect: Connect, length: int) -> None:
    reader, writer = await connect()
    writer.write(POST % (b"refused", length) + b"\r\n")
    pouring = asyncio.create_task(_pour(writer, b"x" * (length // 100), 99, pause=0.001))
    raw = await rest(reader)
    assert raw.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nconnection: close\r\n" in raw
    assert raw.endswith(b"\r\n\r\n0")
    pouring.cancel()
    await asyncio.gather(pouring, return_exceptions=True)


async def test_a_refusal_after_a_whole_body_keeps_the_connection(connect: Connect) -> None:
    reader, writer = await connect()
    for _ in range(2):
        writer.write(POST % (b"refused", 3) + b"\r\nabc")
        said = await answer(reader)
        assert said.startswith(b"HTTP/1.1 401 ")
        assert b"connection" not in said


async def test_an_upgrade_that_is_not_taken_is_an_ordinary_request(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n")
    assert (await answer(reader)).startswith(b"HTTP/1.1 200 OK\r\n")


async def _pour(writer: asyncio.StreamWriter, piece: bytes, times: int, *, pause: float = 0.0) -> None:
    with suppress(ConnectionError):
        for _ in range(times):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
