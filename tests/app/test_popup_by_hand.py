"""The popup as hands meet it in a real browser: keyboard only, pressed twice, gone back, closed."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser import Look
from tests.channels.told import told_names
from tests.factories import MadePartner, make_partner
from tests.hub_stage import HubStage
from tests.hub_tours import POPUP_WIDTH, report
from tests.identity.people import PASSWORD
from tests.ledger.stock import stock_prices
from tests.simulator import harness

pytestmark = pytest.mark.slow

EMAIL = "desk@harbour.example"
POPUP = Look("light", POPUP_WIDTH)


@pytest.fixture
async def partner(stage: HubStage) -> MadePartner:
    """A Direct-Paid partner whose clients come back to the receiver."""
    await stock_prices(stage.database)
    return await make_partner(
        stage.database,
        brand_name="Lighthouse",
        payment_model="direct_paid",
        redirect_url=stage.receiver.url("/connected"),
    )


async def press_to(page: Page, name: str, *, role: str = "button", key: str = "Enter") -> None:
    """Move by Tab to a control, see that it is marked, and use it."""
    wanted = page.get_by_role(role, name=name)  # type: ignore[arg-type]  # one of Playwright's roles
    for _ in range(30):
        if await wanted.evaluate("(one) => one === document.activeElement"):
            break
        await page.keyboard.press("Tab")
    await expect(wanted).to_be_focused()
    assert await wanted.evaluate(
        "(one) => getComputedStyle(one).outlineStyle !== 'none' || getComputedStyle(one).boxShadow !== 'none'"
    )
    await page.keyboard.press(key)


async def fill(page: Page, values: dict[str, str]) -> None:
    """Type into fields that follow each other, by Tab."""
    for label, value in values.items():
        field = page.get_by_label(label)
        for _ in range(10):
            if await field.evaluate("(one) => one === document.activeElement"):
                break
            await page.keyboard.press("Tab")
        await expect(field).to_be_focused()
        await page.keyboard.insert_text(value)


async def share(stage: HubStage, page: Page, number: str) -> None:
    """Come back from Meta's window."""
    await expect(page.get_by_role("button", name="Continue with Facebook")).to_be_enabled()
    made = await stage.meta.admin(
        "POST", "/signups", {"app_id": harness.APP_ID, "number": {"phone_number": number}}
    )
    await report(page, made)


async def is_registering(stage: HubStage) -> bool:
    """Say whether a number is being registered at this moment."""
    async with stage.database.system() as unit:
        return bool(
            await unit.fetch_value("select exists (select from onboarding_claim where name like 'channel:%')")
        )


async def test_a_client_needs_no_mouse(stage: HubStage, browser: Browser, partner: MadePartner) -> None:
    async with stage.visit(browser, f"/onboarding/{partner.id}?state=s1", look=POPUP) as opened:
        page = opened.page
        await fill(
            page,
            {
                "Company name": "Harbour Clinic",
                "Your name": "Front Desk",
                "E-mail": EMAIL,
                "Password": PASSWORD,
            },
        )
        await press_to(page, "I accept the terms of service.", role="checkbox", key="Space")
        await press_to(page, "Create account and go on")
        await expect(page.get_by_role("heading", name="Prices and terms")).to_be_visible()
        # Another country by keyboard: the list follows without loading the page.
        market = page.get_by_label("Where your customers are")
        await market.focus()
        await page.keyboard.type("India")
        await expect(page.get_by_text("€0.0106")).to_be_visible()
        await expect(market).to_be_focused()
        await press_to(
            page, "I accept the price list and the terms of service.", role="checkbox", key="Space"
        )
        await press_to(page, "Accept and go on")
        await share(stage, page, "+49 30 5554 0001")
        await expect(page.get_by_role("heading", name="May Lighthouse use your number?")).to_be_visible()
        await press_to(page, "Allow and go back to Lighthouse")
        await page.wait_for_url(re.compile(r"/connected\?client=\w+CL&channels=\[\w+CH\]&state=s1$"))
        # Later, on the permissions: the switch is one, too.
        await page.goto(f"{stage.url}/dashboard/app/{partner.id}/permissions?next=login&email={EMAIL}")
        await page.keyboard.insert_text(PASSWORD)
        await press_to(page, "Sign in and go on")
        await press_to(page, "+49 30 55540001", role="switch", key="Space")
        await press_to(page, "Save and go back to Lighthouse")
        await page.wait_for_url(re.compile(r"/connected\?client=\w+CL&channels=\[\]&revoked=\[\w+CH\]$"))
    assert (await told_names(stage.database, partner.id))[-2:] == [
        "channel_permission_granted",
        "channel_permission_revoked",
    ]


