"""What a partner is promised of the Integration page, told by what happens outside of it.

A setting is made on the page; the proof is at the other end: at Meta, at the partner's server, in the popup,
at the Partner API. `docs/reference/seed-coverage.md` says which promise is proven where.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import runpy
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import expect
from yarl import URL

from partnerhub.demo.mailbox import Mailbox, create_pages, listen
from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit import mail
from partnerhub.partners.services import create_partner
from partnerhub.ui.frame import CSRF_FIELD
from tests.app.popup_steps import ACCOUNT, run_of, send, share
from tests.factories import MadeMember, MadePartner, make_key, make_member
from tests.hub_stage import HOME, INTEGRATION, HubStage
from tests.identity.people import CHEAP, PASSWORD, last_code, mails_to
from tests.plain_browser import Browser, Visit
from tests.serving import serving
from tests.webhooks.receivers import Got

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
CONFIRM = f"{INTEGRATION}/confirm"
PLAIN = "x-360dialog-signature"
# Every event of a new client that connects a number.
ONBOARDED = (
    "client_created",
    "channel_created",
    "channel_ready",
    "channel_running",
    "channel_live",
    "channel_permission_granted",
)


@dataclass(frozen=True)
class Desk:
    """An owner in front of the page, and the way a client of theirs goes."""

    stage: HubStage
    browser: Browser
    owner: MadeMember

    @property
    def partner_id(self) -> str:
        """The partner."""
        return self.owner.partner_id

    async def send(self, path: str = "", **fields: str) -> Visit:
        """Send one of the page's forms and demand that it was taken."""
        done = await self.browser.send(INTEGRATION, INTEGRATION + path, **fields)
        assert done.status == 200, done.words
        return done

    async def addresses(self, *, hook: str, back: str = "/connected") -> None:
        """Save both addresses."""
        receiver = self.stage.receiver
        await self.send(webhook_url=receiver.url(hook), redirect_url=receiver.url(back))

    async def confirmed(self, action: str) -> Visit:
        """Ask for a code, read it from the mail and confirm with it."""
        asked = await self.browser.send(f"{CONFIRM}/{action}", f"{CONFIRM}/{action}/code")
        code = await last_code(self.stage.database, self.owner.email)
        token = asked.field(CSRF_FIELD)
        return await self.browser.post(f"{CONFIRM}/{action}", code=code, **{CSRF_FIELD: token})

    async def shown_secret(self, action: str) -> str:
        """Confirm by a code and copy the secret that the page shows."""
        page = await self.confirmed(action)
        assert page.status == 200, page.words
        (secret,) = page.values(r'id="shown-secret" value="([^"]*)"')
        return secret

    async def onboard(self, number: str, *, link: str = "") -> URL:
        """Let a new client connect a number; return where it is sent at the end."""
        email = f"client-{number[-4:]}@fjord.example"
        async with self.stage.browse() as browser:
            page = await browser.get(link or f"/onboarding/{self.partner_id}")
            page = await send(browser, page, "account", **{**ACCOUNT, "email": email})
            done = await send(browser, page, "signup", **await share(self.stage, phone_number=number))
            assert "Your number is connected" in done.words, done.words
            return URL(await browser.target(f"{run_of(done)}/finish"))

    async def call(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Any]:  # Any: JSON
        """Call the Partner API."""
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, self.stage.url + path, json=body, headers=headers) as answer,
        ):
            return answer.status, await answer.json()

    async def came(self, *names: str, path: str = "/hook") -> list[Got]:
        """Wait until events of these names have come to one path; return all that came there."""

        def here() -> list[Got]:
            return [got for got in self.stage.receiver.got if got.path == path]

        await self.stage.receiver.wait_until(lambda: {event(got) for got in here()} >= set(names))
        return here()


def event(got: Got) -> str:
    """Return the name of the event."""
    return str(json.loads(got.body)["event"])


def recipe(page: str, tmp_path: Path) -> dict[str, Any]:  # Any: a module's names
    """Run the Python that a how-to prints, and return its functions."""
    (code,) = re.findall(r"^```python\n(.*?)^```", (HOW_TO / page).read_text(), re.DOTALL | re.MULTILINE)
    program = tmp_path / "recipe.py"
    program.write_text(code)
    return runpy.run_path(str(program))


