"""Channel keys and the permission to mint them."""

from __future__ import annotations

import asyncio
import re

import pytest
from tests.channels.told import told, told_names
from tests.factories import MadeChannel, make_channel, make_member, make_partner

from partnerhub.channels.errors import ChannelTerminated, ChannelUnknown, PermissionMissing
from partnerhub.channels.queries import find_route_by_key, list_keys
from partnerhub.channels.schemas import MintedKey
from partnerhub.channels.services import grant_permission, mint_key, revoke_keys, revoke_permission
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit.crypto import fingerprint
from partnerhub.kit.database import Database

ACTOR = Actor(ActorKind.KEY, "key-1")


async def _mint(database: Database, channel: MadeChannel) -> MintedKey:
    async with database.tenant(channel.partner_id) as unit:
        return await mint_key(unit, partner_id=channel.partner_id, channel_id=channel.id, actor=ACTOR)


async def _opens(database: Database, key: MintedKey) -> bool:
    async with database.system() as unit:
        return await find_route_by_key(unit, key_hash=fingerprint(key.secret)) is not None


async def test_the_newest_key_is_the_only_one_that_opens(database: Database) -> None:
    channel = await make_channel(database)
    first, second = await _mint(database, channel), await _mint(database, channel)
    assert (await _opens(database, first), await _opens(database, second)) == (False, True)
    assert second.app_id == first.app_id
    assert second.id > first.id
    assert re.fullmatch(r"[A-Za-z0-9]{38}AK", second.secret)
    assert second.secret not in repr(second)
    async with database.tenant(channel.partner_id) as unit:
        (listed,) = await list_keys(unit, partner_id=channel.partner_id, channel_id=channel.id)
    assert (listed.id, listed.prefix) == (second.id, second.secret[:6])


async def test_of_keys_minted_at_once_one_opens(database: Database) -> None:
    channel = await make_channel(database)
    keys = await asyncio.gather(*[_mint(database, channel) for _ in range(5)])
    assert sum([await _opens(database, key) for key in keys]) == 1


async def test_gateways_hear_of_every_minted_and_revoked_key(database: Database) -> None:
    channel = await make_channel(database)
    async with database.listen("channel_keys") as connection:
        await _mint(database, channel)
        async with database.tenant(channel.partner_id) as unit:
            revoked = await revoke_keys(
                unit, partner_id=channel.partner_id, channel_id=channel.id, actor=ACTOR
            )
        heard = [note.payload async for note in connection.notifies(timeout=2, stop_after=2)]
    assert (revoked, heard) == (1, [channel.id, channel.id])
    async with database.tenant(channel.partner_id) as unit:
        assert await revoke_keys(unit, partner_id=channel.partner_id, channel_id=channel.id, actor=ACTOR) == 0


async def test_a_key_needs_the_clients_permission(database: Database) -> None:
    channel = await make_channel(database, permission="missing")
    with pytest.raises(PermissionMissing):
        await _mint(database, channel)
    async with database.tenant(channel.partner_id) as unit:
        await grant_permission(unit, partner_id=channel.partner_id, channel_id=channel.id, actor=ACTOR)
    assert await _opens(database, await _mint(database, channel))


async def test_a_channel_that_has_just_been_created_may_have_a_key(database: Database) -> None:
    """Clients mint straight after the browser's redirect, before any webhook."""
    channel = await make_channel(
        database, status="created", integration_state="created", account_mode="sandbox", hub_status="draft"
    )
    assert await _opens(database, await _mint(database, channel))


async def test_a_terminated_channel_gets_no_key(database: Database) -> None:
    channel = await make_channel(database, hub_status="terminated")
    with pytest.raises(ChannelTerminated):
        await _mint(database, channel)


async def test_a_channel_of_another_partner_does_not_exist(database: Database) -> None:
    channel, partner = await make_channel(database), await make_partner(database)
    async with database.tenant(partner.id) as unit:
        with pytest.raises(ChannelUnknown):
            await mint_key(unit, partner_id=partner.id, channel_id=channel.id, actor=ACTOR)


async def test_granting_and_revoking_are_told_once_each(database: Database) -> None:
    channel = await make_channel(database, permission="missing")
    for service in (grant_permission, grant_permission, revoke_permission, revoke_permission):
        async with database.tenant(channel.partner_id) as unit:
            await service(unit, partner_id=channel.partner_id, channel_id=channel.id, actor=ACTOR)
    assert await told_names(database, channel.partner_id) == [
        "channel_permission_granted",
        "channel_permission_revoked",
    ]
    granted = (await told(database, channel.partner_id))[0][1]
    assert granted["status"] == "ready"
    assert granted["waba_account"].keys() >= {"id", "namespace", "fb_business_id"}
    assert granted.keys() >= {
        "client_id", "id", "client", "setup_info", "account_mode", "current_quality_rating", "current_limit",
    }  # fmt: skip


async def test_a_withdrawn_permission_stops_the_partners_key_and_tells_gateways(database: Database) -> None:
    channel = await make_channel(database)
    key = await _mint(database, channel)
    async with database.listen("channel_keys") as connection:
        async with database.tenant(channel.partner_id) as unit:
            await revoke_permission(unit, partner_id=channel.partner_id, channel_id=channel.id, actor=ACTOR)
        heard = [note.payload async for note in connection.notifies(timeout=2, stop_after=1)]
    assert (heard, await _opens(database, key)) == ([channel.id], False)
    # Given again, the permission brings no old key back.
    async with database.tenant(channel.partner_id) as unit:
        await grant_permission(unit, partner_id=channel.partner_id, channel_id=channel.id, actor=ACTOR)
    assert not await _opens(database, key)


async def test_the_clients_own_key_outlives_a_withdrawn_permission(database: Database) -> None:
    owner = await make_member(database)
    channel = await make_channel(database)
    async with database.tenant(channel.partner_id) as unit:
        await unit.execute("update client set user_id = %s where id = %s", (owner.user_id, channel.client_id))
        own = Actor(ActorKind.CLIENT, owner.user_id)
        key = await mint_key(unit, partner_id=channel.partner_id, channel_id=channel.id, actor=own)
        await revoke_permission(unit, partner_id=channel.partner_id, channel_id=channel.id, actor=own)
    assert await _opens(database, key)
