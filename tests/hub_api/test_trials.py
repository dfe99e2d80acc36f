"""Testing the two URLs by API: what was sent, what came back, how long each phase took, and what it means."""

from __future__ import annotations

import socket

import pytest
from aiohttp import web

from partnerhub.identity.queries import list_audit
from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit.http import FailureKind
from partnerhub.partners.redirects import _SAME, MEANINGS
from partnerhub.partners.services import generate_platform_secret
from partnerhub.webhooks import outcomes
from tests.hub_api.stage import Api
from tests.webhooks.receivers import Got, Receiver, answer, receiver

WEBHOOK, REDIRECT = "webhook_url/test", "redirect_url/test"


async def _audit(api: Api) -> list[tuple[str, object]]:
    async with api.database.tenant(api.partner.id) as unit:
        entries = await list_audit(unit, partner_id=api.partner.id)
    return [(entry.action, entry.after) for entry in entries if entry.action.endswith(".tested")]


async def test_the_saved_webhook_is_called_with_its_headers_and_signed(api: Api, site: Receiver) -> None:
    async with api.database.tenant(api.partner.id) as unit:
        secret = await generate_platform_secret(
            unit, partner_id=api.partner.id, actor=SYSTEM, keyring=api.keyring
        )
    await api.change({"webhook_url": site.url(), "webhook_headers": {"X-Auth": "header-secret-1234"}})
    site.script = answer(202, headers={"X-Trace": "t"}, text="thanks")
    result = await api.call("POST", WEBHOOK)
    (got,) = site.got
    assert got.is_signed_with(secret)
    assert got.headers["x-auth"] == "header-secret-1234"
    told = result.json
    assert (result.status, told["code"], told["status"], told["is_success"]) == (200, "ok_not_200", 202, True)
    assert "202" in told["verdict"]
    assert "200" in told["advice"]
    assert told["request"]["body"] == got.body.decode()
    assert {"name": "X-Auth", "value": "••••1234"} in told["request"]["headers"]
    assert told["response"]["body"] == "thanks"
    assert {"name": "x-trace", "value": "t"} in told["response"]["headers"]
    assert {"connect", "first_byte"} <= {phase["name"] for phase in told["timing"]["phases"]}
    assert told["timing"]["total_microseconds"] > 0
    assert "header-secret" not in result.body.decode()
    assert secret not in result.body.decode()
    assert await _audit(api) == [("webhook.tested", {"url": site.url(), "code": "ok_not_200", "status": 202})]


async def test_header_values_go_to_no_other_host(api: Api, site: Receiver) -> None:
    await api.change({"webhook_url": site.url(), "webhook_headers": {"X-Auth": "header-secret-1234"}})
    async with receiver() as other:
        await api.call("POST", WEBHOOK, {"url": other.url()})
        await api.call("POST", WEBHOOK, {"url": site.url("/another/path")})
    assert "x-auth" not in other.got[0].headers
    assert site.got[0].headers["x-auth"] == "header-secret-1234"
    assert (await api.get())["webhook_url"] == site.url()


async def test_a_webhook_that_fails_is_a_result_in_plain_words(api: Api, site: Receiver) -> None:
    site.script = answer(500, text="broken")
    told = (await api.call("POST", WEBHOOK, {"url": site.url()})).json
    assert (told["code"], told["is_success"], told["status"]) == ("server_error", False, 500)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    told = (await api.call("POST", WEBHOOK, {"url": f"http://127.0.0.1:{free}/"})).json
    assert (told["code"], told["response"], told["status"]) == ("refused", None, None)
    assert told["verdict"]
    assert told["advice"]


@pytest.mark.parametrize("target", [WEBHOOK, REDIRECT])
async def test_without_a_url_and_with_a_wrong_one_nothing_is_called(api: Api, target: str) -> None:
    for body in (None, {}, {"url": None}, {"url": " "}):
        missing = await api.call("POST", target, body)
        assert (missing.status, missing.json["code"]) == (400, "test_url_missing")
    wrong = await api.call("POST", target, {"url": "http://my_host.example/"})
    assert (wrong.status, wrong.json["code"]) == (400, "url_not_https")
    assert [problem["code"] for problem in wrong.json["problems"]] == ["url_not_https", "url_underscore"]
    for raw in (b'{"url": 5}', b'{"uri": "x"}', b"["):
        assert (await api.call("POST", target, raw=raw)).json["code"] == "body_invalid"
    assert await _audit(api) == []


