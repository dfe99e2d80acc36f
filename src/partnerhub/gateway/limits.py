"""The gateway's own limits: how fast one number may call, and how much may be under way at once.

They hold per process. Meta's limits are Meta's to enforce; these only keep one number from taking the place
of all others.
"""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import Final

_MOST_BUCKETS: Final = 50_000


class Rate:
    """A token bucket for each key: `burst` at once, `per_second` over time."""

    def __init__(self, *, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> bool:
        """Take one token, or say that none is left."""
        now = monotonic()
        left, filled_at = self._buckets.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - filled_at) * self._per_second)
        allowed = left >= 1
        self._buckets[key] = (left - 1 if allowed else left, now)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return allowed


class Places:
    """Counts what is under way for each key, and in all, and says when it is enough."""

    def __init__(self, most_each: int, most: int) -> None:
        self._most_each = most_each
        self._room = Room(most)
        self._used: dict[str, int] = {}

    def enter(self, key: str) -> bool:
        """Take a place, or say that none is left; every place taken is given back by `leave`."""
        used = self._used.get(key, 0)
        if used >= self._most_each or not self._room.enter():
            return False
        self._used[key] = used + 1
        return True

    def leave(self, key: str) -> None:
        """Give a place back."""
        self._room.leave()
        self._used[key] -= 1
        if not self._used[key]:
            del self._used[key]


class Room:
    """Counts what is under way and says when it is enough."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0

    def enter(self) -> bool:
        """Take a place, or say that none is left; every place taken is given back by `leave`."""
        if self.used >= self.most:
            return False
        self.used += 1
        return True

    def leave(self) -> None:
        """Give a place back."""
        self.used -= 1
