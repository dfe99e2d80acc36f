"""The ledger as a state machine: whatever is repeated, reordered, lost or killed, the books stay right.

Meta's side is the truth: a message exists when Meta accepted a send, and its statuses carry its price. The
machine delivers answers and statuses in any order, any number of times, on two gates, kills backends under
them, lets time pass, and compares with sums of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
import uvloop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from partnerhub.kit import clock
from partnerhub.kit.database import Database
from partnerhub.kit.ids import uuid7
from partnerhub.ledger import queries, services
from partnerhub.ledger.errors import GateBusy, PaymentMissing
from partnerhub.ledger.gate import Gate
from partnerhub.ledger.schemas import Category, ReserveOrder, Settlement
from tests.ledger.stock import ANN, BEN, figures, fund, micros, order, settle, status, stock_prices, utc

T = TypeVar("T")
GROUP = "Y2FwaV9ncm91cDox"
RECIPIENTS = {ANN: ("",), BEN: ("",), GROUP: (ANN, BEN)}
PRICES = {
    (ANN, "marketing"): 136_500,
    (ANN, "utility"): 55_000,
    (BEN, "marketing"): 10_600,
    (BEN, "utility"): 1_300,
}
START = utc("2026-11-20T12:00:00")


ENDS = ["delivered", "failed", "failed then delivered"]
FATES = ["accepted", "accepted", "accepted", "refused", "gateway died"]


@dataclass(frozen=True)
class Send:
    """One send as Hypothesis chose it."""

    gate: int
    recipient: str
    category: Category
    fate: str
    charged_as: str
    ends: tuple[str, str]
    repeats: int


SENDS = st.builds(
    Send,
    gate=st.integers(0, 1),
    recipient=st.sampled_from(list(RECIPIENTS)),
    category=st.sampled_from([Category.MARKETING, Category.UTILITY]),
    fate=st.sampled_from(FATES),
    charged_as=st.sampled_from(["marketing", "utility", "free"]),
    ends=st.tuples(st.sampled_from(ENDS), st.sampled_from(ENDS)),
    repeats=st.integers(1, 2),
)


@dataclass
class Message:
    """A message that Meta accepted: what it will be charged as, and how each member of it ends."""

    order: ReserveOrder
    wamid: str
    category: str
    ends: dict[str, str]
    statuses: list[Settlement] = field(default_factory=list)


class LedgerMachine(RuleBasedStateMachine):
    """One partner's traffic; the class attributes are set by the test."""

    runner: asyncio.Runner
    database: Database
    gates: tuple[Gate, ...]

    def __init__(self) -> None:
        super().__init__()
        self.partner_id = f"{uuid7().hex[:20]}PA"
        self.later = timedelta(0)
        self.funded = 0
        self.charged: dict[tuple[str, str], int] = {}
        self.unbound: list[Message] = []
        self.refused: list[ReserveOrder] = []
        self.messages: list[Message] = []
        self.something_was_lost = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one step at the machine's time."""
        with clock.set_to(START + self.later):
            return self.runner.run(work)

    @initialize(amount=st.sampled_from(["0.5", "2", "100"]), sends=st.lists(SENDS, min_size=2, max_size=4))
    def begin(self, amount: str, sends: list[Send]) -> None:
        self.top_up(amount, 1, 0)
        self.send(sends, kills=False)

    @rule(
        amount=st.sampled_from(["0.1", "1"]), repeats=st.integers(1, 2), minutes=st.sampled_from([0, 0.5, 3])
    )
    def top_up(self, amount: str, repeats: int, minutes: float) -> None:
        key = str(uuid7())
        for _ in range(repeats):
            self.run(fund(self.database, amount, partner_id=self.partner_id, key=key))
        self.funded += micros(amount)
        self.later += timedelta(minutes=minutes)
        if minutes and self._release_stale():
            self.something_was_lost = True

    @rule(sends=st.lists(SENDS, min_size=1, max_size=4), kills=st.sampled_from([False, False, False, True]))
    def send(self, sends: list[Send], kills: bool) -> None:
        orders = [
            order(
                partner_id=self.partner_id,
                recipient=one.recipient,
                category=one.category,
                participants=len(RECIPIENTS[one.recipient]),
            )
            for one in sends
        ]

        async def work() -> list[BaseException | None]:
            killing = asyncio.ensure_future(self._kill()) if kills else None
            answers = await asyncio.gather(*map(self._reserve, sends, orders), return_exceptions=True)
            if killing is not None:
                await killing
            return answers

        for one, message, answer in zip(sends, orders, self.run(work()), strict=True):
            if answer is None and one.fate == "accepted":
                self._accept(one, message)
            elif answer is None and one.fate == "refused":
                self.refused.append(message)
            elif not isinstance(answer, PaymentMissing):
                assert answer is None or isinstance(answer, GateBusy)
                self.something_was_lost = True

    async def _reserve(self, one: Send, message: ReserveOrder) -> None:
        asked = [self.gates[(one.gate + n) % 2].reserve(message) for n in range(one.repeats)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        if errors := [answer for answer in answers if isinstance(answer, BaseException)]:
            raise errors[0]
        assert answers == [answers[0]] * one.repeats

    def _accept(self, one: Send, message: ReserveOrder) -> None:
        ends = dict(zip(RECIPIENTS[message.recipient], one.ends, strict=False))
        made = Message(message, f"wamid.{uuid7()}", one.charged_as, ends)
        for member, end in ends.items():
            names = ["sent", "failed"] if end == "failed" else ["sent", "delivered", "read"]
            names += ["failed"] if end == "failed then delivered" else []
            made.statuses += [self._status(made, member, name) for name in names]
        self.unbound.append(made)
        self.messages.append(made)

    # What Hypothesis draws never depends on what happened: which of two racing sends gets the last money, or
    # loses its backend, is not in its hands. So choices are numbers that are folded onto what there is.

    @rule(
        number=st.integers(0, 999),
        gate=st.integers(0, 1),
        repeats=st.integers(1, 2),
        kills=st.sampled_from([False, False, False, True]),
        is_lost=st.sampled_from([False] * 9 + [True]),
    )
    def hear_an_answer(self, number: int, gate: int, repeats: int, kills: bool, is_lost: bool) -> None:
        """A call of the gateway to Meta returns: with a message, or refused, or to a gateway that died."""
        if not self.unbound and not self.refused:
            return
        number %= len(self.unbound) + len(self.refused)
        made = self.unbound.pop(number) if number < len(self.unbound) else None
        message = self.refused.pop(number - len(self.unbound)) if made is None else made.order
        if is_lost:
            self.something_was_lost = True
            return

        async def work() -> None:
            killing = asyncio.ensure_future(self._kill()) if kills else None
            for n in range(repeats):
                via = self.gates[(gate + n) % 2]
                if made is None:
                    await via.release(self.partner_id, message.key, "refused")
                else:
                    await via.bind(self.partner_id, message.key, made.wamid)
            if killing is not None:
                await killing

        self.run(work())

    @rule(
        choices=st.lists(st.tuples(st.integers(0, 999), st.booleans()), min_size=1, max_size=6),
        repeats=st.integers(1, 2),
    )
    def settle_some(self, choices: list[tuple[int, bool]], repeats: int) -> None:
        waiting = [(made, one) for made in self.messages for one in made.statuses]
        if not waiting:
            return
        picked = {number % len(waiting): comes_again for number, comes_again in choices}
        for _ in range(repeats):  # also without being remembered, as after a lost commit answer
            self._settle([waiting[number][1] for number in picked])
        for number, comes_again in picked.items():
            made, one = waiting[number]
            if not comes_again:
                made.statuses.remove(one)

    def teardown(self) -> None:
        """Let everything arrive that was not lost; then nothing is open and every sum agrees."""
        if not hasattr(self, "gates") or not self.funded:
            return
        for made in self.unbound:
            self.run(self.gates[0].bind(self.partner_id, made.order.key, made.wamid))
        for message in self.refused:
            self.run(self.gates[0].release(self.partner_id, message.key, "refused"))
        self._settle([one for made in self.messages for one in made.statuses])
        for made in self.messages:
            for member, end in made.ends.items():
                self._settle([self._status(made, member, "failed" if end == "failed" else "read")])
        if not self.something_was_lost:
            assert self.run(figures(self.database, self.partner_id))[1] == 0
        self.later += timedelta(days=31)
        self._release_stale()
        posted, held, owed = self.run(figures(self.database, self.partner_id))
        assert held == 0
        expected = {
            (made.wamid, member): self._price(made, member)
            for made in self.messages
            for member, end in made.ends.items()
            if end != "failed"
        }
        assert self.charged == expected
        assert posted - owed == self.funded - sum(expected.values())
        assert self.run(self._paid()) == {key: price for key, price in expected.items() if price}

    def _settle(self, statuses: list[Settlement]) -> None:
        before = dict(self.charged)
        for one in statuses:
            if one.status in {"delivered", "read"}:
                made = next(made for made in self.messages if made.wamid == one.wamid)
                self.charged[one.wamid, one.participant] = self._price(made, one.participant)
        self.run(settle(self.database, *statuses))
        posted, _, owed = self.run(figures(self.database, self.partner_id))
        assert posted - owed == self.funded - sum(self.charged.values()), (before, statuses)

    def _release_stale(self) -> int:
        async def work() -> int:
            async with self.database.system() as unit:
                return (await services.release_stale(unit)).released

        return self.run(work())

    async def _paid(self) -> dict[tuple[str, str], int]:
        async with self.database.tenant(self.partner_id) as unit:
            rows = await unit.fetch_dicts(
                "select wamid, participant, sum(price_micros)::bigint as price from charge"
                " where price_micros > 0 group by 1, 2"
            )
        return {(row["wamid"], row["participant"]): row["price"] for row in rows}

    async def _kill(self) -> None:
        await asyncio.sleep(0.001)
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
                " and pid <> pg_backend_pid() and xact_start is not null"
            )

    def _price(self, made: Message, member: str) -> int:
        return 0 if made.category == "free" else PRICES[member or made.order.recipient, made.category]

    def _status(self, made: Message, member: str, name: str) -> Settlement:
        one = status(
            made.wamid, name, partner_id=self.partner_id, recipient=made.order.recipient, participant=member
        )
        is_free = made.category == "free"
        return replace(
            one,
            at=START,
            pricing_type="free_entry_point" if is_free else "regular",
            pricing_category="marketing" if is_free else made.category,
        )


def test_whatever_happens_the_books_stay_right(database_url: str) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        database = Database(database_url, name="machine", max_size=8)
        gates = (Gate(database), Gate(database))

        async def begin() -> None:
            await database.open()
            await stock_prices(database)
            for gate in gates:
                await gate.start()

        async def end() -> None:
            for gate in gates:
                await gate.close()
            async with database.system() as unit:
                assert await queries.check_books(unit) == []
            await database.close()

        LedgerMachine.runner, LedgerMachine.database, LedgerMachine.gates = runner, database, gates
        runner.run(begin())
        try:
            run_state_machine_as_test(
                LedgerMachine,
                settings=settings(
                    max_examples=25,
                    stateful_step_count=20,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(end())