@pytest.mark.parametrize("development", [False])
@pytest.mark.parametrize("target", [WEBHOOK, REDIRECT])
@pytest.mark.usefixtures("development")
async def test_in_production_this_machine_is_never_called(api: Api, site: Receiver, target: str) -> None:
    refused = await api.call("POST", target, {"url": site.url()})
    assert refused.status == 400
    assert "url_private_address" in {problem["code"] for problem in refused.json["problems"]}
    assert site.got == []


async def test_tests_are_limited(api: Api, site: Receiver) -> None:
    statuses = [(await api.call("POST", REDIRECT, {"url": site.url("/")})).status for _ in range(31)]
    assert statuses in ([*[200] * 30, 429], [200] * 31)  # the window may have ended between two
    assert len(site.got) >= 30


async def test_the_saved_redirect_url_is_opened_without_anything_of_the_partners(
    api: Api, site: Receiver
) -> None:
    await api.change(
        {
            "redirect_url": site.url("/connected?from=hub"),
            "webhook_url": site.url(),
            "webhook_headers": {"X-Auth": "header-secret-1234"},
        }
    )
    result = await api.call("POST", REDIRECT)
    (got,) = site.got
    assert got.path == "/connected?from=hub"
    assert "x-auth" not in got.headers
    told = result.json
    assert (told["code"], told["is_success"], told["status"]) == ("ok", True, 200)
    assert told["request"]["method"] == "GET"
    assert (told["response"]["body"], len(told["hops"])) == ("ok", 1)
    assert told["timing"] == told["hops"][0]["timing"]
    assert await _audit(api) == [
        ("redirect_url.tested", {"url": site.url("/connected?from=hub"), "code": "ok", "status": 200})
    ]


async def test_redirects_are_followed_and_shown(api: Api, site: Receiver) -> None:
    async def script(_site: Receiver, got: Got) -> web.Response:
        if got.path == "/end":
            return web.Response(text="here")
        return web.Response(status=302, headers={"Location": {"/a": "/b", "/b": "end#part"}[got.path]})

    site.script = script
    told = (await api.call("POST", REDIRECT, {"url": site.url("/a")})).json
    assert (told["code"], told["is_success"], told["response"]["body"]) == (
        "ok_after_redirects",
        True,
        "here",
    )
    assert [(hop["url"], hop["status"], hop["location"]) for hop in told["hops"]] == [
        (site.url("/a"), 302, site.url("/b")),
        (site.url("/b"), 302, site.url("/end")),
        (site.url("/end"), 200, None),
    ]
    assert site.url("/end") in told["verdict"]


@pytest.mark.parametrize(
    ("status", "location", "code", "calls"),
    [
        (302, "http://acme.example/", "redirect_insecure", 1),
        (302, "myapp://connected", "url_invalid", 1),
        (302, "https://[", "url_invalid", 1),
        (302, "/", "too_many_redirects", 6),
        (302, "https://10.0.0.1/", "blocked", 1),
        (302, "", "redirect_without_target", 1),
        (304, "", "redirect_without_target", 1),
        (404, "", "client_error", 1),
        (410, "", "client_error", 1),
        (503, "", "server_error", 1),
    ],
)
async def test_every_way_a_page_can_fail_has_a_code_and_words(
    api: Api, site: Receiver, *, status: int, location: str, code: str, calls: int
) -> None:
    site.script = answer(status, headers={"Location": location} if location else None)
    told = (await api.call("POST", REDIRECT, {"url": site.url("/")})).json
    assert (told["code"], told["is_success"]) == (code, False)
    assert told["verdict"]
    assert told["advice"]
    assert "{" not in told["verdict"]
    assert len(site.got) == calls


def test_every_failure_of_the_client_has_words_for_a_page() -> None:
    kinds = {str(kind) for kind in FailureKind} | {outcomes.URL_INVALID, outcomes.INTERNAL}
    statuses = {outcomes._status_error(status) for status in range(300, 600)} - {"redirect"}
    assert {_SAME.get(kind, kind) for kind in kinds | statuses} <= MEANINGS.keys()
