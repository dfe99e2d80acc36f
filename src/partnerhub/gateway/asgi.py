"""Requests and replies of the hot path: thin values over ASGI's messages, with limits on what is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from partnerhub.kit.errors import Invalid, Unavailable
from partnerhub.kit.pace import UPLOAD_BYTES_PER_SECOND, Message, Pace, Receive, paced

Scope = Message
Send = Callable[[Message], Awaitable[None]]
HeaderPairs = list[tuple[bytes, bytes]]

JSON: Final = b"application/json"


class BodyTooLarge(Invalid):
    """The request's body is larger than this path takes."""

    code = "body_too_large"
    status = 413


class ClientGone(Unavailable):
    """The client hung up before its body was complete; nobody reads the answer."""

    code = "client_gone"


class Request:
    """One request. Header names are asked for in lower case.

    `body_seconds` is how long its body may take, a streamed one longer the more of it has come.
    """

    __slots__ = ("_body", "_headers", "_query", "body_seconds", "id", "method", "path", "receive", "scope")

    def __init__(self, scope: Scope, receive: Receive, ident: str, *, body_seconds: float) -> None:
        self.body_seconds = body_seconds
        self.scope = scope
        self.receive = receive
        self.id = ident
        self.method: str = scope["method"]
        path: str = scope["path"]
        self.path = path.rstrip("/") or "/" if path != "/" else path
        self._headers: dict[bytes, bytes] | None = None
        self._query: list[tuple[str, str]] | None = None
        self._body: bytes | None = None

    def header(self, name: bytes) -> str:
        """Return the value of a header, or an empty text."""
        headers = self._headers
        if headers is None:
            headers = self._headers = dict(reversed(self.scope["headers"]))
        return headers.get(name, b"").decode("latin-1")

    @property
    def ip(self) -> str:
        """Where it comes from, as far as trusted proxies say; empty where nobody does."""
        client = self.scope.get("client")
        return client[0] if client else ""

    @property
    def query_string(self) -> str:
        """The query as it came, without its question mark."""
        return bytes(self.scope["query_string"]).decode("latin-1")

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query's parameters in order."""
        if self._query is None:
            self._query = parse_qsl(self.query_string, keep_blank_values=True)
        return self._query

    def parameter(self, name: str) -> str:
        """Return the first query parameter of this name, or an empty text."""
        return next((value for key, value in self.query if key == name), "")

    @property
    def length(self) -> int | None:
        """The body's announced length in bytes."""
        text = self.header(b"content-length")
        return int(text) if text.isdigit() else None

    async def body(self, limit: int) -> bytes:
        """Read the whole body. Raises: BodyTooLarge, BodyTooSlow, ClientGone."""
        if self._body is None:
            if (self.length or 0) > limit:
                raise BodyTooLarge(f"The body may have {limit} bytes at most.")
            receive = paced(self.receive, Pace(self.body_seconds))
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                self._body = bytes(message.get("body", b""))
            else:
                self._body = b"".join([piece async for piece in _pieces(message, receive, limit)])
            if len(self._body) > limit:
                raise BodyTooLarge(f"The body may have {limit} bytes at most.")
        return self._body

    def longest_upload(self, limit: int) -> float:
        """Return the seconds that a streamed body may take at most, as large as it was announced to be."""
        size = limit if self.length is None else self.length
        return _upload_pace(self.body_seconds).allowed(size)

    async def stream(self, limit: int) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises: BodyTooLarge, BodyTooSlow, ClientGone."""
        if (self.length or 0) > limit:
            raise BodyTooLarge(f"The body may have {limit} bytes at most.")
        receive = paced(self.receive, _upload_pace(self.body_seconds))
        async for piece in _pieces(await receive(), receive, limit):
            yield piece


def _upload_pace(seconds: float) -> Pace:
    return Pace(seconds, bytes_per_second=UPLOAD_BYTES_PER_SECOND)


async def _pieces(message: Message, receive: Receive, limit: int) -> AsyncIterator[bytes]:
    total = 0
    while True:
        if message["type"] != "http.request":
            raise ClientGone("The client hung up.")
        piece = bytes(message.get("body", b""))
        total += len(piece)
        if total > limit:
            raise BodyTooLarge(f"The body may have {limit} bytes at most.")
        if piece:
            yield piece
        if not message.get("more_body"):
            return
        message = await receive()


@dataclass(slots=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: HeaderPairs = field(default_factory=list)

    async def write(self, send: Send, extra: HeaderPairs) -> int:
        """Send it and return the status."""
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            *self.headers,
            *extra,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})
        return self.status


@dataclass(slots=True)
class StreamReply:
    """An answer whose body is still coming; `close` is called when it is through or the client left."""

    status: int
    headers: HeaderPairs
    pieces: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]

    async def write(self, send: Send, extra: HeaderPairs) -> int:
        """Send it piece by piece and return the status.

        A body that breaks off upstream ends without its last chunk or byte, so that the client notices.
        """
        try:
            await send(
                {"type": "http.response.start", "status": self.status, "headers": [*self.headers, *extra]}
            )
            async for piece in self.pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await self.close()
        return self.status


AnyReply = Reply | StreamReply
