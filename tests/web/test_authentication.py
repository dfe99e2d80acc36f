"""Who gets in with what: keys and tokens on APIs, sessions on pages, each only there."""

from __future__ import annotations

import re

import aiohttp
import pytest

from partnerhub.identity import services as identity
from partnerhub.identity.schemas import SYSTEM, CodePurpose, Hub
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.money import Micros
from partnerhub.ledger.services import open_wallet, top_up
from partnerhub.partners import services as partners
from partnerhub.ui.frame import CSRF_FIELD, CSRF_HEADER
from partnerhub.web.limits import CallLimiter
from tests.factories import make_key, make_member, make_partner
from tests.identity.people import CHEAP, PASSWORD, last_code
from tests.web.conftest import Site, form_token, make_application, running

THINGS = "/api/v2/partners/{}/things"


async def call(site: Site, partner_id: str, headers: dict[str, str]) -> tuple[int, str]:
    async with site.http.get(THINGS.format(partner_id), headers=headers) as answer:
        return answer.status, answer.headers.get("x-error-code", "")


async def test_a_key_is_taken_from_every_header_that_clients_use(site: Site) -> None:
    partner_id, headers = await site.key("read")
    secret = headers["X-API-Key"]
    for carrier in (
        {"X-API-Key": secret},
        {"x-api-key": f" {secret} "},
        {"D360-API-KEY": secret},
        {"Authorization": f"Bearer {secret}"},
        {"Authorization": f"bearer  {secret}"},
        {"Authorization": f"Bearer {secret}", "X-API-Key": ""},
    ):
        assert await call(site, partner_id, carrier) == (200, "")
    for carrier in ({}, {"Authorization": ""}, {"Authorization": f"Basic {secret}"}):
        assert await call(site, partner_id, carrier) == (401, "credential_missing")
    for carrier in ({"X-API-Key": secret[:-1]}, {"Authorization": "Bearer x"}, {"X-API-Key": "x" * 5_000}):
        assert await call(site, partner_id, carrier) == (401, "credential_unknown")


async def test_the_answer_sees_one_tenant_and_names_the_key_as_actor(site: Site) -> None:
    partner_id, headers = await site.key("read")
    await make_partner(site.db)
    async with site.http.get(THINGS.format(partner_id), headers=headers) as answer:
        assert await answer.read() == (
            b'{"actor":"key","partner":"'
            + partner_id.encode()
            + b'","seen":1,"\\u00fc":"Gr\\u00f6\\u00dfe"}\n'
        )


async def test_scopes_are_asked_for_one_by_one(site: Site) -> None:
    for scope, path, method in (
        ("read", "things", "GET"),
        ("write", "things", "POST"),
        ("security", "secret", "POST"),
    ):
        others = {"read", "write", "security"} - {scope}
        for scopes, allowed in (((scope,), True), (tuple(others), False)):
            partner_id, headers = await site.key(*scopes)
            async with site.http.request(
                method, f"/api/v2/partners/{partner_id}/{path}", headers=headers, json={"name": "x"}
            ) as answer:
                assert (answer.status < 300) is allowed
                assert allowed or answer.headers["x-error-code"] == "scope_missing"


async def test_a_foreign_partner_is_403_whether_it_exists_or_not(site: Site) -> None:
    _, headers = await site.key("read")
    other = await make_partner(site.db)
    assert await call(site, other.id, headers) == (403, "foreign_partner")
    assert await call(site, "nobodyPA", headers) == (403, "foreign_partner")


async def test_a_revoked_key_is_useless_at_once(site: Site) -> None:
    made = await make_key(site.db)
    headers = {"X-API-Key": made.secret}
    assert await call(site, made.partner_id, headers) == (200, "")
    async with site.db.system() as unit:
        await unit.execute("update partner_key set revoked_at = now() where id = %s", (made.id,))
    assert await call(site, made.partner_id, headers) == (401, "credential_unknown")


