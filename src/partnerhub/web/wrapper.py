"""The outermost ASGI function of a process: what must hold for every answer, also for ones no route gave.

It makes the request id, believes proxies it was told to trust, bounds bodies, adds the headers that every
answer carries, writes the access log, and hands hot routes past the framework.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from partnerhub.kit import logs
from partnerhub.kit.cookies import MAX_COOKIE_BYTES, read_cookies, size_of
from partnerhub.kit.ids import uuid7
from partnerhub.kit.pace import UPLOAD_BYTES_PER_SECOND, BodyTooSlow, Message, Pace, Receive, paced
from partnerhub.kit.peers import TrustedProxies
from partnerhub.web.cookies import SCOPE_KEY
from partnerhub.web.dialects import Answer
from partnerhub.web.errors import AddressUnknown, BodyTooLarge, CookiesTooLarge
from partnerhub.web.failures import Failure, bug, failure_of

ASGIScope = MutableMapping[str, Any]  # Any: ASGI's own shape
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[ASGIScope, Receive, Send], Awaitable[None]]
HotRoutes = Callable[[ASGIScope], ASGIApp | None]
FailureWriter = Callable[[Failure, ASGIScope], Answer]

_ID = re.compile(rb"[A-Za-z0-9._~+/=-]{8,128}")
_HSTS = b"max-age=15724800; includeSubDomains"

log = logs.get("access")


def exact(routes: Mapping[tuple[str, str], ASGIApp]) -> HotRoutes:
    """Return hot routes that are found by method and exact path."""
    return lambda scope: routes.get((scope["method"], scope["path"]))


class Wrapper:
    """The application a server runs."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        write_failure: FailureWriter,
        hot: HotRoutes | None = None,
        trusted_proxies: Sequence[str] = (),
        is_secure: bool,
        max_body_bytes: int = 1024 * 1024,
        larger_bodies: Mapping[str, int] | None = None,
        body_seconds: float = 20.0,
        logs_access: bool = True,
    ) -> None:
        """`larger_bodies` maps path prefixes to limits of their own, in bytes.

        A body may take `body_seconds`, a larger one longer the more of it has come.
        """
        self._app = app
        self._hot = hot or exact({})
        self._write_failure = write_failure
        self._proxies = TrustedProxies(trusted_proxies)
        self._max_body_bytes = max_body_bytes
        self._larger_bodies = dict(larger_bodies or {})
        self._pace = Pace(body_seconds)
        self._larger_pace = Pace(body_seconds, bytes_per_second=UPLOAD_BYTES_PER_SECOND)
        self._logs_access = logs_access
        # Tokens and keys are in some answers, somebody's facts in most: who wants one kept says so.
        self._always = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
        if is_secure:
            self._always.append((b"strict-transport-security", _HSTS))

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Serve one request; lifespan passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(reversed(scope["headers"]))
        request_id = _request_id(headers.get(b"x-request-id", b""))
        self._proxies.apply(scope)
        mark = logs.request_id.set(request_id)
        exchange = _Exchange(send, [(b"x-request-id", request_id.encode()), *self._always])
        started = time.perf_counter()
        method, path = scope["method"], scope["path"]
        try:
            await self._serve(scope, receive, exchange, headers)
        finally:
            if self._logs_access:
                log.info(
                    "request",
                    method=method,
                    path=path,
                    status=exchange.status,
                    ms=round((time.perf_counter() - started) * 1000, 1),
                    bytes=exchange.size,
                    ip=scope["client"][0] if scope.get("client") else "",
                )
            logs.request_id.reset(mark)

    async def _serve(
        self, scope: ASGIScope, receive: Receive, exchange: _Exchange, headers: Mapping[bytes, bytes]
    ) -> None:
        try:
            scope[SCOPE_KEY] = _cookies(scope["headers"])
            _check_path(scope["path"])
            limit, pace = self._limit(scope["path"])
            receive = paced(receive, pace)
            _check_length(headers.get(b"content-length", b""), limit)
            hot = self._hot(scope)
            if hot is not None:
                await hot(scope, receive, exchange.send)
                return
            if scope["method"] == "HEAD":
                # The framework knows only GET; what HEAD promises is the same answer without its body.
                scope = {**scope, "method": "GET", "is_head": True}
                exchange.drops_body = True
            await self._app(scope, _bounded(receive, limit), exchange.send)
        except Exception as error:
            if exchange.status:
                bug(error)
                raise
            await exchange.answer(self._write_failure(failure_of(error), scope))

    def _limit(self, path: str) -> tuple[int, Pace]:
        for prefix, limit in self._larger_bodies.items():
            if path.startswith(prefix):
                return limit, self._larger_pace
        return self._max_body_bytes, self._pace


class _Exchange:
    """The sending half of a request: adds headers, remembers what was sent."""

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self.status = 0
        self.size = 0
        self.drops_body = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = {name.lower() for name, _ in message["headers"]}
            added = [(name, value) for name, value in self._headers if name not in given]
            if self.status == BodyTooSlow.status:
                added.append((b"connection", b"close"))  # what is still to come belongs to nobody
            message = {**message, "headers": [*message["headers"], *added]}
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
            if self.drops_body:
                message = {**message, "body": b""}
        await self._send(message)

    async def answer(self, answer: Answer) -> None:
        headers = {
            **answer.headers,
            "content-type": _content_type(answer.media_type),
            "content-length": str(len(answer.body)),
        }
        pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": answer.body})


def _bounded(receive: Receive, limit: int) -> Receive:
    taken = 0

    async def receive_counted() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _too_large(limit)
        return message

    return receive_counted


def _check_path(path: str) -> None:
    # No address of ours has one, and no id that PostgreSQL's text could hold.
    if "\x00" in path:
        raise AddressUnknown("There is nothing at this address.")


def _check_length(text: bytes, limit: int) -> None:
    if text.isdigit() and int(text) > limit:
        raise _too_large(limit)


def _cookies(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    if size_of(headers) > MAX_COOKIE_BYTES:
        raise CookiesTooLarge(f"The cookies of this site may have {MAX_COOKIE_BYTES} bytes at most.")
    return read_cookies(headers)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body may have {limit} bytes at most.")


def _request_id(inbound: bytes) -> str:
    return inbound.decode("ascii") if _ID.fullmatch(inbound) else str(uuid7())


def _content_type(media_type: str) -> str:
    # The framework adds the charset of texts by itself; here nobody does.
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type
