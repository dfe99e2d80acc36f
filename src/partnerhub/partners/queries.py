"""Reads of partners, their people, keys and settings."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import sql

from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring, fingerprint
from partnerhub.kit.database import Unit
from partnerhub.partners.errors import MemberUnknown, PartnerUnknown
from partnerhub.partners.schemas import (
    Member,
    Membership,
    Partner,
    PartnerKey,
    PartnerSettings,
    Scope,
    TokenUse,
)
from partnerhub.webhooks import queries as webhook_queries
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import OwnerKind

RECENT_USE = timedelta(days=30)

_PARTNER_COLUMNS = sql.SQL(", ").join(sql.Identifier(field.name) for field in fields(Partner))
_KEY_COLUMNS = "id, partner_id, name, prefix, scopes, created_by, created_at, last_used_at, revoked_at"
_MEMBER = (
    "select m.partner_id, m.user_id, u.email, u.name, m.role, m.created_at, u.disabled_at"
    " from member m join hub_user u on u.id = m.user_id"
)


async def get_partner(unit: Unit, *, partner_id: str) -> Partner:
    """Return the partner. Raises: PartnerUnknown."""
    partner = await unit.fetch_one(
        Partner, sql.SQL("select {} from partner where id = %s").format(_PARTNER_COLUMNS), (partner_id,)
    )
    if partner is None:
        raise PartnerUnknown("The partner does not exist.")
    return partner


async def get_settings(
    unit: Unit, *, partner_id: str, keyring: Keyring, for_update: bool = False
) -> PartnerSettings:
    """Return the partner with its webhook and whether it has a platform secret.

    `for_update` keeps others from changing them until the unit ends: what is decided from the answer holds.
    Raises: PartnerUnknown.
    """
    if for_update:
        await unit.execute("select 1 from partner where id = %s for update", (partner_id,))
    partner = await get_partner(unit, partner_id=partner_id)
    endpoint = await webhook_queries.find_endpoint(
        unit, owner_kind=OwnerKind.PARTNER, owner_id=partner_id, keyring=keyring
    )
    return PartnerSettings(
        partner=partner,
        webhook_url=endpoint.url if endpoint else None,
        webhook_headers=endpoint.headers if endpoint else {},
        has_platform_secret=await webhooks.reveal_signing_key(unit, partner_id=partner_id, keyring=keyring)
        is not None,
    )


async def find_key(unit: Unit, *, secret: str) -> PartnerKey | None:
    """Find the live key of this secret; needs a system unit."""
    rows = await unit.fetch_dicts(
        f"select {_KEY_COLUMNS} from partner_key where key_hash = %s and revoked_at is null",
        (fingerprint(secret),),
    )
    return _key(rows[0]) if rows else None


async def list_keys(unit: Unit, *, partner_id: str) -> list[PartnerKey]:
    """Return the partner's live keys, newest first."""
    rows = await unit.fetch_dicts(
        f"select {_KEY_COLUMNS} from partner_key where partner_id = %s and revoked_at is null"
        " order by created_at desc, id desc",
        (partner_id,),
    )
    return [_key(row) for row in rows]


async def find_live_key(unit: Unit, *, partner_id: str, key_id: UUID) -> PartnerKey | None:
    """Find one of the partner's live keys by its id."""
    rows = await unit.fetch_dicts(
        f"select {_KEY_COLUMNS} from partner_key where partner_id = %s and id = %s and revoked_at is null",
        (partner_id, key_id),
    )
    return _key(rows[0]) if rows else None


async def list_members(unit: Unit, *, partner_id: str) -> list[Member]:
    """Return the partner's people, owners first."""
    return await unit.fetch_all(
        Member, f"{_MEMBER} where m.partner_id = %s order by m.role desc, lower(u.email)", (partner_id,)
    )


async def get_member(unit: Unit, *, partner_id: str, user_id: str) -> Member:
    """Return a person of the partner. Raises: MemberUnknown."""
    member = await unit.fetch_one(
        Member, f"{_MEMBER} where m.partner_id = %s and m.user_id = %s", (partner_id, user_id)
    )
    if member is None:
        raise MemberUnknown("The person does not belong to the partner.")
    return member


async def list_memberships(unit: Unit, *, user_id: str) -> list[Membership]:
    """Return every partner a person belongs to, longest first; needs a system unit."""
    return await unit.fetch_all(
        Membership,
        "select m.partner_id, p.brand_name as name, m.role"
        " from member m join partner p on p.id = m.partner_id"
        " where m.user_id = %s order by m.created_at, m.partner_id",
        (user_id,),
    )


async def list_token_uses(unit: Unit, *, partner_id: str, since: datetime | None = None) -> list[TokenUse]:
    """Return who has used legacy tokens since then, by default in the last 30 days; the latest first."""
    return await unit.fetch_all(
        TokenUse,
        "select u.id as user_id, u.email, u.name, max(t.last_used_at) as last_used_at"
        " from legacy_token t join hub_user u on u.id = t.user_id"
        " where t.partner_id = %s and t.last_used_at >= %s group by u.id order by 4 desc, 1",
        (partner_id, since or clock.now() - RECENT_USE),
    )


def _key(row: dict[str, Any]) -> PartnerKey:  # Any: one row of the key columns
    return PartnerKey(**{**row, "scopes": frozenset(Scope(scope) for scope in row["scopes"])})
