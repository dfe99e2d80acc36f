"""The how-to about the connect button: its tables name everything there is, and its own code works."""

from __future__ import annotations

import re
from pathlib import Path

from aiohttp import web
from playwright.async_api import Browser, expect

from partnerhub.hosted.button import newest_button
from tests.browser import visit
from tests.e2e.front import serving
from tests.e2e.popup import closed
from tests.factories import make_partner
from tests.hub_stage import HubStage

DOCUMENT = (Path(__file__).parents[2] / "docs" / "how-to" / "embed-the-connect-button.md").read_text()
SCRIPT = newest_button().body.decode()


def _column(heading: str) -> set[str]:
    """Return what the first cells of a table name."""
    table = DOCUMENT.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return {name for row in table.split("\n")[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_every_attribute_event_part_and_property_is_documented() -> None:
    parameters = dict(re.findall(r'\["([a-z-]+)", "([a-z_]+)"\],', SCRIPT))
    assert _column("attribute") == {*parameters, "partner-id", "base-url", "label", "disabled", "sign-url"}
    assert _column("event") == set(re.findall(r'CustomEvent\("([a-z-]+)"', SCRIPT))
    looks = DOCUMENT.split("### Looks", 1)[1].split("##", 1)[0]
    for name in set(re.findall(r"--partnerhub-connect(-[a-z-]+)", SCRIPT)):
        assert f"`{name}`" in looks or f"`--partnerhub-connect{name}`" in looks, name
    for part in set(re.findall(r'part: "([a-z]+)"', SCRIPT)):
        assert f"`{part}`" in looks, part
    assert newest_button().path in DOCUMENT


async def test_own_code_as_written_opens_the_hub_and_hears_the_answer(
    stage: HubStage, browser: Browser
) -> None:
    opener, landing = re.findall(r"```javascript\n(.*?)```", DOCUMENT, re.DOTALL)
    hears = 'window.heard = []; document.addEventListener("connected", (event) => heard.push(event.detail));'
    partner_ids: list[str] = []

    async def page(request: web.Request) -> web.Response:
        code = landing if request.path == "/connected" else opener + hears
        body = (
            f'<!doctype html><html lang="en"><title>Own</title><link rel="icon" href="data:,">'
            f'<body data-hub="{stage.url}" data-partner="{partner_ids[0]}"><button id="connect">Go</button>'
            f"<script>{code}</script></body></html>"
        )
        return web.Response(text=body, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/connected", page)
    async with serving(app) as port:
        site = f"http://127.0.0.1:{port}"
        partner_ids.append((await make_partner(stage.database, redirect_url=f"{site}/connected")).id)
        async with visit(browser, site) as opened:
            async with opened.page.expect_popup() as opening:
                await opened.page.get_by_role("button", name="Go").click()
            popup = await opening.value
            await expect(popup.get_by_role("heading", name="Create your account")).to_be_visible()
            entry = f"{site}/connected?client=aCL&channels=[bCH,cCH]&revoked=[dCH]&state=tenant%2042"
            await popup.evaluate("(url) => void setTimeout(() => location.assign(url))", entry)
            await closed(popup)
            heard = await opened.page.evaluate("heard")
    assert heard == [{"client": "aCL", "channels": ["bCH", "cCH"], "revoked": ["dCH"], "state": "tenant 42"}]
