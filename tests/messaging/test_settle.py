"""The settle loop: statuses become money and message states, once, in any order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from partnerhub.kit.database import Database
from partnerhub.kit.ids import uuid7
from partnerhub.ledger.gate import Gate
from partnerhub.messaging.journal import Journal, SentMessage
from partnerhub.messaging.settle import Settler
from tests.ledger.stock import (
    ANN,
    assert_books_are_right,
    figures,
    fund,
    micros,
    order,
    running_gate,
    states,
    stock_prices,
)
from tests.simulator.harness import until

PRICE = "0.1365"
REGULAR = {"type": "regular", "category": "marketing", "pricing_model": "PMP", "billable": True}


@dataclass
class Till:
    """A gate, a journal and statuses as callbacks leave them."""

    database: Database
    gate: Gate
    journal: Journal

    async def send(self, wamid: str | None, *, category: str = "marketing", is_bound: bool = True) -> None:
        """Reserve for a message, and remember it as a send does."""
        reservation = order()
        if category != "free":
            await self.gate.reserve(reservation)
            if wamid is not None and is_bound:
                await self.gate.bind("onePA", reservation.key, wamid)
        await self.journal.record(
            SentMessage(
                id=reservation.key,
                partner_id="onePA",
                channel_id="oneCH",
                wamid=wamid,
                recipient=ANN,
                type="template",
                category=category,
                template="news",
                status="accepted" if wamid else "unconfirmed",
            )
        )

    async def tell(self, wamid: str, *names: str, **changes: Any) -> None:
        """Leave statuses for the loop, as old as given in seconds."""
        age = changes.pop("age", 0)
        async with self.database.system() as unit:
            for name in names:
                row = {
                    "partner_id": "onePA",
                    "channel_id": "oneCH",
                    "wamid": wamid,
                    "recipient": ANN,
                    "participant": "",
                    "status": name,
                    "pricing": None if name == "failed" else REGULAR,
                    "error_code": 131026 if name == "failed" else None,
                    **changes,
                }
                await unit.execute(
                    "insert into message_status (created_at, partner_id, channel_id, wamid, recipient,"
                    " participant, status, at, pricing, error_code, currency, time_zone)"
                    " values (now() - make_interval(secs => %s), %s, %s, %s, %s, %s, %s, now(), %s::jsonb,"
                    " %s, 'EUR', 'Europe/Berlin')",
                    (
                        age,
                        row["partner_id"],
                        row["channel_id"],
                        row["wamid"],
                        row["recipient"],
                        row["participant"],
                        row["status"],
                        None if row["pricing"] is None else _json(row["pricing"]),
                        row["error_code"],
                    ),
                )

    async def messages(self) -> list[tuple[Any, ...]]:
        """Return wamid, status, type and error of every message, oldest first."""
        async with self.database.system() as unit:
            rows = await unit.fetch_dicts(
                "select wamid, status, type, error_code from message order by created_at, id"
            )
        return [tuple(row.values()) for row in rows]

    async def open_statuses(self) -> int:
        """Count statuses that are not settled."""
        async with self.database.system() as unit:
            number: int = await unit.fetch_value(
                "select count(*) from message_status where settled_at is null"
            )
        return number


def _json(of: object) -> str:
    return msgspec.json.encode(of).decode()


@pytest.fixture
async def till(database: Database) -> AsyncIterator[Till]:
    """Give a funded wallet behind a gate."""
    await stock_prices(database)
    await fund(database, "10")
    async with running_gate(database) as gate:
        journal = Journal(database)
        yield Till(database, gate, journal)
        await journal.close()
    await assert_books_are_right(database)


async def test_a_delivered_message_is_captured_once_however_often_it_is_told(till: Till) -> None:
    await till.send("wamid.1")
    await till.tell("wamid.1", "read", "sent", "delivered", "delivered")
    turn = await Settler(till.database).settle_once()
    assert (turn.settled, turn.problems) == (4, 0)
    await till.tell("wamid.1", "delivered", "sent")
    await Settler(till.database).settle_once()
    assert await states(till.database) == ["captured"]
    assert await figures(till.database) == (micros("10") - micros(PRICE), 0, 0)
    assert await till.messages() == [("wamid.1", "read", "template", None)]
    assert await till.open_statuses() == 0


async def test_a_failed_message_is_given_back_and_shows_why(till: Till) -> None:
    await till.send("wamid.1")
    await till.tell("wamid.1", "sent", "failed")
    await Settler(till.database).settle_once()
    assert await states(till.database) == ["released"]
    assert await till.messages() == [("wamid.1", "failed", "template", 131026)]


async def test_a_state_is_never_put_back(till: Till) -> None:
    await till.send("wamid.1")
    await till.tell("wamid.1", "read")
    await Settler(till.database).settle_once()
    await till.tell("wamid.1", "failed", "sent", "accepted", "nonsense")
    await Settler(till.database).settle_once()
    assert [message[1] for message in await till.messages()] == ["read"]


async def test_a_status_without_a_recipient_is_priced_for_whom_the_message_was_sent_to(till: Till) -> None:
    """Those who took a username may have no number in a status; what was sent says where they are."""
    await till.send("w1")
    await till.tell("w1", "delivered", recipient="", pricing={**REGULAR, "category": "utility"})
    await Settler(till.database).settle_once()
    assert await figures(till.database) == (micros("10") - micros("0.055"), 0, 0)


async def test_a_status_of_an_unknown_message_waits_for_its_grace(till: Till) -> None:
    await till.send(None)
    settler = Settler(till.database, grace_seconds=5)
    await till.tell("wamid.1", "delivered", age=2)
    assert (await settler.settle_once()).settled == 0
    assert await states(till.database) == ["reserved"]
    await till.tell("wamid.1", "read", age=6)
    await settler.settle_once()
    assert await states(till.database) == ["captured"]


async def test_a_message_whose_answer_was_lost_is_adopted_with_its_row(till: Till) -> None:
    await till.send(None)
    await till.tell("wamid.1", "delivered", age=60)
    await Settler(till.database).settle_once()
    assert await states(till.database) == ["captured"]
    assert await till.messages() == [("wamid.1", "delivered", "template", None)]
    assert await figures(till.database) == (micros("10") - micros(PRICE), 0, 0)


async def test_the_grace_ends_when_the_message_is_known(till: Till) -> None:
    settler = Settler(till.database, grace_seconds=60)
    await till.tell("wamid.1", "delivered")
    assert (await settler.settle_once()).settled == 0
    await till.send("wamid.1")
    assert (await settler.settle_once()).settled == 1
    assert await states(till.database) == ["captured"]


async def test_a_message_that_nobody_reserved_for_is_charged_late_and_shown(till: Till) -> None:
    await till.tell("wamid.9", "delivered", age=60)
    await Settler(till.database).settle_once()
    assert await states(till.database) == ["captured"]
    assert await till.messages() == [("wamid.9", "delivered", "unknown", None)]


async def test_a_free_message_takes_nobodys_reservation(till: Till) -> None:
    await till.send(None)
    await till.send("wamid.reaction", category="free")
    await till.tell("wamid.reaction", "sent", pricing=None)
    await Settler(till.database).settle_once()
    assert await states(till.database) == ["reserved"]
    assert ("wamid.reaction", "sent", "template", None) in await till.messages()


async def test_a_free_message_is_not_charged_whatever_is_told_of_it(till: Till) -> None:
    await till.send("wamid.reaction", category="free")
    await till.tell("wamid.reaction", "sent", "delivered", "read")
    await Settler(till.database).settle_once()
    assert await states(till.database) == []
    assert await figures(till.database) == (micros("10"), 0, 0)
    assert await till.messages() == [("wamid.reaction", "read", "template", None)]


async def test_the_members_of_a_group_are_charged_one_by_one(till: Till) -> None:
    reservation = order(recipient="Y2FwaV9ncm91cA", participants=8)
    await till.gate.reserve(reservation)
    await till.gate.bind("onePA", reservation.key, "wamid.g")
    for member in (ANN, "4915100000001"):
        await till.tell("wamid.g", "delivered", recipient="Y2FwaV9ncm91cA", participant=member, age=60)
    await Settler(till.database).settle_once()
    posted, _, owed = await figures(till.database)
    assert (posted, owed) == (micros("10") - 2 * micros(PRICE), 0)


async def test_a_status_that_cannot_be_settled_holds_up_nobody(till: Till) -> None:
    await till.send("wamid.1")
    await till.tell("wamid.bad", "delivered", age=60, partner_id="nobody" * 200)
    await till.tell("wamid.1", "delivered")
    async with till.database.system() as unit:
        await unit.execute("update message_status set currency = 'x' where wamid = 'wamid.bad'")
    turn = await Settler(till.database).settle_once()
    assert (turn.settled, turn.problems) == (1, 1)
    assert await states(till.database) == ["captured"]
    async with till.database.system() as unit:
        [row] = await unit.fetch_dicts("select * from message_status where settled_at is null")
    assert (row["wamid"], row["attempts"]) == ("wamid.bad", 1)
    assert row["problem"]
    assert row["retry_at"] is not None
    # It waits for its next try and is not seen until then.
    assert (await Settler(till.database).settle_once()).problems == 0


async def test_several_workers_settle_everything_once(till: Till) -> None:
    for number in range(40):
        await till.send(f"wamid.{number}")
    for number in range(40):
        await till.tell(f"wamid.{number}", "sent", "delivered", "read")
    settlers = [Settler(till.database, batch=10, poll_seconds=0.01) for _ in range(3)]
    for settler in settlers:
        await settler.start()

    async def is_done() -> bool:
        return await till.open_statuses() == 0

    await until(is_done, timeout_seconds=20)
    for settler in settlers:
        await settler.close()
    assert await states(till.database) == ["captured"] * 40
    assert {message[1] for message in await till.messages()} == {"read"}


async def test_the_loop_stops_where_it_stands(till: Till) -> None:
    settler = Settler(till.database, poll_seconds=30)
    await settler.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await settler.close()


async def test_orders_of_one_recipient_are_adopted_oldest_first(till: Till) -> None:
    first, second = uuid7(), uuid7()
    for key in (first, second):
        await till.gate.reserve(order(key=key))
    await till.tell("wamid.a", "delivered", age=60)
    await till.tell("wamid.b", "failed", age=60)
    await Settler(till.database).settle_once()
    assert sorted(await states(till.database)) == ["captured", "released"]
