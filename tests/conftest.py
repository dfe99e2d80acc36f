"""Ground of every test: one real PostgreSQL per run, a migrated template, one database per worker.

The cluster lives in memory with fsync off and is made by the process that starts the run; workers clone
the template and empty the tables between tests. Crash tests start durable clusters of their own.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import uvloop
from psycopg import sql

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.postgres import EmbeddedPostgres
from partnerhub.migrations import run as migrations

_CLUSTER = ExitStack()
_LOGIN = "hub_test"
_PASSWORD = "only-on-loopback"


def pytest_configure(config: pytest.Config) -> None:
    """Start the cluster in the controlling process; workers inherit its address by the environment."""
    if hasattr(config, "workerinput") or "HUB_TEST_SERVER" in os.environ:
        return
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made below it
    folder = Path(tempfile.mkdtemp(prefix="partnerhub-test-", dir=memory if memory.is_dir() else None))
    folder.chmod(0o755)
    server = _CLUSTER.enter_context(EmbeddedPostgres(folder, durable=False).running())
    _CLUSTER.callback(shutil.rmtree, folder, ignore_errors=True)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create role {} login createrole createdb password {}").format(
                sql.Identifier(_LOGIN), sql.Literal(_PASSWORD)
            )
        )
    os.environ["HUB_TEST_SERVER"] = server.url(user=_LOGIN, password=_PASSWORD)
    _make_template(os.environ["HUB_TEST_SERVER"])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the cluster where it was started."""
    if not hasattr(config, "workerinput") and "HUB_TEST_SERVER" in os.environ:
        os.environ.pop("HUB_TEST_SERVER")
        _CLUSTER.close()


def _template_name() -> str:
    digest = hashlib.sha256()
    for file in migrations.files():
        digest.update(file.read_bytes())
    return f"template_{digest.hexdigest()[:16]}"


def with_database(url: str, name: str) -> str:
    """Return the server URL with another database."""
    return url.rpartition("/")[0] + "/" + name


def _make_template(server: str) -> None:
    name = _template_name()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    migrations.upgrade(with_database(server, name))


def clone_database(name: str) -> str:
    """Make a fresh database from the migrated template and return its URL; its name is this worker's own."""
    server = os.environ["HUB_TEST_SERVER"]
    name = f"{name}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(_template_name())
            )
        )
    return with_database(server, name)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:  # noqa: ARG001 - the hook's signature
    """Run one worker more than there are cores: tests wait for processes, browsers and timers."""
    return (os.cpu_count() or 1) + 1


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001 - the hook's signature
    item: pytest.Item,  # noqa: ARG001 - the hook's signature
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run asyncio tests on the loop that production uses."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def _worker_database() -> str:
    return clone_database("test")


@pytest.fixture
def database_url(_worker_database: str) -> Iterator[str]:
    """Give the worker's database, emptied after the test; seed rows of the migrations stay."""
    yield _worker_database
    empty_tables(_worker_database)


def empty_tables(url: str) -> None:
    """Delete every row of every table but the ones that migrations fill."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set role hub_owner")
        connection.execute("set search_path = public, jobs")
        connection.execute(
            """
            do $$
            declare tables text[]; pending text[]; name text; failed boolean;
            begin
              select array_agg(format('%I.%I', n.nspname, c.relname)) into tables
              from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where c.relkind in ('r', 'p') and not c.relispartition and n.nspname in ('public', 'jobs')
                and c.relname not in ('alembic_version', 'partitioned', 'procrastinate_workers')
                and obj_description(c.oid) is distinct from 'seed';
              -- Foreign keys decide the order: what is still referred to waits for the next round.
              while cardinality(tables) > 0 loop
                pending := '{}'; failed := true;
                foreach name in array tables loop
                  begin
                    execute 'delete from ' || name;
                    failed := false;
                  exception when foreign_key_violation then
                    pending := pending || name;
                  end;
                end loop;
                if failed then raise exception 'tables refer to each other in a ring: %', tables; end if;
                tables := pending;
              end loop;
            end $$
            """
        )


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Give an open pool on the worker's database."""
    pool = Database(database_url, name="test", max_size=8)
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    """Give an envelope key ring."""
    return Keyring([bytes(range(32))])


def pytest_collection_finish() -> None:
    """Keep what was imported out of the garbage collector's rounds: it stays until the end."""
    gc.collect()
    gc.freeze()
