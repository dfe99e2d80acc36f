"""The popup through the running hub, without script: every step, parameter and way back, over HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from tests.channels.told import told_names
from tests.factories import MadePartner, MadeWaba, make_channel, make_partner
from tests.hub_stage import HubStage, staged
from tests.identity.people import PASSWORD
from tests.ledger.stock import stock_prices
from tests.onboarding.runs import make_customer
from tests.plain_browser import Browser, Visit
from tests.simulator import harness

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.ui.frame import CSRF_FIELD

ENTRIES = ("/dashboard/app/{}/permissions", "/dashboard/app/{}", "/onboarding/{}")
EMAIL = "ann@acme.example"
CLASSIC = ENTRIES[0]


@dataclass
class Popup:
    """One browser on its way through the popup; remembers the page it is on."""

    stage: HubStage
    browser: Browser
    here: Visit = field(init=False)

    async def open(self, partner: MadePartner, entry: str = ENTRIES[2], /, **parameters: str) -> Visit:
        """Open a link."""
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
        self.here = await self.browser.get(f"{entry.format(partner.id)}?{query}")
        return self.here

    async def press(self, action: str, fields: Sequence[tuple[str, str]] = (), /, **more: str) -> Visit:
        """Send a form of the page that is open."""
        values = [(CSRF_FIELD, self.here.field(CSRF_FIELD)), *fields, *more.items()]
        self.here = await self.send(f"{self.run}/{action}", values)
        return self.here

    @property
    def run(self) -> str:
        """The address of the run, also where the page answered a form."""
        return "/".join(urlsplit(self.here.path).path.split("/")[:4])

    async def send(self, path: str, values: Sequence[tuple[str, str]]) -> Visit:
        """Send a form as it is, and follow where it leads inside the hub."""
        async with self.browser.http.post(self.stage.url + path, data=values) as answer:
            return Visit(answer.status, answer.url.path_qs, await answer.text(), answer.headers)

    async def sign_up(self, email: str = EMAIL) -> Visit:
        """Make an account."""
        return await self.press(
            "account", company="Acme", person="Ann", email=email, password=PASSWORD, accepts_terms="on"
        )

    async def sign_in(self, email: str = EMAIL) -> Visit:
        """Sign in to an account that exists."""
        return await self.press("sign-in", email=email, password=PASSWORD)

    async def accept(self) -> Visit:
        """Accept the prices that are shown."""
        return await self.press("prices", version=self.here.field("version"), accepts_prices="on")

    async def connect(self, phone_number: str) -> Visit:
        """Come back from Meta's window with a number."""
        made = await self.stage.meta.admin(
            "POST", "/signups", {"app_id": harness.APP_ID, "number": {"phone_number": phone_number}}
        )
        return await self.press(
            "signup", code=made["code"], event="FINISH", **_texts(made["message"]["data"])
        )

    async def decide(self, shown: Sequence[str], shared: Sequence[str]) -> Visit:
        """Send the permission page."""
        fields = [("shown", one) for one in shown] + [("shared", one) for one in shared]
        return await self.press("permission", fields)

    async def target(self) -> str:
        """Return where the finished run leads."""
        assert "data-go" in self.here.text, self.here.words
        return await self.browser.target(f"{self.run}/finish")


def _texts(data: Mapping[str, Any]) -> dict[str, str]:  # Any: JSON of the simulator
    return {name: str(data[name]) for name in ("waba_id", "phone_number_id", "business_id")}


@pytest.fixture
async def stage(database: Database, keyring: Keyring) -> AsyncIterator[HubStage]:
    """Run the hub as an operator who lets Direct-Paid clients pass without a payment provider."""
    await stock_prices(database)
    async with staged(database, keyring, terms_url="https://hub.example/terms") as found:
        yield found


@pytest.fixture
async def popup(stage: HubStage) -> AsyncIterator[Popup]:
    """Open a browser."""
    async with stage.browse() as browser:
        yield Popup(stage, browser)


@pytest.fixture
async def direct(stage: HubStage) -> MadePartner:
    """A Direct-Paid partner."""
    return await make_partner(
        stage.database,
        brand_name="Acme Chat",
        payment_model="direct_paid",
        redirect_url="https://acme.example/return?tenant=7",
    )


