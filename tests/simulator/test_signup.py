"""Embedded Signup in a real browser: the script, the dialog, the message to the opener, the code."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser import LOOKS, assert_accessible, assert_fits, visit
from tests.simulator.harness import APP_ID, APP_SECRET, Json, Meta, Receiver, Shop, subscribe, until

CONSUMER = """<!doctype html><html lang="en"><head><title>Consumer</title></head><body><main><h1>Consumer</h1>
<button id="go">Connect</button></main>
<script>
"use strict";
window.heard = []; window.answers = [];
window.addEventListener("message", (event) => {
  try {
    const data = JSON.parse(event.data);
    if (data.type === "WA_EMBEDDED_SIGNUP")
      window.heard.push({origin: event.origin, kind: typeof event.data, data});
  } catch { window.heard.push({origin: event.origin, kind: "other"}); }
});
window.fbAsyncInit = () => {
  FB.init({appId: "%(app)s", version: "v25.0", xfbml: true});
  window.isReady = true;
};
document.getElementById("go").addEventListener("click", () => FB.login(
  (response) => window.answers.push(response),
  {config_id: "42", response_type: "code", override_default_response_type: true, extras: %(extras)s}));
</script><script async defer crossorigin="anonymous" src="%(sdk)s"></script></body></html>"""


@asynccontextmanager
async def consumer(meta: Meta, extras: Json) -> AsyncIterator[str]:
    """Serve a page of another origin that opens Embedded Signup."""
    text = CONSUMER % {"app": APP_ID, "extras": json.dumps(extras), "sdk": f"{meta.url}/en_US/sdk.js"}

    async def show(_request: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", show)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def open_dialog(page: Page, context: BrowserContext) -> Page:
    """Press the button and return the popup."""
    await page.wait_for_function("window.isReady === true")
    async with context.expect_page() as opened:
        await page.get_by_role("button", name="Connect").click()
    return await opened.value


async def read(page: Page) -> tuple[list[Any], list[Any]]:
    """Wait for the login's answer; return messages of Embedded Signup and answers."""
    await page.wait_for_function("window.answers.length === 1")
    heard = await page.evaluate("window.heard.filter((one) => one.kind === 'string')")
    return heard, await page.evaluate("window.answers")


async def fill_number(dialog: Page, phone_number: str) -> None:
    """Click through business, account, profile and number up to the permissions page."""
    await dialog.get_by_test_id("step-business").get_by_label("Business name").fill("Acme Bakery")
    await dialog.get_by_test_id("step-business").get_by_test_id("continue").click()
    await dialog.get_by_test_id("step-waba").get_by_test_id("continue").click()
    await dialog.get_by_label("Display name").fill("Acme Bakery")
    await dialog.get_by_test_id("step-profile").get_by_test_id("continue").click()
    await dialog.get_by_label("Phone number").fill(phone_number)
    await dialog.get_by_test_id("step-number").get_by_test_id("continue").click()
    await expect(dialog.get_by_role("heading", name="Verify your phone number")).to_be_visible()
    code = await dialog.get_by_test_id("sms-code").inner_text()
    await dialog.get_by_label("Verification code").fill("000000")
    await dialog.get_by_test_id("step-verification").get_by_test_id("continue").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("not right")
    await dialog.get_by_label("Verification code").fill(code)
    await dialog.get_by_test_id("step-verification").get_by_test_id("continue").click()
    await expect(dialog.get_by_role("heading", name="Review what you share")).to_be_visible()


async def exchange(meta: Meta, code: str) -> Any:
    """Exchange a code as a server would."""
    return await meta.get(
        "/oauth/access_token",
        token="",
        params={"client_id": APP_ID, "client_secret": APP_SECRET, "code": code},
    )


