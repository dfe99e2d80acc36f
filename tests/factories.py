"""Rows for tests, with valid defaults: each function makes one thing and whatever it hangs on.

They write tables directly, so a test of one package does not lean on the services of another; no event and
no audit row comes of them. Ids may be given where a test needs to know or to order them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from partnerhub.channels.access import seal_access
from partnerhub.kit.clock import now
from partnerhub.kit.crypto import Keyring, fingerprint
from partnerhub.kit.database import Database
from partnerhub.kit.ids import Kind, public_id, token, uuid7

_numbers = itertools.count(1)

BODY_COMPONENT: Mapping[str, Any] = {  # Any: a template component as Meta writes it
    "type": "BODY",
    "text": "Hi {{1}}, news on {{2}}",
    "example": {"body_text": [["Ann", "Sport"]]},
}


@dataclass(frozen=True)
class MadePartner:
    """A partner row."""

    id: str


@dataclass(frozen=True)
class MadeMember:
    """A user who belongs to a partner."""

    user_id: str
    partner_id: str
    email: str
    role: str


@dataclass(frozen=True)
class MadeKey:
    """A partner key and the secret that only its hash is stored of."""

    id: UUID
    partner_id: str
    secret: str


@dataclass(frozen=True)
class MadeClient:
    """A client row."""

    id: str
    partner_id: str


@dataclass(frozen=True)
class MadeWaba:
    """A WABA account row."""

    id: str
    partner_id: str
    client_id: str
    external_id: str


@dataclass(frozen=True)
class MadeChannel:
    """A channel row."""

    id: str
    partner_id: str
    client_id: str
    waba_id: str
    external_id: str
    phone_number: str


@dataclass(frozen=True)
class MadeChannelKey:
    """A live channel key and the secret that only its hash is stored of."""

    id: int
    channel_id: str
    secret: str


@dataclass(frozen=True)
class MadeTemplate:
    """A template row."""

    id: str
    partner_id: str
    waba_id: str
    external_id: str
    name: str


async def make_partner(
    database: Database,
    *,
    id: str | None = None,  # noqa: A002 - named after the column
    brand_name: str = "Acme Chat",
    country: str = "DE",
    currency: str = "EUR",
    payment_model: str = "partner_paid",
    redirect_url: str | None = "https://acme.example/return",
    legacy_token_auth_enabled: bool = False,
    io_signature_enabled: bool = False,
    mm_api_routing_enabled: bool = True,
    data_localization_region: str | None = None,
) -> MadePartner:
    """Make a partner."""
    partner_id = id or public_id(Kind.PARTNER)
    async with database.system() as unit:
        await unit.execute(
            "insert into partner (id, brand_name, country, currency, payment_model, redirect_url,"
            " legacy_token_auth_enabled, io_signature_enabled, mm_api_routing_enabled,"
            " data_localization_region) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                partner_id,
                brand_name,
                country,
                currency,
                payment_model,
                redirect_url,
                legacy_token_auth_enabled,
                io_signature_enabled,
                mm_api_routing_enabled,
                data_localization_region,
            ),
        )
    return MadePartner(partner_id)


async def make_member(
    database: Database,
    *,
    partner: MadePartner | None = None,
    email: str | None = None,
    name: str = "Owner",
    role: str = "owner",
    password_hash: str | None = None,
    user_id: str | None = None,
) -> MadeMember:
    """Make a user and let them belong to the partner."""
    partner = partner or await make_partner(database)
    user_id = user_id or public_id(Kind.USER)
    email = email or f"{role}-{next(_numbers)}@acme.example"
    async with database.system() as unit:
        await unit.execute(
            "insert into hub_user (id, email, name, password_hash) values (%s, %s, %s, %s)",
            (user_id, email, name, password_hash),
        )
        await unit.execute(
            "insert into member (partner_id, user_id, role) values (%s, %s, %s)", (partner.id, user_id, role)
        )
    return MadeMember(user_id, partner.id, email, role)


async def make_key(
    database: Database,
    *,
    partner: MadePartner | None = None,
    name: str = "Production",
    scopes: Sequence[str] = ("read", "write", "security"),
    revoked_at: datetime | None = None,
) -> MadeKey:
    """Make a partner key."""
    partner = partner or await make_partner(database)
    key_id, secret = uuid7(), token()
    async with database.system() as unit:
        await unit.execute(
            "insert into partner_key (id, partner_id, name, prefix, key_hash, scopes, created_by, revoked_at)"
            " values (%s, %s, %s, %s, %s, %s, 'system', %s)",
            (key_id, partner.id, name, secret[:8], fingerprint(secret), list(scopes), revoked_at),
        )
    return MadeKey(key_id, partner.id, secret)


async def make_client(
    database: Database,
    *,
    partner: MadePartner | None = None,
    id: str | None = None,  # noqa: A002 - named after the column
    name: str = "Client GmbH",
    organisation: str = "Client GmbH",
    email: str = "ops@client.example",
    partner_payload: str | None = "crm-42",
    max_channels: int = 5,
    created_at: datetime | None = None,
) -> MadeClient:
    """Make a client."""
    partner = partner or await make_partner(database)
    client_id = id or public_id(Kind.CLIENT)
    made_at = created_at or now()
    async with database.system() as unit:
        await unit.execute(
            "insert into client (id, partner_id, name, organisation, max_channels, partner_payload,"
            " contact_info, contact_user, created_at, modified_at)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                client_id,
                partner.id,
                name,
                organisation,
                max_channels,
                partner_payload,
                Jsonb({"email": email, "country": "DE", "language": "en", "city": "Berlin"}),
                Jsonb({"name": "Ops", "email": email, "phone": ""}),
                made_at,
                made_at,
            ),
        )
    return MadeClient(client_id, partner.id)


async def make_waba(
    database: Database,
    *,
    client: MadeClient | None = None,
    id: str | None = None,  # noqa: A002 - named after the column
    external_id: str | None = None,
    name: str = "Client WABA",
    currency: str = "EUR",
    time_zone: str = "Europe/Berlin",
    status: str = "approved",
    access_token: str | None = None,
    keyring: Keyring | None = None,
) -> MadeWaba:
    """Make a WABA account; `access_token` is sealed for it with `keyring`."""
    client = client or await make_client(database)
    waba_id = id or public_id(Kind.WABA)
    external_id = external_id or f"104{next(_numbers):012d}"
    sealed = None
    if access_token is not None:
        if keyring is None:
            raise ValueError("An access token needs a key ring.")
        sealed = seal_access(keyring, waba_id=waba_id, access_token=access_token)
    async with database.system() as unit:
        await unit.execute(
            "insert into waba (id, partner_id, client_id, external_id, name, namespace, fb_business_id,"
            " fb_business_name, timezone_id, time_zone, currency, status, fb_account_status, access_sealed)"
            " values (%s, %s, %s, %s, %s, %s, '100000000000000', 'Client GmbH', 42, %s, %s, %s,"
            " 'verified', %s)",
            (
                waba_id,
                client.partner_id,
                client.id,
                external_id,
                name,
                "1212e9fb_86f2_493d_8d24_cbf159a9b876",
                time_zone,
                currency,
                status,
                sealed,
            ),
        )
    return MadeWaba(waba_id, client.partner_id, client.id, external_id)


async def make_channel(
    database: Database,
    *,
    waba: MadeWaba | None = None,
    id: str | None = None,  # noqa: A002 - named after the column
    external_id: str | None = None,
    phone_number: str | None = None,
    phone_name: str = "Client",
    status: str = "ready",
    integration_state: str = "running",
    account_mode: str = "live",
    hub_status: str = "live",
    permission: str = "shared",
    current_limit: str | None = "TIER_1K",
    current_quality_rating: str | None = "GREEN",
    created_at: datetime | None = None,
    terminated_at: datetime | None = None,
) -> MadeChannel:
    """Make a channel that is live and whose permission is shared, unless told otherwise."""
    waba = waba or await make_waba(database)
    channel_id = id or public_id(Kind.CHANNEL)
    external_id = external_id or f"109{next(_numbers):012d}"
    phone_number = phone_number or f"49301{next(_numbers):06d}"
    made_at = created_at or now()
    async with database.system() as unit:
        await unit.execute(
            "insert into channel (id, partner_id, client_id, waba_id, external_id, phone_number, phone_name,"
            " status, account_mode, hub_status, meta_status, integration_state, permission, current_limit,"
            " current_quality_rating, billing_started_at, terminated_at, created_at, modified_at)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'CONNECTED', %s, %s, %s, %s,"
            " %s, %s, %s, %s)",
            (
                channel_id,
                waba.partner_id,
                waba.client_id,
                waba.id,
                external_id,
                phone_number,
                phone_name,
                status,
                account_mode,
                hub_status,
                integration_state,
                permission,
                current_limit,
                current_quality_rating,
                made_at if account_mode == "live" else None,
                terminated_at,
                made_at,
                made_at,
            ),
        )
    return MadeChannel(channel_id, waba.partner_id, waba.client_id, waba.id, external_id, phone_number)


async def make_channel_key(database: Database, *, channel: MadeChannel | None = None) -> MadeChannelKey:
    """Make the channel's live key; a channel takes one."""
    channel = channel or await make_channel(database)
    secret = token()
    async with database.system() as unit:
        key_id = await unit.fetch_value(
            "insert into channel_key (partner_id, channel_id, key_hash, prefix, created_by)"
            " values (%s, %s, %s, %s, 'system') returning id",
            (channel.partner_id, channel.id, fingerprint(secret), secret[:6]),
        )
    return MadeChannelKey(int(key_id), channel.id, secret)


