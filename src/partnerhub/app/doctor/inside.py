"""The doctor's look at the database: server, roles, schema, days, books, jobs, mails, sealed values."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import psycopg

from partnerhub.app import sealed
from partnerhub.app.doctor.findings import Finding, Level, failed, ok, some, warning
from partnerhub.app.maintenance import as_owner
from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database, DatabaseTooOld, check_version
from partnerhub.ledger.queries import check_books
from partnerhub.migrations import roles
from partnerhub.migrations import run as migrations

Connection = psycopg.AsyncConnection[tuple[object, ...]]

DAYS_AHEAD = 3
# A worker tells every 10 seconds that it lives.
_WORKER_SILENT = timedelta(seconds=45)
_LATE = timedelta(minutes=5)
_CLOCK_WARNING = timedelta(seconds=2)
_CLOCK_FAILED = timedelta(seconds=30)


@dataclass(frozen=True)
class Server:
    """What the first look says; without it, nothing else of the database can be asked."""

    findings: list[Finding]
    is_usable: bool


async def look_at_server(url: str) -> Server:
    """Connect, and look at version, clock, roles and schema."""
    try:
        async with await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=5, application_name="doctor"
        ) as connection:
            answers = ok("database_reachable", "The database answers.")
            found = [answers, *[finding async for finding in _server(connection)]]
    except psycopg.Error as error:
        words = f"The database does not answer: {str(error).strip()}"
        return Server([failed("database_reachable", words)], is_usable=False)
    is_usable = not any(one.level is Level.FAILED and one.code != "clock_database" for one in found)
    return Server(found, is_usable)


async def _server(connection: Connection) -> AsyncIterator[Finding]:
    """Go from what everything needs to what needs it, and stop where the next cannot be asked."""
    number = connection.info.server_version
    try:
        check_version(number)
    except DatabaseTooOld as error:
        yield failed("database_version", error.message)
        return
    yield ok("database_version", f"PostgreSQL {number // 10_000}.")
    yield await _clock(connection)
    taken = await _roles(connection)
    yield taken
    if taken.level is not Level.FAILED:
        yield await _schema(connection)


async def _clock(connection: Connection) -> Finding:
    before = clock.now()
    cursor = await connection.execute("select extract(epoch from clock_timestamp())::float8")
    row = await cursor.fetchone()
    after = clock.now()
    assert row is not None
    middle = before + (after - before) / 2
    return skew("clock_database", "the database", float(str(row[0])) - middle.timestamp())


def skew(code: str, whose: str, seconds: float, *, blur_seconds: float = 0.0) -> Finding:
    """Judge how far a clock is from ours; `blur_seconds` is what cannot be told apart."""
    off = timedelta(seconds=max(0.0, abs(seconds) - blur_seconds))
    words = f"Our clock and that of {whose} are {off.total_seconds():.1f} s apart"
    if off >= _CLOCK_FAILED:
        return failed(code, f"{words}: set the clocks by NTP; signatures and codes go wrong.")
    if off >= _CLOCK_WARNING:
        return warning(code, f"{words}: set the clocks by NTP.")
    return ok(code, f"{words}.")


async def _roles(connection: Connection) -> Finding:
    cursor = await connection.execute(
        "select g.name, r.oid is not null, coalesce(pg_has_role(r.oid, 'set'), false)"
        " from unnest(%s::text[]) g(name) left join pg_roles r on r.rolname = g.name",
        (list(roles.GROUPS),),
    )
    wrong = [str(name) for name, exists, may_take in await cursor.fetchall() if not (exists and may_take)]
    if wrong:
        return failed(
            "database_roles",
            f"The login may not take {some(wrong)}: run `partnerhub migrate`, which makes the roles.",
        )
    cursor = await connection.execute(
        "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"
    )
    if await cursor.fetchone() == (True,):
        return warning(
            "database_roles",
            "The login is a superuser or bypasses row-level security: give the services one of their own.",
        )
    return ok("database_roles", "The login may take its roles, and nothing beyond them.")


async def _schema(connection: Connection) -> Finding:
    newest = migrations.newest()
    cursor = await connection.execute("select to_regclass('public.alembic_version') is not null")
    if await cursor.fetchone() != (True,):
        return failed("database_schema", "The database is empty: run `partnerhub migrate`.")
    async with connection.transaction():
        await connection.execute("set local role hub_owner")
        cursor = await connection.execute("select version_num from public.alembic_version")
        row = await cursor.fetchone()
    revision = str(row[0]) if row else "none"
    if revision == newest:
        return ok("database_schema", f"The schema is that of this release ({newest}).")
    if migrations.knows(revision):
        return failed("database_schema", f"The schema is at {revision}: run `partnerhub migrate`.")
    return failed("database_schema", f"The schema is of a newer release ({revision}): install that one.")


async def look_at_days(database: Database) -> AsyncIterator[Finding]:
    """Look whether the coming days have their partitions."""
    today = clock.now().date()
    wanted = [today + timedelta(days=number) for number in range(DAYS_AHEAD + 1)]
    async with as_owner(database) as connection:
        cursor = await connection.execute(
            "select p.table_name, d.day from partitioned p cross join unnest(%s::date[]) d(day)"
            " where to_regclass(p.table_name || '_' || to_char(d.day, 'YYYYMMDD')) is null order by 2, 1",
            (wanted,),
        )
        missing = await cursor.fetchall()
    now = [f"{table} {day}" for table, day in missing if day <= today + timedelta(days=1)]
    if now:
        yield failed("database_days", f"No room for {some(now)}: start a worker, which makes the days.")
    elif missing:
        later = [f"{table} {day}" for table, day in missing]
        yield warning("database_days", f"No room yet for {some(later)}: does a worker run?")
    else:
        yield ok("database_days", f"The tables have room for the next {DAYS_AHEAD} days.")


async def look_at_books(database: Database) -> AsyncIterator[Finding]:
    """Recompute every wallet, batch and charge."""
    async with database.system() as unit:
        differences = await check_books(unit)
    if differences:
        first = differences[0]
        yield failed(
            "ledger_books",
            f"{len(differences)} figures of the books are not what their rows say, first: {first.rule} of"
            f" {first.partner_id or 'the house'} {first.subject}: {first.found} instead of {first.expected}.",
        )
    else:
        yield ok("ledger_books", "The books add up.")


async def look_at_jobs(database: Database) -> AsyncIterator[Finding]:
    """Look whether a worker lives, and whether jobs or mails are left over."""
    async with as_owner(database) as connection:
        cursor = await connection.execute(
            "select count(*) from jobs.procrastinate_workers where last_heartbeat > now() - %s",
            (_WORKER_SILENT,),
        )
        row = await cursor.fetchone()
        living = int(row[0]) if row else 0
        cursor = await connection.execute(
            "select task_name, count(*) from jobs.procrastinate_jobs j where status = 'todo'"
            " and coalesce(scheduled_at, (select min(at) from jobs.procrastinate_events e"
            "   where e.job_id = j.id)) < now() - %s group by 1 order by 2 desc, 1",
            (_LATE,),
        )
        late = [f"{name} ({count})" for name, count in await cursor.fetchall()]
        cursor = await connection.execute(
            "select task_name, count(*) from jobs.procrastinate_jobs where status = 'failed'"
            " group by 1 order by 2 desc, 1"
        )
        lost = [f"{name} ({count})" for name, count in await cursor.fetchall()]
        cursor = await connection.execute(
            "select count(*), max(last_error) from mail"
            " where sent_at is null and failed_at is null and created_at < now() - %s",
            (_LATE,),
        )
        mails = await cursor.fetchone()
    if living:
        yield ok("jobs_worker", f"{living} worker{'s' if living > 1 else ''} at work.")
    else:
        yield failed("jobs_worker", "No worker is at work: start `partnerhub serve worker`.")
    if late:
        yield warning("jobs_late", f"Jobs wait for more than {_LATE.seconds // 60} minutes: {some(late)}.")
    else:
        yield ok("jobs_late", "No job waits.")
    if lost:
        yield warning("jobs_failed", f"Jobs were given up; the worker's log says why: {some(lost)}.")
    else:
        yield ok("jobs_failed", "No job was given up.")
    if mails and mails[0]:
        yield warning("mail_waiting", f"{mails[0]} mails wait to be sent; last error: {mails[1] or 'none'}.")
    else:
        yield ok("mail_waiting", "No mail waits.")


async def look_at_keys(database: Database, keyring: Keyring) -> AsyncIterator[Finding]:
    """Look whether the ring opens what is stored, and whether older keys are still needed."""
    states = await sealed.survey(database, keyring)
    unknown = [f"{state.column.name} ({state.unknown})" for state in states if state.unknown]
    broken = [f"{state.column.name} {row}" for state in states if not state.unknown for row in state.broken]
    if unknown:
        words = f"Sealed with keys that are not in PARTNERHUB_SECRET_KEYS: {some(unknown)}."
        yield failed("keys_open", words)
    elif broken:
        yield failed("keys_open", f"Values do not open, they were changed or moved: {some(broken)}.")
    else:
        count = sum(state.current + state.older for state in states)
        yield ok("keys_open", f"The envelope keys open what is stored ({count} values).")
    older = sum(state.older for state in states)
    if older:
        yield warning("keys_older", f"{older} values are under older keys: run `partnerhub keys rotate`.")
    elif len(keyring.marks) > 1:
        yield ok("keys_older", "Nothing is under the older keys: they may leave PARTNERHUB_SECRET_KEYS.")
    else:
        yield ok("keys_older", "Everything is under the newest key.")
