"""Setting where events go and how they are signed.

Every change is told to the senders with its commit, so that no delivery goes to an old address or leaves with
an old key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import msgspec

from partnerhub.kit.clock import now
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Unit
from partnerhub.kit.ids import uuid7
from partnerhub.webhooks import queries
from partnerhub.webhooks.claims import headers_place, key_place
from partnerhub.webhooks.errors import EndpointMissing
from partnerhub.webhooks.schemas import Endpoint, OwnerKind
from partnerhub.webhooks.turns import CHANNEL
from partnerhub.webhooks.urls import check_headers, check_url


async def set_endpoint(
    unit: Unit,
    *,
    partner_id: str,
    owner_kind: OwnerKind,
    owner_id: str,
    url: str,
    headers: Mapping[str, str],
    keyring: Keyring,
    allow_loopback: bool = False,
) -> Endpoint:
    """Set an owner's URL and custom headers, replacing earlier ones.

    Deliveries that wait go to the new URL. A parked or disabled endpoint is delivered to again, at a ramp.

    Raises: UrlRefused, HeaderRefused.
    """
    check_url(url, allow_loopback=allow_loopback)
    check_headers(headers)
    found = await unit.fetch_value(
        "select id from endpoint where owner_kind = %s and owner_id = %s for update", (owner_kind, owner_id)
    )
    ident: UUID = found or uuid7()
    sealed = keyring.seal(msgspec.json.encode(dict(headers)), place=headers_place(ident)) if headers else None
    # Two who set the first URL of an owner at once would seal for two ids; the later one seals again.
    stored: UUID = await unit.fetch_value(
        """
        insert into endpoint (id, partner_id, owner_kind, owner_id, url, headers_sealed)
        values (%(id)s, %(partner)s, %(kind)s, %(owner)s, %(url)s, %(headers)s)
        on conflict (owner_kind, owner_id) do update
        set partner_id = excluded.partner_id, url = excluded.url, headers_sealed = excluded.headers_sealed,
            enabled = true, disabled_reason = null, disabled_at = null, modified_at = now(), opened_at = null,
            probe_at = null, probe_failures = 0,
            breaker = case when endpoint.breaker = 'closed' and endpoint.enabled then 'closed'
                           else 'recovering' end
        returning id
        """,
        {
            "id": ident,
            "partner": partner_id,
            "kind": owner_kind,
            "owner": owner_id,
            "url": url,
            "headers": sealed,
        },
    )
    if stored != ident and sealed is not None:
        again = keyring.seal(msgspec.json.encode(dict(headers)), place=headers_place(stored))
        await unit.execute("update endpoint set headers_sealed = %s where id = %s", (again, stored))
    await _tell(unit, stored)
    return await queries.get_endpoint(unit, endpoint_id=stored, keyring=keyring)


async def remove_endpoint(unit: Unit, *, owner_kind: OwnerKind, owner_id: str) -> bool:
    """Remove an owner's endpoint; say whether there was one.

    Events are still recorded. Deliveries that wait are discarded by the senders and can be replayed.
    """
    removed: UUID | None = await unit.fetch_value(
        "delete from endpoint where owner_kind = %s and owner_id = %s returning id", (owner_kind, owner_id)
    )
    if removed is not None:
        await _tell(unit, removed)
    return removed is not None


async def disable_endpoint(unit: Unit, *, owner_kind: OwnerKind, owner_id: str) -> None:
    """Pause deliveries to an owner's endpoint; they are parked and nothing is lost for seven days.

    Raises: EndpointMissing.
    """
    changed: UUID | None = await unit.fetch_value(
        "update endpoint set enabled = false, disabled_reason = coalesce(disabled_reason, 'paused'), "
        "disabled_at = coalesce(disabled_at, now()), modified_at = now() "
        "where owner_kind = %s and owner_id = %s returning id",
        (owner_kind, owner_id),
    )
    if changed is None:
        raise EndpointMissing("There is no webhook URL to pause.")
    await _tell(unit, changed)


async def enable_endpoint(unit: Unit, *, owner_kind: OwnerKind, owner_id: str) -> None:
    """Deliver to a paused, gone or parked endpoint again; what waits goes out at a ramp, oldest first.

    Raises: EndpointMissing.
    """
    changed: UUID | None = await unit.fetch_value(
        "update endpoint set enabled = true, disabled_reason = null, disabled_at = null, "
        "modified_at = now(), "
        "breaker = case when enabled and breaker = 'closed' then 'closed' else 'recovering' end, "
        "opened_at = null, probe_at = null, probe_failures = 0 "
        "where owner_kind = %s and owner_id = %s returning id",
        (owner_kind, owner_id),
    )
    if changed is None:
        raise EndpointMissing("There is no webhook URL to resume.")
    await _tell(unit, changed)


async def add_signing_key(
    unit: Unit, *, partner_id: str, secret: str, overlap_hours: int, keyring: Keyring
) -> UUID:
    """Sign with a new platform secret from now on; earlier ones sign beside it for `overlap_hours`."""
    ident = uuid7()
    retires_at = now() + timedelta(hours=overlap_hours)
    await unit.lock(f"signing_key:{partner_id}")
    await unit.execute(
        "update signing_key set retires_at = least(retires_at, %s) where partner_id = %s "
        "and (retires_at is null or retires_at > %s)",
        (retires_at, partner_id, retires_at),
    )
    await unit.execute(
        "insert into signing_key (id, partner_id, secret_sealed) values (%s, %s, %s)",
        (ident, partner_id, keyring.seal(secret.encode(), place=key_place(ident))),
    )
    await unit.notify(CHANNEL, f"keys {partner_id}")
    return ident


async def reveal_signing_key(unit: Unit, *, partner_id: str, keyring: Keyring) -> str | None:
    """Return the platform secret that signs now, in clear, or None where none was generated yet."""
    found = await unit.fetch_dicts(
        "select id, secret_sealed from signing_key where partner_id = %s and retires_at is null",
        (partner_id,),
    )
    if not found:
        return None
    return keyring.open(found[0]["secret_sealed"], place=key_place(found[0]["id"])).decode()


async def _tell(unit: Unit, endpoint_id: UUID) -> None:
    await unit.notify(CHANNEL, f"endpoint {endpoint_id}")
