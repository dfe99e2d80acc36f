"""What each public client does on the wire, replayed: the quirks that a drop-in has to survive."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import yaml
from tests.factories import (
    MadeChannel,
    MadeWaba,
    make_channel,
    make_client,
    make_member,
    make_template,
    make_waba,
)
from tests.partner_api.conftest import CHEAP, Api

PASSWORD = "correct horse battery"


@pytest.fixture
async def channel(api: Api) -> MadeChannel:
    """A live channel."""
    client = await make_client(api.database, partner=api.partner, email="ops@client.example")
    waba = await make_waba(api.database, client=client, id="q1W2e3WA")
    return await make_channel(api.database, waba=waba, id="k9Lm2NCH", phone_number="4930000000")


async def _login(api: Api) -> dict[str, Any]:
    await make_member(
        api.database,
        partner=api.partner,
        email="api@partner.example",
        password_hash=await CHEAP.hash(PASSWORD),
    )
    answer = await api.post(
        "/api/v2/token", {"username": "api@partner.example", "password": PASSWORD}, headers={}
    )
    token: dict[str, Any] = answer.json
    return token


async def test_kairon_joins_the_token_finds_the_waba_and_mints(api: Api, channel: MadeChannel) -> None:
    """It builds the header from two members, filters by id, and reads the key whatever the status."""
    token = await _login(api)
    headers = {
        "Authorization": token["token_type"] + " " + token["access_token"],
        "Content-Type": "application/json",
    }
    listed = await api.get(f'channels?filters={{"id":"{channel.id}"}}', headers=headers)
    assert listed.status == 200
    assert listed.json["limit"] == 1000
    assert listed.json["partner_channels"][0]["waba_account"]["id"] == channel.waba_id
    minted = await api.post(f"channels/{channel.id}/api_keys", {}, headers=headers)
    assert minted.json.get("api_key")
    unknown = await api.post("channels/unknownCH/api_keys", {}, headers=headers)
    assert (unknown.status, unknown.json.get("api_key")) == (404, None)
    assert unknown.json["meta"]["developer_message"]


async def test_kairon_lists_templates_by_the_table_name_and_by_an_empty_filter(
    api: Api, channel: MadeChannel
) -> None:
    template = await make_template(api.database, waba=_waba_of(channel), name="promo_1", language="en")
    path = f"waba_accounts/{channel.waba_id}/waba_templates"
    for query in (
        "filters=%7B%22business_templates.name%22:%20%22promo_1%22%7D&sort=business_templates.name",
        f"filters=%7B%22id%22:%20%22{template.id}%22%7D&sort=business_templates.name",
        "filters={}",
    ):
        answer = await api.get(f"{path}?{query}")
        assert [row["id"] for row in answer.json["waba_templates"]] == [template.id], query


def _waba_of(channel: MadeChannel) -> MadeWaba:
    return MadeWaba(channel.waba_id, channel.partner_id, channel.client_id, "")


async def test_100eyes_mints_without_a_body_and_reads_yaml(api: Api, channel: MadeChannel) -> None:
    """It sends no body and no content type; the answer is JSON, which its YAML reader takes too."""
    answer = await api.call("POST", f"channels/{channel.id}/api_keys", headers={"x-api-key": api.key})
    assert answer.status == 201
    assert yaml.safe_load(answer.body)["api_key"] == answer.json["api_key"]


async def test_100eyes_finds_the_waba_by_scanning_for_the_client(api: Api, channel: MadeChannel) -> None:
    await make_channel(
        api.database,
        waba=await make_waba(api.database, client=await make_client(api.database, partner=api.partner)),
    )
    rows = (await api.get("channels")).json["partner_channels"]
    found = [row["waba_account"]["id"] for row in rows if row["client"]["id"] == channel.client_id]
    assert found == [channel.waba_id]


async def test_vozko_pages_until_the_total_is_reached(api: Api, channel: MadeChannel) -> None:
    """It distrusts the e-mail filter: pages of 200, `total` says when to stop, an empty page is fine."""
    for number in range(5):
        await make_client(api.database, partner=api.partner, email=f"c{number}@client.example")
    seen: list[str] = []
    total = 1
    while len(seen) < total:
        page = (await api.get(f"clients?limit=2&offset={len(seen)}")).json
        total = page["total"]
        seen += [row["contact_info"]["email"] for row in page["clients"]]
    assert (len(seen), len(set(seen))) == (6, 6)
    beyond = (await api.get("clients?limit=200&offset=200")).json
    assert (beyond["clients"], beyond["count"], beyond["total"]) == ([], 0, 6)
    escaped = quote_plus(json.dumps({"id": channel.id}, separators=(",", ":")))
    assert (await api.get(f"channels?limit=200&filters={escaped}")).json["total"] == 1
    nothing = (await api.get("channels?filters=%7B%22id%22%3A%22none%22%7D")).json
    assert (nothing["partner_channels"], nothing["total"]) == ([], 0)


async def test_vozko_cancels_with_an_empty_object_and_reads_the_channel(
    api: Api, channel: MadeChannel
) -> None:
    path = f"clients/{channel.client_id}/channels/{channel.id}/control/cancellation_request"
    assert (await api.post(path, {})).status == 200
    row = (await api.get(f"channels?filters=%7B%22id%22%3A%22{channel.id}%22%7D")).json["partner_channels"][0]
    assert (row["hub_status"], bool(row["cancelled_at"])) == ("pending_deletion", True)


async def test_dotnet_sends_nulls_and_unset_words(api: Api, channel: MadeChannel) -> None:
    """WABA360Dialog.NET: nulls in PATCH bodies, `"unknown"` for unset enums, lower-case hex in queries."""
    assert (await api.patch("", {"webhook_url": None, "partner_redirect_url": None})).status == 200
    client = await api.patch(f"clients/{channel.client_id}", {"partner_payload": None, "max_channels": None})
    assert (client.status, client.json["partner_payload"]) == (200, "crm-42")
    await make_template(api.database, waba=_waba_of(channel))
    filters = (
        quote_plus('{"status":"unknown","language":"unknown"}').replace("%7B", "%7b").replace("%3A", "%3a")
    )
    path = f"waba_accounts/{channel.waba_id}/waba_templates"
    assert (await api.get(f"{path}?limit=1000&offset=0&filters={filters}")).json["count"] == 1
    deleted = await api.delete(f"channels/{channel.id}/api_keys", {})
    assert isinstance(deleted.json["meta"]["http_code"], int)


@pytest.mark.parametrize(
    "filters",
    [
        {"id": "k9Lm2NCH"},
        {"account_mode": "live", "status": "ready"},
        {"client.contact_info.email": "ops@client.example"},
        {"setup_info.phone_number": "4930000000"},
        {"waba_account.id": "q1W2e3WA", "waba_account.fb_account_status": "verified"},
        {"terminated_at": None},
    ],
)
@pytest.mark.usefixtures("channel")
async def test_dotnet_filters_channels_by_each_of_its_keys(api: Api, filters: dict[str, Any]) -> None:
    answer = await api.get(f"channels?limit=20&offset=0&filters={quote_plus(json.dumps(filters))}")
    assert (answer.status, answer.json["count"], answer.json["filters"]) == (200, 1, filters)


@pytest.mark.parametrize(
    "filters",
    [
        {"name": "Client GmbH", "status": "active"},
        {"organisation": "Client GmbH", "partner_payload": "crm-42"},
        {"contact_info.email": "ops@client.example"},
    ],
)
async def test_dotnet_filters_clients_by_each_of_its_keys(
    api: Api, channel: MadeChannel, filters: dict[str, Any]
) -> None:
    answer = await api.get(f"clients?limit=20&filters={quote_plus(json.dumps(filters))}")
    assert [row["id"] for row in answer.json["clients"]] == [channel.client_id]


async def test_atoomo_takes_an_id_for_success(api: Api) -> None:
    """It treats an answer without `id` as failed, for both ways to set a URL."""
    body = {
        "webhook_url": "https://acme.example/wp-json/hook",
        "partner_redirect_url": "https://acme.example/",
    }
    assert (await api.patch("", body)).json["id"]
    assert (await api.post("webhook_url", {"webhook_url": body["webhook_url"]})).json["id"]


async def test_dialog_hsm_percent_encodes_path_segments(api: Api, channel: MadeChannel) -> None:
    encoded = "".join(f"%{ord(letter):02X}" for letter in channel.id)
    partner = quote(api.partner.id).replace("f", "%66", 1)
    answer = await api.get(f"/api/v2/partners/{partner}/channels/{encoded}")
    assert (answer.status, answer.json["id"]) == (200, channel.id)


async def test_nahla_uses_a_hyphen_and_the_key_as_bearer(api: Api, channel: MadeChannel) -> None:
    answer = await api.post(
        f"channels/{channel.id}/api-keys", {}, headers={"Authorization": f"Bearer {api.key}"}
    )
    assert (answer.status, bool(answer.json["api_key"])) == (201, True)


async def test_a_fastapi_client_reads_the_first_client_of_an_id_filter(
    api: Api, channel: MadeChannel
) -> None:
    answer = await api.get(
        f'clients?filters={{"id":"{channel.client_id}"}}', headers={"D360-API-KEY": api.key}
    )
    assert answer.status == 200
    first = answer.json["clients"][0]
    assert (first["name"], first["contact_info"]["email"]) == ("Client GmbH", "ops@client.example")
    one = await api.get(f"channels/{channel.id}", headers={"D360-API-KEY": api.key})
    assert (one.status, one.json["setup_info"]["phone_number"]) == (200, "4930000000")


async def test_a_content_type_on_a_get_without_body_is_fine(api: Api) -> None:
    headers = {"X-API-Key": api.key, "Content-Type": "application/json"}
    assert (await api.get("clients", headers=headers)).status == 200


async def test_a_body_without_content_type_or_with_a_wrong_one_is_read_as_json(api: Api) -> None:
    for headers in (
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ):
        answer = await api.patch("", {"brand_name": "Acme"}, headers={"X-API-Key": api.key, **headers})
        assert (answer.status, answer.json["brand_name"]) == (200, "Acme")
