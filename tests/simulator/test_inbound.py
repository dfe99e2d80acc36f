"""Messages from customers: every type, what they open, and the webhooks around them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from tests.simulator.harness import Meta, Receiver, Shop, subscribe, until

CUSTOMER = "4915112345678"

CONTENTS: dict[str, Any] = {
    "text": {"body": "hi"},
    "image": {"caption": "look"},
    "video": {},
    "audio": {},
    "document": {"filename": "offer.pdf"},
    "sticker": {},
    "location": {"latitude": 52.5, "longitude": 13.4, "name": "Berlin"},
    "contacts": [{"name": {"formatted_name": "Acme"}, "phones": [{"phone": "+491"}]}],
    "reaction": {"message_id": "wamid.x", "emoji": "👍"},
    "button": {"payload": "yes", "text": "Yes"},
    "interactive": {"type": "button_reply", "button_reply": {"id": "1", "title": "One"}},
    "order": {"catalog_id": "1", "product_items": [{"product_retailer_id": "a", "quantity": 1}]},
    "system": {"body": "changed", "type": "user_changed_number"},
    "edit": {"original_message_id": "wamid.x", "message": {"type": "text", "text": {"body": "new"}}},
    "revoke": {"original_message_id": "wamid.x"},
    "unsupported": {"type": "poll"},
    "request_welcome": {},
}


async def test_every_type_arrives_in_metas_shape(meta: Meta, shop: Shop, receiver: Receiver) -> None:
    await subscribe(meta, receiver, "messages")
    for kind, content in CONTENTS.items():
        body = {"from": CUSTOMER, "type": kind, "content": content}
        await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body)
    await until(lambda: len(receiver.messages) == len(CONTENTS))
    by_type = {message["type"]: message for message in receiver.messages}
    assert set(by_type) == set(CONTENTS)
    for kind, message in by_type.items():
        assert message["from"] == CUSTOMER
        assert message["from_user_id"].startswith("DE.")
        assert isinstance(message["timestamp"], str)
        if kind not in {"request_welcome", "unsupported"}:
            assert kind in message
    for kind in ("image", "video", "audio", "document", "sticker"):
        assert {"id", "mime_type", "sha256", "url"} <= set(by_type[kind][kind])
    assert by_type["audio"]["audio"]["voice"] is True
    assert by_type["unsupported"]["errors"][0]["code"] == 131051
    values = receiver.values("messages")
    system = next(value for value in values if value["messages"][0]["type"] == "system")
    assert "contacts" not in system
    text = next(value for value in values if value["messages"][0]["type"] == "text")
    assert text["contacts"][0]["wa_id"] == CUSTOMER
    assert text["metadata"] == {"display_phone_number": shop.digits, "phone_number_id": shop.number_id}


async def test_media_is_downloaded_from_its_url_with_a_token_for_five_minutes(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver, "messages")
    file = b"\x89PNG and so on"
    body = {
        "from": CUSTOMER,
        "type": "image",
        "file_base64": base64.b64encode(file).decode(),
        "mime_type": "image/png",
    }
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body)
    await until(lambda: len(receiver.messages) == 1)
    image = receiver.messages[0]["image"]
    assert image["url"].startswith(f"{meta.url}/whatsapp_business/attachments/?mid={image['id']}&ext=")
    path = image["url"].removeprefix(meta.url)
    meta.version = ""
    downloaded = await meta.get(path)
    assert (downloaded.status, downloaded.body) == (200, file)
    assert (await meta.get(path, token="")).status == 401
    facts = (await meta.get(f"/{image['id']}")).json
    assert facts["sha256"] == hashlib.sha256(file).hexdigest()
    assert facts["file_size"] == len(file)
    await meta.admin("POST", "/clock", {"advance_seconds": 301})
    assert (await meta.get(path)).status == 404


async def test_an_ad_opens_a_free_entry_point(meta: Meta, shop: Shop, receiver: Receiver) -> None:
    await subscribe(meta, receiver, "messages")
    referral = {"source_url": "https://fb.me/x", "source_type": "ad", "source_id": "1", "ctwa_clid": "c"}
    body = {"from": CUSTOMER, "text": "hi", "referral": referral}
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body)
    await meta.admin("POST", "/clock", {"advance_seconds": 48 * 3600})
    await meta.send_template(shop.number_id, CUSTOMER)
    await until(lambda: len(receiver.statuses) >= 1)
    status = receiver.statuses[0]
    assert status["pricing"] == {
        "billable": False,
        "pricing_model": "PMP",
        "type": "free_entry_point",
        "category": "referral_conversion",
    }
    assert status["conversation"]["origin"] == {"type": "referral_conversion"}


async def test_a_username_hides_the_phone_number(meta: Meta, shop: Shop, receiver: Receiver) -> None:
    await subscribe(meta, receiver, "messages")
    user = await meta.admin("PUT", "/users", {"wa_id": CUSTOMER, "username": "jo"})
    body = {"from": CUSTOMER, "text": "hi"}
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body)
    await until(lambda: len(receiver.messages) == 1)
    value = receiver.values("messages")[0]
    assert "from" not in value["messages"][0]
    assert "wa_id" not in value["contacts"][0]
    assert value["contacts"][0]["user_id"] == user["user_id"]
    answer = await meta.post(
        f"/{shop.number_id}/messages",
        json={"messaging_product": "whatsapp", "recipient": user["user_id"], "text": {"body": "hello"}},
    )
    assert answer.json["contacts"] == [{"input": user["user_id"], "user_id": user["user_id"]}]


async def test_a_message_is_marked_as_read_only_if_it_exists(meta: Meta, shop: Shop) -> None:
    body = {"from": CUSTOMER, "text": "hi"}
    received = await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body)
    read = {"messaging_product": "whatsapp", "status": "read", "message_id": received["wamid"]}
    answer = await meta.post(
        f"/{shop.number_id}/messages", json={**read, "typing_indicator": {"type": "text"}}
    )
    assert answer.json == {"success": True}
    unknown = await meta.post(f"/{shop.number_id}/messages", json={**read, "message_id": "wamid.none"})
    assert unknown.error["code"] == 131009
    stored = await meta.admin("GET", "/messages", direction="in")
    assert stored[0]["status"] == "read"


async def test_a_blocked_customer_is_not_heard(meta: Meta, shop: Shop, receiver: Receiver) -> None:
    await subscribe(meta, receiver, "messages")
    body = {"from": CUSTOMER, "text": "hi"}
    users = {"messaging_product": "whatsapp", "block_users": [{"user": "+" + CUSTOMER}, {"user": "4930"}]}
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body)
    mixed = await meta.post(f"/{shop.number_id}/block_users", json=users)
    assert (mixed.status, mixed.error["code"]) == (400, 139100)
    assert mixed.json["block_users"]["added_users"] == [{"input": "+" + CUSTOMER, "wa_id": CUSTOMER}]
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body)
    listed = (await meta.get(f"/{shop.number_id}/block_users")).json["data"]
    assert [one["wa_id"] for one in listed] == [CUSTOMER]
    await meta.delete(f"/{shop.number_id}/block_users", json=users)
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body)
    await until(lambda: len(receiver.messages) == 2)
    assert len(await meta.admin("GET", "/callbacks")) == 2


@pytest.mark.parametrize(
    "body",
    [{"from": "none", "text": "x"}, {"from": "49", "type": "poll"}, {"from": "49", "type": "location"}],
)
async def test_a_wrong_injection_is_refused(meta: Meta, shop: Shop, body: dict[str, str]) -> None:
    async with meta.session.post(
        f"{meta.url}/simulator/numbers/{shop.number_id}/inbound", json=body
    ) as answer:
        assert answer.status == 400
        assert (await answer.json())["fields"]