async def permission_news(stage: HubStage, partner: MadePartner) -> list[str]:
    """Return what the partner was told of permissions."""
    return [name for name in await told_names(stage.database, partner.id) if "permission" in name]


async def set_partner(stage: HubStage, column: str, value: object) -> None:
    """Change a column of every partner."""
    async with stage.database.system() as unit:
        await unit.execute(f"update partner set {column} = %s", (value,))


# --- Direct-Paid -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES)
async def test_a_direct_paid_client_passes_prices_connects_and_allows(
    popup: Popup, direct: MadePartner, entry: str
) -> None:
    page = await popup.open(direct, entry, name="Acme", email=EMAIL, state="s 1", plan_selection="premium")
    assert page.values(r'name="email"[^>]* value="([^"]*)"') == [EMAIL]
    page = await popup.sign_up()
    assert "Prices and terms" in page.words
    # Germany is the partner's country; service messages have an allowance, plans are named.
    assert page.values(r"<option value=\"([^\"]*)\" selected") == ["Germany"]
    assert re.search(r"Marketing .{0,60}€0\.1365", page.words), page.words
    assert "The first 1,000 of each month are free for each number" in page.words
    assert "Chosen plan: Premium." in page.words
    assert "No payment provider is set" in page.words
    page = await popup.accept()
    assert "Connect your number" in page.words
    page = await popup.connect("+49 30 5552 0001")
    assert "May Acme Chat use your number?" in page.words
    (channel,) = page.values(r'name="shared" value="([^"]*)"')
    assert await permission_news(popup.stage, direct) == []
    await popup.decide([channel], [channel])
    client = (await popup.target()).split("client=")[1].split("&")[0]
    assert await popup.target() == (
        f"https://acme.example/return?tenant=7&client={client}&channels=[{channel}]&state=s%201"
    )
    assert await permission_news(popup.stage, direct) == ["channel_permission_granted"]


async def test_a_client_who_says_not_now_goes_back_with_a_number_that_nobody_may_use(
    popup: Popup, direct: MadePartner
) -> None:
    await popup.open(direct)
    await popup.sign_up()
    await popup.accept()
    page = await popup.connect("+49 30 5552 0002")
    (channel,) = page.values(r'name="shown" value="([^"]*)"')[:1]
    page = await popup.decide([channel], [])
    assert "Acme Chat may not use it before you allow that." in page.words
    assert (await popup.target()).endswith("&channels=[]")
    assert await permission_news(popup.stage, direct) == []
    # Later, by the classic link: the same number, asked for by its digits, with the raw plus of old buttons.
    page = await popup.browser.get(f"/dashboard/app/{direct.id}/permissions?number=+493055520002&next=login")
    popup.here = page
    assert "Sign in" in page.words
    assert "May Acme Chat use your number?" in (await popup.sign_in()).words
    await popup.decide([channel], [channel])
    assert (await popup.target()).endswith(f"&channels=[{channel}]")
    assert await permission_news(popup.stage, direct) == ["channel_permission_granted"]


async def test_prices_are_those_of_the_market_that_is_chosen(popup: Popup, direct: MadePartner) -> None:
    await popup.open(direct)
    page = await popup.sign_up()
    india = await popup.browser.get(f"{page.path}?market=India")
    assert india.values(r"<option value=\"([^\"]*)\" selected") == ["India"]
    assert re.search(r"Marketing .{0,60}€0\.0106", india.words)
    # A script that only wants the list gets the list.
    part = await popup.browser.get(f"{page.path}?market=India", **{"HX-Request": "true"})
    assert part.text.lstrip().startswith('<section class="panel" id="prices"')
    nonsense = await popup.browser.get(f"{page.path}?market=%3Cscript%3E")
    assert nonsense.values(r"<option value=\"([^\"]*)\" selected") == ["Germany"]


