"""The onboarding popup from its link to the partner's page, as a browser without script gets it.

Meta's window is the simulator's admin API here; the window itself is for `tests/e2e`.
"""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from yarl import URL

from tests.app.popup_steps import ACCOUNT, at_connect, run_of, send, share
from tests.factories import MadePartner, make_partner
from tests.hub_stage import HubStage
from tests.hub_tours import PIN
from tests.identity.people import PASSWORD
from tests.simulator import harness


@pytest.fixture
async def partner(stage: HubStage) -> MadePartner:
    """Make a partner whose clients come back to the receiver."""
    return await make_partner(
        stage.database, brand_name="Acme Chat", redirect_url=stage.receiver.url("/connected")
    )


async def test_a_link_becomes_a_run_with_a_clean_address_and_fills_the_form(
    stage: HubStage, partner: MadePartner
) -> None:
    query = "?name=Fjord+Travel&email=ann%40fjord.example&state=s-1&number=%2B4930"
    async with stage.browse() as browser:
        for path in (f"/dashboard/app/{partner.id}", f"/onboarding/{partner.id}"):
            page = await browser.get(path + query)
            assert page.path.startswith("/onboarding/run/")
            assert "?" not in page.path
            assert page.values(r'name="company"[^>]* value="([^"]*)"') == ["Fjord Travel"]
            assert page.values(r'name="email"[^>]* value="([^"]*)"') == ["ann@fjord.example"]
            assert "Acme Chat" in page.words
            # The popup keeps the window that opened it, and is nobody's frame.
            assert page.headers["cross-origin-opener-policy"] == "unsafe-none"
            assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
            assert stage.meta.url not in page.headers["content-security-policy"]
        signs_in = await browser.get(f"/onboarding/{partner.id}?next=login")
        assert "Sign in" in signs_in.values(r"<h1[^>]*>([^<]*)</h1>")[0]


async def test_a_link_that_leads_nowhere_says_so_with_a_code(stage: HubStage, partner: MadePartner) -> None:
    foreign = quote("https://evil.example/x", safe="")
    closed = await make_partner(stage.database, brand_name="Closed Chat")
    async with stage.database.system() as unit:
        await unit.execute("update partner set blocked_new_submission = true where id = %s", (closed.id,))
    async with stage.browse() as browser:
        for path, status, code in (
            ("/onboarding/nobodyPA", 404, "partner_link_unknown"),
            (f"/onboarding/{partner.id}?redirect_url={foreign}", 403, "redirect_not_allowed"),
            (f"/onboarding/{closed.id}", 403, "onboarding_closed"),
            (f"/onboarding/{partner.id}?state={'x' * 4001}", 400, "state_refused"),
            (f"/onboarding/{partner.id}?state=%00", 400, "state_refused"),
            (f"/onboarding/{partner.id}?state=%FF", 400, "state_refused"),
            ("/onboarding/run/01a1f94b-7571-7e68-8c67-67775c26b441", 404, "onboarding_unknown"),
        ):
            page = await browser.get(path)
            assert (page.status, page.headers["x-error-code"]) == (status, code)
            assert code in page.words
            assert page.headers["x-request-id"] in page.words
            assert page.headers["cross-origin-opener-policy"] == "unsafe-none"


async def test_a_run_belongs_to_the_browser_that_opened_it(stage: HubStage, partner: MadePartner) -> None:
    async with stage.browse() as browser, stage.browse() as other:
        page = await browser.get(f"/onboarding/{partner.id}?email=ann%40fjord.example")
        await other.get(f"/onboarding/{partner.id}")
        stolen = await other.get(page.path)
        assert (stolen.status, "ann@fjord.example" in stolen.text) == (404, False)


