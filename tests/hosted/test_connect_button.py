"""`<partnerhub-connect>` in a real browser: a partner's site on one port, the hub on another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser import Visit, assert_accessible, assert_fits, chromium, visit
from tests.e2e.popup import Business, closed, connect, sign_up
from tests.factories import make_partner
from tests.hosted.partner_site import Site, button, heard, partner_site
from tests.hub_stage import HubStage

pytestmark = pytest.mark.slow

STATE = '{"tenant":"42","next":"/a?b=c&d=ü"}'
BACK = "?client=abcCL&channels=[oneCH,twoCH]&revoked=[oldCH]&state=a%20b"
ANSWER = {
    "client": "abcCL",
    "channels": ["oneCH", "twoCH"],
    "revokedChannels": ["oldCH"],
    "state": "a b",
}
CONNECT = "Connect WhatsApp"


@asynccontextmanager
async def opened(
    stage: HubStage, browser: Browser, path: str = "/connect", **attributes: str
) -> AsyncIterator[tuple[Site, Visit]]:
    """Show the page with a button for a partner whose clients come back to it."""
    async with partner_site(stage.url) as site:
        partner = await make_partner(stage.database, redirect_url=site.at(path))
        site.pages[path] = button(partner_id=partner.id, **attributes)
        async with visit(browser, site.at(path)) as visited:
            yield site, visited


async def press(page: Page) -> Page:
    """Press the button and return the hub's window."""
    async with page.expect_popup() as opening:
        await page.get_by_role("button", name=CONNECT).click()
    popup = await opening.value
    await expect(popup.get_by_role("heading", name="Create your account")).to_be_visible()
    return popup


async def lead_back(popup: Page, address: str) -> None:
    """Navigate the window as the hub does at the end, and see it closed."""
    await popup.evaluate("(address) => void setTimeout(() => location.assign(address))", address + BACK)
    await closed(popup)


async def until_heard(page: Page, count: int) -> list[Any]:  # Any: [name, where, detail]
    """Wait until so much was heard, and return it."""
    for _turn in range(100):
        if len(found := await heard(page)) >= count:
            return found
        await page.wait_for_timeout(50)
    raise AssertionError(await heard(page))


def everybody(answer: dict[str, Any]) -> list[list[Any]]:  # Any: JSON
    """Return what is heard of one answer: bubbling, then the older name, then the callback."""
    return [
        ["connect-callback", "element", answer],
        ["connect-callback", "document", answer],
        ["connect-callback", "window", answer],
        ["dialog-connect-callback", "window", answer],
        ["callback", "", answer],
    ]


async def test_a_whole_run_ends_with_the_callback_and_a_reload_tells_nothing_again(
    stage: HubStage, browser: Browser
) -> None:
    business = Business("Fjord Travel", "ops@fjord.example", "+49 30 5551 9001")
    async with opened(stage, browser, state=STATE, name=business.name, email=business.email) as (site, seen):
        page = seen.page
        await assert_accessible(page)
        await assert_fits(page)
        popup = await press(page)
        await expect(popup.get_by_label("Company name")).to_have_value(business.name)
        await expect(popup.get_by_label("E-mail")).to_have_value(business.email)
        assert popup.viewport_size is None or await popup.evaluate("[outerWidth, outerHeight]")
        await sign_up(popup, business)
        await connect(popup, business)
        await closed(popup)
        answer = next(one for one in await until_heard(page, 8) if one[0] == "callback")[2]
        told = [one for one in await heard(page) if "callback" in one[0]]
        assert told == everybody(answer)
        assert answer["state"] == STATE
        assert "revokedChannels" not in answer
        async with stage.database.system() as unit:
            rows = await unit.fetch_dicts("select id, client_id from channel")
        assert [(row["client_id"], [row["id"]]) for row in rows] == [(answer["client"], answer["channels"])]
        # The page was not left: nothing to clean, and a reload knows of nothing.
        assert page.url == site.at("/connect")
        await page.reload()
        await page.get_by_role("button", name=CONNECT).wait_for()
        assert await heard(page) == []


async def test_without_a_window_to_go_back_to_the_page_reports_itself_once(
    stage: HubStage, browser: Browser
) -> None:
    async with opened(stage, browser) as (site, seen):
        page = seen.page
        await page.goto(site.at("/connect") + "?tenant=a%20b&state=mine&" + BACK[1:] + "#top")
        assert await until_heard(page, 5) == everybody(ANSWER)
        # What the hub appended is gone, what was there stays letter for letter.
        await expect(page).to_have_url(site.at("/connect") + "?tenant=a%20b&state=mine#top")
        await page.reload()
        await page.wait_for_timeout(200)
        assert await heard(page) == []
        # A callback that is set later still hears what the address brought; and only the first does.
        site.pages["/late"] = site.pages["/connect"].replace("<partner", "<i></i><partner")
        await page.goto(site.at("/late") + BACK)
        await until_heard(page, 5)
        again = """async () => {
          const late = document.createElement("partnerhub-connect"), found = [];
          late.callback = (answer) => found.push(answer);
          document.body.append(late);
          return found;
        }"""
        assert await page.evaluate(again) == []


