"""Limits that hold across processes: counted in PostgreSQL, in windows that start at fixed times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from partnerhub.kit import clock
from partnerhub.kit.database import Unit
from partnerhub.kit.errors import TooMany


@dataclass(frozen=True)
class Limit:
    """At most `hits` of `key` in a window; several windows for one key make the wait grow."""

    key: str
    hits: int
    window_seconds: int

    @property
    def row(self) -> str:
        """Return the key of the counting row."""
        return f"{self.key}/{self.window_seconds}"

    def window(self, now: datetime) -> datetime:
        """Return when the window that holds `now` began."""
        seconds = int(now.timestamp()) // self.window_seconds * self.window_seconds
        return datetime.fromtimestamp(seconds, UTC)


@dataclass(frozen=True)
class _Count:
    key: str
    hits: int


async def count_hits(unit: Unit, *, limits: Sequence[Limit]) -> int:
    """Count one hit on every limit and return the seconds to wait: 0 while all hold.

    With several limits broken, the longest wait counts. Commit the unit before refusing: a hit that is
    rolled back was not counted.
    """
    now = clock.now()
    rows = sorted({(limit.row, limit.window(now)) for limit in limits})
    # One order for everybody, or two requests would wait for each other.
    counts = await unit.fetch_all(
        _Count,
        "insert into rate_window (key, window_start, hits) "
        "select k, w, 1 from unnest(%s::text[], %s::timestamptz[]) as t(k, w) order by 1 "
        "on conflict (key, window_start) do update set hits = rate_window.hits + 1 returning key, hits",
        ([row for row, _ in rows], [start for _, start in rows]),
    )
    hits = {count.key: count.hits for count in counts}
    return max((_rest(limit, now) for limit in limits if hits[limit.row] > limit.hits), default=0)


async def hit_limit(unit: Unit, *, key: str, limit: int, window_seconds: int) -> None:
    """Count one hit and refuse the one after the last allowed.

    A refused hit may be rolled back: the count then stands at the limit until the window ends.
    Raises: TooMany.
    """
    wait = await count_hits(unit, limits=[Limit(key, limit, window_seconds)])
    if wait:
        raise TooMany("Too many requests; try again later.", retry_after_seconds=wait)


async def forget_hits(unit: Unit, *, limits: Sequence[Limit]) -> None:
    """Start these limits anew, after a success."""
    await unit.execute("delete from rate_window where key = any(%s)", ([limit.row for limit in limits],))


async def drop_old_windows(unit: Unit, *, older_than: timedelta) -> int:
    """Delete counting rows that no window reaches any more; returns how many."""
    return await unit.execute("delete from rate_window where window_start < %s", (clock.now() - older_than,))


def _rest(limit: Limit, now: datetime) -> int:
    end = limit.window(now) + timedelta(seconds=limit.window_seconds)
    return max(1, math.ceil((end - now).total_seconds()))
