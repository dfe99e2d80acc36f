"""Ending a number's contract: at the end of the calendar month (UTC), reversible until then.

Source: Partner API reference 5.5 and 12.1.
"""

from __future__ import annotations

from datetime import datetime

from partnerhub.channels.errors import ChannelTerminated
from partnerhub.channels.life_cycle import HubStatus, PartnerEvent, Stage, check_hub_status, standing
from partnerhub.channels.queries import get_channel
from partnerhub.channels.schemas import Channel
from partnerhub.channels.services.events import tell_gateways, tell_of_channel
from partnerhub.channels.services.keys import revoke_keys
from partnerhub.channels.services.numbers import lock_channel
from partnerhub.identity.schemas import SYSTEM, Actor
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.database import Database, Unit


async def request_cancellation(
    unit: Unit, *, partner_id: str, client_id: str, channel_id: str, actor: Actor
) -> Channel:
    """Cancel the channel to the end of this month and tell the partner; cancelled already, do nothing.

    Raises: ChannelUnknown (another client's too), ChannelTerminated.
    """
    before = await lock_channel(unit, partner_id=partner_id, channel_id=channel_id, client_id=client_id)
    if before.is_terminated:
        raise ChannelTerminated("The channel is terminated.")
    if before.cancelled_at is not None:
        return before
    return await _change(
        unit,
        before,
        actor,
        to=HubStatus.PENDING_DELETION,
        cancelled_at=clock.now(),
        event=PartnerEvent.CANCELLATION_REQUEST,
    )


async def revoke_cancellation(
    unit: Unit, *, partner_id: str, client_id: str, channel_id: str, actor: Actor
) -> Channel:
    """Take the cancellation back; nothing cancelled, do nothing.

    A channel whose time is over comes back too: it is told as `channel_live`, because the partner must
    mint a new key, and as `cancellation_revoke` while it still was pending. Raises: ChannelUnknown.
    """
    before = await lock_channel(unit, partner_id=partner_id, channel_id=channel_id, client_id=client_id)
    if before.cancelled_at is None and not before.is_terminated:
        return before
    returns_live = before.is_terminated and before.stage is Stage.LIVE
    return await _change(
        unit,
        before,
        actor,
        to=standing(before.stage),
        cancelled_at=None,
        event=PartnerEvent.CHANNEL_LIVE if returns_live else PartnerEvent.CANCELLATION_REVOKE,
    )


async def terminate_due(db: Database) -> int:
    """End every channel that was cancelled before the current month; returns how many. A daily job.

    Each one in its own commit, told as `cancellation_processed`; its key stops working.
    """
    month = month_start(clock.now())
    async with db.system() as unit:
        due = await unit.fetch_dicts(
            "select id, partner_id from channel where hub_status = %s and cancelled_at < %s order by id",
            (HubStatus.PENDING_DELETION.value, month),
        )
    ended = 0
    for row in due:
        async with db.tenant(row["partner_id"]) as unit:
            before = await lock_channel(unit, partner_id=row["partner_id"], channel_id=row["id"])
            # Taken back since we looked, or ended by another worker.
            if before.is_terminated or before.cancelled_at is None or before.cancelled_at >= month:
                continue
            await revoke_keys(unit, partner_id=before.partner_id, channel_id=before.id, actor=SYSTEM)
            await _change(
                unit,
                before,
                SYSTEM,
                to=HubStatus.TERMINATED,
                cancelled_at=before.cancelled_at,
                event=PartnerEvent.CANCELLATION_PROCESSED,
            )
            ended += 1
    return ended


def month_start(moment: datetime) -> datetime:
    """Return the first instant of the month, in UTC."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


async def _change(
    unit: Unit,
    before: Channel,
    actor: Actor,
    *,
    to: HubStatus,
    cancelled_at: datetime | None,
    event: PartnerEvent,
) -> Channel:
    check_hub_status(HubStatus(before.hub_status), to)
    now = clock.now()
    await unit.execute(
        "update channel set hub_status = %s, cancelled_at = %s, terminated_at = %s, modified_at = %s"
        " where id = %s",
        (
            to.value,
            cancelled_at,
            month_start(now) if to is HubStatus.TERMINATED else None,
            now,
            before.id,
        ),
    )
    channel = await get_channel(unit, partner_id=before.partner_id, channel_id=before.id)
    await tell_gateways(unit, channel.id)
    await tell_of_channel(unit, channel, event)
    await record_change(
        unit,
        partner_id=before.partner_id,
        actor=actor,
        action=f"channel.{event.value}",
        object_kind="channel",
        object_id=before.id,
        before={"hub_status": before.hub_status},
        after={"hub_status": to},
    )
    return channel
