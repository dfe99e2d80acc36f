"""Settling: each (wamid, participant) is charged exactly once, in whatever order things come."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from datetime import date, timedelta

import psycopg
import pytest

from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit import clock
from partnerhub.kit.database import Database
from partnerhub.kit.ids import uuid7
from partnerhub.ledger import queries, services
from partnerhub.ledger.gate import Gate
from partnerhub.ledger.schemas import Category, PriceRule, Released, ReserveOrder, RuleOp, SettleResult
from tests.ledger.stock import (
    ANN,
    BEN,
    assert_books_are_right,
    charges,
    figures,
    fund,
    order,
    settle,
    states,
    status,
    utc,
)

FULL = 10_000_000
PRICE = 136_500


async def _send(gate: Gate, wamid: str, **changes: object) -> ReserveOrder:
    message = order(**changes)
    await gate.reserve(message)
    await gate.bind(message.partner_id, message.key, wamid)
    return message


async def _release_stale(database: Database, minutes: float) -> Released:
    with clock.moved_by(timedelta(minutes=minutes)):
        async with database.system() as unit:
            return await services.release_stale(unit)


@pytest.mark.parametrize("apart", [True, False])
async def test_any_order_of_statuses_captures_once(database: Database, gate: Gate, apart: bool) -> None:
    orders = [*itertools.permutations(["sent", "delivered", "read"]), ("read",), ("delivered", "read")]
    for paid, names in enumerate(orders, 1):
        await _send(gate, f"w{paid}")
        statuses = [status(f"w{paid}", name) for name in names] * 2
        for some in [[one] for one in statuses] if apart else [statuses]:
            await settle(database, *some)
        assert await figures(database) == (FULL - paid * PRICE, 0, 0), names
    assert set(await states(database)) == {"captured"}
    await assert_books_are_right(database)


async def test_a_failure_gives_back_and_a_delivery_wins_over_it(database: Database, gate: Gate) -> None:
    await _send(gate, "w1")
    await _send(gate, "w2")
    await settle(database, status("w1", "failed"), status("w2", "failed"), status("w2", "delivered"))
    assert await figures(database) == (FULL - PRICE, 0, 0)
    assert (await settle(database, status("w2", "failed"))).ignored == 1
    late = await settle(database, status("w1", "delivered"))
    assert (late.captured, late.late) == (1, 1)
    assert (await settle(database, status("w1", "read"))).ignored == 1
    assert await figures(database) == (FULL - 2 * PRICE, 0, 0)
    assert await states(database) == ["released", "captured", "captured"]
    await assert_books_are_right(database)


async def test_a_free_delivery_costs_nothing(database: Database, gate: Gate) -> None:
    await _send(gate, "w1")
    result = await settle(database, status("w1", "delivered", pricing_type="free_entry_point"))
    assert (result.free, result.captured) == (1, 0)
    assert await figures(database) == (FULL, 0, 0)
    await assert_books_are_right(database)


async def test_the_reported_category_is_charged_and_the_rest_comes_back(
    database: Database, gate: Gate
) -> None:
    await _send(gate, "w1")
    await settle(database, status("w1", "delivered", pricing_category="utility"))
    assert await figures(database) == (FULL - 55_000, 0, 0)
    found = (await charges(database))[0]
    assert (found.category, found.charged_category, found.price_micros) == ("marketing", "utility", 55_000)
    await assert_books_are_right(database)


async def test_more_than_was_reserved_is_taken_from_available_then_owed(
    database: Database, gate: Gate
) -> None:
    await _send(gate, "w1", category=Category.UTILITY)
    await settle(database, status("w1", "delivered"))
    assert await figures(database) == (FULL - PRICE, 0, 0)
    await fund(database, "0.06", partner_id="twoPA")
    await _send(gate, "w2", category=Category.UTILITY, partner_id="twoPA")
    result = await settle(database, status("w2", "delivered", partner_id="twoPA"))
    assert (result.captured, result.uncovered, result.uncovered_micros) == (1, 1, PRICE - 60_000)
    assert await figures(database, "twoPA") == (0, 0, PRICE - 60_000)
    assert await states(database, "twoPA") == ["uncovered"]
    await assert_books_are_right(database)
    repaid = await fund(database, "1", partner_id="twoPA")
    assert repaid.repaid_micros == PRICE - 60_000
    assert await figures(database, "twoPA") == (1_060_000 - PRICE, 0, 0)
    await assert_books_are_right(database)


async def test_a_price_announced_with_sent_counts_when_delivered_carries_none(
    database: Database, gate: Gate
) -> None:
    silent = {"pricing_type": None, "pricing_category": None}
    for wamid in ("w1", "w2", "w3"):
        await _send(gate, wamid)
    await settle(database, status("w1", "sent", pricing_category="utility"))
    await settle(database, status("w1", "delivered", **silent))
    assert await figures(database) == (FULL - 55_000, 2 * PRICE, 0)
    await settle(database, status("w2", "sent", pricing_category="utility"), status("w2", "read", **silent))
    assert await figures(database) == (FULL - 110_000, PRICE, 0)
    result = await settle(database, status("w3", "delivered", **silent))  # nobody ever said a price
    assert result.unpriced == 1
    assert await figures(database) == (FULL - 110_000 - PRICE, 0, 0)
    await assert_books_are_right(database)


async def test_an_unknown_message_takes_the_oldest_open_reservation_of_its_recipient(
    database: Database, gate: Gate
) -> None:
    second, first = order(), order()
    for seconds, message in enumerate([order(recipient=BEN), order(reference="twoCH"), first, second]):
        with clock.moved_by(timedelta(seconds=seconds)):
            await gate.reserve(message)
    result = await settle(database, status("w1", "sent", recipient="+49 151 12345678"))
    assert (result.adopted, result.noted, result.late) == (1, 1, 0)
    owner = {charge.wamid: charge.key for charge in await charges(database)}
    assert owner["w1"] == first.key
    assert (await settle(database, status("w1", "delivered"), status("w2", "failed"))).adopted == 1
    assert await figures(database) == (FULL - PRICE, PRICE + 10_600, 0)
    await assert_books_are_right(database)


async def test_without_any_reservation_a_delivery_is_charged_late_and_anything_else_ignored(
    database: Database, gate: Gate
) -> None:
    result = await settle(database, status("w1", "sent"), status("w2", "failed"), status("w3", "delivered"))
    assert (result.ignored, result.captured, result.late) == (2, 1, 1)
    assert await figures(database) == (FULL - PRICE, 0, 0)
    assert (await settle(database, status("w3", "read"), status("w3", "failed"))).ignored == 1
    await assert_books_are_right(database)
    # Its bind comes at last, with a reservation that nobody could find: that one is not needed.
    message = order(recipient=BEN)
    await gate.reserve(message)
    await gate.bind("onePA", message.key, "w3")
    assert await figures(database) == (FULL - PRICE, 0, 0)
    assert await states(database) == ["captured", "released"]


async def test_a_late_delivery_without_money_is_owed_and_raises_the_alarm(
    database: Database, gate: Gate
) -> None:
    assert gate.depth == 0
    result = await settle(database, status("w1", "delivered", partner_id="poorPA"))
    assert (result.late, result.uncovered_micros) == (1, PRICE)
    assert await figures(database, "poorPA") == (0, 0, PRICE)
    await assert_books_are_right(database)


async def test_statuses_that_overtake_their_binds_leave_no_reservation_open(
    database: Database, gate: Gate
) -> None:
    """Two sends to one recipient; one message is heard of before anybody knows whose it is. Every order."""
    await fund(database, "100")
    scenarios = list(
        itertools.product(
            ["1", "2"],
            itertools.product(["delivered", "failed"], repeat=2),
            itertools.permutations(["bind 1", "bind 2", "end 1", "end 2"]),
        )
    )
    at_once = asyncio.Semaphore(8)

    async def play(n: int, adopted: str, ends: tuple[str, ...], steps: tuple[str, ...]) -> None:
        here = {"reference": f"{n}CH"}
        messages = {"1": order(**here), "2": order(**here)}
        async with at_once:
            for message in messages.values():
                await gate.reserve(message)
            await settle(database, status(f"{n}-{adopted}", "sent", **here))
            for step in steps:
                what, number = step.split()
                if what == "bind":
                    await gate.bind("onePA", messages[number].key, f"{n}-{number}")
                else:
                    await settle(database, status(f"{n}-{number}", ends[int(number) - 1], **here))

    await asyncio.gather(*(play(n, *scenario) for n, scenario in enumerate(scenarios)))
    prices: dict[str, list[int]] = defaultdict(list)
    for charge in await charges(database):
        assert charge.state != "reserved", scenarios[int(charge.reference[:-2])]
        prices[charge.reference] += [charge.price_micros] if charge.price_micros else []
    for n, scenario in enumerate(scenarios):
        assert prices[f"{n}CH"] == [PRICE] * scenario[1].count("delivered"), scenario
    await assert_books_are_right(database)


@pytest.mark.parametrize("steps", list(itertools.permutations(["release 1", "bind 2", "end 2"])))
async def test_a_refused_send_whose_reservation_was_taken_gives_the_other_one_back(
    database: Database, gate: Gate, steps: tuple[str, ...]
) -> None:
    first, second = order(), order()
    await gate.reserve(first)
    await gate.reserve(second)
    await settle(database, status("w2", "sent"))  # takes the first one, whose own send is then refused
    for step in steps:
        match step:
            case "release 1":
                await gate.release("onePA", first.key, "131026")
            case "bind 2":
                await gate.bind("onePA", second.key, "w2")
            case _:
                await settle(database, status("w2", "delivered"))
    assert await figures(database) == (FULL - PRICE, 0, 0)
    assert sorted(await states(database)) == ["captured", "released"]
    await assert_books_are_right(database)


async def test_a_message_whose_reservation_was_taken_holds_another_one(
    database: Database, gate: Gate
) -> None:
    first, second = order(), order()
    for seconds, message in enumerate([first, second]):
        with clock.moved_by(timedelta(seconds=seconds)):
            await gate.reserve(message)
    await settle(database, status("w2", "sent"))  # takes the first one
    await gate.bind("onePA", first.key, "w1")  # so w1 is paid by the second
    assert [charge.wamid for charge in await charges(database)].count("w1") == 1
    assert await _release_stale(database, 5) == Released(0, 0)
    assert (await settle(database, status("w1", "delivered"))).late == 0
    assert await figures(database) == (FULL - PRICE, PRICE, 0)


async def test_three_sends_in_a_ring_are_all_charged_once(database: Database, gate: Gate) -> None:
    messages = [order() for _ in range(3)]
    for message in messages:
        await gate.reserve(message)
    for wamid in ("w3", "w1", "w2"):  # taken by 1, 2, 3
        await settle(database, status(wamid, "sent"))
    for number, message in enumerate(messages, 1):
        await gate.bind("onePA", message.key, f"w{number}")
    await settle(database, *(status(f"w{number}", "delivered") for number in (1, 2, 3)))
    assert await figures(database) == (FULL - 3 * PRICE, 0, 0)
    assert [charge.wamid for charge in await charges(database)] == ["w3", "w1", "w2"]
    await assert_books_are_right(database)


async def test_a_release_after_the_capture_is_ignored(database: Database, gate: Gate) -> None:
    message = await _send(gate, "w1")
    await settle(database, status("w1", "delivered"))
    await gate.release("onePA", message.key, "too late")
    assert await states(database) == ["captured"]
    assert await figures(database) == (FULL - PRICE, 0, 0)


async def test_binds_and_releases_of_unknown_keys_do_nothing(database: Database, gate: Gate) -> None:
    await gate.bind("onePA", uuid7(), "w1")
    await gate.bind("nobodyPA", uuid7(), "w1")
    await gate.release("onePA", uuid7(), "x")
    assert await charges(database) == []
    await _send(gate, "w1")
    await settle(database, status("w1", "delivered"))
    assert await figures(database) == (FULL - PRICE, 0, 0)


async def test_reservations_without_a_message_go_back_after_two_minutes(
    database: Database, gate: Gate
) -> None:
    lost = order()
    await gate.reserve(lost)
    await _send(gate, "w1")
    assert await _release_stale(database, 1.9) == Released(0, 0)
    assert await _release_stale(database, 2.1) == Released(1, 1)
    assert await figures(database) == (FULL, PRICE, 0)
    # The bind comes after all: its message is remembered and charged late, once.
    await gate.bind("onePA", lost.key, "w2")
    result = await settle(database, status("w2", "delivered"))
    assert (result.late, result.captured) == (1, 1)
    await settle(database, status("w2", "read"), status("w1", "delivered"))
    assert await figures(database) == (FULL - 2 * PRICE, 0, 0)
    await assert_books_are_right(database)


async def test_a_message_that_comes_while_the_stale_are_given_back_keeps_its_reservation(
    database: Database, gate: Gate
) -> None:
    await gate.reserve(order())
    with psycopg.connect(database.url) as other:
        other.execute("set role hub_system")
        other.execute("select from ledger_balance for update")
        releasing = asyncio.ensure_future(_release_stale(database, 5))
        await _wait_for_a_lock(database)
        other.execute("update charge set wamid = 'w1', call = 'bound'")
        other.execute("insert into charge_wamid select 'w1', '', partner_id, key, 0 from charge")
        other.commit()
        assert await releasing == Released(0, 0)
    await settle(database, status("w1", "delivered"))
    assert await figures(database) == (FULL - PRICE, 0, 0)


async def _wait_for_a_lock(database: Database) -> None:
    async with asyncio.timeout(10), database.pool.connection() as connection:
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        while (await (await connection.execute(waiting)).fetchone()) == (0,):
            await connection.rollback()
            await asyncio.sleep(0.01)


async def test_messages_without_an_end_go_back_after_thirty_days(database: Database, gate: Gate) -> None:
    await _send(gate, "w1")
    assert await _release_stale(database, 60 * 24 * 29.9) == Released(0, 0)
    assert await _release_stale(database, 60 * 24 * 30.1) == Released(1, 0)
    assert await figures(database) == (FULL, 0, 0)
    assert (await settle(database, status("w1", "read"))).late == 1
    assert await figures(database) == (FULL - PRICE, 0, 0)
    await assert_books_are_right(database)


async def test_stale_reservations_go_back_in_bounded_commits(database: Database, gate: Gate) -> None:
    for _ in range(5):
        await gate.reserve(order())
    with clock.moved_by(timedelta(minutes=5)):
        async with database.system() as unit:
            released = [await services.release_stale(unit, most=2) for _ in range(4)]
    assert [one.released for one in released] == [2, 2, 1, 0]
    await assert_books_are_right(database)


async def test_a_group_pays_for_each_member_it_reached_at_its_own_rate(
    database: Database, gate: Gate
) -> None:
    group = await _send(gate, "w1", recipient="Y2FwaV9ncm91cDox", participants=5)
    held = 5 * PRICE
    assert await figures(database) == (FULL, held, 0)
    here = {"recipient": group.recipient, "pricing_category": "group_marketing"}
    members = [ANN, BEN, "33612345678", "18095550100"]
    prices = [PRICE, 10_600, 77_300, 66_600]
    for member in members:
        await settle(database, status("w1", "sent", participant=member, **here))
    for member, name in itertools.product(members, ["delivered", "read"]):
        await settle(database, status("w1", name, participant=member, **here))
    assert await figures(database) == (FULL - sum(prices), PRICE, 0)
    await settle(database, status("w1", "failed", participant="4915100000000", **here))
    assert await figures(database) == (FULL - sum(prices), 0, 0)
    sixth = await settle(database, status("w1", "delivered", participant="4915199999999", **here))
    assert sixth.late == 1
    assert await figures(database) == (FULL - sum(prices) - PRICE, 0, 0)
    await assert_books_are_right(database)


async def test_what_a_group_reserved_for_members_it_has_not_goes_back_after_a_day(
    database: Database, gate: Gate
) -> None:
    group = await _send(gate, "w1", recipient="Y2FwaV9ncm91cDox", participants=8)
    here = {"recipient": group.recipient, "pricing_category": "group_marketing"}
    await settle(database, status("w1", "sent", participant=ANN, **here))
    await settle(database, status("w1", "delivered", participant=BEN, **here))
    assert await _release_stale(database, 24 * 60 - 1) == Released(0, 0)
    assert await figures(database) == (FULL - 10_600, 7 * PRICE, 0)
    # Ann's phone is off: her part stays, as that of a single message would.
    assert await _release_stale(database, 24 * 60 + 1) == Released(6, 0)
    assert await figures(database) == (FULL - 10_600, PRICE, 0)
    # Somebody who was away longer than that is charged all the same.
    third = await settle(database, status("w1", "delivered", participant="4915199999999", **here))
    assert (third.captured, third.late) == (1, 1)
    await settle(database, status("w1", "delivered", participant=ANN, **here))
    assert await figures(database) == (FULL - 10_600 - 2 * PRICE, 0, 0)
    await assert_books_are_right(database)


async def test_a_group_message_of_which_nothing_is_heard_holds_one_part_as_any_message_does(
    database: Database, gate: Gate
) -> None:
    await _send(gate, "w1", recipient="Y2FwaV9ncm91cDox", participants=8)
    assert await _release_stale(database, 25 * 60) == Released(7, 0)
    assert await figures(database) == (FULL, PRICE, 0)
    assert await _release_stale(database, 31 * 24 * 60) == Released(1, 0)
    assert await figures(database) == (FULL, 0, 0)
    await assert_books_are_right(database)


async def test_a_group_message_of_unknown_origin_takes_the_whole_reservation(
    database: Database, gate: Gate
) -> None:
    group = order(recipient="Y2FwaV9ncm91cDox", participants=2)
    await gate.reserve(group)
    here = {"recipient": group.recipient}
    result = await settle(
        database,
        status("w1", "delivered", participant=ANN, **here),
        status("w1", "delivered", participant=BEN, **here),
    )
    assert (result.adopted, result.captured, result.late) == (1, 2, 0)
    await gate.bind("onePA", group.key, "w1")
    assert await figures(database) == (FULL - PRICE - 10_600, 0, 0)
    await assert_books_are_right(database)


async def test_the_day_of_delivery_in_the_time_zone_of_the_account_decides_the_rate(
    database: Database, gate: Gate
) -> None:
    for number, (moment, zone) in enumerate(
        [
            ("2026-09-30T21:59:59", "Europe/Berlin"),
            ("2026-09-30T22:00:00", "Europe/Berlin"),
            ("2026-10-01T03:59:59", "America/New_York"),
            ("2026-10-01T04:00:00", "America/New_York"),
        ]
    ):
        await _send(gate, f"w{number}")
        await settle(database, status(f"w{number}", "delivered", at=utc(moment), time_zone=zone))
    prices = [charge.price_micros for charge in await charges(database)]
    assert prices == [110_000, PRICE, 110_000, PRICE]
    await assert_books_are_right(database)


async def test_utility_in_the_window_turns_from_free_to_charged_on_the_first_of_october(
    database: Database, gate: Gate
) -> None:
    """The window is Meta's to judge: before the day it reports it free, from the day on regular."""
    for number, (moment, kind, price) in enumerate(
        [
            ("2026-09-30T21:59:00", "free_customer_service", 0),
            ("2026-09-30T22:01:00", "regular", 55_000),
        ]
    ):
        await _send(gate, f"w{number}", category=Category.UTILITY)
        end = status(f"w{number}", "delivered", pricing_type=kind, pricing_category="utility", at=utc(moment))
        await settle(database, end)
        assert (await charges(database))[-1].price_micros == price


