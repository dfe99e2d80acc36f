"""The desk that takes callbacks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from tests.messaging.stock import Desk, desk_for


@pytest.fixture
async def desk(database: Database, keyring: Keyring) -> AsyncIterator[Desk]:
    """Give what takes callbacks, without its door."""
    async with desk_for(database, keyring) as found:
        yield found