async def make_template(
    database: Database,
    *,
    waba: MadeWaba | None = None,
    id: str | None = None,  # noqa: A002 - named after the column
    external_id: str | None = None,
    name: str | None = None,
    language: str = "de",
    category: str = "MARKETING",
    status: str = "approved",
    components: Sequence[Mapping[str, Any]] = (BODY_COMPONENT,),  # Any: as Meta writes it
    quality_score: Mapping[str, Any] | None = None,
    rejected_reason: str | None = "NONE",
    created_at: datetime | None = None,
) -> MadeTemplate:
    """Make an approved marketing template with two variables."""
    waba = waba or await make_waba(database)
    template_id = id or public_id(Kind.TEMPLATE)
    number = next(_numbers)
    external_id = external_id or f"1949{number:012d}"
    name = name or f"news_{number}"
    made_at = created_at or now()
    async with database.system() as unit:
        await unit.execute(
            "insert into template (id, partner_id, waba_id, external_id, name, language, category, status,"
            " components, quality_score, rejected_reason, created_at, modified_at)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                template_id,
                waba.partner_id,
                waba.id,
                external_id,
                name,
                language,
                category,
                status,
                Jsonb([dict(component) for component in components]),
                None if quality_score is None else Jsonb(dict(quality_score)),
                rejected_reason,
                made_at,
                made_at,
            ),
        )
    return MadeTemplate(template_id, waba.partner_id, waba.id, external_id, name)