async def test_a_number_that_moved_is_still_paid_by_the_partner_of_the_day(
    database: Database, gate: Gate
) -> None:
    await _send(gate, "w1")
    await settle(database, status("w1", "delivered", partner_id="newPA"))
    assert await figures(database) == (FULL - PRICE, 0, 0)
    await assert_books_are_right(database)


@pytest.mark.parametrize("is_bound", [True, False])
async def test_a_message_is_charged_in_the_currency_that_was_reserved(
    database: Database, gate: Gate, is_bound: bool
) -> None:
    """The account's currency changed between the send and its statuses; the price is not Germany's in USD."""
    message = await _send(gate, "w1", recipient=BEN) if is_bound else order(recipient=BEN)
    if not is_bound:
        await gate.reserve(message)
        await fund(database, "1", currency="USD")
    await settle(database, status("w1", "sent", recipient=BEN, currency="USD"))
    await settle(database, status("w1", "delivered", recipient=BEN, currency="USD"))
    (charge,) = await charges(database)
    assert (charge.currency, charge.price_micros, charge.is_late) == ("EUR", 10_600, False)
    async with database.tenant("onePA") as unit:
        wallets = {one.currency: one for one in await queries.get_balance(unit, partner_id="onePA")}
    assert (wallets["EUR"].posted, wallets["EUR"].held) == (FULL - 10_600, 0)
    assert {name: one.posted for name, one in wallets.items() if name != "EUR"} == (
        {} if is_bound else {"USD": 1_000_000}
    )
    await assert_books_are_right(database)


