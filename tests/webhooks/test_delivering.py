"""The usual way: what is committed arrives once, signed, byte for byte, and is logged."""

from __future__ import annotations

import asyncio

import pytest
from standardwebhooks import Webhook
from tests.webhooks.receivers import after, answer
from tests.webhooks.steps import (
    PARTNER,
    SECRET,
    MakeReceiver,
    MakeSender,
    accept_pieces,
    add_key,
    details,
    make_due,
    piece,
    publish,
    set_url,
    states,
    until_states,
)

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.webhooks import queries, services
from partnerhub.webhooks.schemas import DeliveryState, OwnerKind
from partnerhub.webhooks.signing import standard_secret
from partnerhub.webhooks.stock import Caps


async def test_a_published_event_arrives_signed_and_is_logged(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver()
    await make_sender()
    await set_url(database, keyring, here.url(), owner_kind=OwnerKind.PARTNER, owner_id=PARTNER)
    await add_key(database, keyring, SECRET)
    event_id = await publish(database, name="channel_live", data={"id": "tlbN64CH"})
    (got,) = await here.wait_for(1)
    assert got.body == (
        b'{"id":"' + str(event_id).encode() + b'","event":"channel_live","data":{"id":"tlbN64CH"}}'
    )
    assert got.event_id == str(event_id)
    assert got.is_signed_with(SECRET)
    assert got.headers["content-type"] == "application/json"
    Webhook(standard_secret(SECRET)).verify(got.body, got.headers)
    await until_states(database, delivered=1)
    (detail,) = await details(database)
    assert detail.body == got.body
    assert detail.delivery.state is DeliveryState.DELIVERED
    assert not detail.delivery.is_unusual
    (attempt,) = detail.attempts
    assert (attempt.status, attempt.error, attempt.number, attempt.sender) == (200, None, 1, "one")
    assert attempt.total_us >= attempt.first_byte_us > 0
    assert attempt.body == b"ok"
    assert attempt.url == here.url()


async def test_accepted_bodies_go_from_memory_to_the_receiver_byte_for_byte(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver()
    sender = await make_sender(claims=False)
    endpoint = await set_url(database, keyring, here.url())
    bodies = {b'{"n": %d,  "odd" :"\xc3\xa9\\u00e9"}' % number for number in range(50)}
    handed = await accept_pieces(database, *(piece(endpoint, body=body) for body in bodies), sender=sender)
    assert handed == 50
    await here.wait_for(50)
    assert {got.body for got in here.got} == bodies
    await until_states(database, delivered=50)
    assert sender.state().counts.claimed == 0
    assert sender.state().held == 0


async def test_a_rolled_back_event_never_happened(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver()
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())

    async def fail() -> None:
        async with database.system() as unit:
            await services.accept_bodies(unit, [piece(endpoint, body=b"rolled back")])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    await accept_pieces(database, piece(endpoint, body=b"kept"))
    await until_states(database, delivered=1)
    assert [got.body for got in here.got] == [b"kept"]


async def test_a_piece_that_comes_again_makes_no_second_event(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver()
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    first = piece(endpoint, body=b"one", digest=b"d1")
    await accept_pieces(database, first, piece(endpoint, body=b"one", digest=b"d1"))
    await accept_pieces(database, first, piece(endpoint, body=b"two", digest=b"d2"))
    await accept_pieces(database, first)
    await until_states(database, delivered=2)
    assert sorted(got.body for got in here.got) == [b"one", b"two"]


async def test_an_event_without_an_endpoint_is_recorded(database: Database) -> None:
    event_id = await publish(database, name="client_created", data={"id": "x"})
    await accept_pieces(database, piece(body=b"nobody listens"))
    async with database.tenant(PARTNER) as unit:
        page = await queries.list_events(unit, partner_id=PARTNER)
    assert {(event.name, event.deliveries) for event in page.items} == {
        ("client_created", 0),
        ("messages", 0),
    }
    assert event_id in {event.id for event in page.items}
    assert await states(database) == {}


async def test_the_owners_own_url_wins_over_its_accounts_and_over_what_the_caller_remembers(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    account, number = await make_receiver(), await make_receiver()
    await make_sender()
    of_account = await set_url(
        database, keyring, account.url(), owner_kind=OwnerKind.WABA, owner_id="accountWA"
    )
    await accept_pieces(database, piece(body=b"1", endpoint_id=of_account.id, fallback_owner_id="accountWA"))
    await accept_pieces(database, piece(body=b"2", fallback_owner_id="accountWA"))
    await account.wait_for(2)
    await set_url(database, keyring, number.url())
    await accept_pieces(database, piece(body=b"3", endpoint_id=of_account.id, fallback_owner_id="accountWA"))
    await number.wait_for(1)
    await until_states(database, delivered=3)
    assert [got.body for got in account.got] == [b"1", b"2"]
    assert [got.body for got in number.got] == [b"3"]


async def test_custom_headers_are_sent_on_each_delivery_and_shown_masked(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver()
    await make_sender()
    headers = {"Authorization": "Bearer abcd-1234", "Content-Type": "application/vnd.acme+json"}
    endpoint = await set_url(database, keyring, here.url(), headers=headers)
    assert endpoint.headers == {"Authorization": "••••1234", "Content-Type": "••••json"}
    await accept_pieces(database, piece(endpoint), piece(endpoint))
    await here.wait_for(2)
    for got in here.got:
        assert got.headers["authorization"] == "Bearer abcd-1234"
        assert got.headers["content-type"] == "application/vnd.acme+json"
    async with database.tenant(PARTNER) as unit:
        shown = await queries.find_endpoint(
            unit, owner_kind=OwnerKind.CHANNEL, owner_id="numberCH", keyring=keyring, reveal=True
        )
        stored = await unit.fetch_value("select headers_sealed from endpoint")
    assert shown is not None
    assert shown.headers == headers
    assert b"abcd" not in bytes(stored)


async def test_while_keys_overlap_both_sign_and_afterwards_only_the_new_one(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver()
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await add_key(database, keyring, "first-secret")
    await add_key(database, keyring, "second-secret", overlap_hours=24)
    await accept_pieces(database, piece(endpoint))
    (got,) = await here.wait_for(1)
    assert got.is_signed_with("second-secret")
    assert "x-360dialog-signature-previous" in got.headers
    for secret in ("first-secret", "second-secret"):
        Webhook(standard_secret(secret)).verify(got.body, got.headers)
    await add_key(database, keyring, "third-secret", overlap_hours=0)
    await accept_pieces(database, piece(endpoint))
    got = (await here.wait_for(2))[1]
    assert got.is_signed_with("third-secret")
    assert "x-360dialog-signature-previous" not in got.headers
    async with database.tenant(PARTNER) as unit:
        assert await services.reveal_signing_key(unit, partner_id=PARTNER, keyring=keyring) == "third-secret"
        assert await services.reveal_signing_key(unit, partner_id="otherAPA", keyring=keyring) is None


async def test_the_log_shows_the_signatures_that_were_sent_also_after_the_secret_changed(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(answer(500))
    await make_sender()
    endpoint = await set_url(
        database, keyring, here.url(), headers={"Authorization": "Bearer of-the-receiver"}
    )
    await add_key(database, keyring, "first-secret")
    await accept_pieces(database, piece(endpoint))
    await here.wait_for(1)
    await until_states(database, pending=1)
    await add_key(database, keyring, "second-secret", overlap_hours=24)
    await make_due(database)
    await here.wait_for(2)
    async with asyncio.timeout(10):
        while len((await details(database))[0].attempts) < 2:  # noqa: ASYNC110 - the sender writes it
            await asyncio.sleep(0.02)
    await add_key(database, keyring, "third-secret", overlap_hours=0)
    (detail,) = await details(database)
    async with database.tenant(PARTNER) as unit:
        shown = await services.list_request_headers(unit, partner_id=PARTNER, detail=detail, keyring=keyring)
    for headers, got in zip(shown, here.got, strict=True):
        told = {name.lower(): value for name, value in headers}
        assert told.pop("authorization").endswith("iver")
        assert "Bearer" not in str(headers), "custom values are never shown"
        assert told == {name: got.headers[name] for name in told}
        assert set(told) >= {"webhook-id", "webhook-timestamp", "webhook-signature", "x-360dialog-signature"}
    assert ["x-360dialog-signature-previous" in dict(headers) for headers in shown] == [False, True]


async def test_what_waits_goes_to_the_url_that_is_set_when_it_is_sent(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    old, new = await make_receiver(answer(500)), await make_receiver()
    await make_sender()
    endpoint = await set_url(database, keyring, old.url())
    await accept_pieces(database, piece(endpoint, body=b"moved"))
    await old.wait_for(1)
    await set_url(database, keyring, new.url())
    await make_due(database)
    (got,) = await new.wait_for(1)
    assert got.body == b"moved"
    assert got.event_id == old.got[0].event_id
    await until_states(database, delivered=1)


async def test_what_exceeds_the_senders_share_is_written_for_any_sender(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(after(0.05))
    caps = Caps(share=30, endpoint_share=10)
    gateway = await make_sender("gateway", caps=caps, claims=False)
    endpoint = await set_url(database, keyring, here.url())
    handed = await accept_pieces(database, *(piece(endpoint) for _ in range(40)), sender=gateway)
    assert handed == 10
    await until_states(database, delivered=10, pending=30)
    await make_sender("worker", poll_seconds=0.1)
    await until_states(database, delivered=40)
    assert max(here.ids.values()) == 1


async def test_a_draining_sender_gives_back_what_it_has_not_begun(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(after(0.3))
    leaving = await make_sender("leaving", caps=Caps(endpoint_concurrency=2), claims=False)
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, *(piece(endpoint) for _ in range(10)), sender=leaving)
    await here.wait_for(2)
    assert await leaving.drain(timeout_seconds=5)
    assert leaving.room(endpoint.id) == 0
    assert await states(database) == {"delivered": 2, "pending": 8}
    await make_sender("staying", poll_seconds=0.1)
    await until_states(database, delivered=10)
    assert max(here.ids.values()) == 1


async def test_a_removed_endpoints_deliveries_are_discarded(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(answer(500))
    await make_sender(poll_seconds=0.1)
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, piece(endpoint))
    await here.wait_for(1)
    async with database.tenant(PARTNER) as unit:
        assert await services.remove_endpoint(unit, owner_kind=OwnerKind.CHANNEL, owner_id="numberCH")
        assert not await services.remove_endpoint(unit, owner_kind=OwnerKind.CHANNEL, owner_id="numberCH")
    await until_states(database, discarded=1)
    (detail,) = await details(database)
    assert detail.delivery.last_error == "endpoint_removed"


async def test_two_senders_share_the_work_without_sending_twice(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(after(0.005))
    caps = Caps(endpoint_concurrency=8)
    senders = [await make_sender(name, caps=caps, poll_seconds=0.1) for name in ("one", "two")]
    endpoint = await set_url(database, keyring, here.url())
    for _ in range(4):
        await accept_pieces(database, *(piece(endpoint) for _ in range(100)))
    await until_states(database, delivered=400, within=20)
    assert len(here.ids) == 400
    assert max(here.ids.values()) == 1
    assert all(sender.state().counts.claimed for sender in senders)
