"""One exchange as it happens: what was asked, what has come so far, and how it ends.

A plain value for the connection to fill; it reads no socket. A streamed body waits here for its reader, which
slows the connection down when it falls behind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from time import perf_counter
from typing import Final, Protocol

from partnerhub.kit.http.answers import Answer, Headers, Timings
from partnerhub.kit.http.errors import ExchangeError, Phase, Reason

_STREAM_HIGH_WATER: Final = 256 * 1024
_STREAM_LOW_WATER: Final = 64 * 1024


class Exchange:
    """One request and what has come back for it so far."""

    __slots__ = (
        "body",
        "body_bytes",
        "connect_us",
        "dns_us",
        "first_byte_at",
        "first_byte_seconds",
        "future",
        "head_bytes",
        "head_done",
        "headers",
        "is_head_request",
        "max_body_bytes",
        "max_header_bytes",
        "peer_address",
        "reader",
        "reason",
        "reused",
        "sent_at",
        "started_at",
        "status",
        "tls_us",
        "total_deadline",
        "truncated",
        "wire_bytes",
    )

    def __init__(
        self,
        future: asyncio.Future[Answer],
        *,
        is_head_request: bool,
        max_header_bytes: int,
        max_body_bytes: int,
        first_byte_seconds: float,
        total_deadline: float,
        started_at: float,
    ) -> None:
        self.future = future
        self.is_head_request = is_head_request
        self.max_header_bytes = max_header_bytes
        self.max_body_bytes = max_body_bytes
        self.first_byte_seconds = first_byte_seconds
        self.total_deadline = total_deadline
        self.started_at = started_at
        self.sent_at = 0.0
        self.first_byte_at = 0.0
        self.dns_us = self.connect_us = self.tls_us = 0
        self.reused = False
        self.peer_address = ""
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.head_bytes = 0
        self.head_done = False
        self.body: list[bytes] = []
        self.body_bytes = 0
        self.wire_bytes = 0
        self.truncated = False
        self.reader: BodyReader | None = None

    def timings(self) -> Timings:
        """Return the phases as they are now."""
        now = perf_counter()
        first_byte = self.first_byte_at
        sent = self.sent_at
        return Timings(
            dns_us=self.dns_us,
            connect_us=self.connect_us,
            tls_us=self.tls_us,
            first_byte_us=int(((first_byte or now) - sent) * 1e6) if sent else 0,
            body_us=int((now - first_byte) * 1e6) if first_byte else 0,
            total_us=int((now - self.started_at) * 1e6),
            reused=self.reused,
        )

    def answer(self) -> Answer:
        """Return what has arrived as an answer."""
        return Answer(
            status=self.status,
            reason=self.reason.decode("latin-1"),
            headers=Headers(self.headers),
            body=b"".join(self.body),
            body_truncated=self.truncated,
            timings=self.timings(),
            peer_address=self.peer_address,
        )

    def error(self, reason: Reason, *, phase: Phase = Phase.ATTEMPT) -> ExchangeError:
        """Make the error that ends this exchange."""
        answer = None
        if self.head_done:
            self.truncated = True
            answer = self.answer()
        return ExchangeError(
            reason,
            phase=phase,
            timings=self.timings(),
            peer_address=self.peer_address or None,
            answer=answer,
        )

    def finish(self, answer: Answer) -> None:
        """End with an answer."""
        if self.reader is not None:
            self.reader.end(None)
        if not self.future.done():
            self.future.set_result(answer)

    def fail(self, error: BaseException) -> None:
        """End with an error."""
        if self.reader is not None and self.head_done:
            self.reader.end(error)
        if not self.future.done():
            self.future.set_exception(error)


class Flow(Protocol):
    """What a reader asks of the connection it reads from."""

    def pause(self) -> None:
        """Stop reading until `resume`."""

    def resume(self) -> None:
        """Read on."""


class BodyReader:
    """The body of a streamed answer: holds what has come, and pauses the connection while it is too much."""

    def __init__(self) -> None:
        self.connection: Flow | None = None
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._paused = False
        self._ended = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, piece: bytes) -> None:
        """Take a piece from the connection."""
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held > _STREAM_HIGH_WATER and not self._paused and self.connection is not None:
            self._paused = True
            self.connection.pause()
        self._wake()

    def end(self, error: BaseException | None) -> None:
        """Take the end of the body, or why there will be none."""
        if not self._ended:
            self._ended, self._error = True, error
            self._wake()

    def leave(self) -> None:
        """Let go of the connection, which reads on for whoever has it next."""
        if self._paused and self.connection is not None:
            self.connection.resume()
        self.connection = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; the connection reads no further than about 256 KiB ahead."""
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._held -= len(piece)
                if self._paused and self._held < _STREAM_LOW_WATER and self.connection is not None:
                    self._paused = False
                    self.connection.resume()
                yield piece
            if self._ended:
                if self._error is not None:
                    raise self._error
                return
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
