"""A tour of every page and state of the hub, for tests that must see them all and for pictures.

A tour is an asynchronous generator of stops: the name of a state and the page that stands in it. Whoever
follows it looks at the page and asks for the next stop; close it with `contextlib.aclosing`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, Page, expect

from tests.browser import Look, Visit
from tests.factories import MadeMember, MadePartner, MadeWaba, make_channel, make_partner
from tests.hub_sample import Sample
from tests.hub_stage import CONNECT, DELIVERIES, HOME, INTEGRATION, HubStage
from tests.identity.people import PASSWORD, last_code
from tests.ledger.stock import stock_prices
from tests.simulator import harness

POPUP_WIDTH, POPUP_HEIGHT = 600, 920
PIN = "246810"


@dataclass(frozen=True)
class Stop:
    """One state of one page."""

    name: str
    page: Page
    is_whole: bool = True  # false under a dialog, whose shade covers the window and not the page below


async def tour_dashboard(
    stage: HubStage, sample: Sample, browser: Browser, look: Look
) -> AsyncGenerator[Stop, None]:
    """Pass the pages of the Partner Hub."""
    async with stage.visit(browser, HOME, look=look) as opened:
        page = opened.page
        yield Stop("sign-in", page)
        await page.get_by_label("E-mail").fill(sample.owner.email)
        await page.get_by_label("Password").fill("not the password")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        yield Stop("sign-in-refused", page)
        await page.goto(f"{stage.url}/forgot-password")
        yield Stop("forgot-password", page)
    async with stage.visit(browser, HOME, member=sample.owner, look=look) as opened:
        page = opened.page
        for name, path in (
            ("accounts", HOME),
            ("accounts-none-match", f"{HOME}?q=nothing+like+it"),
            ("account", f"{HOME}/{sample.main}"),
            ("account-needs-action", f"{HOME}/{sample.channels['Iris Optics'].id}"),
            ("account-webhook-broken", f"{HOME}/{sample.channels['Grove Mobility'].id}"),
            ("deliveries", DELIVERIES),
            ("deliveries-none-match", f"{DELIVERIES}?state=discarded"),
            ("deliveries-failed", f"{DELIVERIES}?state=failed&range=24h"),
            ("deliveries-custom", f"{DELIVERIES}?range=custom"),
            (
                "deliveries-custom-wrong",
                f"{DELIVERIES}?range=custom&from=2026-01-02T00:00&to=2026-01-01T00:00",
            ),
            ("deliveries-found", f"{DELIVERIES}?q=%2B49+1519"),
            ("delivery", f"{DELIVERIES}/{sample.delivered}"),
            ("delivery-unusual", f"{DELIVERIES}/{sample.unusual}"),
            ("delivery-waiting", f"{DELIVERIES}/{sample.waiting}"),
            ("delivery-failed", f"{DELIVERIES}/{sample.failed}"),
            ("integration", INTEGRATION),
            ("your-account", "/account"),
            ("not-found", f"{HOME}/zzzzzzCH"),
        ):
            await page.goto(stage.url + path)
            yield Stop(name, page)
        await page.goto(stage.url + HOME)
        await page.keyboard.press("Control+k")
        await page.keyboard.type("fjord")
        await expect(page.get_by_role("option", name="Fjord Travel")).to_have_count(3)
        yield Stop("palette", page, is_whole=False)
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog", name="Search")).to_be_hidden()
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
        yield Stop("shortcuts", page, is_whole=False)
        await page.keyboard.press("Escape")
        async for stop in _press(stage, sample, page):
            yield stop
    async for stop in tour_link_and_button(stage, sample, browser, look):
        yield stop
    async with stage.visit(browser, INTEGRATION, member=sample.member, look=look) as opened:
        yield Stop("integration-member", opened.page)
    async with stage.visit(browser, "/switch", member=await _of_two_partners(stage), look=look) as opened:
        yield Stop("switch-partner", opened.page)
        await opened.page.locator("summary.hub").click()
        await expect(opened.page.get_by_role("link", name="All partners")).to_be_visible()
        yield Stop("switch-partner-menu", opened.page)
    async with stage.visit(browser, HOME, member=await _newcomer(stage), look=look) as opened:
        yield Stop("accounts-empty", opened.page)
        await opened.page.get_by_role("main").get_by_role("link", name="Connect a number").last.click()
        await expect(opened.page.get_by_role("dialog")).to_be_visible()
        yield Stop("accounts-connect", opened.page, is_whole=False)
        await opened.page.goto(stage.url + DELIVERIES)
        yield Stop("deliveries-empty", opened.page)


async def _press(stage: HubStage, sample: Sample, page: Page) -> AsyncGenerator[Stop, None]:
    """Pass the states that a press of a button brings."""
    await page.goto(stage.url + DELIVERIES)
    await page.get_by_text("Show as table").click()
    yield Stop("deliveries-table", page)
    await page.get_by_role("link", name="Replay 1 failed").click()
    await expect(page.get_by_role("dialog").get_by_text("1 event is sent again.")).to_be_visible()
    yield Stop("deliveries-replay", page, is_whole=False)
    await page.goto(f"{stage.url}{DELIVERIES}/{sample.failed}")
    await page.get_by_text("Headers of request").first.click()
    yield Stop("delivery-headers", page)
    await page.goto(f"{stage.url}{HOME}/{sample.channels['Kestrel Parcel'].id}")
    await page.get_by_role("link", name="Create a new key").click()
    dialog = page.get_by_role("dialog", name="Create a new key")
    await expect(dialog).to_be_visible()
    yield Stop("account-new-key", page, is_whole=False)
    await dialog.get_by_role("button", name="Create a new key").click()
    await expect(page.get_by_text("Copy the key now.")).to_be_visible()
    yield Stop("account-key-created", page)
    await page.goto(stage.url + INTEGRATION)
    await page.get_by_role("button", name="Send test").click()
    await expect(page.locator("#test-result")).to_be_visible()
    yield Stop("integration-test-ok", page)
    address = page.get_by_label("Partner webhook URL")
    await address.fill(stage.receiver.url("/broken"))
    await page.get_by_role("button", name="Send test").click()
    await expect(page.get_by_text("The server failed with 500.")).to_be_visible()
    yield Stop("integration-test-failed", page)
    await address.fill("https://my_host.example:8443/hook")
    await page.locator("#addresses").get_by_role("button", name="Save changes").click()
    await expect(page.locator('[aria-invalid="true"]')).to_have_count(1)
    yield Stop("integration-error", page)
    async for stop in _confirm(stage, sample, page):
        yield stop


async def _confirm(stage: HubStage, sample: Sample, page: Page) -> AsyncGenerator[Stop, None]:
    """Replace the platform secret by a code, and look at the custom headers."""
    await page.goto(stage.url + INTEGRATION)
    await page.get_by_role("link", name="Regenerate platform secret").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Mail me a code")).to_be_visible()
    yield Stop("integration-code-asked", page, is_whole=False)
    await dialog.get_by_role("button", name="Mail me a code").click()
    code = dialog.get_by_label("Code from the mail")
    await expect(code).to_be_focused()
    await dialog.get_by_role("button", name="Send another code").click()
    await expect(dialog.get_by_text("A new code is on its way")).to_be_visible()
    yield Stop("integration-code-again", page, is_whole=False)
    await code.fill("000000")
    await dialog.get_by_role("button", name="Generate platform secret").click()
    await expect(dialog.get_by_text("This is not the code from the last mail.")).to_be_visible()
    yield Stop("integration-code-wrong", page, is_whole=False)
    await code.fill(await last_code(stage.database, sample.owner.email))
    await dialog.get_by_role("button", name="Generate platform secret").click()
    await expect(dialog.get_by_label("Platform secret", exact=True)).to_be_visible()
    yield Stop("integration-secret", page, is_whole=False)
    await dialog.get_by_role("link", name="Done").click()
    await expect(page.get_by_text("Earlier secret").first).to_be_visible()
    yield Stop("integration-overlap", page)
    await page.locator("#addresses").get_by_role("link", name="Edit").click()
    await expect(dialog.get_by_label("Header name").first).to_be_visible()
    yield Stop("integration-headers", page, is_whole=False)
    await page.goto(f"{stage.url}{INTEGRATION}/signature")
    await page.get_by_label("Body").fill('{"id":"evt_1","event":"channel_live","data":{}}')
    await page.get_by_label("Signature", exact=True).fill("sha256=" + "0" * 64)
    await page.get_by_role("button", name="Check").click()
    await expect(page.get_by_text("Does not fit")).to_be_visible()
    yield Stop("integration-signature", page)


async def tour_link_and_button(
    stage: HubStage, sample: Sample, browser: Browser, look: Look
) -> AsyncGenerator[Stop, None]:
    """Pass the page that writes link and button."""
    filled = "name=Fjord+Travel&email=ops%40fjord.example&number=%2B47+21+555+006&state=crm-42&lang=pt"
    async with stage.visit(browser, CONNECT, member=sample.member, look=look) as opened:
        yield Stop("link-and-button", opened.page)
        for name, query in (("filled", f"{filled}&code=react"), ("wrong", "email=ops&code=public-react")):
            await opened.page.goto(f"{stage.url}{CONNECT}?{query}")
            yield Stop(f"link-and-button-{name}", opened.page)
    async with stage.visit(browser, CONNECT, member=await _newcomer(stage), look=look) as opened:
        yield Stop("link-and-button-new", opened.page)
    partner = await make_partner(stage.database, brand_name="Signed Chat", io_signature_enabled=True)
    signed = await stage.person(partner=partner, name="Signed Member", role="member")
    async with stage.visit(browser, CONNECT, member=signed, look=look) as opened:
        yield Stop("link-and-button-signed", opened.page)


async def _newcomer(stage: HubStage) -> MadeMember:
    """Return the owner of a partner that has nothing yet."""
    partner = await make_partner(stage.database, brand_name="Newcomer", redirect_url=None)
    return await stage.person(partner=partner, name="Newcomer Owner")


async def _of_two_partners(stage: HubStage) -> MadeMember:
    """Return somebody who belongs to two partners, one with a name that no line holds."""
    member = await stage.person(
        brand_name="Rückversicherungsaktiengesellschaftsnachrichten und Partner Europa"
    )
    other = await make_partner(stage.database, brand_name="Short Chat")
    async with stage.database.system() as unit:
        await unit.execute(
            "insert into member (partner_id, user_id, role) values (%s, %s, 'member')",
            (other.id, member.user_id),
        )
    return member


def popup_look(look: Look) -> Look:
    """Return the look at which a popup is seen: its own size on a desk, a phone's else."""
    return Look(look.theme, min(look.width, POPUP_WIDTH))


