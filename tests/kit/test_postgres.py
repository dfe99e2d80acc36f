"""The embedded server: made once, recovers from kill -9, keeps out of where root alone may go."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from pathlib import Path

import psycopg
import pytest

from partnerhub.kit.postgres import EmbeddedPostgres


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder that the server's user can reach (pytest's own are closed to others)."""
    for place in (tmp_path, *tmp_path.parents[:3]):
        if place.owner() == Path.home().owner() and "pytest" in place.name:
            place.chmod(0o755)
    return tmp_path / "postgres"


@pytest.mark.parametrize("version", [16, 18])
def test_the_server_starts_twice_on_the_same_data(folder: Path, version: int) -> None:
    for expected in (0, 1):
        with (
            EmbeddedPostgres(folder, version=version, durable=False).running() as server,
            psycopg.connect(server.url(), autocommit=True) as connection,
        ):
            connection.execute("create table if not exists kept (n int)")
            row = connection.execute("select count(*) from kept").fetchone()
            assert row == (expected,)
            connection.execute("insert into kept values (1)")


def test_the_password_is_ours_alone_and_needed(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False).running() as server:
        assert stat.S_IMODE((server.folder / "password").stat().st_mode) == 0o600
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url(password="wrong"))


def test_committed_rows_survive_kill_9_of_the_whole_server(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.prepare()
    process = subprocess.Popen(server.command(), stderr=subprocess.DEVNULL, **server.account.as_arguments())
    server.wait_until_ready()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("create table kept as select generate_series(1, 1000) n")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with EmbeddedPostgres(folder).running() as again, psycopg.connect(again.url()) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (1000,)


def test_a_half_made_cluster_is_thrown_away(folder: Path) -> None:
    (folder / "data.new").mkdir(parents=True)
    (folder / "data.new" / "PG_VERSION").write_text("18")
    with EmbeddedPostgres(folder, durable=False).running() as server:
        psycopg.connect(server.url()).close()


def test_the_project_may_lie_where_nobody_else_can_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedPostgres(closed / "postgres", durable=False).running() as server:
        psycopg.connect(server.url()).close()
        moved = closed / "postgres" / "postgres-data-is-in"
        # Only root runs the server as somebody else, and only then must the data move.
        assert moved.exists() == (os.geteuid() == 0)
        assert server.folder == (moved.resolve() if moved.exists() else closed / "postgres")
