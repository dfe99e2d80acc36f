"""One connection of a client, within bounds: what may be sent before anybody knows who it is.

The server's own protocol reads a head of any size for any time, and keeps a connection on which nothing
comes. Here a head has limits, a head and a first byte have a deadline, and a request that was answered before
its body was there ends its connection. The pace of bodies is the applications' (`kit.pace`).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, ClassVar, Final

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MOST_HEAD_BYTES: Final = 64 * 1024
MOST_HEADERS: Final = 200
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class _HeadTooLarge(Exception):
    """Ends the parsing of a head; the parser wraps it."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, for strangers.

    `head_seconds` is how long a head may take, and a first byte on a new connection.
    """

    head_seconds: ClassVar[float] = 10.0
    # Long enough for a client that is still sending to find the answer, which a reset would take from it.
    linger_seconds: ClassVar[float] = 2.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: uvicorn's own arguments
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._is_in_head = False
        self._is_last = False  # the answer under way is the last on this connection
        self._is_ending = False
        # Bytes that came since the last head was complete or the last piece of a body was there.
        self._unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_ending:
            return
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MOST_HEAD_BYTES:
            # A head, or what follows the last piece of a body. The parser's time grows with its square.
            self._refuse_head()
        elif self._deadline is None and (self._is_in_head or self._is_idle):
            self._expect_head()

    def send_400_response(self, msg: str) -> None:
        if self._unread > MOST_HEAD_BYTES or len(self.headers or ()) > MOST_HEADERS:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    # --- what the parser tells --------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if len(self.headers) > MOST_HEADERS or (
            # One read may bring a piece of the body too.
            self._unread > MOST_HEAD_BYTES and self._head_bytes() > MOST_HEAD_BYTES
        ):
            raise _HeadTooLarge
        self._is_in_head = False
        self._unread = 0
        if self._deadline is not None:
            self._forget_deadline()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    # --- answers ----------------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        super()._start_asgi_task(cycle, partial(self._answer, cycle, app))

    async def _answer(
        self,
        cycle: RequestResponseCycle,
        app: ASGI3Application,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        """Run the application; what it answers before the body is there is the last on its connection."""

        async def send_or_end(message: ASGISendEvent) -> None:
            if cycle.more_body and not cycle.response_started:
                self._is_last = True
                cycle.keep_alive = False  # says `connection: close` …
                await send(message)
                cycle.keep_alive = True  # … and leaves the closing to `_end`
            else:
                await send(message)

        await app(scope, receive, send_or_end)

    def on_response_complete(self) -> None:
        if self._is_last:
            self.server_state.total_requests += 1
            self._end()
        else:
            super().on_response_complete()

    # --- ends -------------------------------------------------------------------------------------------

    @property
    def _is_idle(self) -> bool:
        # None before the first request, whatever its annotation says.
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # see above

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self._give_up)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if self._is_idle:
            self.transport.close()
        else:
            # An earlier request of this connection still gets its answer.
            self.cycle.keep_alive = False

    def _refuse_head(self) -> None:
        if not self._is_ending and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self._end()

    def _end(self) -> None:
        """Say no more, and close when the client had time to read what was said."""
        if self.transport.is_closing():
            return
        self._is_ending = True
        self._unset_keepalive_if_required()
        self._forget_deadline()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(self.linger_seconds, self.transport.close)
