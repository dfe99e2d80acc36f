"""Serves `<partnerhub-connect>`, the connect button for partners' pages, and says how to embed it.

Each released version is a file here that never changes again: partners pin its hash, so no build touches the
bytes. Its own address is cached for ever; the plain address always has the newest.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from litestar import Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from partnerhub.web.principal import HubRequest

PATH = "/connect"
_NAME = "partnerhub-connect"
_FILE = re.compile(rf"{_NAME}-(\d+)\.(\d+)\.(\d+)\.js")
_FOR_EVER = "public, max-age=31536000, immutable"
_FOR_AN_HOUR = "public, max-age=3600"


@dataclass(frozen=True)
class ButtonFile:
    """One version of the script."""

    version: str
    body: bytes
    gzipped: bytes
    integrity: str

    @property
    def path(self) -> str:
        """Where this version and no other is served."""
        return f"{PATH}/{self.version}/{_NAME}.js"


@cache
def button_files() -> Mapping[str, ButtonFile]:
    """Return every version by its number, the newest last."""
    found = {}
    for path in Path(__file__).parent.iterdir():
        if match := _FILE.fullmatch(path.name):
            found[tuple(map(int, match.groups()))] = _read(path, ".".join(match.groups()))
    return {found[number].version: found[number] for number in sorted(found)}


def newest_button() -> ButtonFile:
    """Return the version that new pages should embed."""
    return list(button_files().values())[-1]


@get(f"/{_NAME}.js")
async def serve_newest(request: HubRequest) -> Response[bytes]:
    """Serve the newest version; browsers ask again after an hour."""
    return _answer(request, newest_button(), _FOR_AN_HOUR)


@get(f"/{{version:str}}/{_NAME}.js")
async def serve_version(version: FromPath[str], request: HubRequest) -> Response[bytes]:
    """Serve one version, which never changes."""
    found = button_files().get(version)
    if found is None:
        raise NotFoundException("There is no such version of the connect button.")
    return _answer(request, found, _FOR_EVER)


def button_routes() -> Router:
    """Return the routes that serve the script to any site."""
    return Router(PATH, route_handlers=[serve_newest, serve_version], opt={"public": True})


def _read(path: Path, version: str) -> ButtonFile:
    body = path.read_bytes()
    digest = base64.b64encode(hashlib.sha384(body).digest()).decode()
    return ButtonFile(version, body, gzip.compress(body, 9, mtime=0), f"sha384-{digest}")


def _answer(request: HubRequest, found: ButtonFile, cache_control: str) -> Response[bytes]:
    headers = {
        # A page that pins the hash fetches with CORS; a page isolated from others wants the second.
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
        "cache-control": cache_control,
        "etag": f'"{found.version}"',
        "vary": "accept-encoding",
    }
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(b"", status_code=304, headers=headers)
    body = found.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        body = found.gzipped
        headers["content-encoding"] = "gzip"
    return Response(body, headers=headers, media_type="text/javascript")
