"""Sign-in, account and error pages in a real browser: accessible in every look, and usable by keyboard."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.ui.static_files import static_files
from tests.browser import Look, assert_accessible, assert_fits, every_look, visit
from tests.dashboard.test_sign_in import make_application, person
from tests.factories import make_partner
from tests.identity.people import PASSWORD
from tests.serving import serving


@pytest.fixture
async def hub(database: Database, keyring: Keyring) -> AsyncIterator[str]:
    """The hub's address, with its static files."""
    async with serving(make_application(database, keyring, static_files()).wrapper) as url:
        yield url


@every_look
async def test_pages_are_accessible_and_fit(
    browser: Browser, hub: str, database: Database, look: Look
) -> None:
    member = await person(database)
    second = await make_partner(database, brand_name="Second Chat")
    async with database.system() as unit:
        await unit.execute(
            "insert into member (partner_id, user_id, role) values (%s, %s, 'member')",
            (second.id, member.user_id),
        )
    async with visit(browser, f"{hub}/sign-in", look=look) as opened:
        page = opened.page

        async def check() -> None:
            await assert_accessible(page)
            await assert_fits(page)

        await check()
        await page.get_by_label("E-mail").fill(member.email)
        await page.get_by_label("Password").fill("wrong")
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_text("E-mail or password is not right.").wait_for()
        await check()
        await page.get_by_role("link", name="Forgot your password?").click()
        await check()
        await page.goto(f"{hub}/reset-password")
        await check()
        await page.goto(f"{hub}/nowhere")
        await check()
        await page.goto(f"{hub}/sign-in?next=/account")
        await page.get_by_label("E-mail").fill(member.email)
        # The keyboard is enough.
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="Your account").wait_for()
        await check()
        await page.get_by_label("Current password").fill("wrong")
        await page.get_by_label("New password").fill("blue-lighthouse-7")
        await page.get_by_role("button", name="Change the password").click()
        await page.get_by_text("This is not your current password.").wait_for()
        await check()
        await page.goto(f"{hub}/switch")
        await page.get_by_text("You are here").wait_for()
        await check()
