"""The gate: money is held before a send, answers come after the commit, and nothing it is given is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit import clock
from partnerhub.kit.database import Database
from partnerhub.kit.ids import uuid7
from partnerhub.ledger import services
from partnerhub.ledger.errors import GateBusy, KeyReused, PaymentMissing, RateMissing
from partnerhub.ledger.gate import Gate, OrderInvalid
from partnerhub.ledger.schemas import Category, Reserved
from tests.ledger.stock import (
    BEN,
    RATES,
    assert_books_are_right,
    balance,
    charges,
    figures,
    fund,
    micros,
    order,
    running_gate,
    settle,
    states,
    status,
    stock_prices,
    utc,
)

pytestmark = pytest.mark.usefixtures("at_noon")


async def test_available_falls_by_the_rate_at_reserve_and_posted_at_delivered(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "10")
    message = order()
    async with running_gate(database) as gate:
        reserved = await gate.reserve(message)
        assert (reserved.key, reserved.max_micros) == (message.key, 136_500)
        wallet = await balance(database)
        assert (wallet.posted, wallet.held, wallet.available) == (10_000_000, 136_500, 9_863_500)
        await gate.bind("onePA", message.key, "wamid.1")
    await settle(database, status("wamid.1", "sent"), status("wamid.1", "delivered"))
    wallet = await balance(database)
    assert (wallet.posted, wallet.held, wallet.available) == (9_863_500, 0, 9_863_500)
    await assert_books_are_right(database)


async def test_a_refused_send_gets_its_money_back(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "10")
    message = order()
    async with running_gate(database) as gate:
        await gate.reserve(message)
        await gate.release("onePA", message.key, "131026")
        await gate.release("onePA", message.key, "again")
    assert await figures(database) == (10_000_000, 0, 0)
    assert await states(database) == ["released"]
    await assert_books_are_right(database)


async def test_the_highest_price_must_be_covered_to_the_micro_unit(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "0.136499")
    async with running_gate(database) as gate:
        with pytest.raises(PaymentMissing) as caught:
            await gate.reserve(refused := order())
        assert (caught.value.code, caught.value.status) == ("payment_missing", 400)
        await fund(database, "0.000001")
        await gate.reserve(refused)  # a refused key is not used up
        with pytest.raises(PaymentMissing):
            await gate.reserve(order(recipient=BEN))
    assert await figures(database) == (136_500, 136_500, 0)


async def test_a_big_order_does_not_stop_smaller_ones_of_its_batch(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "0.15")
    async with running_gate(database) as gate:
        answers = await asyncio.gather(
            gate.reserve(order()),
            gate.reserve(order()),
            gate.reserve(order(recipient=BEN)),
            return_exceptions=True,
        )
    assert [type(answer).__name__ for answer in answers] == ["Reserved", "PaymentMissing", "Reserved"]
    await assert_books_are_right(database)


async def test_a_repeat_gets_the_first_answer_and_holds_nothing_more(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "0.2")
    message = order()
    async with running_gate(database) as one, running_gate(database) as two:
        answers = await asyncio.gather(*(gate.reserve(message) for gate in (one, two) * 20))
        assert len(set(answers)) == 1
        await one.release("onePA", message.key, "refused")
        assert await two.reserve(message) == answers[0]
    assert await figures(database) == (200_000, 0, 0)
    assert len(await charges(database)) == 1


async def test_a_key_means_one_order_of_one_partner(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "10")
    await fund(database, "10", partner_id="twoPA")
    message = order()
    async with running_gate(database) as gate:
        await gate.reserve(message)
        for other in ({"recipient": BEN}, {"reference": "twoCH"}, {"category": Category.UTILITY}):
            with pytest.raises(KeyReused):
                await gate.reserve(replace(message, **other))
        await gate.reserve(replace(message, partner_id="twoPA"))
    assert (await figures(database))[1] == (await figures(database, "twoPA"))[1] == 136_500


async def test_free_messages_pass_an_empty_wallet_unless_the_operator_blocks_them(database: Database) -> None:
    await stock_prices(database)
    service = {"category": Category.SERVICE}
    async with running_gate(database) as gate:
        assert (await gate.reserve(order(**service))).max_micros == 0
        with pytest.raises(PaymentMissing):
            await gate.reserve(order())
    async with running_gate(database, block_free_at_zero=True) as gate:
        with pytest.raises(PaymentMissing):
            await gate.reserve(order(**service))
    assert [(charge.state, charge.max_micros) for charge in await charges(database)] == [("reserved", 0)]


async def test_service_is_free_up_to_the_allowance_of_the_number_and_month(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "10")
    service = {"category": Category.SERVICE}
    async with running_gate(database) as gate:
        first = [order(**service) for _ in range(998)]
        await asyncio.gather(*(gate.reserve(message) for message in first))
        answers = [await gate.reserve(order(**service)) for _ in range(4)]
        assert [answer.max_micros for answer in answers] == [0, 0, 55_000, 55_000]
        assert (await gate.reserve(order(**service, reference="twoCH"))).max_micros == 0
        with clock.set_to(utc("2026-11-30T23:00:00")):  # December in Berlin
            assert (await gate.reserve(order(**service))).max_micros == 0
        for message in first[:3]:  # two beyond the allowance had been taken
            await gate.release("onePA", message.key, "refused")
        answers = [await gate.reserve(order(**service)) for _ in range(2)]
        assert [answer.max_micros for answer in answers] == [0, 55_000]
    await assert_books_are_right(database)


async def test_the_allowance_is_shared_by_gates_and_exact_within_a_batch(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "100")
    async with running_gate(database) as one, running_gate(database) as two:
        answers = await asyncio.gather(
            *(gate.reserve(order(category=Category.SERVICE)) for gate in (one, two) * 510)
        )
    assert sorted(answer.max_micros for answer in answers) == [0] * 1000 + [55_000] * 20


async def test_a_group_reserves_for_each_participant(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "1")
    group = order(recipient="Y2FwaV9ncm91cDox", participants=5)
    async with running_gate(database) as gate:
        assert (await gate.reserve(group)).max_micros == 5 * 136_500
        with pytest.raises(PaymentMissing):
            await gate.reserve(order(recipient="Y2FwaV9ncm91cDox", participants=3))
        assert await gate.reserve(group) == await gate.reserve(group)
        await gate.release("onePA", group.key, "refused")
    assert await figures(database) == (1_000_000, 0, 0)
    await assert_books_are_right(database)


async def test_a_currency_without_rates_is_not_sent_in(database: Database) -> None:
    await stock_prices(database)
    async with running_gate(database) as gate:
        with pytest.raises(RateMissing):
            await gate.reserve(order(currency="BRL"))
        with pytest.raises(OrderInvalid):
            await gate.reserve(order(currency=""))
    assert await charges(database) == []


async def test_new_rates_reach_every_gate_at_once(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "10")
    async with running_gate(database) as gate:
        assert (await gate.reserve(order())).max_micros == 136_500
        async with database.system() as unit:
            await services.import_rates(
                unit,
                content=RATES + "2026-11-20,EUR,Germany,marketing,0.2\n",
                source="new",
                actor=SYSTEM,
            )
        async with asyncio.timeout(5):
            while (await gate.reserve(order())).max_micros != 200_000:  # noqa: ASYNC110 - what is watched
                await asyncio.sleep(0.01)


async def test_text_that_cannot_be_stored_hurts_nobody_else(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "10")
    async with running_gate(database) as gate:
        bad = [
            order(recipient="49\0"),
            order(recipient=""),
            order(recipient="4" * 600),
            order(participants=0),
        ]
        answers = await asyncio.gather(
            *(gate.reserve(message) for message in [*bad, order()]), return_exceptions=True
        )
        assert [type(answer).__name__ for answer in answers] == ["OrderInvalid"] * 4 + ["Reserved"]
        with pytest.raises(OrderInvalid):
            await gate.bind("onePA", uuid7(), "")


async def test_one_item_that_the_database_refuses_is_refused_alone(database: Database) -> None:
    await stock_prices(database, rates=RATES + "2026-10-01,EUR,France,utility,4000000000000\n")
    await fund(database, "10")
    dear = order(recipient="33612345678", category=Category.UTILITY, participants=1_024)  # beyond 64 bits
    async with running_gate(database) as gate:
        answers = await asyncio.gather(
            gate.reserve(order()), gate.reserve(dear), gate.reserve(order()), return_exceptions=True
        )
        assert [type(answer).__name__ for answer in answers] == [
            "Reserved",
            "NumericValueOutOfRange",
            "Reserved",
        ]
        assert (await gate.reserve(order())).max_micros == 136_500


async def test_a_full_queue_answers_at_once(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "10")
    async with running_gate(database, max_waiting=10) as gate:
        answers = await asyncio.gather(*(gate.reserve(order()) for _ in range(30)), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, GateBusy)]
        assert len(refused) == 20
        assert refused[0].status == 503
        await gate.reserve(order())
    assert (await figures(database))[1] == 11 * 136_500


async def test_a_caller_who_leaves_before_the_commit_leaves_nothing_behind(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "10")
    async with running_gate(database) as gate:
        with _wallet_locked(database):
            await _settled_tasks(first := asyncio.ensure_future(gate.reserve(order())))
            await _settled_tasks(second := asyncio.ensure_future(gate.reserve(order())))
            first.cancel()  # its batch waits in the database
            second.cancel()  # it waits in the queue
            await asyncio.gather(first, second, return_exceptions=True)
    assert await figures(database) == (10_000_000, 0, 0)
    assert await states(database) == ["released"]
    await assert_books_are_right(database)


async def test_a_bind_is_carried_out_even_if_nobody_waits_for_it(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "10")
    message = order()
    async with running_gate(database) as gate:
        await gate.reserve(message)
        with _wallet_locked(database):
            await _settled_tasks(bind := asyncio.ensure_future(gate.bind("onePA", message.key, "wamid.1")))
            bind.cancel()
            await asyncio.gather(bind, return_exceptions=True)
    assert (await charges(database))[0].wamid == "wamid.1"


async def test_a_reserve_that_is_not_confirmed_in_time_is_refused_and_given_back(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "10")
    async with running_gate(database, patience_seconds=0.5) as gate:
        with _wallet_locked(database), pytest.raises(GateBusy):
            await gate.reserve(order())
    assert await figures(database) == (10_000_000, 0, 0)
    await assert_books_are_right(database)


async def test_killed_connections_lose_nothing(database: Database) -> None:
    """Backends die in the middle of batches, again and again; keys make the repeats harmless."""
    await stock_prices(database)
    await fund(database, "1000")
    messages = [order() for _ in range(300)]
    kills = 0

    async def send(number: int) -> bool:
        await asyncio.sleep(number / 300)
        while True:
            try:
                await gate.reserve(messages[number])
                break
            except GateBusy:
                await asyncio.sleep(0.05)
        await gate.bind("onePA", messages[number].key, f"wamid.{number}")
        return True

    async with running_gate(database, patience_seconds=60) as gate:
        sends = asyncio.gather(*(send(number) for number in range(len(messages))))
        with psycopg.connect(database.url, autocommit=True) as killer:
            while kills < 10 and not sends.done():
                killed = _kill_writers(killer)
                kills += killed
                await asyncio.sleep(0.1 if killed else 0.002)
        assert all(await sends)
    assert kills > 3
    found = await charges(database)
    assert {charge.key for charge in found} == {message.key for message in messages}
    assert len({charge.wamid for charge in found}) == len(messages)
    assert (await figures(database))[1] == 300 * 136_500
    await assert_books_are_right(database)


async def test_while_the_database_is_away_sends_are_refused_and_afterwards_all_goes_on(
    database: Database,
) -> None:
    await stock_prices(database)
    await fund(database, "10")
    message = order()
    async with running_gate(database, patience_seconds=4) as gate:
        await gate.reserve(message)
        with _no_connections(database):
            bind = asyncio.ensure_future(gate.bind("onePA", message.key, "wamid.1"))
            with pytest.raises(GateBusy):
                await gate.reserve(order())
            async with asyncio.timeout(1):
                with pytest.raises(GateBusy):  # known to be away by now: no waiting
                    await gate.reserve(order())
        await asyncio.gather(bind, return_exceptions=True)
        async with asyncio.timeout(20):
            while True:
                try:
                    await gate.reserve(order())
                    break
                except GateBusy:
                    await asyncio.sleep(0.05)
    assert sorted(charge.wamid or "" for charge in await charges(database)) == ["", "wamid.1"]
    await assert_books_are_right(database)


async def test_a_closed_gate_takes_nothing_but_finishes_what_it_has(database: Database) -> None:
    await stock_prices(database)
    await fund(database, "100")
    gate = Gate(database)
    await gate.start()
    waiting = [asyncio.ensure_future(gate.reserve(order())) for _ in range(200)]
    await _settled_tasks(*waiting)
    await gate.close()
    assert {answer.max_micros for answer in await asyncio.gather(*waiting)} == {136_500}
    with pytest.raises(GateBusy):
        await gate.reserve(order())


async def test_falling_below_the_threshold_asks_for_a_renewal_once_in_the_same_commit(
    database: Database,
) -> None:
    await stock_prices(database)
    await fund(database, "1")
    async with running_gate(database) as gate:
        await gate.reserve(order())
        async with database.system() as unit:
            await services.set_threshold(
                unit, partner_id="onePA", currency="EUR", available_below_micros=micros("0.6")
            )
        await gate.reserve(order())
        assert await _renewals(database) == []  # 0.727
        await gate.reserve(order())
        assert await _renewals(database) == ["onePA"]  # 0.5905
        await gate.reserve(order())
        assert await _renewals(database) == ["onePA"]
        async with database.system() as unit:
            await unit.execute("set local role hub_jobs")
            await unit.execute("delete from procrastinate_jobs")
        await gate.reserve(order())
        assert await _renewals(database) == []  # below already; crossed once
        async with database.system() as unit:
            await services.set_threshold(
                unit, partner_id="onePA", currency="EUR", available_below_micros=None
            )
        await fund(database, "1")
        await asyncio.gather(*(gate.reserve(order()) for _ in range(8)))
    assert await _renewals(database) == []


async def _renewals(database: Database) -> list[str]:
    async with database.system() as unit:
        await unit.execute("set local role hub_jobs")
        rows = await unit.fetch_dicts(
            "select args->>'partner_id' as partner from procrastinate_jobs "
            "where task_name = 'billing.renew' and status = 'todo'"
        )
    return [row["partner"] for row in rows]


async def _settled_tasks(*_tasks: asyncio.Future[Reserved] | asyncio.Future[None]) -> None:
    """Let tasks that were just made run to their first wait, and the gate take them over."""
    await asyncio.sleep(0.1)


@contextmanager
def _wallet_locked(database: Database) -> Iterator[None]:
    """Hold the lock of every wallet, as a slow writer would."""
    with psycopg.connect(database.url) as connection:
        connection.execute("set role hub_system")
        connection.execute("select from ledger_balance order by account_id for update")
        yield
        connection.rollback()


def _kill_writers(connection: psycopg.Connection) -> int:
    """End the backends that are inside a batch, from its first statement to its commit."""
    done = connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
        "and application_name = 'test' and xact_start is not null and query ~ 'ledger_gate|set_config|COMMIT'"
    )
    return done.rowcount


@contextmanager
def _no_connections(database: Database) -> Iterator[None]:
    """Refuse new connections to the worker's database and end the open ones."""
    name = database.url.rpartition("/")[2]
    elsewhere = database.url.rpartition("/")[0] + "/postgres"
    with psycopg.connect(elsewhere, autocommit=True) as connection:
        connection.execute(f'alter database "{name}" allow_connections false')
        try:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,)
            )
            yield
        finally:
            connection.execute(f'alter database "{name}" allow_connections true')
