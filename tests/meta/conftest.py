"""Fixtures: the simulator as Meta, a seeded business, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.simulator.harness import APP_ID, APP_SECRET, CONFIG, Meta, Shop, running, seed_shop

from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.meta import MetaClient


@pytest.fixture
async def simulator() -> AsyncIterator[Meta]:
    """A running simulator and its admin API."""
    async with running(CONFIG) as found:
        yield found


@pytest.fixture
async def shop(simulator: Meta) -> Shop:
    """A seeded business with one number whose service window is open for everybody."""
    return await seed_shop(simulator, window_always_open=True)


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    """A client for addresses of our own choice."""
    async with HttpClient(policy=AddressPolicy.TRUSTED) as client:
        yield client


@pytest.fixture
def meta(simulator: Meta, http: HttpClient) -> MetaClient:
    """The client under test, pointed at the simulator."""
    return client_of(simulator.url, http)


def client_of(url: str, http: HttpClient, *, version: str = "v23.0", proof: bool = False) -> MetaClient:
    """Make a client that waits for nothing between tries."""
    return MetaClient(
        http,
        app_id=APP_ID,
        app_secret=APP_SECRET,
        base_url=url,
        version=version,
        media_origins=(url,),
        uses_appsecret_proof=proof,
        backoff_seconds=0.001,
    )
