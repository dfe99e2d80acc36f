"""Partner API keys: made once, shown once, revoked one by one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.crypto import fingerprint
from partnerhub.kit.database import Unit
from partnerhub.kit.ids import token, uuid7
from partnerhub.partners.errors import KeyInvalid, KeyUnknown
from partnerhub.partners.queries import find_live_key
from partnerhub.partners.schemas import PartnerKey, Scope

# Scanners for leaked secrets find keys by a fixed beginning.
_MARK = "phk_"
_SHOWN = len(_MARK) + 6
_USE_RESOLUTION = timedelta(minutes=1)


async def create_key(
    unit: Unit, *, partner_id: str, name: str, scopes: Iterable[str], actor: Actor
) -> tuple[PartnerKey, str]:
    """Make a key and return it with its secret, which exists nowhere else. Raises: KeyInvalid."""
    name = name.strip()
    if not 1 <= len(name) <= 100:
        reason = "Give the key a name of at most 100 characters."
        raise KeyInvalid(reason, fields={"name": reason})
    try:
        granted = frozenset(Scope(scope) for scope in scopes)
    except ValueError as error:
        reason = "Scopes are read, write and security."
        raise KeyInvalid(reason, fields={"scopes": reason}) from error
    if not granted:
        reason = "Choose at least one scope."
        raise KeyInvalid(reason, fields={"scopes": reason})
    secret = _MARK + token()
    key = PartnerKey(
        id=uuid7(),
        partner_id=partner_id,
        name=name,
        prefix=secret[:_SHOWN],
        scopes=granted,
        created_by=actor.id,
        created_at=clock.now(),
        last_used_at=None,
        revoked_at=None,
    )
    await unit.execute(
        "insert into partner_key (id, partner_id, name, prefix, key_hash, scopes, created_by, created_at)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            key.id,
            partner_id,
            name,
            key.prefix,
            fingerprint(secret),
            sorted(scope.value for scope in granted),
            actor.id,
            key.created_at,
        ),
    )
    await record_change(
        unit,
        partner_id=partner_id,
        actor=actor,
        action="partner_key.created",
        object_kind="partner_key",
        object_id=str(key.id),
        before=None,
        after={"name": name, "prefix": key.prefix, "scopes": granted},
    )
    return key, secret


async def revoke_key(unit: Unit, *, partner_id: str, key_id: UUID, actor: Actor) -> None:
    """Make the key useless from this commit on. Raises: KeyUnknown."""
    key = await find_live_key(unit, partner_id=partner_id, key_id=key_id)
    if key is None:
        raise KeyUnknown("The key does not exist.")
    await unit.execute(
        "update partner_key set revoked_at = %s where id = %s and revoked_at is null", (clock.now(), key_id)
    )
    await record_change(
        unit,
        partner_id=partner_id,
        actor=actor,
        action="partner_key.revoked",
        object_kind="partner_key",
        object_id=str(key_id),
        before={"name": key.name, "prefix": key.prefix},
        after=None,
    )


async def note_key_use(unit: Unit, *, key: PartnerKey) -> None:
    """Remember that the key was used, at most once a minute; needs a system unit."""
    now = clock.now()
    if key.last_used_at is None or now - key.last_used_at >= _USE_RESOLUTION:
        await unit.execute("update partner_key set last_used_at = %s where id = %s", (now, key.id))
