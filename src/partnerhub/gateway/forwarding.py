"""Turning Meta's answers into ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from partnerhub.gateway.asgi import HeaderPairs, Reply
from partnerhub.kit.http import Headers
from partnerhub.meta.graph import GraphAnswer

# What a client can use to report a problem to Meta. Usage headers are about the whole provider: not passed.
_PASSED: Final = ("x-fb-trace-id", "x-fb-request-id", "facebook-api-version", "retry-after")


def reply_of(answer: GraphAnswer) -> Reply:
    """Return Meta's status and body as they came."""
    return Reply(
        answer.status,
        answer.body,
        answer.content_type.encode("latin-1"),
        picked(answer.headers, _PASSED),
    )


def picked(headers: Headers, names: Iterable[str]) -> HeaderPairs:
    """Return those headers that go on to the client."""
    return [
        (name.encode(), value.encode("latin-1")) for name in names if (value := headers.get(name)) is not None
    ]
