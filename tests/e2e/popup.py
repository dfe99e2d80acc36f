"""What a person does in the onboarding popup, click by click, on the real pages in a real browser."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.async_api import Page, expect
from playwright.async_api import TimeoutError as TooLate

PATIENCE_MS = 45_000


@dataclass(frozen=True)
class Business:
    """Who signs up, and with which number."""

    name: str
    email: str
    phone_number: str
    password: str = "correct horse battery staple"


async def sign_up(popup: Page, business: Business) -> None:
    """Fill the hub's own form; afterwards the page that opens Meta's window is there."""
    await expect(popup.get_by_role("heading", name="Create your account")).to_be_visible(timeout=PATIENCE_MS)
    await popup.get_by_label("Company name").fill(business.name)
    await popup.get_by_label("Your name").fill("Operations")
    await popup.get_by_label("E-mail").fill(business.email)
    await popup.get_by_label("Password").fill(business.password)
    await popup.get_by_label("I accept the terms of service.").check()
    await popup.get_by_role("button", name="Create account and go on").click()
    await expect(popup.get_by_role("heading", name="Connect your number")).to_be_visible(timeout=PATIENCE_MS)


async def connect(popup: Page, business: Business) -> None:
    """Go through Meta's Embedded Signup with a new account and a new number, to its end."""
    button = popup.get_by_role("button", name="Continue with Facebook")
    await expect(button).to_be_enabled(timeout=PATIENCE_MS)
    async with popup.expect_popup(timeout=PATIENCE_MS) as opening:
        await button.click()
    dialog = await opening.value
    dialog.set_default_timeout(PATIENCE_MS)

    step = dialog.get_by_test_id("step-business")
    await expect(step).to_be_visible(timeout=PATIENCE_MS)
    if await dialog.get_by_test_id("business-name").is_visible():
        await dialog.get_by_test_id("business-name").fill(business.name)
    await step.get_by_test_id("continue").click()

    step = dialog.get_by_test_id("step-waba")
    await step.get_by_test_id("continue").click()

    step = dialog.get_by_test_id("step-profile")
    await step.get_by_test_id("waba-name").fill(business.name)
    await step.get_by_test_id("display-name").fill(business.name)
    await step.get_by_test_id("timezone").select_option("Europe/Berlin")
    await step.get_by_test_id("continue").click()

    step = dialog.get_by_test_id("step-number")
    await step.get_by_test_id("phone-number").fill(business.phone_number)
    await step.get_by_test_id("continue").click()

    step = dialog.get_by_test_id("step-verification")
    sms = step.get_by_test_id("sms-code")
    await expect(sms).to_be_visible(timeout=PATIENCE_MS)
    await step.get_by_test_id("code").fill(await sms.inner_text())
    await step.get_by_test_id("continue").click()

    await dialog.get_by_test_id("confirm").click()
    await dialog.get_by_test_id("finish").click()


async def closed(popup: Page) -> None:
    """Wait until the popup has closed itself; one that stays says what it shows."""
    if popup.is_closed():
        return
    try:
        await popup.wait_for_event("close", timeout=PATIENCE_MS)
    except TooLate:
        if not popup.is_closed():
            shown = await popup.inner_text("body")
            raise AssertionError(f"The popup is still open at {popup.url}:\n{shown}") from None
