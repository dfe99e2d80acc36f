"""Coming in and going out, as a person's browser does it: forms, cookies, mails."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

import pytest
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler

from partnerhub import dashboard
from partnerhub.dashboard.account import account_routes
from partnerhub.dashboard.sign_in import sign_in_routes
from partnerhub.identity import services as identity
from partnerhub.identity.schemas import Hub
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.partners import services as partners
from partnerhub.ui.frame import CSRF_FIELD, Brand
from partnerhub.ui.preferences import choose
from partnerhub.web.access import HUB_ROWS, problems
from partnerhub.web.application import Application, Outside, build
from partnerhub.web.authentication import Browsers
from partnerhub.web.cookies import CookieJar
from partnerhub.web.credentials import Credentials
from partnerhub.web.frame import FrameSource
from partnerhub.web.guards import requires
from partnerhub.web.pages import Pages
from partnerhub.web.principal import HubRequest, partner_of
from partnerhub.web.tenant import Tenant
from tests.factories import MadeMember, make_client, make_member, make_partner
from tests.identity.people import CHEAP, PASSWORD, last_code, mails_to
from tests.plain_browser import Browser, browsing
from tests.serving import serving

NEW = "blue-lighthouse-7"


@get("/dashboard", guards=[requires(hub=Hub.PARTNER)])
async def home(request: HubRequest) -> dict[str, str | None]:
    """Stand in for the first page."""
    return {"partner": partner_of(request.user)}


@get("/client", guards=[requires(hub=Hub.CLIENT)], opt={"hub": Hub.CLIENT})
async def client_home(tenant: NamedDependency[Tenant]) -> dict[str, str]:
    """Stand in for the client's first page."""
    return {"client": tenant.client_id}


@cache
def _pages() -> Pages:
    folder = Path(dashboard.__file__).parent
    return Pages(
        brand=Brand(name="Partner Hub"), jar=CookieJar(is_secure=False), packages={"dashboard": folder}
    )


def make_application(database: Database, keyring: Keyring, *more: BaseRouteHandler | Router) -> Application:
    """Build a hub of these pages, and of `more`."""
    pages = _pages()
    handlers: list[BaseRouteHandler | Router] = [
        home,
        client_home,
        choose,
        *sign_in_routes(),
        *account_routes(),
        *more,
    ]
    return build(
        handlers,
        db=database,
        credentials=Credentials(database, token_keys=partners.TokenKeys(keyring)),
        browsers=Browsers(pages.jar, b"k" * 32, ()),
        frames=FrameSource(database, pages),
        outside=Outside(public_url="https://hub.example", is_secure=False),
        dependencies={"passwords": CHEAP},
    )


@pytest.fixture
async def hub(database: Database, keyring: Keyring) -> AsyncIterator[str]:
    """The hub's address."""
    async with serving(make_application(database, keyring).wrapper) as url:
        yield url


@pytest.fixture
async def browser(hub: str) -> AsyncIterator[Browser]:
    """A fresh browser."""
    async with browsing(hub) as found:
        yield found


async def person(database: Database, *, role: str = "owner", email: str = "ops@acme.example") -> MadeMember:
    return await make_member(
        database,
        partner=await make_partner(database, brand_name="Acme Chat"),
        role=role,
        email=email,
        name="Ada Example",
        password_hash=await CHEAP.hash(PASSWORD),
    )


async def test_a_person_signs_in_goes_where_they_wanted_and_out_again(
    browser: Browser, database: Database
) -> None:
    member = await person(database)
    asked = await browser.get("/account?tab=1")
    assert asked.path.startswith("/sign-in?next=/account")
    arrived = await browser.sign_in("OPS@acme.example", wanted=asked.field("next"))
    assert (arrived.status, arrived.path) == (200, "/account?tab=1")
    assert "Acme Chat" in arrived.text
    assert (await browser.get("/sign-in")).path == "/dashboard"
    assert (await browser.get("/")).text == f'{{"partner":"{member.partner_id}"}}'
    token = browser.cookie("partner_session")
    left = await browser.send("/account", "/sign-out")
    assert (left.path, "You are signed out" in left.text) == ("/sign-in", True)
    assert browser.cookie("partner_session") == ""
    browser.plant("partner_session", token)
    assert (await browser.get("/account")).path.startswith("/sign-in")


async def test_a_wrong_password_and_an_unknown_email_look_alike(browser: Browser, database: Database) -> None:
    await person(database)
    answers = []
    for email, password in (("ops@acme.example", "wrong"), ("nobody@acme.example", PASSWORD)):
        answer = await browser.sign_in(email, password)
        text = answer.text.replace(answer.headers["x-request-id"], "ID").replace(email, "EMAIL")
        answers.append((answer.status, text))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401
    assert "E-mail or password is not right." in answers[0][1]
    assert 'value="EMAIL"' in answers[0][1]
    assert browser.cookie("partner_session") == ""


