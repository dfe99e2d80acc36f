"""Turning Meta's answers into ours."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

import msgspec

from partnerhub.gateway.asgi import HeaderPairs, Reply
from partnerhub.kit.http import Headers
from partnerhub.meta.graph import GraphAnswer

# What a client can use to report a problem to Meta. Usage headers are about the whole provider: not passed.
_PASSED: Final = frozenset({b"x-fb-trace-id", b"x-fb-request-id", b"facebook-api-version", b"retry-after"})


def reply_of(answer: GraphAnswer) -> Reply:
    """Return Meta's status and body as they came."""
    return Reply(
        answer.status,
        answer.body,
        answer.content_type.encode("latin-1"),
        picked(answer.headers, _PASSED),
    )


def page_of(answer: GraphAnswer, *, gateway_url: str) -> Reply:
    """Return Meta's status and body, with this host and without a token in the addresses of further pages."""
    reply = reply_of(answer)
    if b'"paging"' in reply.body:
        try:
            whole = msgspec.json.decode(reply.body, type=dict[str, msgspec.Raw])
            paging = msgspec.json.decode(whole["paging"], type=dict[str, msgspec.Raw])
            leading = {
                name: _led_here(msgspec.json.decode(paging[name], type=str), gateway_url)
                for name in ("next", "previous")
                if name in paging
            }
        except (KeyError, ValueError, RecursionError):
            # Not a list as we know it: as it came.
            return reply
        if leading:
            reply.body = msgspec.json.encode({**whole, "paging": {**paging, **leading}})
    return reply


def _led_here(url: str, gateway_url: str) -> str:
    """Return one of Graph's addresses on this host, where the client's key opens it."""
    parts = urlsplit(url)
    query = "&".join(part for part in parts.query.split("&") if not part.startswith("access_token="))
    return gateway_url + parts.path + (f"?{query}" if query else "")


def picked(headers: Headers, names: Collection[bytes]) -> HeaderPairs:
    """Return those headers that go on to the client; `names` in lower case."""
    return [(name, value) for key, value in headers.raw if (name := key.lower()) in names]
