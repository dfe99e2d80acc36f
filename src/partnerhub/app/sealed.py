"""Every sealed column there is: what is sealed with which key, and bringing it all under the newest.

The packages that seal know their own column alone; rotation and the doctor need the whole list. A test
compares it with the schema and with the places that the source seals for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection, sql

from partnerhub.app.maintenance import as_owner
from partnerhub.kit.crypto import MARK_BYTES, Keyring, SealBroken
from partnerhub.kit.database import Database

_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class SealedColumn:
    """A column of envelopes; each is bound to `place` and the row's id."""

    table: str
    column: str
    place: str

    @property
    def name(self) -> str:
        """The column as people write it."""
        return f"{self.table}.{self.column}"

    def place_of(self, row_id: str) -> str:
        """Return what an envelope of this row is bound to."""
        return f"{self.place}:{row_id}"

    def query(self, text: str) -> sql.Composed:
        """Fill `{table}`, `{column}` and `{mark}`, what names the key of a row's envelope."""
        column = sql.Identifier(self.column)
        return sql.SQL(text).format(
            table=sql.Identifier(self.table),
            column=column,
            mark=sql.SQL("substring({} from 1 for {})").format(column, sql.Literal(MARK_BYTES)),
        )


SEALED: Final = (
    SealedColumn("channel", "pin_sealed", "channel.pin_sealed"),
    SealedColumn("endpoint", "headers_sealed", "endpoint.headers"),
    SealedColumn("signing_key", "secret_sealed", "signing_key.secret"),
    SealedColumn("token_key", "sealed", "token_key.sealed"),
    SealedColumn("waba", "access_sealed", "waba.access_sealed"),
)


@dataclass(frozen=True)
class ColumnState:
    """How many rows of a column which keys sealed; `broken` names those of a sample that do not open."""

    column: SealedColumn
    current: int
    older: int
    unknown: int
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """How far a rotation is; `total` counts what was under older keys at its start."""

    column: SealedColumn
    done: int
    total: int


@dataclass(frozen=True)
class Rotation:
    """What a rotation did; `broken` names the rows that no key of the ring opens."""

    resealed: int
    broken: tuple[str, ...]


async def survey(database: Database, keyring: Keyring, *, sample: int = 20) -> list[ColumnState]:
    """Count the rows of every sealed column by key, and open some of each, chosen at random."""
    found = []
    for column in SEALED:
        async with as_owner(database) as connection:
            counted = await connection.execute(
                column.query("select {mark}, count(*) from {table} where {column} is not null group by 1")
            )
            counts = {bytes(mark): int(count) async for mark, count in counted}
            rows = await connection.execute(
                column.query(
                    "select id::text, {column} from {table} where {column} is not null"
                    " order by random() limit %s"
                ),
                (sample,),
            )
            opened = [(str(row_id), _opens(keyring, column, row_id, sealed)) async for row_id, sealed in rows]
        marks = keyring.marks
        found.append(
            ColumnState(
                column,
                current=counts.get(marks[0], 0),
                older=sum(counts.get(mark, 0) for mark in marks[1:]),
                unknown=sum(count for mark, count in counts.items() if mark not in marks),
                broken=tuple(row_id for row_id, is_open in opened if not is_open),
            )
        )
    return found


async def rotate(
    database: Database,
    keyring: Keyring,
    *,
    batch: int = 100,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Rotation:
    """Seal everything that an older key sealed with the newest one.

    Batch by batch, each in its own commit: broken off anywhere, a second run does the rest. Rows that
    somebody else is changing are left for later and then taken as they are by then.
    """
    resealed = 0
    broken: list[str] = []
    for column in SEALED:
        work = _Column(database, keyring, column, batch)
        total = await work.count()
        left = total
        while left:
            async for done in work.pass_over():
                on_progress(Progress(column, done, total))
            if (left := await work.count()) and not work.was_useful:
                await asyncio.sleep(_PAUSE_SECONDS)
        resealed += work.done
        broken += [f"{column.name} {row_id}" for row_id in work.faulty]
    return Rotation(resealed, tuple(broken))


class _Column:
    """The rotation of one column."""

    def __init__(self, database: Database, keyring: Keyring, column: SealedColumn, batch: int) -> None:
        self._database = database
        self._keyring = keyring
        self._column = column
        self._batch = batch
        self.done = 0
        self.was_useful = False
        self.faulty: list[object] = []

    async def count(self) -> int:
        """Count what is still to do."""
        query = "select count(*) from {table} where {column} is not null and {mark} <> %s and id <> all(%s)"
        async with as_owner(self._database) as connection:
            counted = await connection.execute(
                self._column.query(query), (self._keyring.marks[0], self.faulty)
            )
            row = await counted.fetchone()
        return int(row[0]) if row else 0

    async def pass_over(self) -> AsyncIterator[int]:
        """Go over the column once, in the order of ids; yield after each commit how much is done in all."""
        self.was_useful = False
        last: object = None
        while True:
            async with as_owner(self._database) as connection:
                rows = await self._take(connection, last)
                await self._reseal(connection, rows)
            if not rows:
                return
            last = rows[-1][0]
            yield self.done

    async def _take(self, connection: AsyncConnection[Any], last: object) -> list[tuple[object, bytes]]:
        """Return the next rows, locked; never waiting for one, this cannot be part of a deadlock."""
        query = (
            "select id, {column} from {table} where {column} is not null and {mark} <> %s and id <> all(%s)"
            + (" and id > %s" if last is not None else "")
            + " order by id limit %s for no key update skip locked"
        )
        values = [self._keyring.marks[0], self.faulty, *([last] if last is not None else []), self._batch]
        rows = await connection.execute(self._column.query(query), values)
        return [(row_id, bytes(sealed)) for row_id, sealed in await rows.fetchall()]

    async def _reseal(self, connection: AsyncConnection[Any], rows: list[tuple[object, bytes]]) -> None:
        renewed: list[tuple[bytes, object]] = []
        for row_id, sealed in rows:
            place = self._column.place_of(str(row_id))
            try:
                secret = self._keyring.open(sealed, place=place)
            except SealBroken:
                self.faulty.append(row_id)
            else:
                renewed.append((self._keyring.seal(secret, place=place), row_id))
        async with connection.cursor() as cursor:
            await cursor.executemany(
                self._column.query("update {table} set {column} = %s where id = %s"), renewed
            )
        self.done += len(renewed)
        self.was_useful = self.was_useful or bool(renewed)


def _opens(keyring: Keyring, column: SealedColumn, row_id: str, sealed: bytes) -> bool:
    try:
        keyring.open(bytes(sealed), place=column.place_of(row_id))
    except SealBroken:
        return False
    return True
