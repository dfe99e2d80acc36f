"""How pages stand: no list is cut, headings begin on one line, hairlines are single."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page

from tests.browser import Look
from tests.factories import make_partner
from tests.hub_sample import make_sample
from tests.hub_stage import CONNECT, DELIVERIES, HOME, INTEGRATION, HubStage

# The lists of a page; the table beneath a chart may scroll where its words are many.
_CUT = """
  [...document.querySelectorAll('.table-wrap:has(> [data-list])')].map((e) => e.scrollWidth - e.clientWidth)
"""
_LEFT = "document.querySelector('h1').getBoundingClientRect().left"


async def at_width(page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    # The font that stands in until the page's own is there is wider.
    await page.evaluate("document.fonts.ready.then(() => null)")


async def test_no_list_is_cut_at_any_width(stage: HubStage, browser: Browser) -> None:
    sample = await make_sample(stage)
    async with stage.visit(browser, HOME, member=sample.owner) as opened:
        cut = []
        for path in (HOME, DELIVERIES):
            await opened.page.goto(stage.url + path)
            for width in (360, 768, 900, 1023, 1024, 1090, 1152, 1280):
                await at_width(opened.page, width)
                lists = await opened.page.evaluate(_CUT)
                assert lists, path
                cut += [(path, width, by) for by in lists if by > 0]
    assert cut == []


async def test_every_page_begins_on_one_line(stage: HubStage, browser: Browser) -> None:
    owner = await stage.person(email=f"{'operations.' * 5}@{'long' * 10}.example")
    async with stage.visit(browser, HOME, member=owner) as opened:
        for width in (320, 768, 1280, 1920):
            await at_width(opened.page, width)
            lefts = set()
            for path in (HOME, DELIVERIES, INTEGRATION, CONNECT, "/account", "/switch"):
                await opened.page.goto(stage.url + path)
                lefts.add(await opened.page.evaluate(_LEFT))
                assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert len(lefts) == 1, (width, lefts)


async def test_hairlines_are_single(stage: HubStage, browser: Browser) -> None:
    owner = await stage.person()
    edges = "([e, side]) => getComputedStyle(e)[`border${side}Width`]"
    async with stage.visit(browser, CONNECT, member=owner) as opened:
        page = opened.page
        tabs = await page.query_selector(".panel > .tabs")
        assert await page.evaluate(edges, [tabs, "Bottom"]) == "0px"
        await page.goto(f"{stage.url}{INTEGRATION}/signature")
        first = await page.query_selector(".panel > form > .row")
        assert await page.evaluate(edges, [first, "Top"]) == "0px"
        form = await page.query_selector(".panel > form")
        assert await page.evaluate(edges, [form, "Top"]) == "1px"


async def test_a_partner_without_a_logo_is_known_by_its_initials(stage: HubStage, browser: Browser) -> None:
    partner = await make_partner(stage.database, brand_name="Fjord Travel Group", payment_model="direct_paid")
    async with stage.visit(browser, f"/onboarding/{partner.id}", look=Look("light", 600)) as opened:
        page = opened.page
        marks = await page.locator(".popup-head .brand-mark").all()
        assert [(await mark.inner_text()).strip() for mark in marks] == ["FT", ""]
        lines = await page.evaluate(
            """[...document.querySelectorAll('.steps > li:not(:last-child)')].map((e) =>
            e.getBoundingClientRect().right - e.querySelector('span').getBoundingClientRect().right)"""
        )
    assert len(lines) == 3
    assert max(lines) - min(lines) < 1, "the lines between the steps are equally long"


@pytest.mark.parametrize("width", [1280, 390])
async def test_a_long_partner_name_leaves_the_top_bar_whole(
    stage: HubStage, browser: Browser, width: int
) -> None:
    owner = await stage.person(
        brand_name="Nordwestdeutsche Rückversicherungs-Aktiengesellschaft und Partner " * 2
    )
    async with stage.visit(browser, HOME, member=owner) as opened:
        await at_width(opened.page, width)
        assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width
        search = opened.page.get_by_role("button", name="Search")
        box = await search.bounding_box()
        assert box is not None
        assert box["height"] < 40, "its words stand on one line"
        assert await search.evaluate("(e) => e.scrollHeight <= e.clientHeight + 1")
