"""Top-ups, and what a partner can and cannot do to its own books."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit.database import Database
from partnerhub.kit.money import Micros
from partnerhub.ledger import queries, services
from partnerhub.ledger.errors import KeyReused
from partnerhub.ledger.gate import Gate
from partnerhub.ledger.services.wallets import TopUpInvalid
from tests.ledger.stock import assert_books_are_right, balance, fund, micros, order


async def test_a_repeated_top_up_returns_the_first_answer_and_moves_nothing(database: Database) -> None:
    first = await fund(database, "10", key="order 1")
    await fund(database, "5", key="order 2")
    assert await fund(database, "10", key="order 1") == first
    assert first.balance.posted == 10_000_000
    assert (await balance(database)).posted == 15_000_000
    await assert_books_are_right(database)


async def test_the_same_key_for_another_amount_is_a_conflict(database: Database) -> None:
    await fund(database, "10", key="order 1")
    with pytest.raises(KeyReused) as caught:
        await fund(database, "11", key="order 1")
    assert caught.value.status == 409
    with pytest.raises(KeyReused):
        await fund(database, "10", key="order 1", currency="USD")
    await fund(database, "11", key="order 1", partner_id="twoPA")
    assert (await balance(database)).posted == 10_000_000


async def test_one_key_at_once_from_many_sides_counts_once(database: Database) -> None:
    answers = await asyncio.gather(*(fund(database, "10", key="order 1") for _ in range(8)))
    assert len({answer.journal_id for answer in answers}) == 1
    assert (await balance(database)).posted == 10_000_000
    await assert_books_are_right(database)


@pytest.mark.parametrize(
    ("amount", "currency"), [(0, "EUR"), (-1, "EUR"), (2**60, "EUR"), (1, "eur"), (1, "EU")]
)
async def test_what_is_no_amount_of_money_is_refused(database: Database, amount: int, currency: str) -> None:
    async with database.system() as unit:
        with pytest.raises(TopUpInvalid):
            await services.top_up(
                unit,
                partner_id="onePA",
                currency=currency,
                amount_micros=Micros(amount),
                key="k",
                actor=SYSTEM,
            )


async def test_a_top_up_is_in_the_audit_log(database: Database) -> None:
    answer = await fund(database, "10")
    async with database.tenant("onePA") as unit:
        rows = await unit.fetch_dicts("select action, object_id, after from audit_entry")
    assert [(row["action"], row["object_id"]) for row in rows] == [
        ("wallet.topped_up", str(answer.journal_id))
    ]
    assert rows[0]["after"]["amount_micros"] == 10_000_000


async def test_a_wallet_shows_each_currency_by_itself(database: Database) -> None:
    await fund(database, "10")
    await fund(database, "7", currency="USD")
    async with database.tenant("onePA") as unit:
        wallets = await queries.get_balance(unit, partner_id="onePA")
    assert [(wallet.currency, wallet.available) for wallet in wallets] == [
        ("EUR", 10_000_000),
        ("USD", 7_000_000),
    ]


async def test_journals_tell_what_moved_the_wallet(database: Database, gate: Gate) -> None:
    message = order()
    await gate.reserve(message)
    await gate.release("onePA", message.key, "refused")
    async with database.tenant("onePA") as unit:
        journals = await queries.list_journals(unit, partner_id="onePA")
        only = await queries.list_journals(unit, partner_id="onePA", kinds=("top_up",))
        older = await queries.list_journals(unit, partner_id="onePA", before=journals[0].id, limit=1)
    assert [(row.kind, row.posted_change, row.available_change) for row in journals] == [
        ("release", 0, 136_500),
        ("reserve", 0, -136_500),
        ("top_up", 10_000_000, 10_000_000),
    ]
    assert only == journals[2:]
    assert older == journals[1:2]


async def test_a_partner_sees_its_own_money_and_nothing_of_another(database: Database, gate: Gate) -> None:
    await fund(database, "5", partner_id="twoPA")
    await gate.reserve(order())
    async with database.tenant("twoPA") as unit:
        assert await queries.get_balance(unit, partner_id="onePA") == []
        assert await queries.list_charges(unit, partner_id="onePA") == []
        assert await queries.list_journals(unit, partner_id="onePA") == []
        accounts = await unit.fetch_dicts("select distinct partner_id from ledger_account")
    assert accounts == [{"partner_id": "twoPA"}]


async def test_a_client_of_the_partner_sees_none_of_the_partners_money(
    database: Database, gate: Gate
) -> None:
    await gate.reserve(order())
    async with database.tenant("onePA", client_id="oneCL") as unit:
        assert await queries.get_balance(unit, partner_id="onePA") == []
        assert await queries.list_charges(unit, partner_id="onePA") == []
        assert await queries.list_journals(unit, partner_id="onePA") == []


@pytest.mark.parametrize(
    "statement",
    [
        "insert into ledger_account (partner_id, kind, currency) values ('onePA', 'receivable', 'EUR')",
        "update ledger_balance set posted = posted + 1",
        "update ledger_journal set note = 'x'",
        "delete from charge",
        "select ledger_gate('[]', now(), false)",
        "select ledger_book('{}', now())",
        "update rate set micros = 0",
    ],
)
async def test_a_partner_cannot_move_money_by_itself(database: Database, statement: str) -> None:
    await fund(database, "10")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with database.tenant("onePA") as unit:
            await unit.execute(statement)


@pytest.mark.parametrize("table", ["ledger_transfer", "ledger_journal", "charge_batch", "ledger_account"])
@pytest.mark.parametrize("verb", ["update {} set partner_id = 'x'", "delete from {}"])
async def test_not_even_the_system_rewrites_what_was_booked(
    database: Database, table: str, verb: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with database.system() as unit:
            await unit.execute(verb.format(table))


async def test_a_wallet_cannot_be_overdrawn_by_any_writer(database: Database) -> None:
    await fund(database, "10")
    for change in ("held = posted + 1", "posted = -1", "owed = -1"):
        with pytest.raises(psycopg.errors.CheckViolation):
            async with database.system() as unit:
                await unit.execute("update ledger_balance set " + change)


async def test_a_transfer_cannot_cross_currencies(database: Database) -> None:
    await fund(database, "10")
    await fund(database, "10", currency="USD")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        async with database.system() as unit:
            await unit.execute(
                "insert into ledger_transfer (partner_id, journal_id, debit_account, credit_account,"
                " amount_micros, currency) select 'onePA', j.id, e.id, u.id, 1, 'EUR'"
                " from ledger_journal j, ledger_account e, ledger_account u"
                " where e.currency = 'EUR' and u.currency = 'USD' limit 1"
            )


async def test_setting_a_threshold_opens_the_wallet(database: Database) -> None:
    async with database.system() as unit:
        await services.set_threshold(
            unit, partner_id="onePA", currency="EUR", available_below_micros=micros("200")
        )
    assert (await balance(database)).available == 0