async def test_a_wrong_field_of_the_sign_up_comes_back_with_its_reason(
    stage: HubStage, partner: MadePartner
) -> None:
    async with stage.browse() as browser:
        page = await browser.get(f"/onboarding/{partner.id}")
        for field, value in (
            ("company", ""),
            ("company", " "),
            ("company", "x" * 201),
            ("person", ""),
            ("person", "x" * 300),
            ("email", ""),
            ("email", "ann@fjord"),
            ("password", "short"),
            ("password", "123456789012"),
            ("accepts_terms", ""),
        ):
            page = await send(browser, page, "account", **{**ACCOUNT, field: value})
            assert (page.status, page.text.count('aria-invalid="true"')) == (422, 1), field
            assert page.values(rf'id="{field.replace("_", "-")}-error">.*?<span>([^<]+)</span>')
            company = value if field == "company" else ACCOUNT["company"]
            assert page.values(r'name="company"[^>]* value="([^"]*)"') == [company]
            # A password never comes back.
            assert PASSWORD not in page.text
        # Everything that is missing is told at once, in words of its own.
        empty = {"company": "", "person": "", "accepts_terms": ""}
        page = await send(browser, page, "account", **{**ACCOUNT, **empty})
        assert page.text.count('aria-invalid="true"') == 3
        for words in ("Enter the company's name.", "Enter your name.", "Needed to go on."):
            assert words in page.words
        # Corrected, it goes on from the same page.
        assert "Connect your number" in (await send(browser, page, "account", **ACCOUNT)).words


async def test_who_has_an_account_signs_in_instead(stage: HubStage, partner: MadePartner) -> None:
    async with stage.browse() as browser:
        await at_connect(browser, partner)
    async with stage.browse() as browser:
        page = await browser.get(f"/onboarding/{partner.id}")
        known = await send(browser, page, "account", **ACCOUNT)
        assert (known.status, "You have an account already" in known.words) == (409, True)
        assert known.values(r'name="email"[^>]* value="([^"]*)"') == [ACCOUNT["email"]]
        page = await browser.get(f"/onboarding/{partner.id}?next=login")
        for email, password in (
            (ACCOUNT["email"], "not the password"),
            ("nobody@fjord.example", PASSWORD),
        ):
            refused = await send(browser, page, "sign-in", email=email, password=password)
            assert (refused.status, "Not signed in" in refused.words) == (401, True)
            assert refused.values(r'name="email"[^>]* value="([^"]*)"') == [email]
        entered = await send(browser, page, "sign-in", email=ACCOUNT["email"], password=PASSWORD)
        assert "Connect your number" in entered.words
    async with stage.database.system() as unit:
        assert await unit.fetch_value("select count(*) from client") == 1


async def test_only_the_page_before_metas_window_trusts_metas_scripts(
    stage: HubStage, partner: MadePartner
) -> None:
    async with stage.browse() as browser:
        page = await at_connect(browser, partner, "?name=Fjord&preverified_phone_number_id=77")
    assert stage.meta.url in page.headers["content-security-policy"]
    (settings,) = page.values(r'data-connect="([^"]*)"')
    told = json.loads(settings)
    assert (told["app_id"], told["origins"]) == (harness.APP_ID, [stage.meta.url])
    # The window gets what the client wrote, not what the link proposed.
    assert told["extras"]["setup"] == {
        "business": {"name": ACCOUNT["company"], "email": ACCOUNT["email"]},
        "preVerifiedPhone": {"ids": ["77"]},
    }


async def test_leaving_metas_window_changes_nothing_and_is_told_after_a_reload(
    stage: HubStage, partner: MadePartner
) -> None:
    async with stage.browse() as browser:
        page = await at_connect(browser, partner)
        left = await send(browser, page, "cancelled", step="PHONE_NUMBER_SETUP")
        assert left.text == '{"success":true}'
        again = await browser.get(page.path)
        assert (again.status, "Meta's window was closed" in again.words) == (200, True)


async def test_a_code_that_meta_refuses_leaves_the_way_open(stage: HubStage, partner: MadePartner) -> None:
    async with stage.browse() as browser:
        page = await at_connect(browser, partner)
        stopped = await send(browser, page, "signup", code="used-up", event="FINISH")
        assert (stopped.status, "The connection stopped" in stopped.words) == (200, True)
        assert "Continue with Facebook" in stopped.words
        done = await send(browser, stopped, "signup", **await share(stage))
        assert "Your number is connected" in done.words


