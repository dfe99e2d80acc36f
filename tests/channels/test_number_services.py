"""Clients, WABA accounts and numbers: made once, moved forward, told in the same commit."""

from __future__ import annotations

import asyncio

import pytest
from tests.channels.told import told, told_names
from tests.factories import (
    MadeChannel,
    MadeWaba,
    make_channel,
    make_channel_key,
    make_client,
    make_partner,
    make_waba,
)

from partnerhub.channels.errors import (
    ChannelTerminated,
    ChannelUnknown,
    ClientInvalid,
    ClientUnknown,
    NumberTaken,
    StageRefused,
    TooManyChannels,
    WabaTaken,
)
from partnerhub.channels.life_cycle import Stage
from partnerhub.channels.queries import (
    find_route_by_key,
    find_route_by_phone,
    get_channel,
    open_access,
)
from partnerhub.channels.schemas import Channel
from partnerhub.channels.services import (
    NumberFacts,
    WabaFacts,
    advance_channel,
    create_channel,
    create_client,
    create_waba,
    note_error,
    update_channel,
    update_client,
    update_waba,
)
from partnerhub.identity.queries import list_audit
from partnerhub.identity.schemas import SYSTEM, Actor, ActorKind
from partnerhub.kit.crypto import Keyring, fingerprint
from partnerhub.kit.database import Database
from partnerhub.webhooks.schemas import OwnerKind
from partnerhub.webhooks.services import set_endpoint

ACTOR = Actor(ActorKind.CLIENT, "Zx9Yw8U", "Ann")


async def _create_channel(
    database: Database, waba: MadeWaba, external_id: str = "109000000000001"
) -> Channel:
    async with database.tenant(waba.partner_id) as unit:
        return await create_channel(
            unit,
            partner_id=waba.partner_id,
            client_id=waba.client_id,
            waba_id=waba.id,
            external_id=external_id,
            phone_number="4930000000",
            facts=NumberFacts(phone_name="Client", current_limit="TIER_250"),
            actor=ACTOR,
        )


async def _advance(database: Database, channel: Channel | MadeChannel, *stages: Stage) -> None:
    for stage in stages:
        async with database.tenant(channel.partner_id) as unit:
            await advance_channel(
                unit, partner_id=channel.partner_id, channel_id=channel.id, to=stage, actor=ACTOR
            )


async def test_a_new_client_is_told_with_the_client_inside(database: Database) -> None:
    partner = await make_partner(database)
    async with database.tenant(partner.id) as unit:
        client = await create_client(
            unit,
            partner_id=partner.id,
            name=" Client GmbH ",
            email="ops@client.example",
            contact_name="Ann",
            contact_info={"country": "DE"},
            partner_payload="crm-42",
            actor=ACTOR,
        )
        assert [entry.action for entry in await list_audit(unit, partner_id=partner.id)] == ["client.created"]
    ((name, data),) = await told(database, partner.id)
    assert (name, data["client_id"], data["client"]["id"]) == ("client_created", client.id, client.id)
    assert data["client"]["name"] == "Client GmbH"
    assert data["client"]["contact_info"]["email"] == "ops@client.example"
    assert data["client"]["contact_info"]["zip_code"] == ""
    assert data["client"]["created_by"] == {"user_id": "Zx9Yw8U", "user_name": "Ann"}


@pytest.mark.parametrize(("name", "payload"), [("", None), ("x" * 201, None), ("Client", "x" * 2001)])
async def test_a_client_without_a_usable_name_is_refused(
    database: Database, name: str, payload: str | None
) -> None:
    partner = await make_partner(database)
    async with database.tenant(partner.id) as unit:
        with pytest.raises(ClientInvalid):
            await create_client(
                unit,
                partner_id=partner.id,
                name=name,
                email="a@b.example",
                partner_payload=payload,
                actor=ACTOR,
            )


