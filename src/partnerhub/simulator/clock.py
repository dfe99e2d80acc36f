"""The simulator's own time: the real one plus a shift that the admin API moves.

Windows, expiries, retries and delays all ask this clock, so that a day passes by one call.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from partnerhub.kit import clock


class VirtualClock:
    """Seconds since the epoch, shifted or standing still; `on_shift` callbacks wake whoever waits."""

    def __init__(self) -> None:
        self.shift_seconds = 0.0
        self.frozen_at: float | None = None
        self._listeners: list[Callable[[], None]] = []

    def time(self) -> float:
        """Return the current virtual time in seconds since the epoch."""
        if self.frozen_at is not None:
            return self.frozen_at
        return clock.now().timestamp() + self.shift_seconds

    def now(self) -> datetime:
        """Return the current virtual time, aware and in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def shift_to(self, shift_seconds: float) -> None:
        """Set the distance to real time and wake all listeners."""
        self.shift_seconds = shift_seconds
        for listener in self._listeners:
            listener()

    def freeze(self, moment: float | None) -> None:
        """Let time stand still at `moment`, or run on from real time plus the shift."""
        self.frozen_at = moment
        for listener in self._listeners:
            listener()

    @property
    def is_running(self) -> bool:
        """Whether a moment ahead will come by waiting."""
        return self.frozen_at is None

    def on_shift(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the clock is moved."""
        self._listeners.append(listener)
