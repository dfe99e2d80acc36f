"""The sender: takes deliveries from memory or from the table, sends them, writes what came of them.

One per process. What its own process has just committed is handed over in memory, already leased to it; for
the rest it claims batches of what is due. Outcomes are written in groups, together with the next claim, in
one pipelined transaction (`turns`). While the database is away outcomes wait in memory; what was sent and
could not be written before its lease ended is sent again by whoever claims it: twice at worst, never not at
all.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn
from uuid import UUID, uuid4

import psycopg

from partnerhub.kit.clock import now as clock_now
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database, DatabaseAway
from partnerhub.kit.errors import HubError
from partnerhub.kit.http import Answer, ExchangeError, FailureKind, HttpClient
from partnerhub.kit.logs import get
from partnerhub.kit.tasks import stop
from partnerhub.webhooks import moments, outcomes
from partnerhub.webhooks.lanes import Job
from partnerhub.webhooks.outcomes import Outcome
from partnerhub.webhooks.policy import MAX_ANSWER_BYTES, timeouts_for
from partnerhub.webhooks.schemas import Handover
from partnerhub.webhooks.signing import signature_headers
from partnerhub.webhooks.stock import Caps, Stock
from partnerhub.webhooks.turns import CHANNEL, Counts, Turns

# Outcomes gather this long before they are written: nobody waits for them, and fewer commits serve all.
_LINGER_SECONDS = 0.005
_TELL_EVERY_SECONDS = 0.25
_TOLD_LIMIT = 10_000
_AWAY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

_log = get(__name__)


@dataclass(frozen=True)
class SenderState:
    """How a sender stands, for metrics."""

    held: int
    in_flight: int
    unwritten: int
    lanes: int
    database_away: bool
    counts: Counts


class Sender:
    """Delivers events. Make one per process, `start()` it, and `close()` it at the end.

    `lease` goes into rows that this process inserts for itself (`services.accept_bodies`), `room()` says how
    many. With `claims` False nothing is taken from the table: the process delivers what it accepted.
    """

    def __init__(
        self,
        database: Database,
        http: HttpClient,
        keyring: Keyring,
        *,
        name: str,
        caps: Caps | None = None,
        claims: bool = True,
        poll_seconds: float = 2.0,
    ) -> None:
        """`name` shows in the attempt log; the caps bound what this process sends at once."""
        self.name = name
        self.lease: UUID = uuid4()
        self._database = database
        # A connection of its own: its statements are planned once, and no crowd at the process's pool keeps
        # outcomes from being written.
        self._own = Database(database.url, name=f"{database.name} sender", max_size=1)
        self._http = http
        self._stock = Stock(caps or Caps())
        self._turns = Turns(
            self._own,
            keyring,
            self._stock,
            name=name,
            author=str(self.lease),
            takes=claims,
            poll_seconds=poll_seconds,
        )
        self._wake = asyncio.Event()
        self._context = contextvars.copy_context()
        self._tasks: list[asyncio.Task[NoReturn]] = []
        self._running: set[asyncio.Future[Answer]] = set()
        self._pump_planned = False
        self._is_draining = False
        self._away = 0
        self._told: dict[UUID, float] = {}

    async def start(self) -> None:
        """Begin to send; needs no database to be there yet."""
        loop = asyncio.get_running_loop()
        await self._own.pool.open(wait=False)
        # Exchanges and turns must not inherit the transaction of whoever hands rows over.
        self._context = contextvars.copy_context()
        self._tasks = [
            loop.create_task(self._write(), name=f"{self.name} writes"),
            loop.create_task(self._listen(), name=f"{self.name} listens"),
        ]

    def room(self, endpoint_id: UUID) -> int:
        """Say how many more deliveries to this endpoint may be leased to this sender."""
        return 0 if self._is_draining or not self._tasks else self._stock.room(endpoint_id)

    def hand_over(self, rows: Iterable[Handover]) -> None:
        """Take rows that were committed with this sender's lease; returns at once."""
        if self._is_draining:
            return  # their lease ends, and somebody else takes them
        for work in rows:
            self._stock.take(work)
        if self._stock.cold:
            self._wake.set()
        self._plan_pump()

    def overflow(self, endpoints: Collection[UUID]) -> Collection[UUID]:
        """Note rows that were inserted without a lease; return the endpoints to tell other senders about.

        Each only now and then: notifications make commits wait for each other, and this happens exactly when
        there are many. Who hears nothing finds the rows by looking.
        """
        now = time.monotonic()
        told = [e for e in endpoints if self._told.get(e, 0.0) < now - _TELL_EVERY_SECONDS]
        for endpoint_id in endpoints:
            self._turns.agenda.plan(endpoint_id, now + _TELL_EVERY_SECONDS)
        for endpoint_id in told:
            self._told[endpoint_id] = now
        if len(self._told) > _TOLD_LIMIT:
            self._told.clear()
        return told

    def state(self) -> SenderState:
        """Count, for metrics."""
        return SenderState(
            held=len(self._stock.held),
            in_flight=self._stock.in_flight,
            unwritten=len(self._stock.results),
            lanes=len(self._stock.lanes),
            database_away=self._away > 0,
            counts=self._turns.counts,
        )

    async def drain(self, *, timeout_seconds: float = 10.0) -> bool:
        """Stop taking work, give back what has not begun, finish the rest; say whether all was written.

        What is still unwritten at the end is sent again by another sender once its lease is over.
        """
        self._is_draining = True
        self._turns.takes = False
        self._stock.give_everything_back()
        self._wake.set()
        deadline = time.monotonic() + timeout_seconds
        while self._stock.in_flight or self._stock.results:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    async def close(self, *, timeout_seconds: float = 10.0) -> None:
        """Drain, then stop."""
        if self._tasks:
            await self.drain(timeout_seconds=timeout_seconds)
        for future in list(self._running):
            future.cancel()
        await stop(*self._tasks)
        self._tasks = []
        await self._own.close()

    # --- sending ------------------------------------------------------------------------------------------

    def _plan_pump(self) -> None:
        if not self._pump_planned:
            self._pump_planned = True
            asyncio.get_running_loop().call_soon(self._pump, context=self._context.copy())

    def _pump(self) -> None:
        """Start whatever may start."""
        self._pump_planned = False
        if self._is_draining:
            return
        while (job := self._stock.next_job(time.monotonic())) is not None:
            self._begin(job)

    def _begin(self, job: Job) -> None:
        facts, work = job.facts, job.work
        # What is signed is the moment that the log names, so that the log can show the signature again. It is
        # never before the delivery's own, where another machine's clock goes ahead: the log looks from there.
        job.started_at = now = max(moments.now(), work.created_at)
        try:
            future = self._http.start(
                "POST",
                facts.url,
                headers=(
                    *signature_headers(facts.keys_at(now), work.body, event_id=work.event_id, at=now),
                    *facts.headers,
                ),
                body=work.body,
                timeouts=timeouts_for(work.owner_kind),
                max_body_bytes=MAX_ANSWER_BYTES,
                repeatable=job.resent,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must come to an end
            if not isinstance(error, HubError):
                _log.exception("webhook_exchange_broke", delivery_id=str(work.id))
            # Never from inside the loop over jobs: an outcome may start others.
            asyncio.get_running_loop().call_soon(self._end, job, outcomes.of_error(error))
            return
        self._running.add(future)
        future.add_done_callback(partial(self._answered, job))

    def _answered(self, job: Job, future: asyncio.Future[Answer]) -> None:
        self._running.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._end(job, outcomes.of_answer(future.result()))
        elif not job.resent and _was_stale(error):
            job.resent = True
            self._begin(job)
        else:
            if not isinstance(error, HubError):
                _log.error("webhook_exchange_broke", exc_info=error, delivery_id=str(job.work.id))
            self._end(job, outcomes.of_error(error))

    def _end(self, job: Job, outcome: Outcome) -> None:
        self._stock.ended(job)
        self._stock.settle(job, outcome, at=clock_now())
        if outcome.is_success:
            self._turns.counts.delivered += 1
        else:
            self._turns.counts.failures += 1
        self._wake.set()
        self._pump()

    # --- writing ------------------------------------------------------------------------------------------

    async def _write(self) -> NoReturn:
        while True:
            await self._rest()
            try:
                while await self._turns.take():
                    self._pump()
                self._away = 0
                self._pump()
            except (DatabaseAway, psycopg.OperationalError) as error:
                await self._wait_for_database(error)
            except psycopg.Error as error:
                _log.error("webhook_turn_refused", sender=self.name, sqlstate=error.sqlstate)
                await self._salvage()
            except Exception:  # noqa: BLE001 - see below
                # A mistake of ours in one turn must not end delivery for as long as the process lives.
                _log.exception("webhook_turn_broke", sender=self.name)
                await asyncio.sleep(_AWAY_SECONDS[-1])

    async def _rest(self) -> None:
        """Wait until something is to be written or taken, and a moment longer for company."""
        wait = self._turns.next_at() - time.monotonic()
        if wait > 0 and not self._wake.is_set():
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass
        if self._stock.results and not self._stock.cold:
            await asyncio.sleep(_LINGER_SECONDS)
        self._wake.clear()

    async def _wait_for_database(self, error: Exception) -> None:
        if self._away == 0:
            _log.warning("webhook_database_away", sender=self.name, reason=str(error).strip())
        pause = _AWAY_SECONDS[min(self._away, len(_AWAY_SECONDS) - 1)]
        self._away += 1
        await asyncio.sleep(pause)
        self._wake.set()

    async def _salvage(self) -> None:
        try:
            await self._turns.salvage()
        except (DatabaseAway, psycopg.OperationalError) as error:
            await self._wait_for_database(error)
        await asyncio.sleep(_AWAY_SECONDS[-1] if not self._stock.results else 0)

    # --- listening ----------------------------------------------------------------------------------------

    async def _listen(self) -> NoReturn:
        failures = 0
        while True:
            try:
                async with self._database.listen(CHANNEL) as connection:
                    failures = 0
                    # What was said while nobody listened is found by looking.
                    self._stock.doubt_everything()
                    self._turns.look_now()
                    self._wake.set()
                    async for note in connection.notifies():
                        self._hear(note.payload)
            except (psycopg.Error, OSError) as error:
                if failures == 0:
                    _log.warning("webhook_listener_away", sender=self.name, reason=str(error).strip())
                failures += 1
            await asyncio.sleep(_AWAY_SECONDS[min(failures, len(_AWAY_SECONDS) - 1)])

    def _hear(self, payload: str) -> None:
        """Take a notice: `due <endpoint>`, `endpoint <endpoint> [sender's lease]` or `keys <partner>`."""
        kind, _, rest = payload.partition(" ")
        subject, _, author = rest.partition(" ")
        match kind:
            case "due":
                self._turns.agenda.plan(UUID(subject), time.monotonic())
            case "endpoint":
                endpoint_id = UUID(subject)
                self._turns.expect_parked(endpoint_id)
                if author != str(self.lease):
                    self._stock.doubt(endpoint_id)
            case "keys":
                self._stock.doubt_partner(subject)
            case _:
                _log.warning("webhook_notice_unknown", payload=payload)
                return
        self._wake.set()


def _was_stale(error: BaseException) -> bool:
    """Say whether a kept connection ended under the request before a byte of an answer."""
    return (
        isinstance(error, ExchangeError)
        and error.timings.reused
        and error.answer is None
        and error.kind in (FailureKind.CLOSED, FailureKind.RESET)
    )
