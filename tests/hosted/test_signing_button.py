"""`<partnerhub-connect>` where links must be signed: the partner's server is asked at the press."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from partnerhub.identity.schemas import SYSTEM
from partnerhub.partners.schemas import SettingsChange
from partnerhub.partners.services import generate_platform_secret, update_settings
from tests.browser import Visit, assert_accessible, chromium, visit
from tests.e2e.popup import closed
from tests.factories import make_partner
from tests.hosted.partner_site import Site, button, heard, partner_site
from tests.hub_stage import HubStage

pytestmark = pytest.mark.slow

CONNECT = "Connect WhatsApp"
FAILED = "The sign-up could not be opened. Please try again."


@dataclass
class Server:
    """The partner's server: what it answers when it is asked for a link, and how often it was."""

    hub_url: str
    partner_id: str = ""
    secret: str = ""
    answer: Callable[[], web.Response] | None = None
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    def link(self, *, base: str = "") -> str:
        """Sign a link now."""
        at = str(int(time.time()))
        message = f"{self.partner_id}|{at}".encode()
        signature = hmac.new(self.secret.encode(), message, hashlib.sha512).hexdigest()
        base = base or f"{self.hub_url}/onboarding/{self.partner_id}"
        return f"{base}?partner=crm-42&io_signature={signature}&io_timestamp={at}"

    async def __call__(self) -> web.Response:
        """Answer as the test wants, when it wants."""
        self.asked += 1
        await self.may_answer.wait()
        return self.answer() if self.answer else web.Response(text=self.link() + "\n")


@asynccontextmanager
async def opened(
    stage: HubStage, browser: Browser, path: str = "/connect", **attributes: str
) -> AsyncIterator[tuple[Server, Site, Visit]]:
    """Show the button of a partner who demands signatures."""
    server = Server(stage.url)
    server.may_answer.set()
    async with partner_site(stage.url, signer=server) as site:
        partner = await make_partner(stage.database, redirect_url=site.at(path))
        async with stage.database.tenant(partner.id) as unit:
            server.secret = await generate_platform_secret(
                unit, partner_id=partner.id, actor=SYSTEM, keyring=stage.keyring
            )
            await update_settings(
                unit,
                partner_id=partner.id,
                change=SettingsChange(io_signature_enabled=True),
                actor=SYSTEM,
                keyring=stage.keyring,
            )
        server.partner_id = partner.id
        site.pages[path] = button(partner_id=partner.id, **{"sign_url": "/sign", **attributes})
        async with visit(browser, site.at(path)) as visited:
            yield server, site, visited


async def press(page: Page) -> Page:
    """Press the button and return the window."""
    async with page.expect_popup() as opening:
        await page.get_by_role("button", name=CONNECT).click()
    return await opening.value


async def counted(page: Page, name: str) -> int:
    """Return how many events of a name were dispatched: each is heard in three places."""
    return [one[0] for one in await heard(page)].count(name) // 3


async def test_the_link_is_signed_at_the_press_and_leads_into_the_sign_up(
    stage: HubStage, browser: Browser
) -> None:
    async with opened(stage, browser, email="ops@fjord.example", partner="page") as (server, site, seen):
        page = seen.page
        assert server.asked == 0
        requested: list[str] = []
        seen.context.on("request", lambda request: requested.append(request.url))
        popup = await press(page)
        await expect(popup.get_by_role("heading", name="Create your account")).to_be_visible()
        await expect(popup.get_by_label("E-mail")).to_have_value("ops@fjord.example")
        entries = [parse_qs(urlsplit(url).query) for url in requested if "io_signature" in url]
        # The server's word goes before the page's.
        assert entries
        assert all(entry["partner"] == ["crm-42"] for entry in entries)
        assert "io_signature" not in popup.url
        assert (server.asked, await counted(page, "connect-open")) == (1, 1)
        back = site.at("/connect") + "?client=abcCL&channels=[oneCH]"
        await popup.evaluate("(address) => void setTimeout(() => location.assign(address))", back)
        await closed(popup)
        await expect(page.get_by_role("status")).to_have_text("Connected.")
        # A function of the page's own in place of the address; every press asks anew.
        await page.evaluate(
            """(link) => {
              const button = document.querySelector("partnerhub-connect");
              button.removeAttribute("sign-url");
              button.sign = async () => link;
            }""",
            server.link(),
        )
        popup = await press(page)
        await expect(popup.get_by_role("heading", name="Create your account")).to_be_visible()
        assert server.asked == 1


async def test_without_a_usable_answer_the_window_closes_and_the_page_hears_why(
    stage: HubStage, browser: Browser
) -> None:
    async with opened(stage, browser) as (server, _site, seen):
        page = seen.page
        answers: list[Callable[[], web.Response]] = [
            lambda: web.Response(status=500),
            lambda: web.Response(text="no link"),
            lambda: web.Response(text=f"{stage.url}/onboarding/{server.partner_id}"),
            lambda: web.Response(text=server.link(base="https://elsewhere.example/onboarding/x")),
            lambda: web.Response(text=server.link(base=f"{stage.url}/onboarding/otherPA")),
            lambda: web.Response(text="javascript:alert(1)"),
        ]
        for number, answer in enumerate(answers, start=1):
            server.answer = answer
            popup = await press(page)
            await closed(popup)
            await expect(page.get_by_role("alert")).to_have_text(FAILED)
            assert await counted(page, "connect-failed") == number
        await assert_accessible(page)
        server.answer = None
        popup = await press(page)
        await expect(popup.get_by_role("heading", name="Create your account")).to_be_visible()
        await expect(page.get_by_role("alert")).to_be_hidden()


async def test_a_slow_server_is_waited_for_in_one_window_that_may_be_closed(
    stage: HubStage, browser: Browser
) -> None:
    async with opened(stage, browser) as (server, _site, seen):
        page = seen.page
        server.may_answer.clear()
        popup = await press(page)
        await expect(popup.locator("body")).to_have_text("One moment …")
        await page.get_by_role("button", name=CONNECT).click()
        assert (len(seen.context.pages), server.asked) == (2, 1)
        await popup.close()
        await expect(page.get_by_role("status")).to_have_text("The window was closed.")
        server.may_answer.set()
        popup = await press(page)
        await expect(popup.get_by_role("heading", name="Create your account")).to_be_visible()
        assert (len(seen.context.pages), server.asked) == (2, 2)
        assert await counted(page, "connect-failed") == 0


async def test_a_blocked_window_leaves_a_signed_link(stage: HubStage) -> None:
    async with chromium(whole=True) as browser, opened(stage, browser, "/blocked") as (server, _site, seen):
        link = seen.page.get_by_role("link", name="Open the sign-up in a new tab")
        async with seen.context.expect_page() as opening:
            await link.click()
        tab = await opening.value
        await expect(tab.get_by_role("heading", name="Create your account")).to_be_visible()
        assert server.asked == 1
        # With other wishes, what was signed before is of no use.
        await seen.page.evaluate(
            "document.querySelector('partnerhub-connect').setAttribute('email', 'a@b.example')"
        )
        await expect(link).to_be_hidden()
