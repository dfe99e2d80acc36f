"""What an outcome makes of a delivery and of its endpoint's breaker.

Delivered on any 2xx. A 410 parks it and disables the endpoint. A failed probe goes to the end of the parked
line. Everything else is tried again until seven days are over; a failure of our own side costs the delivery
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from partnerhub.webhooks.claims import Result
from partnerhub.webhooks.lanes import Change, Job
from partnerhub.webhooks.outcomes import Outcome
from partnerhub.webhooks.policy import (
    GIVE_UP_AFTER,
    OUR_FAULT_DELAY_SECONDS,
    probe_delay_seconds,
    retry_delay_seconds,
)
from partnerhub.webhooks.schemas import DeliveryState


@dataclass(frozen=True)
class Move:
    """A change of an endpoint that is to be written; `gone_url` is the URL that answered 410."""

    job: Job
    change: Change | None
    delay: float = 0.0
    failures: int = 0
    gone_url: str | None = None


@dataclass(frozen=True)
class Settled:
    """The row to write and, where the endpoint's state moves, how."""

    result: Result
    move: Move | None


def settle(job: Job, outcome: Outcome, *, at: datetime) -> Settled:
    """Decide what becomes of a delivery after an attempt."""
    result = _result(job)
    if outcome.is_ours:
        result.state = DeliveryState.PARKED if job.is_probe else DeliveryState.PENDING
        result.delay = OUR_FAULT_DELAY_SECONDS
        return Settled(result, None)
    _log_attempt(result, job, outcome)
    if outcome.is_success:
        result.state = DeliveryState.DELIVERED
        change = job.lane.note_success(is_probe=job.is_probe)
        return Settled(result, None if change is None else Move(job, change))
    result.rank = 1
    return Settled(result, _failed(result, job, outcome, at))


def give_back(job: Job, state: DeliveryState, *, error: str | None = None) -> Result:
    """Return a job untried: to be taken by anybody, parked in the order of creation, or discarded."""
    result = _result(job)
    result.state = state
    result.error = error
    if state is DeliveryState.PARKED:
        result.delay = None
    return result


def _failed(result: Result, job: Job, outcome: Outcome, at: datetime) -> Move | None:
    lane, work = job.lane, job.work
    if outcome.is_gone:
        lane.disable()
        result.state = DeliveryState.PARKED
        result.delay = None
        return Move(job, None, gone_url=job.facts.url)
    change = lane.note_failure(work.id, is_probe=job.is_probe)
    if change is Change.PROBE_FAILED:
        result.state = DeliveryState.PARKED
    else:
        result.step = work.step + 1
        result.state = DeliveryState.PENDING
        result.delay = retry_delay_seconds(result.step, retry_after=outcome.retry_after)
    if at + timedelta(seconds=result.delay or 0.0) > work.created_at + GIVE_UP_AFTER:
        result.state = DeliveryState.FAILED
    if change is None:
        return None
    before = lane.facts.probe_failures if lane.facts is not None else 0
    failures = before + 1 if change is Change.PROBE_FAILED else 0
    return Move(
        job,
        change,
        failures=failures,
        delay=probe_delay_seconds(failures, retry_after=outcome.retry_after),
    )


def _result(job: Job) -> Result:
    work = job.work
    return Result(
        id=work.id,
        created_at=work.created_at,
        lease=work.lease,
        state=DeliveryState.PENDING,
        delay=0.0,
        attempts=work.attempts,
        step=work.step,
        rank=work.rank,
        partner_id=work.partner_id,
        endpoint_id=work.endpoint_id,
    )


def _log_attempt(result: Result, job: Job, outcome: Outcome) -> None:
    timings = outcome.timings
    result.attempts = result.number = min(job.work.attempts + 1, 32767)
    result.tried_at = job.started_at
    result.url = job.facts.url
    result.is_probe = job.is_probe
    result.status = outcome.status
    result.error = outcome.error
    result.dns_us = timings.dns_us
    result.connect_us = timings.connect_us
    result.tls_us = timings.tls_us
    result.first_byte_us = timings.first_byte_us
    result.body_us = timings.body_us
    result.total_us = timings.total_us
    result.reused = timings.reused
    result.peer_address = outcome.peer_address
    result.headers = outcome.headers or None
    result.body = outcome.body or None
    result.body_truncated = outcome.body_truncated