async def test_a_legacy_token_reads_and_writes_until_the_switch_is_off(site: Site, keyring: Keyring) -> None:
    partner = await make_partner(site.db, legacy_token_auth_enabled=True)
    member = await make_member(site.db, partner=partner, password_hash=await CHEAP.hash(PASSWORD))
    issued = await partners.issue_token(
        site.db,
        email=member.email,
        password=PASSWORD,
        ip="203.0.113.7",
        keys=partners.TokenKeys(keyring),
        passwords=CHEAP,
    )
    headers = {"Authorization": f"Bearer {issued.access_token}"}
    assert await call(site, partner.id, headers) == (200, "")
    async with site.http.post(f"/api/v2/partners/{partner.id}/secret", headers=headers) as answer:
        assert (answer.status, answer.headers["x-error-code"]) == (403, "scope_missing")
    broken = {"Authorization": f"Bearer {issued.access_token[:-4]}AAAA"}
    assert await call(site, partner.id, broken) == (401, "credential_unknown")
    async with site.db.system() as unit:
        await unit.execute("update partner set legacy_token_auth_enabled = false")
    async with site.http.get(THINGS.format(partner.id), headers=headers) as answer:
        body = await answer.json()
    assert (answer.status, set(body)) == (403, {"meta", "error", "error_description"})


async def test_sessions_open_pages_and_no_api_and_keys_open_no_page(site: Site) -> None:
    cookies = await site.owner()
    partner_id, key = await site.key("read", "write", "security")
    async with site.http.get("/dashboard/things", cookies=cookies) as answer:
        assert answer.status == 200
    async with site.http.get(THINGS.format(partner_id), cookies=cookies) as answer:
        assert answer.status == 401
    async with site.http.get("/dashboard/things", headers=key, allow_redirects=False) as answer:
        assert answer.status == 303


async def test_a_visitor_is_led_to_sign_in_and_back(site: Site) -> None:
    async with site.http.get("/dashboard/things?q=a%20b", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["location"]) == (
            303,
            "/sign-in?next=/dashboard/things%3Fq%3Da%2520b",
        )
    htmx = {"hx-request": "true", "hx-current-url": "http://hub.example/dashboard/things?q=1"}
    async with site.http.get("/dashboard/things", headers=htmx) as answer:
        assert (answer.status, answer.headers["hx-redirect"]) == (
            401,
            "/sign-in?next=/dashboard/things%3Fq%3D1",
        )
    broken = {"hx-request": "true", "hx-current-url": "https://[::1"}
    async with site.http.get("/dashboard/things", headers=broken) as answer:
        assert (answer.status, answer.headers["hx-redirect"]) == (401, "/sign-in")
    async with site.http.get("/operator/things", allow_redirects=False) as answer:
        assert answer.headers["location"] == "/operator/sign-in?next=/operator/things"


async def test_owners_pages_refuse_members_and_the_role_is_read_at_every_request(site: Site) -> None:
    member = await make_member(site.db, role="member")
    cookies = await site.session(member.user_id, member.partner_id)
    async with site.http.get("/dashboard/owners", cookies=cookies) as answer:
        assert (answer.status, answer.headers["x-error-code"]) == (403, "role_missing")
    async with site.http.get("/dashboard/things", cookies=cookies) as answer:
        page = await answer.text()
    assert "/dashboard/owners" not in page
    async with site.db.system() as unit:
        await unit.execute("update member set role = 'owner'")
    async with site.http.get("/dashboard/owners", cookies=cookies) as answer:
        assert answer.status == 200
    async with site.db.system() as unit:
        await unit.execute("delete from member")
    async with site.http.get("/dashboard/things", cookies=cookies) as answer:
        assert (answer.status, answer.headers["x-error-code"]) == (403, "wrong_hub")


