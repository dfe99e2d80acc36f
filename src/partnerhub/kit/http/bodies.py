"""Request bodies that are too large or too late to be one piece of bytes: streams and multipart forms."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class StreamBody:
    """A body that is produced while it is sent.

    `length` in bytes goes out as Content-Length and must be kept; None sends chunks. A stream is read once,
    so an exchange that carries one is never repeated.
    """

    content: AsyncIterable[bytes]
    length: int | None = None


@dataclass(frozen=True, kw_only=True)
class FilePart:
    """One file of a multipart form; `length` is needed with a stream whose size is known."""

    name: str
    filename: str
    content_type: str
    content: bytes | AsyncIterable[bytes]
    length: int | None = None


def multipart(fields: Mapping[str, str], files: Iterable[FilePart]) -> tuple[StreamBody, str]:
    """Build a `multipart/form-data` body and the value of its Content-Type header (RFC 7578)."""
    boundary = f"----partnerhub{secrets.token_hex(16)}"
    parts: list[tuple[bytes, bytes | AsyncIterable[bytes], int | None]] = [
        (f'Content-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n'.encode(), value.encode(), None)
        for name, value in fields.items()
    ]
    for file in files:
        if any(letter in file.content_type for letter in "\r\n"):
            raise ValueError("a content type has no line break in it")
        named = f'name="{_quoted(file.name)}"; filename="{_quoted(file.filename)}"'
        opened = f"Content-Disposition: form-data; {named}\r\nContent-Type: {file.content_type}\r\n\r\n"
        parts.append((opened.encode(), file.content, file.length))
    opening = f"--{boundary}\r\n".encode()
    closing = f"--{boundary}--\r\n".encode()

    length: int | None = len(closing)
    for head, content, size in parts:
        known = len(content) if isinstance(content, bytes) else size
        length = None if length is None or known is None else length + len(opening) + len(head) + known + 2

    async def produce() -> AsyncIterator[bytes]:
        for head, content, _size in parts:
            yield opening + head
            if isinstance(content, bytes):
                yield content
            else:
                async for piece in content:
                    yield piece
            yield b"\r\n"
        yield closing

    return StreamBody(content=produce(), length=length), f"multipart/form-data; boundary={boundary}"


def _quoted(text: str) -> str:
    """Escape a name as browsers do, so that it cannot end its quotes or its line."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


async def sliced(body: bytes, size: int = 128 * 1024) -> AsyncIterator[bytes]:
    """Yield a large body in pieces, so that sending it can wait for the peer."""
    view = memoryview(body)
    for start in range(0, len(body), size):
        yield bytes(view[start : start + size])
