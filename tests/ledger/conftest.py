"""Shared by the ledger's tests: a fixed day and a running gate on a stocked, funded database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from partnerhub.kit import clock
from partnerhub.kit.database import Database
from partnerhub.ledger.gate import Gate
from tests.ledger.stock import fund, running_gate, stock_prices, utc


@pytest.fixture
def at_noon() -> Iterator[None]:
    """Hold the clock at noon of a November day."""
    with clock.set_to(utc("2026-11-20T12:00:00")):
        yield


@pytest.fixture
async def gate(database: Database, at_noon: None) -> AsyncIterator[Gate]:  # noqa: ARG001 - a fixture's order
    """Give a running gate; `onePA` has 10 EUR."""
    await stock_prices(database)
    await fund(database, "10")
    async with running_gate(database) as running:
        yield running
