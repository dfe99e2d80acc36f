"""Checking a body and a signature that somebody pasted, with the partner's own secrets and events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Unit
from partnerhub.webhooks import moments
from partnerhub.webhooks.claims import key_place
from partnerhub.webhooks.pasted import Pasted, Report, Secret, SecretState, examine
from partnerhub.webhooks.signing import HEADER, PREVIOUS_HEADER

_SECRETS_LOOKED_AT: Final = 10


async def check_pasted(
    unit: Unit,
    *,
    partner_id: str,
    body: bytes,
    signature: str,
    keyring: Keyring,
    headers: Mapping[str, str] | None = None,
) -> Report:
    """Say whether the signature is ours for this body, and in words what is wrong where it is not.

    Without `signature` the one in `headers` is taken. `headers` may also hold `webhook-id`, by which the body
    that we sent is found, and `webhook-timestamp`, which a Standard Webhooks signature covers. Retired
    secrets are tried too, so that somebody who still uses one is told so. Reads only.
    """
    given = {name.strip().lower(): value for name, value in (headers or {}).items()}
    text = signature or next(
        (given[name] for name in (HEADER, PREVIOUS_HEADER, "webhook-signature") if given.get(name)), ""
    )
    sent = await _find_sent(unit, partner_id=partner_id, ident=given.get("webhook-id", "") or _id_in(body))
    pasted = Pasted(body=body, signature=text, headers=given, sent=sent)
    return examine(pasted, await _secrets(unit, partner_id=partner_id, keyring=keyring))


async def _secrets(unit: Unit, *, partner_id: str, keyring: Keyring) -> list[Secret]:
    rows = await unit.fetch_dicts(
        "select id, secret_sealed, retires_at from signing_key where partner_id = %s"
        " order by created_at desc, id desc limit %s",
        (partner_id, _SECRETS_LOOKED_AT),
    )
    now = clock.now()
    return [
        Secret(
            value=keyring.open(bytes(row["secret_sealed"]), place=key_place(row["id"])),
            state=(
                SecretState.CURRENT
                if row["retires_at"] is None
                else SecretState.OVERLAPPING
                if row["retires_at"] > now
                else SecretState.RETIRED
            ),
            retires_at=row["retires_at"],
        )
        for row in rows
    ]


async def _find_sent(unit: Unit, *, partner_id: str, ident: str) -> bytes | None:
    try:
        event_id = UUID(ident.strip())
    except ValueError:
        return None
    body = await unit.fetch_value(
        "select body from event where created_at = %s and id = %s and partner_id = %s",
        (moments.of(event_id), event_id, partner_id),
    )
    return None if body is None else bytes(body)


def _id_in(body: bytes) -> str:
    """Return the id that a partner event carries in its envelope."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    ident = value.get("id") if isinstance(value, dict) else None
    return ident if isinstance(ident, str) else ""
