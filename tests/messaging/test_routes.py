"""Routes from memory: as long as revocations are heard, and not a moment longer."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic

import psycopg

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.messaging.routes import RouteBook
from partnerhub.messaging.watch import SILENCE_SECONDS, Watch
from tests import factories
from tests.simulator.harness import until


@asynccontextmanager
async def watched(database: Database, keyring: Keyring) -> AsyncIterator[tuple[RouteBook, Watch]]:
    """Run a book with its watch."""
    book = RouteBook(database, keyring, system_token="the-system-token")
    watch = Watch(database, {"channel_keys": book.forget, "routes": book.forget}, on_gap=book.forget_all)
    book.trust(watch)
    await watch.start()
    try:
        yield book, watch
    finally:
        await watch.close()


async def make_key(
    database: Database, keyring: Keyring, token: str | None = "waba-token"
) -> factories.MadeChannelKey:
    """Make a live channel with a key."""
    waba = await factories.make_waba(database, access_token=token, keyring=keyring)
    return await factories.make_channel_key(
        database, channel=await factories.make_channel(database, waba=waba)
    )


async def revoke(database: Database, channel_id: str, *, tell: bool = True) -> None:
    """Revoke the channel's key."""
    async with database.system() as unit:
        await unit.execute("update channel_key set revoked_at = now() where channel_id = %s", (channel_id,))
        if tell:
            await unit.notify("channel_keys", channel_id)


def backends(url: str) -> list[int]:
    """Return the server processes that listen."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "select pid from pg_stat_activity"
            " where application_name = 'test listen' and datname = current_database()"
        ).fetchall()
    return [int(pid) for (pid,) in rows]


async def test_a_key_is_looked_up_once_and_then_known(database: Database, keyring: Keyring) -> None:
    key = await make_key(database, keyring)
    async with watched(database, keyring) as (book, _):
        first = await book.by_key(key.secret)
        again = await book.by_key(key.secret)
    assert first is not None
    assert again is first
    assert first.token == "waba-token"
    assert "waba-token" not in repr(first)
    assert (book.misses, book.hits) == (1, 1)


async def test_an_account_without_a_token_uses_the_systems(database: Database, keyring: Keyring) -> None:
    key = await make_key(database, keyring, None)
    async with watched(database, keyring) as (book, _):
        live = await book.by_key(key.secret)
    assert live is not None
    assert live.token == "the-system-token"


async def test_an_unknown_key_is_remembered_until_something_changes(
    database: Database, keyring: Keyring
) -> None:
    key = await make_key(database, keyring)
    async with watched(database, keyring) as (book, _):
        assert await book.by_key("nonsense") is None
        assert await book.by_key("nonsense") is None
        assert (book.misses, book.hits) == (1, 1)
        await revoke(database, key.channel_id)
        await until(lambda: not book.knows("nonsense"))


async def test_many_who_ask_for_one_key_cause_one_look_up(database: Database, keyring: Keyring) -> None:
    key = await make_key(database, keyring)
    async with watched(database, keyring) as (book, _):
        found = await asyncio.gather(*(book.by_key(key.secret) for _ in range(20)))
    assert len({id(live) for live in found}) == 1


async def test_a_revoked_key_is_gone_within_a_second(database: Database, keyring: Keyring) -> None:
    key = await make_key(database, keyring)
    async with watched(database, keyring) as (book, _):
        assert await book.by_key(key.secret) is not None
        revoked_at = monotonic()
        await revoke(database, key.channel_id)

        async def is_gone() -> bool:
            return await book.by_key(key.secret) is None

        await until(is_gone)
        assert monotonic() - revoked_at < 1.0


async def test_a_silent_channel_sends_every_check_to_the_database(
    database: Database, keyring: Keyring
) -> None:
    key = await make_key(database, keyring)
    async with watched(database, keyring) as (book, watch):
        assert await book.by_key(key.secret) is not None
        with stopped(backends(database.url)):
            # Nobody is told, and the connection is open but mute: only the silence gives it away.
            await revoke(database, key.channel_id, tell=False)
            await until(lambda: not watch.is_live, timeout_seconds=SILENCE_SECONDS + 0.5)
            assert await book.by_key(key.secret) is None
        await until(lambda: watch.is_live, timeout_seconds=10)
        assert await book.by_key(key.secret) is None


async def test_a_lost_connection_is_made_again_and_nothing_older_is_believed(
    database: Database, keyring: Keyring
) -> None:
    key = await make_key(database, keyring)
    async with watched(database, keyring) as (book, watch):
        assert await book.by_key(key.secret) is not None
        made = watch.connections
        with psycopg.connect(database.url, autocommit=True) as connection:
            for pid in backends(database.url):
                connection.execute("select pg_terminate_backend(%s)", (pid,))
        await revoke(database, key.channel_id, tell=False)
        await until(lambda: watch.connections > made and watch.is_live)
        assert await book.by_key(key.secret) is None


async def test_an_answer_that_was_read_before_a_revocation_is_not_kept(
    database: Database, keyring: Keyring
) -> None:
    key = await make_key(database, keyring)
    async with watched(database, keyring) as (book, _):
        reading = asyncio.create_task(book.by_key(key.secret))
        for _ in range(3):  # the look-up is under way now
            await asyncio.sleep(0)
        book.forget(key.channel_id)
        assert await reading is not None
        assert not book.knows(key.secret)


async def test_a_number_knows_where_its_callbacks_go(database: Database, keyring: Keyring) -> None:
    channel = await factories.make_channel(database)
    async with watched(database, keyring) as (book, _):
        live = await book.by_phone(channel.external_id)
        assert live is not None
        assert live.route.channel_id == channel.id
        assert await book.by_phone("000") is None


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Hold server processes still: their sockets stay open and say nothing."""
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_a_change_of_the_partners_routing_reaches_all_its_numbers(
    database: Database, keyring: Keyring
) -> None:
    key = await make_key(database, keyring)
    async with watched(database, keyring) as (book, _):
        live = await book.by_key(key.secret)
        assert live is not None
        assert live.route.mm_routing
        async with database.system() as unit:
            await unit.execute("update partner set mm_api_routing_enabled = false")
            await unit.notify("routes", live.route.partner_id)
        await until(lambda: not book.knows(key.secret))
        again = await book.by_key(key.secret)
    assert again is not None
    assert not again.route.mm_routing