async def test_each_hub_has_its_own_session(site: Site) -> None:
    member = await make_member(site.db)
    partner_cookie = await site.session(member.user_id, member.partner_id)
    # The token of one hub under the cookie of another opens nothing.
    forged = {"operator_session": partner_cookie["partner_session"]}
    async with site.http.get("/operator/things", cookies=forged, allow_redirects=False) as answer:
        assert answer.status == 303
    operator_cookie = await site.session(member.user_id, None, hub=Hub.OPERATOR)
    async with site.http.get("/operator/things", cookies=operator_cookie, allow_redirects=False) as answer:
        assert answer.status == 303  # no operator
    async with site.db.system() as unit:
        await unit.execute("update hub_user set is_operator = true")
    both = {**partner_cookie, **operator_cookie}
    for path in ("/operator/things", "/dashboard/things"):
        async with site.http.get(path, cookies=both) as answer:
            assert answer.status == 200


async def test_open_pages_know_a_person_only_where_they_say_so(site: Site) -> None:
    member = await make_member(site.db)
    cookies = await site.session(member.user_id, member.partner_id)
    async with site.http.get("/visit", cookies=cookies) as answer:
        assert await answer.json() == {"partner": member.partner_id}
    async with site.http.get("/visit", cookies={"partner_session": "stolen"}) as answer:
        assert await answer.json() == {"partner": None}


async def test_the_frame_names_partner_balance_person_and_menu(site: Site) -> None:
    partner = await make_partner(site.db, brand_name="Größe & Söhne")
    member = await make_member(site.db, partner=partner, name="Ada Example")
    cookies = await site.session(member.user_id, partner.id)
    async with site.db.system() as unit:
        await open_wallet(unit, partner_id=partner.id, currency="EUR")
        await top_up(
            unit,
            partner_id=partner.id,
            currency="EUR",
            amount_micros=Micros(1_284_509_900),
            key="test",
            actor=SYSTEM,
        )
    async with site.http.get(
        "/dashboard/things", cookies={**cookies, "lang": "de", "theme": "dark"}
    ) as answer:
        page = await answer.text()
    assert 'lang="de" data-theme="dark"' in page
    for words in ("Größe &amp; Söhne", "1.284,50", "Ada Example", "/dashboard/owners", form_token(cookies)):
        assert words in page


async def test_forms_need_the_token_of_this_session(site: Site) -> None:
    cookies = await site.owner()
    token = form_token(cookies)
    other = form_token(await site.owner())

    async def send(headers: dict[str, str], data: dict[str, str]) -> tuple[int, str]:
        async with site.http.post(
            "/dashboard/things", cookies=cookies, headers=headers, data=data, allow_redirects=False
        ) as answer:
            return answer.status, answer.headers.get("x-error-code", "")

    refused = (403, "cross_site")
    assert await send({}, {CSRF_FIELD: token}) == (303, "")
    assert await send({CSRF_HEADER: token}, {}) == (303, "")
    assert await send({"sec-fetch-site": "same-origin"}, {CSRF_FIELD: token}) == (303, "")
    assert await send({"origin": "http://hub.example"}, {CSRF_FIELD: token}) == (303, "")
    assert await send({}, {}) == refused
    assert await send({}, {CSRF_FIELD: other}) == refused
    assert await send({CSRF_HEADER: "ü"}, {}) == refused
    for site_word in ("cross-site", "same-site", "none"):
        assert await send({"sec-fetch-site": site_word}, {CSRF_FIELD: token}) == refused
    for origin in ("null", "https://hub.example", "http://hub.example.evil.example"):
        assert await send({"origin": origin}, {CSRF_FIELD: token}) == refused
    async with site.http.post("/dashboard/things", data={CSRF_FIELD: form_token({"x": ""})}) as answer:
        assert answer.status == 403


