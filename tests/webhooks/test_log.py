"""The delivery log and replays: filters, pages, details, dry runs, and nobody else's rows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
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
from partnerhub.webhooks.queries.log import MOST_SEARCHED
from partnerhub.webhooks.schemas import (
    Delivery,
    DeliveryFilter,
    DeliveryPage,
    DeliveryState,
    Glimpse,
    OwnerKind,
    Replayed,
)
from partnerhub.webhooks.services import ReplayScope


async def _list(database: Database, filters: DeliveryFilter, *, limit: int = 50) -> list[Delivery]:
    async with database.tenant(PARTNER) as unit:
        page = await queries.list_deliveries(unit, partner_id=PARTNER, filters=filters, limit=limit)
        counts = await queries.count_deliveries(unit, partner_id=PARTNER, filters=filters)
    assert sum(counts.values()) == len(page.items)
    assert all(counts[line.state] for line in page.items)
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


async def test_a_page_leads_back_to_the_one_before_it(database: Database, keyring: Keyring) -> None:
    endpoint = await set_url(database, keyring, "http://127.0.0.1:9/")
    await accept_pieces(database, *(piece(endpoint) for _ in range(25)))

    async def page(cursor: str | None) -> DeliveryPage:
        async with database.tenant(PARTNER) as unit:
            return await queries.list_deliveries(unit, partner_id=PARTNER, cursor=cursor, limit=10)

    first = await page(None)
    second = await page(first.next_cursor)
    third = await page(second.next_cursor)
    assert (first.previous_cursor, third.next_cursor) == (None, None)
    back = await page(third.previous_cursor)
    assert [line.id for line in back.items] == [line.id for line in second.items]
    assert (await page(back.next_cursor)).items == third.items
    assert await page(second.previous_cursor) == first
    await accept_pieces(database, piece(endpoint))
    again = await page(second.previous_cursor)
    assert (again.items, again.previous_cursor is None) == (first.items, False)
    # Fewer newer ones than a page holds are no page: it is the first, as it is by now.
    top = await page(again.previous_cursor)
    assert (len(top.items), list(top.items[1:])) == (10, list(first.items[:9]))


async def test_a_page_is_searched_for_a_text_in_the_bodies(database: Database, keyring: Keyring) -> None:
    endpoint = await set_url(database, keyring, "http://127.0.0.1:9/")
    bodies = [f'{{"to":"49151{number}","text":"Gr\\u00fc\\u00dfe"}}'.encode() for number in range(12)]
    for body in bodies:
        await accept_pieces(database, piece(endpoint, body=body))

    async def found(text: str, *, limit: int = 50, cursor: str | None = None) -> DeliveryPage:
        async with database.tenant(PARTNER) as unit:
            return await queries.list_deliveries(
                unit, partner_id=PARTNER, containing=text, limit=limit, cursor=cursor
            )

    assert len((await found("491510")).items) == 1
    assert len((await found("Grüße")).items) == 12
    assert (await found("49152")).items == []
    first = await found("49151", limit=5)
    assert (len(first.items), first.searched_to) == (5, None)
    assert len((await found("49151", limit=50, cursor=first.next_cursor)).items) == 7
    async with database.tenant("otherAPA") as unit:
        assert (await queries.list_deliveries(unit, partner_id=PARTNER, containing="49151")).items == []


async def test_a_search_stops_after_so_many_bodies_and_goes_on_from_there(
    database: Database, keyring: Keyring
) -> None:
    endpoint = await set_url(database, keyring, "http://127.0.0.1:9/")
    async with database.system() as unit:
        await unit.execute(
            """
            with made as (
              insert into event (id, created_at, partner_id, owner_kind, owner_id, name, body)
              select gen_random_uuid(), date_trunc('second', now()) - n * interval '1 second', %(partner)s,
                     'channel', 'numberCH', 'messages',
                     case when n = %(most)s + 5 then 'needle' else 'hay' end::bytea
              from generate_series(1, %(most)s + 9) n returning id, created_at
            )
            insert into delivery (id, created_at, event_id, event_at, endpoint_id, due_at, state, partner_id,
                                  owner_kind, owner_id, name)
            -- A cursor is an id, so ids carry their time: 48 bits of milliseconds, then the version.
            select (lpad(to_hex(extract(epoch from created_at)::bigint * 1000), 12, '0')
                    || '70008000' || substr(id::text, 1, 8) || '0000')::uuid,
                   created_at, id, created_at, %(endpoint)s, now(), 'delivered',
                   %(partner)s, 'channel', 'numberCH', 'messages' from made
            """,
            {"partner": PARTNER, "endpoint": endpoint.id, "most": MOST_SEARCHED},
        )
    async with database.tenant(PARTNER) as unit:
        first = await queries.list_deliveries(unit, partner_id=PARTNER, containing="needle")
        assert first.items == []
        assert first.searched_to is not None
        rest = await queries.list_deliveries(
            unit, partner_id=PARTNER, containing="needle", cursor=first.next_cursor
        )
    assert (len(rest.items), rest.searched_to, rest.next_cursor) == (1, None, None)


async def test_a_glimpse_holds_the_body_and_the_last_attempts_time(
    database: Database, some_log: list[Delivery], keyring: Keyring
) -> None:
    endpoint = await set_url(database, keyring, "http://127.0.0.1:9/")
    await accept_pieces(database, piece(endpoint, body=b" " * (64 * 1024 + 1)))
    lines = await _list(database, DeliveryFilter())
    async with database.tenant(PARTNER) as unit:
        found = await queries.list_glimpses(unit, deliveries=lines)
        assert await queries.list_glimpses(unit, deliveries=[]) == {}
    assert found[lines[0].id] == Glimpse(b"", None)
    for line in lines[1:]:
        assert found[line.id].body.startswith(b'{"object"')
        assert bool(found[line.id].last_us) is bool(line.attempts)
    async with database.tenant("otherAPA") as unit:
        others = await queries.list_glimpses(unit, deliveries=lines)
    assert set(others.values()) == {Glimpse(b"", None)}
    assert len(some_log) == 8


async def test_deliveries_are_counted_over_time(database: Database, some_log: list[Delivery]) -> None:
    start = some_log[0].created_at
    edges = [start - timedelta(hours=2), start, start + timedelta(minutes=5), start + timedelta(hours=1)]

    async def counted(filters: DeliveryFilter) -> list[Mapping[DeliveryState, int]]:
        async with database.tenant(PARTNER) as unit:
            found = await queries.find_counted_start(unit, partner_id=PARTNER, filters=filters)
            assert found == (min(line.created_at for line in _shown(some_log, filters)), False)
            return await queries.count_over_time(unit, partner_id=PARTNER, filters=filters, edges=edges)

    state = DeliveryState
    assert await counted(DeliveryFilter()) == [
        {},
        {state.DELIVERED: 4, state.PENDING: 2, state.PARKED: 2},
        {},
    ]
    assert await counted(DeliveryFilter(states=[state.PARKED], names=["calls"])) == [
        {},
        {state.PARKED: 1},
        {},
    ]
    async with database.tenant("otherAPA") as unit:
        assert await queries.find_counted_start(unit, partner_id=PARTNER, filters=DeliveryFilter()) == (
            None,
            False,
        )
        assert await queries.count_over_time(
            unit, partner_id=PARTNER, filters=DeliveryFilter(), edges=edges
        ) == [{}, {}, {}]


def _shown(lines: list[Delivery], filters: DeliveryFilter) -> list[Delivery]:
    return [line for line in lines if not filters.states or line.state in filters.states]


async def test_what_arrived_by_a_later_delivery_is_not_sent_a_third_time(
    database: Database,
    keyring: Keyring,
    make_sender: MakeSender,
    some_log: list[Delivery],
    make_receiver: MakeReceiver,
) -> None:
    async with database.system() as unit:
        await unit.execute("update delivery set state = 'failed' where owner_id = 'badCH'")
    new = await make_receiver()
    await set_url(database, keyring, new.url(), owner_id="badCH")
    scope = ReplayScope(matching=DeliveryFilter(states=[DeliveryState.FAILED]), skip_sent=True)
    assert await _replay(database, scope, dry_run=True) == Replayed(2, 0, dry_run=True)
    # Pressed twice at once, it sends once.
    both = await asyncio.gather(_replay(database, scope), _replay(database, scope))
    assert sorted((done.deliveries, done.sent_since) for done in both) == [(0, 2), (2, 0)]
    await make_sender("two")
    await new.wait_for(2)
    await until_states(database, delivered=6, failed=2, parked=2)
    assert await _replay(database, scope) == Replayed(0, 0, dry_run=False, sent_since=2)
    # One that failed again is open again.
    async with database.system() as unit:
        await unit.execute("update delivery set state = 'failed' where replay_of = %s", (some_log[4].id,))
    assert await _replay(database, scope, dry_run=True) == Replayed(1, 0, dry_run=True, sent_since=1)


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
