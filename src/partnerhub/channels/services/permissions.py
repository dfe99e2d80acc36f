"""The client's consent that the partner may mint keys for a channel: granted, revoked, told once each."""

from __future__ import annotations

from partnerhub.channels.errors import ChannelTerminated, ChannelUnfinished
from partnerhub.channels.life_cycle import PartnerEvent, Stage
from partnerhub.channels.queries import get_channel
from partnerhub.channels.schemas import Channel, Permission
from partnerhub.channels.services.events import tell_gateways, tell_of_channel
from partnerhub.channels.services.keys import revoke_keys
from partnerhub.channels.services.numbers import lock_channel
from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.database import Unit


async def grant_permission(unit: Unit, *, partner_id: str, channel_id: str, actor: Actor) -> Channel:
    """Let the partner mint keys and tell it (`channel_permission_granted`); granted already, do nothing.

    Partner-Paid onboarding grants by itself; Direct-Paid clients are asked. A number that Meta has not
    registered is shared with nobody: a key of it could not send.
    Raises: ChannelUnknown, ChannelTerminated, ChannelUnfinished.
    """
    return await _set(unit, partner_id, channel_id, actor, to="shared")


async def revoke_permission(unit: Unit, *, partner_id: str, channel_id: str, actor: Actor) -> Channel:
    """Take the permission back and tell the partner (`channel_permission_revoked`).

    The partner's key stops working with this commit; one that the client made itself stays, since it is no
    business of the permission. The public sources say only that no new key can be made; that the old one
    ends is our reading of what a client means who withdraws. Taken back already, do nothing.
    Raises: ChannelUnknown, ChannelTerminated.
    """
    return await _set(unit, partner_id, channel_id, actor, to="missing")


async def _set(unit: Unit, partner_id: str, channel_id: str, actor: Actor, *, to: Permission) -> Channel:
    before = await lock_channel(unit, partner_id=partner_id, channel_id=channel_id)
    if before.permission == to:
        return before
    if before.is_terminated:
        raise ChannelTerminated("The channel is terminated.")
    if to == "shared" and before.stage not in {Stage.RUNNING, Stage.LIVE}:
        raise ChannelUnfinished("The number is not registered yet.")
    await unit.execute(
        "update channel set permission = %s, modified_at = %s where id = %s", (to, clock.now(), channel_id)
    )
    channel = await get_channel(unit, partner_id=partner_id, channel_id=channel_id)
    await tell_gateways(unit, channel_id)
    if to == "missing":
        await revoke_keys(
            unit, partner_id=partner_id, channel_id=channel_id, actor=actor, except_by=channel.client.user_id
        )
    granted = to == "shared"
    await tell_of_channel(
        unit, channel, PartnerEvent.PERMISSION_GRANTED if granted else PartnerEvent.PERMISSION_REVOKED
    )
    await record_change(
        unit,
        partner_id=partner_id,
        actor=actor,
        action="permission.granted" if granted else "permission.revoked",
        object_kind="channel",
        object_id=channel_id,
        before={"permission": before.permission},
        after={"permission": to},
    )
    return channel
