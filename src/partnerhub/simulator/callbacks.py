"""The queue of webhooks: owed as rows, delivered concurrently, retried until a 200, every attempt on record.

A callback is a row before anything else happens to it. After a restart every row without a 200 is sent
again; so Meta's promise "at least once" holds here too, including its duplicates.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass

import msgspec

from partnerhub.kit import logs
from partnerhub.simulator import webhooks
from partnerhub.simulator.delivery import Attempt, Sender, signature
from partnerhub.simulator.faults import Fault, Faults
from partnerhub.simulator.model import App, Json, Number, Waba
from partnerhub.simulator.store import Row
from partnerhub.simulator.webhooks import Event
from partnerhub.simulator.world import World

log = logs.get(__name__)

_COLUMNS = "seq, app_id, entry_id, waba_id, field, number_id, events, body, created_at, attempts"
_INSERT = (
    f"insert into callbacks ({_COLUMNS}, state, due_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 'pending', ?)"
)
_SETTLE = "update callbacks set state = ?, attempts = ?, due_at = ?, acked_at = ? where seq = ?"
_ATTEMPT = (
    "insert or replace into attempts (callback_seq, n, at, milliseconds, status, error, answer, url) "
    "values (?, ?, ?, ?, ?, ?, ?, ?)"
)
_MERGE = "update callbacks set body = ?, events = ? where seq = ?"
_DROP = "delete from callbacks where seq = ?"
_ON_PLACING = frozenset({"reorder", "delay", "hold"})
_ON_ATTEMPT = frozenset({"duplicate", "wrong_signature", "drop"})
_ON_GATHERING = frozenset({"batch"})


@dataclass(slots=True, kw_only=True)
class Callback:
    """One POST that is owed; several events only in a batch."""

    seq: int
    app_id: str
    entry_id: str
    waba_id: str
    field: str
    number_id: str | None
    events: list[Event]
    body: bytes
    created_at: float
    attempts: int = 0


def _read(row: Row) -> Callback:
    seq, app_id, entry_id, waba_id, field, number_id, events, body, created_at, attempts = row
    assert isinstance(seq, int)
    assert isinstance(events, str)
    assert isinstance(body, bytes)
    assert isinstance(created_at, float)
    assert isinstance(attempts, int)
    return Callback(
        seq=seq,
        app_id=str(app_id),
        entry_id=str(entry_id),
        waba_id=str(waba_id),
        field=str(field),
        number_id=None if number_id is None else str(number_id),
        events=msgspec.json.decode(events, type=list[Event]),
        body=body,
        created_at=created_at,
        attempts=attempts,
    )


class Callbacks:
    """The queue and its pump."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._config = world.config
        self._sender = Sender(world.config)
        self._heap: list[tuple[float, int, Callback]] = []
        self._held: list[Callback] = []
        self._gathering: dict[tuple[str, str], tuple[list[Callback], int]] = {}
        self._in_flight: set[asyncio.Task[None]] = set()
        self._soon: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._seq = 0
        self._order = 0
        self._era = 0
        self._is_running = False
        self._is_paused = False

    # Life -------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read what is owed and begin to deliver."""
        rows = await self._world.store.query(
            f"select {_COLUMNS}, due_at from callbacks where state = 'pending' order by seq"
        )
        for row in rows:
            callback, due = _read(row[:-1]), row[-1]
            self._push(callback, due if isinstance(due, float) else 0.0)
        highest = (await self._world.store.query("select coalesce(max(seq), 0) from callbacks"))[0][0]
        assert isinstance(highest, int)
        self._seq = highest
        self._sender.open()
        self._is_running = True
        self._world.clock.on_shift(self._wake)
        self._wake()

    async def stop(self) -> None:
        """Stop delivering; what is in flight gets a moment to finish, the rest stays owed."""
        self._is_running = False
        if self._timer is not None:
            self._timer.cancel()
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=1.0)
        for task in list(self._in_flight):
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        await self._sender.close()

    def clear(self) -> None:
        """Forget everything owed and any pause; attempts under way end without a trace."""
        self._era += 1
        self._is_paused = False
        self._heap.clear()
        self._held.clear()
        self._gathering.clear()

    def pause(self) -> None:
        """Stop delivering; events go on being owed."""
        self._is_paused = True

    def resume(self) -> None:
        """Go on after a pause."""
        self._is_paused = False
        self._wake()

    @property
    def owed(self) -> int:
        """How many callbacks wait or are under way."""
        return (
            len(self._heap)
            + len(self._held)
            + len(self._in_flight)
            + sum(len(gathered) for gathered, _ in self._gathering.values())
        )

    async def verify(self, url: str, verify_token: str) -> None:
        """Challenge a new callback address. Raises: GraphError 2200."""
        await self._sender.challenge(url, verify_token=verify_token, challenge=self._world.ids.numeric(10))

    # Owing ------------------------------------------------------------------------------------------

    def emit(
        self,
        *,
        waba: Waba | None,
        field: str,
        value: Json,
        event: Event,
        number: Number | None = None,
        entry_id: str | None = None,
        time: int | None = None,
        apps: list[App] | None = None,
    ) -> list[int]:
        """Owe a change to every subscribed app; return the callbacks' numbers.

        The rows are durable with the next commit. `entry_id` defaults to the WABA.
        """
        targets = apps if apps is not None else webhooks.subscribers(self._world, waba, number, field)
        if not targets:
            return []
        entry = entry_id or (waba.id if waba is not None else "")
        body = webhooks.encode(webhooks.envelope(entry, field, value, time=time))
        now = self._world.clock.time()
        made = []
        for app in targets:
            self._seq += 1
            callback = Callback(
                seq=self._seq,
                app_id=app.id,
                entry_id=entry,
                waba_id=waba.id if waba is not None else entry,
                field=field,
                number_id=number.id if number is not None else None,
                events=[event],
                body=body,
                created_at=now,
            )
            self._insert(callback)
            if not self._gather(callback):
                self._place(callback, now)
            made.append(callback.seq)
        return made

    def _insert(self, callback: Callback) -> None:
        self._world.store.write(
            _INSERT,
            (
                callback.seq,
                callback.app_id,
                callback.entry_id,
                callback.waba_id,
                callback.field,
                callback.number_id,
                msgspec.json.encode(callback.events).decode(),
                callback.body,
                callback.created_at,
                callback.created_at,
            ),
        )

    def _match(self, callback: Callback, actions: frozenset[str]) -> list[Fault]:
        if self._faults.is_empty:
            return []
        return self._faults.match_callback(
            number_id=callback.number_id,
            waba_id=callback.waba_id,
            field=callback.field,
            statuses=frozenset(event[2] for event in callback.events),
            actions=actions,
        )

    def _place(self, callback: Callback, now: float) -> None:
        due = now
        for fault in self._match(callback, _ON_PLACING):
            match fault.action:
                case "delay":
                    due += fault.seconds
                case "reorder":
                    due += self._world.ids.random.uniform(0.0, fault.seconds or 1.0)
                case _:
                    self._held.append(callback)
                    return
        self._push(callback, due)

    def _push(self, callback: Callback, due: float) -> None:
        self._order += 1
        heapq.heappush(self._heap, (due, self._order, callback))
        self._wake()

    def _gather(self, callback: Callback) -> bool:
        """Add to a batch that is gathering, or start one; False when no batch fault fits.

        Until the batch is released its callbacks are rows of their own; a crash sends them one by one.
        """
        key = (callback.app_id, callback.number_id or callback.entry_id)
        if key in self._gathering:
            gathered, count = self._gathering[key]
            gathered.append(callback)
            if len(gathered) >= count:
                self._release(key, gathered)
            return True
        faults = self._match(callback, _ON_GATHERING)
        if not faults:
            return False
        gathered = [callback]
        self._gathering[key] = (gathered, faults[0].count)
        seconds = faults[0].seconds or 1.0
        asyncio.get_running_loop().call_later(seconds, self._release, key, gathered)
        return True

    def _release(self, key: tuple[str, str], gathered: list[Callback]) -> None:
        """Merge a batch into its first callback and send it."""
        if self._gathering.get(key, (None, 0))[0] is not gathered:
            return
        del self._gathering[key]
        first = gathered[0]
        document: Json = msgspec.json.decode(first.body)
        for callback in gathered[1:]:
            document["entry"] += msgspec.json.decode(callback.body)["entry"]
            first.events += callback.events
            self._world.store.write(_DROP, (callback.seq,))
        first.body = webhooks.encode(document)
        events = msgspec.json.encode(first.events).decode()
        self._world.store.write(_MERGE, (first.body, events, first.seq))
        self._push(first, self._world.clock.time())

    def release_held(self) -> int:
        """Send everything a `hold` fault kept back, newest first; return how many."""
        now = self._world.clock.time()
        held, self._held = self._held[::-1], []
        for callback in held:
            self._push(callback, now)
        return len(held)

    async def redeliver(self, seq: int) -> bool:
        """Owe a callback once more, whatever became of it; False when there is none of that number."""
        rows = await self._world.store.query(f"select {_COLUMNS} from callbacks where seq = ?", (seq,))
        if not rows:
            return False
        callback = _read(rows[0])
        callback.created_at = self._world.clock.time()
        self._settle(callback, "pending", due=callback.created_at)
        self._push(callback, callback.created_at)
        return True

    # Delivering -------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._soon is None and self._is_running:
            self._soon = asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._soon = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_paused or not self._is_running:
            return
        now = self._world.clock.time()
        while self._heap and len(self._in_flight) < self._config.callback_concurrency:
            due = self._heap[0][0]
            if due > now:
                if not self._world.clock.is_running:
                    return
                self._timer = asyncio.get_running_loop().call_later(due - now, self._wake)
                return
            task = asyncio.create_task(self._deliver(heapq.heappop(self._heap)[2]))
            self._in_flight.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.error("simulator_callback_crashed", error=repr(problem))
        self._wake()

    async def _deliver(self, callback: Callback) -> None:
        era = self._era
        # The row must be durable before the world hears of it: a receiver that answered 200 is on record.
        await self._world.store.commit()
        url = webhooks.address(
            self._world,
            app_id=callback.app_id,
            waba_id=callback.waba_id,
            number_id=callback.number_id,
            field=callback.field,
        )
        app = self._world.table(App).get(callback.app_id)
        if url is None or app is None:
            self._settle(callback, "dropped", due=None)
            return
        signed = signature(app.secret, callback.body)
        copies, is_cut_off = 1, False
        for fault in self._match(callback, _ON_ATTEMPT):
            match fault.action:
                case "duplicate":
                    copies = max(copies, fault.count)
                case "wrong_signature":
                    signed = signature(app.secret + "-not-this-one", callback.body)
                case _:
                    is_cut_off = True
        accepted = False
        for _ in range(copies):
            send = self._sender.cut_off if is_cut_off else self._sender.post
            attempt = await send(url, callback.body, signed)
            if era != self._era:
                return
            self._record(callback, url, attempt)
            accepted = accepted or attempt.status == 200
        if accepted:
            self._settle(callback, "acked", due=None)
        else:
            self._retry(callback)

    def _retry(self, callback: Callback) -> None:
        schedule = self._config.callback_retry_seconds
        pause = (
            schedule[callback.attempts - 1]
            if callback.attempts <= len(schedule)
            else self._config.callback_retry_after_seconds
        )
        due = self._world.clock.time() + pause
        if due - callback.created_at > self._config.callback_retry_bound_seconds:
            self._settle(callback, "expired", due=None)
            return
        self._settle(callback, "pending", due=due)
        self._push(callback, due)

    def _settle(self, callback: Callback, state: str, *, due: float | None) -> None:
        acked_at = self._world.clock.time() if state == "acked" else None
        self._world.store.write(_SETTLE, (state, callback.attempts, due, acked_at, callback.seq))

    def _record(self, callback: Callback, url: str, attempt: Attempt) -> None:
        callback.attempts += 1
        self._world.store.write(
            _ATTEMPT,
            (
                callback.seq,
                callback.attempts,
                self._world.clock.time(),
                attempt.milliseconds,
                attempt.status,
                attempt.error,
                attempt.answer,
                url,
            ),
        )
