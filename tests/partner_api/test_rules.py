"""The twelve rules that break clients when violated (Partner API reference 1.2), one by one."""

from __future__ import annotations

from typing import Any

import pytest
from tests.factories import (
    MadeChannel,
    make_channel,
    make_client,
    make_partner,
    make_template,
    make_waba,
)
from tests.partner_api.conftest import MESSAGING_URL, Api

DRAFT: dict[str, Any] = {
    "name": "welcome_1",
    "category": "MARKETING",
    "language": "de",
    "components": [{"type": "BODY", "text": "Welcome to our news."}],
}
LISTS = {
    "clients": "clients",
    "channels": "partner_channels",
    "waba_accounts/q1W2e3WA/waba_templates": "waba_templates",
}


@pytest.fixture
async def channel(api: Api) -> MadeChannel:
    """A live channel."""
    client = await make_client(api.database, partner=api.partner)
    waba = await make_waba(api.database, client=client, id="q1W2e3WA")
    return await make_channel(api.database, waba=waba, id="k9Lm2NCH")


async def test_rule_1_every_answer_is_a_json_object_but_the_balance(api: Api, channel: MadeChannel) -> None:
    template = await make_template(api.database, waba=await make_waba(api.database))
    control = f"clients/{channel.client_id}/channels/{channel.id}/control"
    calls: list[tuple[str, str, int]] = [
        ("GET", "", 200),
        ("PATCH", "", 200),
        ("GET", "webhook_url", 200),
        ("POST", "webhook_url", 400),
        ("PATCH", "settings/partner_change_request", 400),
        ("GET", "clients", 200),
        ("GET", f"clients/{channel.client_id}", 200),
        ("PATCH", f"clients/{channel.client_id}", 200),
        ("GET", "channels", 200),
        ("GET", f"channels/{channel.id}", 200),
        ("POST", f"channels/{channel.id}/api_keys", 201),
        ("GET", f"channels/{channel.id}/api_keys", 200),
        ("DELETE", f"channels/{channel.id}/api_keys", 200),
        ("POST", f"{control}/cancellation_request", 200),
        ("POST", f"{control}/reactivate", 200),
        ("GET", f"waba_accounts/{channel.waba_id}", 200),
        ("GET", f"waba_accounts/{channel.waba_id}/waba_templates", 200),
        ("POST", f"waba_accounts/{channel.waba_id}/waba_templates", 400),
        ("DELETE", f"waba_accounts/{channel.waba_id}/waba_templates/{template.id}", 404),
        ("GET", "no_such_thing", 404),
        ("PUT", "", 405),
        ("GET", "channels?limit=x", 400),
        ("POST", "/api/v2/token", 400),
        ("GET", "/api/v2/no_such_thing", 404),
        ("GET", "/v1/no_such_thing", 404),
    ]
    for method, path, status in calls:
        answer = await api.call(method, path)
        assert answer.status == status, (method, path, answer.body)
        assert isinstance(answer.json, dict), (method, path)
        assert answer.headers["content-type"] == "application/json"
        assert answer.body.endswith(b"}\n")


async def test_rule_2_a_new_key_is_201_with_four_texts(api: Api, channel: MadeChannel) -> None:
    for raw in (None, b"", b"{}", b'{"a":1}'):
        answer = await api.post(f"channels/{channel.id}/api_keys", raw=raw)
        assert answer.status == 201
        assert {name: type(value) for name, value in answer.json.items()} == {
            "address": str,
            "api_key": str,
            "app_id": str,
            "id": str,
        }


@pytest.mark.usefixtures("channel")
async def test_rule_4_lists_carry_the_envelope_under_their_own_name(api: Api) -> None:
    for path, name in LISTS.items():
        answer = (await api.get(path)).json
        assert answer.keys() == {"count", "total", "limit", "offset", "sort", "filters", name}
        assert answer["count"] == len(answer[name]) == answer["total"]


@pytest.mark.usefixtures("channel")
async def test_rule_5_filters_come_in_every_encoding(api: Api) -> None:
    encodings = [
        '{"id":"k9Lm2NCH"}',
        '{"id":%20"k9Lm2NCH"}',
        "%7B%22id%22:%22k9Lm2NCH%22%7D",
        "%7B%22id%22:%20%22k9Lm2NCH%22%7D",
        "%7b%22id%22%3a+%22k9Lm2NCH%22%7d",
    ]
    for path in LISTS:
        for filters in encodings:
            answer = await api.get(f"{path}?filters={filters}")
            assert (answer.status, answer.json["filters"]) == (200, {"id": "k9Lm2NCH"}), (path, filters)
            assert answer.json["count"] == answer.json["total"] == (1 if path == "channels" else 0)
        for filters in ("{}", "%7B%7D", ""):
            answer = await api.get(f"{path}?filters={filters}")
            assert (answer.status, answer.json["filters"]) == (200, {})


@pytest.mark.usefixtures("channel")
async def test_rule_6_without_sort_it_is_by_id_and_said_back(api: Api) -> None:
    for number in range(4):
        client = await make_client(api.database, partner=api.partner, id=f"{'bAaB'[number]}{number}CL")
        waba = await make_waba(api.database, client=client)
        await make_channel(api.database, waba=waba, id=f"{'bAaB'[number]}{number}CH")
    for path, name in LISTS.items():
        answer = (await api.get(path)).json
        assert answer["sort"] == ["id"]
        ids = [row["id"] for row in answer[name]]
        assert ids == sorted(ids, key=lambda one: (one.lower(), one))


async def test_rule_7_a_key_is_taken_from_three_headers(api: Api) -> None:
    for carrier in ("X-API-Key", "x-api-key", "D360-API-KEY", "Authorization"):
        value = f"Bearer {api.key}" if carrier == "Authorization" else api.key
        assert (await api.get("", headers={carrier: value})).status == 200
        assert (await api.get("", headers={carrier: value + "x"})).status == 401