async def tour_popup(
    stage: HubStage, partner: MadePartner, browser: Browser, look: Look
) -> AsyncGenerator[Stop, None]:
    """Pass the steps of the onboarding popup, with every way in which they can stop."""
    email = f"ops-{look}@fjord.example"
    link = f"/dashboard/app/{partner.id}?name=Fjord+Travel&email={email}&state=abc"
    async with stage.visit(browser, link, look=popup_look(look)) as opened:
        page = opened.page
        if look.width > POPUP_WIDTH:
            await page.set_viewport_size({"width": POPUP_WIDTH, "height": POPUP_HEIGHT})
        yield Stop("popup-account", page)
        await page.goto(page.url + "?mode=sign_in")
        yield Stop("popup-sign-in", page)
        await page.get_by_label("Password").fill("not the password")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        yield Stop("popup-sign-in-refused", page)
        await page.goto(stage.url + link)
        await sign_up(page, email=email, password="123456789012")
        await expect(page.locator('[aria-invalid="true"]')).to_have_count(1)
        yield Stop("popup-account-error", page)
        await sign_up(page, email=email)
        await expect(page.get_by_role("heading", name="Connect your number")).to_be_visible()
        await expect(page.get_by_role("button", name="Continue with Facebook")).to_be_enabled()
        yield Stop("popup-connect", page)
        number = f"+49 30 5551 {sum(map(ord, str(look))):04d}"
        # Meta answers a PIN by the time since the last wrong one, and looking at a page takes time.
        async with stage.meta.standing_still():
            async for stop in _connect(stage, opened, number):
                yield stop
        await page.goto(f"{stage.url}/dashboard/app/{partner.id}?next=login")
        await page.get_by_label("E-mail").fill(email)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="Numbers you have already")).to_be_visible()
        yield Stop("popup-connect-known", page)
        await _let_clients_add(stage, partner, allowed=False)
        await page.reload()
        await expect(page.get_by_role("heading", name="No further number here")).to_be_visible()
        yield Stop("popup-may-not-add", page)
        await _let_clients_add(stage, partner, allowed=True)
        async for stop in _pay_directly(stage, opened, look):
            yield stop
        await page.goto(f"{stage.url}/dashboard/app/nobodyPA")
        yield Stop("popup-stopped", page)


