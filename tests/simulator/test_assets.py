"""Tokens, webhook subscriptions, numbers and templates: the calls of onboarding."""

from __future__ import annotations

import re

import pytest

from tests.simulator.harness import APP_ID, APP_SECRET, VERIFY_TOKEN, Meta, Receiver, Shop, subscribe, until


async def test_client_credentials_give_the_application_token(meta: Meta) -> None:
    answer = await meta.get(
        "/oauth/access_token",
        token="",
        params={"grant_type": "client_credentials", "client_id": APP_ID, "client_secret": APP_SECRET},
    )
    assert answer.json == {"access_token": f"{APP_ID}|{APP_SECRET}", "token_type": "bearer"}


async def test_a_token_sees_only_its_own_accounts(meta: Meta, shop: Shop) -> None:
    other = await meta.admin("POST", "/seed", {"business": {"name": "Other"}, "numbers": [{}], "token": {}})
    answer = await meta.get(f"/{shop.number_id}", token=other["token"])
    assert (answer.status, answer.error["code"], answer.error["error_subcode"]) == (400, 100, 33)
    assert (await meta.get(f"/{other['numbers'][0]['id']}", token=other["token"])).status == 200
    described = (await meta.get("/debug_token", params={"input_token": other["token"]})).json["data"]
    assert described["is_valid"] is True
    assert {"scope": "whatsapp_business_management", "target_ids": [other["waba_id"]]} in described[
        "granular_scopes"
    ]


async def test_an_account_has_a_namespace_of_its_own_in_metas_form(meta: Meta, shop: Shop) -> None:
    other = await meta.admin("POST", "/seed", {"business": {"name": "Other"}, "numbers": [{}], "token": {}})
    namespaces = {
        answer.json["message_template_namespace"]
        for answer in (
            await meta.get(f"/{shop.waba_id}"),
            await meta.get(f"/{other['waba_id']}", token=other["token"]),
        )
    }
    assert len(namespaces) == 2
    for namespace in namespaces:
        assert re.fullmatch(r"[0-9a-f]{8}(_[0-9a-f]{4}){3}_[0-9a-f]{12}", namespace), namespace


@pytest.mark.parametrize(("token", "code", "status"), [("", 190, 401), ("EAAunknown", 190, 401)])
async def test_a_call_without_a_valid_token_is_refused(
    meta: Meta, shop: Shop, token: str, code: int, status: int
) -> None:
    answer = await meta.get(f"/{shop.number_id}", token=token)
    assert (answer.status, answer.error["code"]) == (status, code)


async def test_an_expired_token_and_a_missing_scope_are_told_apart(meta: Meta, shop: Shop) -> None:
    await meta.admin("PUT", "/tokens", {"id": "EAAold", "expires_in_seconds": -1})
    await meta.admin("PUT", "/tokens", {"id": "EAAnarrow", "scopes": ["whatsapp_business_management"]})
    old = await meta.get(f"/{shop.number_id}", token="EAAold")
    narrow = await meta.post(f"/{shop.number_id}/messages", token="EAAnarrow", json={})
    assert (old.status, old.error["code"], old.error["error_subcode"]) == (401, 190, 463)
    assert (narrow.status, narrow.error["code"]) == (403, 10)


async def test_a_callback_address_must_echo_the_challenge(meta: Meta, receiver: Receiver) -> None:
    receiver.verify_token = "another"
    answer = await meta.post(
        f"/{APP_ID}/subscriptions",
        token=f"{APP_ID}|{APP_SECRET}",
        params={
            "object": "whatsapp_business_account",
            "callback_url": receiver.url,
            "verify_token": VERIFY_TOKEN,
            "fields": "messages",
        },
    )
    assert (answer.status, answer.error["code"]) == (400, 2200)
    receiver.verify_token = VERIFY_TOKEN
    await subscribe(meta, receiver, "messages")
    listed = await meta.get(f"/{APP_ID}/subscriptions", token=f"{APP_ID}|{APP_SECRET}")
    assert listed.json["data"][0]["callback_url"] == receiver.url


async def test_an_override_takes_messages_but_never_account_changes(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver)
    own = receiver.url.replace("/webhook", "/own")
    answer = await meta.post(
        f"/{shop.waba_id}/subscribed_apps",
        json={"override_callback_uri": own, "verify_token": VERIFY_TOKEN},
    )
    assert answer.json == {"success": True}
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", {"from": "491", "text": "hi"})
    await meta.admin(
        "POST",
        "/events",
        {"waba_id": shop.waba_id, "field": "account_update", "value": {"event": "VERIFIED_ACCOUNT"}},
    )
    await until(lambda: len(receiver.changes) == 2)
    callbacks = await meta.admin("GET", "/callbacks")
    urls = {}
    for callback in callbacks:
        found = await meta.admin("GET", f"/callbacks/{callback['seq']}")
        urls[callback["field"]] = found["attempt_log"][0]["url"]
    assert urls == {"messages": own, "account_update": receiver.url}
    assert (await meta.post(f"/{shop.waba_id}/subscribed_apps")).json == {"success": True}
    apps = (await meta.get(f"/{shop.waba_id}/subscribed_apps")).json["data"]
    assert "override_callback_uri" not in apps[0]