async def test_the_terms_are_a_link_in_the_words_that_accept_them(popup: Popup, direct: MadePartner) -> None:
    page = await popup.open(direct, "/dashboard/app/{}")
    assert "I accept the terms of service ." in page.words
    (label,) = page.values(r'<label class="check">(.*?)</label>')
    assert '<a class="link" href="https://hub.example/terms" target="_blank"' in label


async def test_terms_that_were_not_accepted_stop_at_the_field(popup: Popup, direct: MadePartner) -> None:
    await popup.open(direct)
    page = await popup.sign_up()
    page = await popup.press("prices", version=page.field("version"))
    assert (page.status, "Needed to go on." in page.words) == (422, True)
    # Choosing another language there leads back to the step, not to the address of the form.
    assert page.field("next") == popup.run
    page = await popup.press("prices", version="0", accepts_prices="on")
    assert page.status == 409
    assert "prices_changed" in page.text


async def test_without_a_payment_provider_the_operator_stops_direct_paid_clients(
    database: Database, keyring: Keyring
) -> None:
    await stock_prices(database)
    partner = await make_partner(database, payment_model="direct_paid")
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(
            staged(database, keyring, onboarding_without_payment_method=False)
        )
        popup = Popup(stage, await stack.enter_async_context(stage.browse()))
        await popup.open(partner)
        page = await popup.sign_up()
        assert "Without a payment method you cannot go on." in page.words
        assert "accepts_prices" not in page.text
        # There is a code to ask with, and a way out.
        assert "payment_method_needed" in page.words
        assert "data-close-window" in page.text
        page = await popup.press("prices", version="", accepts_prices="on")
        assert "prices_changed" in page.text
        page = await popup.press("prices", version=str(await _version(database)), accepts_prices="on")
        assert (page.status, "payment_method_needed" in page.text) == (409, True)


async def _version(database: Database) -> object:
    async with database.system() as unit:
        return await unit.fetch_value("select id from price_change order by seq desc limit 1")


async def test_who_signs_in_at_a_new_partner_names_the_company_and_accepts_the_terms(
    popup: Popup, direct: MadePartner
) -> None:
    await make_customer(popup.stage.database, await make_partner(popup.stage.database), ["shared"])
    await popup.open(direct, next="login", partner="crm-9", name="Proposed")
    page = await popup.sign_in()
    assert "new at Acme Chat. Which company" in page.words
    assert "https://hub.example/terms" in page.text
    assert page.values(r'name="company"[^>]* value="([^"]*)"') == ["Proposed"]
    assert await told_names(popup.stage.database, direct.id) == []
    page = await popup.press("account", is_signed_in="yes", company=" ")
    assert (page.status, page.text.count('aria-invalid="true"')) == (422, 2)
    page = await popup.press("account", is_signed_in="yes", company="Fjord Travel GmbH", accepts_terms="on")
    assert "Prices and terms" in page.words
    async with popup.stage.database.system() as unit:
        (made,) = await unit.fetch_dicts(
            "select id, name, partner_payload from client where partner_id = %s", (direct.id,)
        )
        assert (made["name"], made["partner_payload"]) == ("Fjord Travel GmbH", "crm-9")
        rows = await unit.fetch_dicts(
            "select object_id, after, at > now() - interval '1 minute' as is_now from audit_entry"
            " where action = 'terms.accepted' order by at"
        )
    # Of the first client, too, which signed up: who, when, and which terms.
    assert [row["is_now"] for row in rows] == [True, True]
    assert rows[-1]["object_id"] == made["id"]
    assert rows[-1]["after"] == {"terms_url": "https://hub.example/terms"}
    # The next time it is known there, and another form may be asked for meanwhile.
    await popup.open(direct, next="login")
    assert "Prices and terms" in (await popup.sign_in()).words
    other = await make_partner(popup.stage.database)
    await popup.open(other)
    page = await popup.sign_in()
    assert "Which company" in page.words
    assert "Sign in and go on" in (await popup.browser.get(f"{popup.run}?mode=sign_in")).words


async def test_a_company_is_taken_from_nobody_who_has_not_signed_in(
    popup: Popup, direct: MadePartner
) -> None:
    await popup.open(direct)
    page = await popup.press("account", is_signed_in="yes", company="Fjord", accepts_terms="on")
    assert "Create your account" in page.words
    assert await told_names(popup.stage.database, direct.id) == []