async def test_a_closed_window_is_noticed_and_the_button_opens_another(
    stage: HubStage, browser: Browser
) -> None:
    async with opened(stage, browser) as (site, seen):
        page = seen.page
        popup = await press(page)
        status = page.get_by_role("status")
        await expect(status).to_have_text("The sign-up is open in another window.")
        # Pressed again, the window is shown, not opened a second time; another link takes it over.
        await page.get_by_role("button", name=CONNECT).click()
        assert len(seen.context.pages) == 2
        await page.evaluate(
            "document.querySelector('partnerhub-connect').setAttribute('email', 'a+b@c.example')"
        )
        await page.get_by_role("button", name=CONNECT).click()
        await expect(popup.get_by_label("E-mail")).to_have_value("a+b@c.example")
        assert len(seen.context.pages) == 2
        await popup.close()
        await expect(status).to_have_text("The window was closed.")
        assert [one[0] for one in await heard(page)].count("connect-closed") == 3  # element, document, window
        # Once more by keyboard, and the answer of a page that the window was led to.
        await page.reload()
        await page.keyboard.press("Tab")
        async with page.expect_popup() as opening:
            await page.keyboard.press("Enter")
        popup = await opening.value
        await popup.wait_for_load_state()
        await lead_back(popup, site.at("/connect"))
        await expect(status).to_have_text("Connected.")
        told = [one for one in await heard(page) if "callback" in one[0]]
        assert told == everybody(ANSWER)
        assert page.url == site.at("/connect")


async def test_a_button_that_is_taken_away_leaves_the_answer_to_its_successor_or_the_page(
    stage: HubStage, browser: Browser
) -> None:
    # The script stands there twice, as it does where two parts of a page bring it: one copy is silent.
    async with opened(stage, browser, "/twice") as (site, seen):
        page = seen.page
        popup = await press(page)
        await page.evaluate("document.querySelector('partnerhub-connect').remove()")
        await lead_back(popup, site.at("/twice"))
        told = await until_heard(page, 4)
        assert [one[:2] for one in told if "callback" in one[0]] == [
            ["connect-callback", "document"],
            ["connect-callback", "window"],
            ["dialog-connect-callback", "window"],
        ]
        await page.reload()
        popup = await press(page)
        # As a framework does when it draws the page anew: another element of the same attributes.
        await page.evaluate(
            """() => {
              const old = document.querySelector("partnerhub-connect"), fresh = old.cloneNode();
              fresh.callback = (answer) => heard.push(["fresh", "", answer]);
              old.replaceWith(fresh);
            }"""
        )
        await lead_back(popup, site.at("/twice"))
        assert [one for one in await until_heard(page, 5) if one[0] == "fresh"] == [["fresh", "", ANSWER]]


async def test_only_the_pages_own_origin_is_believed(stage: HubStage, browser: Browser) -> None:
    async with partner_site(stage.url) as stranger, partner_site(stage.url, frames=stranger.url) as site:
        stranger.pages["/told"] = "A stranger"
        partner = await make_partner(stage.database, redirect_url=site.at("/connect"))
        site.pages["/connect"] = (
            button(partner_id=partner.id) + f'<iframe title="Other" src="{stranger.at("/told")}"></iframe>'
        )
        async with visit(browser, site.at("/connect")) as seen:
            page = seen.page
            frame = page.frames[1]
            await expect(frame.locator("body")).to_contain_text("A stranger")
            assert await frame.title() == "told"
            # Of the own origin, but no answer of the hub: other software of the page writes messages, too.
            await page.evaluate(
                "['hello', '?a=b', '?client=x', {client: 'x'}].forEach((one) => postMessage(one, '*'))"
            )
            await page.wait_for_timeout(200)
            assert await heard(page) == []
            # The same words from the page's own origin are believed.
            await page.evaluate("postMessage('?client=evilCL&channels=[evilCH]', location.origin)")
            assert len(await until_heard(page, 5)) == 5


async def test_a_page_that_cannot_listen_leaves_the_answer_to_the_window(
    stage: HubStage, browser: Browser
) -> None:
    async with partner_site(stage.url) as site:
        site.pages.update({"/plain": "No button here.", "/connect": button(partner_id="acmePA")})
        async with visit(browser, site.at("/plain")) as seen:
            async with seen.page.expect_popup() as opening:
                await seen.page.evaluate(f"void open('{site.at('/connect')}{BACK}')")
            popup = await opening.value
            await popup.wait_for_url(site.at("/connect"))
            assert await until_heard(popup, 5) == everybody(ANSWER)
            assert popup.url == site.at("/connect")


