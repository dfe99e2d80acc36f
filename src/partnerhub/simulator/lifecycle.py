"""What becomes of messages and templates after they were accepted.

Each accepted message carries the statuses it still owes with their due times, stored with the message; each
template under review its moment of decision. One timer serves both; nothing here sleeps.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence

import msgspec

from partnerhub.simulator import pricing, review, webhooks
from partnerhub.simulator.callbacks import Callbacks
from partnerhub.simulator.errors import TITLES, status_errors
from partnerhub.simulator.model import Json, Message, MessageState, Number, Step, Template, Waba
from partnerhub.simulator.world import World

_INSERT = (
    "insert into messages (seq, wamid, number_id, wa_id, direction, type, at, status, body, state, next_due, "
    "opened_by) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_STEP = "update messages set status = ?, state = ?, next_due = ? where seq = ?"

_encode = msgspec.json.Encoder().encode


class Lifecycle:
    """The timer over owed statuses and pending reviews."""

    def __init__(self, world: World, callbacks: Callbacks) -> None:
        self._world = world
        self._callbacks = callbacks
        self._heap: list[tuple[float, int, Message | Template]] = []
        self._order = 0
        self._seq = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._is_running = False
        self.revision = 0
        """Grows with every change a chat page would show."""

    async def start(self) -> None:
        """Read what is owed and begin."""
        rows = await self._world.store.query(
            "select seq, wamid, number_id, wa_id, type, at, status, state from messages "
            "where next_due is not null order by seq"
        )
        for seq, wamid, number_id, wa_id, kind, at, status, state in rows:
            assert isinstance(seq, int)
            assert isinstance(at, float)
            assert isinstance(state, bytes)
            message = Message(
                seq=seq,
                wamid=str(wamid),
                number_id=str(number_id),
                wa_id=str(wa_id),
                type=str(kind),
                at=at,
                status=str(status),
                state=msgspec.json.decode(state, type=MessageState),
            )
            if message.state.steps:
                self._push(message.state.steps[0].due, message)
        highest = await self._world.store.query("select coalesce(max(seq), 0) from messages")
        assert isinstance(highest[0][0], int)
        self._seq = highest[0][0]
        for template in self._world.table(Template).values():
            self.schedule(template)
        self._is_running = True
        self._world.clock.on_shift(self._run)
        self._run()

    def stop(self) -> None:
        """Stop; what is owed stays in the store."""
        self._is_running = False
        if self._timer is not None:
            self._timer.cancel()

    def clear(self) -> None:
        """Forget what is owed."""
        self._heap.clear()
        self.revision += 1

    @property
    def owed(self) -> int:
        """How many messages and reviews are still under way."""
        return len(self._heap)

    # Messages ---------------------------------------------------------------------------------------

    def accept(
        self,
        *,
        number: Number,
        wa_id: str,
        wamid: str,
        kind: str,
        body: bytes,
        state: MessageState,
        opened_by: str | None,
    ) -> None:
        """Keep an accepted message and owe its statuses; durable with the next commit."""
        self._seq += 1
        now = self._world.clock.time()
        steps = state.steps
        due = steps[0].due if steps else None
        self._world.store.write(
            _INSERT,
            (
                self._seq,
                wamid,
                number.id,
                wa_id,
                "out",
                kind,
                now,
                "accepted",
                body,
                _encode(state),
                due,
                opened_by,
            ),
        )
        self.revision += 1
        if due is not None:
            message = Message(
                seq=self._seq,
                wamid=wamid,
                number_id=number.id,
                wa_id=wa_id,
                type=kind,
                at=now,
                status="accepted",
                state=state,
            )
            self._push(due, message)

    def receive(self, *, number: Number, wa_id: str, wamid: str, kind: str, body: bytes) -> None:
        """Keep a message a customer sent."""
        self._seq += 1
        now = self._world.clock.time()
        self._world.store.write(
            _INSERT,
            (self._seq, wamid, number.id, wa_id, "in", kind, now, "received", body, b"{}", None, None),
        )
        self.revision += 1

    def plan(self, kind: str, *, wa_id: str, failure: Step | None = None) -> list[Step]:
        """Return the statuses a message accepted now will get; a reaction is never reported as delivered."""
        rules = self._world.rules
        if not rules.statuses:
            return []
        now = self._world.clock.time()
        if failure is not None:
            failure.due = now + rules.sent_after_seconds
            return [failure]
        user = self._world.user(wa_id)
        if not user.is_on_whatsapp:
            return [
                Step(
                    due=now + rules.sent_after_seconds,
                    status="failed",
                    code=131026,
                    details="Message Undeliverable.",
                )
            ]
        steps = [Step(due=now + rules.sent_after_seconds, status="sent")]
        if kind == "reaction" or not user.is_reachable:
            return steps
        steps.append(Step(due=now + rules.delivered_after_seconds, status="delivered"))
        reads = user.reads
        if reads is None:
            reads = self._world.ids.random.random() < rules.read_probability
        if reads:
            steps.append(Step(due=now + rules.read_after_seconds, status="read"))
        return steps

    async def force(self, wamid: str, status: str, *, code: int = 0, details: str = "") -> bool:
        """Give a message a status now, whatever was planned; False when the message is unknown."""
        rows = await self._world.store.query(
            "select seq, number_id, wa_id, type, at, status, state from messages "
            "where wamid = ? and direction = 'out'",
            (wamid,),
        )
        if not rows:
            return False
        seq, number_id, wa_id, kind, at, current, state = rows[0]
        assert isinstance(seq, int)
        assert isinstance(at, float)
        assert isinstance(state, bytes)
        planned = next((m for _, _, m in self._heap if isinstance(m, Message) and m.seq == seq), None)
        message = planned or Message(
            seq=seq,
            wamid=wamid,
            number_id=str(number_id),
            wa_id=str(wa_id),
            type=str(kind),
            at=at,
            status=str(current),
            state=msgspec.json.decode(state, type=MessageState),
        )
        step = Step(due=self._world.clock.time(), status=status, code=code, details=details)
        left = [] if status == "failed" else [s for s in message.state.steps if s.status != status]
        message.state.steps = left
        self._emit(message, step)
        await self._world.store.commit()
        return True

    async def come_online(self, wa_id: str) -> None:
        """Deliver what waited for a phone that was off."""
        rows = await self._world.store.query(
            "select wamid from messages where wa_id = ? and direction = 'out' and status = 'sent' "
            "and type <> 'reaction' and next_due is null order by seq",
            (wa_id,),
        )
        for (wamid,) in rows:
            await self.force(str(wamid), "delivered")

    # Templates --------------------------------------------------------------------------------------

    def schedule(self, template: Template) -> None:
        """Decide about a template at its `review_due`, end its pause at `paused_until`."""
        for due in (template.review_due, template.paused_until):
            if due is not None:
                self._push(due, template)

    # Timer ------------------------------------------------------------------------------------------

    def _push(self, due: float, item: Message | Template) -> None:
        self._order += 1
        heapq.heappush(self._heap, (due, self._order, item))
        if self._is_running and (self._timer is None or due < self._timer_due):
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and self._is_running and (self._world.clock.is_running or self._is_due):
            self._timer_due = self._heap[0][0]
            delay = max(0.0, self._timer_due - self._world.clock.time())
            self._timer = asyncio.get_running_loop().call_later(delay, self._run)

    @property
    def _is_due(self) -> bool:
        return bool(self._heap) and self._heap[0][0] <= self._world.clock.time()

    def _run(self) -> None:
        self._timer = None
        now = self._world.clock.time()
        while self._heap and self._heap[0][0] <= now and self._is_running:
            item = heapq.heappop(self._heap)[2]
            if isinstance(item, Template):
                if self._world.table(Template).get(item.id) is not item:
                    continue
                if item.review_due is not None and item.review_due <= now:
                    self._review(item)
                elif item.paused_until is not None and item.paused_until <= now:
                    self._announce(
                        item, [("message_template_status_update", review.unpause(self._world, item))]
                    )
                continue
            if item.state.steps and item.state.steps[0].due <= now:
                self._emit(item, item.state.steps.pop(0))
            if item.state.steps:
                self._push(item.state.steps[0].due, item)
        self._arm()

    def _emit(self, message: Message, step: Step) -> None:
        world = self._world
        number = world.table(Number).get(message.number_id)
        if number is None:
            return
        waba = world.get(Waba, number.waba_id)
        state = message.state
        if step.status == "failed":
            state.problem = f"{step.code} {TITLES.get(step.code, '')}".strip()
            pricing.give_back(world, number, state)
        elif message.type != "reaction":
            pricing.price(world, number, waba, message.wa_id, state)
        value = webhooks.status_value(
            world,
            number,
            message,
            step.status,
            errors=status_errors(step.code, step.details) if step.status == "failed" else None,
        )
        message.status = step.status
        next_due = state.steps[0].due if state.steps else None
        world.store.write(_STEP, (step.status, _encode(state), next_due, message.seq))
        self._callbacks.emit(
            waba=waba,
            number=number,
            field="messages",
            value=value,
            event=("status", message.wamid, step.status),
        )
        self.revision += 1

    def _review(self, template: Template) -> None:
        template.review_due = None
        self._announce(template, review.decide(self._world, template))

    def _announce(self, template: Template, changes: Sequence[tuple[str, Json]]) -> None:
        waba = self._world.get(Waba, template.waba_id)
        for field, value in changes:
            self._callbacks.emit(
                waba=waba,
                field=field,
                value=value,
                event=("field", template.id, str(value.get("event", field))),
                time=int(self._world.clock.time()),
            )
