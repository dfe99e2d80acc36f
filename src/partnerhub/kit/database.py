"""The one way to the database: a psycopg pool and units of work.

A unit is one transaction under one of two roles. `Database.tenant()` acts for a person or a key and sees
the rows of one partner (row-level security does the second check); `Database.system()` is for the few
functions that look before a tenant is known: key look-up, Meta's callback, claims, ledger batches. The
login role itself may read nothing. Inside a unit the network is refused (`kit.boundary`).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, TypeVar

import psycopg
import psycopg_pool
from psycopg import AsyncConnection, sql
from psycopg.rows import class_row, dict_row, tuple_row

from partnerhub.kit.boundary import in_transaction
from partnerhub.kit.errors import HubError, Unavailable

Params = Sequence[object] | Mapping[str, object]
Query = LiteralString | sql.Composed | sql.SQL
T = TypeVar("T")

SEARCH_PATH = "public, jobs"
OLDEST_SERVER = 16


class DatabaseAway(Unavailable):
    """The database does not answer; unless it left during the commit itself, nothing was written."""

    code = "database_away"


class DatabaseTooOld(HubError):
    """The database is a PostgreSQL that is too old for this release; nothing was changed."""

    code = "database_too_old"
    status = 503


def check_version(number: int) -> None:
    """Look whether a server's version, as `server_version_num` has it (160004), is new enough.

    Raises: DatabaseTooOld.
    """
    if number < OLDEST_SERVER * 10_000:
        raise DatabaseTooOld(
            f"The database is PostgreSQL {number // 10_000}: PostgreSQL {OLDEST_SERVER} or newer is needed."
        )


@dataclass(frozen=True)
class Unit:
    """One open transaction. Read and write through it; it commits when its block ends."""

    connection: AsyncConnection[Any]  # Any: the row factory is chosen per call
    partner_id: str | None

    async def execute(self, query: Query, params: Params | None = None) -> int:
        """Run a statement and return how many rows it touched."""
        cursor = await self.connection.execute(query, params)
        return cursor.rowcount

    async def fetch_one(self, shape: type[T], query: Query, params: Params | None = None) -> T | None:
        """Return the first row as `shape` (columns are its fields), or None."""
        async with self.connection.cursor(row_factory=class_row(shape)) as cursor:
            await cursor.execute(query, params)
            return await cursor.fetchone()

    async def fetch_all(self, shape: type[T], query: Query, params: Params | None = None) -> list[T]:
        """Return every row as `shape`."""
        async with self.connection.cursor(row_factory=class_row(shape)) as cursor:
            await cursor.execute(query, params)
            return await cursor.fetchall()

    async def fetch_dicts(self, query: Query, params: Params | None = None) -> list[dict[str, Any]]:
        """Return every row as a dictionary, where no shape is worth a name."""
        async with self.connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(query, params)
            return await cursor.fetchall()

    async def fetch_value(self, query: Query, params: Params | None = None) -> Any:  # Any: one SQL value
        """Return the first column of the first row, or None."""
        async with self.connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(query, params)
            row = await cursor.fetchone()
        return None if row is None else row[0]

    async def notify(self, channel: str, payload: str = "") -> None:
        """Send a notification that leaves with the commit."""
        await self.connection.execute("select pg_notify(%s, %s)", (channel, payload))

    async def lock(self, name: str) -> None:
        """Hold the named lock until the transaction ends."""
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        await self.connection.execute("select pg_advisory_xact_lock(%s)", (number,))


class Database:
    """The pool of one process."""

    def __init__(self, url: str, *, name: str, min_size: int = 1, max_size: int = 10) -> None:
        """`name` shows in pg_stat_activity; sizes bound the connections of this process."""
        self.url = url
        self.name = name
        self.pool: psycopg_pool.AsyncConnectionPool[AsyncConnection[Any]] = psycopg_pool.AsyncConnectionPool(
            url,
            min_size=min_size,
            max_size=max_size,
            open=False,
            timeout=5,
            # The pool's own patience doubles with each try; after a restart of the database that costs many
            # seconds. Given up early, the next request tries again at once.
            reconnect_timeout=1.5,
            kwargs={"application_name": name, "connect_timeout": 5},
            configure=_configure,
            check=psycopg_pool.AsyncConnectionPool.check_connection,
        )

    async def open(self) -> None:
        """Connect. Raises: DatabaseAway, DatabaseTooOld."""
        try:
            await self.pool.open(wait=True, timeout=15)
            async with self.pool.connection() as connection:
                version = connection.info.server_version
        except psycopg_pool.PoolTimeout as error:
            raise DatabaseAway("The database does not answer.") from error
        try:
            check_version(version)
        except DatabaseTooOld:
            await self.pool.close()
            raise

    async def close(self) -> None:
        """Give every connection back and close it."""
        await self.pool.close()

    @asynccontextmanager
    async def tenant(self, partner_id: str, *, client_id: str = "") -> AsyncIterator[Unit]:
        """Open a unit that sees one partner's rows; with `client_id`, only that client's.

        Raises: DatabaseAway, before anything was done.
        """
        if not partner_id:
            raise ValueError("A tenant unit needs a partner.")
        async with self._unit("hub_tenant", partner_id, client_id) as unit:
            yield unit

    @asynccontextmanager
    async def system(self) -> AsyncIterator[Unit]:
        """Open a unit that sees every partner's rows, in the tables granted to `hub_system`.

        Who may call this is a tested list (`tests/test_system_role.py`).
        """
        async with self._unit("hub_system", "", "") as unit:
            yield unit

    @asynccontextmanager
    async def _unit(self, role: LiteralString, partner_id: str, client_id: str) -> AsyncIterator[Unit]:
        if in_transaction.get():
            raise RuntimeError("A unit of work is already open in this task; pass it on instead.")
        try:
            connection = await self.pool.getconn()
        except psycopg_pool.PoolTimeout as error:
            raise DatabaseAway("The database does not answer.") from error
        mark = in_transaction.set(True)
        try:
            async with connection.transaction():
                await connection.execute(
                    "select set_config('role', %s, true), set_config('app.partner_id', %s, true), "
                    "set_config('app.client_id', %s, true)",
                    (role, partner_id, client_id),
                )
                yield Unit(connection=connection, partner_id=partner_id or None)
        except psycopg.OperationalError as error:
            if not connection.closed:
                raise
            raise DatabaseAway("The database went away.") from error
        finally:
            in_transaction.reset(mark)
            await self.pool.putconn(connection)

    @asynccontextmanager
    async def listen(self, *channels: str) -> AsyncIterator[AsyncConnection[Any]]:
        """Open a direct connection that hears the channels; iterate its `notifies()`."""
        connection: AsyncConnection[Any] = await AsyncConnection.connect(
            self.url, autocommit=True, application_name=f"{self.name} listen", connect_timeout=5
        )
        try:
            for channel in channels:
                await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
            yield connection
        finally:
            await connection.close()


async def _configure(connection: AsyncConnection[Any]) -> None:
    await connection.set_autocommit(True)
    await connection.execute(f"set search_path = {SEARCH_PATH}")
    await connection.execute("set timezone = 'UTC'")
    await connection.set_autocommit(False)