async def _connect(stage: HubStage, opened: Visit, number: str) -> AsyncGenerator[Stop, None]:
    """Pass what Meta's window leads to: left early, a PIN that is not known, the end."""
    page = opened.page
    dialog = await open_dialog(opened)
    await dialog.get_by_test_id("cancel").click()
    await expect(page.get_by_text("The window was closed before the end.")).to_be_visible()
    yield Stop("popup-cancelled", page)
    await page.reload()
    await report(page, {"code": "used-up", "message": {"event": "FINISH", "data": {}}})
    await expect(page.get_by_text("The connection stopped")).to_be_visible()
    yield Stop("popup-connect-failed", page)
    made = await stage.meta.admin(
        "POST",
        "/signups",
        {
            "app_id": harness.APP_ID,
            "business": {"name": "Fjord Travel"},
            "number": {"phone_number": number, "display_name": "Fjord Travel", "pin": PIN},
        },
    )
    await page.reload()
    # An answer without content leaves the page standing where a person waits.
    await page.route("**/signup", lambda route: route.fulfill(status=204))
    async with page.expect_response("**/signup"):
        await report(page, made)
    await expect(page.get_by_role("heading", name="Connecting your number")).to_be_visible()
    yield Stop("popup-working", page)
    await page.unroute("**/signup")
    await page.reload()
    await report(page, made)
    await expect(page.get_by_role("heading", name="Almost there")).to_be_visible()
    yield Stop("popup-register-pin", page)
    await enter_pin(stage, page, "000000")
    await expect(page.get_by_text("Meta did not take this PIN.")).to_be_visible()
    yield Stop("popup-register-pin-refused", page)
    await page.get_by_label("Two-step verification PIN").fill("000000")
    await page.get_by_role("button", name="Register the number").click()
    await expect(page.get_by_text("too quickly")).to_be_visible()
    yield Stop("popup-register-failed", page)
    async with at_the_end(page):
        await enter_pin(stage, page, PIN, button="Try again")
        await expect(page.get_by_role("heading", name="Your number is connected")).to_be_visible()
    yield Stop("popup-done", page)


