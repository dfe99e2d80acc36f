"""What a sender holds in memory, endpoint by endpoint, and in which order it goes out.

A lane is one endpoint: its waiting jobs (never tried ones first), how many are under way, and how it has
been doing. The ring gives every lane with work and room its turn. Nothing here touches the network or the
database, and everything runs on one event loop, so the counts are exact.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from uuid import UUID

import msgspec

from partnerhub.webhooks.policy import (
    OPEN_AFTER_DELIVERIES,
    OPEN_AFTER_FAILURES,
    REOPEN_AFTER_FAILURES,
)
from partnerhub.webhooks.schemas import Breaker, Handover

_LEAST_CLAIM = 8
# So many successes in a row end the recovery of an endpoint that has nothing parked any more.
_CALM_AFTER = 4


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an endpoint; `exists` is False once it was removed.

    `keys` are the partner's signing keys, newest first, each with the time of its end.
    """

    exists: bool
    partner_id: str = ""
    url: str = ""
    origin: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    keys: tuple[tuple[bytes, datetime | None], ...] = ()
    enabled: bool = False
    breaker: Breaker = Breaker.CLOSED
    probe_failures: int = 0

    @property
    def takes(self) -> bool:
        """Say whether deliveries go out to it as usual."""
        return self.exists and self.enabled and self.breaker is not Breaker.OPEN

    def keys_at(self, at: datetime) -> list[bytes]:
        """Return the keys that sign then: an overlap ends on time, however old these facts are."""
        return [key for key, end in self.keys if end is None or end > at]


_NOTHING_KNOWN = Facts(exists=False)


class Change(Enum):
    """How an outcome moves the breaker."""

    OPEN = "open"
    RECOVER = "recover"
    PROBE_FAILED = "probe_failed"


class Job:
    """A delivery in hand: until when it is ours, whether it probes, and what it was begun with."""

    __slots__ = ("deadline", "facts", "is_probe", "lane", "resent", "started_at", "work")

    def __init__(self, work: Handover, lane: Lane, *, is_probe: bool = False) -> None:
        self.work = work
        self.lane = lane
        self.deadline = work.lease_until
        self.is_probe = is_probe
        self.started_at: datetime | None = None
        self.facts = _NOTHING_KNOWN
        self.resent = False


