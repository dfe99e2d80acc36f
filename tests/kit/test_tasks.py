"""Background tasks end when they are told to, even where a cancellation gets lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import HttpClient
from partnerhub.kit.tasks import stop
from partnerhub.messaging.watch import Watch
from partnerhub.webhooks.sender import Sender


class LosesOne(Database):
    """Loses the first cancellation while it listens, as `asyncio.wait_for` of Python 3.11 may."""

    has_lost = False

    @asynccontextmanager
    async def listen(self, *channels: str) -> AsyncIterator[Any]:  # Any: the connection's row factory
        try:
            async with super().listen(*channels) as connection:
                yield connection
        except asyncio.CancelledError:
            if self.has_lost:
                raise
            self.has_lost = True


@pytest.fixture
async def losing(database_url: str) -> AsyncIterator[LosesOne]:
    """Give a database whose listeners lose one cancellation."""
    pool = LosesOne(database_url, name="losing")
    await pool.open()
    yield pool
    await pool.close()


async def test_a_task_that_loses_cancellations_is_stopped_all_the_same() -> None:
    async def loses_two() -> None:
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        await asyncio.sleep(60)

    task = asyncio.create_task(loses_two())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await stop(task)
    assert task.cancelled()


async def test_a_task_has_its_time_to_finish() -> None:
    ended = []

    async def finishes() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.3)
            ended.append(True)

    task = asyncio.create_task(finishes())
    await asyncio.sleep(0)
    await stop(task, again_after_seconds=10)
    assert ended == [True]


async def test_what_broke_in_a_task_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    async def breaks() -> None:
        raise ValueError("over and out")

    task = asyncio.create_task(breaks())
    await asyncio.sleep(0)
    await stop(task)
    assert "over and out" in capsys.readouterr().out


async def test_a_watch_closes_although_a_cancellation_was_lost(losing: LosesOne) -> None:
    watch = Watch(losing, {"routes": lambda _: None}, on_gap=lambda: None)
    await watch.start()
    assert watch.is_live
    async with asyncio.timeout(5):
        await watch.close()
    assert losing.has_lost
    assert not watch.is_live


async def test_a_sender_closes_although_a_cancellation_was_lost(losing: LosesOne, keyring: Keyring) -> None:
    async with HttpClient() as http:
        sender = Sender(losing, http, keyring, name="one")
        await sender.start()
        async with asyncio.timeout(5):
            while not await _is_heard(losing):  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.02)
            await sender.close()
    assert losing.has_lost


async def _is_heard(database: Database) -> bool:
    async with database.pool.connection() as connection:
        found = await connection.execute(
            "select from pg_stat_activity where application_name = 'losing listen' and state = 'idle'"
            " and query ilike 'listen%' and datname = current_database()"
        )
        return found.rowcount > 0
