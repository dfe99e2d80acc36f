"""The settle loop: statuses that were committed become money and message states, in batches.

Ingest never waits for a wallet; this loop does. One runs at a time however many workers there are (the
others stand by), so statuses are taken in the order in which they came. A status of a message that nobody
has heard of waits a few seconds: usually the gateway is just about to say which reservation it belongs to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
import psycopg
from psycopg.rows import class_row

from partnerhub.kit import logs
from partnerhub.kit.database import Database, DatabaseAway, Unit
from partnerhub.kit.ids import uuid7
from partnerhub.ledger import services as ledger
from partnerhub.ledger.schemas import Settlement, SettleResult
from partnerhub.messaging import metrics
from partnerhub.messaging.recipients import canonical

# A message is never put back: what is further right wins.
STATES: Final = ("unconfirmed", "accepted", "sent", "failed", "delivered", "read", "played")
_RANK: Final[Mapping[str, int]] = {state: rank for rank, state in enumerate(STATES)}
_LONGEST_PAUSE_SECONDS: Final = 3600

_log = logs.get(__name__)


@dataclass(frozen=True)
class _Status:
    id: int
    created_at: datetime
    partner_id: str
    channel_id: str
    wamid: str
    participant: str
    recipient: str
    status: str
    at: datetime
    pricing_type: str | None
    pricing_category: str | None
    error_code: int | None
    currency: str
    time_zone: str
    attempts: int
    category: str | None  # of the message, None while nobody knows it
    sent_to: str | None = None  # whom Meta's answer to the send named

    @property
    def reaches(self) -> str:
        """Return whom the message went to: as the status says, else as the send's answer did."""
        return canonical(self.recipient or self.sent_to or "")

    def as_settlement(self) -> Settlement:
        """Return what the ledger needs of it."""
        return Settlement(
            partner_id=self.partner_id,
            reference=self.channel_id,
            wamid=self.wamid,
            recipient=self.reaches,
            participant=self.participant,
            status=self.status,
            at=self.at,
            pricing_type=self.pricing_type,
            pricing_category=self.pricing_category,
            currency=self.currency,
            time_zone=self.time_zone,
        )

    @property
    def is_for_ledger(self) -> bool:
        """Say whether it can concern money: a message that was free to send stays free, whatever is told."""
        return self.category != "free"


@dataclass(frozen=True)
class Turn:
    """What one turn did: how many statuses it settled, and how many could not be."""

    settled: int
    problems: int = 0


# Small batches against large days: plans must not depend on how empty a day was when they were made.
_PLAN: Final = (
    "select set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), "
    "set_config('enable_mergejoin', 'off', true)"
)
_OPEN: Final = """
    select s.id, s.created_at, s.partner_id, s.channel_id, s.wamid, s.participant, s.recipient, s.status,
           s.at, s.pricing->>'type' as pricing_type, s.pricing->>'category' as pricing_category, s.error_code,
           s.currency, s.time_zone, s.attempts, m.category, m.recipient as sent_to
    from message_status s
    left join lateral (
      select category, recipient from message where message.wamid = s.wamid limit 1) m on true
    where s.settled_at is null and (s.retry_at is null or s.retry_at <= now())
      and (m.category is not null or s.created_at < now() - make_interval(secs => %(grace)s))
    order by s.id limit %(limit)s
"""


