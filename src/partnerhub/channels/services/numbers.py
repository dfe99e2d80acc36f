"""Numbers (channels): made once, moved forward stage by stage, kept up to date from Meta.

Every step locks the channel's row, so two processes that finish the same onboarding tell the partner once.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql
from psycopg.types.json import Jsonb

from partnerhub.channels.errors import ChannelTerminated, ChannelUnknown, NumberTaken, TooManyChannels
from partnerhub.channels.life_cycle import (
    STAGE_EVENTS,
    HubStatus,
    PartnerEvent,
    Stage,
    check_stage,
    standing,
    words_of,
)
from partnerhub.channels.queries import get_channel, get_client, get_waba
from partnerhub.channels.schemas import Channel, Document
from partnerhub.channels.services.events import tell_gateways, tell_of_channel
from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.database import Unit
from partnerhub.kit.ids import Kind, public_id


@dataclass(frozen=True)
class NumberFacts:
    """What Meta says of a number; None means not said."""

    phone_name: str | None = None
    meta_status: str | None = None
    name_status: str | None = None
    current_limit: str | None = None
    current_quality_rating: str | None = None
    throughput: str | None = None
    hosting_type: str | None = None
    data_localization_region: str | None = None
    is_on_biz_app: bool | None = None
    is_oba: bool | None = None
    is_migrated: bool | None = None
    was_in_use: bool | None = None
    profile_info: Document | None = None
    pin_sealed: bytes | None = None


async def create_channel(
    unit: Unit,
    *,
    partner_id: str,
    client_id: str,
    waba_id: str,
    external_id: str,
    phone_number: str,
    facts: NumberFacts,
    actor: Actor,
) -> Channel:
    """Make the channel of a number and tell the partner (`channel_created`), once.

    `phone_number` is digits with the country code. Repeated for the same client, it returns the channel
    that exists and tells nothing.
    Raises: ClientUnknown, WabaUnknown, NumberTaken, TooManyChannels.
    """
    # One after the other per client: the count below must see what a parallel run added.
    await unit.lock(f"channels of {client_id}")
    client = await get_client(unit, partner_id=partner_id, client_id=client_id)
    waba = await get_waba(unit, partner_id=partner_id, waba_id=waba_id)
    existing = await _find_by_external_id(unit, partner_id, external_id)
    if existing is not None and existing.client_id == client_id:
        return await update_channel(unit, partner_id=partner_id, channel_id=existing.id, facts=facts)
    if existing is not None or waba.client_id != client_id:
        raise NumberTaken("This number belongs to another client.")
    used = await unit.fetch_value(
        "select count(*) from channel where client_id = %s and hub_status <> %s",
        (client_id, HubStatus.TERMINATED.value),
    )
    if used >= client.max_channels:
        raise TooManyChannels(f"The client may have {client.max_channels} numbers and has {used}.")
    channel_id, now = public_id(Kind.CHANNEL), clock.now()
    inserted = await unit.execute(
        "insert into channel (id, partner_id, client_id, waba_id, external_id, phone_number, created_at,"
        " modified_at) values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict (external_id) do nothing",
        (channel_id, partner_id, client_id, waba_id, external_id, phone_number, now, now),
    )
    if not inserted:
        raise NumberTaken("This number belongs to a client of another partner.")
    channel = await update_channel(unit, partner_id=partner_id, channel_id=channel_id, facts=facts)
    await tell_of_channel(unit, channel, STAGE_EVENTS[Stage.CREATED])
    await _record(
        unit,
        channel,
        actor,
        action="channel.created",
        before=None,
        after={"client_id": client_id, "waba_id": waba_id, "phone_number": phone_number},
    )
    return channel


async def advance_channel(
    unit: Unit, *, partner_id: str, channel_id: str, to: Stage, actor: Actor
) -> Channel:
    """Move the channel to a later stage and tell the partner where the stage has an event.

    `ready`, `running` and `live` cannot be skipped. Asked for the stage it has already, it does nothing, so
    a resumed onboarding may repeat its last step. `live` starts billing. An error noted earlier is cleared.
    Raises: ChannelUnknown, StageRefused, ChannelTerminated.
    """
    before = await lock_channel(unit, partner_id=partner_id, channel_id=channel_id)
    if before.is_terminated:
        raise ChannelTerminated("The channel is terminated.")
    if before.stage is to:
        return before
    check_stage(before.stage, to)
    status, integration_state, account_mode = words_of(to)
    hub_status = standing(to).value if before.cancelled_at is None else before.hub_status
    now = clock.now()
    await unit.execute(
        "update channel set status = %s, integration_state = %s, account_mode = %s, hub_status = %s,"
        " billing_started_at = coalesce(billing_started_at, %s), availability_status = 'ready', error = null,"
        " modified_at = %s where id = %s",
        (
            status,
            integration_state,
            account_mode,
            hub_status,
            now if to is Stage.LIVE else None,
            now,
            channel_id,
        ),
    )
    channel = await get_channel(unit, partner_id=partner_id, channel_id=channel_id)
    await tell_gateways(unit, channel_id)
    if event := STAGE_EVENTS.get(to):
        await tell_of_channel(unit, channel, event)
    await _record(
        unit,
        channel,
        actor,
        action="channel.advanced",
        before={"stage": before.stage},
        after={"stage": to},
    )
    return channel


async def note_error(unit: Unit, *, partner_id: str, channel_id: str, error: str) -> Channel:
    """Keep what stopped the channel where people look for it; its stage stays. Raises: ChannelUnknown."""
    await lock_channel(unit, partner_id=partner_id, channel_id=channel_id)
    await unit.execute(
        "update channel set availability_status = 'error', error = %s, modified_at = %s where id = %s",
        (error, clock.now(), channel_id),
    )
    return await get_channel(unit, partner_id=partner_id, channel_id=channel_id)


async def update_channel(unit: Unit, *, partner_id: str, channel_id: str, facts: NumberFacts) -> Channel:
    """Write what Meta says of the number.

    A change of quality or limit tells the partner (`phone_number_quality_changed`) once the number is live.
    Raises: ChannelUnknown.
    """
    before = await lock_channel(unit, partner_id=partner_id, channel_id=channel_id)
    said = {name: value for name, value in vars(facts).items() if value is not None}
    changed = {
        name: value for name, value in said.items() if name == "pin_sealed" or value != getattr(before, name)
    }
    if not changed:
        return before
    assignments = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in changed)
    values = [Jsonb(value) if isinstance(value, dict) else value for value in changed.values()]
    await unit.execute(
        sql.SQL("update channel set {}, modified_at = %s where id = %s").format(assignments),
        [*values, clock.now(), channel_id],
    )
    if "throughput" in changed:
        await tell_gateways(unit, channel_id)
    channel = await get_channel(unit, partner_id=partner_id, channel_id=channel_id)
    if before.stage is Stage.LIVE and changed.keys() & {"current_limit", "current_quality_rating"}:
        await tell_of_channel(unit, channel, PartnerEvent.QUALITY_CHANGED)
    return channel


async def forget_pin(unit: Unit, *, partner_id: str, channel_id: str) -> None:
    """Drop the PIN that is kept of a number, once Meta said that it is another. Raises: ChannelUnknown."""
    await lock_channel(unit, partner_id=partner_id, channel_id=channel_id)
    await unit.execute(
        "update channel set pin_sealed = null, modified_at = %s where id = %s", (clock.now(), channel_id)
    )


async def lock_channel(
    unit: Unit, *, partner_id: str, channel_id: str, client_id: str | None = None
) -> Channel:
    """Return the channel and hold its row until the commit. Raises: ChannelUnknown."""
    locked = await unit.execute(
        "select 1 from channel where id = %s and partner_id = %s for update", (channel_id, partner_id)
    )
    if not locked:
        raise ChannelUnknown("The channel does not exist.")
    return await get_channel(unit, partner_id=partner_id, channel_id=channel_id, client_id=client_id)


async def _find_by_external_id(unit: Unit, partner_id: str, external_id: str) -> Channel | None:
    channel_id = await unit.fetch_value(
        "select id from channel where external_id = %s and partner_id = %s", (external_id, partner_id)
    )
    if channel_id is None:
        return None
    return await get_channel(unit, partner_id=partner_id, channel_id=channel_id)


async def _record(
    unit: Unit,
    channel: Channel,
    actor: Actor,
    *,
    action: str,
    before: Document | None,
    after: Document | None,
) -> None:
    await record_change(
        unit,
        partner_id=channel.partner_id,
        actor=actor,
        action=action,
        object_kind="channel",
        object_id=channel.id,
        before=before,
        after=after,
    )
