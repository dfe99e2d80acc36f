"""A partner as the hub's pages show one: numbers in every state, webhooks that work or do not, a log of all.

Rows come through the same services as in production where the pages read what those leave behind (audit log,
events, deliveries), else from the factories.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from aiohttp import web

from partnerhub.channels import services as channels
from partnerhub.channels.life_cycle import PartnerEvent, Stage
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit import clock
from partnerhub.kit.ids import uuid7
from partnerhub.partners import services as partners
from partnerhub.partners.schemas import SettingsChange
from partnerhub.webhooks import queries as webhook_queries
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import DeliveryState, OwnerKind, Piece
from tests.factories import (
    MadeChannel,
    MadeMember,
    MadePartner,
    make_channel,
    make_channel_key,
    make_client,
    make_waba,
)
from tests.hub_stage import HubStage
from tests.ledger.stock import fund
from tests.webhooks.receivers import Got, Receiver
from tests.webhooks.steps import until

ACTOR = Actor(kind=ActorKind.CLIENT, id="sample", name="ops@outdoor.example")
WABA_ID, NUMBER_ID = "104512388110027", "109877120034511"

# name, client, number, stage, limit, quality
_NUMBERS = (
    ("Birch Clinics", "Birch Clinics", "4930555100002", "live", "TIER_10K", "GREEN"),
    ("Cedar Books", "Cedar Books", "34915551003", "live", "TIER_2K", "YELLOW"),
    ("Delta", "Delta Logistics", "5511955510004", "running", "TIER_250", "UNKNOWN"),
    ("Ember", "Ember Foods", "4930555100005", "unverified", "TIER_250", "UNKNOWN"),
    ("Fjord Travel", "Fjord Travel", "4721555006", "live", "TIER_100K", "GREEN"),
    ("Grove Mobility", "Grove Mobility", "442079460007", "live", "TIER_2K", "RED"),
    ("Harbour Insurance", "Harbour Insurance", "12025550108", "live", "TIER_10K", "GREEN"),
    ("Iris Optics", "Iris Optics", "351215550009", "ready", "TIER_250", "UNKNOWN"),
    ("Juniper Hotels", "Juniper Hotels", "390655500010", "live", "TIER_10K", "GREEN"),
    ("Juniper Hotels Milano", "Juniper Hotels", "390255500011", "live", "TIER_2K", "GREEN"),
    ("Kestrel Parcel", "Kestrel Parcel", "4930555100012", "live", "TIER_UNLIMITED", "GREEN"),
    ("Lumen Energy", "Lumen Energy", "5491155500013", "created", None, None),
    (
        "Nordwestdeutsche Rückversicherungs-Aktiengesellschaft",
        "whatsapp.operations@nordwestdeutsche-rueckversicherung.example",
        "4930555100015",
        "live",
        "TIER_2K",
        "GREEN",
    ),
    ("Maple Bank", "Maple Bank", "525555500014", "live", "TIER_1K", "GREEN"),
)
_WORDS = {
    "created": ("created", "created", "sandbox"),
    "unverified": ("unverified", "created", "sandbox"),
    "ready": ("ready", "created", "sandbox"),
    "running": ("ready", "running", "sandbox"),
    "live": ("ready", "running", "live"),
}


@dataclass
class Sample:
    """What was made, with the ids that tests and pictures lead to."""

    partner: MadePartner
    owner: MadeMember
    member: MadeMember
    main: str = ""
    channels: dict[str, MadeChannel] = field(default_factory=dict)
    delivered: UUID | None = None
    unusual: UUID | None = None
    waiting: UUID | None = None
    failed: UUID | None = None


async def make_sample(stage: HubStage) -> Sample:
    """Make all of it, and let a sender deliver what can be delivered."""
    owner = await stage.person(email="owner@acme.example", name="Acme Operations")
    partner = MadePartner(owner.partner_id)
    member = await stage.person(
        partner=partner, role="member", email="support@acme.example", name="Acme Support"
    )
    sample = Sample(partner, owner, member)
    await fund(stage.database, "1284.50", partner_id=partner.id)
    await _set_partner_webhook(stage, partner)
    stage.receiver.script = _answer
    async with stage.sending():
        await _make_main(stage, sample)
        await _make_numbers(stage, sample)
        await _publish_more(stage, sample)
        await _settle(stage, partner)
    await _spoil(stage, sample)
    return sample


async def _answer(_receiver: Receiver, got: Got) -> web.Response:
    """Take most events; one number's server is broken, another answers in its own way."""
    if got.path == "/broken":
        return web.Response(status=500, text='{"error":"queue unavailable"}', content_type="application/json")
    if got.path == "/accepted":
        return web.Response(status=202)
    return web.Response(text='{"received":true}', content_type="application/json")


