"""Each door says errors in its own dialect, also for paths that no route has."""

from __future__ import annotations

import json

import pytest
from structlog.processors import format_exc_info
from structlog.testing import capture_logs

from partnerhub.kit import logs
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.errors import HubError
from partnerhub.web import partner_json
from tests.conftest import with_database
from tests.web.conftest import FAULTS, Site, make_application, running


async def get(site: Site, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    async with site.http.get(path, headers=headers, allow_redirects=False) as answer:
        return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.text()


@pytest.mark.parametrize("kind", ["invalid", "missing", "conflict", "limited"])
async def test_the_partner_api_says_meta(site: Site, kind: str) -> None:
    fault = FAULTS[kind]
    assert isinstance(fault, HubError)
    got, headers, text = await get(site, f"/api/v2/fail/{kind}")
    meta = {"success": False, "http_code": fault.status, "developer_message": fault.message}
    details = {"details": ["webhook_url: has a port"]} if kind == "invalid" else {}
    assert json.loads(text) == {"meta": meta | details}
    assert (got, headers["x-error-code"]) == (fault.status, fault.code)
    assert headers["content-type"] == "application/json"
    assert headers.get("retry-after") == ("17" if kind == "limited" else None)
    # Keys sorted, compact, one newline.
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) + "\n"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2/nowhere",
        "/v1/partners/onePA/nowhere",
        "/api/v2/partners/onePA",
        "/api//v2/nowhere",
        "/api/",
        "/api",
        "/v1",
    ],
)
async def test_unknown_paths_of_the_partner_api_are_objects_too(site: Site, path: str) -> None:
    status, headers, text = await get(site, path)
    assert (status, headers["content-type"], headers["vary"]) == (404, "application/json", "Origin")
    assert json.loads(text)["meta"]["http_code"] == 404


@pytest.mark.parametrize("path", ["/api/v2//token", "/api//v2/token/", "/api/v2/token/more"])
async def test_the_token_call_keeps_its_dialect_however_its_path_is_written(site: Site, path: str) -> None:
    status, headers, text = await get(site, path)
    assert (status in {404, 405}, headers["vary"]) == (True, "Origin")
    assert set(json.loads(text)) == {"error", "error_description"}


@pytest.mark.parametrize("path", ["/apis", "/v12", "/"])
async def test_other_paths_are_pages(site: Site, path: str) -> None:
    status, headers, _ = await get(site, path)
    assert (status, headers["content-type"].partition(";")[0]) == (404, "text/html")


async def test_options_names_every_method_of_a_path(site: Site) -> None:
    for path, methods in (
        ("/api/v2/partners/onePA/things", "GET, OPTIONS, POST"),
        ("/api/v2/token", "OPTIONS, POST"),
    ):
        async with site.http.options(path) as answer:
            assert (answer.status, answer.headers["allow"]) == (204, methods)
    async with site.http.options("/api/v2/nowhere") as answer:
        assert answer.status == 404


async def test_a_wrong_method_is_405_and_names_the_right_ones(site: Site) -> None:
    async with site.http.put("/api/v2/partners/onePA/things") as answer:
        assert (answer.status, (await answer.json())["meta"]["http_code"]) == (405, 405)
        assert {"GET", "POST"} <= set(answer.headers["allow"].replace(" ", "").split(","))


async def test_a_body_of_the_wrong_shape_is_400_with_details(site: Site) -> None:
    partner_id, key = await site.key("write")
    for body, field in (
        (b'{"name": 7}', "name"),
        (b'{"count": 1}', "name"),
        (b'{"name": "x", "extra": 1}', "extra"),
    ):
        async with site.http.post(f"/api/v2/partners/{partner_id}/things", data=body, headers=key) as answer:
            meta = (await answer.json())["meta"]
        assert (answer.status, meta["success"]) == (400, False)
        assert any(field in detail for detail in meta["details"]), meta
    async with site.http.post(f"/api/v2/partners/{partner_id}/things", data=b"{", headers=key) as answer:
        assert (answer.status, (await answer.json())["meta"]["http_code"]) == (400, 400)
    async with site.http.post(
        f"/api/v2/partners/{partner_id}/things", data=b'{"name": "x"}', headers=key
    ) as answer:
        assert answer.status == 201


async def test_an_upstream_error_carries_its_code_and_trace(site: Site) -> None:
    status, _, text = await get(site, "/api/v2/fail/upstream")
    data = json.loads(text)["meta"]["error_data"]
    assert (status, data["code"], data["status"]) == (502, "131026", 502)
    assert "AbC" in data["real_message"]
    _, _, text = await get(site, "/api/hub/v1/fail/upstream")
    assert json.loads(text)["upstream"] == {"code": 131_026, "trace_id": "AbC"}


