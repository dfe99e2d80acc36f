"""Clients: made at sign-up, changed by the partner."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg.types.json import Jsonb

from partnerhub.channels.errors import ClientInvalid
from partnerhub.channels.life_cycle import PartnerEvent
from partnerhub.channels.partner_objects import client_event
from partnerhub.channels.queries import get_client
from partnerhub.channels.schemas import Client
from partnerhub.channels.services.events import tell_partner
from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.database import Unit
from partnerhub.kit.ids import Kind, public_id

_MOST_CHANNELS = 100_000


async def create_client(
    unit: Unit,
    *,
    partner_id: str,
    name: str,
    email: str,
    actor: Actor,
    organisation: str | None = None,
    partner_payload: str | None = None,
    contact_info: Mapping[str, str] | None = None,
    contact_name: str = "",
    user_id: str | None = None,
) -> Client:
    """Make a client and tell the partner (`client_created`), once. Raises: ClientInvalid."""
    name = name.strip()
    if not 1 <= len(name) <= 200:
        reason = "The client's name has 1 to 200 characters."
        raise ClientInvalid(reason, fields={"name": reason})
    _check_payload(partner_payload)
    client_id, now = public_id(Kind.CLIENT), clock.now()
    author = Jsonb(actor.as_author())
    await unit.execute(
        "insert into client (id, partner_id, name, organisation, partner_payload, contact_info,"
        " contact_user, user_id, created_at, modified_at, created_by, modified_by)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            client_id,
            partner_id,
            name,
            organisation or name,
            partner_payload,
            Jsonb({"email": email, "full_name": contact_name, **(contact_info or {})}),
            Jsonb({"name": contact_name, "email": email}),
            user_id,
            now,
            now,
            author,
            author,
        ),
    )
    client = await get_client(unit, partner_id=partner_id, client_id=client_id)
    await tell_partner(
        unit, partner_id=partner_id, event=PartnerEvent.CLIENT_CREATED, data=client_event(client)
    )
    await record_change(
        unit,
        partner_id=partner_id,
        actor=actor,
        action="client.created",
        object_kind="client",
        object_id=client_id,
        before=None,
        after={"name": name, "email": email, "partner_payload": partner_payload},
    )
    return client


async def update_client(
    unit: Unit,
    *,
    partner_id: str,
    client_id: str,
    actor: Actor,
    partner_payload: str | None = None,
    max_channels: int | None = None,
) -> Client:
    """Change what a partner may change of a client; None leaves it as it is.

    Typed clients always send both members, so null cannot mean "clear" (Partner API reference 5.1); an
    empty payload does. Raises: ClientUnknown, ClientInvalid.
    """
    _check_payload(partner_payload)
    if max_channels is not None and not 0 <= max_channels <= _MOST_CHANNELS:
        reason = f"max_channels is a whole number from 0 to {_MOST_CHANNELS}."
        raise ClientInvalid(reason, fields={"max_channels": reason})
    before = await get_client(unit, partner_id=partner_id, client_id=client_id)
    wanted = {
        "partner_payload": before.partner_payload if partner_payload is None else partner_payload,
        "max_channels": before.max_channels if max_channels is None else max_channels,
    }
    current = {"partner_payload": before.partner_payload, "max_channels": before.max_channels}
    if wanted == current:
        return before
    await unit.execute(
        "update client set partner_payload = %s, max_channels = %s, modified_at = %s, modified_by = %s"
        " where id = %s and partner_id = %s",
        (
            wanted["partner_payload"],
            wanted["max_channels"],
            clock.now(),
            Jsonb(actor.as_author()),
            client_id,
            partner_id,
        ),
    )
    await record_change(
        unit,
        partner_id=partner_id,
        actor=actor,
        action="client.changed",
        object_kind="client",
        object_id=client_id,
        before=current,
        after=wanted,
    )
    return await get_client(unit, partner_id=partner_id, client_id=client_id)


def _check_payload(partner_payload: str | None) -> None:
    if partner_payload is not None and (len(partner_payload) > 2000 or "\x00" in partner_payload):
        reason = "partner_payload is text of at most 2000 characters."
        raise ClientInvalid(reason, fields={"partner_payload": reason})
