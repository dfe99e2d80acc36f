"""A client that takes its time: a request over a plain socket whose body comes in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class SlowAnswer:
    """What came back. The server has ended the connection by then."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def post_slowly(
    url: str,
    *,
    pieces: Iterable[bytes],
    pause_seconds: float,
    length: int,
    headers: Mapping[str, str] | None = None,
    within: float = 10.0,
) -> SlowAnswer:
    """Post pieces of a body of `length` bytes with pauses, and read until the server ends the connection."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    lines = {"Host": parts.netloc, "Content-Length": str(length), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"POST {parts.path} HTTP/1.1\r\n{head}\r\n".encode())

    async def drip() -> None:
        with suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_seconds)

    dripping = asyncio.create_task(drip())
    try:
        async with asyncio.timeout(within):
            raw = await _read_to_the_end(reader)
    finally:
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    start, _, body = raw.partition(b"\r\n\r\n")
    first, *rest = start.decode().split("\r\n")
    pairs = (line.partition(": ") for line in rest)
    return SlowAnswer(int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body)


async def _read_to_the_end(reader: asyncio.StreamReader) -> bytes:
    """Read all that came; what we still sent may have met a closed connection, and that is an end too."""
    raw = b""
    with suppress(ConnectionError):
        while piece := await reader.read(65_536):
            raw += piece
    return raw