async def test_legacy_tokens_off_speaks_to_both_kinds_of_client(site: Site) -> None:
    status, _, text = await get(site, "/api/v2/fail/legacy")
    body = json.loads(text)
    assert (status, body["meta"]["http_code"]) == (403, 403)
    assert (body["error"], body["error_description"]) == (
        "legacy_token_auth_disabled",
        "Legacy tokens are off.",
    )


async def test_the_token_call_says_two_strings(site: Site) -> None:
    for kind, status, error in (
        ("legacy", 403, "legacy_token_auth_disabled"),
        ("invalid", 400, "invalid_request"),
        ("bug", 500, "internal_error"),
    ):
        async with site.http.post("/api/v2/token", params={"kind": kind}) as answer:
            body = await answer.json()
            assert (answer.status, body["error"], set(body)) == (
                status,
                error,
                {"error", "error_description"},
            )
    async with site.http.get("/api/v2/token") as answer:
        assert (answer.status, set(await answer.json())) == (405, {"error", "error_description"})


async def test_the_hub_api_says_a_problem_with_code_fields_and_request_id(site: Site) -> None:
    status, headers, text = await get(site, "/api/hub/v1/fail/invalid", **{"x-request-id": "request-one"})
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert json.loads(text) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "code": "url_port",
        "message": "The address is wrong.",
        "fields": {"webhook_url": "has a port"},
        "problems": [{"field": "webhook_url", "code": "url_port", "message": "has a port"}],
        "request_id": "request-one",
    }
    status, headers, text = await get(site, "/api/hub/v1/nowhere")
    assert (status, json.loads(text)["code"]) == (404, "route_not_found")


@pytest.mark.parametrize("path", ["/api/v2/fail/bug", "/api/hub/v1/fail/bug", "/fail/bug"])
async def test_a_bug_says_nothing_of_its_cause_and_is_logged_once_with_its_request(
    site: Site, path: str
) -> None:
    with capture_logs(processors=[logs._add_request_id, format_exc_info]) as written:
        status, headers, text = await get(site, path)
    assert (status, headers["x-error-code"], "hunter2" in text) == (500, "internal_error", False)
    found = [line for line in written if line["event"] == "bug"]
    assert [line["request_id"] for line in found] == [headers["x-request-id"]]
    assert "ValueError: a detail that must stay inside" in found[0]["exception"]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "This page does not exist"),
        ("de", "Diese Seite"),
        ("pt-BR", "Esta página"),
        ("es", "Esta página"),
    ],
)
async def test_people_get_a_page_in_their_language_with_code_and_request_id(
    site: Site, language: str, words: str
) -> None:
    status, headers, text = await get(site, "/nowhere", **{"accept-language": language})
    assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert f'lang="{language}"' in text
    assert words in text
    assert "route_not_found" in text
    assert headers["x-request-id"] in text
    assert "script-src 'self'" in headers["content-security-policy"]


async def test_an_error_page_lets_its_reader_choose_another_language(site: Site) -> None:
    async with site.http.post(
        "/preferences", data={"language": "de", "next": "/nowhere"}, allow_redirects=False
    ) as answer:
        assert (answer.status, answer.headers["location"]) == (303, "/nowhere")
        assert answer.cookies["lang"].value == "de"


async def test_a_script_that_swaps_parts_gets_a_toast(site: Site) -> None:
    status, headers, text = await get(site, "/fail/conflict", **{"hx-request": "true"})
    assert (status, headers["hx-reswap"]) == (409, "none")
    assert "<html" not in text
    assert 'id="toaster"' in text
    assert "io_signature_on" in text


async def test_without_the_database_the_answer_is_503_in_every_dialect(
    database_url: str, keyring: Keyring
) -> None:
    url = with_database(database_url, "test_never")
    database = Database(url, name="away", min_size=0)
    await database.pool.open()
    database.pool.timeout = 0.2
    try:
        async with running(database, make_application(database, keyring)) as site:
            status, headers, text = await get(site, "/api/v2/away")
            assert (status, headers["retry-after"]) == (503, "1")
            assert json.loads(text)["meta"]["http_code"] == 503
            status, headers, text = await get(site, "/dashboard/things", cookie="partner_session=x")
            assert (status, "database_away" in text) == (503, True)
    finally:
        await database.close()


def test_partner_json_is_sorted_compact_escaped_and_ends_with_a_newline() -> None:
    assert partner_json.encode({"b": {"z": 1, "a": "ü😀"}, "a": [0.0, None, True]}) == (
        b'{"a":[0.0,null,true],"b":{"a":"\\u00fc\\ud83d\\ude00","z":1}}\n'
    )


@pytest.mark.parametrize("path", ["/search", "/api/hub/v1/search"])
async def test_a_zero_character_in_a_value_is_a_wrong_request(site: Site, path: str) -> None:
    async with site.http.get(path, params={"name": "a\x00b"}) as answer:
        assert (answer.status, answer.headers["x-error-code"]) == (400, "zero_character")
    async with site.http.get(path, params={"name": "ab"}) as answer:
        assert answer.status == 200
