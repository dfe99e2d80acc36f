"""Ids that know their time: a UUIDv7 and the moment inside it.

Events and deliveries carry exactly that moment as created_at, so an id alone finds its day's partition.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from partnerhub.kit import clock
from partnerhub.kit.ids import uuid7

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 4_102_444_800_000  # the year 2100: beyond lies nonsense, and far beyond what dates can hold


def new() -> tuple[UUID, datetime]:
    """Make an id and return it with its moment."""
    ident = uuid7()
    return ident, of(ident)


def now() -> datetime:
    """Return the current moment to the millisecond, as ids hold theirs."""
    at = clock.now()
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def of(ident: UUID) -> datetime:
    """Return the moment inside an id, to the millisecond; one that has none is of 1970, where nothing is."""
    if ident.version != 7 or ident.int >> 80 > _LAST:
        return _EPOCH
    return _EPOCH + timedelta(milliseconds=ident.int >> 80)
