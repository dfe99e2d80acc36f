"""One connection: an asyncio Protocol that carries one exchange at a time.

It writes requests, feeds what comes back to llhttp (strict, no leniencies), holds the deadlines and byte
limits of the running exchange, and decides at its end whether the connection may be used again. It knows no
pool: who owns it is told by `on_idle` and `on_gone`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from time import perf_counter
from typing import Final, cast

import httptools

from partnerhub.kit.http.errors import FailureKind, Reason
from partnerhub.kit.http.exchange import Exchange

# A body in tiny chunks costs more on the wire than it carries; this is how much more we read for it.
_FRAMING_ALLOWANCE: Final = 16
# A connection used this recently was watched by the loop all the while; an older one is looked at once more.
_PEEK_AFTER_SECONDS: Final = 0.05

# llhttp also reads RTSP and ICE answers; ours begin with an H, or with the empty lines it lets pass.
_OTHER_PROTOCOLS: Final = b"RI"
_NO_ANSWER: Final = Reason(FailureKind.TIMEOUT_FIRST_BYTE, "No byte of an answer came in time.")
_CLOSED: Final = Reason(FailureKind.CLOSED, "The connection was closed before the answer was complete.")
_HEAD_TOO_LARGE: Final = Reason(FailureKind.TOO_LARGE, "The head of the answer is too large.")


class _StopParsing(Exception):
    """Stops the parser from inside a callback; `_refused` says why."""


class Connection(asyncio.Protocol):
    """A TCP or TLS connection to one checked address."""

    __slots__ = (
        "_close_after",
        "_complete",
        "_deadline",
        "_drain_waiter",
        "_exchange",
        "_has_length",
        "_keep_alive",
        "_loop",
        "_lost",
        "_parser",
        "_refused",
        "_sock",
        "_timer",
        "_timer_at",
        "_transfer_encoding",
        "_transport",
        "_until_close",
        "_writing_paused",
        "exchanges",
        "idle_since",
        "keep_alive_hint",
        "lost",
        "on_gone",
        "on_idle",
        "peer_address",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, peer_address: str) -> None:
        self._loop = loop
        self._sock = sock
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._deadline = 0.0
        self._drain_waiter: asyncio.Future[None] | None = None
        self._writing_paused = False
        self._lost = False
        self._refused: Reason | None = None
        self._complete = False
        self._close_after = False
        self._keep_alive = False
        self._has_length = False
        self._transfer_encoding: bytes | None = None
        self._until_close = False
        self.peer_address = peer_address
        self.exchanges = 0
        self.idle_since = 0.0
        self.keep_alive_hint: float | None = None
        self.on_idle: Callable[[Connection], None] | None = None
        self.on_gone: Callable[[Connection], None] | None = None
        self.lost: asyncio.Future[None] = loop.create_future()

    # --- what the owner does ---------------------------------------------------------------------------

    @property
    def is_usable(self) -> bool:
        """Say whether a request may be written: open, idle, and nothing has come unasked."""
        transport = self._transport
        return (
            transport is not None and not self._lost and self._exchange is None and not transport.is_closing()
        )

    def is_fresh_at(self, now: float) -> bool:
        """Look at the socket of a connection that lay idle: no end or stray bytes may wait there."""
        if not self.is_usable:
            return False
        if now - self.idle_since < _PEEK_AFTER_SECONDS:
            return True
        try:
            self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def begin(self, exchange: Exchange, head: bytes, body: bytes = b"") -> None:
        """Write a whole request and start its deadlines."""
        self._start(exchange)
        assert self._transport is not None
        self._transport.write(head + body if body else head)
        exchange.sent_at = now = perf_counter()
        self._arm(min(now + exchange.first_byte_seconds, exchange.total_deadline))

    def begin_streaming(self, exchange: Exchange, head: bytes) -> None:
        """Write a head whose body follows by `write` and ends by `body_sent`."""
        self._start(exchange)
        assert self._transport is not None
        self._close_after = True
        self._transport.write(head)
        self._arm(exchange.total_deadline)

    async def write(self, exchange: Exchange, piece: bytes) -> bool:
        """Write a piece and wait until the peer takes more; False when the exchange is over already."""
        if self._exchange is not exchange or self._transport is None:
            return False
        self._transport.write(piece)
        while self._writing_paused and self._exchange is exchange:
            self._drain_waiter = self._loop.create_future()
            try:
                await self._drain_waiter
            finally:
                self._drain_waiter = None
        return self._exchange is exchange

    def body_sent(self, exchange: Exchange) -> None:
        """Start waiting for the answer after the last piece."""
        if self._exchange is not exchange:
            return
        self._close_after = False
        exchange.sent_at = now = perf_counter()
        self._arm(min(now + exchange.first_byte_seconds, exchange.total_deadline))

    def abandon(self, exchange: Exchange, error: BaseException | None = None) -> None:
        """End an exchange whose caller left or whose body failed; the connection goes with it."""
        if self._exchange is exchange:
            self._end(exchange)
            if error is not None:
                exchange.fail(error)
            self.close()

    def close(self) -> None:
        """Drop the connection at once."""
        if self.on_gone is not None:
            on_gone, self.on_gone = self.on_gone, None
            on_gone(self)
        if self._transport is not None and not self._lost:
            self._transport.abort()

    def pause(self) -> None:
        """Stop reading until `resume`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # --- the running exchange ----------------------------------------------------------------------------

    def _start(self, exchange: Exchange) -> None:
        exchange.peer_address = self.peer_address
        exchange.reused = self.exchanges > 0
        self.exchanges += 1
        self._exchange = exchange
        self._complete = self._close_after = self._until_close = self._has_length = False
        self._transfer_encoding = None
        self._refused = None
        if exchange.reader is not None:
            exchange.reader.connection = self

    def _end(self, exchange: Exchange) -> None:
        self._exchange = None
        if exchange.reader is not None:
            exchange.reader.leave()
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)

    def _arm(self, deadline: float) -> None:
        """Set the deadline; the running timer is kept when it fires early enough, since most never fire."""
        self._deadline = deadline
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_later(max(deadline - perf_counter(), 0), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        exchange = self._exchange
        if exchange is None:
            return
        # A loop's timer may fire within its clock's resolution early.
        if perf_counter() + 0.001 < self._deadline:
            self._arm(self._deadline)
        elif exchange.sent_at and not exchange.first_byte_at:
            # Whichever deadline it is: what was missing is an answer.
            self._fail(_NO_ANSWER)
        elif perf_counter() + 0.001 >= exchange.total_deadline:
            self._fail(Reason(FailureKind.TIMEOUT_TOTAL, "The whole exchange took too long."))
        else:
            self._arm(exchange.total_deadline)

    def _fail(self, reason: Reason) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        error = exchange.error(reason)
        self._end(exchange)
        self.close()
        exchange.fail(error)

    def _succeed(self) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        answer = exchange.answer()
        self._end(exchange)
        if self._keep_alive and not self._close_after and not self._lost and self.on_idle is not None:
            self.idle_since = perf_counter()
            self.on_idle(self)
        else:
            self.close()
        exchange.finish(answer)

    # --- asyncio.Protocol ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self.close()  # bytes nobody asked for
            return
        if not exchange.first_byte_at:
            exchange.first_byte_at = perf_counter()
            if data[0] in _OTHER_PROTOCOLS:
                self._fail(_malformed("The answer is not HTTP."))
                return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refused = _malformed("The answer changes the protocol.")
        except httptools.HttpParserError as error:
            if not self._complete and self._refused is None and not exchange.truncated:
                self._refused = _malformed("The answer is not valid HTTP ({reason}).", reason=str(error))
            self._close_after = True
        if self._refused is not None:
            self._fail(self._refused)
        elif self._complete:
            self._succeed()
        else:
            self._check_size(exchange, len(data))

    def _check_size(self, exchange: Exchange, received: int) -> None:
        exchange.wire_bytes += received
        if not exchange.head_done:
            if (
                exchange.wire_bytes > exchange.max_header_bytes
                or exchange.head_bytes > exchange.max_header_bytes
            ):
                self._fail(_HEAD_TOO_LARGE)
        elif exchange.head_bytes > exchange.max_header_bytes or exchange.wire_bytes > (
            exchange.max_header_bytes + exchange.body_bytes * _FRAMING_ALLOWANCE + 64 * 1024
        ):
            self._fail(Reason(FailureKind.TOO_LARGE, "The answer is mostly framing."))

    def eof_received(self) -> bool:
        if self._exchange is not None and self._until_close:
            self._keep_alive = False
            self._succeed()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        exchange = self._exchange
        if exchange is not None:
            if isinstance(exc, ssl.SSLError):
                self._fail(tls_failed(exc))
            elif exc is not None:
                self._fail(Reason(FailureKind.RESET, "The connection was reset."))
            else:
                self._fail(_CLOSED)
        self.close()
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)

    # --- httptools -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._complete:
            self._close_after = True  # a second answer to one request: the first stands, the rest is not read

    def on_status(self, status: bytes) -> None:
        if not self._complete and self._exchange is not None:
            self._exchange.reason += status
            self._exchange.head_bytes += len(status)

    def on_header(self, name: bytes, value: bytes) -> None:
        exchange = self._exchange
        if self._complete or exchange is None:
            return
        exchange.head_bytes += len(name) + len(value) + 4
        if exchange.head_bytes > exchange.max_header_bytes:
            self._refused = _HEAD_TOO_LARGE
            raise _StopParsing
        if exchange.head_done:
            return  # trailers are counted and dropped
        exchange.headers.append((name, value))
        lower = name.lower()
        if lower == b"content-length":
            self._has_length = True
        elif lower == b"transfer-encoding":
            self._transfer_encoding = value.lower() if self._transfer_encoding is None else b"repeated"
        elif lower == b"keep-alive":
            self.keep_alive_hint = _read_keep_alive(value)

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        if self._complete or exchange is None:
            return
        status = self._parser.get_status_code()
        if status < 200:
            if status < 100:
                self._refused = _malformed("The answer has an impossible status.")
            elif self._has_length or self._transfer_encoding is not None:
                self._refused = _malformed("The answer has an interim head with a body.")
            return
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._refused = _malformed("The answer claims HTTP/{version}.", version=version)
        encoding = self._transfer_encoding
        if encoding is not None and (encoding != b"chunked" or version == "1.0" or self._has_length):
            self._refused = _malformed("The answer has a transfer encoding that cannot be trusted.")
        exchange.status = status
        exchange.head_done = True
        self._keep_alive = self._parser.should_keep_alive()
        self._until_close = not self._has_length and encoding is None and status not in (204, 304)
        if exchange.is_head_request:
            # The parser does not know that no body follows; the connection is not used again.
            self._close_after = self._complete = True
        if exchange.reader is not None and self._refused is None and not exchange.future.done():
            exchange.future.set_result(exchange.answer())

    def on_body(self, body: bytes) -> None:
        exchange = self._exchange
        if self._complete or exchange is None:
            return
        room = exchange.max_body_bytes - exchange.body_bytes
        if len(body) > room:
            body = body[:room]
            if exchange.reader is not None:
                self._refused = Reason(FailureKind.TOO_LARGE, "The body of the answer is too large.")
            exchange.truncated = self._close_after = self._complete = True
        exchange.body_bytes += len(body)
        if exchange.reader is not None:
            exchange.reader.feed(body)
        else:
            exchange.body.append(body)

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if self._complete or exchange is None:
            return
        if exchange.head_done:
            self._complete = True
        else:  # 1xx: the answer proper follows
            exchange.headers.clear()
            exchange.reason = b""
            self._has_length = False
            self._transfer_encoding = None


def _malformed(sentence: str, **values: str) -> Reason:
    return Reason(FailureKind.MALFORMED, sentence, values)


def tls_failed(error: ssl.SSLError) -> Reason:
    """Return what OpenSSL said of a failure that is no refused certificate."""
    return Reason(FailureKind.TLS, "TLS failed: {reason}.", {"reason": error.reason or str(error)})


def _read_keep_alive(value: bytes) -> float | None:
    """Return the seconds a server says it keeps an idle connection."""
    for part in value.lower().split(b","):
        name, _, number = part.strip().partition(b"=")
        if name == b"timeout" and number.strip().isdigit() and len(number) < 6:
            return float(number)
    return None
