"""The public connect button, unmodified, opens the hub's popup and gets its answer.

The package has its addresses compiled in, so the browser's name resolution leads them here: `localhost:8082`
of its `local` environment, and the two production names through TLS. Behind each stands one more hub of the
running demo, which takes itself to be at that address.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import expect

from tests.browser import chromium, visit
from tests.e2e.front import serving, tls_front
from tests.e2e.installation import Installation
from tests.e2e.packages import package_file
from tests.e2e.popup import PATIENCE_MS, Business, closed, connect, sign_up

pytestmark = [pytest.mark.xdist_group("installation"), pytest.mark.slow]

SCRIPT = "360dialog-connect-button/dist/dialog-connect-button.umd.js"
STATE = '{"tenant":"42","next":"/a?b=c&d"}'
PAGE = """<!doctype html><html lang="en"><head><title>A partner's page</title><link rel="icon" href="data:,">
<script src="/button.js"></script></head><body>
<dialog-connect-button partner-id="{partner}" env="{env}" version="{version}" label="Connect WhatsApp"
  state="{state}" name="{name}" email="{email}" redirect-url="{page}"></dialog-connect-button>
<ol id="heard"></ol><script src="/listen.js"></script></body></html>"""
# The page is loaded again on the way, so what was heard is kept.
LISTEN = """
const heard = JSON.parse(sessionStorage.getItem("heard") || "[]");
window.addEventListener("dialog-connect-callback", (event) => {
  heard.push(event.detail);
  sessionStorage.setItem("heard", JSON.stringify(heard));
  const line = document.createElement("li");
  line.textContent = JSON.stringify(event.detail);
  document.getElementById("heard").append(line);
});
"""


@dataclass(frozen=True)
class Way:
    """One of the button's compiled-in addresses."""

    env: str
    version: str
    public_url: str
    path: str
    business: Business


WAYS = (
    Way(
        "local",
        "v1",
        "http://localhost:8082",
        "/dashboard/app/",
        Business("Gull Ferries", "ops@gull.example", "+49 30 5551 9101"),
    ),
    Way(
        "prod",
        "v1",
        "https://hub.360dialog.com",
        "/dashboard/app/",
        Business("Heron Tours", "ops@heron.example", "+49 30 5551 9102"),
    ),
    Way(
        "prod",
        "v2",
        "https://app.360dialog.com",
        "/onboarding/",
        Business("Ibis Hotels", "ops@ibis.example", "+49 30 5551 9103"),
    ),
)


@dataclass(frozen=True)
class Partner:
    """A partner made for one test."""

    id: str
    key: str


def make_partner(demo: Installation, name: str) -> Partner:
    """Make a partner and its key as an operator does."""
    made = demo.command("partner", "create", name, "--country", "DE")
    partner_id = made.split()[-1].rstrip(".")
    return Partner(partner_id, demo.command("partner", "key", "create", partner_id))


@asynccontextmanager
async def partner_page(way: Way, partner: Partner) -> AsyncIterator[str]:
    """Serve a page with the button, and give its address."""
    script = package_file(SCRIPT).read_bytes()

    async def page(request: web.Request) -> web.Response:
        values = {
            "partner": partner.id,
            "env": way.env,
            "version": way.version,
            "state": STATE.replace('"', "&quot;").replace("&d", "&amp;d"),
            "name": way.business.name,
            "email": way.business.email,
            "page": str(request.url.with_query(None)),
        }
        return web.Response(text=PAGE.format(**values), content_type="text/html")

    async def button(_request: web.Request) -> web.Response:
        return web.Response(body=script, content_type="text/javascript")

    async def listen(_request: web.Request) -> web.Response:
        return web.Response(text=LISTEN, content_type="text/javascript")

    app = web.Application()
    app.router.add_get("/onboard", page)
    app.router.add_get("/button.js", button)
    app.router.add_get("/listen.js", listen)
    async with serving(app) as port:
        yield f"http://localhost:{port}/onboard"


@asynccontextmanager
async def resolved(demo: Installation, way: Way, folder: Path) -> AsyncIterator[str]:
    """Put a hub behind the way's address; give the rule that leads the browser there."""
    address = urlsplit(way.public_url)
    host = str(address.hostname)
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(demo.further_hub(way.public_url))
        if address.scheme == "https":
            port = await stack.enter_async_context(tls_front(listening, host=host, folder=folder))
        else:
            port = int(urlsplit(listening).port or 0)
        yield f"MAP {host}:{address.port or 443} 127.0.0.1:{port}"


def test_the_package_is_the_published_one() -> None:
    package = json.loads(package_file("360dialog-connect-button/package.json").read_text())
    assert (package["name"], package["version"]) == ("360dialog-connect-button", "1.0.2")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.env}-{way.version}")
async def test_the_public_button_opens_the_popup_and_is_called_back(
    demo: Installation, way: Way, tmp_path: Path
) -> None:
    partner = await asyncio.to_thread(make_partner, demo, f"Partner of {way.business.name}")
    async with (
        resolved(demo, way, tmp_path) as rule,
        partner_page(way, partner) as address,
        chromium([f"--host-resolver-rules={rule}"], whole=True) as browser,
        aiohttp.ClientSession() as http,
    ):
        api = f"{demo['hub_url']}/api/v2/partners/{partner.id}"
        headers = {"X-API-Key": partner.key}
        async with http.patch(api, headers=headers, json={"partner_redirect_url": address}) as answer:
            assert answer.status == 200, await answer.text()
        async with visit(browser, address, ignore_https_errors=True) as opened:
            page, requested = opened.page, list[str]()
            opened.context.on("request", lambda request: requested.append(request.url))
            async with page.expect_popup() as opening:
                await page.get_by_role("button", name="Connect WhatsApp").click()
            popup = await opening.value
            await popup.wait_for_url(f"{way.public_url}/onboarding/run/*", timeout=PATIENCE_MS)
            assert any(url.startswith(f"{way.public_url}{way.path}{partner.id}?") for url in requested)
            # What the button passed on stands in the form already.
            await expect(popup.get_by_label("E-mail")).to_have_value(way.business.email)
            await expect(popup.get_by_label("Company name")).to_have_value(way.business.name)
            await sign_up(popup, way.business)
            await connect(popup, way.business)
            await closed(popup)
            await page.wait_for_url(f"{address}?client=*", timeout=PATIENCE_MS)
            await expect(page.locator("#heard > li")).to_have_count(1, timeout=PATIENCE_MS)
            heard: list[dict[str, Any]] = await page.evaluate("heard")
            assert parse_qs(urlsplit(page.url).query)["state"] == [STATE]

        # By the message, and again by the query once the page was loaded anew; both say the same.
        assert heard
        client, channels = heard[0]["client"], heard[0]["channels"]
        assert all((one["client"], one["channels"]) == (client, channels) for one in heard)
        async with http.get(f"{api}/channels", headers=headers) as answer:
            listed = (await answer.json())["partner_channels"]
        assert [(one["client_id"], one["id"]) for one in listed] == [(client, channels[0])]
        assert len(channels) == 1
        # Existing integrations make the key straight away, without waiting for any webhook.
        async with http.post(f"{api}/channels/{channels[0]}/api_keys", headers=headers) as answer:
            assert answer.status == 201
            assert (await answer.json())["address"] == demo["gateway_url"]
