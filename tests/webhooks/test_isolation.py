"""One receiver's trouble stays its own: caps, turns, and a measured ratio beside a dead one."""

from __future__ import annotations

import asyncio
import statistics
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from tests.webhooks.receivers import Got, Receiver, after
from tests.webhooks.steps import (
    MakeReceiver,
    MakeSender,
    accept_pieces,
    piece,
    set_url,
    until,
    until_states,
)

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.webhooks.agenda import Agenda
from partnerhub.webhooks.lanes import Facts, Job, Lane, Ring
from partnerhub.webhooks.policy import (
    OPEN_AFTER_FAILURES,
    PROBE_CAP_SECONDS,
    RETRY_CAP_SECONDS,
    probe_delay_seconds,
    retry_delay_seconds,
)
from partnerhub.webhooks.schemas import Handover, OwnerKind
from partnerhub.webhooks.stock import Caps


async def test_a_dead_receiver_with_most_of_the_traffic_does_not_slow_another(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    """Medians of one run, alone and beside a receiver that never answers and gets three times the events."""
    forever = asyncio.Event()

    async def never(_receiver: Receiver, _got: Got) -> web.Response:
        await forever.wait()
        return web.Response()

    well, dead = await make_receiver(), await make_receiver(never)
    sender = await make_sender()
    to_well = await set_url(database, keyring, well.url(), owner_id="wellCH")
    to_dead = await set_url(database, keyring, dead.url(), owner_id="deadCH")

    async def measure(*, beside_dead: int) -> float:
        ages = []
        for _ in range(60):
            await accept_pieces(
                database,
                *(piece(to_dead) for _ in range(beside_dead)),
                piece(to_well, body=b"%d" % time.monotonic_ns()),
                sender=sender,
            )
            await well.wait_for(len(well.got) + 1)
            ages.append(time.monotonic() - int(well.got[-1].body) / 1e9)
        return statistics.median(ages)

    await measure(beside_dead=0)
    alone = await measure(beside_dead=0)
    together = await measure(beside_dead=3)
    forever.set()
    # The larger batches cost something themselves; waiting for a dead receiver would cost seconds.
    print(f"age at the healthy receiver: {alone * 1e3:.1f} ms, beside a dead one {together * 1e3:.1f} ms")
    assert together < 3 * max(alone, 0.005)
    assert dead.most_under_way <= 32


async def test_an_endpoint_never_has_more_under_way_than_its_cap(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(after(0.02))
    sender = await make_sender(caps=Caps(endpoint_concurrency=3))
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, *(piece(endpoint) for _ in range(20)), sender=sender)
    await accept_pieces(database, *(piece(endpoint) for _ in range(20)))
    await until_states(database, delivered=40)
    assert here.most_under_way == 3


async def test_endpoints_at_one_host_share_its_cap_and_all_get_their_turn(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    all_accepted = asyncio.Event()

    async def wait(_receiver: Receiver, _got: Got) -> web.Response:
        await all_accepted.wait()
        await asyncio.sleep(0.002)
        return web.Response()

    here = await make_receiver(wait)
    sender = await make_sender(caps=Caps(origin_concurrency=4))
    for number in range(10):
        endpoint = await set_url(database, keyring, here.url(f"/{number}"), owner_id=f"n{number}")
        await accept_pieces(database, *(piece(endpoint) for _ in range(8)), sender=sender)
    await here.wait_for(4)

    async def all_known() -> bool:
        return not sender._stock.cold

    await until(all_known)
    all_accepted.set()
    await until_states(database, delivered=80)
    assert here.most_under_way == 4
    # After the four that were under way already, every endpoint has its turn before one has a third.
    assert len({got.path for got in here.got[4:24]}) == 10


async def test_one_event_of_a_small_endpoint_does_not_wait_for_the_backlog_of_a_large_one(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(after(0.005))
    large = await set_url(database, keyring, here.url("/large"), owner_id="largeCH")
    small = await set_url(database, keyring, here.url("/small"), owner_id="smallCH")
    for _ in range(4):
        await accept_pieces(database, *(piece(large) for _ in range(100)))
    await accept_pieces(database, piece(small))
    await make_sender(caps=Caps(concurrency=8, endpoint_concurrency=8))
    await until_states(database, delivered=401, within=20)
    assert [got.path for got in here.got].index("/small") < 60


async def test_first_attempts_go_before_retries_of_the_same_endpoint(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver()
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, *(piece(endpoint, body=b"old") for _ in range(50)))
    async with database.system() as unit:
        await unit.execute("update delivery set rank = 1, attempts = 1, due_at = now() - interval '1 hour'")
    await accept_pieces(database, *(piece(endpoint, body=b"new") for _ in range(5)))
    await make_sender(caps=Caps(endpoint_concurrency=1))
    await until_states(database, delivered=55)
    places = [index for index, got in enumerate(here.got) if got.body == b"new"]
    assert max(places) < 10


# --- the parts by themselves ------------------------------------------------------------------------------


def _lane(*, cap: int = 2, origin: str = "o", jobs: int = 0) -> Lane:
    lane = Lane(uuid4(), cap=cap)
    lane.learn(Facts(exists=True, enabled=True, origin=origin), at=0.0)
    for _ in range(jobs):
        lane.add(_job(lane))
    return lane


def _job(lane: Lane, *, rank: int = 0) -> Job:
    work = Handover(
        id=uuid4(),
        created_at=datetime.now(UTC),
        event_id=uuid4(),
        partner_id="p",
        endpoint_id=lane.endpoint_id,
        owner_kind=OwnerKind.CHANNEL,
        body=b"",
        lease=uuid4(),
        lease_until=0.0,
        rank=rank,
    )
    return Job(work, lane)


def test_the_ring_takes_one_job_of_each_lane_in_turn() -> None:
    ring = Ring(origin_cap=100)
    lanes = [_lane(cap=10, jobs=3, origin=str(n)) for n in range(3)]
    for lane in lanes:
        ring.offer(lane)
    taken = []
    while (job := ring.next_job()) is not None:
        taken.append(lanes.index(job.lane))
    assert taken == [0, 1, 2, 0, 1, 2, 0, 1, 2]


def test_a_full_host_blocks_its_lanes_and_frees_them_one_by_one() -> None:
    ring = Ring(origin_cap=2)
    lanes = [_lane(cap=5, jobs=2) for _ in range(3)]
    for lane in lanes:
        ring.offer(lane)
    under_way = [ring.next_job(), ring.next_job()]
    assert ring.next_job() is None
    done = 0
    while any(under_way):
        job = under_way.pop(0)
        assert job is not None
        ring.ended(job)
        done += 1
        if (following := ring.next_job()) is not None:
            under_way.append(following)
    assert done == 6


def test_a_lane_opens_only_when_several_deliveries_fail_in_a_row() -> None:
    lane = _lane()
    same = uuid4()
    assert not any(lane.note_failure(same, is_probe=False) for _ in range(50))
    lane.note_success(is_probe=False)
    changes = [lane.note_failure(uuid4(), is_probe=False) for _ in range(OPEN_AFTER_FAILURES)]
    assert changes[:-1] == [None] * (OPEN_AFTER_FAILURES - 1)
    assert changes[-1] is not None
    assert not lane.can_start


@pytest.mark.parametrize("step", [1, 2, 3, 4, 8, 13, 40, 32767])
def test_the_back_off_doubles_with_full_jitter_up_to_two_hours(step: int) -> None:
    delays = [retry_delay_seconds(step) for _ in range(2000)]
    ceiling = min(2.0**step, RETRY_CAP_SECONDS) if step < 100 else RETRY_CAP_SECONDS
    assert 0 <= min(delays) < ceiling * 0.05
    assert ceiling * 0.95 < max(delays) <= ceiling
    assert 0.45 * ceiling < statistics.mean(delays) < 0.55 * ceiling
    assert retry_delay_seconds(step, retry_after=7300.0) <= RETRY_CAP_SECONDS


def test_probes_come_at_growing_distances_up_to_a_minute() -> None:
    assert 0.8 <= probe_delay_seconds(0) <= 1.2
    assert probe_delay_seconds(30) <= PROBE_CAP_SECONDS * 1.2
    assert probe_delay_seconds(0, retry_after=300.0) == 300.0


def test_the_agenda_serves_in_turn_and_keeps_the_earliest_date() -> None:
    agenda = Agenda()
    one, two, three = (UUID(int=number) for number in (1, 2, 3))
    agenda.plan(one, 5.0)
    agenda.plan(one, 3.0)
    agenda.plan(one, 9.0)
    agenda.plan(two, 4.0)
    agenda.plan(three, 6.0)
    assert agenda.next_at == 3.0
    assert agenda.ready(2.9) == []
    assert agenda.ready(4.0) == [one, two]
    agenda.served(one, is_empty=False)
    assert agenda.ready(5.5) == [two, one]
    agenda.served(two, is_empty=True)
    agenda.served(one, is_empty=True)
    assert agenda.ready(5.5) == []
    assert agenda.ready(6.0) == [three]


async def test_a_closed_sender_offers_no_room(make_sender: MakeSender) -> None:
    sender = await make_sender()
    assert sender.room(uuid4()) == Caps().endpoint_share
    await sender.close()
    assert sender.room(uuid4()) == 0
