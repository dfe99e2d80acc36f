"""Sends over HTTP: priced, reserved, passed on, settled; and the money when something breaks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.messaging.jobs import release_stale
from partnerhub.simulator.world import user_id_for
from tests.gateway.stage import CUSTOMER, PARTNER, Stage, staged
from tests.ledger.stock import BEN, assert_books_are_right, charges, figures, fund, micros, states
from tests.simulator.harness import until
from tests.slow_bodies import post_slowly

MARKETING = micros("0.1365")
FUNDS = micros("100")
IMAGE_LINK = {"link": "https://client.example/a.png"}

MESSAGES: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": {"body": "hello", "preview_url": True}},
    "image": {"type": "image", "image": IMAGE_LINK},
    "audio": {"type": "audio", "audio": {"link": "https://client.example/a.mp3"}},
    "video": {"type": "video", "video": {"link": "https://client.example/a.mp4"}},
    "document": {
        "type": "document",
        "document": {"link": "https://client.example/a.pdf", "filename": "a.pdf"},
    },
    "sticker": {"type": "sticker", "sticker": {"link": "https://client.example/a.webp"}},
    "location": {"type": "location", "location": {"latitude": 52.5, "longitude": 13.4, "name": "Berlin"}},
    "contacts": {
        "type": "contacts",
        "contacts": [
            {"name": {"formatted_name": "Ann", "first_name": "Ann"}, "phones": [{"phone": "+49151"}]}
        ],
    },
    "interactive": {
        "type": "interactive",
        "interactive": {
            "type": "button",
            "body": {"text": "Yes?"},
            "action": {"buttons": [{"type": "reply", "reply": {"id": "y", "title": "Yes"}}]},
        },
    },
}


async def held(stage: Stage) -> int:
    """Return what is reserved."""
    return (await figures(stage.database))[1]


async def test_a_template_is_reserved_then_captured_and_its_statuses_reach_the_webhook(stage: Stage) -> None:
    answer = await stage.client.send_template()
    assert answer.status == 200, answer.body
    wamid = answer.json["messages"][0]["id"]
    await until(lambda: len(stage.receiver.got) == 3)
    await until(lambda: stage.is_message(wamid, "read"))
    assert await states(stage.database) == ["captured"]
    assert await figures(stage.database) == (FUNDS - MARKETING, 0, 0)
    async with stage.database.tenant(PARTNER) as unit:
        rows = await unit.fetch_dicts("select wamid, type, category, template from message")
    assert rows == [{"wamid": wamid, "type": "template", "category": "marketing", "template": "news"}]
    # Byte for byte what Meta signed, with the headers that the client asked for.
    callbacks = [json.loads(got.body) for got in stage.receiver.got]
    assert {body["object"] for body in callbacks} == {"whatsapp_business_account"}
    assert {got.headers["x-check"] for got in stage.receiver.got} == {"yes"}
    await assert_books_are_right(stage.database)


async def test_every_spelling_of_the_path_sends(stage: Stage) -> None:
    for path in ("/messages", "/v1/messages", "/messages/", "/v1/messages/"):
        assert (await stage.client.send(path=path)).status == 200
    # Without its product, as one public client sends it.
    answer = await stage.client.call("POST", "/messages", data=b'{"to":"4915112345678","text":{"body":"x"}}')
    assert answer.status == 200, answer.body


async def test_every_type_of_message_passes_as_it_is(stage: Stage) -> None:
    for message in MESSAGES.values():
        answer = await stage.client.send(**message)
        assert answer.status == 200, answer.body
        assert answer.json["messages"][0]["id"].startswith("wamid.")
        call = (await stage.calls_to_meta("/messages"))[0]
        assert json.loads(call["body"]) == {"messaging_product": "whatsapp", "to": CUSTOMER, **message}


async def test_graph_paths_lead_to_the_same_handlers(stage: Stage) -> None:
    bearer = {"Authorization": f"Bearer {stage.client.key}"}
    body = {"messaging_product": "whatsapp", "to": CUSTOMER, "type": "text", "text": {"body": "x"}}
    for path in (f"/v21.0/{stage.shop.number_id}/messages", f"/{stage.shop.number_id}/messages/"):
        answer = await stage.client.call("POST", path, headers=bearer, json=body)
        assert answer.status == 200, answer.body
    token = {"access_token": stage.client.key}
    answer = await stage.client.call(
        "POST", f"/v21.0/{stage.shop.number_id}/messages", headers={}, params=token, json=body
    )
    assert answer.status == 200
    # The client's key never travels on.
    assert stage.client.key not in json.dumps(await stage.calls_to_meta("/messages"))


async def test_a_foreign_number_in_a_graph_path_does_not_exist(stage: Stage) -> None:
    answer = await stage.client.call(
        "POST",
        "/v21.0/109000000000999/messages",
        headers={"Authorization": f"Bearer {stage.client.key}"},
        json={"to": CUSTOMER, "text": {"body": "x"}},
    )
    assert (answer.status, answer.error["code"], answer.error["error_subcode"]) == (404, 100, 33)
    assert "109000000000999" in answer.error["message"]
    assert await stage.calls_to_meta("/messages") == []


async def test_read_receipts_and_typing_cost_nothing_and_pass_without_money(
    database: Database, keyring: Keyring
) -> None:
    async with staged(database, keyring, balance="") as stage:
        inbound = await stage.meta.admin(
            "POST", f"/numbers/{stage.shop.number_id}/inbound", {"from": CUSTOMER, "text": "hi"}
        )
        for extra in ({}, {"typing_indicator": {"type": "text"}}):
            answer = await stage.client.call(
                "POST",
                "/messages",
                json={
                    "messaging_product": "whatsapp",
                    "status": "read",
                    "message_id": inbound["wamid"],
                    **extra,
                },
            )
            assert (answer.status, answer.json) == (200, {"success": True})


async def test_a_receipt_with_a_recipient_beside_it_gives_the_money_back(stage: Stage) -> None:
    inbound = await stage.meta.admin(
        "POST", f"/numbers/{stage.shop.number_id}/inbound", {"from": CUSTOMER, "text": "hi"}
    )
    answer = await stage.client.send(
        type="template",
        template={"name": "news", "language": {"code": "en_US"}},
        status="read",
        message_id=inbound["wamid"],
    )
    assert (answer.status, answer.json) == (200, {"success": True})
    assert await states(stage.database) == ["released"]


async def test_a_reaction_reserves_nothing(stage: Stage) -> None:
    inbound = await stage.meta.admin(
        "POST", f"/numbers/{stage.shop.number_id}/inbound", {"from": CUSTOMER, "text": "hi"}
    )
    answer = await stage.client.send(
        type="reaction", reaction={"message_id": inbound["wamid"], "emoji": "\U0001f44d"}
    )
    assert answer.status == 200, answer.body
    assert await states(stage.database) == []


async def test_an_operator_may_want_money_for_free_messages_too(database: Database, keyring: Keyring) -> None:
    async with staged(database, keyring, balance="", block_free_at_zero=True) as stage:
        inbound = await stage.meta.admin(
            "POST", f"/numbers/{stage.shop.number_id}/inbound", {"from": CUSTOMER, "text": "hi"}
        )
        reaction = {"message_id": inbound["wamid"], "emoji": "\U0001f44d"}
        answer = await stage.client.send(type="reaction", reaction=reaction)
        assert answer.status == 400
        assert "missing payment" in answer.error["message"]
        await fund(database, "1")
        assert (await stage.client.send(type="reaction", reaction=reaction)).status == 200


async def test_without_money_a_chargeable_send_is_refused_before_meta_hears_of_it(
    database: Database, keyring: Keyring
) -> None:
    async with staged(database, keyring, balance="0.10") as stage:
        answer = await stage.client.send_template()
        assert answer.status == 400
        assert "missing payment" in answer.error["message"]
        assert answer.json["meta"]["http_code"] == 400
        assert await stage.calls_to_meta("/messages") == []
        # Inbound always passes.
        await stage.meta.admin(
            "POST", f"/numbers/{stage.shop.number_id}/inbound", {"from": CUSTOMER, "text": "hi"}
        )
        await stage.receiver.wait_for(1)


async def test_metas_refusal_reaches_the_client_as_it_came_and_frees_the_money(stage: Stage) -> None:
    await stage.fault("error", path="/*/messages", code=131056, times=1)
    answer = await stage.client.send_template()
    assert (answer.status, answer.error["code"], answer.error["type"]) == (400, 131056, "OAuthException")
    assert await figures(stage.database) == (FUNDS, 0, 0)
    assert await states(stage.database) == ["released"]


async def test_a_throttle_keeps_metas_status_and_code(stage: Stage) -> None:
    for code in (130429, 131056, 80007, 4):
        for http_status in (400, 429):
            await stage.fault("error", path="/*/messages", code=code, http_status=http_status, times=1)
            answer = await stage.client.send_template()
            assert (answer.status, answer.error["code"]) == (http_status, code)


async def test_an_unknown_template_reserves_the_dearest_and_metas_refusal_frees_it(stage: Stage) -> None:
    for to in (CUSTOMER, BEN):
        answer = await stage.client.send_template(to=to, name="unheard_of")
        assert (answer.status, answer.error["code"]) == (404, 132001)
    # In Germany marketing costs most; in India it is authentication from abroad.
    reserved = [charge.max_micros for charge in await charges(stage.database)]
    assert reserved == [MARKETING, micros("0.0274")]
    assert await figures(stage.database) == (FUNDS, 0, 0)


async def test_a_group_is_reserved_for_all_the_members_it_can_have(stage: Stage) -> None:
    await stage.meta.admin("PATCH", "/rules", {"statuses": False})
    answer = await stage.client.send(
        to="Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAz",
        recipient_type="group",
        type="template",
        template={"name": "news", "language": {"code": "en_US"}},
    )
    assert answer.status == 200, answer.body
    # Nobody knows where its members live, so each counts as the dearest there is.
    reserved = [charge.max_micros for charge in await charges(stage.database)]
    assert reserved == [MARKETING] * 8
    assert await held(stage) == 8 * MARKETING


async def test_a_lost_answer_is_never_sent_again_and_its_status_adopts_the_reservation(stage: Stage) -> None:
    await stage.fault("reset_after", path="/*/messages", times=1)
    answer = await stage.client.send_template()
    assert answer.status == 502
    assert answer.error["type"] == "GatewayException"
    assert "may have been done" in answer.error["message"]
    assert len(await stage.messages_at_meta()) == 1
    [wamid] = [message["wamid"] for message in await stage.messages_at_meta()]
    await until(lambda: stage.is_message(wamid, "read"))
    assert await states(stage.database) == ["captured"]
    assert await figures(stage.database) == (FUNDS - MARKETING, 0, 0)
    await assert_books_are_right(stage.database)


@pytest.mark.parametrize(
    ("action", "extra", "status"),
    [
        ("reset_before", {}, 502),
        ("html_error", {"http_status": 503}, 502),
        ("latency", {"seconds": 1.0}, 504),
    ],
)
async def test_a_send_that_nobody_can_tell_about_keeps_its_reservation(
    database: Database, keyring: Keyring, action: str, extra: dict[str, object], status: int
) -> None:
    async with staged(database, keyring, meta_answer_seconds=0.3) as stage:
        await stage.meta.admin("PATCH", "/rules", {"statuses": False})
        await stage.fault(action, path="/*/messages", times=1, **extra)
        answer = await stage.client.send_template()
        assert answer.status == status, answer.body
        assert await held(stage) == MARKETING
        assert len(await stage.calls_to_meta("/messages")) <= 1
        async with database.tenant(PARTNER) as unit:
            assert await unit.fetch_dicts("select wamid, status from message") == [
                {"wamid": None, "status": "unconfirmed"}
            ]
        # Nobody claimed it in time.
        async with database.system() as unit:
            await unit.execute("update charge set reserved_at = reserved_at - interval '1 hour'")
        assert await release_stale(database) == 1
        assert await figures(stage.database) == (FUNDS, 0, 0)


async def test_a_server_error_in_metas_form_is_passed_on_and_stays_open(stage: Stage) -> None:
    await stage.fault("error", path="/*/messages", code=131000, times=1)
    answer = await stage.client.send_template()
    assert (answer.status, answer.error["code"]) == (500, 131000)
    assert await held(stage) == MARKETING


async def test_what_never_left_is_given_back_at_once(database: Database, keyring: Keyring) -> None:
    # Port 9 of this machine: nobody listens, so nothing of the request can have been carried out.
    async with staged(database, keyring, graph_url="http://127.0.0.1:9") as stage:
        answer = await stage.client.send_template()
        assert answer.status == 502
        assert await figures(stage.database) == (FUNDS, 0, 0)
        assert await states(stage.database) == ["released"]


async def test_the_marketing_path_wraps_metas_error_once_more(stage: Stage) -> None:
    answer = await stage.client.send(path="/marketing_messages")
    assert answer.status == 400
    assert answer.json["detail"]["error"]["code"] == 100
    direct = await stage.client.call(
        "POST",
        f"/v21.0/{stage.shop.number_id}/marketing_messages",
        headers={"Authorization": f"Bearer {stage.client.key}"},
        json={"messaging_product": "whatsapp", "to": CUSTOMER, "type": "text", "text": {"body": "x"}},
    )
    assert direct.error["code"] == 100


async def test_a_category_that_changed_prices_the_next_send(stage: Stage) -> None:
    await stage.meta.admin("PATCH", "/rules", {"statuses": False})
    assert (await stage.client.send_template()).status == 200
    assert await held(stage) == MARKETING
    async with stage.database.system() as unit:
        await unit.execute("update template set category = 'UTILITY'")
        await unit.notify("templates", stage.waba.id)
    utility = micros("0.0550")

    async def is_cheaper() -> bool:
        before = await held(stage)
        assert (await stage.client.send_template()).status == 200
        return await held(stage) - before == utility

    await until(is_cheaper)


async def test_many_sends_at_once_are_each_charged_once(stage: Stage) -> None:
    answers = await asyncio.gather(
        *(stage.client.send_template(to=f"49151{number:08d}") for number in range(100))
    )
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["messages"][0]["id"] for answer in answers}) == 100

    async def is_done() -> bool:
        return await states(stage.database) == ["captured"] * 100

    await until(is_done, timeout_seconds=20)
    assert await figures(stage.database) == (FUNDS - 100 * MARKETING, 0, 0)
    await assert_books_are_right(stage.database)


async def test_a_body_that_comes_too_slowly_sends_nothing_and_keeps_no_place(
    database: Database, keyring: Keyring
) -> None:
    async with staged(database, keyring, body_seconds=0.3, most_requests=2) as stage:
        body = (
            b'{"messaging_product":"whatsapp","to":"%s","type":"text","text":{"body":"x"}}'
            % CUSTOMER.encode()
        )
        answers = await asyncio.gather(
            *(
                post_slowly(
                    stage.client.url + path,
                    pieces=[body[at : at + 1] for at in range(len(body))],
                    pause_seconds=0.05,
                    length=len(body),
                    headers={"D360-API-KEY": stage.client.key},
                )
                for path in ("/messages", "/v1/configs/webhook")
            )
        )
        assert [answer.status for answer in answers] == [408, 408]
        assert {answer.headers["connection"] for answer in answers} == {"close"}
        assert await stage.messages_at_meta() == []
        assert (await stage.client.send()).status == 200


async def test_a_message_is_kept_under_the_number_that_meta_names(stage: Stage) -> None:
    assert (await stage.client.send()).status == 200
    body = {"messaging_product": "whatsapp", "recipient": user_id_for(CUSTOMER), "type": "text"}
    answer = await stage.client.call("POST", "/messages", json={**body, "text": {"body": "hello"}})
    assert answer.status == 200, answer.body
    assert answer.json["contacts"][0]["wa_id"] == CUSTOMER
    async with stage.database.system() as unit:
        rows = await unit.fetch_dicts("select distinct recipient from message")
    assert rows == [{"recipient": CUSTOMER}]
