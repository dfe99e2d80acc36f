"""Leases at close range: renewed while they are needed, adopted when they come back, and let go when lost."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from tests.webhooks.steps import piece, set_url

from partnerhub.kit.clock import now as clock_now
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import Timings
from partnerhub.webhooks import moments, services
from partnerhub.webhooks.outcomes import Outcome
from partnerhub.webhooks.policy import LEASE_SECONDS
from partnerhub.webhooks.schemas import Endpoint, Handover
from partnerhub.webhooks.stock import Caps, Stock
from partnerhub.webhooks.turns import Turns

DELIVERED = Outcome(status=200, error=None, timings=Timings())


class _Holder:
    """A sender's memory and its turns, without a network."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self.lease = uuid4()
        self.stock = Stock(Caps())
        self.turns = Turns(
            database, keyring, self.stock, name="holder", author="holder", takes=True, poll_seconds=0.0
        )

    def room(self, endpoint_id: UUID) -> int:
        return self.stock.room(endpoint_id)

    def overflow(self, endpoints: object) -> list[UUID]:
        del endpoints
        return []


@pytest.fixture
async def endpoint(database: Database, keyring: Keyring) -> Endpoint:
    """Give an endpoint."""
    return await set_url(database, keyring, "http://127.0.0.1:9/")


async def _accept(database: Database, endpoint: Endpoint, holder: _Holder) -> Handover:
    async with database.system() as unit:
        (work,) = await services.accept_bodies(unit, [piece(endpoint)], room=holder)
    return work


async def _row(database: Database, delivery_id: UUID) -> dict[str, object]:
    async with database.system() as unit:
        rows = await unit.fetch_dicts(
            "select *, due_at - now() as ahead from delivery where id = %s and created_at = %s",
            (delivery_id, moments.of(delivery_id)),
        )
    return rows[0]


async def _let_lapse(database: Database, *, taken_by: UUID | None = None) -> None:
    async with database.system() as unit:
        await unit.execute(
            "update delivery set due_at = now(), lease = coalesce(%s, lease) where lease is not null",
            (taken_by,),
        )


async def test_a_lease_that_fades_is_renewed_in_the_table_and_in_memory(
    database: Database, keyring: Keyring, endpoint: Endpoint
) -> None:
    holder = _Holder(database, keyring)
    work = await _accept(database, endpoint, holder)
    holder.stock.take(work)
    job = holder.stock.held[work.id]
    job.deadline = time.monotonic() + 5
    async with database.system() as unit:
        await unit.execute("update delivery set due_at = now() + interval '5 seconds'")
    await holder.turns.take()
    assert job.deadline > time.monotonic() + LEASE_SECONDS - 2
    ahead = (await _row(database, work.id))["ahead"]
    assert isinstance(ahead, timedelta)
    assert LEASE_SECONDS - 2 < ahead.total_seconds() <= LEASE_SECONDS
    assert holder.turns.counts.leases_lost == 0


async def test_a_lease_that_another_took_keeps_its_job_from_starting(
    database: Database, keyring: Keyring, endpoint: Endpoint
) -> None:
    holder = _Holder(database, keyring)
    work = await _accept(database, endpoint, holder)
    holder.stock.take(work)
    holder.stock.held[work.id].deadline = time.monotonic() + 5
    await _let_lapse(database, taken_by=uuid4())
    async with database.system() as unit:
        await unit.execute("update delivery set due_at = now() + interval '1 minute'")
    await holder.turns.take()
    await holder.turns.take()
    assert holder.turns.counts.leases_lost == 1
    assert holder.stock.next_job(time.monotonic()) is None
    assert holder.stock.held == {}


async def test_a_job_whose_lease_has_ended_is_not_started(
    database: Database, keyring: Keyring, endpoint: Endpoint
) -> None:
    holder = _Holder(database, keyring)
    work = await _accept(database, endpoint, holder)
    await holder.turns.take()
    holder.stock.take(work)
    while holder.stock.cold:
        await holder.turns.take()
    assert holder.stock.next_job(work.lease_until + LEASE_SECONDS + 1) is None
    assert holder.stock.held == {}


async def test_a_row_that_comes_back_to_its_sender_is_not_sent_twice(
    database: Database, keyring: Keyring, endpoint: Endpoint
) -> None:
    """The lease ended during the exchange and the same sender claimed it again: one exchange, one outcome."""
    holder = _Holder(database, keyring)
    work = await _accept(database, endpoint, holder)
    holder.stock.take(work)
    while holder.stock.cold:
        await holder.turns.take()
    job = holder.stock.next_job(time.monotonic())
    assert job is not None
    job.started_at = datetime.now(clock_now().tzinfo)
    await _let_lapse(database)
    for _ in range(3):
        holder.turns.look_now()
        await holder.turns.take()
    assert holder.turns.counts.claimed == 1
    assert holder.stock.next_job(time.monotonic()) is None
    assert (await _row(database, work.id))["lease"] != work.lease
    holder.stock.ended(job)
    holder.stock.settle(job, DELIVERED, at=clock_now())
    await holder.turns.take()
    assert (await _row(database, work.id))["state"] == "delivered"
    assert holder.turns.counts.fenced == 0


async def test_an_outcome_under_a_lost_lease_is_logged_as_fenced_and_changes_nothing(
    database: Database, keyring: Keyring, endpoint: Endpoint
) -> None:
    late, other = _Holder(database, keyring), uuid4()
    work = await _accept(database, endpoint, late)
    late.stock.take(work)
    while late.stock.cold:
        await late.turns.take()
    job = late.stock.next_job(time.monotonic())
    assert job is not None
    job.started_at = datetime.now(clock_now().tzinfo)
    await _let_lapse(database, taken_by=other)
    async with database.system() as unit:
        await unit.execute("update delivery set due_at = now() + interval '1 minute'")
    late.stock.ended(job)
    late.stock.settle(job, DELIVERED, at=clock_now())
    await late.turns.take()
    row = await _row(database, work.id)
    assert (row["state"], row["lease"], row["attempts"]) == ("pending", other, 0)
    async with database.system() as unit:
        assert await unit.fetch_value("select is_fenced from attempt") is True
    assert late.turns.counts.fenced == 1


async def test_writing_the_same_outcome_twice_is_harmless(
    database: Database, keyring: Keyring, endpoint: Endpoint
) -> None:
    """As after a commit whose answer was lost."""
    holder = _Holder(database, keyring)
    work = await _accept(database, endpoint, holder)
    holder.stock.take(work)
    while holder.stock.cold:
        await holder.turns.take()
    job = holder.stock.next_job(time.monotonic())
    assert job is not None
    job.started_at = datetime.now(clock_now().tzinfo)
    holder.stock.ended(job)
    settled = holder.stock.settle(job, DELIVERED, at=clock_now())
    await holder.turns.take()
    holder.stock.results.append(settled.result)
    await holder.turns.take()
    assert (await _row(database, work.id))["state"] == "delivered"
    async with database.system() as unit:
        assert await unit.fetch_dicts("select is_fenced from attempt") == [{"is_fenced": False}]