async def test_a_person_clicks_through_and_the_code_opens_the_account(
    meta: Meta, browser: Browser, receiver: Receiver
) -> None:
    await subscribe(meta, receiver, "account_update")
    extras = {"setup": {"business": {"name": "Prefilled"}}, "featureType": "", "sessionInfoVersion": "3"}
    async with consumer(meta, extras) as url, visit(browser, url) as opened:
        dialog = await open_dialog(opened.page, opened.context)
        await expect(dialog.get_by_test_id("business-name")).to_have_value("Prefilled")
        await fill_number(dialog, "+49 1511 2345678")
        await dialog.get_by_test_id("confirm").click()
        await dialog.get_by_test_id("finish").click()
        heard, answers = await read(opened.page)
    assert len(heard) == 1
    assert heard[0]["origin"] == meta.url
    assert heard[0]["kind"] == "string"
    message = heard[0]["data"]
    assert (message["type"], message["event"], message["version"]) == ("WA_EMBEDDED_SIGNUP", "FINISH", 3)
    assert set(message["data"]) == {"phone_number_id", "waba_id", "business_id"}
    assert answers[0]["status"] == "connected"
    granted = await exchange(meta, answers[0]["authResponse"]["code"])
    assert granted.status == 200, granted.body
    token = granted.json["access_token"]
    numbers = await meta.get(
        f"/{message['data']['waba_id']}/phone_numbers?fields=display_phone_number,status", token=token
    )
    assert numbers.json["data"] == [
        {
            "display_phone_number": "+49 1511 2345678",
            "status": "PENDING",
            "id": message["data"]["phone_number_id"],
        }
    ]
    described = (await meta.get("/debug_token", params={"input_token": token})).json["data"]
    assert described["granular_scopes"][0]["target_ids"] == [message["data"]["waba_id"]]
    again = await exchange(meta, answers[0]["authResponse"]["code"])
    assert (again.status, again.error["error_subcode"]) == (400, 36009)
    await until(lambda: len(receiver.values("account_update")) == 1)
    assert receiver.values("account_update")[0]["event"] == "PARTNER_ADDED"


async def test_a_code_lives_thirty_seconds(meta: Meta) -> None:
    made = await meta.admin(
        "POST", "/signups", {"app_id": APP_ID, "number": {"phone_number": "+1 555 010 0199"}}
    )
    await meta.admin("POST", "/clock", {"advance_seconds": 31})
    answer = await exchange(meta, made["code"])
    assert (answer.status, answer.error["error_subcode"]) == (400, 36007)


async def test_every_cancel_and_the_error_form_reach_the_opener(meta: Meta, browser: Browser) -> None:
    for step in ("", "PHONE_NUMBER_VERIFICATION", "PERMISSIONS"):
        async with consumer(meta, {}) as url, visit(browser, url) as opened:
            dialog = await open_dialog(opened.page, opened.context)
            await dialog.get_by_text("Try another ending").click()
            if step:
                await dialog.get_by_label("Cancel at step").select_option(step)
                await dialog.get_by_test_id("force-cancel").click()
            else:
                await dialog.get_by_label("Error id").fill("77")
                await dialog.get_by_test_id("force-error").click()
            heard, answers = await read(opened.page)
        assert [one["data"]["event"] for one in heard] == ["CANCEL"]
        assert answers == [{"authResponse": None, "status": "unknown"}]
        data = heard[0]["data"]["data"]
        if step:
            assert data == {"current_step": step}
        else:
            assert set(data) == {"error_message", "error_id", "session_id", "timestamp"}
            assert data["error_id"] == "77"


async def test_closing_the_popup_counts_as_leaving(meta: Meta, browser: Browser) -> None:
    async with consumer(meta, {}) as url, visit(browser, url) as opened:
        dialog = await open_dialog(opened.page, opened.context)
        await expect(dialog.get_by_role("heading", name="Select your business")).to_be_visible()
        await dialog.close(run_before_unload=True)
        heard, answers = await read(opened.page)
    assert answers == [{"authResponse": None, "status": "unknown"}]
    assert heard[0]["data"]["data"] == {"current_step": "BUSINESS_ACCOUNT_SELECTION"}


async def test_sharing_only_the_account_skips_the_number(meta: Meta, shop: Shop, browser: Browser) -> None:
    async with consumer(meta, {"featureType": "only_waba_sharing"}) as url, visit(browser, url) as opened:
        dialog = await open_dialog(opened.page, opened.context)
        await dialog.get_by_label("Business portfolio").select_option(shop.business_id)
        await dialog.get_by_test_id("step-business").get_by_test_id("continue").click()
        await dialog.get_by_label("WhatsApp Business account").select_option(shop.waba_id)
        await dialog.get_by_test_id("step-waba").get_by_test_id("continue").click()
        await dialog.get_by_test_id("confirm").click()
        await dialog.get_by_test_id("finish").click()
        heard, answers = await read(opened.page)
    assert heard[0]["data"]["event"] == "FINISH_ONLY_WABA"
    assert heard[0]["data"]["data"] == {"waba_id": shop.waba_id, "business_id": shop.business_id}
    assert answers[0]["status"] == "connected"


