"""JSON as the Partner API writes it: sorted keys, compact, ASCII only, one newline at the end.

Source: recorded traffic of the compatible API; a client compares raw bodies by pattern.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from litestar import Response

VARY = "Origin"
"""The `Vary` that recorded answers carry, whatever their status; caches of clients that look at it go on."""


def encode(value: object) -> bytes:
    """Encode plain values, structs and dataclasses; times as UTC in whole seconds."""
    plain = msgspec.to_builtins(value, builtin_types=(datetime,))
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_time)
    return text.encode() + b"\n"


class PartnerJson(Response[bytes]):
    """An answer of the Partner API; every answer has a body."""

    def __init__(
        self, content: object, *, status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(
            encode(content),
            status_code=status_code,
            media_type="application/json",
            headers=dict(headers or {}),
        )


def done(message: str) -> dict[str, object]:
    """Return the body of an operation that has no resource to show."""
    return {"meta": {"success": True, "http_code": 200, "developer_message": message}}


def _time(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{type(value).__name__} has no form in the Partner API.")
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
