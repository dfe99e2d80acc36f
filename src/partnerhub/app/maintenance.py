"""Work of the operator on the whole database, as the role that owns it: no tenant, no page, no request.

Besides migrations, only what is built on `as_owner` becomes `hub_owner`; a test holds the list.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection

from partnerhub.kit.database import Database

OWNER = "hub_owner"


@asynccontextmanager
async def as_owner(database: Database) -> AsyncIterator[AsyncConnection[Any]]:
    """Open a transaction that sees and may change every row; it commits when the block ends."""
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute("select set_config('role', %s, true)", (OWNER,))
        yield connection
