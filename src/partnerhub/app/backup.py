"""Backups of the whole database in one file, and bringing one into an empty database.

PostgreSQL's own programs do the work, as the role that owns the tables (its policies do not bind the owner,
so nothing is left out). The file holds every secret sealed, and none of the keys that open them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from partnerhub.app.maintenance import OWNER
from partnerhub.app.sealed import survey
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.errors import Conflict, Invalid, Unavailable, UpstreamFailed
from partnerhub.kit.postgres import DatabaseUnavailable, binaries
from partnerhub.ledger.queries import check_books
from partnerhub.migrations import roles
from partnerhub.migrations import run as migrations

_BUNDLED = (18, 16)
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_REVISION = re.compile(r"^COPY public\.alembic_version [^\n]*\n(\w+)\n", re.MULTILINE)
_TABLE_DATA = re.compile(r"^\d+; \d+ \d+ TABLE DATA ", re.MULTILINE)
# `roles.ensure` has set what may be done in this schema; its owner, not ours, would have to repeat it.
_NOT_RESTORED = " ACL - SCHEMA public "

Tell = Callable[[int, int], None]
"""Called with how many tables are done, of how many."""


class BackupExists(Conflict):
    """There is a file of this name; it is never overwritten."""

    code = "backup_exists"


class BackupFailed(UpstreamFailed):
    """PostgreSQL's program did not finish; the message is its own."""

    code = "backup_failed"


class BackupUnusable(Invalid):
    """The file is no backup of Partner Hub, or one that this release cannot read."""

    code = "backup_unusable"


class DatabaseForeign(Conflict):
    """The database holds no Partner Hub, so there is nothing to back up."""

    code = "database_foreign"


class DatabaseNotEmpty(Conflict):
    """A backup is only brought into an empty database."""

    code = "database_not_empty"


class ProgramMissing(Unavailable):
    """PostgreSQL's client programs are not there in the version that the server needs."""

    code = "backup_program_missing"


@dataclass(frozen=True)
class Backup:
    """What is in a backup."""

    revision: str
    tables: int
    size_bytes: int


@dataclass(frozen=True)
class _Server:
    """What of the server decides which program can talk to it."""

    version: int
    has_tls: bool
    conninfo: str
    environment: Mapping[str, str]


def back_up(url: str, path: Path, *, tell: Tell = lambda _done, _all: None) -> Backup:
    """Write the whole database to `path`, readable by its owner alone; the file is whole or not there.

    Raises: BackupExists, BackupFailed, DatabaseForeign, ProgramMissing.
    """
    path = path.absolute()
    if path.exists():
        raise BackupExists(f"{path} exists already.")
    with psycopg.connect(url) as connection:
        server = _server(connection, url)
        revision = _revision(connection)
        tables = _count_tables(connection)
    if revision is None:
        raise DatabaseForeign("The database holds no Partner Hub: run `partnerhub migrate` first.")
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        # By name and not as its output, which it could not complete with where in the file each table is.
        command = [str(_program("pg_dump", server)), "--format=custom", f"--role={OWNER}", "--verbose"]
        command += ["--file", str(draft), "--dbname", server.conninfo]
        _run(command, server, line="dumping contents of table", total=tables, tell=tell)
        # What cannot be read back is found now and not on the day it is needed.
        program = _program("pg_restore", server)
        _run([str(program), "--file", os.devnull, str(draft)], server)
        kept = len(_TABLE_DATA.findall(_contents(program, draft)))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return Backup(revision, kept, path.stat().st_size)


