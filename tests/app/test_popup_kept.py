"""What keeps the popup alive, through the running hub: cookies, error pages, the way back to the run."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser as RealBrowser

from partnerhub.app.operations import hub_operations
from partnerhub.identity.services import send_reset_link
from partnerhub.ui.frame import CSRF_FIELD
from tests.app.popup_steps import ACCOUNT, run_of, send, share
from tests.factories import MadePartner, make_partner
from tests.hub_stage import HubStage
from tests.identity.people import mails_to
from tests.plain_browser import Browser, Visit


@pytest.fixture
async def partner(stage: HubStage) -> MadePartner:
    """Make a partner whose clients come back to the receiver."""
    return await make_partner(
        stage.database, brand_name="Acme Chat", redirect_url=stage.receiver.url("/connected")
    )


async def sign_up(browser: Browser, page: Visit, **changes: str) -> Visit:
    """Send the form of the page as it is open, whatever happened in other tabs."""
    return await send(browser, page, "account", **{**ACCOUNT, **changes})


# --- other tabs ------------------------------------------------------------------------------------------


async def test_who_signs_in_or_out_of_the_hub_in_another_tab_goes_on_in_the_popup(
    stage: HubStage, partner: MadePartner
) -> None:
    member = await stage.person()
    async with stage.browse() as browser:
        page = await browser.get(f"/onboarding/{partner.id}")
        await browser.sign_in(member.email)
        page = await sign_up(browser, page, password="short")
        assert page.status == 422, page.words
        assert "At least 12 characters" in page.words
        await browser.send("/dashboard/partner/accounts", "/sign-out")
        page = await sign_up(browser, page)
        assert "Connect your number" in page.words


async def test_two_tabs_that_begin_at_once_in_a_fresh_browser_both_go_on(
    stage: HubStage, partner: MadePartner
) -> None:
    async with stage.browse() as browser, stage.browse() as beside:
        pages = []
        for number, one in enumerate((browser, beside)):
            # Neither request knows of the other's cookies; the browser keeps those of both answers.
            pages.append(await one.get(f"/onboarding/{partner.id}?state={number}"))
        for cookie in beside.http.cookie_jar:
            browser.plant(cookie.key, cookie.value)
        for number, page in enumerate(pages):
            assert "Create your account" in (await browser.get(page.path)).words
            after = await sign_up(browser, page, email=f"ann{number}@acme.example")
            assert "Connect your number" in after.words
        # A form of one run is not one of the other's.
        first, second = pages
        crossed = await browser.post(
            f"{run_of(first)}/account", **{CSRF_FIELD: second.field(CSRF_FIELD), **ACCOUNT}
        )
        assert (crossed.status, crossed.headers["x-error-code"]) == (403, "cross_site")


async def test_a_browser_that_begins_again_and_again_keeps_few_cookies(
    stage: HubStage, partner: MadePartner
) -> None:
    async with stage.browse() as browser:
        first = await browser.get(f"/onboarding/{partner.id}")
        for number in range(12):
            page = await browser.get(f"/onboarding/{partner.id}?state={number}")
        kept = [cookie.key for cookie in browser.http.cookie_jar if cookie.key.startswith("onboarding-")]
        assert len(kept) == 8
        for one in (first, page):
            assert (
                "Connect your number"
                in (await sign_up(browser, one, email=f"{one is first}@acme.example")).words
            )


# --- error pages -----------------------------------------------------------------------------------------


async def test_an_error_in_the_popup_keeps_its_opener_and_leads_back_to_the_run(
    stage: HubStage, partner: MadePartner
) -> None:
    async with stage.browse() as browser:
        page = await browser.get(f"/onboarding/{partner.id}?lang=de")
        run = run_of(page)
        for path, status, code, way_back in (
            (f"{run}/account", 403, "cross_site", run),
            (f"{run}/nothing", 404, "route_not_found", run),
            (run, 405, "method_not_allowed", run),
            (f"/onboarding/{partner.id}?a=1", 405, "method_not_allowed", f"/onboarding/{partner.id}?a=1"),
            (f"/dashboard/app/{partner.id}/nothing", 404, "route_not_found", None),
            ("/dashboard/app", 404, "route_not_found", None),
            ("/onboarding", 404, "route_not_found", None),
        ):
            failed = await browser.post(path)
            assert (failed.status, failed.headers["x-error-code"]) == (status, code), path
            assert failed.headers["cross-origin-opener-policy"] == "unsafe-none", path
            links = failed.values(r'<a class="btn" href="([^"]*)"')
            assert links == ([way_back] if way_back else []), path
            assert "data-close-window" in failed.text
        # Beyond the popup nothing changes.
        for path in ("/dashboard/apple", "/onboardings"):
            assert (await browser.get(path)).headers["cross-origin-opener-policy"] == "same-origin"


async def test_the_address_of_a_form_that_came_back_leads_to_the_run(
    stage: HubStage, partner: MadePartner
) -> None:
    async with stage.browse() as browser:
        page = await browser.get(f"/onboarding/{partner.id}")
        wrong = await sign_up(browser, page, password="short")
        assert wrong.path == f"{run_of(page)}/account"
        assert (await browser.get(wrong.path)).path == run_of(page)
        operations = [one.split() for one in await hub_operations()]
        forms = [
            path for method, path in operations if method == "POST" and path.startswith("/onboarding/run")
        ]
        assert len(forms) > 9
        # Those of a forgotten password have pages of their own.
        for path in (one for one in forms if not one.endswith("-password")):
            assert await browser.target(path.format(run_id=run_of(page).rpartition("/")[2])) == run_of(page)


# --- coming back -----------------------------------------------------------------------------------------


async def test_the_link_opened_again_after_the_window_was_closed_leads_to_where_the_run_stands(
    stage: HubStage, partner: MadePartner
) -> None:
    link = f"/onboarding/{partner.id}?state=7&name=Fjord"
    async with stage.browse() as browser, stage.browse() as other:
        page = await sign_up(browser, await browser.get(link))
        again = await browser.get(link)
        assert (again.path, "Connect your number" in again.words) == (run_of(page), True)
        # Another link is another run, and so is the same one in another browser.
        assert (await browser.get(f"{link}&number=4930")).path != run_of(page)
        assert "Create your account" in (await other.get(link)).words
        # What is finished is over: the same link begins anew.
        await send(browser, page, "signup", **await share(stage))
        assert "Create your account" in (await browser.get(link)).words


async def test_somebody_else_before_the_same_browser_begins_anew_by_the_same_link(
    stage: HubStage, partner: MadePartner
) -> None:
    link = f"/onboarding/{partner.id}?state=s1"
    async with stage.browse() as browser:
        first = await sign_up(browser, await browser.get(link))
        assert "Signed in as ann@fjord.example" in first.words
        fresh = await send(browser, first, "leave")
        assert run_of(fresh) != run_of(first)
        assert ("Create your account" in fresh.words, "fjord" in fresh.text.lower()) == (True, False)
        assert (await browser.get(link)).path == fresh.path
        assert (await browser.get(run_of(first))).headers["x-error-code"] == "onboarding_unknown"

        second = await sign_up(browser, fresh, company="Birch", email="bea@birch.example")
        assert "Signed in as bea@birch.example" in second.words
        await send(browser, second, "signup", **await share(stage))
        done = await browser.target(f"{run_of(second)}/finish")
        async with stage.database.system() as unit:
            owner = await unit.fetch_value("select id from client where name = 'Birch'")
        assert f"client={owner}&" in done
        assert "state=s1" in done
        # What is done is not left: the partner's page was told of it already.
        assert (await send(browser, second, "leave")).path == run_of(second)


@pytest.mark.parametrize("entry", ["/onboarding/{}", "/dashboard/app/{}", "/dashboard/app/{}/permissions"])
async def test_who_only_asks_for_the_head_of_a_link_begins_nothing(
    stage: HubStage, partner: MadePartner, entry: str
) -> None:
    async with stage.browse() as browser:
        async with browser.http.head(stage.url + entry.format(partner.id)) as answer:
            assert (answer.status, answer.cookies) == (200, {})
        async with stage.database.system() as unit:
            assert await unit.fetch_value("select count(*) from onboarding_run") == 0


async def test_a_client_who_forgot_the_password_sets_one_and_comes_back_to_the_run(
    stage: HubStage, partner: MadePartner
) -> None:
    async with stage.browse() as browser, stage.browse() as elsewhere:
        await sign_up(browser, await browser.get(f"/onboarding/{partner.id}"))
        page = await browser.get(f"/onboarding/{partner.id}?state=2&next=login")
        run = run_of(page)
        (forgot,) = page.values(r'<a class="link" href="([^"]*forgot[^"]*)"')
        asked = await browser.send(forgot, forgot, email=ACCOUNT["email"])
        assert ACCOUNT["email"] in asked.words
        assert asked.headers["cross-origin-opener-policy"] == "unsafe-none"
        base = f"{stage.url}{run}/reset-password"
        links = []
        for _ in range(2):
            await send_reset_link(stage.database, email=ACCOUNT["email"], link_base=base)
            mail = (await mails_to(stage.database, ACCOUNT["email"]))[-1]
            links.append(re.findall(rf"{base}(\?token=\S+)", mail)[0])
        old, link = (f"{run}/reset-password{one}" for one in links)
        # A later link replaces the one before; the page says where to ask again.
        expired = await browser.get(old)
        assert "does not work any more" in expired.words
        assert expired.values(r'<a class="btn" href="([^"]*)"') == [forgot]
        # The mail is read in a browser that has no run.
        form = await elsewhere.get(link)
        assert (form.path, ACCOUNT["email"] in form.words) == (f"{run}/reset-password", True)
        weak = await elsewhere.send(form.path, form.path, password="short")
        assert (weak.status, "At least 12 characters" in weak.words) == (422, True)
        done = await elsewhere.send(form.path, form.path, password="a quiet lake in winter")
        assert "Go back to the window in which you began" in done.words
        assert f"{run}?mode=sign_in" not in done.text
        assert elsewhere.cookie("reset") == ""
        page = await send(browser, page, "sign-in", email=ACCOUNT["email"], password="a quiet lake in winter")
        assert "Connect your number" in page.words


async def test_another_language_keeps_what_is_typed(stage: HubStage, partner: MadePartner) -> None:
    typed = {name: value for name, value in ACCOUNT.items() if name != "password"}
    async with stage.browse() as browser:
        page = await browser.get(f"/onboarding/{partner.id}")
        # The menu's buttons send the form of the page, not one of their own.
        assert f'form="account" formaction="{run_of(page)}/language" formnovalidate' in page.text
        german = await send(browser, page, "language", language="de", mode="sign_up", password="x", **typed)
        assert (german.status, 'lang="de"' in german.text) == (200, True)
        assert german.values(r'name="company"[^>]* value="([^"]*)"') == [typed["company"]]
        assert german.values(r'name="person"[^>]* value="([^"]*)"') == [typed["person"]]
        assert german.values(r'name="email"[^>]* value="([^"]*)"') == [typed["email"]]
        assert german.values(r'name="password"[^>]* value="([^"]*)"') == [""]
        assert re.search(r'name="accepts_terms"[^>]* checked', german.text)
        signs_in = await send(browser, page, "language", language="es", mode="sign_in", email="a@b.example")
        assert signs_in.values(r'name="email"[^>]* value="([^"]*)"') == ["a@b.example"]
        assert 'name="company"' not in signs_in.text
        # It stays chosen, on every page after.
        assert 'lang="es"' in (await browser.get(run_of(page))).text


async def test_a_real_window_keeps_its_opener_past_an_error_and_its_words_past_another_language(
    stage: HubStage, partner: MadePartner, browser: RealBrowser
) -> None:
    context = await browser.new_context()
    opener = await context.new_page()
    await opener.goto(stage.receiver.url("/connected"))
    async with context.expect_page() as opened:
        link = f"{stage.url}/onboarding/{partner.id}?lang=de"
        await opener.evaluate("link => { window.popup = window.open(link, 'onboarding', 'width=600') }", link)
    popup = await opened.value
    await popup.fill("[name=company]", "Fjord Travel")
    await popup.click(".language-menu summary")
    await popup.click(".language-menu button[lang=es]")
    await popup.wait_for_selector("html[lang=es]")
    assert await popup.input_value("[name=company]") == "Fjord Travel"
    await popup.goto(popup.url)  # Enter in the address bar
    run = popup.url
    await popup.goto(f"{run}/nothing")
    await popup.click("a.btn")
    await popup.wait_for_url(run)
    assert await popup.evaluate("window.opener !== null")
    assert not await opener.evaluate("window.popup.closed")
    await popup.goto(f"{run}/nothing")
    async with popup.expect_event("close"):
        await popup.click("[data-close-window]")
    assert await opener.evaluate("window.popup.closed")
    await context.close()