class Settler:
    """Settles statuses in one worker process."""

    def __init__(
        self,
        database: Database,
        *,
        grace_seconds: float = 5.0,
        batch: int = 500,
        poll_seconds: float = 0.2,
    ) -> None:
        """`grace_seconds` is how long a status of an unknown message waits before it adopts a reservation."""
        self._database = database
        self._grace = grace_seconds
        self._batch = batch
        self._poll = poll_seconds
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Begin to settle; needs no database to be there yet."""
        self._task = asyncio.create_task(self.run(), name="settler")

    async def close(self) -> None:
        """Finish the batch in hand and stop."""
        self._stopping.set()
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task

    async def run(self) -> None:
        """Settle until `close`."""
        while not self._stopping.is_set():
            pause = self._poll
            try:
                turn = await self.settle_once()
            except (DatabaseAway, psycopg.OperationalError) as error:
                _log.warning("settle_database_away", reason=str(error).strip())
                pause = 1.0
            except Exception:  # noqa: BLE001 - the loop must go on; what broke is in the log
                _log.exception("settle_turn_broken")
                pause = 1.0
            else:
                if turn.settled + turn.problems >= self._batch // 2:
                    continue
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def settle_once(self) -> Turn:
        """Settle the next batch; nothing where another worker is at it."""
        try:
            return await self._settle(self._batch)
        except (DatabaseAway, psycopg.OperationalError):
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it must not hold up the others
            # One of them cannot be settled; find it without holding up the others.
            _log.exception("settle_batch_refused")
            return await self._settle_singly()

    async def _settle(self, limit: int) -> Turn:
        async with self._database.system() as unit:
            if not await _is_ours(unit):
                return Turn(0)
            rows = await self._open(unit, limit)
            if rows:
                metrics.count(await _apply(unit, rows))
        return Turn(len(rows))

    async def _settle_singly(self) -> Turn:
        async with self._database.system() as unit:
            if not await _is_ours(unit):
                return Turn(0)
            rows = await self._open(unit, self._batch)
        problems = 0
        for row in rows:
            try:
                async with self._database.system() as unit:
                    metrics.count(await _apply(unit, [row]))
            except (DatabaseAway, psycopg.OperationalError):
                raise
            except Exception as error:  # noqa: BLE001 - kept with the row and tried again later
                _log.exception("settle_status_refused", wamid=row.wamid, status=row.status)
                problems += 1
                async with self._database.system() as unit:
                    await _put_off(unit, row, f"{type(error).__name__}: {error}")
        metrics.PROBLEMS.inc(problems)
        return Turn(len(rows) - problems, problems)

    async def _open(self, unit: Unit, limit: int) -> list[_Status]:
        await unit.execute(_PLAN)
        async with unit.connection.cursor(row_factory=class_row(_Status)) as cursor:
            await cursor.execute(_OPEN, {"grace": self._grace, "limit": limit})
            return await cursor.fetchall()


async def _is_ours(unit: Unit) -> bool:
    """Take the turn until the commit, unless another worker has it."""
    return bool(await unit.fetch_value("select pg_try_advisory_xact_lock(hashtext('messaging.settle'))"))


async def _apply(unit: Unit, rows: Sequence[_Status]) -> SettleResult:
    result = await ledger.settle(unit, [row.as_settlement() for row in rows if row.is_for_ledger])
    if result.uncovered:
        _log.error("settle_uncovered", messages=result.uncovered, micros=int(result.uncovered_micros))
    for row in {row.wamid: row for row in rows if row.category is None}.values():
        await _know(unit, row)
    await _move_messages(unit, rows)
    await unit.execute(
        "update message_status set settled_at = now(), problem = null"
        " from unnest(%s::timestamptz[], %s::bigint[]) as done(at, id)"
        " where message_status.created_at = done.at and message_status.id = done.id",
        ([row.created_at for row in rows], [row.id for row in rows]),
    )
    return result


async def _know(unit: Unit, row: _Status) -> None:
    """Give a message that we never heard the answer for its id, or make its row now."""
    found = await unit.execute(
        """
        update message set wamid = %(wamid)s, modified_at = now()
        from (select created_at, id from message
              where channel_id = %(channel)s and recipient = %(recipient)s and wamid is null
              order by created_at limit 1) oldest
        where message.created_at = oldest.created_at and message.id = oldest.id
        """,
        {"wamid": row.wamid, "channel": row.channel_id, "recipient": canonical(row.recipient)},
    )
    if not found:
        await unit.execute(
            "insert into message (id, created_at, partner_id, channel_id, wamid, recipient, type, category,"
            " status, modified_at) values (%s, now(), %s, %s, %s, %s, 'unknown', %s, 'unconfirmed', now())",
            (
                uuid7(),
                row.partner_id,
                row.channel_id,
                row.wamid,
                canonical(row.recipient),
                row.pricing_category or "unknown",
            ),
        )


async def _move_messages(unit: Unit, rows: Sequence[_Status]) -> None:
    furthest: dict[str, _Status] = {}
    for row in rows:
        known = furthest.get(row.wamid)
        if row.status in _RANK and (known is None or _RANK[row.status] > _RANK[known.status]):
            furthest[row.wamid] = row
    if not furthest:
        return
    told = [
        {"wamid": row.wamid, "status": row.status, "error_code": row.error_code} for row in furthest.values()
    ]
    await unit.execute(
        """
        update message set status = told.status, error_code = coalesce(told.error_code, message.error_code),
                           modified_at = now()
        from jsonb_to_recordset(%(told)s::jsonb) as told (wamid text, status text, error_code integer)
        where message.wamid = told.wamid
          and array_position(%(states)s::text[], told.status)
              > array_position(%(states)s::text[], message.status)
        """,
        {"told": msgspec.json.encode(told).decode(), "states": list(STATES)},
    )


async def _put_off(unit: Unit, row: _Status, problem: str) -> None:
    pause = min(2**row.attempts, _LONGEST_PAUSE_SECONDS)
    await unit.execute(
        "update message_status set attempts = attempts + 1, problem = %s,"
        " retry_at = now() + make_interval(secs => %s) where created_at = %s and id = %s",
        (problem[:500].replace("\x00", ""), pause, row.created_at, row.id),
    )
