"""The nightly recomputation finds every figure that was bent, and nothing where nothing was."""

from __future__ import annotations

from typing import LiteralString

import psycopg
import pytest

from partnerhub.kit.database import Database
from partnerhub.ledger import queries
from partnerhub.ledger.gate import Gate
from partnerhub.ledger.schemas import Category
from tests.ledger.stock import BEN, assert_books_are_right, fund, order, settle, status


@pytest.fixture
async def busy(database: Database, gate: Gate) -> Database:
    """Give books with charges in every state."""
    await fund(database, "0.06", partner_id="poorPA")
    for number, changes in enumerate(
        [{}, {}, {}, {"recipient": BEN}, {"partner_id": "poorPA", "category": Category.UTILITY}]
    ):
        message = order(**changes)
        await gate.reserve(message)
        await gate.bind(message.partner_id, message.key, f"w{number}")
    await gate.reserve(order())
    await settle(
        database,
        status("w0", "delivered"),
        status("w1", "delivered", pricing_type="free_entry_point"),
        status("w2", "failed"),
        status("w4", "delivered", partner_id="poorPA"),
        status("w5", "delivered", recipient="33612345678"),
    )
    await assert_books_are_right(database)
    return database


@pytest.mark.parametrize(
    ("statement", "rules"),
    [
        (
            "update ledger_balance set posted = posted + 1 where partner_id = 'onePA'",
            {"posted_is_transfers", "posted_is_charges"},
        ),
        (
            "update ledger_balance set held = held + 1 where partner_id = 'onePA'",
            {"held_is_in_flight", "held_is_open_charges"},
        ),
        ("update ledger_balance set owed = owed + 1 where partner_id = 'poorPA'", {"owed_is_overdraft"}),
        (
            "update charge set max_micros = max_micros - 1 where state = 'reserved' and wamid is null",
            {"held_is_open_charges", "batch_is_its_charges"},
        ),
        (
            "update charge set price_micros = price_micros + 1 where wamid = 'w0'",
            {"posted_is_charges", "batch_is_its_charges"},
        ),
        (
            "update charge set key = gen_random_uuid() where wamid = 'w3'",
            {"batch_is_its_charges", "paid_by_its_charge"},
        ),
        (
            "update charge set uncovered_micros = 999999 where state = 'uncovered'",
            {"parts_are_whole", "posted_is_charges"},
        ),
        ("update charge set wamid = 'w0' where wamid = 'w5'", {"paid_once", "paid_by_its_charge"}),
        (
            "update charge set resolve_batch = gen_random_uuid() where wamid = 'w0'",
            {"batch_is_its_charges", "charge_has_its_batch"},
        ),
        (
            "update charge_batch set sum_micros = sum_micros + 1 where kind = 'release'",
            {"batch_is_its_charges", "batch_is_its_journal"},
        ),
        ("update charge_batch set digest = 'x' where kind = 'release'", {"batch_is_its_charges"}),
        (
            (
                "update ledger_transfer t set amount_micros = amount_micros + 1 from ledger_journal j"
                " where j.id = t.journal_id and j.kind = 'release'"
            ),
            {"held_is_in_flight", "batch_is_its_journal"},
        ),
        ("delete from charge where wamid = 'w2'", {"batch_is_its_charges", "paid_by_its_charge"}),
    ],
)
async def test_a_bent_figure_is_named(busy: Database, statement: LiteralString, rules: set[str]) -> None:
    with psycopg.connect(busy.url, autocommit=True) as connection:
        connection.execute("set role hub_owner")
        assert connection.execute(statement).rowcount > 0
    async with busy.system() as unit:
        found = await queries.check_books(unit)
    named = {difference.rule for difference in found}
    assert rules <= named, named
    assert all(difference.expected != difference.found for difference in found)
