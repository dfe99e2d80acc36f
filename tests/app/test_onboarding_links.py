"""The way into the popup over HTTP: whoever opens links again and again is stopped."""

from __future__ import annotations

import aiohttp

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from tests.factories import make_partner
from tests.hub_stage import staged


async def test_who_opens_links_without_end_is_stopped(database: Database, keyring: Keyring) -> None:
    partner = await make_partner(database)
    async with staged(database, keyring) as stage, aiohttp.ClientSession() as http:
        answers = []
        for _ in range(61):
            async with http.get(f"{stage.url}/dashboard/app/{partner.id}", allow_redirects=False) as answer:
                answers.append((answer.status, answer.headers.get("x-error-code")))
    assert answers == [(303, None)] * 60 + [(429, "onboarding_limited")]
    async with database.system() as unit:
        assert await unit.fetch_value("select count(*) from onboarding_run") == 60
