"""How often a credential may call, counted in this process.

A token bucket: calls are paid from a store that refills steadily, so a short burst passes and a steady
flood does not. With several processes the whole installation allows as many times more.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from partnerhub.web.errors import KeyLimited

_MOST_KEYS = 10_000


class CallLimiter:
    """Token buckets by key; a rate of 0 allows everything."""

    def __init__(self, *, per_second: float, burst: int, tick: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_second
        self._burst = burst
        self._tick = tick
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @classmethod
    def per_minute(cls, calls: int) -> CallLimiter:
        """Return a limiter for so many calls a minute, which may come at once; 0 allows everything."""
        return cls(per_second=calls / 60, burst=calls)

    def hit(self, key: str) -> None:
        """Pay for one call. Raises: KeyLimited, with the seconds until the next is possible."""
        if self._rate <= 0:
            return
        now = self._tick()
        left, since = self._buckets.pop(key, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._rate)
        paid = left >= 1
        self._buckets[key] = (left - 1 if paid else left, now)
        if len(self._buckets) > _MOST_KEYS:
            self._buckets.popitem(last=False)
        if not paid:
            raise KeyLimited(
                "Too many calls with this credential.",
                retry_after_seconds=max(1, math.ceil((1 - left) / self._rate)),
            )
