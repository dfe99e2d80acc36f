"""Fixtures: a running simulator, a seeded business, a receiver."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser

from tests.browser import chromium
from tests.kit.http.test_tls import authority
from tests.simulator.harness import CONFIG, Meta, Receiver, Shop, in_thread, listening, seed_shop


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A webhook receiver on a free port."""
    async with listening() as found:
        yield found


@pytest.fixture(scope="session")
def simulator_url() -> Iterator[str]:
    """One simulator for all tests, in a thread and loop of its own."""
    with in_thread(CONFIG) as url:
        yield url


@pytest.fixture
async def meta(simulator_url: str) -> AsyncIterator[Meta]:
    """A running simulator that holds nothing but its configuration."""
    async with aiohttp.ClientSession() as session:
        found = Meta(simulator_url, session)
        await found.admin("POST", "/reset")
        yield found


@pytest.fixture
async def shop(meta: Meta) -> Shop:
    """A seeded business."""
    return await seed_shop(meta)


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    """A data file that survives a restart."""
    return tmp_path / "simulator.db"


__all__ = ["authority"]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium of the test's own."""
    async with chromium() as started:
        yield started
