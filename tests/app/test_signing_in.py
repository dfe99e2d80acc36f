"""A person and a keyboard: from the sign-in page to one number."""

from __future__ import annotations

from playwright.async_api import Browser, expect

from tests.hub_sample import make_sample
from tests.hub_stage import HOME, HubStage
from tests.identity.people import PASSWORD


async def test_the_keyboard_alone_leads_from_sign_in_to_a_number(stage: HubStage, browser: Browser) -> None:
    sample = await make_sample(stage)
    async with stage.visit(browser, HOME) as opened:
        page, keys = opened.page, opened.page.keyboard
        await expect(page.get_by_label("E-mail")).to_be_focused()
        await keys.type(sample.owner.email)
        await keys.press("Tab")
        await keys.type(PASSWORD)
        await keys.press("Enter")
        await expect(page.get_by_role("heading", name="WhatsApp accounts")).to_be_visible()