async def test_too_many_attempts_say_when_to_come_back_in_the_readers_language(
    browser: Browser, database: Database
) -> None:
    await person(database)
    await browser.send("/sign-in", "/preferences", language="de", next="/sign-in")
    for _ in range(5):
        await browser.sign_in("ops@acme.example", "wrong")
    answer = await browser.sign_in("ops@acme.example")
    assert (answer.status, 0 < int(answer.headers["retry-after"]) <= 60) == (429, True)
    assert "Zu viele Versuche" in answer.text


async def test_signing_in_again_ends_the_older_session_of_this_browser(
    browser: Browser, database: Database
) -> None:
    await person(database)
    await browser.sign_in("ops@acme.example")
    form = {CSRF_FIELD: (await browser.get("/account")).field(CSRF_FIELD)}
    before = browser.cookie("partner_session")
    await browser.post("/sign-in", **form, email="ops@acme.example", password=PASSWORD)
    assert browser.cookie("partner_session") not in {"", before}
    async with database.system() as unit:
        assert await unit.fetch_value("select count(*) from session where ended_at is null") == 1


async def test_a_session_known_before_sign_in_is_not_the_session_after(
    browser: Browser, database: Database
) -> None:
    await person(database)
    browser.plant("partner_session", "chosen-by-somebody-else")
    await browser.sign_in("ops@acme.example")
    assert browser.cookie("partner_session") not in {"", "chosen-by-somebody-else"}


@pytest.mark.parametrize(
    "wanted", ["//evil.example/x", "https://evil.example", "/\\evil.example", "javascript:1"]
)
async def test_nobody_is_sent_to_another_site_after_sign_in(
    browser: Browser, database: Database, wanted: str
) -> None:
    await person(database)
    assert (await browser.sign_in("ops@acme.example", wanted=wanted)).path == "/dashboard"


async def test_each_hub_lets_in_its_own_people(browser: Browser, database: Database) -> None:
    member = await person(database)
    for prefix in ("/client", "/operator"):
        answer = await browser.sign_in(member.email, prefix=prefix)
        assert (answer.status, "Your account has no place in this hub." in answer.text) == (403, True)
    client = await make_client(database)
    async with database.system() as unit:
        await unit.execute("update client set user_id = %s", (member.user_id,))
        await unit.execute("update hub_user set is_operator = true")
    arrived = await browser.sign_in(member.email, prefix="/client")
    assert (arrived.path, arrived.text) == ("/client", f'{{"client":"{client.id}"}}')
    await browser.sign_in(member.email, prefix="/operator")
    assert (await browser.get("/operator/account")).path == "/operator/account"
    assert (await browser.get("/account")).path == "/sign-in?next=/account"


async def ask_for_link(browser: Browser, database: Database, email: str) -> str:
    answer = await browser.send("/forgot-password", "/forgot-password", email=email)
    assert answer.status == 200
    await identity.send_reset_link(database, email=email, link_base="https://hub.example/reset-password")
    found = re.search(
        r"https://hub\.example(/reset-password\?token=\S+)", (await mails_to(database, email))[-1]
    )
    assert found
    return found[1]


async def test_a_forgotten_password_is_set_anew_by_the_mailed_link(
    browser: Browser, database: Database
) -> None:
    await person(database)
    link = await ask_for_link(browser, database, "ops@acme.example")
    form = await browser.get(link)
    # The token has left the address.
    assert (form.path, "ops@acme.example" in form.text) == ("/reset-password", True)
    weak = await browser.send("/reset-password", "/reset-password", password="short")
    assert (weak.status, 'aria-invalid="true"' in weak.text) == (422, True)
    done = await browser.send("/reset-password", "/reset-password", password=NEW)
    assert (done.path, "Your new password is set" in done.text) == ("/sign-in", True)
    assert (await browser.sign_in("ops@acme.example", NEW)).path == "/dashboard"
    assert browser.cookie("reset") == ""
    again = await browser.get(link)
    assert (again.status, "does not work any more" in again.text) == (400, True)


async def test_asking_for_a_link_says_the_same_to_everybody(browser: Browser, database: Database) -> None:
    await person(database)
    answers = []
    for email in ("ops@acme.example", "nobody@acme.example"):
        answer = await browser.send("/forgot-password", "/forgot-password", email=email)
        text = re.sub(r'value="[^"]{30,}"|data-copy="[^"]+"', "", answer.text.replace(email, "EMAIL"))
        answers.append((answer.status, text.replace(answer.headers["x-request-id"], "ID")))
    assert answers[0] == answers[1]
    for _ in range(2):
        await browser.send("/forgot-password", "/forgot-password", email="ops@acme.example")
    limited = await browser.send("/forgot-password", "/forgot-password", email="ops@acme.example")
    assert limited.status == 429