@pytest.mark.usefixtures("channel")
async def test_rule_8_no_date_number_flag_or_word_is_null(api: Api) -> None:
    """The members that typed clients refuse a null in (8.3), on rows that have nothing to say."""
    await make_channel(
        api.database,
        waba=await make_waba(api.database, client=await make_client(api.database, partner=api.partner)),
        status="created",
        integration_state="created",
        account_mode="sandbox",
        hub_status="draft",
        current_limit=None,
        current_quality_rating=None,
    )
    nullable = {
        "current_limit",
        "current_quality_rating",
        "terminated_at",
        "billing_started_at",
        "cancelled_at",
        "settings",
        "region",
        "error",
        "partner_payload",
        "quality_score",
        "rejected_reason",
    }
    for path, name in LISTS.items():
        for row in (await api.get(path)).json[name]:
            assert set(_nulls(row)) <= nullable
    (fresh,) = (await api.get('channels?filters={"status":"created"}')).json["partner_channels"]
    assert fresh["setup_info"]["shards_number"] == 1
    assert fresh["integration"]["enabled"] is False


def _nulls(value: object, name: str = "") -> list[str]:
    match value:
        case None:
            return [name]
        case dict():
            return [null for key, inner in value.items() for null in _nulls(inner, key)]
        case list():
            return [null for inner in value for null in _nulls(inner, name)]
        case _:
            return []


async def test_rule_9_changed_urls_are_answered_with_an_id(api: Api) -> None:
    url = "https://acme.example/hook"
    for answer in (
        await api.post("webhook_url", {"webhook_url": url}),
        await api.patch("", {"webhook_url": url, "partner_redirect_url": url}),
    ):
        assert (answer.json["id"], answer.json["webhook_url"]) == (api.partner.id, url)


async def test_rule_11_a_cancellation_needs_the_client_in_its_path(api: Api, channel: MadeChannel) -> None:
    answer = await api.post(f"channels/{channel.id}/control/cancellation_request", {})
    assert (answer.status, answer.json["meta"]["http_code"]) == (404, 404)
    other = await make_client(api.database, partner=api.partner)
    wrong = await api.post(f"clients/{other.id}/channels/{channel.id}/control/cancellation_request", {})
    assert wrong.status == 404


async def test_rule_12_a_key_tells_where_it_works(api: Api, channel: MadeChannel) -> None:
    answer = await api.post(f"channels/{channel.id}/api_keys", {})
    assert answer.json["address"] == MESSAGING_URL
    assert not answer.json["address"].endswith("/")


async def test_another_partners_path_is_403_whether_it_exists_or_not(api: Api, channel: MadeChannel) -> None:
    other = await make_partner(api.database)
    for partner_id in (other.id, "nobodyPA"):
        for path in ("", "/clients", "/channels", f"/channels/{channel.id}", "/balance", "/webhook_url"):
            answer = await api.get(f"/api/v2/partners/{partner_id}{path}")
            assert (answer.status, answer.json["meta"]["http_code"]) == (403, 403), path
        for prefix in ("/api/v2", "/v1"):
            path = f"{prefix}/partners/{partner_id}/waba_accounts/{channel.waba_id}/waba_templates"
            assert (await api.post(path, DRAFT)).status == 403


async def test_another_tenants_object_under_ones_own_path_is_404(api: Api, channel: MadeChannel) -> None:
    theirs = await make_channel(api.database)
    template = await make_template(api.database, waba=await make_waba(api.database))
    control = f"clients/{theirs.client_id}/channels/{theirs.id}/control"
    calls = [
        ("GET", f"clients/{theirs.client_id}"),
        ("PATCH", f"clients/{theirs.client_id}"),
        ("GET", f"channels/{theirs.id}"),
        ("POST", f"channels/{theirs.id}/api_keys"),
        ("GET", f"channels/{theirs.id}/api_keys"),
        ("DELETE", f"channels/{theirs.id}/api_keys"),
        ("POST", f"{control}/cancellation_request"),
        ("POST", f"{control}/reactivate"),
        ("GET", f"waba_accounts/{theirs.waba_id}"),
        ("GET", f"waba_accounts/{theirs.waba_id}/waba_templates"),
        ("DELETE", f"waba_accounts/{template.waba_id}/waba_templates/{template.id}"),
        ("DELETE", f"waba_accounts/{channel.waba_id}/waba_templates/{template.id}"),
    ]
    for method, path in calls:
        answer = await api.call(method, path)
        assert (answer.status, answer.json["meta"]["http_code"]) == (404, 404), (method, path)
    created = await api.post(f"waba_accounts/{theirs.waba_id}/waba_templates", DRAFT)
    assert created.status == 404
    async with api.database.system() as unit:
        assert await unit.fetch_value("select count(*) from channel_key") == 0
        assert await unit.fetch_value("select count(*) from event") == 0


async def test_an_id_that_cannot_be_one_is_404(api: Api) -> None:
    for target in (
        "channels/%00",
        "clients/a%00b",
        "channels/%FF",
        "channels/%F0%9F%98%80",
        "channels/..%2F",
    ):
        answer = await api.get(target)
        assert (answer.status, answer.json["meta"]["http_code"]) == (404, 404), target


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer a.b.c"}])
async def test_without_a_credential_every_call_is_401_with_meta(api: Api, headers: dict[str, str]) -> None:
    for path in ("", "/clients", "/channels/k9Lm2NCH"):
        answer = await api.get(f"/api/v2/partners/{api.partner.id}{path}", headers=headers)
        assert answer.status == 401
        assert answer.message
        assert isinstance(answer.json.get("error", ""), str)