def restore(url: str, path: Path, *, tell: Tell = lambda _done, _all: None) -> Backup:
    """Bring a backup into an empty database, with roles, and migrate it to this release.

    All of it or nothing.

    Raises: BackupUnusable, BackupFailed, DatabaseNotEmpty, ProgramMissing, RolesMissing.
    """
    with psycopg.connect(url) as connection:
        server = _server(connection, url)
        _refuse_content(connection)
    program = _program("pg_restore", server)
    contents = _contents(program, path)
    revision = _revision_in(program, path)
    if not migrations.knows(revision):
        raise BackupUnusable(f"The backup is from a newer release (revision {revision}); install that first.")
    roles.ensure(url)
    tables = len(_TABLE_DATA.findall(contents))
    with tempfile.NamedTemporaryFile("w", prefix="partnerhub-restore-", suffix=".list") as chosen:
        chosen.writelines(line for line in contents.splitlines(keepends=True) if _NOT_RESTORED not in line)
        chosen.flush()
        command = [str(program), f"--role={OWNER}", "--no-owner", "--single-transaction", "--exit-on-error"]
        command += ["--verbose", "--use-list", chosen.name, "--dbname", server.conninfo, str(path)]
        _run(command, server, line="processing data for table", total=tables, tell=tell)
    migrations.upgrade(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select set_config('role', %s, false)", (OWNER,))
        # The days since the backup; and figures for the planner, which a backup does not carry.
        connection.execute("select make_partitions()")
        connection.execute("set client_min_messages = error")
        connection.execute("analyze")
    return Backup(revision, tables, path.stat().st_size)


async def check(url: str, keyring: Keyring) -> list[str]:
    """Return what is wrong with a restored database, a line each: its books, and secrets that do not open."""
    database = Database(url, name="backup check", max_size=2)
    await database.open()
    try:
        async with database.system() as unit:
            differences = await check_books(unit)
        states = await survey(database, keyring)
    finally:
        await database.close()
    found = [f"The books do not add up: {difference}" for difference in differences]
    for state in states:
        if state.unknown:
            found.append(f"{state.unknown} values of {state.column.name} need a key that is not in the ring.")
        elif state.broken:
            found.append(f"Values of {state.column.name} do not open: {', '.join(state.broken)}")
    return found


def _server(connection: psycopg.Connection[Any], url: str) -> _Server:
    parameters = conninfo_to_dict(url)
    password = parameters.pop("password", None)
    # Never in the command line, which everybody on the machine can read.
    secret = {"PGPASSWORD": str(password)} if password is not None else {}
    return _Server(
        version=connection.info.server_version // 10_000,
        has_tls=connection.pgconn.ssl_in_use,
        conninfo=make_conninfo("", **{**parameters, "application_name": "partnerhub backup"}),
        environment={**os.environ, **secret},
    )


def _revision(connection: psycopg.Connection[Any]) -> str | None:
    found = connection.execute("select to_regclass('public.alembic_version') is not null").fetchone()
    if found != (True,):
        return None
    connection.execute("select set_config('role', %s, true)", (OWNER,))
    row = connection.execute("select version_num from public.alembic_version").fetchone()
    return None if row is None else str(row[0])


def _count_tables(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind = 'r' and n.nspname in ('public', 'jobs')"
    ).fetchone()
    return 0 if row is None else int(row[0])


def _refuse_content(connection: psycopg.Connection[Any]) -> None:
    rows = connection.execute(
        "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'"
        " and c.relkind in ('r', 'p', 'v', 'm') order by 1 limit 3"
    ).fetchall()
    if rows:
        names = ", ".join(name for (name,) in rows)
        raise DatabaseNotEmpty(
            f"The database “{connection.info.dbname}” is not empty ({names} …). A backup is brought into an"
            " empty database only: make a new one and name it in DATABASE_URL, or choose a new data folder."
        )


def _program(name: str, server: _Server) -> Path:
    """Choose the program of the server's own version where there is one, else the next newer.

    Raises: ProgramMissing.
    """
    usable = []
    for path, is_bundled in _candidates(name):
        asked = [str(path), "--version"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
        found = _VERSION.search(said.stdout)
        # The bundled programs know no TLS.
        if found and int(found[1]) >= server.version and not (is_bundled and server.has_tls):
            usable.append((int(found[1]), not is_bundled, path))
    if not usable:
        raise ProgramMissing(
            f"{name} of PostgreSQL {server.version} or newer is needed: install PostgreSQL's client programs."
        )
    return min(usable)[2]


def _candidates(name: str) -> list[tuple[Path, bool]]:
    found: list[tuple[Path, bool]] = []
    for version in _BUNDLED:
        with suppress(DatabaseUnavailable):
            found.append((binaries(version) / name, True))
    if own := shutil.which(name):
        found.append((Path(own), False))
    return [(path, is_bundled) for path, is_bundled in found if path.exists()]


def _contents(program: Path, path: Path) -> str:
    """Return the table of contents of a backup. Raises: BackupUnusable."""
    command = [str(program), "--list", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if done.returncode:
        raise BackupUnusable(f"{path} cannot be read as a backup: {_last_line(done.stderr)}")
    return done.stdout


def _revision_in(program: Path, path: Path) -> str:
    command = [
        str(program),
        "--file=-",
        "--data-only",
        "--schema=public",
        "--table=alembic_version",
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    found = _REVISION.search(done.stdout)
    if done.returncode or found is None:
        raise BackupUnusable(f"{path} is no backup of Partner Hub.")
    return found[1]


def _run(
    command: Sequence[str], server: _Server, *, line: str = "", total: int = 0, tell: Tell | None = None
) -> None:
    """Run a program to its end; tell of every line of its own that has `line` in it. Raises: BackupFailed."""
    done, said = 0, []
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=dict(server.environment),
        text=True,
    )
    try:
        assert process.stderr is not None
        for text in process.stderr:
            if tell is not None and line in text:
                done += 1
                tell(done, max(total, done))
            elif "error" in text:
                said.append(text)
        if process.wait():
            raise BackupFailed(_last_line("".join(said)) or f"{Path(command[0]).name} failed.")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
