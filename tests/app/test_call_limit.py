"""How many calls a key may make: an operator's setting, told in the Partner API's own words."""

from __future__ import annotations

import aiohttp

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from tests.factories import MadeKey, make_key
from tests.hub_stage import staged


async def test_a_key_makes_as_many_calls_as_the_operator_allows(database: Database, keyring: Keyring) -> None:
    async with (
        staged(database, keyring, api_calls_per_minute=3) as stage,
        aiohttp.ClientSession(stage.url) as http,
    ):
        key, other = await make_key(database), await make_key(database)

        async def call(made: MadeKey, path: str) -> aiohttp.ClientResponse:
            headers = {"X-API-Key": made.secret}
            async with http.get(path.format(made.partner_id), headers=headers) as answer:
                await answer.read()
                return answer

        for path in ("/api/v2/partners/{}", "/api/hub/v1/partners/{}/settings", "/api/v2/partners/{}"):
            assert (await call(key, path)).status == 200
        refused = await call(key, "/api/v2/partners/{}/channels")
        assert (refused.status, refused.headers["x-error-code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) in range(1, 21)
        assert (await refused.json())["meta"]["http_code"] == 429
        assert (await call(other, "/api/v2/partners/{}")).status == 200