async def test_the_account_page_changes_the_password_and_ends_other_browsers(
    browser: Browser, hub: str, database: Database
) -> None:
    await person(database)
    await browser.sign_in("ops@acme.example")
    async with browsing(hub) as other:
        await other.sign_in("ops@acme.example")
        page = await browser.get("/account")
        assert page.text.count("Firefox on Linux") >= 2
        assert "This browser" in page.text
        wrong = await browser.send("/account", "/account/password", current_password="x", password=NEW)
        assert (wrong.status, "This is not your current password." in wrong.text) == (422, True)
        token = browser.cookie("partner_session")
        done = await browser.send("/account", "/account/password", current_password=PASSWORD, password=NEW)
        assert (done.path, "Your password is changed" in done.text) == ("/account", True)
        assert browser.cookie("partner_session") not in {"", token}
        assert (await other.get("/account")).path.startswith("/sign-in")
        await other.sign_in("ops@acme.example", NEW)
        found = re.search(r"/account/sessions/[0-9a-f-]+/end", (await browser.get("/account")).text)
        assert found
        ended = await browser.send("/account", found[0])
        assert "The browser is signed out" in ended.text
        assert (await other.get("/account")).path.startswith("/sign-in")
        again = await browser.send("/account", found[0])
        assert (again.status, "session_not_found" in again.text) == (404, True)
        await other.sign_in("ops@acme.example", NEW)
        await browser.send("/account", "/account/sessions/end-others")
        assert (await other.get("/account")).path.startswith("/sign-in")
    assert (await browser.get("/account")).path == "/account"


async def test_nobody_ends_the_session_of_another_person(
    browser: Browser, hub: str, database: Database
) -> None:
    await person(database)
    await person(database, email="other@acme.example")
    async with browsing(hub) as other:
        await other.sign_in("other@acme.example")
        async with database.system() as unit:
            session_id = await unit.fetch_value("select id from session")
        await browser.sign_in("ops@acme.example")
        answer = await browser.send("/account", f"/account/sessions/{session_id}/end")
        assert answer.status == 404
        assert (await other.get("/account")).path == "/account"


async def test_a_person_of_two_partners_switches_and_old_pages_cannot_act(
    browser: Browser, database: Database
) -> None:
    member = await person(database)
    await browser.sign_in(member.email)
    assert "All partners" not in (await browser.get("/account")).text
    second = await make_partner(database, brand_name="Second Chat")
    foreign = await make_partner(database, brand_name="Foreign Chat")
    async with database.system() as unit:
        await unit.execute(
            "insert into member (partner_id, user_id, role) values (%s, %s, 'member')",
            (second.id, member.user_id),
        )
    old_page = await browser.get("/switch")
    assert "Second Chat" in old_page.text
    assert "Foreign Chat" not in old_page.text
    # The menu of every page lists them, too, the one in use first.
    menu = (await browser.get("/account")).values(r'name="partner_id" value="([^"]*)"')
    assert menu == [member.partner_id, second.id]
    token = browser.cookie("partner_session")
    switched = await browser.send("/switch", "/switch", partner_id=second.id)
    assert switched.text == f'{{"partner":"{second.id}"}}'
    assert browser.cookie("partner_session") not in {"", token}
    stale = await browser.post(
        "/switch", **{CSRF_FIELD: old_page.field(CSRF_FIELD)}, partner_id=member.partner_id
    )
    assert (stale.status, "cross_site" in stale.text) == (403, True)
    refused = await browser.send("/switch", "/switch", partner_id=foreign.id)
    assert refused.status == 403


async def test_a_code_is_mailed_for_one_purpose(browser: Browser, database: Database) -> None:
    member = await person(database)
    await browser.sign_in(member.email)
    sent = await browser.send("/account", "/codes", purpose="create_key", next="/account")
    assert (sent.path, "The code is on its way" in sent.text) == ("/account", True)
    assert len(await last_code(database, member.email)) == 6
    unknown = await browser.send("/account", "/codes", purpose="anything")
    assert (unknown.status, "code_purpose_unknown" in unknown.text) == (400, True)
    for _ in range(4):
        await browser.send("/account", "/codes", purpose="create_key", next="/account")
    refused = await browser.send("/account", "/codes", purpose="create_key", next="/account")
    assert "code_limited" in refused.text


def test_every_route_has_its_row(database: Database, keyring: Keyring) -> None:
    operations = set(make_application(database, keyring).operations) - {"GET /dashboard", "GET /client"}
    assert [problem for problem in problems(operations, HUB_ROWS) if "no row" in problem] == []