# --- permissions of an existing client -------------------------------------------------------------------


async def test_an_existing_client_gives_and_takes_on_one_page(popup: Popup, direct: MadePartner) -> None:
    kept, taken, given = await make_customer(popup.stage.database, direct, ["shared", "shared", "missing"])
    await popup.open(direct, CLASSIC, next="login", state='{"a":[1]}')
    page = await popup.sign_in()
    assert "What Acme Chat may use" in page.words
    ids = [kept.id, taken.id, given.id]
    assert sorted(page.values(r'name="shown" value="([^"]*)"')) == sorted(ids)
    run = page.path
    await popup.decide(ids, [kept.id, given.id])
    first, second = sorted([kept.id, given.id], key=lambda one: (one.lower(), one))
    target = await popup.target()
    assert target.endswith(f"&channels=[{first},{second}]&revoked=[{taken.id}]&state=%7B%22a%22%3A%5B1%5D%7D")
    told = ["channel_permission_granted", "channel_permission_revoked"]
    assert sorted(await permission_news(popup.stage, direct)) == told
    # Back button, reload, the form once more: the same end, and nobody is told again.
    again = [("shown", one) for one in ids] + [(CSRF_FIELD, popup.here.field(CSRF_FIELD))]
    popup.here = await popup.send(f"{run}/permission", again)
    assert await popup.target() == target
    assert (await popup.browser.get(run)).status == 200
    assert sorted(await permission_news(popup.stage, direct)) == told


async def test_a_form_that_is_sent_twice_at_once_tells_the_partner_once(
    popup: Popup, direct: MadePartner
) -> None:
    (channel,) = await make_customer(popup.stage.database, direct, ["missing"])
    await popup.open(direct, CLASSIC)
    page = await popup.sign_in()
    values = [("shown", channel.id), ("shared", channel.id), (CSRF_FIELD, page.field(CSRF_FIELD))]
    answers = await asyncio.gather(*(popup.send(f"{page.path}/permission", values) for _ in range(4)))
    assert {(answer.status, answer.path) for answer in answers} == {(200, page.path)}
    assert await permission_news(popup.stage, direct) == ["channel_permission_granted"]


async def test_whoever_takes_the_only_permission_back_goes_back_with_an_empty_list(
    popup: Popup, direct: MadePartner
) -> None:
    (channel,) = await make_customer(popup.stage.database, direct, ["shared"])
    await popup.open(direct, CLASSIC)
    await popup.sign_in()
    page = await popup.decide([channel.id], [])
    assert "Your choice is saved" in page.words
    assert (await popup.target()).endswith(f"&channels=[]&revoked=[{channel.id}]")


async def test_an_existing_client_finds_the_way_between_permissions_and_a_new_number(
    popup: Popup, direct: MadePartner
) -> None:
    (channel,) = await make_customer(popup.stage.database, direct, ["shared"])
    await popup.open(direct, CLASSIC)
    await popup.sign_in()
    assert "Prices and terms" in (await popup.press("again")).words
    page = await popup.accept()
    assert "Numbers you have already" in page.words
    assert "What Acme Chat may use" in (await popup.press("permissions")).words
    assert "Connect your number" in (await popup.press("again")).words
    page = await popup.connect("+49 30 5552 0003")
    # Only the new number is asked about.
    (new,) = page.values(r'name="shared" value="([^"]*)"')
    assert new != channel.id
    await popup.decide([new], [new])
    assert (await popup.target()).endswith(f"&channels=[{new}]")


