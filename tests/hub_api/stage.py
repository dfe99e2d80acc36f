"""The hub's own API on the real web layer and database, over HTTP; answers are held to the document."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from partnerhub.hub_api.document import document
from partnerhub.hub_api.means import HubApi
from partnerhub.hub_api.router import routers
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import HttpClient
from partnerhub.partners.services import TokenKeys
from partnerhub.ui.frame import Brand
from partnerhub.web.application import Application, Outside, build
from partnerhub.web.authentication import Browsers
from partnerhub.web.cookies import CookieJar
from partnerhub.web.credentials import Credentials
from partnerhub.web.frame import FrameSource
from partnerhub.web.pages import Pages
from tests.factories import MadePartner, make_key
from tests.partner_api.wire import Answer, exchange

_BASE = "/api/hub/v1/partners/{partner_id}"


@cache
def contract() -> dict[str, Any]:  # Any: an OpenAPI document
    """Return the document."""
    found: dict[str, Any] = json.loads(document())
    return found


def make_application(
    database: Database, keyring: Keyring, outbound: HttpClient, *, development: bool = True
) -> Application:
    """Build an application of this door alone."""
    return build(
        routers(),
        db=database,
        credentials=Credentials(database, token_keys=TokenKeys(keyring)),
        browsers=Browsers(CookieJar(is_secure=False), b"k" * 32, ()),
        frames=FrameSource(
            database, Pages(brand=Brand(name="Partner Hub"), jar=CookieJar(is_secure=False), packages={}), {}
        ),
        outside=Outside(public_url="http://hub.example", is_secure=True),
        dependencies={"hub_api": HubApi(keyring=keyring, outbound=outbound, allow_loopback=development)},
    )


@dataclass(frozen=True)
class Api:
    """The running API, a partner, and a key of all scopes."""

    url: str
    database: Database
    keyring: Keyring
    partner: MadePartner
    key: str

    async def call(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """Call below the partner, and hold the answer to the document."""
        sent = {"X-API-Key": key or self.key} if headers is None else headers
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        path = f"{_BASE.format(partner_id=self.partner.id)}/{target}"
        answer = await exchange(self.url, method, path, headers=sent, body=content)
        _check(method, f"{_BASE}/{target}", answer)
        return answer

    async def get(self, **more: Any) -> dict[str, Any]:  # Any: see `call`; JSON
        """Read the settings."""
        answer = await self.call("GET", "settings", **more)
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.json
        return found

    async def change(self, body: object, **more: Any) -> Answer:  # Any: see `call`
        """Change settings."""
        return await self.call("PATCH", "settings", body, **more)

    async def key_of(self, *scopes: str) -> str:
        """Make a key of these scopes."""
        return (await make_key(self.database, partner=self.partner, scopes=scopes)).secret


def _check(method: str, path: str, answer: Answer) -> None:
    described = contract()["paths"][path][method.lower()]["responses"][str(answer.status)]["content"]
    media_type = answer.headers["content-type"].partition(";")[0]
    validator = Draft202012Validator(
        {**described[media_type]["schema"], "components": contract()["components"]}
    )
    validator.validate(answer.json)
