"""The same tasks with script switched off: every one must still end well."""

from __future__ import annotations

import re

from playwright.async_api import Browser, expect

from tests.browser import Look, visit


async def test_lists_are_filtered_sorted_and_turned(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, f"{gallery_url}/list", script=False) as opened:
        page = opened.page
        await page.get_by_role("searchbox").fill("birch")
        await page.get_by_role("combobox", name="Status").select_option("blocked")
        await page.get_by_role("button", name="Apply").click()
        await expect(page).to_have_url(re.compile("q=birch&status=blocked"))
        await expect(page.get_by_role("link", name="Birch Insurance").first).to_be_visible()
        await expect(page.get_by_role("link", name="Maple Clinics")).to_have_count(0)
        await page.get_by_role("link", name="Clear").click()
        await page.get_by_role("link", name="Account", exact=True).click()
        await expect(page).to_have_url(re.compile("sort=name$"))
        await page.get_by_role("link", name="Next").click()
        await expect(page.get_by_text("13–24 of 57")).to_be_visible()


async def test_a_row_is_a_page(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, f"{gallery_url}/list", script=False) as opened:
        await opened.page.get_by_role("link", name="Birch Insurance").first.click()
        await expect(opened.page.get_by_role("heading", level=1, name="Birch Insurance")).to_be_visible()
        await expect(opened.page.get_by_role("button", name="Close")).to_have_count(0)


async def test_a_dialog_is_a_page_with_the_same_form(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url, script=False) as opened:
        page = opened.page
        await page.get_by_role("link", name="Create new secret").click()
        await expect(page).to_have_url(re.compile("/secret$"))
        await page.get_by_role("textbox", name="Code from the e-mail").fill("000000")
        await page.get_by_role("button", name="Create secret").click()
        await expect(page.get_by_text("That code is not right.")).to_be_visible()
        await page.get_by_role("textbox", name="Code from the e-mail").fill("123456")
        await page.get_by_role("button", name="Create secret").click()
        await expect(page.locator(".toast")).to_contain_text("Secret created")


async def test_a_dangerous_action_has_its_page(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url, script=False) as opened:
        page = opened.page
        await page.get_by_role("link", name="Delete client").click()
        await page.get_by_role("textbox", name="Type ACME to confirm").fill("ACME")
        await page.get_by_role("button", name="Delete client ACME").click()
        await expect(page.locator(".toast")).to_contain_text("Client ACME deleted")


async def test_theme_and_language_are_plain_forms(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, f"{gallery_url}/list", script=False) as opened:
        page = opened.page
        await page.get_by_role("button", name="Dark").click()
        await expect(page).to_have_url(re.compile("/list$"))
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await page.locator("summary", has_text="English").click()
        await page.get_by_role("button", name="Deutsch").click()
        await expect(page.locator("html")).to_have_attribute("lang", "de")
        await expect(page.get_by_text("Design", exact=True)).to_be_visible()


async def test_the_navigation_opens_on_a_phone(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url, script=False, look=Look("dark", 390)) as opened:
        await opened.page.get_by_role("button", name="Open navigation").click()
        await opened.page.get_by_role("link", name="WhatsApp accounts").click()
        await expect(opened.page).to_have_url(re.compile("/list$"))


async def test_what_needs_script_is_not_offered(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url, script=False) as opened:
        await expect(opened.page.locator(".copy").first).to_be_hidden()
        await expect(opened.page.locator("u-chart")).to_be_hidden()
        await expect(opened.page.locator(".search-button")).to_be_hidden()
        await opened.page.get_by_text("Show as table").click()
        await expect(opened.page.get_by_role("cell", name="€2,090.00")).to_be_visible()
