"""The simulator's own time: the real one plus a shift that the admin API moves.

Windows, expiries, retries and delays all ask this clock, so that a day passes by one call.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from partnerhub.kit import clock


class VirtualClock:
    """Seconds since the epoch, shifted; `on_shift` callbacks wake whoever waits for a moment."""

    def __init__(self, shift_seconds: float = 0.0) -> None:
        self.shift_seconds = shift_seconds
        self._listeners: list[Callable[[], None]] = []

    def time(self) -> float:
        """Return the current virtual time in seconds since the epoch."""
        return clock.now().timestamp() + self.shift_seconds

    def now(self) -> datetime:
        """Return the current virtual time, aware and in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def shift_to(self, shift_seconds: float) -> None:
        """Set the distance to real time and wake all listeners."""
        self.shift_seconds = shift_seconds
        for listener in self._listeners:
            listener()

    def on_shift(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the clock is moved."""
        self._listeners.append(listener)