async def test_a_blocked_window_is_told_and_a_link_leads_on(stage: HubStage) -> None:
    # The page opens it by itself, which no browser allows without a click.
    async with chromium(whole=True) as browser, opened(stage, browser, "/blocked", lang="de") as (site, seen):
        page = seen.page
        await expect(page.get_by_role("alert")).to_contain_text("Ihr Browser hat das Fenster blockiert.")
        assert [one[0] for one in await heard(page)].count("connect-blocked") == 3
        await assert_accessible(page)
        await page.emulate_media(color_scheme="dark")
        await assert_accessible(page)
        async with seen.context.expect_page() as opening:
            await page.get_by_role("link", name="Anmeldung in einem neuen Tab öffnen").click()
        tab = await opening.value
        await expect(tab.get_by_role("heading", name="Konto")).to_be_visible()
        await lead_back(tab, site.at("/blocked"))
        told = [one for one in await heard(page) if "callback" in one[0]]
        assert told == everybody(ANSWER)
        await expect(page.get_by_role("alert")).to_be_hidden()


async def test_every_attribute_is_watched_encoded_and_sent(stage: HubStage, browser: Browser) -> None:
    odd = "a+b &=?#%/ü\"'"
    given = {
        "requested-number": "+49 30 5551",
        "email": odd,
        "name": odd,
        "state": STATE,
        "redirect-url": "https://acme.example/back?a=b&c=d",
        "lang": "pt-BR",
        "plan-selection": "premium",
        "next": "login",
        "partner": "crm-42",
        "preverified-phone-number-id": "106",
        "io-signature": "ab/+=",
        "io-timestamp": "1795000000",
    }
    named = {"requested-number": "number", "preverified-phone-number-id": "preverified_phone_number_id"}
    async with opened(stage, browser, "/twice", flow="") as (_site, seen):
        page = seen.page
        link: str = await page.evaluate("document.querySelector('partnerhub-connect').url")
        assert urlsplit(link).query == ""
        link = await page.evaluate(
            """(given) => {
              const button = document.querySelector("partnerhub-connect");
              for (const [name, value] of Object.entries(given)) button.setAttribute(name, value);
              return button.url;
            }""",
            given,
        )
        assert link.startswith(f"{stage.url}/onboarding/")
        assert " " not in link
        assert "+" not in link
        found = parse_qs(urlsplit(link).query, strict_parsing=True)
        assert found == {named.get(name, name.replace("-", "_")): [value] for name, value in given.items()}
        await expect(page.get_by_role("button", name="Conectar o WhatsApp")).to_be_visible()
        told = """(given) => {
          const button = document.querySelector("partnerhub-connect");
          for (const [name, value] of Object.entries(given)) {
            if (value === null) button.removeAttribute(name); else button.setAttribute(name, value);
          }
          button.open();
          return [button.url, button.shadowRoot.querySelector("[part=message]").textContent];
        }"""
        assert await page.evaluate(
            told, {"label": "Start", "lang": "en", "base-url": "javascript:alert(1)//"}
        ) == [
            "",
            "This button is not set up: base-url is no http address.",
        ]
        await expect(page.get_by_role("button", name="Start")).to_be_visible()
        assert await page.evaluate(told, {"partner-id": None}) == [
            "",
            "This button is not set up: partner-id is missing.",
        ]
        moved = {"partner-id": "a/b", "base-url": "https://hub.example/"} | dict.fromkeys(given)
        assert await page.evaluate(told, {**moved, "disabled": ""}) == [
            "https://hub.example/onboarding/a%2Fb",
            "This button is not set up: partner-id is missing.",
        ]
        assert len(seen.context.pages) == 1


async def test_a_page_dresses_it_by_properties_and_parts(stage: HubStage, browser: Browser) -> None:
    inside = "document.querySelector('partnerhub-connect').shadowRoot.querySelector('button')"
    style = f"getComputedStyle({inside})"
    async with opened(stage, browser, lang="es") as (_site, seen):
        page = seen.page
        assert await page.evaluate(f"{style}.backgroundColor") == "rgb(10, 107, 79)"
        await page.emulate_media(color_scheme="dark")
        await assert_accessible(page)
        assert await page.evaluate(f"{style}.backgroundColor") == "rgb(76, 199, 154)"
        await page.evaluate(
            """() => {
              const sheet = new CSSStyleSheet();
              sheet.replaceSync(`
                partnerhub-connect { --partnerhub-connect-background: rgb(1, 2, 3) }
                partnerhub-connect::part(button) { text-transform: uppercase }`);
              document.adoptedStyleSheets.push(sheet);
            }"""
        )
        assert await page.evaluate(f"{style}.backgroundColor") == "rgb(1, 2, 3)"
        assert await page.evaluate(f"{style}.textTransform") == "uppercase"
