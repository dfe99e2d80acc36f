"""The simulator's memory on disk: one SQLite file, one connection, one thread.

Writers append statements and await `commit()`; whatever gathered while the previous batch was written goes
out in the next one. SQLite's write-ahead log with `synchronous=NORMAL` survives the death of the process
(not of the machine), which is the promise here.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

from partnerhub.kit import logs

log = logs.get(__name__)

Value: TypeAlias = str | bytes | int | float | None
Row: TypeAlias = tuple[Value, ...]

_BACKGROUND_DELAY_SECONDS = 0.005

_SCHEMA = """
create table if not exists objects (
    kind text not null, id text not null, body blob not null, primary key (kind, id)
) without rowid;
create table if not exists blobs (id text primary key, bytes blob not null) without rowid;
create table if not exists messages (
    seq integer primary key, wamid text not null unique, number_id text not null, wa_id text not null,
    direction text not null, type text not null, at real not null, status text not null,
    body blob not null, state blob not null, next_due real, opened_by text
);
create index if not exists messages_chat on messages (wa_id, number_id, seq);
create index if not exists messages_due on messages (next_due) where next_due is not null;
create table if not exists callbacks (
    seq integer primary key, app_id text not null, entry_id text not null, waba_id text not null,
    field text not null, number_id text, events text not null, body blob not null, created_at real not null,
    state text not null, attempts integer not null, due_at real, acked_at real
);
create index if not exists callbacks_pending on callbacks (seq) where state = 'pending';
create table if not exists attempts (
    callback_seq integer not null, n integer not null, at real not null, milliseconds real not null,
    status integer, error text, answer text, url text not null,
    primary key (callback_seq, n)
) without rowid;
"""


class Store:
    """Group-committed writes and read-your-writes queries on one SQLite connection."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="simulator-store")
        self._connection: sqlite3.Connection | None = None
        self._pending: list[tuple[str, Sequence[Value]]] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Open the file (or memory), create what is missing."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    def _open(self) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            ":memory:" if self._path is None else str(self._path),
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=normal")
        connection.execute("pragma busy_timeout=5000")
        connection.executescript(_SCHEMA)
        self._connection = connection

    async def close(self) -> None:
        """Write what is left and close."""
        await self.commit()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._db.close)
        self._thread.shutdown()

    @property
    def _db(self) -> sqlite3.Connection:
        assert self._connection is not None, "the store is not open"
        return self._connection

    def write(self, sql: str, values: Sequence[Value]) -> None:
        """Add a statement to the next batch; it is durable once a later `commit()` returned."""
        self._pending.append((sql, values))
        if self._flusher is None and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_BACKGROUND_DELAY_SECONDS, self._start_flusher)

    async def commit(self) -> None:
        """Return when everything written so far is durable."""
        if not self._pending and self._flusher is None:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._start_flusher()
        await waiter

    def _start_flusher(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._pending or self._waiters:
                batch, self._pending = self._pending, []
                waiters, self._waiters = self._waiters, []
                try:
                    if batch:
                        await loop.run_in_executor(self._thread, self._apply, batch)
                except sqlite3.Error as problem:
                    log.exception("simulator_store_failed", statements=len(batch))
                    for waiter in waiters:
                        if not waiter.done():
                            waiter.set_exception(problem)
                else:
                    for waiter in waiters:
                        if not waiter.done():
                            waiter.set_result(None)
        finally:
            self._flusher = None

    def _apply(self, batch: list[tuple[str, Sequence[Value]]]) -> None:
        db = self._db
        db.execute("begin immediate")
        try:
            for sql, group in itertools.groupby(batch, key=lambda item: item[0]):
                db.executemany(sql, [values for _, values in group])
        except BaseException:
            db.execute("rollback")
            raise
        db.execute("commit")

    async def query(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """Read rows; sees everything written before the call."""
        await self.commit()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: self._db.execute(sql, values).fetchall())

    async def clear(self) -> None:
        """Delete every row of every table."""
        for table in ("objects", "blobs", "messages", "callbacks", "attempts"):
            self.write(f"delete from {table}", ())
        await self.commit()
