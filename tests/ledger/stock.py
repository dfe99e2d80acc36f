"""A small world for ledger tests: a few markets and rates, a funded wallet, orders and statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit import clock
from partnerhub.kit.database import Database
from partnerhub.kit.ids import uuid7
from partnerhub.kit.money import Micros, parse
from partnerhub.ledger import queries, services
from partnerhub.ledger.gate import Gate
from partnerhub.ledger.schemas import (
    Balance,
    Category,
    Charge,
    ReserveOrder,
    Settlement,
    SettleResult,
    TopUp,
)

BERLIN = "Europe/Berlin"
ANN = "4915112345678"
BEN = "919812345678"

MARKETS = """effective_date,prefix,market,country
2025-07-01,49,Germany,DE
2025-07-01,91,India,IN
2025-07-01,33,France,FR
2025-07-01,1,North America,US
2025-07-01,1809,Rest of Latin America,DO
2025-07-01,7,Russia,RU
2025-07-01,77,Other,KZ
2026-10-01,77,Kazakhstan,KZ
"""
RATES = """effective_date,currency,market,category,rate
2025-07-01,EUR,Germany,marketing,0.1100
2025-07-01,EUR,Germany,utility,0.0500
2026-10-01,EUR,Germany,marketing,0.1365
2026-10-01,EUR,Germany,utility,0.0550
2026-10-01,EUR,Germany,authentication,0.0550
2026-10-01,EUR,Germany,service,0.0550
2026-10-01,EUR,India,marketing,0.0106
2026-10-01,EUR,India,utility,0.0013
2026-10-01,EUR,India,authentication,0.0013
2026-10-01,EUR,India,authentication_international,0.0274
2026-10-01,EUR,India,service,0.0013
2026-10-01,EUR,France,marketing,0.0773
2026-10-01,EUR,North America,marketing,0.0225
2026-10-01,EUR,North America,service,0.0031
2026-10-01,EUR,Rest of Latin America,marketing,0.0666
2026-10-01,EUR,Other,marketing,0.0544
2026-10-01,EUR,Kazakhstan,marketing,0.0577
2026-10-01,USD,India,marketing,0.0118
2026-10-01,USD,India,utility,0.0014
2026-10-01,USD,India,authentication_international,0.0304
"""


async def stock_prices(database: Database, *, markets: str = MARKETS, rates: str = RATES) -> None:
    """Import the small markets and rates."""
    async with database.system() as unit:
        await services.import_markets(unit, content=markets, source="markets", actor=SYSTEM)
        await services.import_rates(unit, content=rates, source="rates", actor=SYSTEM)


async def fund(
    database: Database,
    amount: str,
    *,
    partner_id: str = "onePA",
    currency: str = "EUR",
    key: str | None = None,
) -> TopUp:
    """Top a wallet up."""
    async with database.system() as unit:
        return await services.top_up(
            unit,
            partner_id=partner_id,
            currency=currency,
            amount_micros=parse(amount),
            key=key or str(uuid7()),
            actor=SYSTEM,
        )


@asynccontextmanager
async def running_gate(database: Database, **options: Any) -> AsyncIterator[Gate]:  # Any: the gate's options
    """Run a gate for the length of the block."""
    gate = Gate(database, **options)
    await gate.start()
    try:
        yield gate
    finally:
        await gate.close()


def order(**changes: Any) -> ReserveOrder:  # Any: fields of the order
    """Make an order: marketing to Germany in EUR, with a new key."""
    fields: dict[str, Any] = {
        "partner_id": "onePA",
        "key": uuid7(),
        "reference": "oneCH",
        "recipient": ANN,
        "category": Category.MARKETING,
        "currency": "EUR",
        "time_zone": BERLIN,
    }
    return ReserveOrder(**{**fields, **changes})


def status(wamid: str, name: str, **changes: Any) -> Settlement:  # Any: fields of the status
    """Make a status: of a marketing message to Germany, charged as such when it was delivered."""
    fields: dict[str, Any] = {
        "partner_id": "onePA",
        "reference": "oneCH",
        "wamid": wamid,
        "recipient": ANN,
        "status": name,
        "at": clock.now(),
        "currency": "EUR",
        "time_zone": BERLIN,
    }
    if name in {"delivered", "read", "sent"}:
        fields |= {"pricing_type": "regular", "pricing_category": "marketing"}
    return Settlement(**{**fields, **changes})


async def settle(database: Database, *statuses: Settlement) -> SettleResult:
    """Settle statuses in one commit."""
    async with database.system() as unit:
        return await services.settle(unit, statuses)


async def balance(database: Database, partner_id: str = "onePA") -> Balance:
    """Return the partner's only wallet."""
    async with database.tenant(partner_id) as unit:
        wallets = await queries.get_balance(unit, partner_id=partner_id)
    assert len(wallets) == 1
    return wallets[0]


async def figures(database: Database, partner_id: str = "onePA") -> tuple[int, int, int]:
    """Return posted, held and owed of the partner's only wallet."""
    wallet = await balance(database, partner_id)
    assert wallet.available == wallet.posted - wallet.held
    return wallet.posted, wallet.held, wallet.owed


async def charges(database: Database, partner_id: str = "onePA") -> list[Charge]:
    """Return every charge of the partner, oldest first."""
    async with database.tenant(partner_id) as unit:
        found = await queries.list_charges(unit, partner_id=partner_id, limit=10_000)
    return found[::-1]


async def states(database: Database, partner_id: str = "onePA") -> list[str]:
    """Return the states of the partner's charges, oldest first."""
    return [charge.state.value for charge in await charges(database, partner_id)]


async def assert_books_are_right(database: Database) -> None:
    """Recompute everything."""
    async with database.system() as unit:
        assert await queries.check_books(unit) == []


def micros(text: str) -> Micros:
    """Read an amount."""
    return parse(text)


def utc(text: str) -> datetime:
    """Read a moment, in UTC where it names no offset."""
    return datetime.fromisoformat(text if "+" in text else text + "+00:00")
