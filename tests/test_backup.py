"""A backup brought into an empty database is the installation as it was: money, deliveries, jobs, secrets."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from partnerhub.app import backup
from partnerhub.app.sealed import survey
from partnerhub.demo import installation
from partnerhub.kit import mail
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.kit.postgres import EmbeddedPostgres
from partnerhub.ledger import queries as ledger
from partnerhub.migrations import run as migrations
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.sender import Sender
from tests.conftest import clone_database, with_database
from tests.gateway.stage import PARTNER, staged
from tests.processes import SECRET_KEYS
from tests.simulator.harness import until
from tests.webhooks.receivers import answer, receiver


def new_database(name: str) -> str:
    """Make an empty database and return its URL; its name is this worker's own."""
    server = os.environ["HUB_TEST_SERVER"]
    own = f"{name}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(own)))
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(own)))
    return with_database(server, own)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """Open a pool on a database."""
    database = Database(url, name="restored", max_size=4)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def counts(url: str) -> dict[str, int]:
    """Count the rows of every table."""
    with psycopg.connect(url) as connection:
        connection.execute("set role hub_owner")
        names = connection.execute(
            "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind = 'r' and n.nspname in ('public', 'jobs') order by 1, 2"
        ).fetchall()
        found = {}
        for schema, name in names:
            row = connection.execute(
                sql.SQL("select count(*) from {}").format(sql.Identifier(schema, name))
            ).fetchone()
            assert row is not None
            found[f"{schema}.{name}"] = int(row[0])
    return found


async def live_a_while(database: Database, keyring: Keyring) -> None:
    """Send messages that are paid, have a receiver that refuses, and leave a mail in the outbox."""
    async with staged(database, keyring) as stage:
        stage.receiver.script = answer(503)
        async with database.tenant(PARTNER) as unit:
            await webhooks.add_signing_key(
                unit, partner_id=PARTNER, secret="platform secret", overlap_hours=0, keyring=keyring
            )
            await mail.queue(unit, to="owner@acme.example", subject="Waiting", text="Not sent yet.")
        wamids = []
        for _ in range(3):
            sent = await stage.client.send_template()
            assert sent.status == 200, sent.body
            wamids.append(sent.json["messages"][0]["id"])
        for wamid in wamids:
            await until(lambda wamid=wamid: stage.is_message(wamid, "read"), timeout_seconds=20)  # type: ignore[misc]  # a lambda's default has no type
        await until(lambda: bool(stage.receiver.got), timeout_seconds=10)


async def test_what_is_restored_is_what_was_backed_up(
    database: Database, keyring: Keyring, tmp_path: Path
) -> None:
    await live_a_while(database, keyring)
    before = counts(database.url)
    assert before["public.charge"] == 3
    assert before["jobs.procrastinate_jobs"] >= 1
    file, told = tmp_path / "hub.backup", list[tuple[int, int]]()

    made = await asyncio.to_thread(
        backup.back_up, database.url, file, tell=lambda done, total: told.append((done, total))
    )

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["hub.backup"], "no draft is left"  # noqa: PTH208 - as short as it gets
    assert made.tables == len(before) == told[-1][0] == told[-1][1]
    url = new_database("restored")
    await asyncio.to_thread(backup.restore, url, file)
    assert counts(url) == before
    assert await backup.check(url, keyring) == []

    async with opened(url) as restored:
        await tenants_are_apart(restored)
        async with database.tenant(PARTNER) as unit:
            balance = await ledger.get_balance(unit, partner_id=PARTNER)
        async with restored.tenant(PARTNER) as unit:
            assert await ledger.get_balance(unit, partner_id=PARTNER) == balance
            # What a service does next works too: the roles may write, and sequences go on.
            await mail.queue(unit, to="owner@acme.example", subject="Again", text="After the restore.")
        await what_waited_is_delivered(restored, keyring)


async def tenants_are_apart(database: Database) -> None:
    """Row-level security came with the tables."""
    async with database.tenant(PARTNER) as unit:
        assert await unit.fetch_value("select count(*) from charge") == 3
    async with database.tenant("otherPA") as unit:
        assert await unit.fetch_value("select count(*) from charge") == 0
    async with database.pool.connection() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("select count(*) from charge")


async def what_waited_is_delivered(database: Database, keyring: Keyring) -> None:
    """A sender on the restored database brings the deliveries that waited, signed as ever."""
    async with receiver() as heard, HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK) as http:
        async with database.system() as unit:
            waiting = await unit.fetch_value(
                "select count(*) from delivery where state in ('pending', 'parked')"
            )
            assert waiting > 0
            await unit.execute("update endpoint set url = %s, breaker = 'closed'", (heard.url(),))
            await unit.execute(
                "update delivery set due_at = now(), state = 'pending', lease = null"
                " where state in ('pending', 'parked')"
            )
        sender = Sender(database, http, keyring, name="restored", poll_seconds=0.1)
        await sender.start()
        try:
            await until(lambda: len(heard.ids) >= waiting, timeout_seconds=20)
        finally:
            await sender.close()
        assert all(got.is_signed_with("platform secret") for got in heard.got)