async def test_a_null_member_leaves_the_client_as_it_is(database: Database) -> None:
    client = await make_client(database, partner_payload="crm-42", max_channels=5)
    async with database.tenant(client.partner_id) as unit:
        same = await update_client(
            unit,
            partner_id=client.partner_id,
            client_id=client.id,
            partner_payload=None,
            max_channels=None,
            actor=ACTOR,
        )
        changed = await update_client(
            unit, partner_id=client.partner_id, client_id=client.id, max_channels=7, actor=ACTOR
        )
        audit = await list_audit(unit, partner_id=client.partner_id)
    assert (same.partner_payload, same.max_channels) == ("crm-42", 5)
    assert (changed.partner_payload, changed.max_channels) == ("crm-42", 7)
    assert changed.modified_by == {"user_id": "Zx9Yw8U", "user_name": "Ann"}
    assert [(entry.before, entry.after) for entry in audit] == [
        ({"partner_payload": "crm-42", "max_channels": 5}, {"partner_payload": "crm-42", "max_channels": 7})
    ]


async def test_a_client_of_another_partner_does_not_exist(database: Database) -> None:
    client, partner = await make_client(database), await make_partner(database)
    async with database.tenant(partner.id) as unit:
        with pytest.raises(ClientUnknown):
            await update_client(unit, partner_id=partner.id, client_id=client.id, max_channels=7, actor=ACTOR)


async def test_a_waba_is_taken_over_once_and_brought_up_to_date_when_repeated(
    database: Database, keyring: Keyring
) -> None:
    client = await make_client(database)
    ids = []
    for name, token in (("First name", "first-token"), ("New name", "new-token")):
        async with database.tenant(client.partner_id) as unit:
            waba = await create_waba(
                unit,
                partner_id=client.partner_id,
                client_id=client.id,
                external_id="104000000000000",
                facts=WabaFacts(name=name, time_zone="Europe/Berlin", settings={"a": 1}),
                access_token=token,
                keyring=keyring,
                actor=ACTOR,
            )
            ids.append(waba.id)
            sealed = await unit.fetch_value("select access_sealed from waba where id = %s", (waba.id,))
        assert (waba.name, waba.time_zone, waba.settings) == (name, "Europe/Berlin", {"a": 1})
        assert open_access(keyring, waba_id=waba.id, access_sealed=sealed) == token
    assert ids[0] == ids[1]
    assert token.encode() not in bytes(sealed)


@pytest.mark.parametrize("same_partner", [True, False])
async def test_a_waba_of_another_client_is_taken(
    database: Database, keyring: Keyring, same_partner: bool
) -> None:
    partner = await make_partner(database)
    owner = await make_client(database, partner=partner if same_partner else None)
    await make_waba(database, client=owner, external_id="104000000000000")
    client = await make_client(database, partner=partner)
    async with database.tenant(partner.id) as unit:
        with pytest.raises(WabaTaken):
            await create_waba(
                unit,
                partner_id=partner.id,
                client_id=client.id,
                external_id="104000000000000",
                facts=WabaFacts(),
                access_token=None,
                keyring=keyring,
                actor=ACTOR,
            )


async def test_a_new_channel_is_told_with_number_and_name_nested_and_at_the_top(database: Database) -> None:
    waba = await make_waba(database)
    channel = await _create_channel(database, waba)
    ((name, data),) = await told(database, waba.partner_id)
    assert name == "channel_created"
    assert (data["id"], data["client_id"], data["waba_account"]["id"]) == (
        channel.id,
        waba.client_id,
        waba.id,
    )
    assert data["setup_info"]["phone_number"] == data["phone_number"] == "4930000000"
    assert data["setup_info"]["phone_name"] == data["phone_name"] == "Client"
    assert (data["status"], data["account_mode"], data["hub_status"]) == ("created", "sandbox", "draft")
    assert (data["current_limit"], data["billing_started_at"]) == ("TIER_250", None)


async def test_a_repeated_creation_returns_the_channel_and_tells_nothing(database: Database) -> None:
    waba = await make_waba(database)
    first = await _create_channel(database, waba)
    again = await _create_channel(database, waba)
    assert again.id == first.id
    assert await told_names(database, waba.partner_id) == ["channel_created"]


async def test_a_number_of_another_client_is_taken(database: Database) -> None:
    theirs = await make_channel(database, external_id="109000000000001")
    waba = await make_waba(database)
    with pytest.raises(NumberTaken):
        await _create_channel(database, waba, theirs.external_id)
    neighbour = await make_waba(database, client=await make_client(database))
    async with database.tenant(waba.partner_id) as unit:
        with pytest.raises(Exception, match="does not exist"):
            await create_channel(
                unit,
                partner_id=waba.partner_id,
                client_id=waba.client_id,
                waba_id=neighbour.id,
                external_id="109000000000002",
                phone_number="4930000001",
                facts=NumberFacts(),
                actor=ACTOR,
            )


