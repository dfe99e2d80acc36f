"""A state machine over leases: senders claim, send, write, stall and die in any order, and nothing is lost.

Everything but the network is real: the tables, the turns, the stock of two senders. Sending is a rule of the
machine, so that it can happen, or not, between any two other steps. What is promised:

- every accepted event reaches the receiver (at least once), whatever died in between;
- a row says delivered only after the receiver had it;
- an outcome under a lost lease changes nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, LiteralString, TypeVar
from uuid import UUID, uuid4

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run
from tests.webhooks.steps import PARTNER, piece, set_url

from partnerhub.kit.clock import now as clock_now
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import Timings
from partnerhub.webhooks import moments, services
from partnerhub.webhooks.lanes import Job
from partnerhub.webhooks.outcomes import Outcome
from partnerhub.webhooks.schemas import DeliveryFilter, Endpoint, Handover, OwnerKind
from partnerhub.webhooks.services import ReplayScope
from partnerhub.webhooks.stock import Caps, Stock
from partnerhub.webhooks.turns import Turns

T = TypeVar("T")
SENDERS = st.integers(0, 1)
CAPS = Caps(concurrency=6, endpoint_concurrency=3, share=8, endpoint_share=4)


class _Sender:
    """A sender without a network: the machine starts its jobs and says what came of them."""

    def __init__(self, database: Database, keyring: Keyring, name: str) -> None:
        self.lease = uuid4()
        self.stock = Stock(CAPS)
        self.turns = Turns(
            database, keyring, self.stock, name=name, author=name, takes=True, poll_seconds=0.0
        )
        self.under_way: list[Job] = []

    def room(self, endpoint_id: UUID) -> int:
        return self.stock.room(endpoint_id)

    def overflow(self, endpoints: object) -> list[UUID]:
        del endpoints
        return []

    def hand_over(self, rows: list[Handover]) -> None:
        for work in rows:
            self.stock.take(work)

    def start(self) -> Job | None:
        job = self.stock.next_job(0.0)
        if job is not None:
            job.started_at = moments.new()[1]
            self.under_way.append(job)
        return job

    def end(self, job: Job, status: int) -> None:
        self.under_way.remove(job)
        self.stock.ended(job)
        error = {200: None, 410: "gone"}.get(status, "server_error")
        outcome = Outcome(status=status, error=error, timings=Timings(total_us=1))
        self.stock.settle(job, outcome, at=clock_now())


class DeliveryMachine(RuleBasedStateMachine):
    """The rules; `database_url` and `keyring` are set by the test."""

    database_url: str
    keyring: Keyring

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.accepted: set[bytes] = set()
        self.received: Counter[bytes] = Counter()

    def do(self, step: Coroutine[Any, Any, T]) -> T:  # Any: what a coroutine sends and yields is not ours
        return self.loop.run_until_complete(step)

    @initialize()
    def begin(self) -> None:
        self.database = Database(self.database_url, name="machine", max_size=2)
        self.do(self.database.open())
        self.do(self._empty())
        self.endpoints: list[Endpoint] = [
            self.do(set_url(self.database, self.keyring, f"http://127.0.0.1:9/{n}", owner_id=f"n{n}CH"))
            for n in range(2)
        ]
        self.senders = [_Sender(self.database, self.keyring, str(n)) for n in range(2)]

    async def _empty(self) -> None:
        """Remove the endpoints of earlier runs; their rows stay and belong to nobody."""
        async with self.database.system() as unit:
            await unit.execute("delete from endpoint")

    # --- accepting ---------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 1), number=st.integers(1, 4), sender=st.none() | SENDERS)
    def accept(self, which: int, number: int, sender: int | None) -> None:
        """A batch is committed, with or without a sender of its own process."""
        self._accept(which, number, sender, is_handed_over=True)

    @rule(which=st.integers(0, 1), sender=SENDERS)
    def accept_and_die_before_the_hand_over(self, which: int, sender: int) -> None:
        """The process ends between its commit and its sender."""
        self._accept(which, 2, sender, is_handed_over=False)
        self._replace(sender)

    def _accept(self, which: int, number: int, sender: int | None, *, is_handed_over: bool) -> None:
        async def step() -> None:
            pieces = [piece(self.endpoints[which], body=uuid4().bytes) for _ in range(number)]
            room = None if sender is None else self.senders[sender]
            async with self.database.system() as unit:
                rows = await services.accept_bodies(unit, [*pieces, pieces[0]], room=room)
            self.accepted |= {one.body for one in pieces}
            if room is not None and is_handed_over:
                room.hand_over(rows)

        self.do(step())

    # --- sending -----------------------------------------------------------------------------------------

    @rule(sender=SENDERS)
    def turn(self, sender: int) -> None:
        """A sender writes, claims and looks."""
        self._turn(sender)

    @rule(sender=SENDERS)
    def work(self, sender: int) -> None:
        """A sender takes what there is and sends what it may."""
        for _ in range(4):  # look, claim, learn about the endpoint, write
            self._turn(sender)
        while self._send(sender):
            pass

    def _turn(self, sender: int) -> None:
        """Take a turn; what is written under a lost lease counts for nothing."""
        here = self.senders[sender]
        before = {row["id"]: row for row in self.do(self._rows())}
        results = list(here.stock.results)
        here.turns.look_now()
        self.do(here.turns.take())
        after = {row["id"]: row for row in self.do(self._rows())}
        for result in results:
            if before[result.id]["lease"] != result.lease:
                for column in ("attempts", "step", "finished_at", "last_status"):
                    assert after[result.id][column] == before[result.id][column]

    @rule(sender=SENDERS)
    def send(self, sender: int) -> None:
        """A request arrives at the receiver; its answer is another step."""
        self._send(sender)

    def _send(self, sender: int) -> bool:
        job = self.senders[sender].start()
        if job is None:
            return False
        self.received[job.work.body] += 1
        return True

    @precondition(lambda self: any(sender.under_way for sender in self.senders))
    @rule(sender=SENDERS, status=st.sampled_from([200, 200, 200, 500, 500, 410]), pick=st.integers(0, 5))
    def answer(self, sender: int, status: int, pick: int) -> None:
        """An answer comes back."""
        here = self.senders[sender]
        if here.under_way:
            here.end(here.under_way[pick % len(here.under_way)], status)

    # --- what goes wrong ---------------------------------------------------------------------------------

    @rule(sender=SENDERS)
    def die(self, sender: int) -> None:
        """A process is killed: what it held and had not written is forgotten."""
        self._replace(sender)

    def _replace(self, sender: int) -> None:
        self.senders[sender] = _Sender(self.database, self.keyring, str(sender))

    @rule()
    def leases_end(self) -> None:
        """Nobody renewed for too long: every leased row may be taken by anybody, its holder alive or not."""
        self.do(self._run("update delivery set due_at = now() where lease is not null"))

    @precondition(lambda self: any(sender.under_way for sender in self.senders))
    @rule(sender=SENDERS, status=st.sampled_from([200, 500]))
    def stall_and_come_back_late(self, sender: int, status: int) -> None:
        """A process stands still until another has taken over, then writes what it knows."""
        if not self.senders[sender].under_way:
            sender = 1 - sender
        here = self.senders[sender]
        self.leases_end()
        self.work(1 - sender)
        for job in list(here.under_way):
            here.end(job, status)
        self._turn(sender)

    @rule()
    def retries_are_due(self) -> None:
        """Time passes."""
        self.do(self._run("update delivery set due_at = now() where state = 'pending' and lease is null"))
        self.do(self._run("update endpoint set probe_at = now() where breaker = 'open'"))

    @rule(which=st.integers(0, 1))
    def somebody_mends_the_endpoint(self, which: int) -> None:
        """The URL is set again, which enables and un-parks."""
        self.do(self._mend(which))

    @rule(which=st.integers(0, 1))
    def somebody_pauses_the_endpoint(self, which: int) -> None:
        """Deliveries are to wait."""

        async def step() -> None:
            async with self.database.tenant(PARTNER) as unit:
                await services.disable_endpoint(
                    unit, owner_kind=OwnerKind.CHANNEL, owner_id=self.endpoints[which].owner_id
                )

        self.do(step())
        self._tell(which)

    @rule(which=st.integers(0, 1))
    def somebody_replays(self, which: int) -> None:
        """What was ever sent to an endpoint is sent again."""

        async def step() -> None:
            scope = ReplayScope(matching=DeliveryFilter(endpoint_id=self.endpoints[which].id))
            async with self.database.tenant(PARTNER) as unit:
                await services.replay(unit, partner_id=PARTNER, scope=scope)

        self.do(step())

    async def _mend(self, which: int) -> None:
        endpoint = self.endpoints[which]
        await set_url(self.database, self.keyring, endpoint.url, owner_id=endpoint.owner_id)
        self._tell(which)

    def _tell(self, which: int) -> None:
        for sender in self.senders:
            sender.stock.doubt(self.endpoints[which].id)
            sender.turns.expect_parked(self.endpoints[which].id)

    async def _run(self, query: LiteralString) -> None:
        async with self.database.system() as unit:
            await unit.execute(query)

    async def _rows(self) -> list[dict[str, Any]]:  # Any: table rows
        async with self.database.system() as unit:
            return await unit.fetch_dicts(
                "select delivery.*, event.body from delivery"
                " join event on event.created_at = delivery.event_at and event.id = delivery.event_id"
                " where endpoint_id = any(%s)",
                ([endpoint.id for endpoint in self.endpoints],),
            )

    # --- what must hold ----------------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost_and_nothing_is_called_delivered_that_did_not_arrive(self) -> None:
        """Every accepted event has a row that is delivered or waits; delivered ones were received."""
        if not hasattr(self, "endpoints"):
            return
        rows = self.do(self._rows())
        assert self.accepted <= {row["body"] for row in rows}
        assert {row["state"] for row in rows} <= {"pending", "parked", "delivered"}
        for row in rows:
            assert row["state"] != "delivered" or self.received[row["body"]]
            assert row["lease"] is None or row["state"] == "pending"

    def teardown(self) -> None:
        """In the end, when all is well again, everything arrives."""
        try:
            if hasattr(self, "senders"):
                self.do(self._finish())
                self.do(self.database.close())
        finally:
            self.loop.close()

    async def _finish(self) -> None:
        for which in range(2):
            await self._mend(which)
        for _ in range(200):
            await self._run("update delivery set due_at = now() where state = 'pending'")
            for sender in self.senders:
                sender.turns.look_now()
                await sender.turns.take()
                while (job := sender.start()) is not None:
                    self.received[job.work.body] += 1
                for job in list(sender.under_way):
                    sender.end(job, 200)
                await sender.turns.take()
            if {row["state"] for row in await self._rows()} <= {"delivered"}:
                break
        rows = await self._rows()
        assert {row["state"] for row in rows} <= {"delivered"}
        assert self.accepted <= {row["body"] for row in rows if row["state"] == "delivered"}
        assert all(self.received[body] for body in self.accepted)


def test_nothing_accepted_is_lost_whatever_happens_between_claim_and_finish(
    database_url: str, keyring: Keyring
) -> None:
    """Two senders, one receiver, every interleaving that the machine finds."""
    DeliveryMachine.database_url = database_url
    DeliveryMachine.keyring = keyring
    run(
        DeliveryMachine,
        settings=settings(
            max_examples=20,
            stateful_step_count=35,
            deadline=None,
            # Shrinking runs against the database for minutes; the steps that failed are printed as they were.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