def test_a_restore_is_all_or_nothing(tmp_path: Path) -> None:
    source = clone_database("backup_source")
    file = tmp_path / "hub.backup"
    backup.back_up(source, file)
    whole, cut = file.read_bytes(), tmp_path / "cut.backup"
    url = new_database("all_or_nothing")
    for missing in (1, 500, len(whole) // 2):
        cut.write_bytes(whole[:-missing])
        with pytest.raises((backup.BackupFailed, backup.BackupUnusable)):
            backup.restore(url, cut)
        assert counts(url) == {}
    backup.restore(url, file)
    assert counts(url) == counts(source)


def test_a_backup_is_never_brought_over_what_is_there(tmp_path: Path) -> None:
    source = clone_database("backup_source")
    file = tmp_path / "hub.backup"
    backup.back_up(source, file)
    before = counts(source)
    with pytest.raises(backup.DatabaseNotEmpty, match="not empty"):
        backup.restore(source, file)
    assert counts(source) == before


def test_a_backup_never_overwrites_a_file_and_leaves_none_when_it_fails(tmp_path: Path) -> None:
    file = tmp_path / "hub.backup"
    file.write_text("an earlier one")
    with pytest.raises(backup.BackupExists):
        backup.back_up(clone_database("backup_source"), file)
    assert file.read_text() == "an earlier one"
    with pytest.raises(backup.DatabaseForeign):
        backup.back_up(new_database("foreign"), tmp_path / "other.backup")
    assert [path.name for path in tmp_path.iterdir()] == ["hub.backup"]


def test_what_is_no_backup_of_ours_is_refused(tmp_path: Path) -> None:
    url = new_database("refused")
    noise = tmp_path / "noise.backup"
    noise.write_bytes(b"PGDMP or not")
    with pytest.raises(backup.BackupUnusable, match="cannot be read"):
        backup.restore(url, noise)

    newer = clone_database("backup_newer")
    with psycopg.connect(newer, autocommit=True) as connection:
        connection.execute("set role hub_owner")
        connection.execute("update alembic_version set version_num = '9999'")
    backup.back_up(newer, tmp_path / "newer.backup")
    with pytest.raises(backup.BackupUnusable, match="newer release"):
        backup.restore(url, tmp_path / "newer.backup")
    with psycopg.connect(newer, autocommit=True) as connection:
        connection.execute("set role hub_owner")
        connection.execute("alter table alembic_version rename to other_version")
        connection.execute("create table alembic_version (version_num text)")
    with pytest.raises(backup.DatabaseForeign):
        backup.back_up(newer, tmp_path / "foreign.backup")
    assert counts(url) == {}


async def test_a_restore_tells_which_keys_are_missing(
    database: Database, keyring: Keyring, tmp_path: Path
) -> None:
    async with database.tenant("onePA") as unit:
        await webhooks.add_signing_key(
            unit, partner_id="onePA", secret="sealed", overlap_hours=0, keyring=keyring
        )
    file, url = tmp_path / "hub.backup", new_database("keyless")
    await asyncio.to_thread(backup.back_up, database.url, file)
    await asyncio.to_thread(backup.restore, url, file)
    stranger = Keyring([bytes(32)])
    assert await backup.check(url, stranger) == [
        "1 values of signing_key.secret_sealed need a key that is not in the ring."
    ]
    assert await backup.check(url, keyring) == []


def test_no_command_line_carries_the_password(tmp_path: Path) -> None:
    url = clone_database("backup_source")
    with psycopg.connect(url) as connection:
        server = backup._server(connection, url)
        password = connection.info.password
    assert password
    assert password not in server.conninfo
    assert server.environment["PGPASSWORD"] == password
    backup.back_up(url, tmp_path / "hub.backup")


def test_an_older_server_gets_the_program_of_its_own_version(tmp_path: Path) -> None:
    folder = tmp_path / "sixteen"
    tmp_path.chmod(0o755)
    with EmbeddedPostgres(folder, version=16, durable=False).running() as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("create role hub_sixteen login createrole createdb password 'x'")
        url = server.url(user="hub_sixteen", password="x")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create database source")
            connection.execute("create database target")
        source, target = with_database(url, "source"), with_database(url, "target")
        migrations.upgrade(source)
        backup.back_up(source, tmp_path / "hub.backup")
        backup.restore(target, tmp_path / "hub.backup")
        assert counts(target) == counts(source)


async def test_an_embedded_installation_moves_to_another_folder(tmp_path: Path) -> None:
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "hub.backup"
    with installation.opened(old, make=True) as place:
        await asyncio.to_thread(migrations.upgrade, place.database_url)
        keyring = Keyring.from_text(place.secret_keys)
        async with opened(place.database_url) as database:
            async with database.tenant("onePA") as unit:
                await webhooks.add_signing_key(
                    unit, partner_id="onePA", secret="moves along", overlap_hours=0, keyring=keyring
                )
            # Somebody else (a running installation) holds the folder: its server is used as it is.
            with installation.opened(old) as again:
                assert again == place
                await asyncio.to_thread(backup.back_up, again.database_url, file)
    new.mkdir()
    shutil.copy(old / "installation.json", new)
    with installation.opened(new, make=True) as place:
        await asyncio.to_thread(backup.restore, place.database_url, file)
        keyring = Keyring.from_text(place.secret_keys)
        assert await backup.check(place.database_url, keyring) == []
        async with opened(place.database_url) as database:
            states = {state.column.name: state for state in await survey(database, keyring)}
    assert states["signing_key.secret_sealed"].current == 1


def test_a_folder_without_an_installation_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(installation.InstallationMissing, match="no installation"),
        installation.opened(tmp_path),
    ):
        raise AssertionError(SECRET_KEYS)
