"""Identifiers: time-ordered UUIDs inside, short ids with a type suffix at the edge.

The shapes at the edge follow the Partner API (`f167CmPA`, `3CpBg3xvCL`, `tlbN64CH`, `DWLgd6WA`): a random
part of `[A-Za-z0-9]` and a two-letter suffix (one letter for users). They are case-sensitive keys.
"""

from __future__ import annotations

import os
import secrets
import string
import time
import uuid
from enum import Enum

_ALPHABET = string.ascii_letters + string.digits


class Kind(Enum):
    """What a public id names: (suffix, length of the random part)."""

    PARTNER = ("PA", 6)
    CLIENT = ("CL", 8)
    CHANNEL = ("CH", 6)
    WABA = ("WA", 6)
    TEMPLATE = ("WT", 20)
    USER = ("U", 6)


def public_id(kind: Kind) -> str:
    """Make a new public id.

    A channel id never starts with a digit: a public client reads the redirect's list as a Python literal,
    and `[1ab…]` breaks it. The caller inserts under a unique constraint; a collision is an insert error.
    """
    suffix, length = kind.value
    body = "".join(secrets.choice(_ALPHABET) for _ in range(length))
    if kind is Kind.CHANNEL and body[0].isdigit():
        body = secrets.choice(string.ascii_letters) + body[1:]
    return body + suffix


def uuid7() -> uuid.UUID:
    """Make a UUID version 7 (RFC 9562): 48 bits of Unix milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return uuid.UUID(int=value)


def token(size: int = 32) -> str:
    """Make an unguessable URL-safe secret of `size` random bytes."""
    return secrets.token_urlsafe(size)