@pytest.fixture
async def desk(stage: HubStage) -> AsyncIterator[Desk]:
    """Sit an owner down in front of the page."""
    owner = await stage.person()
    async with stage.browse(owner) as browser:
        yield Desk(stage, browser, owner)


# --- identifiers -------------------------------------------------------------------------------------------


async def test_the_menu_leads_to_the_identifiers_and_addresses(desk: Desk) -> None:
    home = await desk.browser.get(HOME)
    links = home.values(rf'<a class="nav-link" href="{INTEGRATION}".*?</a>')
    assert [re.sub("<[^>]*>", "", link) for link in links] == ["Integration"]
    page = await desk.browser.get(INTEGRATION)
    assert (page.status, page.values(r"<h1[^>]*>([^<]*)</h1>")) == (200, ["Integration"])
    for label in ("Partner ID", "Solution ID", "Partner webhook URL", "Redirect URL", "Connect link"):
        assert label in page.words
    async with desk.stage.browse() as stranger:
        assert "/sign-in" in (await stranger.get(INTEGRATION)).path


async def test_a_partner_id_is_the_hubs_own_and_stays(stage: HubStage) -> None:
    async with stage.database.system() as unit:
        made = [
            await create_partner(
                unit,
                brand_name="Acme Chat",
                country="DE",
                currency="EUR",
                payment_model="partner_paid",
                actor=SYSTEM,
            )
            for _ in range(2)
        ]
    first, second = made
    assert first.id != second.id
    owner = await make_member(
        stage.database, partner=MadePartner(first.id), password_hash=await CHEAP.hash(PASSWORD)
    )
    key = await make_key(stage.database, partner=MadePartner(first.id))
    async with stage.browse(owner) as browser:
        desk = Desk(stage, browser, owner)
        page = await browser.get(INTEGRATION)
        (field,) = page.values(r'<input ([^>]*id="partner-id"[^>]*)>')
        # Shown to be copied: it has no name under which a form could send it.
        assert f'value="{first.id}"' in field
        assert " readonly" in field
        assert "name=" not in field
        assert "Permanent. It cannot be changed." in page.words
        await desk.send("/solution", solution_id="", partner_id="mineNoPA", id="mineNoPA")
        path = f"/api/v2/partners/{first.id}"
        await desk.call("PATCH", path, {"id": "mineNoPA"}, **{"X-API-Key": key.secret})
        refused = await desk.call(
            "PATCH",
            f"/api/hub/v1/partners/{first.id}/settings",
            {"partner_id": "mineNoPA"},
            **{"X-API-Key": key.secret},
        )
        assert (refused[0], refused[1]["code"]) == (400, "body_invalid")
        status, partner = await desk.call("GET", path, **{"X-API-Key": key.secret})
        assert (status, partner["id"]) == (200, first.id)
        assert f'value="{first.id}"' in (await browser.get(INTEGRATION)).text


async def test_a_solution_id_comes_from_metas_dashboard_and_goes_to_metas_window(desk: Desk) -> None:
    page = await desk.browser.get(INTEGRATION)
    assert "Meta's App Dashboard" in page.words
    async with desk.stage.browse() as browser:
        page = await browser.get(f"/onboarding/{desk.partner_id}")
        page = await send(browser, page, "account", **ACCOUNT)

        async def setup() -> dict[str, Any]:  # Any: JSON for Meta
            (settings,) = (await browser.get(page.path)).values(r'data-connect="([^"]*)"')
            found: dict[str, Any] = json.loads(settings)["extras"]["setup"]
            return found

        assert "solutionID" not in await setup()
        await desk.send("/solution", solution_id="123456789012345")
        assert (await setup()).get("solutionID") == "123456789012345"


# --- webhooks and redirects --------------------------------------------------------------------------------


async def test_events_of_accounts_come_at_once_to_the_url_on_the_page(desk: Desk) -> None:
    await desk.addresses(hook="/first")
    async with desk.stage.sending():
        await desk.onboard("+49 30 5551 9001")
        # All of them, or one of the first number could still be on its way when the URL changes.
        first = await desk.came(*ONBOARDED, path="/first")
        # Edited, the next event goes to the other listener and none to the first.
        await desk.addresses(hook="/second")
        await desk.onboard("+49 30 5551 9002")
        second = await desk.came(*ONBOARDED, path="/second")
        assert len(await desk.came(path="/first")) == len(first)
    assert {got.event_id for got in first}.isdisjoint({got.event_id for got in second})


