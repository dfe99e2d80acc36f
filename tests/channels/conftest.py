"""Fixtures: the simulator as Meta, a business seeded there, and the access to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.simulator.harness import APP_ID, APP_SECRET, CONFIG, SYSTEM_TOKEN, Meta, Shop, running, seed_shop

from partnerhub.channels.services import MetaAccess
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.meta import MetaClient


@pytest.fixture
async def simulator() -> AsyncIterator[Meta]:
    """A running simulator and its admin API."""
    async with running(CONFIG) as found:
        yield found


@pytest.fixture
async def shop(simulator: Meta) -> Shop:
    """A business at Meta with the approved template `news`."""
    return await seed_shop(simulator)


@pytest.fixture
async def access(simulator: Meta, keyring: Keyring) -> AsyncIterator[MetaAccess]:
    """Access to the simulator with the installation's own token."""
    async with HttpClient(policy=AddressPolicy.TRUSTED) as http:
        meta = MetaClient(
            http, app_id=APP_ID, app_secret=APP_SECRET, base_url=simulator.url, backoff_seconds=0.001
        )
        yield MetaAccess(meta=meta, keyring=keyring, system_token=SYSTEM_TOKEN)