async def test_a_price_announced_with_sent_is_in_the_currency_that_was_reserved(
    database: Database, gate: Gate
) -> None:
    await _send(gate, "w1", recipient=BEN, category=Category.UTILITY)
    await settle(database, status("w1", "sent", recipient=BEN, currency="USD", pricing_category="utility"))
    silent = {"pricing_type": None, "pricing_category": None}
    await settle(database, status("w1", "delivered", recipient=BEN, currency="USD", **silent))
    assert await figures(database) == (FULL - 1_300, 0, 0)
    await assert_books_are_right(database)


async def test_members_beyond_the_reservation_are_paid_by_whom_and_in_what_the_others_are(
    database: Database, gate: Gate
) -> None:
    group = await _send(gate, "w1", recipient="Y2FwaV9ncm91cDox", participants=1)
    now = {"recipient": group.recipient, "partner_id": "newPA", "currency": "USD"}
    await settle(database, status("w1", "delivered", participant=ANN, **now))
    await settle(database, status("w1", "delivered", participant=BEN, **now))
    assert await figures(database) == (FULL - PRICE - 10_600, 0, 0)
    assert [one.is_late for one in await charges(database)] == [False, True]
    await assert_books_are_right(database)


async def test_the_price_rules_of_the_partner_who_pays_count(database: Database, gate: Gate) -> None:
    async with database.system() as unit:
        await services.add_price_rule(
            unit,
            rule=PriceRule(
                op=RuleOp.PERCENT, value=500_000, priority=1, since=date(2026, 1, 1), partner_id="newPA"
            ),
            actor=SYSTEM,
        )
    await _send(gate, "w1")
    await settle(database, status("w1", "delivered", partner_id="newPA"))
    assert await figures(database) == (FULL - PRICE, 0, 0)


