"""Fixtures: a running simulator, a seeded business, a receiver."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from partnerhub.simulator import SimulatorConfig
from tests.browser import chromium
from tests.simulator.harness import CONFIG, Meta, Receiver, Shop, listening, running, seed_shop


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A webhook receiver on a free port."""
    async with listening() as found:
        yield found


@pytest.fixture
def config() -> SimulatorConfig:
    """The configuration of `meta`; a test module may override it."""
    return CONFIG


@pytest.fixture
async def meta(config: SimulatorConfig) -> AsyncIterator[Meta]:
    """A running simulator."""
    async with running(config) as found:
        yield found


@pytest.fixture
async def shop(meta: Meta) -> Shop:
    """A seeded business."""
    return await seed_shop(meta)


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    """A data file that survives a restart."""
    return tmp_path / "simulator.db"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium of the test's own."""
    async with chromium() as started:
        yield started
