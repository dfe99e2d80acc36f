"""Days come and go without anybody waiting: neither a reader for them nor writers behind them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from partnerhub.kit.database import Database
from partnerhub.worker.registry import keep_days

_OLD = datetime(2020, 1, 1, tzinfo=UTC)


async def make_old_day(database: Database) -> None:
    """Make a day that is long past its retention."""
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute("set local role hub_owner")
        await connection.execute(
            "create table event_20200101 partition of event for values from ('2020-01-01') to ('2020-01-02')"
        )


async def has_old_day(database: Database) -> bool:
    """Say whether the old day is still there."""
    async with database.pool.connection() as connection:
        found = await connection.execute("select to_regclass('event_20200101') is not null")
        return await found.fetchone() == (True,)


async def test_a_day_past_its_retention_is_dropped(database: Database) -> None:
    await make_old_day(database)
    await keep_days(database)
    assert not await has_old_day(database)


async def test_behind_a_long_reader_old_days_wait_and_writers_do_not(database: Database) -> None:
    await make_old_day(database)
    async with database.pool.connection() as reader, reader.transaction():
        await reader.execute("set local role hub_owner")
        await reader.execute("lock table event in access share mode")  # as a backup does
        async with asyncio.timeout(10):
            await keep_days(database)
        assert await has_old_day(database)
        async with asyncio.timeout(2), database.system() as unit:
            await unit.execute(
                "insert into event (id, created_at, partner_id, owner_kind, owner_id, name, body)"
                " values (gen_random_uuid(), %s, 'onePA', 'partner', 'onePA', 'client_created', '')",
                (_OLD,),
            )
    await keep_days(database)
    assert not await has_old_day(database)