async def test_multipart_forms_carry_the_token_too_and_arrive_whole(site: Site) -> None:

    async with site.http.get("/open") as answer:
        visitor = {"visitor": answer.cookies["visitor"].value}
        token = re.search(rf'name="{CSRF_FIELD}" value="([^"]+)"', await answer.text())
    assert token
    form = aiohttp.FormData({"word": "Größe", CSRF_FIELD: token[1]}, default_to_multipart=True)
    async with site.http.post("/open", data=form, cookies=visitor) as answer:
        assert (await answer.json())["got"] == "Größe"
    form = aiohttp.FormData({"word": "Größe"}, default_to_multipart=True)
    async with site.http.post("/open", data=form, cookies=visitor) as answer:
        assert answer.status == 403


async def test_a_visitor_gets_one_mark_and_no_session(site: Site) -> None:
    async with site.http.get("/open") as answer:
        assert set(answer.cookies) == {"visitor"}
        visitor = {"visitor": answer.cookies["visitor"].value}
    async with site.http.get("/open", cookies=visitor) as answer:
        assert not answer.cookies
    async with site.db.system() as unit:
        assert await unit.fetch_value("select count(*) from session") == 0


async def test_after_an_action_a_message_is_shown_once(site: Site) -> None:
    cookies = await site.owner()
    async with site.http.post(
        "/dashboard/things",
        cookies=cookies,
        headers={CSRF_HEADER: form_token(cookies)},
        allow_redirects=False,
    ) as answer:
        assert (answer.status, answer.headers["location"]) == (303, "/dashboard/things")
        flash = answer.cookies["flash"].value
    async with site.http.get("/dashboard/things", cookies={**cookies, "flash": flash}) as answer:
        assert "Größe changed" in await answer.text()
        assert answer.cookies["flash"]["max-age"] == "0"
    async with site.http.get("/dashboard/things", cookies={**cookies, "flash": "bm9uc2Vuc2U="}) as answer:
        assert answer.status == 200
    headers = {CSRF_HEADER: form_token(cookies), "hx-request": "true"}
    async with site.http.post("/dashboard/things", cookies=cookies, headers=headers) as answer:
        assert (answer.status, answer.headers["hx-redirect"]) == (200, "/dashboard/things")


async def test_a_guarded_action_needs_a_code_for_its_purpose(site: Site) -> None:
    member = await make_member(site.db)
    cookies = await site.session(member.user_id, member.partner_id)

    async def send(code: str) -> tuple[int, str]:
        async with site.http.post(
            "/dashboard/guarded",
            cookies=cookies,
            headers={CSRF_HEADER: form_token(cookies)},
            data={"code": code},
        ) as answer:
            return answer.status, answer.headers.get("x-error-code", "")

    assert await send("") == (403, "code_needed")
    await identity.request_code(site.db, user_id=member.user_id, purpose=CodePurpose.CREATE_KEY)
    code = await last_code(site.db, member.email)
    assert await send("000000" if code != "000000" else "000001") == (400, "code_wrong")
    assert await send(code) == (200, "")
    assert await send(code) == (400, "code_expired")


async def test_a_credential_that_calls_too_often_is_told_when_to_come_back(
    database: Database, keyring: Keyring
) -> None:
    now = [0.0]
    limiter = CallLimiter(per_second=0.5, burst=3, tick=lambda: now[0])
    application = make_application(database, keyring, limiter=limiter)
    async with running(database, application) as site:
        partner_id, headers = await site.key("read")
        for _ in range(3):
            assert await call(site, partner_id, headers) == (200, "")
        async with site.http.get(THINGS.format(partner_id), headers=headers) as answer:
            assert (answer.status, answer.headers["retry-after"]) == (429, "2")
        other_id, other = await site.key("read")
        assert await call(site, other_id, other) == (200, "")
        now[0] = 2.0
        assert await call(site, partner_id, headers) == (200, "")
        assert (await call(site, partner_id, headers))[0] == 429


@pytest.mark.parametrize("path", ["/static/x.css", "/nowhere"])
async def test_what_is_not_there_is_not_there_for_anybody(site: Site, path: str) -> None:
    async with site.http.get(path) as answer:
        assert answer.status == 404