async def test_late_service_messages_count_for_the_allowance(database: Database, gate: Gate) -> None:
    regular = {"pricing_type": "free_customer_service", "pricing_category": "service"}
    await settle(database, *(status(f"w{number}", "delivered", **regular) for number in range(999)))
    answers = [await gate.reserve(order(category=Category.SERVICE)) for _ in range(2)]
    assert [answer.max_micros for answer in answers] == [0, 55_000]


async def test_statuses_without_a_meaning_for_money_are_dropped(database: Database, gate: Gate) -> None:
    await _send(gate, "w1")
    assert await settle(database, status("w1", "deleted"), status("w1", "warning")) == SettleResult()
    assert await settle(database) == SettleResult()
    assert await figures(database) == (FULL, PRICE, 0)


async def test_a_voice_message_that_was_played_was_delivered(database: Database, gate: Gate) -> None:
    await _send(gate, "w1")
    await settle(database, status("w1", "played"))
    assert await states(database) == ["captured"]


async def test_a_batch_mixes_partners_currencies_and_outcomes(database: Database, gate: Gate) -> None:
    await fund(database, "1", partner_id="twoPA")
    await fund(database, "1", currency="USD")
    await _send(gate, "w1")
    await _send(gate, "w2", partner_id="twoPA")
    await _send(gate, "w3", currency="USD", recipient=BEN)
    await _send(gate, "w4")
    result = await settle(
        database,
        status("w4", "failed"),
        status("w3", "delivered", currency="USD", recipient=BEN),
        status("w2", "delivered", partner_id="twoPA"),
        status("w1", "delivered", pricing_type="free_entry_point"),
        status("w5", "delivered", partner_id="threePA"),
    )
    assert result == SettleResult(
        captured=3, free=1, released=1, late=1, uncovered=1, uncovered_micros=result.uncovered_micros
    )
    assert await figures(database, "twoPA") == (1_000_000 - PRICE, 0, 0)
    await assert_books_are_right(database)
