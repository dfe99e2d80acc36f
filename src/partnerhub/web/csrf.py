"""Proof that a form came from our own page: a token bound to the session, and what the browser says.

The token is an HMAC over the session's secret (for visitors, over a random cookie). It changes when the
session's token does, so a page opened before a partner was switched cannot act in the other one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def make_token(key: bytes, *, bound_to: str) -> str:
    """Return the token for a session's or visitor's cookie value."""
    digest = hmac.new(key, b"form:" + bound_to.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_token(key: bytes, token: str, *, bound_to: str) -> bool:
    """Say whether the token belongs to this cookie value; never for an empty one."""
    expected = make_token(key, bound_to=bound_to)
    return bool(bound_to) and hmac.compare_digest(expected.encode(), token.encode("utf-8", "replace"))


def is_same_origin(headers: Mapping[str, str], *, origins: Collection[str]) -> bool:
    """Say whether the browser sent this from one of our origins; a client that says nothing passes.

    `Sec-Fetch-Site` is the browser's own word and cannot be forged by a page; older browsers send `Origin`.
    """
    if site := headers.get("sec-fetch-site"):
        return site == "same-origin"
    if origin := headers.get("origin"):
        return origin in origins
    return True
