"""Every call of the Partner API: status codes, bodies, errors, and what it does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.channels.told import told, told_names
from tests.factories import (
    MadeChannel,
    make_channel,
    make_client,
    make_key,
    make_member,
    make_template,
    make_waba,
)
from tests.partner_api.conftest import CHEAP, MESSAGING_URL, Api
from tests.partner_api.wire import exchange

from partnerhub.channels.queries import find_route_by_key
from partnerhub.identity.queries import list_audit
from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit import clock
from partnerhub.kit.crypto import fingerprint
from partnerhub.kit.ids import uuid7
from partnerhub.kit.money import Micros
from partnerhub.ledger.services import open_wallet, top_up

PASSWORD = "correct horse battery"


async def _channel(api: Api, **members: Any) -> MadeChannel:
    client = await make_client(api.database, partner=api.partner)
    return await make_channel(api.database, waba=await make_waba(api.database, client=client), **members)


# --- token


async def _login(api: Api, body: object, **more: Any) -> tuple[int, dict[str, str]]:
    answer = await api.post("/api/v2/token", body, headers={"Content-Type": "application/json"}, **more)
    return answer.status, answer.json


async def _member(api: Api) -> None:
    await make_member(
        api.database,
        partner=api.partner,
        email="api@partner.example",
        name="apiuser",
        password_hash=await CHEAP.hash(PASSWORD),
    )


@pytest.mark.parametrize("password", ["wrong", "x" * 500])
async def test_a_wrong_password_is_401_in_oauths_words(api: Api, password: str) -> None:
    await _member(api)
    for username in ("api@partner.example", "nobody@partner.example"):
        status, body = await _login(api, {"username": username, "password": password})
        assert (status, body["error"], set(body)) == (401, "invalid_grant", {"error", "error_description"})


@pytest.mark.parametrize(
    "body",
    [{}, {"username": "a@b.example"}, {"username": "", "password": "x"}, {"username": 5, "password": "x"}],
)
async def test_missing_login_members_are_400(api: Api, body: object) -> None:
    status, answer = await _login(api, body)
    assert (status, answer["error"]) == (400, "invalid_request")
    assert answer["error_description"]


async def test_a_login_that_is_no_json_is_400(api: Api) -> None:
    status, answer = await _login(api, None, raw=b"username=a&password=b")
    assert (status, answer["error"]) == (400, "invalid_request")


async def test_with_the_switch_off_the_login_is_403_and_tokens_are_403_with_both_dialects(api: Api) -> None:
    await _member(api)
    login = {"username": "api@partner.example", "password": PASSWORD}
    _, token = await _login(api, login)
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    assert (await api.get("", headers=bearer)).status == 200
    async with api.database.system() as unit:
        await unit.execute("update partner set legacy_token_auth_enabled = false")
    status, body = await _login(api, login)
    assert (status, set(body)) == (403, {"error", "error_description"})
    refused = await api.get("", headers=bearer)
    assert refused.status == 403
    assert refused.json["meta"]["http_code"] == 403
    assert refused.json.keys() == {"meta", "error", "error_description"}
    assert (refused.json["error"], refused.json["error_description"]) == (
        body["error"],
        body["error_description"],
    )
    with clock.moved_by(timedelta(days=2)):
        # Not 401 either once the token has run out: a client would go for a new one, in vain.
        assert (await api.get("", headers=bearer)).status == 403
        assert (await api.get("clients", headers=bearer)).status == 403
    refresh = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    assert (await _login(api, refresh))[0] == 403
    # A partner key as Bearer goes on working.
    assert (await api.get("", headers={"Authorization": f"Bearer {api.key}"})).status == 200


async def test_a_refresh_token_gives_a_new_pair(api: Api) -> None:
    await _member(api)
    _, token = await _login(api, {"username": "api@partner.example", "password": PASSWORD})
    body = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    status, fresh = await _login(api, body)
    assert (status, fresh["token_type"]) == (200, "Bearer")
    assert (await _login(api, body))[0] == 401


async def test_a_login_for_another_partner_does_not_speak_of_its_switch(api: Api) -> None:
    await _member(api)
    login = {"username": "api@partner.example", "password": PASSWORD, "partner_id": "nobodyPA"}
    status, body = await _login(api, login)
    assert (status, body["error"]) == (403, "no_place_in_hub")
    assert body["error_description"] == "You do not belong to this partner."


async def test_every_answer_says_that_it_varies_with_the_origin(api: Api) -> None:
    answers = [
        await api.get(""),
        await api.get("", headers={}),
        await api.patch("", {"logo_url": "x"}),
        await api.get("nowhere"),
        await api.get("//api/v2/nowhere"),
        await api.call("PUT", "/api/v2/token"),
    ]
    assert [answer.status for answer in answers] == [200, 401, 400, 404, 404, 405]
    assert [answer.headers["vary"] for answer in answers] == ["Origin"] * 6


async def test_options_names_the_methods_of_all_handlers(api: Api) -> None:
    for target, methods in (
        (api.path, "GET, OPTIONS, PATCH"),
        (f"{api.path}/webhook_url", "GET, OPTIONS, POST"),
        (f"{api.path}/channels/xCH/api_keys", "DELETE, GET, OPTIONS, POST"),
        ("/v1/partners/f167CmPA/waba_accounts/xWA/waba_templates/xWT", "DELETE, OPTIONS, PATCH"),
    ):
        assert (await exchange(api.url, "OPTIONS", target)).headers["allow"] == methods


# --- partner


async def test_the_partner_shows_every_member_that_clients_read(api: Api) -> None:
    answer = await api.get("")
    assert answer.json == {
        "id": "f167CmPA",
        "brand_name": "Acme Chat",
        "logo_url": None,
        "webhook_url": None,
        "partner_redirect_url": "https://acme.example/return",
        "country": "DE",
        "payment_required": False,
        "payment_plan": {},
        "onboarding_deeplink_add_params": False,
        "blocked_new_submission": False,
        "allow_client_to_add_phone_no": True,
        "settings": {"partner_change_request": {"auto_approve": False}},
        "publishable_key": None,
    }


async def test_a_patch_changes_what_is_named_and_null_changes_nothing(api: Api) -> None:
    """WABA360Dialog.NET sends null for what the caller left out; another client sends the webhook only."""
    first = await api.patch(
        "", {"webhook_url": "https://acme.example/360/hook", "partner_redirect_url": None, "surprise": 1}
    )
    second = await api.patch(
        "",
        {
            "webhook_url": None,
            "partner_redirect_url": "https://acme.example/back",
            "brand_name": "Acme",
            "logo_url": "https://acme.example/logo.svg",
        },
    )
    assert (first.status, second.status) == (200, 200)
    assert first.json["partner_redirect_url"] == "https://acme.example/return"
    assert second.json["id"] == "f167CmPA"
    assert second.json["webhook_url"] == "https://acme.example/360/hook"
    assert second.json["partner_redirect_url"] == "https://acme.example/back"
    assert (second.json["brand_name"], second.json["logo_url"]) == ("Acme", "https://acme.example/logo.svg")
    removed = await api.patch("", {"webhook_url": "", "logo_url": ""})
    assert (removed.json["webhook_url"], removed.json["logo_url"]) == (None, None)


async def test_whether_clients_may_add_numbers_is_set_like_brand_and_logo(api: Api) -> None:
    name = "allow_client_to_add_phone_no"
    for sent, stays in ((False, False), (None, False), ("true", True), ("False", False), (True, True)):
        assert (await api.patch("", {name: sent})).json[name] is stays
        assert (await api.get("")).json[name] is stays


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"webhook_url": "http://acme.example/hook"}, "webhook_url"),
        ({"webhook_url": "https://acme_hook.example/"}, "webhook_url"),
        ({"webhook_url": "https://acme.example:444/"}, "webhook_url"),
        ({"webhook_url": "https://127.0.0.1/"}, "webhook_url"),
        ({"partner_redirect_url": "acme"}, "partner_redirect_url"),
        ({"webhook_url": 5}, "webhook_url"),
        ({"brand_name": ""}, "brand_name"),
        ({"logo_url": "https://日本.example/l.png"}, "logo_url"),
        ({"logo_url": "https://[::1"}, "logo_url"),
        ({"allow_client_to_add_phone_no": "perhaps"}, "allow_client_to_add_phone_no"),
        ({"allow_client_to_add_phone_no": 1}, "allow_client_to_add_phone_no"),
    ],
)
async def test_a_setting_that_does_not_work_is_400_with_details(api: Api, body: object, name: str) -> None:
    answer = await api.patch("", body)
    meta = answer.json["meta"]
    assert (answer.status, meta["success"], meta["http_code"]) == (400, False, 400)
    assert [line.partition(":")[0] for line in meta["details"]] == [name]


async def test_the_webhook_url_is_set_and_read_on_its_own_path(api: Api) -> None:
    assert (await api.get("webhook_url")).json == {"webhook_url": None}
    answer = await api.post("webhook_url", {"webhook_url": "https://acme.example/h", "headers": {"X-A": "b"}})
    assert (answer.status, answer.json["id"], answer.json["webhook_url"]) == (
        200,
        "f167CmPA",
        "https://acme.example/h",
    )
    assert (await api.get("webhook_url")).json == {"webhook_url": "https://acme.example/h"}
    for wrong in ({}, {"webhook_url": None}, {"webhook_url": "https://a.example/", "headers": {"X-A": 5}}):
        assert (await api.post("webhook_url", wrong)).status == 400
    refused = await api.post("webhook_url", {"webhook_url": "https://a.example/", "headers": {"Host": "x"}})
    assert (refused.status, refused.json["meta"]["details"][0].partition(":")[0]) == (400, "headers")


async def test_the_balance_is_a_bare_list_of_what_can_be_spent(api: Api) -> None:
    assert (await api.get("balance")).body == b"[]\n"
    async with api.database.system() as unit:
        await open_wallet(unit, partner_id=api.partner.id, currency="EUR")
    assert (await api.get("balance")).body == b'[{"currency":"eur","total":0.0}]\n'
    async with api.database.system() as unit:
        await top_up(
            unit,
            partner_id=api.partner.id,
            currency="EUR",
            amount_micros=Micros(12_349_999),
            key=str(uuid7()),
            actor=SYSTEM,
            note="",
        )
    assert (await api.get("balance")).body == b'[{"currency":"eur","total":12.34}]\n'


@pytest.mark.parametrize(
    ("sent", "answered"), [(True, True), ("true", True), ("false", False), (False, False)]
)
async def test_partner_changes_are_approved_by_themselves_when_told(
    api: Api, sent: object, answered: bool
) -> None:
    answer = await api.patch("settings/partner_change_request", {"auto_approve": sent})
    assert (answer.status, answer.json) == (200, {"auto_approve": answered})
    assert (await api.get("")).json["settings"]["partner_change_request"] == {"auto_approve": answered}


@pytest.mark.parametrize("sent", [None, "perhaps", 5])
async def test_an_unclear_approval_is_400(api: Api, sent: object) -> None:
    assert (await api.patch("settings/partner_change_request", {"auto_approve": sent})).status == 400


# --- clients


async def test_a_client_shows_every_member_that_clients_read(api: Api) -> None:
    await make_client(
        api.database,
        partner=api.partner,
        id="aB3dE5gHCL",
        created_at=datetime(2024, 1, 1, 10, 0, tzinfo=UTC),
    )
    system = {"user_id": "system", "user_name": "system"}
    expected = {
        "id": "aB3dE5gHCL",
        "name": "Client GmbH",
        "status": "active",
        "organisation": "Client GmbH",
        "max_channels": 5,
        "partner_payload": "crm-42",
        "meta_info": {},
        "contact_info": {
            "webpage_url": "",
            "phone": "",
            "language": "en",
            "country": "DE",
            "street_name": "",
            "city": "Berlin",
            "email": "ops@client.example",
            "full_name": "",
            "zip_code": "",
        },
        "contact_user": {"name": "Ops", "email": "ops@client.example", "phone": ""},
        "suspicious": False,
        "created_at": "2024-01-01T10:00:00Z",
        "created_by": system,
        "modified_at": "2024-01-01T10:00:00Z",
        "modified_by": system,
    }
    assert (await api.get("clients/aB3dE5gHCL")).json == expected
    assert (await api.get("clients")).json["clients"] == [expected]


async def test_a_client_is_changed_and_null_changes_nothing(api: Api) -> None:
    client = await make_client(api.database, partner=api.partner)
    answer = await api.patch(f"clients/{client.id}", {"partner_payload": "crm-43", "max_channels": None})
    assert (answer.status, answer.json["partner_payload"], answer.json["max_channels"]) == (200, "crm-43", 5)
    assert answer.json["modified_by"]["user_name"] == "Production"
    wrongs: list[dict[str, object]] = [{"max_channels": -1}, {"max_channels": "5"}, {"partner_payload": {}}]
    for wrong in wrongs:
        assert (await api.patch(f"clients/{client.id}", wrong)).status == 400


async def test_the_client_list_refuses_unknown_fields(api: Api) -> None:
    for query in ('filters={"colour":"red"}', "sort=colour", "limit=x", "filters={"):
        answer = await api.get(f"clients?{query}")
        assert (answer.status, answer.json["meta"]["success"]) == (400, False), query
    assert (await api.get('channels?filters={"colour":"red"}&sort=colour')).status == 200


# --- channels


async def test_a_channel_shows_every_member_that_clients_read(api: Api) -> None:
    made_at = datetime(2024, 1, 1, 10, 0, tzinfo=UTC)
    client = await make_client(api.database, partner=api.partner, id="aB3dE5gHCL", created_at=made_at)
    waba = await make_waba(api.database, client=client, id="q1W2e3WA", external_id="104000000000000")
    async with api.database.system() as unit:
        await unit.execute("update waba set created_at = %s, modified_at = %s", (made_at, made_at))
    await make_channel(
        api.database,
        waba=waba,
        id="k9Lm2NCH",
        external_id="109000000000000",
        phone_number="4930000000",
        created_at=made_at,
    )
    answer = await api.get("channels/k9Lm2NCH")
    app_id = answer.json["integration"]["app_id"]
    assert app_id.isdigit()
    contact_info = (await api.get("clients/aB3dE5gHCL")).json["contact_info"]
    assert answer.json == {
        "id": "k9Lm2NCH",
        "client_id": "aB3dE5gHCL",
        "client": {
            "id": "aB3dE5gHCL",
            "name": "Client GmbH",
            "partner_payload": "crm-42",
            "contact_info": contact_info,
        },
        "waba_account_id": "q1W2e3WA",
        "waba_account": {
            "id": "q1W2e3WA",
            "client_id": "aB3dE5gHCL",
            "partner_id": "f167CmPA",
            "name": "Client WABA",
            "namespace": "1212e9fb_86f2_493d_8d24_cbf159a9b876",
            "external_id": "104000000000000",
            "fb_business_id": "100000000000000",
            "timezone_id": 42,
            "status": "approved",
            "settings": None,
            "fb_account_status": "verified",
            "on_behalf_of_business_info": {
                "id": "100000000000000",
                "name": "Client GmbH",
                "status": "approved",
                "type": "SELF",
            },
            "consents": {},
            "created_at": "2024-01-01T10:00:00Z",
            "created_by": {"user_id": "system", "user_name": "system"},
            "modified_at": "2024-01-01T10:00:00Z",
        },
        "external_id": "109000000000000",
        "account_mode": "live",
        "status": "ready",
        "hub_status": "live",
        "meta_status": "CONNECTED",
        "availability_status": "ready",
        "current_limit": "TIER_1K",
        "current_quality_rating": "GREEN",
        "is_migrated": False,
        "is_oba": False,
        "is_on_biz_app": False,
        "setup_info": {
            "phone_number": "4930000000",
            "phone_name": "Client",
            "was_in_use": False,
            "ivr": False,
            "verification_method": "sms",
            "default_language": "en",
            "new_name_status": "",
            "has_integration_layer": True,
            "configuration_type": "cloud_api",
            "region": None,
            "shards_number": 1,
            "error": None,
        },
        "profile_info": {},
        "integration": {"app_id": app_id, "enabled": True, "state": "running"},
        "created_at": "2024-01-01T10:00:00Z",
        "modified_at": "2024-01-01T10:00:00Z",
        "billing_started_at": "2024-01-01T10:00:00Z",
        "cancelled_at": None,
        "terminated_at": None,
    }
    assert (await api.get("channels")).json["partner_channels"] == [answer.json]
    assert (await api.get("waba_accounts/q1W2e3WA")).json == answer.json["waba_account"]


@pytest.mark.parametrize("raw", [None, b"", b"{}", b'{"anything":1}', b"not json"])
async def test_a_key_is_made_whatever_the_body(api: Api, raw: bytes | None) -> None:
    channel = await _channel(api)
    answer = await api.post(f"channels/{channel.id}/api_keys", raw=raw)
    assert answer.status == 201
    assert set(answer.json) == {"address", "api_key", "app_id", "id"}
    assert all(isinstance(value, str) for value in answer.json.values())
    assert (answer.json["address"], answer.json["id"].isdigit()) == (MESSAGING_URL, True)
    async with api.database.system() as unit:
        assert await find_route_by_key(unit, key_hash=fingerprint(answer.json["api_key"])) is not None


async def test_the_listed_key_has_no_secret_and_deleting_revokes_it(api: Api) -> None:
    channel = await _channel(api)
    path = f"channels/{channel.id}/api_keys"
    assert (await api.get(path)).json == {"api_keys": []}
    await api.post(path)
    made = (await api.post(f"channels/{channel.id}/api-keys")).json
    listed = await api.get(path)
    assert listed.json == {
        "api_keys": [{"address": MESSAGING_URL, "app_id": made["app_id"], "id": made["id"]}]
    }
    deleted = await api.delete(path, {})
    assert (deleted.status, deleted.json["meta"]["success"], deleted.json["meta"]["http_code"]) == (
        200,
        True,
        200,
    )
    assert (await api.get(path)).json == {"api_keys": []}
    assert (await api.delete(path)).status == 200


async def test_without_the_clients_permission_a_key_is_403(api: Api) -> None:
    channel = await _channel(api, permission="missing")
    answer = await api.post(f"channels/{channel.id}/api_keys", {})
    assert (answer.status, answer.json["meta"]["http_code"]) == (403, 403)
    assert "permission" in answer.message
    # Nor are there any to see, or a client would take the number for one it may use.
    listed = await api.get(f"channels/{channel.id}/api_keys")
    assert (listed.status, listed.message) == (403, answer.message)
    assert (await api.delete(f"channels/{channel.id}/api_keys")).status == 200


async def test_a_cancellation_is_requested_repeated_and_taken_back(api: Api) -> None:
    channel = await _channel(api)
    path = f"clients/{channel.client_id}/channels/{channel.id}/control/cancellation_request"
    with clock.set_to(datetime(2026, 5, 15, tzinfo=UTC)):
        first = await api.post(path, {})
        again = await api.post(path, {"enabled": True})
        back = await api.post(path, {"enabled": False})
    assert (first.status, again.status, back.status) == (200, 200, 200)
    assert (first.json["hub_status"], first.json["cancelled_at"]) == (
        "pending_deletion",
        "2026-05-15T00:00:00Z",
    )
    assert first.json == again.json
    assert (back.json["hub_status"], back.json["cancelled_at"]) == ("live", None)
    assert await told_names(api.database, api.partner.id) == ["cancellation_request", "cancellation_revoke"]


async def test_a_channel_is_reactivated(api: Api) -> None:
    channel = await _channel(api)
    control = f"clients/{channel.client_id}/channels/{channel.id}/control"
    await api.post(f"{control}/cancellation_request")
    answer = await api.post(f"{control}/reactivate", {})
    assert (answer.status, answer.json["hub_status"]) == (200, "live")


async def test_the_cancellation_answer_leaves_open_dates_out(api: Api) -> None:
    """WABA360Dialog.NET reads these two as dates that are there, in this answer alone."""
    channel = await _channel(api, account_mode="sandbox", hub_status="draft")
    path = f"clients/{channel.client_id}/channels/{channel.id}/control/cancellation_request"
    answer = await api.post(path)
    assert {"billing_started_at", "terminated_at"}.isdisjoint(answer.json)
    shown = (await api.get(f"channels/{channel.id}")).json
    assert (shown["billing_started_at"], shown["terminated_at"]) == (None, None)


async def test_what_a_key_changes_is_in_the_audit_log_under_its_name(api: Api) -> None:
    channel = await _channel(api)
    await api.post(f"channels/{channel.id}/api_keys", headers={"X-API-Key": api.key, "User-Agent": "curl/8"})
    async with api.database.tenant(api.partner.id) as unit:
        (entry,) = await list_audit(unit, partner_id=api.partner.id)
    assert (entry.action, entry.actor_kind, entry.actor_name) == ("channel_key.created", "key", "Production")
    assert (entry.ip, entry.user_agent) == ("127.0.0.1", "curl/8")
    assert entry.request_id


async def test_an_event_shows_the_channel_as_the_api_does(api: Api) -> None:
    channel = await _channel(api)
    path = f"clients/{channel.client_id}/channels/{channel.id}/control/cancellation_request"
    answer = await api.post(path)
    ((_, data),) = await told(api.database, api.partner.id)
    assert data.items() >= answer.json.items()


# --- templates (with Meta: test_golden, tests/channels/test_templates)


async def test_templates_of_a_waba_are_listed_by_their_rules(api: Api) -> None:
    waba = await make_waba(api.database, client=await make_client(api.database, partner=api.partner))
    for name in ("b_news", "a_news", "c_news"):
        await make_template(api.database, waba=waba, name=name)
    answer = await api.get(f"waba_accounts/{waba.id}/waba_templates?limit=2&sort=-business_templates.name")
    assert [row["name"] for row in answer.json["waba_templates"]] == ["c_news", "b_news"]
    assert (answer.json["count"], answer.json["total"], answer.json["limit"]) == (2, 3, 2)
    assert answer.json["sort"] == ["-business_templates.name"]


async def test_a_draft_that_lacks_members_is_400_with_details(api: Api) -> None:
    waba = await make_waba(api.database, client=await make_client(api.database, partner=api.partner))
    answer = await api.post(f"waba_accounts/{waba.id}/waba_templates", {"name": "x"})
    assert answer.status == 400
    assert len(answer.json["meta"]["details"]) == 3


async def test_when_meta_is_away_a_template_call_is_a_502(api: Api) -> None:
    waba = await make_waba(api.database, client=await make_client(api.database, partner=api.partner))
    answer = await api.post(
        f"waba_accounts/{waba.id}/waba_templates",
        {"name": "x", "language": "de", "category": "UTILITY", "components": [{"type": "BODY", "text": "y"}]},
    )
    assert (answer.status, answer.json["meta"]["http_code"]) == (502, 502)


# --- who may


async def test_scopes_part_reading_from_writing(api: Api) -> None:
    channel = await _channel(api)
    reader = await make_key(api.database, partner=api.partner, scopes=["read"])
    writer = await make_key(api.database, partner=api.partner, scopes=["write"])
    path = f"channels/{channel.id}/api_keys"
    seen = [
        (await api.call(method, path, headers={"X-API-Key": key.secret})).status
        for key in (reader, writer)
        for method in ("GET", "POST")
    ]
    assert seen == [200, 403, 403, 201]
