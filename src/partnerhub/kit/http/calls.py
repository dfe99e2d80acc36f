"""Requests made ready: checked, framed, and written piece by piece where they are large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from time import perf_counter
from typing import Final

from partnerhub.kit.http.addresses import AddressPolicy
from partnerhub.kit.http.answers import Timeouts
from partnerhub.kit.http.bodies import StreamBody, sliced
from partnerhub.kit.http.connection import Connection
from partnerhub.kit.http.exchange import Exchange
from partnerhub.kit.http.heads import HeaderLines, encode_head
from partnerhub.kit.http.pool import Origin
from partnerhub.kit.http.urls import Target

Body = bytes | StreamBody

# From here on a body is sent in pieces, so that its sending is not counted as waiting for the answer.
_SLICED_FROM_BYTES: Final = 256 * 1024


class Call:
    """A checked request, ready to be written: once with a caller's stream, else any number of times."""

    __slots__ = (
        "head",
        "is_head_request",
        "max_body_bytes",
        "max_header_bytes",
        "may_repeat",
        "origin",
        "plain_body",
        "stream",
        "target",
        "timeouts",
    )

    def __init__(
        self,
        *,
        target: Target,
        origin: Origin,
        head: bytes,
        plain_body: bytes,
        stream: Callable[[], StreamBody] | None,
        may_repeat: bool,
        is_head_request: bool,
        timeouts: Timeouts,
        max_header_bytes: int,
        max_body_bytes: int,
    ) -> None:
        self.target = target
        self.origin = origin
        self.head = head
        self.plain_body = plain_body
        self.stream = stream
        self.may_repeat = may_repeat
        self.is_head_request = is_head_request
        self.timeouts = timeouts
        self.max_header_bytes = max_header_bytes
        self.max_body_bytes = max_body_bytes

    def new_exchange(self, *, after: Exchange | None = None) -> Exchange:
        """Start the clock of an exchange; one more try runs on the clock of the first."""
        now = after.started_at if after is not None else perf_counter()
        return Exchange(
            asyncio.get_running_loop().create_future(),
            is_head_request=self.is_head_request,
            max_header_bytes=self.max_header_bytes,
            max_body_bytes=self.max_body_bytes,
            first_byte_seconds=self.timeouts.first_byte_seconds,
            total_deadline=now + self.timeouts.total_seconds,
            started_at=now,
        )


def prepare(
    method: str,
    target: Target,
    *,
    headers: HeaderLines,
    body: Body,
    user_agent: str,
    policy: AddressPolicy,
    timeouts: Timeouts,
    max_header_bytes: int,
    max_body_bytes: int,
) -> Call:
    """Check a request and write its head.

    Raises: InvalidHeader; ValueError for an unknown method.
    """
    stream: Callable[[], StreamBody] | None = None
    length: int | None
    if isinstance(body, StreamBody):
        plain, length, stream = b"", body.length, lambda: body
    elif len(body) >= _SLICED_FROM_BYTES:
        plain, length, stream = b"", len(body), lambda: StreamBody(content=sliced(body), length=len(body))
    else:
        plain, length = body, len(body)
    chunked = stream is not None and length is None
    return Call(
        origin=Origin(target.is_tls, target.host, target.port, policy),
        target=target,
        head=encode_head(method, target, headers, user_agent=user_agent, length=length, chunked=chunked),
        plain_body=plain,
        stream=stream,
        may_repeat=not isinstance(body, StreamBody),
        is_head_request=method == "HEAD",
        timeouts=timeouts,
        max_header_bytes=max_header_bytes,
        max_body_bytes=max_body_bytes,
    )


async def send_stream(connection: Connection, exchange: Exchange, body: StreamBody) -> None:
    """Write a body as it is produced; what its producer raises ends the exchange and reaches the caller."""
    try:
        async for piece in _framed(body):
            if not await connection.write(exchange, piece):
                return
    except Exception as error:  # noqa: BLE001 - the producer is the caller's; whatever it raises goes back to it
        connection.abandon(exchange, error)
        return
    connection.body_sent(exchange)


async def _framed(body: StreamBody) -> AsyncIterator[bytes]:
    """Yield the pieces as they go on the wire.

    Raises: ValueError when the stream does not keep its length, which would reframe the next request.
    """
    sent = 0
    async for piece in body.content:
        sent += len(piece)
        if body.length is None:
            if piece:
                yield b"%x\r\n%b\r\n" % (len(piece), piece)
        elif sent > body.length:
            raise ValueError(f"the body is longer than the {body.length} bytes it was said to have")
        else:
            yield piece
    if body.length is None:
        yield b"0\r\n\r\n"
    elif sent < body.length:
        raise ValueError(f"the body ended after {sent} of {body.length} bytes")