async def test_a_client_has_no_more_channels_than_it_may(database: Database) -> None:
    waba = await make_waba(database, client=await make_client(database, max_channels=1))
    await make_channel(database, waba=waba, hub_status="terminated")
    await _create_channel(database, waba)
    with pytest.raises(TooManyChannels, match="may have 1"):
        await _create_channel(database, waba, "109000000000002")


async def test_the_way_to_live_is_told_step_by_step(database: Database) -> None:
    waba = await make_waba(database)
    channel = await _create_channel(database, waba)
    await _advance(
        database, channel, Stage.UNVERIFIED, Stage.VERIFIED, Stage.READY, Stage.RUNNING, Stage.LIVE
    )
    events = await told(database, waba.partner_id)
    assert [
        (name, data["status"], data["integration"]["state"], data["account_mode"], data["hub_status"])
        for name, data in events
    ] == [
        ("channel_created", "created", "created", "sandbox", "draft"),
        ("channel_ready", "ready", "created", "sandbox", "draft"),
        ("channel_running", "ready", "running", "sandbox", "draft"),
        ("channel_live", "ready", "running", "live", "live"),
    ]
    assert events[-2][1]["billing_started_at"] is None
    assert events[-1][1]["billing_started_at"] is not None


async def test_a_repeated_step_is_told_once_even_by_two_processes_at_once(database: Database) -> None:
    channel = await make_channel(
        database, status="verified", integration_state="created", account_mode="sandbox", hub_status="draft"
    )
    await asyncio.gather(*[_advance(database, channel, Stage.READY) for _ in range(4)])
    assert await told_names(database, channel.partner_id) == ["channel_ready"]


async def test_a_step_that_leaves_out_a_stage_is_refused_and_tells_nothing(database: Database) -> None:
    channel = await make_channel(
        database, status="verified", integration_state="created", account_mode="sandbox", hub_status="draft"
    )
    for wanted in (Stage.RUNNING, Stage.LIVE, Stage.CREATED):
        with pytest.raises(StageRefused):
            await _advance(database, channel, wanted)
    assert await told_names(database, channel.partner_id) == []


async def test_a_rolled_back_step_tells_nothing(database: Database) -> None:
    channel = await make_channel(
        database, status="ready", integration_state="created", account_mode="sandbox", hub_status="draft"
    )

    async def fail() -> None:
        async with database.tenant(channel.partner_id) as unit:
            await advance_channel(
                unit, partner_id=channel.partner_id, channel_id=channel.id, to=Stage.RUNNING, actor=ACTOR
            )
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await told_names(database, channel.partner_id) == []


async def test_a_terminated_channel_goes_nowhere(database: Database) -> None:
    channel = await make_channel(database, hub_status="terminated")
    with pytest.raises(ChannelTerminated):
        await _advance(database, channel, Stage.LIVE)


async def test_a_channel_of_another_partner_does_not_exist(database: Database) -> None:
    channel, partner = await make_channel(database), await make_partner(database)
    async with database.tenant(partner.id) as unit:
        with pytest.raises(ChannelUnknown):
            await get_channel(unit, partner_id=partner.id, channel_id=channel.id)
        with pytest.raises(ChannelUnknown):
            await advance_channel(
                unit, partner_id=partner.id, channel_id=channel.id, to=Stage.LIVE, actor=ACTOR
            )


async def test_an_error_is_shown_until_the_next_step(database: Database) -> None:
    channel = await make_channel(
        database, status="ready", integration_state="created", account_mode="sandbox", hub_status="draft"
    )
    async with database.tenant(channel.partner_id) as unit:
        failed = await note_error(
            unit, partner_id=channel.partner_id, channel_id=channel.id, error="133005 PIN mismatch"
        )
    assert (failed.status, failed.availability_status, failed.error) == (
        "ready",
        "error",
        "133005 PIN mismatch",
    )
    await _advance(database, channel, Stage.RUNNING)
    async with database.tenant(channel.partner_id) as unit:
        running = await get_channel(unit, partner_id=channel.partner_id, channel_id=channel.id)
    assert (running.availability_status, running.error) == ("ready", None)