class Lane:
    """One endpoint. `held` counts every job in hand until its outcome is written."""

    __slots__ = (
        "_again",
        "_failed",
        "_failures",
        "_fresh",
        "cap",
        "endpoint_id",
        "facts",
        "has_parked",
        "held",
        "in_flight",
        "in_ring",
        "loaded_at",
        "ramp",
    )

    def __init__(self, endpoint_id: UUID, *, cap: int) -> None:
        """`cap` is how many deliveries may be under way at once."""
        self.endpoint_id = endpoint_id
        self.cap = cap
        self.facts: Facts | None = None
        self.loaded_at = 0.0
        self.in_flight = 0
        self.held = 0
        self.ramp = cap
        self.in_ring = False
        self.has_parked = False
        self._fresh: deque[Job] = deque()
        self._again: deque[Job] = deque()
        self._failures = 0
        self._failed: set[UUID] = set()

    def add(self, job: Job) -> None:
        """Let a job wait; first attempts go before retries and replays, a probe before everything."""
        if job.is_probe:
            self._fresh.appendleft(job)
        elif job.work.rank == 0:
            self._fresh.append(job)
        else:
            self._again.append(job)

    def pop(self) -> Job | None:
        """Take the next job that may go out."""
        if self._fresh:
            return self._fresh.popleft()
        if self._again:
            return self._again.popleft()
        return None

    def empty(self) -> Iterator[Job]:
        """Take every waiting job."""
        while (job := self.pop()) is not None:
            yield job

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._fresh) + len(self._again)

    @property
    def can_start(self) -> bool:
        """Say whether a job waits and may go out now."""
        if self.facts is None or self.in_flight >= min(self.cap, self.ramp):
            return False
        if self._fresh and self._fresh[0].is_probe:
            return self.facts.exists
        return self.facts.takes and bool(self._fresh or self._again)

    def learn(self, facts: Facts, *, at: float) -> None:
        """Take what the database says now; a breaker that moved elsewhere moves here too."""
        before = self.facts.breaker if self.facts is not None else Breaker.CLOSED
        self.facts = facts
        self.loaded_at = at
        if facts.breaker is Breaker.RECOVERING and before is not Breaker.RECOVERING:
            self._restart(ramp=1)
        elif facts.breaker is Breaker.CLOSED and before is not Breaker.CLOSED:
            self._restart(ramp=self.cap)

    def note_success(self, *, is_probe: bool) -> Change | None:
        """Count a success; it ends a breaker's opening."""
        self._failures = 0
        self._failed.clear()
        if is_probe or self._is(Breaker.OPEN):
            self._move(Breaker.RECOVERING)
            self._restart(ramp=1)
            return Change.RECOVER
        if self.ramp < self.cap:
            self.ramp += 1
        return None

    def note_failure(self, delivery_id: UUID, *, is_probe: bool) -> Change | None:
        """Count a failure of the receiver; it may open the breaker."""
        if is_probe:
            return Change.PROBE_FAILED
        self._failures += 1
        if len(self._failed) < OPEN_AFTER_DELIVERIES:
            self._failed.add(delivery_id)
        limit = REOPEN_AFTER_FAILURES if self._is(Breaker.RECOVERING) else OPEN_AFTER_FAILURES
        if self._is(Breaker.OPEN) or self._failures < limit or len(self._failed) < OPEN_AFTER_DELIVERIES:
            return None
        self._move(Breaker.OPEN)
        self.has_parked = True
        return Change.OPEN

    @property
    def has_recovered(self) -> bool:
        """Say whether a recovering endpoint may be called well again."""
        return (
            self._is(Breaker.RECOVERING) and not self.has_parked and self.ramp >= min(self.cap, _CALM_AFTER)
        )

    def close_breaker(self) -> None:
        """Deliver at full width again."""
        self._move(Breaker.CLOSED)
        self._restart(ramp=self.cap)

    def disable(self) -> None:
        """Stop: the receiver said it is gone."""
        if self.facts is not None:
            self.facts = msgspec.structs.replace(self.facts, enabled=False)

    @property
    def room(self) -> int:
        """How many more jobs to take from the table: enough to start the next as soon as one ends.

        At full width never none: rows in the table are older than what this process still hands over.
        """
        width = min(self.cap, self.ramp)
        return max(2 * width - self.waiting - self.in_flight, _LEAST_CLAIM if width == self.cap else 0)

    def _is(self, breaker: Breaker) -> bool:
        return self.facts is not None and self.facts.breaker is breaker

    def _move(self, breaker: Breaker) -> None:
        if self.facts is not None:
            self.facts = msgspec.structs.replace(self.facts, breaker=breaker)

    def _restart(self, *, ramp: int) -> None:
        self.ramp = ramp
        self._failures = 0
        self._failed.clear()


class Ring:
    """The lanes that can start something, in turn."""

    def __init__(self, *, origin_cap: int) -> None:
        """`origin_cap` bounds what is under way to one host: endpoints may share it."""
        self._turn: deque[Lane] = deque()
        self._origin_cap = origin_cap
        self._under_way: dict[str, int] = {}
        self._blocked: dict[str, deque[Lane]] = {}

    def offer(self, lane: Lane) -> None:
        """Put a lane in line if it has something to start."""
        if not lane.in_ring and lane.can_start:
            lane.in_ring = True
            self._turn.append(lane)

    def next_job(self) -> Job | None:
        """Take the next job of the next lane and count it as under way."""
        while self._turn:
            lane = self._turn.popleft()
            lane.in_ring = False
            if not lane.can_start or lane.facts is None:
                continue
            origin = lane.facts.origin
            if self._under_way.get(origin, 0) >= self._origin_cap:
                lane.in_ring = True
                self._blocked.setdefault(origin, deque()).append(lane)
                continue
            job = lane.pop()
            if job is None:
                continue
            job.facts = lane.facts
            lane.in_flight += 1
            self._under_way[origin] = self._under_way.get(origin, 0) + 1
            self.offer(lane)
            return job
        return None

    def ended(self, job: Job) -> None:
        """Count a job as no longer under way."""
        lane, origin = job.lane, job.facts.origin
        lane.in_flight -= 1
        left = self._under_way[origin] - 1
        if left:
            self._under_way[origin] = left
        else:
            del self._under_way[origin]
        waiting = self._blocked.get(origin)
        while waiting:
            freed = waiting.popleft()
            freed.in_ring = False
            self.offer(freed)
            if freed.in_ring:
                break
        if waiting is not None and not waiting:
            del self._blocked[origin]
        self.offer(lane)