async def _let_clients_add(stage: HubStage, partner: MadePartner, *, allowed: bool) -> None:
    async with stage.database.system() as unit:
        await unit.execute(
            "update partner set allow_client_to_add_phone_no = %s where id = %s", (allowed, partner.id)
        )


async def _pay_directly(stage: HubStage, opened: Visit, look: Look) -> AsyncGenerator[Stop, None]:
    """Pass what only Direct-Paid clients see: prices, the question for permission, what is shared."""
    page, email = opened.page, f"desk-{look}@harbour.example"
    await stock_prices(stage.database)
    partner = await make_partner(
        stage.database,
        brand_name="Lighthouse Messaging",
        payment_model="direct_paid",
        redirect_url=stage.receiver.url("/connected"),
    )
    await page.goto(f"{stage.url}/dashboard/app/{partner.id}?plan_selection=premium")
    await sign_up(page, email=email, company="Harbour Clinic")
    await expect(page.get_by_role("heading", name="Prices and terms")).to_be_visible()
    yield Stop("popup-prices", page)
    await page.get_by_label("I accept the price list").check()
    await page.get_by_role("button", name="Accept and go on").click()
    await expect(page.get_by_role("button", name="Continue with Facebook")).to_be_enabled()
    yield Stop("popup-connect-direct", page)
    number = {"phone_number": f"+49 30 5553 {sum(map(ord, str(look))):04d}", "display_name": "Harbour Clinic"}
    made = await stage.meta.admin("POST", "/signups", {"app_id": harness.APP_ID, "number": number})
    await report(page, made)
    await expect(
        page.get_by_role("heading", name="May Lighthouse Messaging use your number?")
    ).to_be_visible()
    yield Stop("popup-permission", page)
    async with at_the_end(page):
        await page.get_by_role("button", name="Not now").click()
        await expect(page.get_by_text("may not use it before you allow that")).to_be_visible()
    yield Stop("popup-done-not-shared", page)
    async with stage.database.system() as unit:
        (waba,) = await unit.fetch_all(
            MadeWaba,
            "select id, partner_id, client_id, external_id from waba where partner_id = %s",
            (partner.id,),
        )
    await make_channel(stage.database, waba=waba, phone_name="Harbour Clinic Travel Medicine")
    await page.goto(f"{stage.url}/dashboard/app/{partner.id}/permissions?next=login&email={email}")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="What Lighthouse Messaging may use")).to_be_visible()
    yield Stop("popup-permissions", page)
    await page.get_by_label("Harbour Clinic Travel Medicine").uncheck()
    async with at_the_end(page):
        await page.get_by_role("button", name="Save and go back").click()
        await expect(page.get_by_role("heading", name="Your choice is saved")).to_be_visible()
    yield Stop("popup-done-withdrawn", page)


