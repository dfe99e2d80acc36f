"""What one sender has in hand: jobs by lane, outcomes that wait to be written, and how full it is.

No network and no database: the sender feeds it, and turns write it down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import msgspec

from partnerhub.webhooks.claims import Result
from partnerhub.webhooks.lanes import Change, Facts, Job, Lane, Ring
from partnerhub.webhooks.outcomes import Outcome
from partnerhub.webhooks.schemas import DeliveryState, Handover
from partnerhub.webhooks.settling import Move, Settled, give_back, settle

_FORGET_AFTER_SECONDS = 60.0


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """How much one sender takes on.

    `concurrency` exchanges under way in all, to one endpoint and to one host; `share` is how many deliveries
    its own process may hand over and not yet have written, in all and for one endpoint.
    """

    concurrency: int = 256
    endpoint_concurrency: int = 32
    origin_concurrency: int = 64
    share: int = 2000
    endpoint_share: int = 500


class Stock:
    """Jobs in hand from lease to written outcome."""

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self.lanes: dict[UUID, Lane] = {}
        self.ring = Ring(origin_cap=caps.origin_concurrency)
        self.held: dict[UUID, Job] = {}
        self.results: deque[Result] = deque()
        self.moves: deque[Move] = deque()
        self.cold: set[UUID] = set()
        self._doubted: set[UUID | str] = set()
        self.in_flight = 0

    def lane(self, endpoint_id: UUID) -> Lane:
        """Return the endpoint's lane; a new one must learn its facts first."""
        lane = self.lanes.get(endpoint_id)
        if lane is None:
            lane = self.lanes[endpoint_id] = Lane(endpoint_id, cap=self.caps.endpoint_concurrency)
            self.cold.add(endpoint_id)
        return lane

    def take(self, work: Handover, *, is_probe: bool = False) -> None:
        """Take a leased delivery; one that is in hand already only gets the newer lease."""
        job = self.held.get(work.id)
        if job is not None:
            self._renew(job, work)
            return
        lane = self.lane(work.endpoint_id)
        job = Job(work, lane, is_probe=is_probe)
        self.held[work.id] = job
        lane.held += 1
        lane.add(job)
        self.ring.offer(lane)

    def room(self, endpoint_id: UUID) -> int:
        """Say how many deliveries to this endpoint the process may hand over."""
        in_all = self.caps.share - len(self.held)
        lane = self.lanes.get(endpoint_id)
        if lane is None:
            return max(min(in_all, self.caps.endpoint_share), 0)
        if lane.facts is not None and not lane.facts.takes:
            return 0
        here = self.caps.endpoint_share - lane.held if lane.ramp >= lane.cap else lane.room
        return max(min(in_all, here), 0)

    @property
    def capacity(self) -> int:
        """How many more jobs to take from the table in all."""
        return 2 * self.caps.concurrency - (len(self.held) - len(self.results))

    def next_job(self, now: float) -> Job | None:
        """Take the next job to send and count it as under way; a lease that ended is let go."""
        while self.in_flight < self.caps.concurrency:
            job = self.ring.next_job()
            if job is None:
                return None
            if job.deadline > now:
                self.in_flight += 1
                return job
            self.ring.ended(job)
            self._let_go(job)
        return None

    def ended(self, job: Job) -> None:
        """Count a job as no longer under way."""
        self.in_flight -= 1
        self.ring.ended(job)

    def settle(self, job: Job, outcome: Outcome, *, at: datetime) -> Settled:
        """Keep an outcome until it is written; where it opens the breaker, the waiting jobs are parked."""
        settled = settle(job, outcome, at=at)
        self.results.append(settled.result)
        if settled.move is not None:
            self.moves.append(settled.move)
            if settled.move.change is Change.OPEN or settled.move.gone_url is not None:
                self._empty(job.lane, DeliveryState.PARKED)
        return settled

    def begin_reading(self) -> None:
        """Note that facts are about to be read; what is doubted from here on makes them out of date."""
        self._doubted.clear()

    def learn(self, endpoint_id: UUID, facts: Facts, *, now: float) -> None:
        """Take an endpoint's facts; jobs that cannot go out any more are given back."""
        lane = self.lanes.get(endpoint_id)
        if lane is None or endpoint_id in self._doubted or facts.partner_id in self._doubted:
            return
        lane.learn(facts, at=now)
        self.cold.discard(endpoint_id)
        if not facts.exists:
            self._empty(lane, DeliveryState.DISCARDED, error="endpoint_removed")
        elif not facts.takes:
            self._empty(lane, DeliveryState.PARKED, but_probes=True)
        self.ring.offer(lane)

    def doubt(self, endpoint_id: UUID) -> None:
        """Send nothing more to an endpoint until its facts were read again."""
        self._doubted.add(endpoint_id)
        lane = self.lanes.get(endpoint_id)
        if lane is not None:
            lane.facts = None
            self.cold.add(endpoint_id)

    def doubt_partner(self, partner_id: str) -> None:
        """Send nothing more to a partner's endpoints until their facts were read again."""
        self._doubted.add(partner_id)
        for lane in self.lanes.values():
            if lane.facts is None or lane.facts.partner_id == partner_id:
                self.doubt(lane.endpoint_id)

    def doubt_everything(self) -> None:
        """Send nothing more at all until facts were read again: what changed went unheard."""
        for endpoint_id in self.lanes:
            self.doubt(endpoint_id)

    def give_everything_back(self) -> None:
        """Return all that is not under way, for anybody to take at once."""
        for lane in self.lanes.values():
            self._empty(lane, DeliveryState.PENDING)

    def written(self, results: Sequence[Result]) -> None:
        """Forget what was written; it is the front of the line."""
        for result in results:
            if self.results and self.results[0] is result:
                self.results.popleft()
            job = self.held.get(result.id)
            if job is not None:
                self._let_go(job)

    def fading(self, before: float) -> list[Job]:
        """Return the jobs whose lease ends before `before` and that still need it."""
        return [job for job in self.held.values() if job.deadline < before]

    def renewed(self, jobs: Iterable[Job], kept: set[UUID], *, until: float) -> None:
        """Note which leases were renewed; a lost one keeps its job from starting."""
        for job in jobs:
            job.deadline = until if job.work.id in kept else 0.0

    def forget_idle(self, now: float) -> None:
        """Drop lanes that have had nothing to do for a minute."""
        for endpoint_id in [
            lane.endpoint_id
            for lane in self.lanes.values()
            if lane.held == 0 and not lane.in_ring and lane.loaded_at < now - _FORGET_AFTER_SECONDS
        ]:
            del self.lanes[endpoint_id]
            self.cold.discard(endpoint_id)

    def _empty(
        self,
        lane: Lane,
        state: DeliveryState,
        *,
        error: str | None = None,
        but_probes: bool = False,
    ) -> None:
        probes = []
        for job in lane.empty():
            if but_probes and job.is_probe:
                probes.append(job)
            else:
                self.results.append(give_back(job, state, error=error))
        for job in probes:
            lane.add(job)

    def _let_go(self, job: Job) -> None:
        if self.held.pop(job.work.id, None) is not None:
            job.lane.held -= 1

    def _renew(self, job: Job, work: Handover) -> None:
        job.work = replace(job.work, lease=work.lease)
        job.deadline = work.lease_until
        for result in self.results:
            if result.id == work.id:
                result.lease = work.lease
