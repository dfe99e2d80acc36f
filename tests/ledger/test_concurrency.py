"""Many writers, many partners: no deadlock, no partner hurts another, and money is never promised twice."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from partnerhub.kit import clock
from partnerhub.kit.database import Database
from partnerhub.ledger import services
from partnerhub.ledger.errors import PaymentMissing
from partnerhub.ledger.gate import Gate
from partnerhub.ledger.schemas import ReserveOrder, Settlement
from tests.ledger.stock import (
    BEN,
    assert_books_are_right,
    figures,
    fund,
    order,
    running_gate,
    settle,
    states,
    status,
    stock_prices,
)

pytestmark = pytest.mark.usefixtures("at_noon")

PRICE = 136_500
PARTNERS = [f"p{number}PA" for number in range(6)]


async def _reserve(gate: Gate, message: ReserveOrder) -> bool:
    try:
        await gate.reserve(message)
    except PaymentMissing:
        return False
    return True


async def test_writers_racing_for_the_same_wallets_never_promise_more_than_there_is(
    database: Database,
) -> None:
    """Four gates reserve the same keys, each in its own order, for too little money."""
    await stock_prices(database)
    for partner_id in PARTNERS:
        await fund(database, "5", partner_id=partner_id)  # 36 messages
    messages = [order(partner_id=partner_id) for partner_id in PARTNERS for _ in range(60)]
    async with AsyncExitStack() as stack:
        gates = [await stack.enter_async_context(running_gate(database, max_batch=25)) for _ in range(4)]
        work = [(gate, message) for gate in gates for message in messages]
        random.shuffle(work)
        answers = await asyncio.gather(*(_reserve(gate, message) for gate, message in work))
    accepted = {message.key for (_, message), answer in zip(work, answers, strict=True) if answer}
    assert len(accepted) == len(PARTNERS) * 36
    for partner_id in PARTNERS:
        assert await figures(database, partner_id) == (5_000_000, 36 * PRICE, 0)
    await assert_books_are_right(database)


async def test_everything_at_once_ends_with_each_message_charged_once(database: Database) -> None:
    """Gates reserve, bind and release while settlers see statuses twice, early, late and in any order."""
    await stock_prices(database)
    for partner_id in PARTNERS:
        await fund(database, "1000", partner_id=partner_id)
    dice = random.Random(11)
    delivered: dict[str, int] = dict.fromkeys(PARTNERS, 0)

    async def send(gate: Gate, number: int) -> None:
        partner_id = PARTNERS[number % len(PARTNERS)]
        recipient = BEN if number % 5 == 0 else order().recipient
        message = order(partner_id=partner_id, recipient=recipient)
        await gate.reserve(message)
        if number % 7 == 0:
            await gate.release(partner_id, message.key, "refused")
            return
        end = "failed" if number % 11 == 0 else "delivered"
        if end == "delivered":
            delivered[partner_id] += 10_600 if recipient == BEN else PRICE
        statuses = [
            status(f"w{number}", name, partner_id=partner_id, recipient=recipient)
            for name in ("sent", end, *(["read"] if end == "delivered" else []))
        ] * 2
        dice.shuffle(statuses)
        await asyncio.gather(
            gate.bind(partner_id, message.key, f"w{number}"),
            *(_settle_soon(statuses[n::2]) for n in range(2)),
        )

    async def _settle_soon(statuses: list[Settlement]) -> None:
        await asyncio.sleep(dice.random() * 0.05)
        await settle(database, *statuses)

    async with AsyncExitStack() as stack:
        gates = [await stack.enter_async_context(running_gate(database, max_batch=20)) for _ in range(3)]
        for start in range(0, 240, 40):
            await asyncio.gather(*(send(gates[n % 3], n) for n in range(start, start + 40)))
    for partner_id in PARTNERS:
        assert await figures(database, partner_id) == (1_000_000_000 - delivered[partner_id], 0, 0)
        assert "reserved" not in await states(database, partner_id)
    await assert_books_are_right(database)


async def test_stale_reservations_are_given_back_once_by_many_workers(database: Database) -> None:
    await stock_prices(database)
    async with running_gate(database) as gate:
        for partner_id in PARTNERS:
            await fund(database, "10", partner_id=partner_id)
        await asyncio.gather(*(gate.reserve(order(partner_id=PARTNERS[n % 6])) for n in range(60)))

    async def release() -> int:
        released = 0
        while True:
            async with database.system() as unit:
                done = (await services.release_stale(unit, most=7)).released
            released += done
            if not done:
                return released

    with clock.moved_by(timedelta(minutes=5)):
        assert sum(await asyncio.gather(*(release() for _ in range(4)))) == 60
    await assert_books_are_right(database)