async def test_the_end_leads_back_with_client_channels_and_state(
    stage: HubStage, partner: MadePartner
) -> None:
    state = '{"cart":"42","next":"/a?b=c&d"}'
    async with stage.browse() as browser:
        page = await at_connect(browser, partner, f"?state={quote(state, safe='')}")
        # Nothing is finished yet: the address leads back to where the run stands.
        assert await browser.target(f"{page.path}/finish") == page.path
        done = await send(browser, page, "signup", **await share(stage))
        assert "Your number is connected" in done.words
        (link,) = done.values(r'<a [^>]*href="([^"]*)"[^>]*data-go')
        target = await browser.target(link)
        # Steps that are over lead to where the run stands, and change nothing.
        late = await send(browser, done, "account", **{**ACCOUNT, "email": "eve@fjord.example"})
        assert (late.path, "Your number is connected" in late.words) == (done.path, True)
    async with stage.database.system() as unit:
        rows = await unit.fetch_dicts("select id, client_id from channel")
    assert target.startswith(stage.receiver.url("/connected?"))
    # Existing clients cut the list between its first and last character, so its brackets are not encoded.
    assert f"channels=[{rows[0]['id']}]" in target
    assert (URL(target).query["client"], URL(target).query["state"]) == (rows[0]["client_id"], state)


async def test_a_number_with_a_pin_is_registered_once_the_pin_is_right(
    stage: HubStage, partner: MadePartner
) -> None:
    async with stage.browse() as browser, stage.meta.standing_still():
        page = await at_connect(browser, partner)
        asked = await send(browser, page, "signup", **await share(stage, pin=PIN))
        assert "Almost there" in asked.words
        assert "did not take this PIN" not in asked.words
        await stage.meta.admin("POST", "/clock", {"advance_seconds": 120})
        wrong = await send(browser, asked, "register", pin="000000")
        assert "did not take this PIN" in wrong.words
        hasty = await send(browser, wrong, "register", pin="000000")
        assert "too quickly" in hasty.words
        await stage.meta.admin("POST", "/clock", {"advance_seconds": 120})
        done = await send(browser, hasty, "register", pin=f"{PIN[:3]} {PIN[3:]}")
        assert "Your number is connected" in done.words


async def test_another_number_may_be_chosen_instead_of_a_pin(stage: HubStage, partner: MadePartner) -> None:
    async with stage.browse() as browser:
        page = await at_connect(browser, partner)
        asked = await send(browser, page, "signup", **await share(stage, pin=PIN))
        again = await send(browser, asked, "again")
        assert "Connect your number" in again.words


async def test_who_comes_again_may_go_on_with_the_numbers_that_are_shared(
    stage: HubStage, partner: MadePartner
) -> None:
    async with stage.browse() as browser:
        await send(browser, await at_connect(browser, partner), "signup", **await share(stage))
        page = await browser.get(f"/onboarding/{partner.id}?next=login&state=second")
        page = await send(browser, page, "sign-in", email=ACCOUNT["email"], password=PASSWORD)
        assert "Numbers you have already" in page.words
        done = await send(browser, page, "known")
        assert "Your number is connected" in done.words
        target = URL(await browser.target(f"{run_of(done)}/finish"))
    assert target.query["state"] == "second"
    assert target.query["channels"].endswith("CH]")


async def test_a_form_without_its_token_is_refused(stage: HubStage, partner: MadePartner) -> None:
    async with stage.browse() as browser:
        page = await browser.get(f"/onboarding/{partner.id}")
        refused = await browser.post(f"{page.path}/account", **ACCOUNT)
    assert (refused.status, "cross_site" in refused.words) == (403, True)


async def test_the_popup_speaks_the_links_language_until_another_is_chosen(
    stage: HubStage, partner: MadePartner
) -> None:
    async with stage.browse() as browser:
        page = await browser.get(f"/onboarding/{partner.id}?lang=de")
        assert '<html lang="de"' in page.text
        browser.plant("lang", "es")
        assert '<html lang="es"' in (await browser.get(page.path)).text
