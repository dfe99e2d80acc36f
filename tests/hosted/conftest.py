"""Fixtures of the tests of the onboarding popup and what opens it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from tests.browser import browser
from tests.hub_stage import HubStage, staged

__all__ = ["browser", "stage"]


@pytest.fixture
async def stage(database: Database, keyring: Keyring) -> AsyncIterator[HubStage]:
    """Run the hub with everything around it."""
    async with staged(database, keyring) as found:
        yield found
