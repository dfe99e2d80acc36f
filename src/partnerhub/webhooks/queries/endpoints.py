"""Endpoints and the keys that sign for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Unit
from partnerhub.webhooks.claims import open_headers
from partnerhub.webhooks.errors import EndpointMissing
from partnerhub.webhooks.schemas import (
    Breaker,
    DisabledReason,
    Endpoint,
    Health,
    OwnerKind,
    SigningKey,
    health_of,
)
from partnerhub.webhooks.urls import mask


async def find_endpoint(
    unit: Unit, *, owner_kind: OwnerKind, owner_id: str, keyring: Keyring, reveal: bool = False
) -> Endpoint | None:
    """Return an owner's endpoint, or None; header values are masked unless `reveal`."""
    rows = await unit.fetch_dicts(
        "select * from endpoint where owner_kind = %s and owner_id = %s", (owner_kind, owner_id)
    )
    return _endpoint(rows[0], keyring, reveal=reveal) if rows else None


async def list_signing_keys(unit: Unit, *, partner_id: str) -> list[SigningKey]:
    """Return the platform secrets that sign now, without their values: the current one first."""
    return await unit.fetch_all(
        SigningKey,
        "select id, created_at, retires_at from signing_key where partner_id = %s"
        " and (retires_at is null or retires_at > now()) order by created_at desc, id desc",
        (partner_id,),
    )


async def get_endpoint(unit: Unit, *, endpoint_id: UUID, keyring: Keyring, reveal: bool = False) -> Endpoint:
    """Return an endpoint. Raises: EndpointMissing."""
    rows = await unit.fetch_dicts("select * from endpoint where id = %s", (endpoint_id,))
    if not rows:
        raise EndpointMissing("There is no such webhook URL.")
    return _endpoint(rows[0], keyring, reveal=reveal)


async def list_endpoints(unit: Unit, *, partner_id: str, keyring: Keyring) -> list[Endpoint]:
    """Return every endpoint of a partner, its own first, header values masked."""
    rows = await unit.fetch_dicts(
        "select * from endpoint where partner_id = %s"
        " order by owner_kind = 'partner' desc, owner_kind, owner_id",
        (partner_id,),
    )
    return [_endpoint(row, keyring, reveal=False) for row in rows]


async def list_health(unit: Unit, *, owner_ids: Collection[str]) -> Mapping[str, Health]:
    """Return how the endpoints of these owners stand; an owner without one is left out."""
    rows = await unit.fetch_dicts(
        "select owner_id, enabled, breaker from endpoint where owner_id = any (%s)", (list(owner_ids),)
    )
    return {
        row["owner_id"]: health_of(enabled=row["enabled"], breaker=Breaker(row["breaker"])) for row in rows
    }


def _endpoint(row: Mapping[str, Any], keyring: Keyring, *, reveal: bool) -> Endpoint:  # Any: a table row
    headers = open_headers(row["headers_sealed"], row["id"], keyring)
    is_probed = row["enabled"] and row["breaker"] == Breaker.OPEN
    reason = row["disabled_reason"]
    return Endpoint(
        id=row["id"],
        partner_id=row["partner_id"],
        owner_kind=OwnerKind(row["owner_kind"]),
        owner_id=row["owner_id"],
        url=row["url"],
        headers=headers if reveal else {name: mask(value) for name, value in headers.items()},
        enabled=row["enabled"],
        disabled_reason=None if reason is None else DisabledReason(reason),
        disabled_at=row["disabled_at"],
        breaker=Breaker(row["breaker"]),
        opened_at=row["opened_at"],
        next_probe_at=row["probe_at"] if is_probed else None,
        created_at=row["created_at"],
        modified_at=row["modified_at"],
    )
