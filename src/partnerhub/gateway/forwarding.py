"""Turning Meta's answers into ours."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

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


def picked(headers: Headers, names: Collection[bytes]) -> HeaderPairs:
    """Return those headers that go on to the client; `names` in lower case."""
    return [(name, value) for key, value in headers.raw if (name := key.lower()) in names]