async def test_a_changed_limit_of_a_live_number_is_told_once(database: Database) -> None:
    channel = await make_channel(database, current_limit="TIER_1K")
    for limit in ("TIER_10K", "TIER_10K"):
        async with database.tenant(channel.partner_id) as unit:
            await update_channel(
                unit,
                partner_id=channel.partner_id,
                channel_id=channel.id,
                facts=NumberFacts(current_limit=limit, phone_name="Client"),
            )
    ((name, data),) = await told(database, channel.partner_id)
    assert (name, data["current_limit"]) == ("phone_number_quality_changed", "TIER_10K")


async def test_a_route_is_found_by_key_and_by_number_until_the_key_is_revoked(
    database: Database, keyring: Keyring
) -> None:
    partner = await make_partner(database, currency="USD", mm_api_routing_enabled=False)
    waba = await make_waba(
        database,
        client=await make_client(database, partner=partner),
        time_zone="America/Sao_Paulo",
        access_token="EAAG-token",
        keyring=keyring,
    )
    channel = await make_channel(database, waba=waba)
    key = await make_channel_key(database, channel=channel)
    async with database.system() as unit:
        route = await find_route_by_key(unit, key_hash=fingerprint(key.secret))
        assert route is not None
        assert route == await find_route_by_phone(unit, external_id=channel.external_id)
        await unit.execute("update channel_key set revoked_at = now()")
        assert await find_route_by_key(unit, key_hash=fingerprint(key.secret)) is None
        assert await find_route_by_phone(unit, external_id="0") is None
    assert (route.partner_id, route.client_id, route.channel_id, route.waba_id) == (
        partner.id,
        waba.client_id,
        channel.id,
        waba.id,
    )
    assert (route.waba_external_id, route.phone_number_id) == (waba.external_id, channel.external_id)
    assert (route.currency, route.time_zone, route.mm_routing) == ("USD", "America/Sao_Paulo", False)
    assert route.may_send
    assert open_access(keyring, waba_id=route.waba_id, access_sealed=route.access_sealed) == "EAAG-token"


async def test_a_route_leads_to_the_numbers_own_webhook_else_the_wabas(
    database: Database, keyring: Keyring
) -> None:
    channel = await make_channel(database)
    found = []
    for kind, owner in ((OwnerKind.WABA, channel.waba_id), (OwnerKind.CHANNEL, channel.id)):
        async with database.tenant(channel.partner_id) as unit:
            endpoint = await set_endpoint(
                unit,
                partner_id=channel.partner_id,
                owner_kind=kind,
                owner_id=owner,
                url=f"https://hooks.example/{kind}",
                headers={},
                keyring=keyring,
            )
        async with database.system() as unit:
            route = await find_route_by_phone(unit, external_id=channel.external_id)
        assert route is not None
        found.append((route.endpoint_id, endpoint.id))
    assert all(seen == made for seen, made in found)
    assert found[0] != found[1]


async def test_gateways_hear_of_every_change_of_a_route(database: Database, keyring: Keyring) -> None:
    channel = await make_channel(
        database, status="ready", integration_state="created", account_mode="sandbox", hub_status="draft"
    )
    async with database.listen("routes") as connection:
        await _advance(database, channel, Stage.RUNNING)
        async with database.tenant(channel.partner_id) as unit:
            await update_channel(
                unit,
                partner_id=channel.partner_id,
                channel_id=channel.id,
                facts=NumberFacts(throughput="HIGH"),
            )
        async with database.tenant(channel.partner_id) as unit:
            await update_waba(
                unit,
                partner_id=channel.partner_id,
                waba_id=channel.waba_id,
                facts=WabaFacts(),
                access_token="new",
                keyring=keyring,
            )
        heard = [note.payload async for note in connection.notifies(timeout=2, stop_after=3)]
    assert heard == [channel.id] * 3


async def test_what_nobody_asked_for_is_written_by_the_system(database: Database) -> None:
    channel = await make_channel(
        database, status="ready", integration_state="created", account_mode="sandbox", hub_status="draft"
    )
    async with database.tenant(channel.partner_id) as unit:
        await advance_channel(
            unit, partner_id=channel.partner_id, channel_id=channel.id, to=Stage.RUNNING, actor=SYSTEM
        )
        (entry,) = await list_audit(unit, partner_id=channel.partner_id)
    assert (entry.actor_id, entry.action, entry.before, entry.after) == (
        "system",
        "channel.advanced",
        {"stage": "ready"},
        {"stage": "running"},
    )
