"""The one source of time.

Everything that needs the time of day asks `now()`, so that a test can set it. Durations inside one
process (timeouts, phase timings) use the event loop's monotonic clock instead and are not ours to move.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

_shift = timedelta(0)
_frozen: datetime | None = None


def now() -> datetime:
    """Return the current time, aware and in UTC."""
    return (_frozen or datetime.now(UTC)) + _shift


@contextmanager
def set_to(moment: datetime) -> Iterator[None]:
    """Hold the clock at `moment` (aware) inside the block; for tests."""
    global _frozen, _shift
    before = (_frozen, _shift)
    _frozen, _shift = moment.astimezone(UTC), timedelta(0)
    try:
        yield
    finally:
        _frozen, _shift = before


@contextmanager
def moved_by(delta: timedelta) -> Iterator[None]:
    """Run the block as if `delta` had passed; for tests."""
    global _shift  # noqa: PLW0603 - see set_to
    before = _shift
    _shift = before + delta
    try:
        yield
    finally:
        _shift = before