async def test_a_partner_paid_client_shares_by_default_and_asks_the_partner_to_end_it(
    popup: Popup,
) -> None:
    partner = await make_partner(popup.stage.database, brand_name="Acme Chat")
    await popup.open(partner, CLASSIC)
    page = await popup.sign_up()
    assert "Prices" not in page.words
    page = await popup.connect("+49 30 5552 0004")
    assert "Your number is connected" in page.words
    assert await permission_news(popup.stage, partner) == ["channel_permission_granted"]
    (channel,) = await _channels(popup.stage)
    assert (await popup.target()).endswith(f"&channels=[{channel}]")
    # Everything is shared, so there is no permission page; going on gives the same numbers again.
    await popup.open(partner, CLASSIC)
    page = await popup.sign_in()
    assert "Decide which numbers are shared" not in page.words
    await popup.press("known")
    assert (await popup.target()).endswith(f"&channels=[{channel}]")
    await popup.open(partner, CLASSIC)
    page = await popup.sign_in()
    popup.here = page
    await popup.press("permissions")
    assert "Connect your number" in popup.here.words


async def _channels(stage: HubStage) -> list[str]:
    async with stage.database.system() as unit:
        return [row["id"] for row in await unit.fetch_dicts("select id from channel order by created_at")]


# --- adding numbers --------------------------------------------------------------------------------------


async def test_an_existing_client_adds_numbers_unless_the_partner_forbids_it(popup: Popup) -> None:
    partner = await make_partner(popup.stage.database, brand_name="Acme Chat")
    await popup.open(partner)
    await popup.sign_up()
    await popup.connect("+49 30 5552 0005")
    await popup.open(partner, next="login")
    await popup.sign_in()
    page = await popup.connect("+49 30 5552 0006")
    assert "Your number is connected" in page.words
    first, second = await _channels(popup.stage)
    assert (await popup.target()).endswith(f"&channels=[{second}]")
    await set_partner(popup.stage, "allow_client_to_add_phone_no", False)
    await popup.open(partner, next="login")
    page = await popup.sign_in()
    assert (page.status, page.headers["x-error-code"]) == (403, "client_may_not_add")
    assert "Continue with Facebook" not in page.words
    assert "client_may_not_add" in page.words
    # What Meta's window brought all the same is refused, and the page stays.
    page = await popup.connect("+49 30 5552 0007")
    assert page.status == 403
    assert len(await _channels(popup.stage)) == 2
    await popup.press("known")
    assert re.search(r"channels=\[\w+,\w+\]$", await popup.target())
    assert first in await popup.target()


async def test_a_client_with_as_many_numbers_as_it_may_have_is_told_before_metas_window(
    popup: Popup, direct: MadePartner
) -> None:
    await make_customer(popup.stage.database, direct, ["shared"])
    async with popup.stage.database.system() as unit:
        await unit.execute("update client set max_channels = 1")
    await popup.open(direct)
    await popup.sign_in()
    page = await popup.accept()
    assert page.headers["x-error-code"] == "client_may_not_add"
    assert "What Acme Chat may use" in (await popup.press("permissions")).words


# --- a number that was left unfinished -------------------------------------------------------------------


async def refuse(stage: HubStage, path: str, *, times: int = 1) -> None:
    """Let Meta refuse the next calls of a path."""
    fault = {"action": "error", "code": 131000, "path": path, "times": times}
    await stage.meta.admin("POST", "/faults", fault)


async def leave_unfinished(popup: Popup, partner: MadePartner, number: str = "+49 30 5552 0010") -> str:
    """Sign up, connect a number whose registration Meta refuses, and lose the window; return the channel."""
    await popup.open(partner)
    page = await popup.sign_up()
    if "Prices and terms" in page.words:
        await popup.accept()
    await refuse(popup.stage, "/*/register")
    page = await popup.connect(number)
    assert "Almost there" in page.words
    (channel,) = await _channels(popup.stage)
    return channel


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("payment_model", ["partner_paid", "direct_paid"])
async def test_whoever_lost_the_window_comes_back_to_the_registration_and_ends_it(
    popup: Popup, entry: str, payment_model: str
) -> None:
    partner = await make_partner(popup.stage.database, payment_model=payment_model)
    channel = await leave_unfinished(popup, partner)
    async with popup.stage.browse() as other:
        again = Popup(popup.stage, other)
        await again.open(partner, entry, next="login")
        page = await again.sign_in()
        assert "Almost there" in page.words, page.words
        assert channel in page.text
        assert await permission_news(popup.stage, partner) == []
        # What an old page of permissions would send changes nothing.
        page = await again.decide([channel], [channel])
        assert "Almost there" in page.words
        page = await again.press("register")
        if payment_model == "direct_paid":
            page = await again.decide([channel], [channel])
        assert "Your number is connected" in page.words
        assert f"channels=[{channel}]" in await again.target()
    assert await permission_news(popup.stage, partner) == ["channel_permission_granted"]
    told = await told_names(popup.stage.database, partner.id)
    assert told[-2:] == ["channel_live", "channel_permission_granted"]


