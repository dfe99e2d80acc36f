"""The sample partner's site: its legal pages, and its page on a phone with many events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, expect
from tests.browser import Look, assert_accessible, assert_fits, browser, visit
from tests.serving import serving

from partnerhub.demo.site import SiteConfig, create_site

__all__ = ["browser"]

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[str]:
    """Serve the site; the hub that it names does not run."""
    config = SiteConfig(
        partner_id="k9Lm2NPA",
        partner_api_key="phk_none",
        platform_secret="none",
        hub_url=NOWHERE,
        gateway_url=NOWHERE,
        site_url=NOWHERE,
        template_name="sample",
        template_language="en_US",
        phone_url=f"{NOWHERE}/phone",
        number_file=str(tmp_path / "number.json"),
    )
    async with serving(create_site(config)) as url:
        yield url


async def test_terms_and_privacy_notice_are_there_to_be_linked(site: str) -> None:
    async with aiohttp.ClientSession() as http:
        for path, heading in (("terms", "Terms of service"), ("privacy", "Privacy notice")):
            async with http.get(f"{site}/{path}") as answer:
                assert (answer.status, f"<h1>{heading}</h1>" in await answer.text()) == (200, True)


async def test_many_events_stay_short_and_fit_a_phone(site: str, browser: Browser) -> None:
    body = '{"event":"channel_permission_granted_with_a_very_long_name_indeed_for_a_phone","id":"%d"}'
    async with aiohttp.ClientSession() as http:
        for number in range(25):
            async with http.post(f"{site}/receiver/partner", data=(body % number).encode()) as answer:
                assert answer.status == 200
    async with visit(browser, site, look=Look("light", 390), tolerated=("127.0.0.1:9", "ERR_")) as opened:
        page = opened.page
        await expect(page.locator("#events > li")).to_have_count(20)
        await expect(page.get_by_text("Only the last 20 are kept here")).to_be_visible()
        await page.locator("#events summary").first.click()
        await assert_accessible(page)
        for width in (390, 320):
            await assert_fits(page, width)