async def test_clients_return_to_the_redirect_url_on_the_page(desk: Desk) -> None:
    for back, number in (("/welcome", "+49 30 5551 9001"), ("/thanks", "+49 30 5551 9002")):
        await desk.addresses(hook="/hook", back=back)
        target = await desk.onboard(number)
        assert str(target.with_query(None)) == desk.stage.receiver.url(back)
        assert target.query["channels"].endswith("CH]")
        assert target.query["client"].endswith("CL")


# --- global configuration ----------------------------------------------------------------------------------


async def test_numbers_are_kept_in_the_region_of_the_page_from_then_on(desk: Desk) -> None:
    key = await make_key(desk.stage.database, partner=MadePartner(desk.partner_id))
    await desk.addresses(hook="/hook")
    numbers = {}
    for index, region in enumerate((None, "DE", "DE", "US")):
        if region:
            saved = await desk.send("/defaults", data_localization_region=region)
            assert f'<option value="{region}" selected>' in saved.text
        target = await desk.onboard(f"+49 30 5551 900{index}")
        path = f"/api/v2/partners/{desk.partner_id}/channels/{target.query['channels'][1:-1]}"
        status, channel = await desk.call("GET", path, **{"X-API-Key": key.secret})
        assert status == 200
        numbers[path] = channel
    async with desk.stage.database.system() as unit:
        rows = await unit.fetch_dicts("select external_id from channel order by created_at")
    at_meta = [await desk.stage.meta.admin("GET", f"/numbers/{row['external_id']}") for row in rows]
    # Meta's default needs no words: a number in the US is registered without a region.
    assert [one["data_localization_region"] for one in at_meta] == [None, "DE", "DE", None]
    shown = [channel["setup_info"]["region"] for channel in numbers.values()]
    assert shown == [None, "DE", "DE", "US"]
    # Numbers that were there keep theirs.
    for path, channel in numbers.items():
        _, now = await desk.call("GET", path, **{"X-API-Key": key.secret})
        assert now["setup_info"]["region"] == channel["setup_info"]["region"]


async def test_a_legacy_token_works_while_its_switch_is_on(desk: Desk) -> None:
    key = await make_key(desk.stage.database, partner=MadePartner(desk.partner_id))
    path, login = (
        f"/api/v2/partners/{desk.partner_id}/channels",
        {"username": desk.owner.email, "password": PASSWORD},
    )
    page = await desk.browser.get(INTEGRATION)
    assert "Partner keys are safer" in page.words
    status, told = await desk.call("POST", "/api/v2/token", login)
    assert (status, told.get("error")) == (403, "legacy_token_auth_disabled")
    await desk.confirmed("legacy-tokens-on")
    status, issued = await desk.call("POST", "/api/v2/token", login)
    assert status == 200
    bearer = {"Authorization": f"Bearer {issued['access_token']}"}
    assert (await desk.call("GET", path, **bearer))[0] == 200
    # The page names who would be stopped before it is turned off.
    assert desk.owner.email in (await desk.browser.get(INTEGRATION)).words
    await desk.send("/legacy-tokens/off")
    status, refused = await desk.call("GET", path, **bearer)
    assert (status, refused.get("error")) == (403, "legacy_token_auth_disabled")
    assert (await desk.call("POST", "/api/v2/token", login))[0] == 403
    for headers in ({"X-API-Key": key.secret}, {"Authorization": f"Bearer {key.secret}"}):
        assert (await desk.call("GET", path, **headers))[0] == 200


async def test_marketing_by_mm_api_is_kept_and_shown(desk: Desk) -> None:
    key = await make_key(desk.stage.database, partner=MadePartner(desk.partner_id))

    async def shown() -> tuple[bool, bool]:
        (field,) = (await desk.browser.get(INTEGRATION)).values(
            r'<input ([^>]*name="mm_api_routing_enabled"[^>]*)>'
        )
        path = f"/api/hub/v1/partners/{desk.partner_id}/settings"
        _, settings = await desk.call("GET", path, **{"X-API-Key": key.secret})
        return " checked" in field, settings["mm_api_routing_enabled"]

    assert await shown() == (True, True)
    await desk.send("/defaults", data_localization_region="US")
    assert await shown() == (False, False)
    page = await desk.send("/defaults", data_localization_region="US", mm_api_routing_enabled="on")
    assert "the others go by the Cloud API" in page.words
    assert await shown() == (True, True)