async def test_an_unfinished_number_beside_a_live_one_is_offered_and_never_shared(
    popup: Popup, direct: MadePartner
) -> None:
    unfinished = await leave_unfinished(popup, direct)
    async with popup.stage.database.system() as unit:
        (waba,) = await unit.fetch_all(MadeWaba, "select id, partner_id, client_id, external_id from waba")
    live = await make_channel(popup.stage.database, waba=waba, permission="missing")
    await popup.open(direct, CLASSIC)
    page = await popup.sign_in()
    # The question is about the live number alone; a form that names the other one does not share it.
    assert set(page.values(r'name="shown" value="([^"]*)"')) == {live.id}
    page = await popup.decide([live.id, unfinished], [live.id, unfinished])
    assert (await popup.target()).endswith(f"&channels=[{live.id}]")
    await popup.open(direct, state="another link, and so another run")
    page = await popup.sign_in()
    assert "Finish the registration" in page.words
    assert page.values(r'name="number" value="([^"]*)"') == [unfinished]
    # Nor do the numbers that are shared already include it.
    assert "May Acme Chat use your number?" in (await popup.press("register", number=unfinished)).words
    await popup.decide([unfinished], [unfinished])
    assert f"&channels=[{unfinished}]&state=" in await popup.target()
    # A number that is none of the client's, or is finished, is not taken up.
    for number in (live.id, "nobodysCH"):
        await popup.open(direct, state=number)
        await popup.sign_in()
        assert "Connect your number" in (await popup.press("register", number=number)).words


async def test_an_unfinished_number_does_not_open_the_way_for_others(popup: Popup) -> None:
    partner = await make_partner(popup.stage.database, brand_name="Acme Chat")
    await set_partner(popup.stage, "allow_client_to_add_phone_no", False)
    unfinished = await leave_unfinished(popup, partner)
    page = await popup.press("again")
    assert (page.status, page.headers["x-error-code"]) == (403, "client_may_not_add")
    assert "Continue with Facebook" not in page.words
    assert (await popup.connect("+49 30 5552 0011")).status == 403
    assert await _channels(popup.stage) == [unfinished]
    # The page leads on to the one number there is.
    popup.here = await popup.browser.get(popup.run)
    page = await popup.press("register", number=unfinished)
    assert "Your number is connected" in page.words
    assert (await popup.target()).endswith(f"&channels=[{unfinished}]")


@pytest.mark.parametrize("path", ["/oauth/access_token", "/*/register"])
async def test_a_run_that_is_worked_on_says_so_and_is_left_alone(popup: Popup, path: str) -> None:
    partner = await make_partner(popup.stage.database)
    await make_customer(popup.stage.database, partner, ["shared"])
    await popup.open(partner)
    page = await popup.sign_in()
    run, token = popup.run, (CSRF_FIELD, page.field(CSRF_FIELD))
    fault = {"action": "latency", "seconds": 2, "path": path, "times": 1}
    await popup.stage.meta.admin("POST", "/faults", fault)
    sent = asyncio.create_task(popup.connect("+49 30 5552 0012"))

    async def is_waiting() -> bool:
        return "data-waiting" in (await popup.browser.get(run)).text

    await harness.until(is_waiting)
    page = await popup.browser.get(run)
    # It shows progress, goes on by itself also without script, and offers nothing that would disturb.
    assert (page.status, "Connecting your number" in page.words) == (200, True)
    assert re.search(rf'<noscript><meta http-equiv="refresh" content="\d;url={run}"></noscript>', page.text)
    assert "Look again" in page.words
    assert f'action="{run}' not in page.text
    for action in ("again", "known", "permissions", "register", "signup"):
        assert "data-waiting" in (await popup.send(f"{run}/{action}", [token, ("code", "x")])).text, action
    await sent
    page = await popup.browser.get(run)
    assert "Your number is connected" in page.words
    assert "data-waiting" not in page.text


