"""The delivery log and replays: filters, pages, details, dry runs, and nobody else's rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from tests.webhooks.receivers import accept, answer
from tests.webhooks.steps import (
    PARTNER,
    MakeReceiver,
    MakeSender,
    accept_pieces,
    details,
    piece,
    publish,
    set_url,
    until,
    until_states,
)

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.webhooks import queries, services
from partnerhub.webhooks.errors import CursorInvalid, DeliveryMissing
from partnerhub.webhooks.schemas import Delivery, DeliveryFilter, DeliveryState, OwnerKind, Replayed
from partnerhub.webhooks.services import ReplayScope


async def _list(database: Database, filters: DeliveryFilter, *, limit: int = 50) -> list[Delivery]:
    async with database.tenant(PARTNER) as unit:
        page = await queries.list_deliveries(unit, partner_id=PARTNER, filters=filters, limit=limit)
        counts = await queries.count_deliveries(unit, partner_id=PARTNER, filters=filters)
    assert sum(counts.values()) == len(page.items)
    return list(page.items)


async def _replay(
    database: Database, scope: ReplayScope, *, dry_run: bool = False, partner_id: str = PARTNER
) -> Replayed:
    async with database.tenant(partner_id) as unit:
        return await services.replay(unit, partner_id=partner_id, scope=scope, dry_run=dry_run)


@pytest.fixture
async def some_log(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> list[Delivery]:
    """Give a log with deliveries of every common kind, oldest first, and a sender that is gone."""
    sender = await make_sender()
    for owner, status in (("okCH", 200), ("oddCH", 202), ("badCH", 404), ("goneCH", 410)):
        here = await make_receiver(answer(status))
        endpoint = await set_url(database, keyring, here.url(f"/{owner}"), owner_id=owner)
        for number in range(2):
            await accept_pieces(database, piece(endpoint, name=("messages", "calls")[number]))

    async def all_tried() -> bool:
        found = await details(database)
        return all(d.attempts or d.delivery.state is DeliveryState.PARKED for d in found)

    await until(all_tried)
    await sender.close()
    async with database.system() as unit:
        await unit.execute("update delivery set due_at = now() + interval '1 hour' where state = 'pending'")
    return [detail.delivery for detail in reversed(await details(database))]


async def test_every_filter_narrows_the_log(database: Database, some_log: list[Delivery]) -> None:
    def names(found: list[Delivery]) -> list[tuple[str, str]]:
        return sorted((line.owner_id, line.name) for line in found)

    async def owners(chosen: DeliveryFilter) -> list[tuple[str, str]]:
        return names(await _list(database, chosen))

    both = ("calls", "messages")
    assert len(await owners(DeliveryFilter())) == 8
    assert await owners(DeliveryFilter(states=[DeliveryState.DELIVERED])) == [
        (owner, name) for owner in ("oddCH", "okCH") for name in both
    ]
    assert await owners(DeliveryFilter(states=[DeliveryState.PARKED])) == [("goneCH", name) for name in both]
    assert await owners(DeliveryFilter(states=[DeliveryState.PENDING, DeliveryState.FAILED])) == [
        ("badCH", name) for name in both
    ]
    assert await owners(DeliveryFilter(states=[DeliveryState.PENDING])) == [("badCH", name) for name in both]
    assert await owners(DeliveryFilter(names=["calls"], status=404)) == [("badCH", "calls")]
    assert await owners(DeliveryFilter(is_unusual=True)) == [("oddCH", name) for name in both]
    assert await owners(DeliveryFilter(owner_kind=OwnerKind.CHANNEL, owner_id="okCH")) == [
        ("okCH", name) for name in both
    ]
    assert await owners(DeliveryFilter(owner_kind=OwnerKind.WABA)) == []
    assert await owners(DeliveryFilter(endpoint_id=some_log[0].endpoint_id)) == [
        ("okCH", name) for name in both
    ]
    third = some_log[2].created_at
    assert len(await owners(DeliveryFilter(since=third))) == 6
    assert len(await owners(DeliveryFilter(until=third))) == 2
    assert await owners(DeliveryFilter(text=str(some_log[5].id))) == [("badCH", some_log[5].name)]
    assert await owners(DeliveryFilter(text=str(some_log[5].event_id))) == [("badCH", some_log[5].name)]
    assert ("badCH", some_log[5].name) in await owners(DeliveryFilter(text=str(some_log[5].event_id)[:9]))
    assert await owners(DeliveryFilter(text="goneCH")) == [("goneCH", name) for name in both]
    assert await owners(DeliveryFilter(text=str(uuid4()))) == []
    assert await owners(DeliveryFilter(text="nothing like it")) == []
    assert await owners(DeliveryFilter(text="ffffffff-ffff-7fff-bfff-ffffffffffff")) == []


async def test_a_line_says_when_the_next_attempt_is_due(database: Database, some_log: list[Delivery]) -> None:
    by_owner = {line.owner_id: line for line in await _list(database, DeliveryFilter())}
    due = by_owner["badCH"].next_at
    assert due is not None
    assert timedelta(minutes=59) < due - datetime.now(UTC) < timedelta(minutes=61)
    assert by_owner["okCH"].next_at is None
    assert by_owner["goneCH"].next_at is None
    assert by_owner["oddCH"].is_unusual
    assert not by_owner["badCH"].is_unusual
    assert len(some_log) == 8


async def test_pages_follow_each_other_without_gap_while_new_lines_arrive(
    database: Database, keyring: Keyring
) -> None:
    endpoint = await set_url(database, keyring, "http://127.0.0.1:9/")
    await accept_pieces(database, *(piece(endpoint) for _ in range(25)))
    seen: list[UUID] = []
    cursor: str | None = None
    for size in (10, 10, 5):
        async with database.tenant(PARTNER) as unit:
            page = await queries.list_deliveries(unit, partner_id=PARTNER, cursor=cursor, limit=10)
        assert len(page.items) == size
        seen += [line.id for line in page.items]
        cursor = page.next_cursor
        await accept_pieces(database, piece(endpoint))
    assert cursor is None
    assert len(set(seen)) == 25
    for wrong in ("zzz", "not a cursor!", "é"):
        async with database.tenant(PARTNER) as unit:
            with pytest.raises(CursorInvalid):
                await queries.list_deliveries(unit, partner_id=PARTNER, cursor=wrong)


async def test_another_partners_log_is_empty_and_its_deliveries_are_not_found(
    database: Database, some_log: list[Delivery]
) -> None:
    async with database.tenant("otherAPA") as unit:
        assert (await queries.list_deliveries(unit, partner_id=PARTNER)).items == []
        assert (await queries.list_events(unit, partner_id=PARTNER)).items == []
        with pytest.raises(DeliveryMissing):
            await queries.get_delivery(unit, partner_id="otherAPA", delivery_id=some_log[0].id)
        with pytest.raises(DeliveryMissing):
            await queries.get_delivery(unit, partner_id="otherAPA", delivery_id=uuid4())
    with pytest.raises(DeliveryMissing):
        await _replay(database, ReplayScope(delivery_id=some_log[0].id), partner_id="otherAPA")


async def test_one_delivery_is_replayed_with_the_same_id_and_bytes(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver()
    await make_sender()
    await set_url(database, keyring, here.url(), owner_kind=OwnerKind.PARTNER, owner_id=PARTNER)
    await publish(database, name="channel_live", data={"id": "x"})
    await until_states(database, delivered=1)
    (first,) = await details(database)
    done = await _replay(database, ReplayScope(delivery_id=first.delivery.id))
    assert done == Replayed(deliveries=1, without_endpoint=0, dry_run=False)
    await until_states(database, delivered=2)
    assert here.got[0].body == here.got[1].body
    assert here.got[0].event_id == here.got[1].event_id
    newest = (await details(database))[0].delivery
    assert newest.replay_of == first.delivery.id
    assert newest.event_id == first.delivery.event_id


async def test_a_filtered_replay_is_counted_first_and_then_sends_each_event_once(
    database: Database,
    keyring: Keyring,
    make_sender: MakeSender,
    some_log: list[Delivery],
    make_receiver: MakeReceiver,
) -> None:
    new = await make_receiver()
    await set_url(database, keyring, new.url(), owner_id="badCH")
    scope = ReplayScope(matching=DeliveryFilter(status=404))
    assert await _replay(database, scope, dry_run=True) == Replayed(2, 0, dry_run=True)
    assert len(await _list(database, DeliveryFilter())) == len(some_log)
    assert await _replay(database, scope) == Replayed(2, 0, dry_run=False)
    # The originals and their replays match by now: still two events.
    matching = ReplayScope(matching=DeliveryFilter(owner_id="badCH"))
    assert await _replay(database, matching, dry_run=True) == Replayed(2, 0, dry_run=True)
    await make_sender("two")
    await new.wait_for(2)
    assert len(new.ids) == 2


async def test_a_replay_since_a_time_finds_events_that_never_had_an_endpoint(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    missed = await publish(database, name="client_created", data={})
    await accept_pieces(
        database,
        piece(body=b"of the account", fallback_owner_id="accountWA"),
        piece(body=b"of nobody", owner_id="elseCH"),
    )
    here = await make_receiver()
    await set_url(database, keyring, here.url("/p"), owner_kind=OwnerKind.PARTNER, owner_id=PARTNER)
    await set_url(database, keyring, here.url("/w"), owner_kind=OwnerKind.WABA, owner_id="accountWA")
    await make_sender()
    delivered = await publish(database, name="channel_live", data={})
    await until_states(database, delivered=1)
    since = ReplayScope(since=before)
    assert await _replay(database, since, dry_run=True) == Replayed(2, 1, dry_run=True)
    own = ReplayScope(since=before, owner_kind=OwnerKind.PARTNER, owner_id=PARTNER)
    assert await _replay(database, own, dry_run=True) == Replayed(1, 0, dry_run=True)
    everything = ReplayScope(since=before, only_undelivered=False)
    assert await _replay(database, everything, dry_run=True) == Replayed(3, 1, dry_run=True)
    assert await _replay(database, since) == Replayed(2, 1, dry_run=False)
    await until_states(database, delivered=3)
    assert {got.event_id for got in here.got if got.path == "/p"} == {str(missed), str(delivered)}
    assert [got.body for got in here.got if got.path == "/w"] == [b"of the account"]
    assert await _replay(database, since, dry_run=True) == Replayed(0, 1, dry_run=True)


async def test_the_queues_health_is_counted(
    database: Database, some_log: list[Delivery], keyring: Keyring, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(accept)
    endpoint = await set_url(database, keyring, here.url(), owner_id="lateCH")
    await accept_pieces(database, piece(endpoint))
    async with database.system() as unit:
        await unit.execute(
            "update delivery set due_at = now() - interval '90 seconds' where endpoint_id = %s",
            (endpoint.id,),
        )
        health = await queries.get_queue_health(unit)
    assert (health.pending, health.parked, health.disabled_endpoints, health.open_endpoints) == (3, 2, 1, 0)
    assert 89 < health.oldest_due_seconds < 100
    assert len(some_log) == 8
