"""Sample data: a partner with its owner, keys and money, and clients with numbers that work in the simulator.

Everything is made through the same services that pages and APIs use. What was made is remembered in
`sample.json`, because keys and passwords cannot be read back; a second start finds it and makes nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from partnerhub.app import keyring_of, meta_client
from partnerhub.app.callback import subscribe
from partnerhub.channels import services as channels
from partnerhub.channels.life_cycle import Stage
from partnerhub.demo.installation import write_private
from partnerhub.demo.site import SiteConfig
from partnerhub.identity import services as identity
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit import money
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.ledger import services as ledger
from partnerhub.meta.time_zones import zone_of
from partnerhub.partners import services as partners
from partnerhub.partners.schemas import Partner, Scope, SettingsChange
from partnerhub.settings import Settings
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import OwnerKind

OWNER_EMAIL = "owner@acme.example"
TEMPLATE_NAME = "autumn_offer"
TEMPLATE_LANGUAGE = "en_US"
FUNDS = money.parse("5000")
_DATA = Path(__file__).parent / "data"
_OPERATOR = Actor(kind=ActorKind.OPERATOR, id="demo", name="demo")


class Sample(msgspec.Struct, frozen=True):
    """What the sample data gave out; goes into `demo.json`."""

    partner_id: str
    user_email: str
    user_password: str
    partner_api_key: str
    platform_secret: str
    template_name: str
    template_language: str
    client_id: str = ""
    channel_id: str = ""
    channel_api_key: str = ""
    phone_number_id: str = ""
    waba_external_id: str = ""


@dataclass(frozen=True)
class _Business:
    """A client as the sample has it."""

    name: str
    email: str
    number: str
    display_name: str
    stage: Stage
    limit: str
    quality: str
    throughput: str = "STANDARD"


# The first one is the number that the README and `demo.json` speak of.
_BUSINESSES = (
    _Business("Acme Outdoor", "ops@outdoor.example", "4930555100001", "Acme Outdoor", Stage.LIVE,
              "TIER_UNLIMITED", "GREEN", "HIGH"),
    _Business("Birch Clinics", "ops@birch.example", "4930555100002", "Birch Clinics", Stage.LIVE,
              "TIER_10K", "GREEN"),
    _Business("Cedar Books", "ops@cedar.example", "34915551003", "Cedar Books", Stage.LIVE,
              "TIER_2K", "YELLOW"),
    _Business("Delta Logistics", "ops@delta.example", "5511955510004", "Delta", Stage.RUNNING,
              "TIER_250", "UNKNOWN"),
    _Business("Ember Foods", "ops@ember.example", "4930555100005", "Ember", Stage.UNVERIFIED,
              "TIER_250", "UNKNOWN"),
)  # fmt: skip

_TEMPLATES: Sequence[Mapping[str, Any]] = (  # Any: as Meta writes them
    {
        "name": TEMPLATE_NAME,
        "language": TEMPLATE_LANGUAGE,
        "category": "MARKETING",
        "status": "APPROVED",
        "components": [
            {"type": "HEADER", "format": "TEXT", "text": "The autumn sale is on"},
            {"type": "BODY", "text": "Everything for the rain, now at 20 % off in all shops."},
            {"type": "FOOTER", "text": "Reply STOP to hear no more"},
            {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Show me"}]},
        ],
    },
    {
        "name": "order_update",
        "language": "en_US",
        "category": "UTILITY",
        "status": "APPROVED",
        "components": [
            {
                "type": "BODY",
                "text": "Your order {{1}} left our house and arrives on {{2}}.",
                "example": {"body_text": [["A-1042", "Friday"]]},
            }
        ],
    },
)


async def ensure(
    settings: Settings,
    *,
    folder: Path,
    simulator_url: str,
    site_url: str,
    start_site: Callable[[SiteConfig], Awaitable[None]],
) -> Sample:
    """Make the sample data once, and connect simulator and sample site as they run now.

    The site is started between partner and clients, so that it hears of the clients as they come.
    """
    keyring = keyring_of(settings)
    database = Database(settings.database_url, name="seed", max_size=2)
    await database.open()
    try:
        await subscribe(settings)
        path = folder / "sample.json"
        if path.exists():
            sample = msgspec.json.decode(path.read_bytes(), type=Sample)
            await _point_to_site(database, keyring, sample.partner_id, site_url)
            await start_site(_site_config(sample, settings, site_url, simulator_url, folder))
        else:
            partner, sample = await _make_partner(database, keyring)
            await _point_to_site(database, keyring, partner.id, site_url)
            await start_site(_site_config(sample, settings, site_url, simulator_url, folder))
            made = [
                await _make_business(database, settings, partner, business, simulator_url)
                for business in _BUSINESSES
            ]
            sample = msgspec.structs.replace(sample, **made[0])
            write_private(path, msgspec.to_builtins(sample))
        await _point_number_to_site(database, keyring, sample, site_url)
    finally:
        await database.close()
    return sample


def _site_config(
    sample: Sample, settings: Settings, site_url: str, simulator_url: str, folder: Path
) -> SiteConfig:
    """Return what the sample site is given, as a partner would be."""
    return SiteConfig(
        partner_id=sample.partner_id,
        partner_api_key=sample.partner_api_key,
        platform_secret=sample.platform_secret,
        hub_url=settings.hub_url,
        gateway_url=settings.gateway_url,
        site_url=site_url,
        template_name=sample.template_name,
        template_language=sample.template_language,
        phone_url=f"{simulator_url}/phone",
        number_file=str(folder / "site-number.json"),
    )


async def _make_partner(database: Database, keyring: Keyring) -> tuple[Partner, Sample]:
    password = secrets.token_urlsafe(12)
    async with database.system() as unit:
        await _import_prices(unit)
        partner = await partners.create_partner(
            unit,
            brand_name="Acme Chat",
            country="DE",
            currency="EUR",
            payment_model="partner_paid",
            actor=_OPERATOR,
        )
        user = await identity.create_user(
            unit, email=OWNER_EMAIL, name="Acme Owner", password=password, locale="en"
        )
        await partners.add_member(unit, partner_id=partner.id, user_id=user.id, role="owner", actor=_OPERATOR)
        _, key = await partners.create_key(
            unit, partner_id=partner.id, name="Sample site", scopes=list(Scope), actor=_OPERATOR
        )
        secret = await partners.generate_platform_secret(
            unit, partner_id=partner.id, actor=_OPERATOR, keyring=keyring
        )
        await partners.update_settings(
            unit,
            partner_id=partner.id,
            change=SettingsChange(legacy_token_auth_enabled=True),
            actor=_OPERATOR,
            keyring=keyring,
        )
        await ledger.top_up(
            unit,
            partner_id=partner.id,
            currency=partner.currency,
            amount_micros=FUNDS,
            key="sample funds",
            actor=_OPERATOR,
            note="Sample funds",
        )
    return partner, Sample(
        partner_id=partner.id,
        user_email=OWNER_EMAIL,
        user_password=password,
        partner_api_key=key,
        platform_secret=secret,
        template_name=TEMPLATE_NAME,
        template_language=TEMPLATE_LANGUAGE,
    )


async def _import_prices(unit: Unit) -> None:
    for name, take in (
        ("sample-markets.csv", ledger.import_markets),
        ("sample-rates.csv", ledger.import_rates),
    ):
        content = await asyncio.to_thread((_DATA / name).read_bytes)
        await take(unit, content=content, source=name, actor=_OPERATOR)


async def _make_business(
    database: Database, settings: Settings, partner: Partner, business: _Business, simulator_url: str
) -> dict[str, str]:
    seeded = await _call(
        f"{simulator_url}/simulator/seed",
        {
            "business": {
                "name": business.name,
                "verification_status": "verified",
                "messaging_limit": business.limit,
                "marketing_terms": True,
            },
            "waba": {
                "name": business.name,
                "currency": partner.currency,
                "timezone": "Europe/Berlin",
                "country": "DE",
                "account_review_status": "APPROVED",
                "is_subscribed": True,
                "is_funded": True,
            },
            "numbers": [
                {
                    "phone_number": business.number,
                    "verified_name": business.display_name,
                    "throughput": business.throughput,
                    "quality_rating": business.quality,
                    "window_always_open": business.throughput == "HIGH",
                    **(
                        {"status": "CONNECTED", "platform_type": "CLOUD_API", "name_status": "APPROVED"}
                        if business.stage in {Stage.LIVE, Stage.RUNNING}
                        else {"name_status": "PENDING_REVIEW"}
                    ),
                }
            ],
            "templates": list(_TEMPLATES),
            "token": {"scopes": ["whatsapp_business_management", "whatsapp_business_messaging"]},
        },
    )
    phone_number_id = str(seeded["numbers"][0]["id"])
    # The simulator is as trusted as the settings that name it.
    async with HttpClient(policy=AddressPolicy.TRUSTED) as http:
        account = await meta_client(settings, http).accounts.get(
            str(seeded["waba_id"]), token=str(seeded["token"])
        )
    async with database.system() as unit:
        client = await channels.create_client(
            unit,
            partner_id=partner.id,
            name=business.name,
            email=business.email,
            organisation=business.name,
            contact_info={"email": business.email, "country": "DE", "language": "en"},
            actor=_OPERATOR,
        )
        waba = await channels.create_waba(
            unit,
            partner_id=partner.id,
            client_id=client.id,
            external_id=account.id,
            facts=channels.WabaFacts(
                name=account.name,
                namespace=account.message_template_namespace,
                fb_business_id=str(seeded["business_id"]),
                fb_business_name=business.name,
                timezone_id=int(account.timezone_id or 0),
                time_zone=zone_of(account.timezone_id),
                currency=partner.currency,
                status="approved",
                fb_account_status="verified",
            ),
            access_token=str(seeded["token"]),
            keyring=keyring_of(settings),
            actor=_OPERATOR,
        )
        channel = await channels.create_channel(
            unit,
            partner_id=partner.id,
            client_id=client.id,
            waba_id=waba.id,
            external_id=phone_number_id,
            phone_number=business.number,
            facts=channels.NumberFacts(
                phone_name=business.display_name,
                current_limit=business.limit,
                current_quality_rating=business.quality,
                throughput=business.throughput,
                meta_status="CONNECTED" if business.stage in {Stage.LIVE, Stage.RUNNING} else "PENDING",
            ),
            actor=_OPERATOR,
        )
        for stage in _stages_to(business.stage):
            await channels.advance_channel(
                unit, partner_id=partner.id, channel_id=channel.id, to=stage, actor=_OPERATOR
            )
        secret = ""
        if business.stage in {Stage.LIVE, Stage.RUNNING}:
            names = {"partner_id": partner.id, "channel_id": channel.id}
            await channels.grant_permission(unit, **names, actor=_OPERATOR)
            secret = (await channels.mint_key(unit, **names, actor=_OPERATOR)).secret
        await channels.write_templates(
            unit,
            partner_id=partner.id,
            waba_id=waba.id,
            remote=[
                channels.RemoteTemplate(
                    external_id=str(made["id"]),
                    name=template["name"],
                    language=template["language"],
                    category=template["category"],
                    status=template["status"],
                    components=template["components"],
                )
                for made, template in zip(seeded["templates"], _TEMPLATES, strict=True)
            ],
        )
    return {
        "client_id": client.id,
        "channel_id": channel.id,
        "channel_api_key": secret,
        "phone_number_id": phone_number_id,
        "waba_external_id": str(seeded["waba_id"]),
    }


def _stages_to(stage: Stage) -> list[Stage]:
    if stage is Stage.UNVERIFIED:
        return [Stage.UNVERIFIED]
    road = [Stage.READY, Stage.RUNNING, Stage.LIVE]
    return road[: road.index(stage) + 1]


async def _point_to_site(database: Database, keyring: Keyring, partner_id: str, site_url: str) -> None:
    """Let the partner's webhook and redirect lead to where the sample site listens this time."""
    async with database.tenant(partner_id) as unit:
        await partners.update_settings(
            unit,
            partner_id=partner_id,
            change=SettingsChange(webhook_url=f"{site_url}/receiver/partner", redirect_url=f"{site_url}/"),
            actor=_OPERATOR,
            keyring=keyring,
            allow_loopback=True,
        )


async def _point_number_to_site(database: Database, keyring: Keyring, sample: Sample, site_url: str) -> None:
    async with database.tenant(sample.partner_id) as unit:
        await webhooks.set_endpoint(
            unit,
            partner_id=sample.partner_id,
            owner_kind=OwnerKind.CHANNEL,
            owner_id=sample.channel_id,
            url=f"{site_url}/receiver/number",
            headers={},
            keyring=keyring,
            allow_loopback=True,
        )


async def _call(url: str, body: Mapping[str, Any]) -> dict[str, Any]:  # Any: the simulator's JSON
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as answer:
        content = await answer.text()
        if answer.status != 200:
            raise RuntimeError(f"The simulator answered {answer.status} to {url}: {content[:500]}")
        return dict(msgspec.json.decode(content))