# --- parameters ------------------------------------------------------------------------------------------


async def test_the_links_parameters_reach_client_page_and_metas_window(popup: Popup) -> None:
    partner = await make_partner(popup.stage.database, brand_name="Acme Chat")
    await popup.open(
        partner,
        name="Birch & Co",
        email=EMAIL,
        partner="crm-77",
        number="+49 30 901820",
        preverified_phone_number_id="106540352242922",
        lang="de",
    )
    assert '<html lang="de"' in popup.here.text
    page = await popup.sign_up()
    assert "Acme Chat" in page.words
    assert "+49 30 901820" in page.words
    (settings,) = page.values(r'data-connect="([^"]*)"')
    assert '"preVerifiedPhone": {"ids": ["106540352242922"]}' in settings.replace('":', '": ').replace(
        '":  ', '": '
    )
    assert '"name":"Acme"' in settings.replace('": ', '":')
    async with popup.stage.database.system() as unit:
        assert await unit.fetch_value("select partner_payload from client") == "crm-77"


@pytest.mark.parametrize(
    ("wished", "language"), [("de", "de"), ("pt", "pt-BR"), ("es", "es"), ("xx", "en"), ("", "en")]
)
async def test_a_link_chooses_the_language_of_its_pages_and_of_its_refusals(
    popup: Popup, direct: MadePartner, wished: str, language: str
) -> None:
    page = await popup.open(direct, lang=wished)
    assert f'<html lang="{language}"' in page.text
    refused = await popup.open(direct, lang=wished, redirect_url="https://evil.example/")
    assert (refused.status, f'<html lang="{language}"' in refused.text) == (403, True)


async def test_every_page_shows_both_brands(popup: Popup, direct: MadePartner) -> None:
    await set_partner(popup.stage, "logo_url", "https://cdn.acme.example/logo.svg")
    seen = [
        await popup.open(direct, next="login"),
        await popup.open(direct),
        await popup.sign_up(),
        await popup.accept(),
        await popup.connect("+49 30 5552 0008"),
        await popup.decide([], []),
        await popup.open(direct, redirect_url="https://evil.example/"),
    ]
    await popup.open(direct)
    async with popup.stage.database.system() as unit:
        await unit.execute("update onboarding_run set expires_at = now() - interval '1 hour'")
    seen.append(await popup.browser.get(popup.here.path))
    assert seen[-1].status == 404
    await set_partner(popup.stage, "blocked_new_submission", True)
    seen.append(await popup.open(direct))
    for page in seen:
        assert "Acme Chat" in page.words, page.words
        assert "with Partner Hub" in page.words, page.words
        assert 'src="https://cdn.acme.example/logo.svg"' in page.text
        assert "https://cdn.acme.example" in page.headers["content-security-policy"]
        assert page.headers["cross-origin-opener-policy"] == "unsafe-none"


@pytest.mark.parametrize(
    "logo", ["https://日本.example/l.png", "https://a;script-src.example/l.png", "https://[::1"]
)
async def test_a_saved_logo_that_no_browser_could_load_is_left_out(
    popup: Popup, direct: MadePartner, logo: str
) -> None:
    await set_partner(popup.stage, "logo_url", logo)
    seen = [await popup.open(direct), await popup.open(direct, redirect_url="https://evil.example/")]
    assert [page.status for page in seen] == [200, 403]
    for page in seen:
        assert "Acme Chat" in page.words
        assert logo not in page.text
        assert "img-src 'self';" in page.headers["content-security-policy"]