async def _set_partner_webhook(stage: HubStage, partner: MadePartner) -> None:
    async with stage.database.system() as unit:
        await partners.generate_platform_secret(
            unit, partner_id=partner.id, actor=ACTOR, keyring=stage.keyring
        )
        await partners.update_settings(
            unit,
            partner_id=partner.id,
            change=SettingsChange(
                webhook_url=stage.receiver.url("/hooks/partner"),
                redirect_url=stage.receiver.url("/connected"),
            ),
            actor=ACTOR,
            keyring=stage.keyring,
            allow_loopback=True,
        )


async def _make_main(stage: HubStage, sample: Sample) -> None:
    """Bring one number to live as the popup does, a minute per step."""
    database, partner_id = stage.database, sample.partner.id
    with clock.moved_by(timedelta(minutes=-22)):
        async with database.system() as unit:
            client = await channels.create_client(
                unit, partner_id=partner_id, name="Acme Outdoor", email="ops@outdoor.example", actor=ACTOR
            )
            waba = await channels.create_waba(
                unit,
                partner_id=partner_id,
                client_id=client.id,
                external_id=WABA_ID,
                facts=channels.WabaFacts(
                    name="Acme Outdoor",
                    fb_business_id="100000000000001",
                    fb_business_name="Acme Outdoor",
                    time_zone="Europe/Berlin",
                    currency="EUR",
                    status="approved",
                    fb_account_status="verified",
                ),
                access_token=None,
                keyring=stage.keyring,
                actor=ACTOR,
            )
            channel = await channels.create_channel(
                unit,
                partner_id=partner_id,
                client_id=client.id,
                waba_id=waba.id,
                external_id=NUMBER_ID,
                phone_number="4930555100001",
                facts=channels.NumberFacts(
                    phone_name="Acme Outdoor",
                    current_limit="TIER_UNLIMITED",
                    current_quality_rating="GREEN",
                    throughput="HIGH",
                    meta_status="CONNECTED",
                ),
                actor=ACTOR,
            )
    sample.main = channel.id
    for minute, to in enumerate((Stage.READY, Stage.RUNNING, Stage.LIVE)):
        with clock.moved_by(timedelta(minutes=minute - 21)):
            async with database.system() as unit:
                await channels.advance_channel(
                    unit, partner_id=partner_id, channel_id=channel.id, to=to, actor=ACTOR
                )
    with clock.moved_by(timedelta(minutes=-18)):
        async with database.system() as unit:
            await channels.grant_permission(unit, partner_id=partner_id, channel_id=channel.id, actor=ACTOR)
            await channels.mint_key(unit, partner_id=partner_id, channel_id=channel.id, actor=ACTOR)
    await _set_url(stage, partner_id, channel.id, "/hooks/numbers")
    await accept_callbacks(stage, partner_id, channel.id, count=3)


async def _make_numbers(stage: HubStage, sample: Sample) -> None:
    clients = {}
    for age, (name, client_name, number, stage_name, limit, quality) in enumerate(_NUMBERS, 1):
        if client_name not in clients:
            clients[client_name] = await make_client(
                stage.database, partner=sample.partner, name=client_name, organisation=client_name
            )
        waba = await make_waba(stage.database, client=clients[client_name], name=client_name)
        status, integration_state, account_mode = _WORDS[stage_name]
        channel = await make_channel(
            stage.database,
            waba=waba,
            phone_number=number,
            phone_name=name,
            status=status,
            integration_state=integration_state,
            account_mode=account_mode,
            hub_status="live" if stage_name == "live" else "draft",
            permission="missing" if stage_name == "created" else "shared",
            current_limit=limit,
            current_quality_rating=quality,
            created_at=clock.now() - timedelta(days=3 * age, hours=age),
        )
        sample.channels[name] = channel
        if stage_name == "live":
            await make_channel_key(stage.database, channel=channel)
            path = {"Grove Mobility": "/broken", "Juniper Hotels": "/accepted"}.get(name, "/hooks/numbers")
            await _set_url(stage, sample.partner.id, channel.id, path)
    async with stage.database.system() as unit:
        await channels.note_error(
            unit,
            partner_id=sample.partner.id,
            channel_id=sample.channels["Iris Optics"].id,
            error="The number has a two-step verification PIN that is not known here.",
        )
        await unit.execute(
            "update channel set hub_status = 'pending_deletion', cancelled_at = now() where id = %s",
            (sample.channels["Maple Bank"].id,),
        )


