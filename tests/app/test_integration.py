"""The integration page: saving the two addresses, every refusal, and the test of the webhook."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from playwright.async_api import Browser, expect

from partnerhub.ui.languages import LANGUAGE_COOKIE
from tests.browser import LOOKS
from tests.factories import MadePartner
from tests.hub_stage import INTEGRATION, HubStage
from tests.plain_browser import Visit
from tests.webhooks.receivers import Got, Receiver

TEST = f"{INTEGRATION}/test"
GOOD = {"webhook_url": "https://hooks.acme.example/wa", "redirect_url": "https://app.acme.example/connected"}


def fields(visit: Visit) -> dict[str, str]:
    """Return what stands in the two fields."""
    return {name: visit.values(rf'name="{name}"[^>]*? value="([^"]*)"')[0] for name in GOOD}


async def saved(stage: HubStage, partner_id: str) -> tuple[str | None, str | None]:
    """Return the two addresses as they are stored."""
    async with stage.database.system() as unit:
        rows = await unit.fetch_dicts(
            "select redirect_url, (select url from endpoint e where e.owner_id = p.id) as webhook_url"
            " from partner p where id = %s",
            (partner_id,),
        )
    return rows[0]["webhook_url"], rows[0]["redirect_url"]


async def test_both_addresses_are_saved_shown_and_cleared(stage: HubStage) -> None:
    owner = await stage.person()
    async with stage.browse(owner) as browser:
        done = await browser.send(
            INTEGRATION, INTEGRATION, **{**GOOD, "webhook_url": " https://hooks.acme.example/wa "}
        )
        assert (done.status, done.path, "Saved" in done.words) == (200, INTEGRATION, True)
        assert fields(done) == GOOD
        assert await saved(stage, owner.partner_id) == (GOOD["webhook_url"], GOOD["redirect_url"])
        # What was told once is not told again.
        assert "The earlier addresses are overwritten." not in (await browser.get(INTEGRATION)).words
        await browser.send(INTEGRATION, INTEGRATION, webhook_url="", redirect_url="")
        assert fields(await browser.get(INTEGRATION)) == {"webhook_url": "", "redirect_url": ""}
        assert (await saved(stage, owner.partner_id))[1] is None


async def test_addresses_that_were_left_as_they_are_are_not_called_overwritten(stage: HubStage) -> None:
    owner = await stage.person()
    async with stage.browse(owner) as browser:
        await browser.send(INTEGRATION, INTEGRATION, **GOOD)
        await browser.get(INTEGRATION)
        seen = {f"seen_{name}": url for name, url in GOOD.items()}
        done = await browser.send(INTEGRATION, INTEGRATION, **GOOD, **seen)
        assert "Saved" in done.words
        assert "The earlier addresses are overwritten." not in done.words
        other = {**GOOD, "redirect_url": "https://app.acme.example/other"}
        done = await browser.send(INTEGRATION, INTEGRATION, **other, **seen)
        assert "The earlier addresses are overwritten." in done.words


async def test_an_address_that_cannot_be_comes_back_with_its_reason(stage: HubStage) -> None:
    owner = await stage.person()
    async with stage.browse(owner) as browser:
        await browser.send(INTEGRATION, INTEGRATION, **GOOD)
        for name, url, reason in (
            ("webhook_url", "http://hooks.acme.example", "https://"),
            ("webhook_url", "ftp://hooks.acme.example", "https://"),
            ("webhook_url", "hooks.acme.example", "whole URL"),
            ("webhook_url", "https://my_host.acme.example", "underscore"),
            ("webhook_url", "https://hooks.acme.example:8443", "port"),
            ("webhook_url", "https://user:secret@hooks.acme.example", "password"),
            ("webhook_url", "https://10.0.0.1/hook", "public"),
            ("webhook_url", "https://hooks.internal/hook", "public"),
            ("webhook_url", "https://hooks.acme.example/" + "x" * 2048, "2048 characters"),
            ("redirect_url", "javascript:alert(1)", ""),
            ("redirect_url", "//acme.example", ""),
        ):
            page = await browser.send(INTEGRATION, INTEGRATION, **{**GOOD, name: url})
            assert (page.status, page.text.count('aria-invalid="true"')) == (422, 1), url
            (told,) = page.values(rf'id="{name.replace("_", "-")}-error">.*?<span>([^<]*)</span>')
            assert reason in told, told
            # What was typed stays, and the other field with it.
            assert fields(page) == {**GOOD, name: url}
    assert await saved(stage, owner.partner_id) == (GOOD["webhook_url"], GOOD["redirect_url"])


async def test_two_wrong_addresses_are_told_at_once(stage: HubStage) -> None:
    async with stage.browse(await stage.person()) as browser:
        page = await browser.send(
            INTEGRATION, INTEGRATION, webhook_url="http://a.example", redirect_url="javascript:1"
        )
    assert (page.status, page.text.count('aria-invalid="true"')) == (422, 2)


async def test_members_read_and_change_nothing(stage: HubStage) -> None:
    owner = await stage.person()
    member = await stage.person(partner=MadePartner(owner.partner_id), role="member")
    async with stage.browse(owner) as browser:
        await browser.send(INTEGRATION, INTEGRATION, **GOOD)
    async with stage.browse(member) as browser:
        page = await browser.get(INTEGRATION)
        assert "Only owners change them" in page.words
        assert fields(page) == GOOD
        assert "Save changes" not in page.words
        for path in (INTEGRATION, TEST):
            # The form's token is on every page; who may send it is another question.
            refused = await browser.send("/account", path, webhook_url=stage.receiver.url(), redirect_url="")
            assert refused.status == 403
    assert await saved(stage, owner.partner_id) == (GOOD["webhook_url"], GOOD["redirect_url"])
    assert stage.receiver.got == []


async def test_the_test_calls_what_stands_in_the_field_and_saves_nothing(stage: HubStage) -> None:
    owner = await stage.person()
    async with stage.browse(owner) as browser:
        await browser.send(INTEGRATION, INTEGRATION, **GOOD)
        unsaved = {**GOOD, "webhook_url": stage.receiver.url("/new")}
        page = await browser.send(INTEGRATION, TEST, **unsaved)
        assert (page.status, "The receiver took the event." in page.words) == (200, True)
        assert fields(page) == unsaved
        ((got,),) = [stage.receiver.got]
        assert (got.path, json.loads(got.body)["event"]) == ("/new", "webhook_test")
    assert await saved(stage, owner.partner_id) == (GOOD["webhook_url"], GOOD["redirect_url"])


@pytest.mark.parametrize("by_script", [False, True])
async def test_a_failing_test_says_what_happened_and_what_to_do(stage: HubStage, by_script: bool) -> None:
    async def script(_receiver: Receiver, got: Got) -> web.Response | None:
        return None if got.path == "/cut" else web.Response(status=int(got.path[1:]), text="<b>why</b>")

    stage.receiver.script = script
    async with stage.browse(await stage.person()) as browser:
        if by_script:
            browser.http.headers["HX-Request"] = "true"
        for path, meaning, code in (
            ("/500", "The server failed with 500.", "server_error"),
            ("/404", "The server refused the event with 404.", "client_error"),
            ("/302", "Redirects are not followed.", "redirect"),
            ("/429", "it wants fewer requests", "throttled"),
            ("/202", "which counts as delivered", ""),
            ("/cut", "closed the connection without answering", "closed"),
        ):
            page = await browser.send("/account", TEST, webhook_url=stage.receiver.url(path), redirect_url="")
            assert (page.status, meaning in page.words) == (200, True), page.words
            assert code in page.words
            assert ("<html" in page.text) is not by_script
            # What a stranger's server answers is text.
            assert "<b>why" not in page.text
        assert stage.receiver.got


async def test_the_facts_of_a_failure_are_told_in_the_readers_language(stage: HubStage) -> None:
    async with stage.browse(await stage.person()) as browser:
        browser.plant(LANGUAGE_COOKIE, "de")
        for url, told in (
            ("http://127.0.0.1:9/hook", "Die Verbindung kam nicht zustande: der Host hat sie abgelehnt."),
            (
                stage.receiver.url("/hook").replace("http:", "https:"),
                "TLS ist gescheitert: der Server spricht an diesem Port kein TLS.",
            ),
        ):
            page = await browser.send("/account", TEST, webhook_url=url, redirect_url="")
            assert (page.status, told in page.words) == (200, True), page.words


async def test_nothing_is_called_that_may_not_be_called(stage: HubStage) -> None:
    async with stage.browse(await stage.person()) as browser:
        for url, reason in (
            ("", "Write the URL first."),
            ("https://10.0.0.1/hook", "public"),
            ("http://hooks.acme.example/", "https://"),
        ):
            page = await browser.send(INTEGRATION, TEST, webhook_url=url, redirect_url="")
            assert (page.status, reason in page.words) == (422, True), url
    assert stage.receiver.got == []


@pytest.mark.parametrize("script", [True, False])
async def test_enter_in_an_address_saves_and_tests_nothing(
    stage: HubStage, browser: Browser, script: bool
) -> None:
    owner = await stage.person()
    async with stage.browse(owner) as plain:
        await plain.send(INTEGRATION, INTEGRATION, **{**GOOD, "webhook_url": stage.receiver.url("/hook")})
    for label, path in (("Redirect URL", "/back"), ("Partner webhook URL", "/new")):
        async with stage.visit(browser, INTEGRATION, member=owner, script=script) as visit:
            field = visit.page.get_by_label(label)
            await field.fill(stage.receiver.url(path))
            await field.press("Enter")
            await visit.page.get_by_text("The earlier addresses are overwritten.").wait_for()
    urls = stage.receiver.url("/new"), stage.receiver.url("/back")
    assert await saved(stage, owner.partner_id) == urls
    assert stage.receiver.got == []


async def test_a_page_that_was_open_for_long_reverts_nothing(stage: HubStage) -> None:
    owner = await stage.person()
    seen = {f"seen_{name}": url for name, url in GOOD.items()}
    other = "https://other.acme.example/wa"
    async with stage.browse(owner) as browser:
        page = await browser.send(INTEGRATION, INTEGRATION, **GOOD)
        assert {name: page.field(name) for name in seen} == seen
        await browser.send(INTEGRATION, INTEGRATION, **{**GOOD, "webhook_url": other})
        # The other page has the old webhook, and changes the redirect only.
        back = "https://app.acme.example/back"
        done = await browser.send(INTEGRATION, INTEGRATION, **{**GOOD, "redirect_url": back}, **seen)
        assert (done.status, await saved(stage, owner.partner_id)) == (200, (other, back))
        # Also where what it changed is refused: what it left shows what is saved.
        again = {**seen, "seen_redirect_url": back}
        wrong = await browser.send(INTEGRATION, INTEGRATION, **{**GOOD, "redirect_url": "acme"}, **again)
        assert (wrong.status, fields(wrong)) == (422, {"webhook_url": other, "redirect_url": "acme"})
        assert wrong.field("seen_webhook_url") == other


async def test_two_values_for_one_address_are_shown_to_who_comes_second(stage: HubStage) -> None:
    owner = await stage.person()
    theirs, mine = "https://theirs.acme.example/wa", "https://mine.acme.example/wa"
    async with stage.browse(owner) as browser:
        await browser.send(INTEGRATION, INTEGRATION, **{**GOOD, "webhook_url": theirs})
        seen = {"seen_webhook_url": GOOD["webhook_url"], "seen_redirect_url": GOOD["redirect_url"]}
        told = await browser.send(INTEGRATION, INTEGRATION, **{**GOOD, "webhook_url": mine}, **seen)
        assert (told.status, fields(told)["webhook_url"]) == (409, mine)
        assert f"Somebody saved “{theirs}” here since you opened the page." in told.words
        assert await saved(stage, owner.partner_id) == (theirs, GOOD["redirect_url"])
        # Who saves again has seen it.
        again = {name: told.field(name) for name in seen}
        await browser.send(INTEGRATION, INTEGRATION, **{**GOOD, "webhook_url": mine}, **again)
        assert (await saved(stage, owner.partner_id))[0] == mine
        # The same value by two people is no conflict, and to empty what others changed is one.
        await browser.send(INTEGRATION, INTEGRATION, **{**GOOD, "webhook_url": mine}, **seen)
        told = await browser.send(INTEGRATION, INTEGRATION, **{**GOOD, "webhook_url": ""}, **seen)
        assert (told.status, (await saved(stage, owner.partner_id))[0]) == (409, mine)
        await browser.send(INTEGRATION, INTEGRATION, **{**GOOD, "webhook_url": ""})
        told = await browser.send(INTEGRATION, INTEGRATION, **{**GOOD, "webhook_url": theirs}, **seen)
        assert "Somebody emptied this since you opened the page." in told.words


async def test_two_tabs_change_one_thing_each(stage: HubStage, browser: Browser) -> None:
    owner = await stage.person()
    async with stage.visit(browser, INTEGRATION, member=owner) as visit:
        old = await visit.context.new_page()
        await old.goto(stage.url + INTEGRATION)
        panel = visit.page.locator("#addresses")
        await panel.get_by_label("Partner webhook URL").fill(GOOD["webhook_url"])
        await panel.get_by_role("button", name="Save changes").click()
        await visit.page.get_by_text("The earlier addresses are overwritten.").wait_for()
        panel = visit.page.locator("#defaults")
        await panel.get_by_label("Data storage region").select_option("DE")
        await panel.get_by_role("button", name="Save changes").click()
        await visit.page.get_by_text("Saved", exact=True).wait_for()
        panel = old.locator("#addresses")
        await panel.get_by_label("Further sites").fill("https://shop.acme.example")
        await panel.get_by_role("button", name="Save changes").click()
        await old.get_by_text("The earlier addresses are overwritten.").wait_for()
        third = await visit.context.new_page()
        await third.goto(stage.url + INTEGRATION)
        assert await third.get_by_label("Partner webhook URL").input_value() == GOOD["webhook_url"]
        assert await third.get_by_label("Further sites").input_value() == "https://shop.acme.example"
        assert await third.get_by_label("Data storage region").input_value() == "DE"


async def test_saving_one_form_leaves_what_is_typed_in_another(stage: HubStage, browser: Browser) -> None:
    owner = await stage.person()
    async with stage.visit(browser, INTEGRATION, member=owner, tolerated=["status of 422"]) as opened:
        page = opened.page
        redirect = page.get_by_label("Redirect URL")
        routing = page.get_by_label("Route marketing via MM API")
        await redirect.fill("https://app.example.com/not-saved-yet")
        await page.get_by_label("Data storage region").select_option("DE")
        await routing.uncheck()
        await page.get_by_label("Solution ID").fill("123456789012345")
        await page.locator("form[action$='/solution'] [type=submit]").click()
        await expect(page.locator("#toaster")).to_contain_text("Saved")
        await expect(redirect).to_have_value("https://app.example.com/not-saved-yet")
        await expect(page.get_by_label("Data storage region")).to_have_value("DE")
        await expect(routing).not_to_be_checked()

        # What is wrong in one form costs nothing in another either.
        await page.get_by_label("Solution ID").fill("12")
        await page.locator("form[action$='/solution'] [type=submit]").click()
        await expect(page.get_by_label("Solution ID")).to_have_attribute("aria-invalid", "true")
        await expect(redirect).to_have_value("https://app.example.com/not-saved-yet")

        # Once it is saved it is no draft any more, and a page that is opened anew shows what is saved.
        await page.locator("#addresses .panel-foot [type=submit]").click()
        await expect(page.locator("#toaster")).to_contain_text("Saved")
        await redirect.fill("https://app.example.com/dropped")
        await page.goto(stage.url + INTEGRATION)
        await expect(redirect).to_have_value("https://app.example.com/not-saved-yet")
        await expect(page.get_by_label("Solution ID")).to_have_value("123456789012345")


async def test_where_the_browser_keeps_nothing_the_page_works_all_the_same(
    stage: HubStage, browser: Browser
) -> None:
    owner = await stage.person()
    async with stage.visit(browser, INTEGRATION, member=owner) as opened:
        page = opened.page
        await opened.context.add_init_script(
            "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('no') } })"
        )
        await page.reload()
        await page.get_by_label("Redirect URL").fill("https://app.example.com/typed")
        await page.get_by_label("Solution ID").fill("123456789012345")
        await page.locator("form[action$='/solution'] [type=submit]").click()
        await expect(page.locator("#toaster")).to_contain_text("Saved")
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_be_visible()


async def test_what_is_typed_does_not_pass_over_what_somebody_else_saved(
    stage: HubStage, browser: Browser
) -> None:
    owner = await stage.person()
    async with (
        stage.visit(browser, INTEGRATION, member=owner, tolerated=["status of 409"]) as opened,
        stage.visit(browser, INTEGRATION, member=owner) as other,
    ):
        await opened.page.get_by_label("Redirect URL").fill("https://app.example.com/mine")
        await other.page.get_by_label("Redirect URL").fill("https://app.example.com/theirs")
        await other.page.locator("#addresses .panel-foot [type=submit]").click()
        await expect(other.page.locator("#toaster")).to_contain_text("Saved")
        await opened.page.get_by_label("Solution ID").fill("123456789012345")
        await opened.page.locator("form[action$='/solution'] [type=submit]").click()
        await expect(opened.page.locator("#toaster")).to_contain_text("Saved")
        await opened.page.locator("#addresses .panel-foot [type=submit]").click()
        await expect(opened.page.locator("#addresses")).to_contain_text("Somebody saved")
        await expect(opened.page.locator("#addresses")).to_contain_text("/theirs")
        await expect(opened.page.get_by_label("Redirect URL")).to_have_value("https://app.example.com/mine")


async def test_a_wrong_address_far_down_the_page_has_the_focus(stage: HubStage, browser: Browser) -> None:
    owner = await stage.person()
    async with stage.visit(
        browser, INTEGRATION, member=owner, look=LOOKS[2], tolerated=["status of 400", "status of 422"]
    ) as opened:
        page = opened.page
        await page.fill("[name=webhook_url]", "http://hooks.acme.example/wa")
        await page.press("[name=webhook_url]", "Enter")
        await page.wait_for_selector("[name=webhook_url][aria-invalid=true]")
        await page.wait_for_function("document.activeElement.name === 'webhook_url'")
        assert await page.evaluate("document.activeElement.getBoundingClientRect().bottom < innerHeight")


async def test_the_code_that_signs_a_link_fits_a_phone(stage: HubStage, browser: Browser) -> None:
    owner = await stage.person()
    async with stage.visit(browser, INTEGRATION, member=owner, look=LOOKS[2]) as opened:
        await opened.page.click("summary:has-text('Show how a server signs a link')")
        await opened.page.wait_for_selector("#sample-1", state="visible")
        assert await opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
