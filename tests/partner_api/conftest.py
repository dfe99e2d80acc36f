"""The Partner API on the real web layer and a real database, with the simulator as Meta, over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from tests.factories import MadePartner, make_key, make_partner
from tests.partner_api import contract
from tests.partner_api.wire import Answer, exchange
from tests.serving import serving
from tests.simulator.harness import APP_ID, APP_SECRET, CONFIG, SYSTEM_TOKEN, Meta, Shop, running, seed_shop

from partnerhub.channels.services import MetaAccess
from partnerhub.identity.passwords import Passwords
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.meta import MetaClient
from partnerhub.partner_api.means import PartnerApi
from partnerhub.partner_api.router import routers
from partnerhub.partners.services import TokenKeys
from partnerhub.ui.frame import Brand
from partnerhub.web.application import Application, Outside, build
from partnerhub.web.authentication import Browsers
from partnerhub.web.cookies import CookieJar
from partnerhub.web.credentials import Credentials
from partnerhub.web.frame import FrameSource
from partnerhub.web.limits import CallLimiter
from partnerhub.web.pages import Pages

CHEAP = Passwords(time_cost=1, memory_kib=8)
MESSAGING_URL = "https://messaging.hub.example"


@dataclass(frozen=True)
class Api:
    """The running API and one partner's key for it."""

    url: str
    database: Database
    partner: MadePartner
    key: str

    @property
    def path(self) -> str:
        """The partner's path, as it is written before every call."""
        return f"/api/v2/partners/{self.partner.id}"

    async def call(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """Call, with the partner's key unless told otherwise; a relative target is under the partner."""
        sent = {"X-API-Key": self.key} if headers is None else headers
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        absolute = target if target.startswith("/") else f"{self.path}/{target}" if target else self.path
        answer = await exchange(self.url, method, absolute, headers=sent, body=content)
        # Every answer of every test is also a test of the OpenAPI document.
        contract.check(method, absolute, answer.status, answer.json)
        return answer

    async def get(self, target: str, **more: Any) -> Answer:  # Any: see `call`
        """GET."""
        return await self.call("GET", target, **more)

    async def post(self, target: str, body: object = None, **more: Any) -> Answer:  # Any: see `call`
        """POST."""
        return await self.call("POST", target, body, **more)

    async def patch(self, target: str, body: object = None, **more: Any) -> Answer:  # Any: see `call`
        """PATCH."""
        return await self.call("PATCH", target, body, **more)

    async def delete(self, target: str, body: object = None, **more: Any) -> Answer:  # Any: see `call`
        """DELETE."""
        return await self.call("DELETE", target, body, **more)


@cache
def _pages() -> Pages:
    return Pages(brand=Brand(name="Partner Hub"), jar=CookieJar(is_secure=False), packages={})


def make_application(
    database: Database, keyring: Keyring, access: MetaAccess, *, limiter: CallLimiter | None = None
) -> Application:
    """Build an application of this door alone."""
    token_keys = TokenKeys(keyring)
    return build(
        routers(),
        db=database,
        credentials=Credentials(database, token_keys=token_keys),
        browsers=Browsers(CookieJar(is_secure=False), b"k" * 32, ()),
        frames=FrameSource(database, _pages(), {}),
        outside=Outside(public_url="http://hub.example", is_secure=True),
        limiter=limiter,
        dependencies={
            "partner_api": PartnerApi(
                keyring=keyring,
                token_keys=token_keys,
                access=access,
                messaging_url=MESSAGING_URL,
                passwords=CHEAP,
            )
        },
    )


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
def meta_url() -> str:
    """The address of Meta; nobody listens there unless a test asks for the simulator's."""
    return "http://127.0.0.1:9"


@pytest.fixture
async def access(meta_url: str, keyring: Keyring) -> AsyncIterator[MetaAccess]:
    """Access to Meta with the installation's own token."""
    async with HttpClient(policy=AddressPolicy.TRUSTED) as http:
        meta = MetaClient(
            http, app_id=APP_ID, app_secret=APP_SECRET, base_url=meta_url, retries=0, backoff_seconds=0.001
        )
        yield MetaAccess(meta=meta, keyring=keyring, system_token=SYSTEM_TOKEN)


@pytest.fixture
def application(database: Database, keyring: Keyring, access: MetaAccess) -> Application:
    """The application."""
    return make_application(database, keyring, access)


@pytest.fixture
async def api(database: Database, application: Application) -> AsyncIterator[Api]:
    """The API served over HTTP, and a partner with a key of all scopes."""
    partner = await make_partner(database, id="f167CmPA", legacy_token_auth_enabled=True)
    key = await make_key(database, partner=partner)
    async with serving(application.wrapper) as url:
        yield Api(url, database, partner, key.secret)
