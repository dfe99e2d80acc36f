"""Sending: what is accepted, what is refused, and the statuses that follow."""

from __future__ import annotations

import pytest

from tests.simulator.harness import Json, Meta, Receiver, Shop, subscribe, until

CUSTOMER = "4915112345678"


async def test_a_template_is_accepted_and_its_statuses_come_signed(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver)
    answer = await meta.send_template(shop.number_id, "+49 151 12345678", biz_opaque_callback_data="order 1")
    assert answer.status == 200
    wamid = answer.json["messages"][0]["id"]
    assert answer.json["contacts"][0]["input"] == "+49 151 12345678"
    assert answer.json["contacts"][0]["wa_id"] == CUSTOMER
    assert answer.json["messages"][0]["message_status"] == "accepted"
    await until(lambda: len(receiver.statuses) == 3)
    assert [status["status"] for status in receiver.statuses] == ["sent", "delivered", "read"]
    assert {status["id"] for status in receiver.statuses} == {wamid}
    assert {status["biz_opaque_callback_data"] for status in receiver.statuses} == {"order 1"}
    assert receiver.statuses[0]["pricing"] == {
        "billable": True,
        "pricing_model": "PMP",
        "type": "regular",
        "category": "marketing",
    }
    assert "pricing" in receiver.statuses[1]
    assert "pricing" not in receiver.statuses[2]
    assert all(receiver.signatures_ok)


async def test_a_text_outside_the_window_fails_later_and_inside_it_is_delivered(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver)
    assert (await meta.send(shop.number_id, CUSTOMER)).status == 200
    await until(lambda: len(receiver.statuses) == 1)
    assert receiver.statuses[0]["status"] == "failed"
    assert receiver.statuses[0]["errors"][0]["code"] == 131047
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", {"from": CUSTOMER, "text": "hi"})
    await meta.send(shop.number_id, CUSTOMER)
    await until(lambda: len(receiver.statuses) == 4)
    assert receiver.statuses[1]["pricing"]["type"] == "free_customer_service"


@pytest.mark.parametrize(
    ("message", "code", "status"),
    [
        ({"type": "text", "text": {}}, 131008, 400),
        ({"type": "text", "text": {"body": "x" * 4097}}, 100, 400),
        ({"type": "nonsense"}, 100, 400),
        ({"type": "image", "image": {"id": "1"}}, 131009, 400),
        ({"type": "template", "template": {"name": "none", "language": {"code": "en_US"}}}, 132001, 404),
    ],
)
async def test_a_wrong_message_is_refused_with_metas_code(
    meta: Meta, shop: Shop, message: dict[str, object], code: int, status: int
) -> None:
    answer = await meta.send(shop.number_id, CUSTOMER, **message)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert answer.error["type"] == "OAuthException"
    assert answer.error["fbtrace_id"]


async def test_a_reaction_is_sent_without_a_price_and_nothing_follows(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver)
    said = await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", {"from": CUSTOMER, "text": "hi"})
    reaction = {"message_id": str(said.get("wamid", "wamid.x")), "emoji": "👍"}
    await meta.send(shop.number_id, CUSTOMER, type="reaction", reaction=reaction)
    await meta.send(shop.number_id, CUSTOMER)
    # The text came later; with its last status everything of the reaction would be here.
    await until(lambda: [status["status"] for status in receiver.statuses].count("read") == 1)
    mine = receiver.statuses[0]
    assert (mine["status"], "pricing" in mine) == ("sent", False)
    assert [status["status"] for status in receiver.statuses if status["id"] == mine["id"]] == ["sent"]
    assert (await meta.admin("GET", f"/numbers/{shop.number_id}"))["free_service_used"] == 1


async def test_a_message_to_a_group_comes_to_no_phone(meta: Meta, shop: Shop) -> None:
    group = "Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAz"
    answer = await meta.send_template(shop.number_id, group, recipient_type="group")
    assert answer.status == 200, answer.body
    assert answer.json["contacts"] == [{"input": group, "wa_id": group}]
    wrong = await meta.send_template(shop.number_id, "no group", recipient_type="group")
    assert (wrong.status, wrong.error["code"]) == (400, 131009)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "location", "location": {"latitude": 10**400, "longitude": 1}}, 131009),
        (
            {
                "type": "template",
                "template": {
                    "name": "news",
                    "language": {"code": "en_US"},
                    "components": [{"type": "body", "parameters": [{"type": []}]}],
                },
            },
            131009,
        ),
    ],
)
async def test_values_of_an_odd_kind_are_refused_not_tripped_over(
    meta: Meta, shop: Shop, message: dict[str, object], code: int
) -> None:
    answer = await meta.send(shop.number_id, CUSTOMER, **message)
    assert (answer.status, answer.error["code"]) == (400, code)


async def test_odd_settings_and_policies_are_refused(meta: Meta, shop: Shop) -> None:
    odd: tuple[Json, ...] = (
        {"calling": {"status": []}},
        {"storage_configuration": {"status": {}}},
        {"storage_configuration": {"status": "NO_STORAGE_ENABLED", "data_localization_region": []}},
    )
    for body in odd:
        answer = await meta.post(f"/{shop.number_id}/settings", json=body)
        assert (answer.status, answer.error["code"]) == (400, 100), body
    message = {
        "messaging_product": "whatsapp",
        "to": CUSTOMER,
        "type": "template",
        "template": {"name": "news", "language": {"code": "en_US"}},
        "product_policy": [],
    }
    answer = await meta.post(f"/{shop.number_id}/marketing_messages", json=message)
    assert (answer.status, answer.error["code"]) == (400, 100)