async def test_pressing_twice_going_back_and_loading_anew_change_nothing(
    stage: HubStage, browser: Browser, partner: MadePartner
) -> None:
    async with stage.visit(browser, f"/onboarding/{partner.id}", look=POPUP) as opened:
        page = opened.page
        await page.get_by_label("Company name").fill("Harbour Clinic")
        await page.get_by_label("Your name").fill("Front Desk")
        await page.get_by_label("E-mail").fill(EMAIL)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_label("I accept the terms of service.").check()
        await page.get_by_role("button", name="Create account and go on").dblclick()
        await expect(page.get_by_role("heading", name="Prices and terms")).to_be_visible()
        await page.reload()
        await page.get_by_label("I accept the price list").check()
        await page.get_by_role("button", name="Accept and go on").dblclick()
        await share(stage, page, "+49 30 5554 0002")
        await expect(page.get_by_role("heading", name="May Lighthouse use your number?")).to_be_visible()
        await page.go_back()
        await page.reload()
        await expect(page.get_by_role("heading", name="May Lighthouse use your number?")).to_be_visible()
        await page.get_by_role("button", name="Allow and go back").dblclick()
        await page.wait_for_url("**/connected?client=*")
        # Back from the partner's page: the end, which leads there again.
        await page.go_back()
        await page.wait_for_url("**/connected?client=*")
    names = await told_names(stage.database, partner.id)
    assert {name: names.count(name) for name in names} == dict.fromkeys(
        [
            "client_created",
            "channel_created",
            "channel_ready",
            "channel_running",
            "channel_live",
            "channel_permission_granted",
        ],
        1,
    )


async def test_a_page_that_is_loaded_anew_while_the_number_is_registered_goes_on_by_itself(
    stage: HubStage, browser: Browser
) -> None:
    partner = await make_partner(stage.database, redirect_url=stage.receiver.url("/connected"))
    async with stage.visit(browser, f"/onboarding/{partner.id}", look=POPUP) as opened:
        page = opened.page
        await page.get_by_label("Company name").fill("Harbour Clinic")
        await page.get_by_label("Your name").fill("Front Desk")
        await page.get_by_label("E-mail").fill(EMAIL)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_label("I accept the terms of service.").check()
        await page.get_by_role("button", name="Create account and go on").click()
        await expect(page.get_by_role("heading", name="Connect your number")).to_be_visible()
        address = page.url
        fault = {"action": "latency", "seconds": 4, "path": "/*/register", "times": 1}
        await stage.meta.admin("POST", "/faults", fault)
        await share(stage, page, "+49 30 5554 0004")
        await harness.until(lambda: is_registering(stage))
        await page.goto(address)
        await expect(page.get_by_role("link", name="Look again")).to_be_visible()
        await page.wait_for_url("**/connected?client=*")


async def test_a_window_that_was_closed_half_way_is_opened_again_and_ends(
    stage: HubStage, browser: Browser, partner: MadePartner
) -> None:
    link = f"{stage.url}/onboarding/{partner.id}?email={EMAIL}"
    async with stage.visit(browser, f"/onboarding/{partner.id}", look=POPUP) as opened:
        async with opened.context.expect_page() as found:
            await opened.page.evaluate(
                "(url) => { window.open(url, 'connect', 'width=600,height=920'); }", link
            )
        popup = await found.value
        await popup.get_by_label("Company name").fill("Harbour Clinic")
        await popup.get_by_label("Your name").fill("Front Desk")
        await popup.get_by_label("Password").fill(PASSWORD)
        await popup.get_by_label("I accept the terms of service.").check()
        await popup.get_by_role("button", name="Create account and go on").click()
        await expect(popup.get_by_role("heading", name="Prices and terms")).to_be_visible()
        address = popup.url
        await popup.close()
        # The run is there for whoever kept its address, and a new one asks who it is.
        await opened.page.goto(address)
        await expect(opened.page.get_by_role("heading", name="Prices and terms")).to_be_visible()
        await opened.page.goto(f"{link}&next=login")
        await opened.page.get_by_label("Password").fill(PASSWORD)
        await opened.page.get_by_role("button", name="Sign in and go on").click()
        await opened.page.get_by_label("I accept the price list").check()
        await opened.page.get_by_role("button", name="Accept and go on").click()
        await share(stage, opened.page, "+49 30 5554 0003")
        await opened.page.get_by_role("button", name="Not now").click()
        await opened.page.wait_for_url(re.compile(r"/connected\?client=\w+CL&channels=\[\]$"))
