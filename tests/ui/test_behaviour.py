"""What a person does with the components, with script: keyboard, pointer, and the answers of a server."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser import LOOKS, Look, assert_accessible, visit

PHONE = Look("light", 390)
both_themes = pytest.mark.parametrize("look", LOOKS[:2], ids=str)


async def focused(page: Page) -> str:
    """Return the id, name or text of what has the focus."""
    found: str = await page.evaluate(
        "(({id, name, innerText}) => id || name || innerText.trim())(document.activeElement)"
    )
    return found


async def test_a_press_copies_and_says_so(browser: Browser, gallery_url: str) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    async with visit(browser, gallery_url, permissions=permissions) as opened:
        page = opened.page
        await page.get_by_role("button", name="Copy Partner ID").click()
        await expect(page.locator("#announcer")).to_have_text("Copied")
        assert await page.evaluate("navigator.clipboard.readText()") == "k9Lm2NPA"
        await page.get_by_role("button", name="Copy Send a message").click()
        assert (await page.evaluate("navigator.clipboard.readText()")).startswith("curl -X POST")
        await expect(page.locator("#announcer")).to_have_text("")


async def test_without_the_clipboard_the_text_is_left_selected(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url) as opened:
        await opened.page.evaluate(
            "void (navigator.clipboard.writeText = () => Promise.reject(new Error('no')))"
        )
        await opened.page.get_by_role("button", name="Copy Partner ID").click()
        await expect(opened.page.locator("#partner-id")).to_be_focused()
        assert await opened.page.evaluate("getSelection().toString()") == "k9Lm2NPA"


@both_themes
async def test_a_dialog_asks_for_a_code(browser: Browser, gallery_url: str, look: Look) -> None:
    async with visit(browser, gallery_url, look=look) as opened:
        page, dialog = opened.page, opened.page.get_by_role("dialog", name="Create a new secret")
        await page.get_by_role("link", name="Create new secret").click()
        await expect(dialog).to_be_visible()
        assert page.url == gallery_url, "a dialog of the page changes no address"
        assert await focused(page) == "code"
        await page.keyboard.type("111 111")
        await page.keyboard.press("Enter")
        await expect(dialog.get_by_text("That code is not right.")).to_be_visible()
        code = dialog.get_by_role("textbox", name="Code from the e-mail")
        await expect(code).to_have_attribute("aria-invalid", "true")
        await expect(code).to_be_focused()
        await assert_accessible(page)
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        assert await focused(page) == "Create new secret", "the focus goes back to the opener"
        await page.keyboard.press("Enter")
        await code.fill("123456")
        await dialog.get_by_role("button", name="Create secret").click()
        await expect(dialog.get_by_role("textbox", name="Platform secret")).to_be_visible()
        await expect(page.locator(".toast")).to_contain_text("Secret created")
        assert await focused(page) == "Done"
        await assert_accessible(page)


async def test_a_dangerous_action_wants_its_name(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url) as opened:
        page, dialog = opened.page, opened.page.locator("#dialog")
        await page.get_by_role("link", name="Delete client").click()
        await expect(dialog.get_by_role("heading", name="Delete client ACME?")).to_be_visible()
        word = dialog.get_by_role("textbox", name="Type ACME to confirm")
        await expect(word).to_be_focused()
        await assert_accessible(page)
        await word.fill("acme")
        await dialog.get_by_role("button", name="Delete client ACME").click()
        await expect(dialog.get_by_text("Type the name exactly as shown.")).to_be_visible()
        await word.fill("ACME")
        await dialog.get_by_role("button", name="Delete client ACME").click()
        await expect(page.locator(".toast")).to_contain_text("Client ACME deleted")
        await expect(dialog).to_be_hidden()


@both_themes
async def test_a_row_opens_beside_the_list(browser: Browser, gallery_url: str, look: Look) -> None:
    async with visit(browser, f"{gallery_url}/list?q=birch", look=look) as opened:
        page, drawer = opened.page, opened.page.locator("#drawer")
        row = page.get_by_role("link", name="Birch Insurance").first
        await row.focus()
        await page.keyboard.press("Enter")
        await expect(drawer.get_by_role("heading", name="Birch Insurance")).to_be_visible()
        await expect(page).to_have_url(re.compile("/list/a02Kd4CH$"))
        await assert_accessible(page)
        await page.get_by_role("button", name="Close").click()
        await expect(drawer).to_be_hidden()
        await expect(page).to_have_url(re.compile(r"/list\?q=birch$"))
        await expect(row).to_be_focused()
        await row.click()
        await expect(drawer).to_be_visible()
        await page.mouse.click(100, 500)
        await expect(drawer).to_be_hidden()
        await row.click()
        await expect(drawer).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("heading", level=1, name="Birch Insurance")).to_be_visible()


async def test_back_leads_from_the_drawer_to_the_list(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, f"{gallery_url}/list") as opened:
        page = opened.page
        await page.get_by_role("link", name="Ember Mobility").first.click()
        await expect(page.locator("#drawer")).to_be_visible()
        await page.go_back()
        await expect(page.locator("#drawer")).to_be_hidden()
        await expect(page).to_have_url(re.compile("/list$"))
        await expect(page.get_by_role("heading", level=1)).to_have_text("WhatsApp accounts")


async def test_filters_keep_the_focus_and_tell_the_address(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, f"{gallery_url}/list") as opened:
        page = opened.page
        search = page.get_by_role("searchbox")
        await search.press_sequentially("maple", delay=30)
        await expect(page).to_have_url(re.compile(r"/list\?q=maple$"))
        await expect(search).to_be_focused()
        await expect(search).to_have_value("maple")
        await page.get_by_role("combobox", name="Status").select_option("running")
        await expect(page).to_have_url(re.compile(r"/list\?q=maple&status=running$"))
        await page.get_by_role("link", name="Messages, 30 days").click()
        await expect(page).to_have_url(re.compile(r"/list\?q=maple&sort=messages&status=running$"))
        await expect(page.get_by_role("columnheader", name="Messages")).to_have_attribute(
            "aria-sort", "ascending"
        )
        await page.go_back()
        await expect(page).to_have_url(re.compile(r"status=running$"))
        await expect(page.get_by_role("columnheader", name="Messages")).not_to_have_attribute(
            "aria-sort", "ascending"
        )
        await page.get_by_role("link", name="Clear").click()
        await expect(page).to_have_url(re.compile(r"/list$"))
        await expect(page.get_by_role("searchbox")).to_have_value("")
        await page.get_by_role("link", name="Next").click()
        await expect(page.get_by_text("13–24 of 57")).to_be_visible()


async def test_an_answer_on_its_way_shows(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, f"{gallery_url}/list") as opened:
        page, arrived = opened.page, asyncio.Event()

        async def late(route: Route) -> None:
            await arrived.wait()
            await route.continue_()

        table, search = page.locator("#accounts .table-wrap"), page.get_by_role("searchbox")
        shade, bar = (
            "el => getComputedStyle(el).opacity",
            "getComputedStyle(document.body, '::after').content",
        )
        await page.route("**/gallery/list?*", late)
        await search.fill("maple")
        await expect(table).to_have_css("opacity", "0.5")
        assert await search.evaluate(shade) == "1", "what is typed stays readable"
        assert await page.evaluate(bar) == '""'
        arrived.set()
        await expect(page).to_have_url(re.compile(r"q=maple$"))
        await expect(table).to_have_css("opacity", "1")
        assert await page.evaluate(bar) == "none"
        arrived.clear()
        await page.get_by_role("columnheader", name="Messages").get_by_role("link").click()
        await expect(table).to_have_css("opacity", "0.5")
        arrived.set()
        await expect(page).to_have_url(re.compile("sort=messages"))
        await expect(table).to_have_css("opacity", "1")


async def test_a_link_that_fetches_a_dialog_turns_until_it_is_there(
    browser: Browser, gallery_url: str
) -> None:
    async with visit(browser, gallery_url) as opened:
        page, arrived = opened.page, asyncio.Event()

        async def late(route: Route) -> None:
            await arrived.wait()
            await route.continue_()

        await page.route("**/gallery/delete", late)
        link = page.get_by_role("link", name="Delete client")
        await expect(link.locator(".spinner")).to_be_hidden()
        await link.click()
        await expect(link.locator(".spinner")).to_be_visible()
        arrived.set()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await expect(link.locator(".spinner")).to_be_hidden()


@both_themes
async def test_the_palette_goes_where_it_is_told(browser: Browser, gallery_url: str, look: Look) -> None:
    async with visit(browser, gallery_url, look=look) as opened:
        page, palette = opened.page, opened.page.get_by_role("dialog", name="Search")
        await page.keyboard.press("Control+k")
        await expect(palette).to_be_visible()
        await expect(palette.get_by_role("option")).to_have_count(6)
        await assert_accessible(page)
        await page.keyboard.type("integr")
        await expect(palette.get_by_role("option")).to_have_text(["Integrationgi"])
        await page.keyboard.press("Escape")
        await expect(palette).to_be_hidden()
        await page.get_by_role("button", name="Search").click()
        await page.keyboard.type("qqq")
        await expect(palette.get_by_text("Nothing found")).to_be_visible()
        await page.keyboard.press("Control+a")
        await page.keyboard.type("fjord travel")
        await expect(palette.get_by_role("option").first).to_contain_text("a06Kd4CH")
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(re.compile("/list/a06Kd4CH$"))


async def test_the_palette_acts_follows_the_pointer_and_tells_that_it_waits(
    browser: Browser, gallery_url: str
) -> None:
    async with visit(browser, gallery_url) as opened:
        page, palette = opened.page, opened.page.get_by_role("dialog", name="Search")
        await page.keyboard.press("Control+k")
        option = palette.get_by_role("option", name="WhatsApp accounts")
        await expect(option).to_have_attribute("aria-selected", "false")
        await option.hover()
        await expect(option).to_have_attribute("aria-selected", "true")
        await page.keyboard.type("dark")
        await page.keyboard.press("Enter")
        await expect(palette).to_be_hidden()
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        arrived = asyncio.Event()

        async def late(route: Route) -> None:
            await arrived.wait()
            await route.abort()

        await page.route("**/gallery/search?*", late)
        await page.keyboard.press("Control+k")
        await page.keyboard.type("fjord")
        await expect(palette.get_by_text("Searching …")).to_be_visible()
        arrived.set()
        await expect(palette.get_by_text("The search did not answer.")).to_be_visible()
        opened.complaints.clear()


async def test_a_question_mark_lists_the_shortcuts(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url) as opened:
        page, listed = opened.page, opened.page.get_by_role("dialog", name="Keyboard shortcuts")
        await page.keyboard.press("?")
        await expect(listed).to_be_visible()
        await expect(listed.locator("div", has_text="Integration").locator("kbd")).to_have_text(["g", "i"])
        await assert_accessible(page)
        await page.keyboard.press("Escape")
        await expect(listed).to_be_hidden()


async def test_sequences_go_to_pages_until_they_are_switched_off(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url) as opened:
        page = opened.page
        await page.keyboard.press("g")
        await page.keyboard.press("n")
        await expect(page).to_have_url(re.compile("/list$"))
        await page.keyboard.press("/")
        await expect(page.get_by_role("searchbox")).to_be_focused()
        await page.keyboard.type("gc")
        await expect(page).to_have_url(re.compile(r"/list\?q=gc$"))
        await page.goto(f"{gallery_url}?shortcuts=off")
        await page.keyboard.press("g")
        await page.keyboard.press("n")
        await page.keyboard.press("Control+k")
        await expect(page.get_by_role("dialog", name="Search")).to_be_visible()
        assert page.url.endswith("?shortcuts=off")


async def test_a_menu_closes_by_escape_by_a_press_elsewhere_and_by_leaving(
    browser: Browser, gallery_url: str
) -> None:
    async with visit(browser, gallery_url) as opened:
        page = opened.page
        summary = page.locator("summary", has_text="Account menu of")
        entry = page.get_by_role("link", name="Your profile")
        await summary.click()
        await expect(entry).to_be_visible()
        await expect(page.get_by_text("Times in Europe/Berlin")).to_be_visible()
        await assert_accessible(page)
        await page.keyboard.press("ArrowDown")
        await expect(entry).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(entry).to_be_hidden()
        await expect(summary).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(entry).to_be_visible()
        await page.get_by_role("heading", level=1).click()
        await expect(entry).to_be_hidden()


async def test_a_success_leaves_and_an_error_stays(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url) as opened:
        page, toasts = opened.page, opened.page.locator(".toast")
        await page.get_by_role("button", name="Success toast").click()
        await expect(toasts).to_have_text(["Changes saved"])
        await page.get_by_role("button", name="Error toast").click()
        error = page.get_by_role("alert")
        await expect(error).to_contain_text("webhook_url_underscore")
        await expect(error).to_contain_text("0199d3a1-6f0e-7c41-9a55-2b0f6f2a9c11")
        await assert_accessible(page)
        await expect(toasts).to_have_count(1, timeout=7000)
        await expect(error).to_be_visible()
        for _press in range(4):
            await page.get_by_role("button", name="Error toast").click()
        await expect(page.locator('.toast:not([aria-hidden="true"])')).to_have_count(3)
        await page.get_by_role("button", name="Dismiss").last.click()
        await expect(page.locator('.toast:not([aria-hidden="true"])')).to_have_count(2)


async def test_a_server_that_breaks_is_told_once(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url) as opened:
        for _press in range(2):
            await opened.page.get_by_role("button", name="Broken server").click()
        await expect(opened.page.get_by_role("alert")).to_have_count(1)
        await expect(opened.page.get_by_role("alert")).to_contain_text("The server failed")
        await opened.page.get_by_role("button", name="Dismiss").click()
        await opened.context.set_offline(True)
        await opened.page.get_by_role("button", name="Success toast").click()
        await expect(opened.page.get_by_role("alert")).to_contain_text("No connection to the server")
        await expect(opened.page.get_by_role("alert")).to_contain_text("no_connection")
        opened.complaints.clear()


async def test_a_failed_request_is_told_by_its_cause_with_code_and_request(
    browser: Browser, gallery_url: str
) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    async with visit(browser, gallery_url, permissions=permissions) as opened:
        page, alert = opened.page, opened.page.get_by_role("alert")
        # A server between us and the browser, which knows the request and nothing of our pages.
        await page.route(
            "**/gallery/toast",
            lambda route: route.fulfill(
                status=502, headers={"x-request-id": "0199-between"}, body="<h1>Bad Gateway</h1>"
            ),
        )
        await page.get_by_role("button", name="Success toast").click()
        await expect(alert).to_contain_text("The server failed")
        await expect(alert).to_contain_text("http_502")
        await expect(alert).to_contain_text("0199-between")
        await expect(page.get_by_text("Bad Gateway")).to_have_count(0)
        await assert_accessible(page)
        await alert.get_by_role("button", name="Copy request ID").click()
        assert await page.evaluate("navigator.clipboard.readText()") == "0199-between"
        # Our own error carries its words with it.
        await page.unroute("**/gallery/toast")
        await page.get_by_role("button", name="Failure of ours").click()
        await expect(alert.last).to_contain_text("A service we depend on failed")
        await expect(alert.last).to_contain_text("meta_failed")


async def test_a_theme_shows_at_once_and_is_kept(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url) as opened:
        page = opened.page
        await page.evaluate("window.same = true")
        await page.get_by_role("button", name="Dark").click()
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
        assert await page.evaluate("window.same") is True
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 20)"
        await page.reload()
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await page.get_by_role("button", name="System").click()
        await expect(page.locator("html")).not_to_have_attribute("data-theme", "dark")


async def test_the_navigation_opens_on_a_phone(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url, look=PHONE) as opened:
        page, entry = opened.page, opened.page.get_by_role("link", name="Event log")
        await expect(entry).to_be_hidden()
        await page.get_by_role("button", name="Open navigation").click()
        await expect(entry).to_be_visible()
        await assert_accessible(page)
        await page.keyboard.press("Escape")
        await expect(entry).to_be_hidden()


async def test_the_first_stop_of_the_keyboard_skips_to_the_content(
    browser: Browser, gallery_url: str
) -> None:
    async with visit(browser, gallery_url) as opened:
        await opened.page.keyboard.press("Tab")
        assert await focused(opened.page) == "Skip to content"
        await expect(opened.page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
        await opened.page.keyboard.press("Enter")
        assert await focused(opened.page) == "main"


async def test_targets_are_large_enough_for_a_finger(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url, look=PHONE, has_touch=True) as opened:
        small = await opened.page.evaluate(
            """[...document.querySelectorAll('main a, main button, main input, main select, main summary')]
            .filter((e) => e.checkVisibility() && !e.closest('label, p'))
            .map((e) => [e.getBoundingClientRect(), e.outerHTML.slice(0, 120)])
            .filter(([box]) => Math.min(box.width, box.height) < 24)
            .map(([box, html]) => [box.width, box.height, html])"""
        )
        assert small == []


async def test_a_preview_follows_what_is_typed(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url) as opened:
        page, preview = opened.page, opened.page.locator("wa-preview")
        await expect(preview.locator("mark").first).to_have_text("A-1042")
        await page.get_by_role("textbox", name="Text").fill("Dear {{1}}, <b>*bold* and ~gone~")
        await expect(preview.locator(".bubble-body")).to_have_text("Dear A-1042, <b>bold and gone")
        await expect(preview.locator(".bubble-body b")).to_have_text("bold")
        await page.get_by_role("textbox", name="Sample for").fill("Ada")
        await expect(preview.locator(".bubble-body mark")).to_have_text("Ada")
        await page.get_by_role("textbox", name="Button").fill("")
        await expect(preview.locator("li")).to_have_count(0)