async def test_permissions_can_be_withdrawn_where_the_partner_takes_no_new_numbers(
    popup: Popup, direct: MadePartner
) -> None:
    (number,) = await make_customer(popup.stage.database, direct, ["shared"])
    await set_partner(popup.stage, "blocked_new_submission", True)
    for entry in ENTRIES[1:]:
        assert (await popup.open(direct, entry)).headers["x-error-code"] == "onboarding_closed"
    page = await popup.open(direct, CLASSIC)
    # Nobody signs up here, so signing in is asked for first; who signs up all the same is told.
    assert "Sign in" in page.words
    refused = await popup.sign_up("new@acme.example")
    assert "onboarding_closed" in refused.text
    await popup.open(direct, CLASSIC)
    page = await popup.sign_in()
    assert "Connect another number" not in page.words
    assert "onboarding_closed" in (await popup.press("again")).text
    popup.here = page
    page = await popup.decide([number.id], [])
    assert f"channels=[]&revoked=[{number.id}]" in await popup.target()


async def test_without_a_redirect_url_the_window_ends_on_a_page_that_says_so(popup: Popup) -> None:
    partner = await make_partner(popup.stage.database, payment_model="direct_paid", redirect_url=None)
    (number,) = await make_customer(popup.stage.database, partner, ["shared"])
    await popup.open(partner, CLASSIC)
    await popup.sign_in()
    page = await popup.decide([number.id], [])
    assert "What you took back stopped at once. You may close this window." in page.words
    assert "data-close-window" in page.text
    assert "data-go" not in page.text
    assert await popup.browser.target(f"{popup.run}/finish") == popup.run


# --- ways back and forth ---------------------------------------------------------------------------------


async def test_a_step_that_is_over_leads_to_the_one_that_is_not(popup: Popup, direct: MadePartner) -> None:
    await popup.open(direct)
    first = popup.here
    token = (CSRF_FIELD, first.field(CSRF_FIELD))
    await popup.sign_up()
    prices = popup.here
    # The back button shows the run's own page, whatever the browser remembers.
    assert "Prices and terms" in (await popup.browser.get(first.path)).words
    for action in ("account", "sign-in", "signup", "register", "known", "again", "permission", "permissions"):
        answer = await popup.send(f"{first.path}/{action}", [token, ("code", "x")])
        if action in {"account", "sign-in"}:
            # Without its fields the form comes back, or the step that stands.
            assert answer.status in {200, 401, 422}
        else:
            assert "Prices and terms" in answer.words, (action, answer.words)
    popup.here = prices
    await popup.accept()
    assert "Connect your number" in (await popup.browser.get(first.path)).words
    answer = await popup.send(f"{first.path}/prices", [token, ("version", prices.field("version"))])
    assert "Connect your number" in answer.words
    # Whoever goes to the end too early is led to where the run stands.
    assert await popup.browser.target(f"{first.path}/finish") == first.path


async def test_a_run_is_of_one_browser_and_may_be_gone_on_with_after_the_window_was_closed(
    popup: Popup, direct: MadePartner
) -> None:
    await popup.open(direct)
    await popup.sign_up()
    async with popup.stage.browse() as stranger:
        assert (await stranger.get(popup.here.path)).status == 404
    # The window was closed and the link opened again: a new run, and the account is there.
    again = await popup.open(direct, next="login", email=EMAIL)
    assert again.values(r'name="email"[^>]* value="([^"]*)"') == [EMAIL]
    assert "Prices and terms" in (await popup.sign_in()).words


async def test_only_the_partners_own_pages_get_the_result(popup: Popup, direct: MadePartner) -> None:
    listed = "https://app.acme.example/done"
    assert (await popup.open(direct, redirect_url=listed)).status == 403
    await set_partner(popup.stage, "redirect_origins", ["https://app.acme.example"])
    assert (await popup.open(direct, redirect_url=listed)).status == 200
    for url in ("https://evil.example/", "https://acme.example.evil.example/", "http://acme.example/"):
        page = await popup.open(direct, redirect_url=url)
        assert (page.status, page.headers["x-error-code"]) == (403, "redirect_not_allowed")
    (channel,) = await make_customer(popup.stage.database, direct, ["missing"])
    await popup.open(direct, CLASSIC, redirect_url="https://acme.example/other", state="s")
    await popup.sign_in()
    await popup.decide([channel.id], [channel.id])
    assert re.fullmatch(
        rf"https://acme\.example/other\?client=\w+CL&channels=\[{channel.id}\]&state=s",
        await popup.target(),
    )
