"""Processes are killed, the database goes down in the middle: what was committed arrives, and is counted."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from aiohttp import web
from tests.webhooks.receivers import Got, Receiver, after, receiver
from tests.webhooks.steps import (
    MakeReceiver,
    MakeSender,
    accept_pieces,
    piece,
    set_url,
    states,
    until,
    until_states,
)

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database, DatabaseAway
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.kit.postgres import EmbeddedPostgres
from partnerhub.migrations import run as migrations
from partnerhub.webhooks import services
from partnerhub.webhooks.schemas import Endpoint, Piece
from partnerhub.webhooks.sender import Sender
from partnerhub.webhooks.stock import Caps


@contextmanager
def _process(
    database_url: str, name: str, endpoint: Endpoint, number: int
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.webhooks.sender_process",
            database_url,
            name,
            str(endpoint.id),
            str(number),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def _kill_after(process: subprocess.Popen[str], here: Receiver, number: int) -> set[bytes]:
    """Kill -9 once the receiver has had so many; return what the process had said it committed."""
    await here.wait_for(number, within=30)
    process.send_signal(signal.SIGKILL)
    assert process.stdout is not None
    said = await asyncio.to_thread(process.stdout.read)
    return {line.encode() for line in said.splitlines() if "-" in line}


@pytest.mark.slow
async def test_what_a_killed_sender_held_goes_out_again_within_thirty_seconds(
    database: Database,
    database_url: str,
    keyring: Keyring,
    make_sender: MakeSender,
    make_receiver: MakeReceiver,
) -> None:
    """Two processes die with work in hand; a third, which was there all the time, delivers the rest."""
    here = await make_receiver(after(0.02))
    endpoint = await set_url(database, keyring, here.url())
    committed: set[bytes] = set()
    for name in ("first", "second"):
        with _process(database_url, name, endpoint, 400) as process:
            committed |= await _kill_after(process, here, len(here.got) + 60)
    killed_at = time.monotonic()
    missing = committed - {got.body for got in here.got}
    assert missing, "the test wants to see work left behind"
    await make_sender("survivor", poll_seconds=2.0)
    await here.wait_until(lambda: committed <= {got.body for got in here.got}, within=40)
    last = max(got.at for got in here.got)
    arrived = [got.body for got in here.got]
    async with database.system() as unit:
        stored = await unit.fetch_value("select count(*) from event")
    print(
        f"committed {stored}, left behind {len(missing)}, duplicates {len(arrived) - len(set(arrived))},"
        f" last again after {last - killed_at:.1f} s"
    )
    assert last - killed_at < 30
    await until_states(database, delivered=stored)
    # A batch may have been committed that its process had no time to tell.
    arrived = [got.body for got in here.got]
    assert len(set(arrived)) == stored
    # Only what was under way, or arrived and not yet written, may come twice: never more than was in hand.
    assert len(arrived) - len(set(arrived)) <= 2 * (32 + 64)


class _Postgres:
    """A durable server that can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedPostgres(folder, durable=True)
        self._server.prepare()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self._server.url()

    def start(self) -> None:
        self._server.wait_until_gone()
        self._process = subprocess.Popen(
            self._server.command(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **self._server.account.as_arguments(),
        )
        self._server.wait_until_ready()

    def stop(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None
            self._server.wait_until_gone()


@contextmanager
def _durable_postgres() -> Iterator[_Postgres]:
    with TemporaryDirectory(prefix="partnerhub-crash-") as folder:
        Path(folder).chmod(0o755)
        postgres = _Postgres(Path(folder))
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop(signal.SIGINT)


@pytest.mark.slow
async def test_a_database_that_crashes_and_restarts_loses_nothing(keyring: Keyring) -> None:
    """Events are accepted all the time, and again after an error as Meta does; PostgreSQL goes down twice."""
    with _durable_postgres() as postgres:
        migrations.upgrade(postgres.url)
        async with receiver(after(0.005)) as here:
            accepted = await _feed_through_crashes(postgres, here, keyring)
    arrived = [got.body for got in here.got]
    print(f"accepted {len(accepted)}, duplicates {len(arrived) - len(set(arrived))}")
    assert accepted <= set(arrived)
    assert len(arrived) - len(set(arrived)) < len(accepted) / 4


async def _feed_through_crashes(postgres: _Postgres, here: Receiver, keyring: Keyring) -> set[bytes]:
    database = Database(postgres.url, name="crash", max_size=4)
    await database.open()
    http = HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK)
    sender = Sender(database, http, keyring, name="crash", poll_seconds=0.5)
    await sender.start()
    endpoint = await set_url(database, keyring, here.url())
    accepted: set[bytes] = set()
    stop = asyncio.Event()

    async def feed() -> None:
        waiting: list[Piece] = []
        while not stop.is_set():
            waiting = waiting or [piece(endpoint, body=uuid4().bytes) for _ in range(5)]
            try:
                async with database.system() as unit:
                    rows = await services.accept_bodies(unit, waiting, room=sender)
            except DatabaseAway:
                await asyncio.sleep(0.05)
                continue
            sender.hand_over(rows)
            accepted.update(one.body for one in waiting)
            waiting = []
            await asyncio.sleep(0.01)

    feeding = asyncio.create_task(feed())

    async def grow(number: int) -> None:
        wanted = len(accepted) + number

        async def has_grown() -> bool:
            return len(accepted) >= wanted

        await until(has_grown, within=20)

    for how in (signal.SIGKILL, signal.SIGINT):
        await grow(100)
        await asyncio.to_thread(postgres.stop, how)
        await asyncio.to_thread(postgres.start)
    await grow(50)
    stop.set()
    await feeding
    await until_states(database, delivered=len(accepted), within=30)
    await sender.close()
    await http.close()
    await database.close()
    return accepted


async def test_outcomes_wait_in_memory_while_nothing_can_be_written(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    """Somebody holds the table locked: deliveries go out all the same, and are written afterwards, once."""

    async def quick(_receiver: Receiver, _got: Got) -> web.Response:
        return web.Response(text="ok")

    here = await make_receiver(quick)
    sender = await make_sender(caps=Caps(endpoint_concurrency=4), claims=False)
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, piece(endpoint), sender=sender)
    await until_states(database, delivered=1)
    async with database.system() as unit:
        rows = await services.accept_bodies(unit, [piece(endpoint) for _ in range(40)], room=sender)
    async with database.pool.connection() as connection:
        await connection.execute("set local role hub_owner")
        await connection.execute("lock table delivery in exclusive mode")
        sender.hand_over(rows)
        await here.wait_for(41)

        async def all_answered() -> bool:
            return sender.state().unwritten == 40

        await until(all_answered)
        await connection.rollback()
    await until_states(database, delivered=41)
    assert sender.state().held == 0
    assert max(here.ids.values()) == 1


async def test_an_outcome_that_the_database_refuses_does_not_hold_back_the_others(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    """As when the partition of an attempt is missing: the outcome is kept, without the attempt's details."""
    here = await make_receiver()
    sender = await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    async with database.pool.connection() as connection:
        await connection.execute("set local role hub_owner")
        await connection.execute(
            "alter table attempt add constraint refuse check (body <> 'poison') not valid"
        )
    try:

        async def answer_with_body(_receiver: Receiver, got: Got) -> web.Response:
            return web.Response(body=got.body)

        here.script = answer_with_body
        async with database.system() as unit:
            rows = await services.accept_bodies(
                unit,
                [piece(endpoint, body=b"poison"), *(piece(endpoint, body=b"fine") for _ in range(9))],
                room=sender,
            )
        sender.hand_over(rows)
        await until_states(database, delivered=10)
        assert len(here.got) == 10
        async with database.system() as unit:
            assert await unit.fetch_value("select count(*) from attempt") == 9
        assert await states(database) == {"delivered": 10}
    finally:
        async with database.pool.connection() as connection:
            await connection.execute("set local role hub_owner")
            await connection.execute("alter table attempt drop constraint refuse")
