"""Telling the partner, and the gateways, what changed: rows and notifications of the caller's commit."""

from __future__ import annotations

from partnerhub.channels.life_cycle import PartnerEvent
from partnerhub.channels.partner_objects import channel_event
from partnerhub.channels.schemas import Channel, PartnerObject
from partnerhub.kit.database import Unit
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import OwnerKind


async def tell_partner(unit: Unit, *, partner_id: str, event: PartnerEvent, data: PartnerObject) -> None:
    """Publish a partner event in this commit; it is recorded even where no webhook is set."""
    await webhooks.publish(
        unit,
        partner_id=partner_id,
        owner_kind=OwnerKind.PARTNER,
        owner_id=partner_id,
        name=event.value,
        data=data,
    )


async def tell_of_channel(unit: Unit, channel: Channel, event: PartnerEvent) -> None:
    """Publish an event whose data is the channel."""
    await tell_partner(unit, partner_id=channel.partner_id, event=event, data=channel_event(channel))


async def tell_gateways(unit: Unit, channel_id: str) -> None:
    """Let every gateway forget what it knows of the channel's route."""
    await unit.notify("routes", channel_id)
