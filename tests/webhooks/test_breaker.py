"""An endpoint that is out of order is parked and probed; when it is back, what waits goes out at a ramp."""

from __future__ import annotations

from uuid import UUID

from aiohttp import web
from tests.webhooks.receivers import Got, Receiver, accept, after, answer
from tests.webhooks.steps import (
    PARTNER,
    MakeReceiver,
    MakeSender,
    accept_pieces,
    details,
    make_due,
    piece,
    set_url,
    states,
    until,
    until_states,
)

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.webhooks import queries, services
from partnerhub.webhooks.schemas import Breaker, DeliveryState, Endpoint, OwnerKind


async def _breaker(database: Database, keyring: Keyring, endpoint: Endpoint) -> Breaker:
    async with database.tenant(PARTNER) as unit:
        found = await queries.get_endpoint(unit, endpoint_id=endpoint.id, keyring=keyring)
    return found.breaker


async def _make_probe_due(database: Database, endpoint: Endpoint) -> None:
    async with database.system() as unit:
        await unit.execute("update endpoint set probe_at = now() where id = %s", (endpoint.id,))


async def _open(database: Database, keyring: Keyring, endpoint: Endpoint, *, waiting: int) -> None:
    """Let deliveries fail until the breaker opens and all of them are parked."""
    for number in range(waiting):
        await accept_pieces(database, piece(endpoint, body=b"%d" % number))

    async def is_open() -> bool:
        await make_due(database)
        return await _breaker(database, keyring, endpoint) is Breaker.OPEN

    await until(is_open)
    async with database.system() as unit:
        # No probe until a test says so.
        await unit.execute("update endpoint set probe_at = now() + interval '1 hour'")

    async def are_parked() -> bool:
        await make_due(database)
        return await states(database) == {"parked": waiting}

    await until(are_parked)


async def test_it_parks_what_waits_and_what_comes_without_burning_attempts(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(answer(503))
    sender = await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await _open(database, keyring, endpoint, waiting=12)
    tried = len(here.got)
    assert sender.room(endpoint.id) == 0
    for _ in range(3):
        await accept_pieces(database, *(piece(endpoint) for _ in range(10)), sender=sender)
    await make_due(database)
    assert await states(database) == {"parked": 42}
    assert len(here.got) == tried
    assert sum(detail.delivery.attempts for detail in await details(database)) == tried


async def test_when_the_receiver_is_back_everything_goes_out_oldest_first_and_the_breaker_closes(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(answer(503))
    sender = await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await _open(database, keyring, endpoint, waiting=30)
    oldest = min(await details(database), key=lambda detail: detail.delivery.created_at)
    here.script = accept
    before = len(here.got)
    await _make_probe_due(database, endpoint)
    await until_states(database, delivered=30)
    assert here.got[before].event_id == str(oldest.delivery.event_id)
    (probe,) = [a for detail in await details(database) for a in detail.attempts if a.is_probe]
    assert probe.status == 200
    assert sender.state().counts.probes == 1

    async def is_closed() -> bool:
        return await _breaker(database, keyring, endpoint) is Breaker.CLOSED

    await until(is_closed)


async def test_a_failed_probe_waits_at_the_end_of_the_line_and_costs_its_delivery_no_back_off(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(answer(503))
    sender = await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await _open(database, keyring, endpoint, waiting=12)
    steps = await _steps(database)
    in_order = [
        str(detail.delivery.event_id)
        for detail in sorted(await details(database), key=lambda detail: detail.delivery.created_at)
    ]
    before = len(here.got)
    for number in (1, 2, 3):
        await _make_probe_due(database, endpoint)
        await here.wait_for(before + number)
        await until_states(database, parked=12)
    assert [got.event_id for got in here.got[before:]] == in_order[:3]
    assert sender.state().counts.probes == 3
    assert await _steps(database) == steps
    async with database.tenant(PARTNER) as unit:
        found = await queries.get_endpoint(unit, endpoint_id=endpoint.id, keyring=keyring)
    assert found.breaker is Breaker.OPEN
    assert found.next_probe_at is not None


async def _steps(database: Database) -> dict[UUID, int]:
    async with database.system() as unit:
        return {row["id"]: row["step"] for row in await unit.fetch_dicts("select id, step from delivery")}


async def test_one_event_that_a_receiver_cannot_digest_does_not_stop_the_others(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    async def picky(_receiver: Receiver, got: Got) -> web.Response:
        return web.Response(status=500 if got.body == b"poison" else 200)

    here = await make_receiver(picky)
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, piece(endpoint, body=b"poison"))

    async def was_tried_often() -> bool:
        await make_due(database)
        return len(here.got) >= 15

    await until(was_tried_often)
    assert await _breaker(database, keyring, endpoint) is Breaker.CLOSED
    await accept_pieces(database, *(piece(endpoint) for _ in range(5)))
    await until_states(database, pending=1, delivered=5)
    poison = [d for d in await details(database) if d.delivery.state is DeliveryState.PENDING]
    assert poison[0].delivery.attempts >= 15


async def test_recovery_starts_with_one_at_a_time_and_widens_with_each_success(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(answer(503))
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await _open(database, keyring, endpoint, waiting=60)
    seen: list[tuple[int, int]] = []
    done = 0

    async def count(receiver: Receiver, got: Got) -> web.StreamResponse | None:
        nonlocal done
        seen.append((receiver.under_way, done))
        response = await after(0.01)(receiver, got)
        done += 1
        return response

    here.script = count
    await _make_probe_due(database, endpoint)
    await until_states(database, delivered=60, within=20)
    assert all(under_way <= done + 1 for under_way, done in seen)
    assert max(under_way for under_way, _ in seen) > 4


async def test_setting_a_new_url_ends_the_waiting_at_once(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here, new = await make_receiver(answer(503)), await make_receiver()
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await _open(database, keyring, endpoint, waiting=12)
    await set_url(database, keyring, new.url())
    await until_states(database, delivered=12)
    assert len(new.ids) == 12


async def test_a_removed_endpoints_parked_deliveries_are_discarded_and_old_ones_given_up(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(answer(503))
    await make_sender(poll_seconds=0.02)
    gone = await set_url(database, keyring, here.url("/gone"), owner_id="goneCH")
    paused = await set_url(database, keyring, here.url("/paused"), owner_id="pausedCH")
    async with database.tenant(PARTNER) as unit:
        for owner_id in ("goneCH", "pausedCH"):
            await services.disable_endpoint(unit, owner_kind=OwnerKind.CHANNEL, owner_id=owner_id)
    await accept_pieces(database, piece(gone), piece(paused), piece(paused))
    async with database.system() as unit:
        await unit.execute(
            "update delivery set due_at = now() - interval '8 days' where id ="
            " (select id from delivery where endpoint_id = %s limit 1)",
            (paused.id,),
        )
    async with database.tenant(PARTNER) as unit:
        await services.remove_endpoint(unit, owner_kind=OwnerKind.CHANNEL, owner_id="goneCH")
    await until_states(database, discarded=1, failed=1, parked=1)
    assert here.got == []
