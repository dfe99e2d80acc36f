"""One turn of a sender at the database: write what came of the last jobs, take the next ones, one commit.

What a turn read is applied to the stock only after its commit, so a turn that fails leaves everything in hand
as it was and can simply be taken again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID, uuid4

import psycopg

from partnerhub.kit import jobs
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.logs import get
from partnerhub.webhooks import claims
from partnerhub.webhooks.agenda import Agenda
from partnerhub.webhooks.claims import Claimed, Result
from partnerhub.webhooks.lanes import Change, Facts, Job
from partnerhub.webhooks.policy import EXTEND_EVERY_SECONDS, LEASE_SECONDS, POLL_CAP_SECONDS
from partnerhub.webhooks.settling import Move
from partnerhub.webhooks.stock import Stock

CHANNEL = "deliveries"
NOTICE_JOB = "webhooks.endpoint_notice"

_BATCH = 500
_ENDPOINTS_A_TURN = 64
_PARK_LIMIT = 500
_FACTS_LIVE_SECONDS = 10.0
_SWEEP_EVERY_POLLS = 15

_log = get(__name__)


@dataclass
class Counts:
    """What a sender has done since it started."""

    delivered: int = 0
    failures: int = 0
    written: int = 0
    fenced: int = 0
    claimed: int = 0
    probes: int = 0
    turns: int = 0
    leases_lost: int = 0


@dataclass
class _Plan:
    """What this turn asks for."""

    results: list[Result]
    moves: list[Move]
    extend: list[Job]
    rooms: dict[UUID, int]
    closed: list[UUID]
    unpark: dict[UUID, int]
    well: list[UUID]
    facts: list[UUID]
    sweep: list[UUID]
    is_poll: bool
    is_probe: bool

    @property
    def is_empty(self) -> bool:
        return not (
            self.results
            or self.moves
            or self.extend
            or self.rooms
            or self.closed
            or self.unpark
            or self.well
            or self.facts
            or self.is_poll
            or self.is_probe
        )


@dataclass
class _Reply:
    """What came of it."""

    counted: set[UUID] = field(default_factory=set)
    kept: set[UUID] = field(default_factory=set)
    claimed: dict[int, list[Claimed]] = field(default_factory=dict)
    unparked: list[Claimed] = field(default_factory=list)
    probes: list[Claimed] = field(default_factory=list)
    parked: dict[UUID, int] = field(default_factory=dict)
    facts: dict[UUID, Facts] = field(default_factory=dict)
    pending: list[tuple[UUID, float]] = field(default_factory=list)
    waiting: list[tuple[UUID, bool]] = field(default_factory=list)


class Turns:
    """Takes turns for one sender; `name` goes into the attempt log, `author` marks its own notices."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        stock: Stock,
        *,
        name: str,
        author: str,
        takes: bool,
        poll_seconds: float,
    ) -> None:
        """With `takes` False nothing is claimed from the table: the sender lives on what it is handed."""
        self._database = database
        self._keyring = keyring
        self._stock = stock
        self._name = name
        self._author = author
        self._poll_seconds = poll_seconds
        self.takes = takes
        self.agenda = Agenda()
        self.counts = Counts()
        self._unpark: set[UUID] = set()
        self._sweep: list[UUID] = []
        self._poll_at = 0.0
        self._polls = 0
        self._probe_at = float("inf")
        self._extend_at = 0.0

    def look_now(self) -> None:
        """Let the next turn look through the whole table."""
        self._poll_at = 0.0

    def expect_parked(self, endpoint_id: UUID) -> None:
        """Note that parked rows of this endpoint may go out again."""
        self._unpark.add(endpoint_id)

    def next_at(self) -> float:
        """Say when a turn is worth taking even if nothing happens until then (monotonic)."""
        moments = [self._extend_at] if self._stock.held else []
        if self.takes:
            moments += [self._poll_at, self._probe_at]
            if self.agenda.next_at is not None:
                moments.append(self.agenda.next_at)
        return min(moments, default=time.monotonic() + self._poll_seconds)

    async def take(self) -> bool:
        """Take a turn, if there is anything to do; say whether another is due at once.

        Raises: DatabaseAway, psycopg.Error; nothing has changed then.
        """
        now = time.monotonic()
        self._stock.begin_reading()
        plan = self._make_plan(now)
        if plan.is_empty:
            return False
        lease = uuid4()
        until = time.monotonic() + LEASE_SECONDS
        async with self._database.system() as unit:
            reply = await self._exchange(unit, plan, lease)
            took = time.monotonic() - now
            for move in plan.moves:
                if move.gone_url is not None:
                    await self._disable(unit, move.job.work.endpoint_id, move.gone_url)
            await self._tell_moves(unit, plan)
        if plan.is_poll:
            # Looking through a table with very many waiting endpoints takes long, and must never be what the
            # database is busy with; nor may it be so rare that a dead sender's rows wait too long.
            self._poll_at = now + min(max(self._poll_seconds, 10 * took), POLL_CAP_SECONDS)
        return self._apply(plan, reply, lease, until)

    async def salvage(self) -> None:
        """Write outcomes one by one after a batch was refused; one that cannot be written is let go.

        A refused row is ours to mend (a value the table does not take); without this it would hold back every
        other outcome for ever. Its lease ends, and the delivery is sent again.
        """
        for result in list(islice(self._stock.results, _BATCH)):
            for attempt in (result, _without_answer(result)):
                try:
                    async with self._database.system() as unit:
                        await claims.plan(unit)
                        await (await claims.finish(unit, [attempt], sender=self._name)).fetchall()
                    break
                except psycopg.OperationalError:
                    raise
                except psycopg.Error as error:
                    # Not the error itself: it quotes the row, which holds what a receiver answered.
                    _log.error("webhook_outcome_refused", delivery_id=str(result.id), sqlstate=error.sqlstate)
            self._stock.written([result])

    # --- what to ask for ----------------------------------------------------------------------------------

    def _make_plan(self, now: float) -> _Plan:
        stock = self._stock
        is_poll = self.takes and now >= self._poll_at
        rooms, closed = self._choose_claims(now) if self.takes else ({}, [])
        extend = []
        if now >= self._extend_at:
            extend = stock.fading(now + LEASE_SECONDS - EXTEND_EVERY_SECONDS)
        stale = [
            lane.endpoint_id
            for lane in stock.lanes.values()
            if lane.held and lane.loaded_at < now - _FACTS_LIVE_SECONDS
        ]
        asked = {*stock.cold, *stale, *self._unpark, *(e for e in rooms if e not in stock.lanes)}
        return _Plan(
            results=list(islice(stock.results, _BATCH)),
            moves=list(stock.moves),
            extend=extend,
            rooms=rooms,
            closed=closed,
            unpark=self._choose_unparked() if self.takes else {},
            well=[lane.endpoint_id for lane in stock.lanes.values() if lane.has_recovered],
            facts=list(islice(asked, 4 * _ENDPOINTS_A_TURN)),
            sweep=self._sweep if is_poll and self._polls % _SWEEP_EVERY_POLLS == 0 else [],
            is_poll=is_poll,
            is_probe=self.takes and (is_poll or now >= self._probe_at),
        )

    def _choose_claims(self, now: float) -> tuple[dict[UUID, int], list[UUID]]:
        """Share the free capacity between the endpoints whose turn it is; closed ones get parked."""
        stock = self._stock
        capacity = max(stock.capacity, 0)
        ready = self.agenda.ready(now)
        rooms: dict[UUID, int] = {}
        closed: list[UUID] = []
        fair = max(capacity // max(min(len(ready), _ENDPOINTS_A_TURN), 1), 1)
        for endpoint_id in ready:
            if len(rooms) + len(closed) >= _ENDPOINTS_A_TURN:
                break
            lane = stock.lanes.get(endpoint_id)
            if lane is not None and lane.facts is not None and not lane.facts.takes:
                closed.append(endpoint_id)
                continue
            room = min(lane.room if lane is not None else 2 * stock.caps.endpoint_concurrency, fair, capacity)
            if room > 0:
                rooms[endpoint_id] = room
                capacity -= room
        return rooms, closed

    def _choose_unparked(self) -> dict[UUID, int]:
        rooms: dict[UUID, int] = {}
        capacity = max(self._stock.capacity, 0)
        for endpoint_id in self._unpark:
            lane = self._stock.lane(endpoint_id)
            if lane.facts is None:
                continue
            lane.has_parked = True
            room = min(lane.room, capacity)
            if lane.facts.takes and room > 0:
                rooms[endpoint_id] = room
                capacity -= room
        return rooms

    # --- the exchange -------------------------------------------------------------------------------------

    async def _exchange(self, unit: Unit, plan: _Plan, lease: UUID) -> _Reply:
        reply = _Reply()
        async with unit.connection.pipeline():
            await claims.plan(unit)
            finished = await claims.finish(unit, plan.results, sender=self._name) if plan.results else None
            for move in plan.moves:
                await _write_move(unit, move)
            for endpoint_id in plan.well:
                await claims.close_breaker(unit, endpoint_id)
            extended = await claims.extend(unit, [job.work for job in plan.extend]) if plan.extend else None
            claimed = {
                rank: await claims.claim(unit, plan.rooms, rank=rank, lease=lease)
                for rank in ((0, 1) if plan.rooms else ())
            }
            parked = [
                await claims.park(unit, plan.closed, rank=rank, limit=_PARK_LIMIT)
                for rank in ((0, 1) if plan.closed else ())
            ]
            unparked = await claims.unpark(unit, plan.unpark, lease=lease) if plan.unpark else None
            probes = await claims.probe(unit, lease=lease) if plan.is_probe else None
            if plan.sweep:
                await claims.sweep_parked(unit, plan.sweep, limit=_PARK_LIMIT)
            pending = await claims.scan_pending(unit) if plan.is_poll else None
            waiting = await claims.scan_parked(unit) if plan.is_poll else None
            facts = await claims.facts(unit, plan.facts) if plan.facts else None
        if finished is not None:
            reply.counted = {row[0] for row in await finished.fetchall()}
        if extended is not None:
            reply.kept = {row[0] for row in await extended.fetchall()}
        reply.claimed = {rank: await cursor.fetchall() for rank, cursor in claimed.items()}
        for cursor in parked:
            for (endpoint_id,) in await cursor.fetchall():
                reply.parked[endpoint_id] = reply.parked.get(endpoint_id, 0) + 1
        if unparked is not None:
            reply.unparked = await unparked.fetchall()
        if probes is not None:
            reply.probes = await probes.fetchall()
        if pending is not None:
            reply.pending = [(row[0], row[1]) for row in await pending.fetchall()]
        if waiting is not None:
            reply.waiting = [(row[0], row[1]) for row in await waiting.fetchall()]
        if facts is not None:
            reply.facts = await claims.read_facts(facts, plan.facts, self._keyring)
        return reply

    async def _disable(self, unit: Unit, endpoint_id: UUID, url: str) -> None:
        disabled = await claims.disable_gone(unit, endpoint_id, url=url)
        if disabled.rowcount:
            await jobs.defer(
                unit,
                NOTICE_JOB,
                key=f"{NOTICE_JOB}:{endpoint_id}",
                endpoint_id=str(endpoint_id),
                reason="gone",
            )

    async def _tell_moves(self, unit: Unit, plan: _Plan) -> None:
        """Let the other senders know whose breaker moved."""
        for endpoint_id in {move.job.work.endpoint_id for move in plan.moves} | set(plan.well):
            await unit.notify(CHANNEL, f"endpoint {endpoint_id} {self._author}")

    # --- what came of it ----------------------------------------------------------------------------------

    def _apply(self, plan: _Plan, reply: _Reply, lease: UUID, until: float) -> bool:
        stock, counts, now = self._stock, self.counts, time.monotonic()
        counts.turns += 1
        counts.written += len(reply.counted)
        counts.fenced += len(plan.results) - len(reply.counted)
        for result in plan.results:
            if result.state == "pending":
                self.agenda.plan(result.endpoint_id, now + (result.delay or 0.0))
        stock.written(plan.results)
        if plan.is_probe:
            self._probe_at = float("inf")
        for move in plan.moves:
            stock.moves.popleft()
            self._follow(move, now)
        for endpoint_id in plan.well:
            stock.lanes[endpoint_id].close_breaker()
        if now >= self._extend_at:
            self._extend_at = now + EXTEND_EVERY_SECONDS
        counts.leases_lost += len(plan.extend) - len(reply.kept)
        stock.renewed(plan.extend, reply.kept, until=until)
        self._take_claims(plan, reply, lease, until)
        moved = {move.job.work.endpoint_id for move in stock.moves}
        for endpoint_id, facts in reply.facts.items():
            # What this sender decided while the answer was on its way is newer.
            if endpoint_id not in moved:
                stock.learn(endpoint_id, facts, now=now)
        if plan.is_poll:
            self._note_scan(reply, now)
        return len(stock.results) >= _BATCH or bool(stock.cold) or self._could_claim(now)

    def _could_claim(self, now: float) -> bool:
        """Say whether an endpoint waits whose rows there is room for, or that is to be parked."""
        if not self.takes or not self.agenda.ready(now):
            return False
        rooms, closed = self._choose_claims(now)
        return bool(rooms or closed)

    def _take_claims(self, plan: _Plan, reply: _Reply, lease: UUID, until: float) -> None:
        stock = self._stock
        found: dict[UUID, int] = {}
        filled: set[UUID] = set()
        for rows in reply.claimed.values():
            here: dict[UUID, int] = {}
            for row in rows:
                here[row.endpoint_id] = here.get(row.endpoint_id, 0) + 1
                stock.take(row.as_handover(lease=lease, until=until))
            for endpoint_id, number in here.items():
                found[endpoint_id] = found.get(endpoint_id, 0) + number
                if number >= plan.rooms[endpoint_id]:
                    filled.add(endpoint_id)
        for endpoint_id in plan.rooms:
            self.agenda.served(endpoint_id, is_empty=endpoint_id not in filled)
            if endpoint_id not in found and stock.lane(endpoint_id).loaded_at < until - LEASE_SECONDS - 1:
                stock.cold.add(endpoint_id)  # taken by others, or the endpoint takes nothing: look again
        for endpoint_id in plan.closed:
            self.agenda.served(endpoint_id, is_empty=reply.parked.get(endpoint_id, 0) < _PARK_LIMIT)
        back: dict[UUID, int] = {}
        for row in sorted(reply.unparked, key=lambda row: row.created_at):
            back[row.endpoint_id] = back.get(row.endpoint_id, 0) + 1
            stock.take(row.as_handover(lease=lease, until=until))
        for endpoint_id, room in plan.unpark.items():
            if back.get(endpoint_id, 0) < room:
                self._unpark.discard(endpoint_id)
                stock.lane(endpoint_id).has_parked = False
        for row in reply.probes:
            stock.take(row.as_handover(lease=lease, until=until), is_probe=True)
        self.counts.claimed += sum(found.values()) + len(reply.unparked)
        self.counts.probes += len(reply.probes)

    def _follow(self, move: Move, now: float) -> None:
        endpoint_id = move.job.work.endpoint_id
        match move.change:
            case Change.OPEN | Change.PROBE_FAILED:
                self._probe_at = min(self._probe_at, now + move.delay + 0.01)
            case Change.RECOVER:
                self._unpark.add(endpoint_id)
            case None:
                pass

    def _note_scan(self, reply: _Reply, now: float) -> None:
        for endpoint_id, wait in reply.pending:
            self.agenda.plan(endpoint_id, now + max(wait, 0.0))
        self._sweep = [endpoint_id for endpoint_id, is_open in reply.waiting if not is_open]
        self._unpark.update(endpoint_id for endpoint_id, is_open in reply.waiting if is_open)
        self._stock.forget_idle(now)
        self._polls += 1


async def _write_move(unit: Unit, move: Move) -> None:
    endpoint_id = move.job.work.endpoint_id
    match move.change:
        case Change.OPEN:
            await claims.open_breaker(unit, endpoint_id, failures=move.failures, delay=move.delay)
        case Change.PROBE_FAILED:
            await claims.fail_probe(unit, endpoint_id, failures=move.failures, delay=move.delay)
        case Change.RECOVER:
            await claims.recover(unit, endpoint_id)
        case None:
            pass


def _without_answer(result: Result) -> Result:
    return Result(
        id=result.id,
        created_at=result.created_at,
        lease=result.lease,
        state=result.state,
        delay=result.delay,
        attempts=result.attempts,
        step=result.step,
        rank=result.rank,
        partner_id=result.partner_id,
        endpoint_id=result.endpoint_id,
    )
