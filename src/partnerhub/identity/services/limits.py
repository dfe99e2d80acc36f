"""Limits that hold across processes: counted in PostgreSQL, in windows that start at fixed times."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
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
class Attempt:
    """One attempt of which only a failure shall count; `may_try` says whether it may go on to be checked.

    Where it may not, `wait_seconds` says for how long; `is_crowded` that attempts whose outcome is open fill
    the limit, so that a moment later it may.
    """

    rows: tuple[tuple[str, datetime], ...]
    wait_seconds: int
    is_crowded: bool

    @property
    def may_try(self) -> bool:
        """Say whether every limit has room."""
        return self.wait_seconds == 0


@dataclass(frozen=True)
class _Count:
    key: str
    hits: int
    open_hits: int


async def count_hits(unit: Unit, *, limits: Sequence[Limit]) -> int:
    """Count one hit on every limit and return the seconds to wait: 0 while all hold.

    With several limits broken, the longest wait counts. Commit the unit before refusing: a hit that is
    rolled back was not counted.
    """
    now = clock.now()
    counts = await _add(unit, _rows(limits, now), hits=1)
    return max((_rest(limit, now) for limit in limits if counts[limit.row].hits > limit.hits), default=0)


async def take_hit(unit: Unit, *, limits: Sequence[Limit]) -> int:
    """Count one hit on every limit, or on none, and return the seconds to wait: 0 while all hold.

    Whoever is at a limit of their own uses up nobody else's.
    """
    attempt = await begin_attempt(unit, limits=limits)
    if attempt.may_try:
        await fail_attempt(unit, attempt)
    return attempt.wait_seconds


async def begin_attempt(unit: Unit, *, limits: Sequence[Limit]) -> Attempt:
    """Count an attempt before its outcome is known, or count nothing and say why it may not be made.

    Commit the unit, make the attempt, then call `fail_attempt` or `undo_attempt`. Attempts at the same moment
    never are more than a limit has room for; one that is never ended counts as a failure.
    """
    now = clock.now()
    rows = _rows(limits, now)
    counts = await _add(unit, rows, hits=1, open_hits=1)
    full = [limit for limit in limits if counts[limit.row].hits > limit.hits]
    if not full:
        return Attempt(rows, 0, is_crowded=False)
    await _add(unit, rows, hits=-1, open_hits=-1)
    # Without the open ones (this one is among them) every limit would have room.
    failures = [(counts[limit.row].hits - counts[limit.row].open_hits, limit.hits) for limit in full]
    return Attempt(
        rows, max(_rest(limit, now) for limit in full), is_crowded=all(had < most for had, most in failures)
    )


async def fail_attempt(unit: Unit, attempt: Attempt) -> None:
    """Let an attempt count for good."""
    await _add(unit, attempt.rows, open_hits=-1)


async def undo_attempt(unit: Unit, attempt: Attempt, *, forgotten: Sequence[Limit] = ()) -> None:
    """Let an attempt not count; the failures before it are `forgotten` for some limits."""
    anew = {limit.row for limit in forgotten}
    await _add(unit, attempt.rows, hits=-1, open_hits=-1, anew=anew)


async def hit_limit(unit: Unit, *, key: str, limit: int, window_seconds: int) -> None:
    """Count one hit and refuse the one after the last allowed.

    A refused hit may be rolled back: the count then stands at the limit until the window ends.
    Raises: TooMany.
    """
    wait = await count_hits(unit, limits=[Limit(key, limit, window_seconds)])
    if wait:
        raise TooMany("Too many requests; try again later.", retry_after_seconds=wait)


async def drop_old_windows(unit: Unit, *, older_than: timedelta) -> int:
    """Delete counting rows that no window reaches any more; returns how many."""
    return await unit.execute("delete from rate_window where window_start < %s", (clock.now() - older_than,))


async def _add(
    unit: Unit,
    rows: Sequence[tuple[str, datetime]],
    *,
    hits: int = 0,
    open_hits: int = 0,
    anew: Collection[str] = (),
) -> dict[str, _Count]:
    """Add to the counts and return what they are then; rows of `anew` keep the open hits only."""
    # One order for everybody, or two requests would wait for each other.
    counts = await unit.fetch_all(
        _Count,
        "insert into rate_window as r (key, window_start, hits, open_hits)"
        " select k, w, greatest(%(hits)s, 0), greatest(%(open)s, 0)"
        " from unnest(%(keys)s::text[], %(starts)s::timestamptz[]) as t(k, w) order by 1"
        " on conflict (key, window_start) do update set open_hits = greatest(r.open_hits + %(open)s, 0),"
        " hits = greatest(case when r.key = any(%(anew)s) then r.open_hits else r.hits end + %(hits)s, 0)"
        " returning key, hits, open_hits",
        {
            "keys": [row for row, _ in rows],
            "starts": [start for _, start in rows],
            "hits": hits,
            "open": open_hits,
            "anew": list(anew),
        },
    )
    return {count.key: count for count in counts}


def _rows(limits: Sequence[Limit], now: datetime) -> tuple[tuple[str, datetime], ...]:
    return tuple(sorted({(limit.row, limit.window(now)) for limit in limits}))


def _rest(limit: Limit, now: datetime) -> int:
    end = limit.window(now) + timedelta(seconds=limit.window_seconds)
    return max(1, math.ceil((end - now).total_seconds()))