# --- platform secret ---------------------------------------------------------------------------------------


async def test_without_a_secret_everything_works_unsigned(desk: Desk) -> None:
    await desk.addresses(hook="/hook")
    page = await desk.browser.get(INTEGRATION)
    assert "None yet: events go out unsigned." in page.words
    assert "View secret" not in page.words
    async with desk.stage.sending():
        await desk.onboard("+49 30 5551 9001")
        brought = await desk.came("channel_live")
    assert [name for got in brought for name in got.headers if "signature" in name] == []


async def test_every_event_is_signed_with_the_secret_that_the_page_showed(desk: Desk, tmp_path: Path) -> None:
    await desk.addresses(hook="/hook")
    secret = await desk.shown_secret("generate-secret")
    is_from_partner_hub = recipe("verify-webhook-signatures.md", tmp_path)["is_from_partner_hub"]
    async with desk.stage.sending():
        await desk.onboard("+49 30 5551 9001")
        brought = await desk.came("client_created", "channel_created", "channel_live")
    for got in brought:
        # By hand: the raw body, SHA-256, compared; and by the program that the documentation prints.
        assert got.headers[PLAIN] == hmac.digest(secret.encode(), got.body, hashlib.sha256).hex()
        assert is_from_partner_hub(got.body, got.headers, secret)
        assert not is_from_partner_hub(got.body + b" ", got.headers, secret)
        assert not is_from_partner_hub(got.body, got.headers, secret + "x")


async def test_a_leaked_secret_is_replaced_and_signs_no_more(desk: Desk) -> None:
    await desk.addresses(hook="/hook")
    await desk.send("/overlap", secret_overlap_hours="0")
    leaked = await desk.shown_secret("generate-secret")
    assert "Regenerate platform secret" in (await desk.browser.get(INTEGRATION)).words
    secret = await desk.shown_secret("generate-secret")
    assert secret != leaked
    async with desk.stage.sending():
        await desk.onboard("+49 30 5551 9001")
        brought = await desk.came("channel_live")
    assert all(got.is_signed_with(secret) for got in brought)
    assert not any(got.is_signed_with(leaked) for got in brought)
    for got in brought:
        assert f"{PLAIN}-previous" not in got.headers
        assert " " not in got.headers["webhook-signature"]


