"""The gate: nothing that costs is sent before its money is reserved and committed.

One gate per process turns many reserves, binds and releases into one commit. Any number of gates work on
the same wallets: the database orders them. Nothing is ever promised from memory: an answer comes after the
commit, and where there can be none, the send is refused.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final
from uuid import UUID

import msgspec
import psycopg

from partnerhub.kit import clock, logs
from partnerhub.kit.database import Database, DatabaseAway
from partnerhub.kit.errors import HubError, Invalid
from partnerhub.kit.money import Micros
from partnerhub.kit.tasks import stop
from partnerhub.ledger.errors import GateBusy, KeyReused, PaymentMissing
from partnerhub.ledger.pricing import Prices
from partnerhub.ledger.recipients import normalise
from partnerhub.ledger.renewals import ask_for_renewal
from partnerhub.ledger.schemas import Category, Reserved, ReserveOrder
from partnerhub.ledger.snapshots import load_prices

_log = logs.get(__name__)
_PRICES_EVERY_SECONDS: Final = 60.0  # also without a notification, should one be lost
_CONNECT_SECONDS: Final = 1.0  # twice that, and callers hear that the database is away
_LONGEST_NAME: Final = 512
# What a later try may mend: the server gone, hung, in failover, or this transaction chosen as a victim.
_AWAY: Final = (
    DatabaseAway,
    TimeoutError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
)


class OrderInvalid(Invalid):
    """An order names something that cannot be stored, or no recipients at all."""

    code = "order_invalid"


class _Item(msgspec.Struct, omit_defaults=True):
    """One row of the SQL function `ledger_gate`; `n` is its place in the batch."""

    op: str
    partner_id: str
    key: UUID
    n: int = -1
    reference: str | None = None
    recipient: str | None = None
    category: str | None = None
    currency: str | None = None
    max: int | None = None
    parts: int | None = None
    allowance: int | None = None
    month: date | None = None
    wamid: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class _Row:
    n: int | None
    answer: str
    micros: int | None
    partner_id: str | None
    currency: str | None


@dataclass(frozen=True)
class _Waiting:
    item: _Item
    answer: asyncio.Future[_Row]

    @property
    def is_reserve(self) -> bool:
        return self.item.op == "reserve"

    def refuse(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Gate:
    """Reserve before the send; bind or release after it."""

    def __init__(
        self,
        db: Database,
        *,
        max_batch: int = 500,
        max_delay_seconds: float = 0.004,
        max_waiting: int = 10_000,
        patience_seconds: float = 5.0,
        block_free_at_zero: bool = False,
    ) -> None:
        """`patience_seconds` bounds the wait for an answer; `max_waiting` bounds the queue."""
        self._db = db
        self._max_batch = max_batch
        self._max_delay = max_delay_seconds
        self._max_waiting = max_waiting
        self._patience = patience_seconds
        self._block_free_at_zero = block_free_at_zero
        self._prices = Prices()
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_open = False
        self._is_away = False

    async def start(self) -> None:
        """Load the prices and begin to take orders. Raises: DatabaseAway."""
        await self.refresh_prices()
        self._is_open = True
        self._tasks = [
            asyncio.create_task(self._write(), name="gate writer"),
            asyncio.create_task(self._follow_prices(), name="gate prices"),
        ]

    async def close(self, *, grace_seconds: float = 10.0) -> None:
        """Take nothing more, finish what waits, then stop."""
        self._is_open = False
        self._arrived.set()
        if self._tasks:
            writer, prices = self._tasks
            await asyncio.wait([writer], timeout=grace_seconds)
            await stop(writer, prices)
            self._tasks = []
        for left in self._waiting:
            left.refuse(GateBusy("The gate is closed."))
        self._waiting.clear()

    @property
    def depth(self) -> int:
        """How many items wait; for metrics."""
        return len(self._waiting)

    async def refresh_prices(self) -> None:
        """Take the newest prices over now. Raises: DatabaseAway."""
        async with self._db.system() as unit:
            self._prices = await load_prices(unit)

    async def reserve(self, order: ReserveOrder) -> Reserved:
        """Hold the highest possible price of the order, and answer once that is committed.

        The same key gives the first answer again. If the caller is cancelled, what was reserved for it
        alone is given back.

        Raises: PaymentMissing, RateMissing, KeyReused, OrderInvalid, GateBusy (may be tried again).
        """
        _check(order)
        quote = self._prices.quote(order, clock.now())
        is_service = quote.allowance is not None
        row = await self._ask(
            _Item(
                op="reserve",
                partner_id=order.partner_id,
                key=order.key,
                reference=order.reference,
                recipient=normalise(order.recipient),
                category=order.category.value,
                currency=order.currency,
                max=quote.max_micros,
                parts=order.participants,
                allowance=quote.allowance,
                month=quote.month if is_service else None,
            )
        )
        match row.answer:
            case "reserved" | "repeated":
                return Reserved(order.key, Micros(row.micros or 0))
            case "reused":
                raise KeyReused("The key was used for another order.")
            case _:
                raise PaymentMissing("The balance does not cover the highest possible price of this message.")

    def dearest(self, order: ReserveOrder) -> Category:
        """Return the category in which the order's message may cost most: for one that nobody can name.

        Raises: RateMissing.
        """
        now = clock.now()
        return max(
            Category,
            key=lambda category: self._prices.quote(replace(order, category=category), now).max_micros,
        )

    async def bind(self, partner_id: str, key: UUID, wamid: str) -> None:
        """Say which message a reservation became. Repeatable, in any order with the message's statuses.

        Once given, it is carried out even if the caller does not wait for it.

        Raises: OrderInvalid, GateBusy (not yet carried out; it still will be, unless the process ends).
        """
        _check_text(wamid)
        await self._ask(_Item(op="bind", partner_id=partner_id, key=key, wamid=wamid))

    async def release(self, partner_id: str, key: UUID, reason: str) -> None:
        """Give a reservation back whose message was not accepted; ignored after a capture.

        Once given, it is carried out even if the caller does not wait for it.

        Raises: GateBusy (not yet carried out; it still will be, unless the process ends).
        """
        text = reason.replace("\0", "")[:_LONGEST_NAME]
        await self._ask(_Item(op="release", partner_id=partner_id, key=key, reason=text))

    async def _ask(self, item: _Item) -> _Row:
        if not self._is_open:
            raise GateBusy("The gate is closed.")
        if item.op == "reserve":
            # Binds and releases always get in: there are no more of them than reservations before.
            if self._is_away:
                raise GateBusy("The database is away; nothing can be reserved.")
            if len(self._waiting) >= self._max_waiting:
                raise GateBusy("Too many messages wait for their reservation.")
        waiting = _Waiting(item, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        try:
            async with asyncio.timeout(self._patience):
                return await waiting.answer  # cancelled with us; the writer sees that
        except TimeoutError:
            raise GateBusy("The reservation was not confirmed in time.") from None

    async def _write(self) -> None:
        while self._is_open or self._waiting:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            await self._gather()
            batch = self._take()
            if batch:
                await self._carry_out(batch)

    async def _gather(self) -> None:
        """Let a batch grow while more arrives, but not longer than the allowed delay."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._max_delay
        size = 0
        while size < len(self._waiting) < self._max_batch and loop.time() < until:
            size = len(self._waiting)
            await asyncio.sleep(0)

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < self._max_batch:
            waiting = self._waiting.popleft()
            if not (waiting.is_reserve and waiting.answer.done()):  # nobody waits for it any more
                batch.append(waiting)
        return batch

    async def _carry_out(self, batch: list[_Waiting]) -> None:
        """Commit a batch, whatever it takes; reserves are refused while the database is away."""
        pause = 0.0
        while batch:
            try:
                rows = await self._commit([waiting.item for waiting in batch])
            except _AWAY as error:
                # Gone, or chosen as a victim. What was committed unseen is answered by its key.
                _log.warning("gate_retries", items=len(batch), error=repr(error))
                if pause > 0:
                    self._is_away = True
                    batch = _refuse_reserves(batch)
                    if not self._is_open:
                        break
                await asyncio.sleep(pause)
                pause = min(max(pause * 2, 0.05), 1.0)
            except Exception as error:  # noqa: BLE001 - handed to the caller it belongs to
                if len(batch) == 1:
                    _log.exception("gate_item_refused", op=batch[0].item.op)
                    batch[0].refuse(error)
                    return
                # One of them cannot be stored; find it without hurting the others.
                for waiting in batch:
                    await self._carry_out([waiting])
                return
            else:
                self._is_away = False
                self._reply(batch, rows, is_retry=pause > 0)
                return
        for waiting in batch:
            waiting.refuse(GateBusy("The database is away."))
        await self._wait_for_database()

    async def _wait_for_database(self) -> None:
        pause = 0.05
        while self._is_open and not self._waiting:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS), self._db.system():
                    pass
            except _AWAY:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
            else:
                self._is_away = False
                return

    async def _commit(self, items: Sequence[_Item]) -> list[_Row]:
        for n, item in enumerate(items):
            item.n = n
        async with asyncio.timeout(_CONNECT_SECONDS) as limit, self._db.system() as unit:
            limit.reschedule(asyncio.get_running_loop().time() + self._patience)
            rows = await unit.fetch_all(
                _Row,
                "select n, answer, micros, partner_id, currency from ledger_gate(%s::jsonb, %s, %s)",
                (msgspec.json.encode(items).decode(), clock.now(), self._block_free_at_zero),
            )
            for row in rows:
                if row.answer == "below" and row.partner_id is not None and row.currency is not None:
                    await ask_for_renewal(unit, partner_id=row.partner_id, currency=row.currency)
        return rows

    def _reply(self, batch: Sequence[_Waiting], rows: Sequence[_Row], *, is_retry: bool) -> None:
        for row in rows:
            if row.n is None:
                continue
            waiting = batch[row.n]
            if not waiting.answer.done():
                waiting.answer.set_result(row)
            elif row.answer == "reserved" or (row.answer == "repeated" and is_retry):
                # Its caller went away while we committed (on a retry: perhaps the time before), so nobody
                # will send it.
                item = waiting.item
                self._append_release(item.partner_id, item.key)

    def _append_release(self, partner_id: str, key: UUID) -> None:
        item = _Item(op="release", partner_id=partner_id, key=key, reason="the caller went away")
        self._waiting.append(_Waiting(item, asyncio.get_running_loop().create_future()))

    async def _follow_prices(self) -> None:
        """Reload at each notification, after each reconnect, and now and then."""
        while True:
            try:
                async with self._db.listen("rates") as connection:
                    await self.refresh_prices()
                    while True:
                        async for _ in connection.notifies(timeout=_PRICES_EVERY_SECONDS, stop_after=1):
                            pass
                        await self.refresh_prices()
            except (HubError, psycopg.Error, OSError) as error:
                _log.warning("gate_prices_lost", error=str(error))
                await asyncio.sleep(1.0)


def _refuse_reserves(batch: Sequence[_Waiting]) -> list[_Waiting]:
    for waiting in batch:
        if waiting.is_reserve:
            waiting.refuse(GateBusy("The database is away; nothing can be reserved."))
    return [waiting for waiting in batch if not waiting.is_reserve]


def _check(order: ReserveOrder) -> None:
    if not 1 <= order.participants <= 1_024:
        raise OrderInvalid("A message goes to at least one participant.")
    _check_text(order.recipient)
    _check_text(order.reference)
    if len(order.currency) != 3 or not (order.currency.isascii() and order.currency.isupper()):
        raise OrderInvalid(f"“{order.currency}” is not a currency.")


def _check_text(text: str) -> None:
    # PostgreSQL stores no NUL, and one such text would fail its whole batch.
    if not text or "\0" in text or len(text) > _LONGEST_NAME:
        raise OrderInvalid("A recipient or message id is empty, too long, or holds a NUL character.")