async def _publish_more(stage: HubStage, sample: Sample) -> None:
    for minutes, name in ((14, "Cedar Books"), (9, "Kestrel Parcel"), (4, "Harbour Insurance")):
        with clock.moved_by(timedelta(minutes=-minutes)):
            async with stage.database.tenant(sample.partner.id) as unit:
                await webhooks.publish(
                    unit,
                    partner_id=sample.partner.id,
                    owner_kind=OwnerKind.PARTNER,
                    owner_id=sample.partner.id,
                    name=PartnerEvent.QUALITY_CHANGED.value,
                    data={
                        "id": sample.channels[name].id,
                        "phone_number": sample.channels[name].phone_number,
                        "phone_name": name,
                        "current_quality_rating": "GREEN",
                    },
                )
            await accept_callbacks(stage, sample.partner.id, sample.channels[name].id)
    with clock.moved_by(timedelta(minutes=-3)):
        await accept_callbacks(stage, sample.partner.id, sample.channels["Juniper Hotels"].id)
    with clock.moved_by(timedelta(minutes=-2)):
        await accept_callbacks(stage, sample.partner.id, sample.channels["Grove Mobility"].id, count=2)


async def accept_callbacks(stage: HubStage, partner_id: str, channel_id: str, *, count: int = 1) -> None:
    """Take callbacks of Meta for a number, as the gateway does: statuses, and a message in between."""
    for number in range(count):
        status = ("delivered", "", "read")[number % 3]
        things = (
            f'"statuses":[{{"id":"wamid.HBgNNDkxNTExMjM0NTY3OBUC{number}","status":"{status}",'
            '"timestamp":"1795177042","recipient_id":"4915112345678",'
            '"pricing":{"billable":true,"pricing_model":"PMP","type":"regular","category":"marketing"}}]'
            if status
            else '"contacts":[{"profile":{"name":"Ada Lang"},"wa_id":"4915198765432"}],'
            f'"messages":[{{"from":"4915198765432","id":"wamid.HBgNNDkxNTE5ODc2NTQzMhUC{number}",'
            '"timestamp":"1795177042","type":"text","text":{"body":"Ist der Rucksack noch da?"}}]'
        )
        body = (
            '{"object":"whatsapp_business_account","entry":[{"id":"104512388110027","changes":[{"value":'
            '{"messaging_product":"whatsapp","metadata":{"display_phone_number":"4930555100001",'
            f'"phone_number_id":"{NUMBER_ID}"}},{things}}},"field":"messages"}}]}}]}}'
        ).encode()
        async with stage.database.system() as unit:
            await webhooks.accept_bodies(
                unit,
                [
                    Piece(
                        partner_id=partner_id,
                        owner_kind=OwnerKind.CHANNEL,
                        owner_id=channel_id,
                        name="messages",
                        body=body,
                        digest=uuid7().bytes,
                    )
                ],
            )


async def _set_url(stage: HubStage, partner_id: str, channel_id: str, path: str) -> None:
    async with stage.database.tenant(partner_id) as unit:
        await webhooks.set_endpoint(
            unit,
            partner_id=partner_id,
            owner_kind=OwnerKind.CHANNEL,
            owner_id=channel_id,
            url=stage.receiver.url(path),
            headers={},
            keyring=stage.keyring,
            allow_loopback=True,
        )


async def _settle(stage: HubStage, partner: MadePartner) -> None:
    """Wait until everything was tried once."""

    async def is_tried() -> bool:
        async with stage.database.tenant(partner.id) as unit:
            return not await unit.fetch_value(
                "select count(*) from delivery where state = 'pending' and attempts = 0"
            )

    await until(is_tried, within=30)


async def _spoil(stage: HubStage, sample: Sample) -> None:
    """Let one of the broken number's deliveries be given up, and its endpoint be parked."""
    broken = sample.channels["Grove Mobility"].id
    async with stage.database.system() as unit:
        await unit.execute(
            "update delivery set state = 'failed', finished_at = now() where id ="
            " (select id from delivery where owner_id = %s order by id limit 1)",
            (broken,),
        )
        await unit.execute(
            "update endpoint set breaker = 'open', opened_at = now() - interval '2 minutes',"
            " probe_at = now() + interval '1 day' where owner_id = %s",
            (broken,),
        )
    async with stage.database.tenant(sample.partner.id) as unit:
        found = await webhook_queries.list_deliveries(unit, partner_id=sample.partner.id, limit=200)
    for delivery in found.items:
        match delivery.state:
            case DeliveryState.FAILED:
                sample.failed = delivery.id
            case DeliveryState.PENDING | DeliveryState.PARKED:
                sample.waiting = delivery.id
            case _ if delivery.is_unusual:
                sample.unusual = delivery.id
            case _:
                sample.delivered = sample.delivered or delivery.id