@asynccontextmanager
async def at_the_end(page: Page) -> AsyncIterator[None]:
    """Come to the last page in this block and stay there: its way back was taken when it ends, to nowhere."""
    await page.route("**/finish", lambda route: route.fulfill(status=204))
    # A navigation that is answered by nothing has failed, as Chromium sees it.
    async with page.expect_event("requestfailed", lambda request: request.url.endswith("/finish")):
        yield
    await page.unroute("**/finish")


async def enter_pin(stage: HubStage, page: Page, pin: str, *, button: str = "Register the number") -> None:
    """Enter a PIN as slowly as Meta wants it after a wrong one."""
    await stage.meta.admin("POST", "/clock", {"advance_seconds": 120})
    await page.get_by_label("Two-step verification PIN").fill(pin)
    await page.get_by_role("button", name=button).click()


async def sign_up(page: Page, *, email: str, password: str = PASSWORD, company: str = "Fjord Travel") -> None:
    """Fill the sign-up form and send it."""
    await page.get_by_label("Company name").fill(company)
    await page.get_by_label("Your name").fill("Fjord Operations")
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_label("I accept the terms of service.").check()
    await page.get_by_role("button", name="Create account").click()


async def open_dialog(opened: Visit) -> Page:
    """Press the button that opens Meta's window, and return the window."""
    button = opened.page.get_by_role("button", name="Continue with Facebook")
    await expect(button).to_be_enabled()
    async with opened.context.expect_page() as found:
        await button.click()
    dialog = await found.value
    await expect(dialog.get_by_role("heading", name="Select your business")).to_be_visible()
    return dialog


async def report(page: Page, made: dict[str, Any]) -> None:
    """Hand the page what Meta's window would: the code and the message of Embedded Signup."""
    data = made["message"]["data"]
    values = {"code": made["code"], "event": made["message"]["event"], **data}
    await page.locator("form[action$='/signup']").evaluate(
        """(form, values) => {
          for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
          // Later, so that the page does not leave before it has answered.
          setTimeout(() => form.requestSubmit(), 0);
        }""",
        values,
    )
