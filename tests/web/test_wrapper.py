"""What every answer carries, whoever gave it, and what is refused before anybody looks."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from tests.slow_bodies import post_slowly
from tests.web.conftest import Site, make_application, running

ANSWERS = [
    "/open",
    "/nowhere",
    "/api/v2/nowhere",
    "/api/v2/fail/bug",
    "/hot",
    "/hot/crash",
    "/dashboard/things",
    "/api/v2/partners/onePA/things",
]


@pytest.mark.parametrize("path", ANSWERS)
async def test_every_answer_has_a_request_id_and_the_fixed_headers(site: Site, path: str) -> None:
    async with site.http.get(path, allow_redirects=False) as answer:
        assert uuid.UUID(answer.headers["x-request-id"]).version == 7
        assert answer.headers.getall("x-content-type-options") == ["nosniff"]
        assert answer.headers.getall("cache-control") == ["no-store"]
        assert "strict-transport-security" not in answer.headers
    async with site.http.put(path) as answer:
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("inbound", "is_kept"),
    [
        ("0199d3a1-6f0e-7c41", True),
        ("short", False),
        ("a" * 129, False),
        ("two words", False),
        ("<b>x</b>xx", False),
    ],
)
async def test_a_sane_inbound_request_id_is_kept(site: Site, inbound: str, is_kept: bool) -> None:
    async with site.http.get("/open", headers={"x-request-id": inbound}) as answer:
        assert (answer.headers["x-request-id"] == inbound) is is_kept


async def test_over_tls_browsers_are_told_to_stay_there(database: Database, keyring: Keyring) -> None:
    application = make_application(database, keyring, is_secure=True)
    async with running(database, application, is_secure=True) as site, site.http.get("/open") as answer:
        assert answer.headers["strict-transport-security"] == "max-age=15724800; includeSubDomains"
        cookie = answer.headers["set-cookie"]
    assert re.match(r"__Host-visitor=\S+; HttpOnly; Path=/; SameSite=lax; Secure$", cookie)


async def test_hot_routes_pass_the_framework_by_and_their_bugs_are_answered(site: Site) -> None:
    async with site.http.get("/hot") as answer:
        assert await answer.text() == "pong"
    async with site.http.get("/hot/crash") as answer:
        assert (answer.status, "hunter2" in await answer.text()) == (500, False)


async def test_head_is_get_without_the_body(site: Site) -> None:
    async with site.http.get("/api/v2/away") as answer:
        length = len(await answer.read())
    async with site.http.head("/api/v2/away") as answer:
        assert (answer.status, answer.headers["content-length"]) == (200, str(length))
        assert await answer.read() == b""


async def drip(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 100):
        yield b"x" * 100


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_bodies_are_bounded_with_and_without_a_length(site: Site, is_chunked: bool) -> None:
    async def send(path: str, size: int) -> tuple[int, str]:
        data = drip(size) if is_chunked else b"x" * size
        async with site.http.post(path, data=data) as answer:
            return answer.status, answer.headers.get("x-error-code", "")

    assert await send("/upload", 5_000) == (200, "")
    assert await send("/upload", 5_100) == (413, "body_too_large")
    status, code = await send("/api/v2/fail/bug", 1_100)
    # A body that nobody reads is only bounded where it announces its length.
    assert (status, code) == ((405, "method_not_allowed") if is_chunked else (413, "body_too_large"))


async def test_a_body_that_comes_too_slowly_is_refused_and_a_large_one_may_take_longer(
    database: Database, keyring: Keyring
) -> None:
    application = make_application(database, keyring, body_seconds=0.2)
    async with running(database, application) as site:
        slow = await post_slowly(site.url + "/upload", pieces=[b"x"] * 50, pause_seconds=0.05, length=4_000)
        assert (slow.status, slow.headers["x-error-code"]) == (408, "body_too_slow")
        assert slow.headers["connection"] == "close"
        async with site.http.post("/upload", data=b"x" * 5_000) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("path", ["/open", "/dashboard/things", "/nowhere", "/api/v2/away"])
async def test_cookies_are_read_fast_and_bounded(site: Site, path: str) -> None:
    async def send(*values: str) -> tuple[int, str]:
        headers = [("Cookie", value) for value in values]
        async with site.http.get(path, headers=headers, allow_redirects=False) as answer:
            await answer.read()
            return answer.status, answer.headers.get("x-error-code", "")

    expected = await send("lang=de")
    hard = 'a="' + '\\"' * 4_000 + '"'
    began = time.process_time()
    assert await send(hard) == expected
    assert time.process_time() - began < 0.25
    assert await send(hard + "x" * 200) == (431, "cookies_too_large")
    assert await send(*["a=" + "x" * 3_000] * 3) == (431, "cookies_too_large")


PROXIES = ("127.0.0.0/8", "10.0.0.0/8")


@pytest.mark.parametrize(
    ("trusted", "forwarded", "expected"),
    [
        ((), "203.0.113.7", "127.0.0.1"),
        (PROXIES, "203.0.113.7", "203.0.113.7"),
        (PROXIES, "6.6.6.6, 203.0.113.7", "203.0.113.7"),
        (PROXIES, "203.0.113.7, 10.1.2.3", "203.0.113.7"),
        (PROXIES, "6.6.6.6, nonsense", "127.0.0.1"),
        (PROXIES, "", "127.0.0.1"),
        (PROXIES, "2001:db8::7", "2001:db8::7"),
        # A proxy that adds a line of its own puts it below the client's.
        (PROXIES, "6.6.6.6\n203.0.113.7", "203.0.113.7"),
        (PROXIES, "6.6.6.6\n203.0.113.7, 10.1.2.3\n10.1.2.4", "203.0.113.7"),
    ],
)
async def test_only_trusted_proxies_say_where_a_request_comes_from(
    database: Database, keyring: Keyring, trusted: tuple[str, ...], forwarded: str, expected: str
) -> None:
    application = make_application(database, keyring, trusted_proxies=trusted)
    async with running(database, application) as site:
        async with site.http.get("/open") as answer:
            visitor = answer.cookies["visitor"].value
            token = re.search(r'name="_csrf\w*" value="([^"]+)"', await answer.text())
        assert token
        headers = [
            *(("x-forwarded-for", line) for line in forwarded.split("\n")),
            ("cookie", f"visitor={visitor}"),
            ("x-csrf-token", token[1]),
        ]
        async with site.http.post("/open", headers=headers, data={"word": "x"}) as answer:
            assert (await answer.json())["ip"] == expected


async def test_a_client_that_leaves_early_harms_nobody(site: Site) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.post(site.url + "/upload", data=broken())
    async with site.http.get("/hot") as answer:
        assert answer.status == 200


async def broken() -> AsyncIterator[bytes]:
    yield b"x"
    raise aiohttp.ClientPayloadError("gone")


@pytest.mark.parametrize(
    "path", ["/open%00", "/%00", "/api/v2/partners/a%00PA/things", "/api/v2/fail/%00", "/api/hub/v1/fail/%00"]
)
async def test_an_address_with_a_zero_character_leads_nowhere(site: Site, path: str) -> None:
    async with site.http.get(URL(path, encoded=True)) as answer:
        assert (answer.status, answer.headers["x-error-code"]) == (404, "route_not_found")
