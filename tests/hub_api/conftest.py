"""Fixtures of the hub's own API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from tests.factories import make_key, make_partner
from tests.hub_api.stage import Api, make_application
from tests.serving import serving
from tests.webhooks.receivers import Receiver, receiver


@pytest.fixture
def development() -> bool:
    """Whether the hub runs in development, where this machine may be called."""
    return True


@pytest.fixture
async def api(database: Database, keyring: Keyring, *, development: bool) -> AsyncIterator[Api]:
    """The API served over HTTP."""
    policy = AddressPolicy.PUBLIC_AND_LOOPBACK if development else AddressPolicy.PUBLIC
    partner = await make_partner(database, redirect_url=None)
    key = await make_key(database, partner=partner)
    async with HttpClient(policy=policy) as outbound:
        application = make_application(database, keyring, outbound, development=development)
        async with serving(application.wrapper) as url:
            yield Api(url, database, keyring, partner, key.secret)


@pytest.fixture
async def site() -> AsyncIterator[Receiver]:
    """A server of the partner's."""
    async with receiver() as running:
        yield running