async def test_coexistence_and_preverified_numbers_have_their_own_paths(meta: Meta, browser: Browser) -> None:
    lent = await meta.admin("PUT", "/preverified_numbers", {"phone_number": "+1 555 010 0123"})
    extras = {
        "featureType": "whatsapp_business_app_onboarding",
        "setup": {"preVerifiedPhone": {"ids": [lent["id"]]}},
    }
    async with consumer(meta, extras) as url, visit(browser, url) as opened:
        dialog = await open_dialog(opened.page, opened.context)
        await dialog.get_by_label("Business name").fill("Acme")
        await dialog.get_by_test_id("step-business").get_by_test_id("continue").click()
        await dialog.get_by_test_id("step-waba").get_by_test_id("continue").click()
        await dialog.get_by_test_id("step-profile").get_by_test_id("continue").click()
        await expect(dialog.get_by_label("Provided number")).to_have_value(lent["id"])
        await dialog.get_by_test_id("step-number").get_by_test_id("continue").click()
        await dialog.get_by_test_id("confirm").click()
        await dialog.get_by_test_id("finish").click()
        heard, _ = await read(opened.page)
    assert heard[0]["data"]["event"] == "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING"
    number = await meta.admin("GET", f"/numbers/{heard[0]['data']['data']['phone_number_id']}")
    assert (number["is_on_biz_app"], number["is_preverified_number"], number["status"]) == (
        True,
        True,
        "CONNECTED",
    )


async def test_every_step_is_accessible_and_fits(meta: Meta, browser: Browser) -> None:
    address = f"{meta.url}/v25.0/dialog/oauth?client_id={APP_ID}&config_id=1&response_type=code"
    for place, look in enumerate((LOOKS[0], LOOKS[3])):
        async with visit(browser, address, look=look) as opened:
            dialog = opened.page
            await dialog.get_by_text("Try another ending").click()
            await assert_accessible(dialog)
            await assert_fits(dialog)
            await fill_number(dialog, f"+1 555 010 014{place}")
            await assert_accessible(dialog)
            await dialog.get_by_test_id("confirm").click()
            await expect(dialog.get_by_role("heading", name="Your account is connected")).to_be_visible()
            await assert_accessible(dialog)
            await dialog.goto(address.replace(APP_ID, "1"))
            await expect(dialog.get_by_role("heading", name="This did not work")).to_be_visible()
            await assert_accessible(dialog)


async def test_the_same_number_cannot_be_taken_twice(meta: Meta, shop: Shop) -> None:
    async with meta.session.post(
        f"{meta.url}/dialog/code", json={"phone_number": f"+{shop.digits}", "waba_id": None}
    ) as answer:
        assert answer.status == 409
        assert (await answer.json())["error"] == "number_in_use"


async def test_another_origin_may_not_drive_the_admin_api(meta: Meta) -> None:
    async with meta.session.post(
        f"{meta.url}/simulator/reset", headers={"Origin": "https://evil.example"}
    ) as answer:
        assert answer.status == 403
    # Nor under a name of its own that leads here.
    rebound = {"Origin": "http://evil.example", "Host": "evil.example"}
    async with meta.session.post(f"{meta.url}/simulator/reset", headers=rebound) as answer:
        assert answer.status == 403
    async with meta.session.get(f"{meta.url}/me", headers={"Host": "graph.facebook.com"}) as answer:
        assert answer.status == 401


async def test_only_allowed_domains_open_the_dialog(meta: Meta) -> None:
    await meta.admin("PUT", "/apps", {"id": APP_ID, "allowed_domains": ["https://acme.example"]})
    for origin, status in (("https://acme.example", 200), ("https://other.example", 400)):
        query = {"client_id": APP_ID, "origin": origin}
        async with meta.session.get(f"{meta.url}/v25.0/dialog/oauth", params=query) as answer:
            assert answer.status == status
