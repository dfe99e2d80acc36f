"""Sending: what is accepted, what is refused, and the statuses that follow."""

from __future__ import annotations

import pytest

from tests.simulator.harness import Meta, Receiver, Shop, subscribe, until

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
