"""Every component in every look: accessible, within its policy, and no wider than the screen."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Error, Route, expect

from tests.browser import (
    LOOKS,
    Look,
    assert_accessible,
    assert_fits,
    axe_violations,
    every_look,
    visit,
)

PATHS = (
    "",
    "?banner=1",
    "/list",
    "/list?q=zzzz",
    "/list/a02Kd4CH",
    "/secret",
    "/delete",
    "/sign-in?failed=1",
    "/error",
    "/popup?step=1",
    "/popup?step=failed",
)
_PICTURE = "document.querySelector('u-chart canvas').toDataURL()"


@every_look
async def test_every_page_is_clean(browser: Browser, gallery_url: str, look: Look) -> None:
    async with visit(browser, gallery_url, look=look) as opened:
        for path in PATHS:
            await opened.page.goto(gallery_url + path)
            await assert_accessible(opened.page)


@pytest.mark.parametrize("language", ["en", "de", "pt-BR", "es"])
async def test_no_page_scrolls_sideways_on_the_smallest_screen(
    browser: Browser, gallery_url: str, language: str
) -> None:
    async with visit(browser, gallery_url, language=language) as opened:
        for path in PATHS:
            await opened.page.goto(gallery_url + path)
            await assert_fits(opened.page, 320)


async def test_a_planted_fault_is_found_by_axe(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, f"{gallery_url}/error") as opened:
        await opened.page.evaluate("document.querySelector('h1').after(document.createElement('input'))")
        assert "label" in {one["id"] for one in await axe_violations(opened.page)}


async def test_a_planted_script_is_stopped_and_reported(browser: Browser, gallery_url: str) -> None:
    async def plant(route: Route) -> None:
        answer = await route.fetch()
        body = (await answer.text()).replace("<main", "<script>window.hit = 1</script><main")
        await route.fulfill(response=answer, body=body)

    tolerated = ("script-src", "trusted-types", "Content Security Policy", "Trusted")
    async with visit(browser, f"{gallery_url}/error", tolerated=tolerated) as opened:
        await opened.page.route("**/sign-in", plant)
        await opened.page.goto(f"{gallery_url}/sign-in")
        assert await opened.page.evaluate("window.hit") is None
        assert any(text.startswith("policy: script-src") for text in opened.complaints), opened.complaints
        with pytest.raises(Error, match="TrustedScript"):
            await opened.page.evaluate("document.body.setAttribute('onclick', 'window.hit = 1')")
        assert any("TrustedScript" in text for text in opened.complaints), opened.complaints


async def test_nothing_is_fetched_from_elsewhere(browser: Browser, origin: str, gallery_url: str) -> None:
    async with visit(browser, gallery_url) as opened:
        await expect(opened.page.locator("u-chart canvas").first).to_be_visible()
        assert {urlsplit(url).netloc for url in opened.requested} == {urlsplit(origin).netloc}
        fonts = [url for url in opened.requested if ".woff2" in url]
        assert len(fonts) == 2, "only the two latin subsets are needed for English"


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_chosen_theme_is_the_same_picture_as_the_systems(
    browser: Browser, gallery_url: str, theme: str
) -> None:
    pictures: dict[tuple[str, str], bytes] = {}
    for look in LOOKS[:2]:
        for query in ("", f"?theme={theme}"):
            async with visit(browser, f"{gallery_url}/list{query}", look=look) as opened:
                await opened.page.evaluate("document.fonts.ready.then(() => true)")
                main = opened.page.locator("main")
                pictures[look.theme, query] = await main.screenshot(caret="initial")
    other = "dark" if theme == "light" else "light"
    assert pictures[other, f"?theme={theme}"] == pictures[theme, ""]
    assert pictures[other, ""] != pictures[theme, ""]


async def test_the_chart_is_drawn_and_has_a_table_beside_it(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url) as opened:
        await expect(opened.page.locator("u-chart canvas")).to_be_visible()
        drawn = {await opened.page.evaluate(_PICTURE)}
        await opened.page.emulate_media(color_scheme="dark")
        for _attempt in range(100):
            drawn.add(await opened.page.evaluate(_PICTURE))
            if len(drawn) == 2:
                break
            await opened.page.wait_for_timeout(20)
        assert len(drawn) == 2, "the chart keeps the colours of the other theme"
        await opened.page.get_by_text("Show as table").click()
        row = opened.page.locator(".chart-figure").get_by_role("row", name="Oct")
        await expect(row).to_contain_text("€2,090.00")
        await assert_accessible(opened.page)
