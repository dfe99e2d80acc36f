"""WABA accounts: taken over from Embedded Signup, kept up to date from Meta."""

from __future__ import annotations

from dataclasses import dataclass, replace

from psycopg import sql
from psycopg.types.json import Jsonb

from partnerhub.channels.access import seal_access
from partnerhub.channels.errors import WabaTaken
from partnerhub.channels.jobs import ask_for_templates
from partnerhub.channels.queries import get_client, get_waba
from partnerhub.channels.rows import WABA_COLUMNS
from partnerhub.channels.schemas import Document, Waba
from partnerhub.channels.services.events import tell_gateways
from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Unit
from partnerhub.kit.ids import Kind, public_id


@dataclass(frozen=True)
class WabaFacts:
    """What Meta says of a WABA account; None means not said."""

    name: str | None = None
    namespace: str | None = None
    fb_business_id: str | None = None
    fb_business_name: str | None = None
    timezone_id: int | None = None
    time_zone: str | None = None
    currency: str | None = None
    status: str | None = None
    fb_account_status: str | None = None
    settings: Document | None = None


async def create_waba(
    unit: Unit,
    *,
    partner_id: str,
    client_id: str,
    external_id: str,
    facts: WabaFacts,
    access_token: str | None,
    keyring: Keyring,
    actor: Actor,
) -> Waba:
    """Take over a WABA account for the client; repeated for the same client it brings the facts up to date.

    Its templates are fetched from Meta by a job.

    Raises: ClientUnknown; WabaTaken when another client or partner has it.
    """
    # Making a channel takes this lock too; taken after the audit log's, the two could block each other.
    await unit.lock(f"channels of {client_id}")
    await get_client(unit, partner_id=partner_id, client_id=client_id)
    waba_id, now = public_id(Kind.WABA), clock.now()
    inserted = await unit.execute(
        "insert into waba (id, partner_id, client_id, external_id, created_at, modified_at, created_by)"
        " values (%s, %s, %s, %s, %s, %s, %s) on conflict (external_id) do nothing",
        (waba_id, partner_id, client_id, external_id, now, now, Jsonb(actor.as_author())),
    )
    if not inserted:
        known = await unit.fetch_one(
            Waba,
            sql.SQL(
                "select {} from waba where external_id = %s and partner_id = %s and client_id = %s for update"
            ).format(WABA_COLUMNS),
            (external_id, partner_id, client_id),
        )
        if known is None:
            raise WabaTaken("This WhatsApp Business Account belongs to another client.")
        waba_id = known.id
    waba = await update_waba(
        unit,
        partner_id=partner_id,
        waba_id=waba_id,
        facts=facts,
        access_token=access_token,
        keyring=keyring,
    )
    await ask_for_templates(unit, partner_id=partner_id, waba_id=waba_id)
    if inserted:
        await record_change(
            unit,
            partner_id=partner_id,
            actor=actor,
            action="waba.created",
            object_kind="waba",
            object_id=waba_id,
            before=None,
            after={"client_id": client_id, "external_id": external_id, "name": waba.name},
        )
    return waba


async def update_waba(
    unit: Unit,
    *,
    partner_id: str,
    waba_id: str,
    facts: WabaFacts,
    keyring: Keyring,
    access_token: str | None = None,
) -> Waba:
    """Write what Meta says of the account, and its access token where a new one came. Raises: WabaUnknown."""
    before = await get_waba(unit, partner_id=partner_id, waba_id=waba_id)
    said = {name: value for name, value in vars(facts).items() if value is not None}
    after = replace(before, **said)
    if after != before:
        assignments = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in said)
        values = [Jsonb(value) if isinstance(value, dict) else value for value in said.values()]
        await unit.execute(
            sql.SQL("update waba set {}, modified_at = %s where id = %s").format(assignments),
            [*values, clock.now(), waba_id],
        )
    if access_token is not None:
        sealed = seal_access(keyring, waba_id=waba_id, access_token=access_token)
        await unit.execute("update waba set access_sealed = %s where id = %s", (sealed, waba_id))
    if access_token is not None or after.time_zone != before.time_zone:
        for row in await unit.fetch_dicts("select id from channel where waba_id = %s", (waba_id,)):
            await tell_gateways(unit, row["id"])
    return await get_waba(unit, partner_id=partner_id, waba_id=waba_id)
