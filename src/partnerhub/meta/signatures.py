"""Meta's two signatures: over the callbacks it sends, and the proof that a caller owns the app."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable

_PREFIX = "sha256="
_SHAPE = re.compile(_PREFIX + "[0-9a-f]{64}")


def sign_callback(body: bytes, app_secret: str) -> str:
    """Return the value of `X-Hub-Signature-256` for these raw bytes."""
    return _PREFIX + hmac.digest(app_secret.encode(), body, "sha256").hex()


def is_signature(header: str) -> bool:
    """Say whether a value could be one of `X-Hub-Signature-256`, before there is a body to check it on."""
    return _SHAPE.fullmatch(header) is not None


def is_signed(body: bytes, header: str | None, app_secrets: Iterable[str]) -> bool:
    """Check `X-Hub-Signature-256` on the raw bytes, in constant time, against one of several secrets.

    Hash what arrived: Meta escapes letters its own way, so that a re-serialised body never verifies.
    """
    if header is None or not header.startswith(_PREFIX):
        return False
    given = header.encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(given, sign_callback(body, secret).encode()) for secret in app_secrets]
    return any(matches)


def appsecret_proof(token: str, app_secret: str) -> str:
    """Return the proof that goes with `token` on calls of an app that requires it."""
    return hmac.new(app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()
