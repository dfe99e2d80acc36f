"""The hot path, running."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from tests.gateway.stage import Stage, staged


@pytest.fixture
async def stage(database: Database, keyring: Keyring) -> AsyncIterator[Stage]:
    """Run simulator, gateway, settle loop and receiver."""
    async with staged(database, keyring) as running:
        yield running
