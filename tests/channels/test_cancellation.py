"""Ending a channel's contract: at the end of the month, reversible until then, told once per change."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.channels.told import told, told_names
from tests.factories import MadeChannel, make_channel, make_channel_key, make_client

from partnerhub.channels.errors import ChannelTerminated, ChannelUnknown
from partnerhub.channels.queries import find_route_by_key, get_channel
from partnerhub.channels.schemas import Channel
from partnerhub.channels.services import request_cancellation, revoke_cancellation, terminate_due
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit import clock
from partnerhub.kit.crypto import fingerprint
from partnerhub.kit.database import Database

ACTOR = Actor(ActorKind.KEY, "key-1")
MID_MAY = datetime(2026, 5, 15, 12, 0, 0, tzinfo=UTC)


async def _cancel(database: Database, channel: MadeChannel, client_id: str | None = None) -> Channel:
    async with database.tenant(channel.partner_id) as unit:
        return await request_cancellation(
            unit,
            partner_id=channel.partner_id,
            client_id=client_id or channel.client_id,
            channel_id=channel.id,
            actor=ACTOR,
        )


async def _take_back(database: Database, channel: MadeChannel) -> Channel:
    async with database.tenant(channel.partner_id) as unit:
        return await revoke_cancellation(
            unit,
            partner_id=channel.partner_id,
            client_id=channel.client_id,
            channel_id=channel.id,
            actor=ACTOR,
        )


async def test_a_cancelled_channel_ends_with_the_month_and_not_before(database: Database) -> None:
    channel = await make_channel(database)
    key = await make_channel_key(database, channel=channel)
    with clock.set_to(MID_MAY):
        cancelled = await _cancel(database, channel)
        assert (cancelled.hub_status, cancelled.cancelled_at) == ("pending_deletion", MID_MAY)
        assert await terminate_due(database) == 0
    with clock.set_to(datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC)):
        assert await terminate_due(database) == 0
    with clock.set_to(datetime(2026, 6, 1, tzinfo=UTC)):
        assert await terminate_due(database) == 1
        assert await terminate_due(database) == 0
    async with database.tenant(channel.partner_id) as unit:
        ended = await get_channel(unit, partner_id=channel.partner_id, channel_id=channel.id)
    assert (ended.hub_status, ended.terminated_at) == ("terminated", datetime(2026, 6, 1, tzinfo=UTC))
    async with database.system() as unit:
        assert await find_route_by_key(unit, key_hash=fingerprint(key.secret)) is None
    events = await told(database, channel.partner_id)
    assert [(name, data["hub_status"]) for name, data in events] == [
        ("cancellation_request", "pending_deletion"),
        ("cancellation_processed", "terminated"),
    ]
    assert events[0][1]["cancelled_at"] == "2026-05-15T12:00:00Z"


async def test_a_repeated_cancellation_changes_and_tells_nothing(database: Database) -> None:
    channel = await make_channel(database)
    first = await _cancel(database, channel)
    assert await _cancel(database, channel) == first
    assert await told_names(database, channel.partner_id) == ["cancellation_request"]


async def test_a_cancellation_that_is_taken_back_never_takes_effect(database: Database) -> None:
    channel = await make_channel(database)
    with clock.set_to(MID_MAY):
        await _cancel(database, channel)
        back = await _take_back(database, channel)
        await _take_back(database, channel)
    assert (back.hub_status, back.cancelled_at) == ("live", None)
    with clock.set_to(datetime(2026, 7, 1, tzinfo=UTC)):
        assert await terminate_due(database) == 0
    assert await told_names(database, channel.partner_id) == ["cancellation_request", "cancellation_revoke"]


async def test_a_terminated_channel_comes_back_live(database: Database) -> None:
    channel = await make_channel(database)
    with clock.set_to(MID_MAY):
        await _cancel(database, channel)
    with clock.set_to(datetime(2026, 6, 2, tzinfo=UTC)):
        await terminate_due(database)
        with pytest.raises(ChannelTerminated):
            await _cancel(database, channel)
        back = await _take_back(database, channel)
    assert (back.hub_status, back.cancelled_at, back.terminated_at) == ("live", None, None)
    assert await told_names(database, channel.partner_id) == [
        "cancellation_request",
        "cancellation_processed",
        "channel_live",
    ]


async def test_an_unfinished_channel_returns_to_draft(database: Database) -> None:
    channel = await make_channel(
        database, status="ready", integration_state="created", account_mode="sandbox", hub_status="draft"
    )
    await _cancel(database, channel)
    assert (await _take_back(database, channel)).hub_status == "draft"


async def test_a_channel_under_another_clients_path_does_not_exist(database: Database) -> None:
    channel = await make_channel(database)
    other = await make_client(database)
    with pytest.raises(ChannelUnknown):
        await _cancel(database, channel, other.id)