async def test_a_secret_needs_the_code_from_the_mailbox(desk: Desk, tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    smtp = await listen(mailbox, host="127.0.0.1", port=0)
    server = mail.MailServer(
        host="127.0.0.1",
        port=smtp.sockets[0].getsockname()[1],
        sender="hub@hub.example",
        security=mail.Security.NONE,
    )
    action = f"{CONFIRM}/generate-secret"
    asked = await desk.browser.send(action, f"{action}/code")
    assert desk.owner.email in asked.words
    token = asked.field(CSRF_FIELD)
    async with desk.stage.database.system() as unit:
        (row,) = await unit.fetch_dicts("select id from mail")
    await mail.deliver(desk.stage.database, str(row["id"]), server=server)
    async with (
        serving(create_pages(mailbox)) as url,
        aiohttp.ClientSession(url) as http,
        http.get("/api/messages", params={"to": desk.owner.email}) as answer,
    ):
        (message,) = await answer.json()
    smtp.close()
    await smtp.wait_closed()
    (code,) = re.findall(r"^\d{6}$", message["text"], re.MULTILINE)
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for given in ("", wrong):
        refused = await desk.browser.post(action, code=given, **{CSRF_FIELD: token})
        assert (refused.status, "shown-secret" in refused.text) == (422, False)
        assert "None yet" in (await desk.browser.get(INTEGRATION)).words
    right = await desk.browser.post(action, code=code, **{CSRF_FIELD: token})
    assert (right.status, "shown-secret" in right.text) == (200, True)


async def test_the_secret_is_viewed_as_often_as_wanted_with_a_code_each_time(desk: Desk) -> None:
    secret = await desk.shown_secret("generate-secret")
    for _ in range(3):
        assert await desk.shown_secret("view-secret") == secret
    assert len(await mails_to(desk.stage.database, desk.owner.email)) == 4
    # Neither the page nor its dialog tells it without a code.
    for path in (INTEGRATION, f"{CONFIRM}/view-secret", f"{CONFIRM}/generate-secret"):
        assert secret not in (await desk.browser.get(path)).text


async def test_a_person_generates_copies_and_views_the_secret(stage: HubStage, browser: Chromium) -> None:
    owner = await stage.person()
    permissions = ["clipboard-read", "clipboard-write"]
    async with stage.visit(browser, HOME, member=owner, permissions=permissions) as opened:
        page = opened.page
        menu = page.get_by_role("navigation", name="Main navigation")
        await menu.get_by_role("link", name="Integration").click()
        await expect(page).to_have_url(stage.url + INTEGRATION)
        dialog, field = page.get_by_role("dialog"), page.locator("#shown-secret")
        copied = []
        for button in ("Generate platform secret", "View secret", "View secret"):
            await page.get_by_role("link", name=button).click()
            await dialog.get_by_role("button", name="Mail me a code").click()
            await expect(dialog.get_by_label("Code from the mail")).to_be_focused()
            code = await last_code(stage.database, owner.email)
            await dialog.get_by_label("Code from the mail").fill(code)
            await dialog.get_by_role("button", name=button).click()
            await expect(dialog.get_by_text("secret manager")).to_contain_text("environment variable")
            await dialog.get_by_role("button", name="Copy").click()
            await expect(dialog.locator("[data-copied]").first).to_be_visible()
            copied.append(await page.evaluate("navigator.clipboard.readText()"))
            assert await field.input_value() == copied[0]
            await dialog.get_by_role("link", name="Done").click()
            await expect(field).to_have_count(0)
    assert len(copied[0]) >= 32
    assert copied == [copied[0]] * 3


# --- IO Signature ------------------------------------------------------------------------------------------


async def test_with_io_signature_on_only_a_signed_link_leads_to_the_sign_up(
    desk: Desk, tmp_path: Path
) -> None:
    await desk.addresses(hook="/hook")
    secret = await desk.shown_secret("generate-secret")
    plain = f"/onboarding/{desk.partner_id}"
    async with desk.stage.browse() as browser:
        assert 'name="password"' in (await browser.get(plain)).text
    on = await desk.send("/io-signature/on")
    assert "hmac.new(" in on.words, "the page shows how a link is signed"
    signed_link = recipe("sign-onboarding-links.md", tmp_path)["signed_link"]

    def signed(key: str) -> str:
        return str(signed_link("", desk.partner_id, key, state="s-1"))

    assert len(URL(signed(secret)).query["io_signature"]) == 128
    for link, code in (
        (plain, "missing"),
        (f"{plain}?io_signature=abc&io_timestamp=1", "malformed"),
        (signed(secret + "x"), "bad"),
    ):
        async with desk.stage.browse() as browser:
            stopped = await browser.get(link)
            assert (stopped.status, stopped.headers.get("x-error-code")) == (403, f"io_signature_{code}")
            assert 'name="password"' not in stopped.text
    target = await desk.onboard("+49 30 5551 9001", link=signed(secret))
    assert target.query["state"] == "s-1"
    async with desk.stage.database.system() as unit:
        assert await unit.fetch_value("select count(*) from client") == 1
    assert "Stopped links" in (await desk.browser.get(INTEGRATION)).words


async def test_the_secret_is_not_replaced_while_links_are_signed_with_it(desk: Desk) -> None:
    secret = await desk.shown_secret("generate-secret")
    await desk.send("/io-signature/on")
    page = await desk.browser.get(INTEGRATION)
    assert "Regenerate platform secret" not in page.words
    assert "turn IO Signature off before you replace it" in page.words
    refused = await desk.confirmed("generate-secret")
    assert (refused.status, "io_signature_on" in refused.text) == (409, True)
    assert await desk.shown_secret("view-secret") == secret
    await desk.confirmed("io-signature-off")
    assert await desk.shown_secret("generate-secret") != secret
