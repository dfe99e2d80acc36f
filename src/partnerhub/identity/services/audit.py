"""Writing the audit log: one hash chain per partner, each entry sealed with the hash of the one before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from partnerhub.identity.chain import GENESIS, digest
from partnerhub.identity.schemas import Actor, AuditEntry
from partnerhub.kit import clock, logs
from partnerhub.kit.database import Unit

REMOVED = "[removed]"
_SECRET_WORDS = {"password", "secret", "token", "authorization", "key", "apikey", "cookie", "pin", "otp"}


async def record_change(
    unit: Unit,
    *,
    partner_id: str,
    actor: Actor,
    action: str,
    object_kind: str,
    object_id: str,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
) -> AuditEntry:
    """Append what was done to the partner's chain, in the same commit as the change itself.

    Make it the last write of a step: it holds the partner's chain until the commit. `action` is
    `object.verb` (`key.created`). Values are JSON (times, ids, enums and decimals become text); what stands
    under a name of a secret is removed unless it is a flag, a number or a mask that begins with `…`.
    """
    await unit.lock(f"audit:{partner_id}")
    last = await unit.fetch_dicts(
        "select seq, hash from audit_link where partner_id = %s order by seq desc limit 1", (partner_id,)
    )
    entry = AuditEntry(
        partner_id=partner_id,
        seq=last[0]["seq"] + 1 if last else 1,
        at=clock.now(),
        actor_kind=actor.kind.value,
        actor_id=actor.id,
        actor_name=actor.name,
        action=action,
        object_kind=object_kind,
        object_id=object_id,
        before=_recordable(before),
        after=_recordable(after),
        ip=actor.ip,
        user_agent=actor.user_agent[:300],
        request_id=actor.request_id or logs.request_id.get(),
        prev_hash=last[0]["hash"] if last else GENESIS,
        hash=b"",
    )
    entry = replace(entry, hash=digest(entry))
    await unit.execute(
        "insert into audit_entry (partner_id, seq, at, actor_kind, actor_id, actor_name, action, "
        "object_kind, object_id, before, after, ip, user_agent, request_id, prev_hash, hash) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            entry.partner_id,
            entry.seq,
            entry.at,
            entry.actor_kind,
            entry.actor_id,
            entry.actor_name,
            entry.action,
            entry.object_kind,
            entry.object_id,
            None if entry.before is None else Jsonb(entry.before),
            None if entry.after is None else Jsonb(entry.after),
            entry.ip,
            entry.user_agent,
            entry.request_id,
            entry.prev_hash,
            entry.hash,
        ),
    )
    return entry


def _recordable(values: Mapping[str, object] | None) -> dict[str, Any] | None:  # Any: JSON
    if values is None:
        return None
    return {name: _shown(name, value) for name, value in values.items()}


def _shown(name: str, value: object) -> object:
    words = set(re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name))
    if {word.casefold() for word in words} & _SECRET_WORDS and not _is_harmless(value):
        return REMOVED
    return _as_json(value)


def _is_harmless(value: object) -> bool:
    return (
        value is None or isinstance(value, bool | int) or (isinstance(value, str) and value.startswith("…"))
    )


def _as_json(value: object) -> object:
    match value:
        case Enum():
            return _as_json(value.value)
        case None | bool() | int() | str():
            return value
        case datetime() | date():
            return value.isoformat()
        case UUID() | Decimal():
            return str(value)
        case Mapping():
            return {str(name): _shown(str(name), inner) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            inner_values = sorted(value, key=str) if isinstance(value, set | frozenset) else value
            return [_as_json(inner) for inner in inner_values]
        case _:
            raise TypeError(f"{type(value).__name__} has no place in the audit log.")
