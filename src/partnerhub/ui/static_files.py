"""Serves the built assets: from memory, compressed once, cached by browsers for ever.

Names carry a hash of the content, so an answer never changes; anything else under the path is 404.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

from litestar.handlers import ASGIRouteHandler, asgi
from litestar.types import Receive, Scope, Send

from partnerhub.ui.assets import STATIC_FOLDER, STATIC_PATH, read_manifest

_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".woff2": b"font/woff2",
}
_FOR_EVER = b"public, max-age=31536000, immutable"
_COMPRESSED = {".css", ".js", ".svg"}


@dataclass(frozen=True)
class _File:
    content_type: bytes
    body: bytes
    gzipped: bytes | None


def static_files(folder: Path = STATIC_FOLDER, *, path: str = STATIC_PATH) -> ASGIRouteHandler:
    """Return a mountable handler for the built files; they are read once, here.

    Raises: AssetsNotBuilt.
    """
    files = {name: _load(folder / name) for name in read_manifest(folder).files.values()}

    @asgi(path, is_mount=True, copy_scope=False, opt={"public": True, "exclude_from_csrf": True})
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
        found = files.get(str(scope["path"]).strip("/").rpartition("/")[2])
        method = scope.get("method")
        if found is None or method not in {"GET", "HEAD"}:
            status = 404 if found is None else 405
            await send(
                {"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]}
            )
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        body, headers = _answer(found, dict(scope["headers"]).get(b"accept-encoding", b""))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if method == "HEAD" else body, "more_body": False}
        )

    return serve


def _load(path: Path) -> _File:
    body = path.read_bytes()
    gzipped = gzip.compress(body, 9, mtime=0) if path.suffix in _COMPRESSED else None
    return _File(_TYPES[path.suffix], body, gzipped)


def _answer(found: _File, accepted: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    headers = [
        (b"content-type", found.content_type),
        (b"cache-control", _FOR_EVER),
        (b"x-content-type-options", b"nosniff"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    body = found.body
    if found.gzipped is not None:
        headers.append((b"vary", b"accept-encoding"))
        if b"gzip" in accepted:
            body = found.gzipped
            headers.append((b"content-encoding", b"gzip"))
    headers.append((b"content-length", str(len(body)).encode()))
    return body, headers