async def test_a_number_is_created_verified_and_registered(meta: Meta, shop: Shop) -> None:
    made = await meta.post(
        f"/{shop.waba_id}/phone_numbers",
        json={"cc": "49", "phone_number": "15112345678", "verified_name": "Acme DE"},
    )
    number_id = made.json["id"]
    refused = await meta.post(
        f"/{number_id}/register", json={"messaging_product": "whatsapp", "pin": "123456"}
    )
    assert (refused.status, refused.error["code"]) == (400, 133006)
    await meta.post(f"/{number_id}/request_code", params={"code_method": "SMS", "language": "en_US"})
    code = (await meta.admin("GET", f"/numbers/{number_id}"))["verification_code"]
    wrong = await meta.post(f"/{number_id}/verify_code", params={"code": "000-000"})
    assert wrong.error["code"] == 136025
    assert (await meta.post(f"/{number_id}/verify_code", params={"code": code})).json == {"success": True}
    registered = await meta.post(
        f"/{number_id}/register",
        json={"messaging_product": "whatsapp", "pin": "123456", "data_localization_region": "DE"},
    )
    assert registered.json == {"success": True}
    node = await meta.get(f"/{number_id}?fields=status,is_pin_enabled,display_phone_number,throughput")
    assert node.json == {
        "status": "CONNECTED",
        "is_pin_enabled": True,
        "display_phone_number": "+49 1511 2345678",
        "throughput": {"level": "STANDARD"},
        "id": number_id,
    }


@pytest.mark.parametrize("local", ["28157014509", "1234567", "999999999999999"])
async def test_a_number_that_cannot_exist_is_refused(meta: Meta, shop: Shop, local: str) -> None:
    body = {"phone_number": local, "verified_name": "Acme"}
    refused = await meta.post(f"/{shop.waba_id}/phone_numbers", json=body)
    assert (refused.status, refused.error["code"]) == (400, 2388091)


async def test_a_wrong_pin_is_refused_and_guessing_locks(meta: Meta, shop: Shop) -> None:
    body = {"messaging_product": "whatsapp", "pin": "111111"}
    assert (await meta.post(f"/{shop.number_id}/register", json=body)).status == 200
    codes = []
    for _ in range(7):
        answer = await meta.post(f"/{shop.number_id}/register", json={**body, "pin": "222222"})
        codes.append(answer.error["code"])
        await meta.admin("POST", "/clock", {"advance_seconds": 2})
    assert codes == [133005] * 5 + [133008] * 2
    assert (await meta.post(f"/{shop.number_id}/register", json=body)).error["code"] == 133008
    await meta.admin("POST", "/clock", {"advance_seconds": 13 * 3600})
    assert (await meta.post(f"/{shop.number_id}/register", json=body)).json == {"success": True}
    await meta.post(f"/{shop.number_id}/deregister")
    assert (await meta.post(f"/{shop.number_id}/register", json=body)).error["code"] == 133016
    await meta.admin("POST", "/clock", {"advance_seconds": 73 * 3600})
    assert (await meta.post(f"/{shop.number_id}/register", json=body)).json == {"success": True}


async def test_a_template_is_reviewed_and_announced(meta: Meta, shop: Shop, receiver: Receiver) -> None:
    await subscribe(meta, receiver)
    made = await meta.post(
        f"/{shop.waba_id}/message_templates",
        json={
            "name": "shipped",
            "language": "en_US",
            "category": "UTILITY",
            "components": [
                {
                    "type": "BODY",
                    "text": "Your order {{1}} is on its way to you.",
                    "example": {"body_text": [["7"]]},
                }
            ],
        },
    )
    assert made.json["status"] == "PENDING"
    await until(lambda: len(receiver.values("message_template_status_update")) == 1)
    value = receiver.values("message_template_status_update")[0]
    assert value["event"] == "APPROVED"
    assert value["message_template_id"] == int(made.json["id"])
    listed = (await meta.get(f"/{shop.waba_id}/message_templates?name=shipped")).json["data"]
    assert [(one["id"], one["status"]) for one in listed] == [(made.json["id"], "APPROVED")]


async def test_a_promotional_utility_template_is_moved_to_marketing(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver)
    await meta.post(
        f"/{shop.waba_id}/message_templates",
        json={
            "name": "autumn",
            "language": "en_US",
            "category": "UTILITY",
            "components": [{"type": "BODY", "text": "Our autumn sale begins, 20% off everything."}],
        },
    )
    await until(lambda: len(receiver.values("message_template_status_update")) == 1)
    assert receiver.values("template_category_update")[0]["new_category"] == "MARKETING"


async def test_template_lists_are_paged_by_cursor(meta: Meta, shop: Shop) -> None:
    for place in range(5):
        body = {"name": f"t{place}", "text": "Hello you there."}
        await meta.admin("PUT", f"/wabas/{shop.waba_id}/templates", body)
    names: list[str] = []
    after = ""
    while True:
        page = (
            await meta.get(
                f"/{shop.waba_id}/message_templates?fields=name&limit=2"
                + (f"&after={after}" if after else "")
            )
        ).json
        names += [one["name"] for one in page["data"]]
        if "next" not in page["paging"]:
            break
        after = page["paging"]["cursors"]["after"]
    assert sorted(names) == ["news", "t0", "t1", "t2", "t3", "t4"]
    stale = await meta.get(f"/{shop.waba_id}/message_templates?after=bm9uc2Vuc2U")
    assert stale.error["code"] == 131059
