"""The usual way: what is committed arrives once, signed, byte for byte, and is logged."""

from __future__ import annotations

import msgspec
from standardwebhooks import Webhook
from tests.webhooks.steps import (
    PARTNER,
    SECRET,
    MakeReceiver,
    MakeSender,
    accept_pieces,
    piece,
    set_url,
    until_states,
)

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.webhooks import queries, services
from partnerhub.webhooks.schemas import DeliveryState, OwnerKind
from partnerhub.webhooks.signing import standard_secret


async def test_a_published_event_arrives_signed_and_is_logged(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver()
    await make_sender()
    await set_url(database, keyring, here.url(), owner_kind=OwnerKind.PARTNER, owner_id=PARTNER)
    async with database.tenant(PARTNER) as unit:
        await services.add_signing_key(
            unit, partner_id=PARTNER, secret=SECRET, overlap_hours=24, keyring=keyring
        )
        event_id = await services.publish(
            unit,
            partner_id=PARTNER,
            owner_kind=OwnerKind.PARTNER,
            owner_id=PARTNER,
            name="channel_live",
            data={"id": "tlbN64CH"},
        )
    (got,) = await here.wait_for(1)
    assert msgspec.json.decode(got.body) == {
        "id": str(event_id),
        "event": "channel_live",
        "data": {"id": "tlbN64CH"},
    }
    assert got.event_id == str(event_id)
    assert got.is_signed_with(SECRET)
    assert got.headers["content-type"] == "application/json"
    Webhook(standard_secret(SECRET)).verify(got.body, got.headers)
    await until_states(database, delivered=1)
    async with database.tenant(PARTNER) as unit:
        page = await queries.list_deliveries(unit, partner_id=PARTNER)
        detail = await queries.get_delivery(unit, partner_id=PARTNER, delivery_id=page.items[0].id)
    assert detail.body == got.body
    assert detail.delivery.state is DeliveryState.DELIVERED
    (attempt,) = detail.attempts
    assert (attempt.status, attempt.error, attempt.number, attempt.sender) == (200, None, 1, "one")
    assert attempt.total_us > 0
    assert attempt.body == b"ok"


async def test_accepted_bodies_go_from_memory_to_the_receiver_byte_for_byte(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver()
    sender = await make_sender(claims=False)
    endpoint = await set_url(database, keyring, here.url())
    bodies = {b'{"n": %d,  "odd" :"\xc3\xa9"}' % number for number in range(50)}
    handed = await accept_pieces(database, *(piece(endpoint, body=body) for body in bodies), sender=sender)
    assert handed == 50
    await here.wait_for(50)
    assert {got.body for got in here.got} == bodies
    await until_states(database, delivered=50)
    assert sender.state().counts.claimed == 0
    assert sender.state().held == 0
