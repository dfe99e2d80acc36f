"""The search of the palette: what it finds for whom, and how many statements it takes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
from playwright.async_api import Browser as ChromiumBrowser
from playwright.async_api import expect
from psycopg import AsyncCursor

from tests import factories
from tests.factories import MadeMember, MadePartner
from tests.hub_sample import make_sample
from tests.hub_stage import DELIVERIES, HOME, HubStage
from tests.plain_browser import Browser

SEARCH = "/dashboard/partner/search"


class _Counted(AsyncCursor[Any]):  # Any: rows of every shape
    """A cursor that remembers what was executed."""

    statements: list[str] = []  # noqa: RUF012 - shared by all cursors on purpose

    async def execute(self, query: Any, *args: Any, **named: Any) -> Any:  # Any: the driver's own signature
        """Remember and execute."""
        self.statements.append(str(query))
        return await super().execute(query, *args, **named)


async def found(browser: Browser, text: str) -> list[dict[str, str]]:
    """Return what the search answers."""
    page = await browser.get(f"{SEARCH}?q={quote(text)}")
    assert page.status == 200, page.text
    return msgspec.json.decode(page.text, type=list[dict[str, str]])


async def make_number(stage: HubStage, owner: MadeMember, name: str, number: str) -> tuple[str, str, str]:
    """Connect a number and return its id, its client's and its WABA's."""
    client = await factories.make_client(
        stage.database, partner=MadePartner(owner.partner_id), name=f"{name} Holding"
    )
    waba = await factories.make_waba(stage.database, client=client, name=f"{name} at Meta")
    channel = await factories.make_channel(stage.database, waba=waba, phone_name=name, phone_number=number)
    return channel.id, client.id, waba.id


async def test_numbers_clients_and_accounts_are_found_by_what_people_type(stage: HubStage) -> None:
    owner = await stage.person()
    channel, client, waba = await make_number(stage, owner, "Acme", "493055510001")
    await make_number(stage, owner, "Birch", "493055510002")
    await factories.make_client(
        stage.database, partner=MadePartner(owner.partner_id), name="Acme without a number"
    )
    async with stage.browse(owner) as browser:
        by_name = await found(browser, "acme")
        assert [(one["group"], one["label"], one["hint"], one["href"]) for one in by_name] == [
            ("Numbers", "Acme", "+49 30 55510001", f"{HOME}/{channel}"),
            ("Clients", "Acme Holding", client, f"{HOME}?q={client}"),
            ("WABA accounts", "Acme at Meta", waba, f"{HOME}?q={waba}"),
        ]
        for typed in (channel, "+49 30 555-10001", "10001", channel[:5].lower()):
            assert by_name[0] in await found(browser, typed), typed
        for typed in (client, waba):
            (hit,) = await found(browser, typed)
            assert typed in hit["href"]
            # What it leads to is there.
            assert "Acme" in (await browser.get(hit["href"])).words
        for typed in ("", "a", "%%", "__", "nobody at all", "\x00\x00"):
            assert await found(browser, typed) == [], typed


async def test_nothing_of_another_partner_is_found(stage: HubStage) -> None:
    owner, other = await stage.person(), await stage.person(brand_name="Other Chat")
    ids = await make_number(stage, other, "Acme", "493055510001")
    async with stage.browse(owner) as browser:
        for typed in ("acme", "10001", *ids):
            assert await found(browser, typed) == []


async def test_a_delivery_is_found_by_its_id_and_by_its_events(stage: HubStage) -> None:
    sample = await make_sample(stage)
    async with stage.database.system() as unit:
        event_id = await unit.fetch_value("select event_id from delivery where id = %s", (sample.delivered,))
    async with stage.browse(sample.owner) as browser:
        for typed in (str(sample.delivered), str(event_id)):
            hits = await found(browser, typed)
            assert f"{DELIVERIES}/{sample.delivered}" in {hit["href"] for hit in hits}


async def test_many_hits_take_no_more_statements_than_one(stage: HubStage) -> None:
    owner = await stage.person()
    await make_number(stage, owner, "Acme", "493055510001")

    async def statements(browser: Browser) -> int:
        await found(browser, "acme")
        _Counted.statements.clear()
        await found(browser, "acme")
        return len(_Counted.statements)

    async with stage.database.pool.connection() as connection:
        connection.cursor_factory = _Counted
    async with stage.browse(owner) as browser:
        few = await statements(browser)
        for place in range(2, 9):
            await make_number(stage, owner, f"Acme {place}", f"49305551000{place}")
        many = await statements(browser)
        assert len(await found(browser, "acme")) == 15
    assert few == many <= 12


async def test_the_palette_finds_a_number_and_an_action(stage: HubStage, browser: ChromiumBrowser) -> None:
    owner = await stage.person()
    channel, _client, _waba = await make_number(stage, owner, "Acme", "493055510001")
    async with stage.visit(browser, DELIVERIES, member=owner) as opened:
        page, palette = opened.page, opened.page.get_by_role("dialog", name="Search")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("acme")
        await expect(palette.get_by_role("option").first).to_contain_text("+49 30 55510001")
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(f"{stage.url}{HOME}/{channel}")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("sign out")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
