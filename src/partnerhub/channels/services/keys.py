"""Messaging API keys: the newest one of a channel is the only one that works."""

from __future__ import annotations

import secrets
import string

from partnerhub.channels.errors import ChannelTerminated
from partnerhub.channels.queries import check_shared
from partnerhub.channels.schemas import MintedKey
from partnerhub.channels.services.numbers import lock_channel
from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.crypto import fingerprint
from partnerhub.kit.database import Unit

_LETTERS = string.ascii_letters + string.digits
_RANDOM_LENGTH = 38
_SHOWN = 6


async def mint_key(unit: Unit, *, partner_id: str, channel_id: str, actor: Actor) -> MintedKey:
    """Make the channel's key; every earlier one stops working with this commit.

    Allowed as soon as the channel exists, because clients mint right after the browser's redirect
    (onboarding reference 5.10). Gateways hear of it by NOTIFY `channel_keys` with the channel's id.
    Raises: ChannelUnknown; PermissionMissing when the client has not granted it; ChannelTerminated.
    """
    channel = await lock_channel(unit, partner_id=partner_id, channel_id=channel_id)
    check_shared(channel)
    if channel.is_terminated:
        raise ChannelTerminated("The channel is terminated.")
    await _revoke(unit, channel_id)
    # Letters and digits only: people paste keys where "-" breaks a word.
    secret = "".join(secrets.choice(_LETTERS) for _ in range(_RANDOM_LENGTH)) + "AK"
    key_id = await unit.fetch_value(
        "insert into channel_key (partner_id, channel_id, key_hash, prefix, created_by, created_at)"
        " values (%s, %s, %s, %s, %s, %s) returning id",
        (partner_id, channel_id, fingerprint(secret), secret[:_SHOWN], actor.id, clock.now()),
    )
    await unit.notify("channel_keys", channel_id)
    await _record(unit, partner_id, channel_id, actor, created={"key_id": key_id, "prefix": secret[:_SHOWN]})
    return MintedKey(id=int(key_id), app_id=channel.app_id, secret=secret)


async def revoke_keys(
    unit: Unit, *, partner_id: str, channel_id: str, actor: Actor, except_by: str | None = None
) -> int:
    """Make the channel's key useless from this commit on; returns how many there were.

    A key that `except_by` made stays. Raises: ChannelUnknown.
    """
    await lock_channel(unit, partner_id=partner_id, channel_id=channel_id)
    revoked = await _revoke(unit, channel_id, except_by=except_by)
    if revoked:
        await unit.notify("channel_keys", channel_id)
        await _record(unit, partner_id, channel_id, actor, created=None)
    return revoked


async def _revoke(unit: Unit, channel_id: str, *, except_by: str | None = None) -> int:
    return await unit.execute(
        "update channel_key set revoked_at = %s where channel_id = %s and revoked_at is null"
        " and created_by is distinct from %s",
        (clock.now(), channel_id, except_by),
    )


async def _record(
    unit: Unit, partner_id: str, channel_id: str, actor: Actor, *, created: dict[str, object] | None
) -> None:
    await record_change(
        unit,
        partner_id=partner_id,
        actor=actor,
        action="channel_key.created" if created else "channel_key.revoked",
        object_kind="channel",
        object_id=channel_id,
        before=None,
        after=created,
    )
