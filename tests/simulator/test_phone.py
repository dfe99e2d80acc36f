"""The phone page in a real browser: a customer sees messages and answers them."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Browser, expect

from tests.browser import LOOKS, assert_accessible, assert_fits, visit
from tests.simulator.harness import Json, Meta, Receiver, Shop, subscribe, until
from tests.simulator.test_media import upload

CUSTOMER = "4915112345678"
BUTTONS: Json = {
    "type": "interactive",
    "interactive": {
        "type": "button",
        "header": {"type": "text", "text": "Delivery"},
        "body": {"text": "When does it suit you?"},
        "footer": {"text": "Acme"},
        "action": {
            "buttons": [
                {"type": "reply", "reply": {"id": "am", "title": "Morning"}},
                {"type": "reply", "reply": {"id": "pm", "title": "Evening"}},
            ]
        },
    },
}
QUICK: Json = {
    "name": "survey",
    "category": "MARKETING",
    "components": [
        {"type": "HEADER", "format": "TEXT", "text": "Hello {{1}}", "example": {"header_text": ["Jo"]}},
        {"type": "BODY", "text": "Did you like order {{1}} of ours?", "example": {"body_text": [["7"]]}},
        {"type": "FOOTER", "text": "Reply STOP to opt out"},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "QUICK_REPLY", "text": "Yes"},
                {"type": "URL", "text": "See it", "url": "https://acme.example/{{1}}"},
            ],
        },
    ],
}


async def send_survey(meta: Meta, shop: Shop) -> None:
    """Send the template with buttons."""
    await meta.admin("PUT", f"/wabas/{shop.waba_id}/templates", QUICK)
    components = [
        {"type": "header", "parameters": [{"type": "text", "text": "Jo"}]},
        {"type": "body", "parameters": [{"type": "text", "text": "4711"}]},
        {
            "type": "button",
            "sub_type": "quick_reply",
            "index": "0",
            "parameters": [{"type": "payload", "payload": "liked"}],
        },
        {
            "type": "button",
            "sub_type": "url",
            "index": "1",
            "parameters": [{"type": "text", "text": "4711"}],
        },
    ]
    template = {"name": "survey", "language": {"code": "en_US"}, "components": components}
    answer = await meta.send(shop.number_id, CUSTOMER, type="template", template=template)
    assert answer.status == 200, answer.body


async def test_a_customer_reads_presses_and_types(
    meta: Meta, shop: Shop, receiver: Receiver, browser: Browser
) -> None:
    await subscribe(meta, receiver, "messages")
    await send_survey(meta, shop)
    async with visit(browser, f"{meta.url}/phone/{CUSTOMER}?number={shop.number_id}") as opened:
        page = opened.page
        survey = page.get_by_test_id("bubble-theirs").first
        await expect(survey).to_contain_text("Hello Jo")
        await expect(survey).to_contain_text("Did you like order 4711 of ours?")
        await expect(survey.get_by_role("link", name="See it")).to_have_attribute(
            "href", "https://acme.example/4711"
        )
        await survey.get_by_role("button", name="Yes").click()
        await until(lambda: len(receiver.messages) == 1)
        assert receiver.messages[0]["button"] == {"payload": "liked", "text": "Yes"}
        sent = await meta.send(shop.number_id, CUSTOMER, **BUTTONS)
        assert sent.status == 200
        assert receiver.messages[0]["context"]["from"] == shop.digits
        await page.get_by_role("button", name="Evening").click()
        await until(lambda: len(receiver.messages) == 2)
        assert receiver.messages[1]["interactive"]["button_reply"] == {"id": "pm", "title": "Evening"}
        assert receiver.messages[1]["context"]["id"] == sent.json["messages"][0]["id"]
        await page.get_by_label("Message", exact=True).fill("Grüße")
        await page.get_by_role("button", name="Send").click()
        await until(lambda: len(receiver.messages) == 3)
        assert receiver.messages[2]["text"] == {"body": "Grüße"}
        mine = page.get_by_test_id("bubble-mine").filter(has_text="Grüße")
        await expect(mine.get_by_test_id("tick")).to_have_attribute("data-status", "delivered")
        read = {"messaging_product": "whatsapp", "status": "read", "message_id": receiver.messages[2]["id"]}
        await meta.post(f"/{shop.number_id}/messages", json={**read, "typing_indicator": {"type": "text"}})
        await expect(mine.get_by_test_id("tick")).to_have_attribute("data-status", "read")
        await expect(page.get_by_text("typing…")).to_be_visible()


async def test_pictures_travel_both_ways_and_a_phone_can_be_off(
    meta: Meta, shop: Shop, receiver: Receiver, browser: Browser, tmp_path: Path
) -> None:
    await subscribe(meta, receiver, "messages")
    await meta.admin("PATCH", "/rules", {"read_probability": 0.0})
    photo = tmp_path / "photo.png"
    async with visit(browser, f"{meta.url}/phone/{CUSTOMER}?number={shop.number_id}") as opened:
        page = opened.page
        await expect(page.get_by_role("heading", name="Acme")).to_be_visible()
        await page.screenshot(path=photo, caret="initial")
        await page.get_by_test_id("file").set_input_files(photo)
        await until(lambda: len(receiver.messages) == 1)
        assert receiver.messages[0]["type"] == "image"
        await expect(page.get_by_test_id("bubble-mine").get_by_role("img")).to_be_visible()
        media_id = (await upload(meta, shop.number_id, photo.read_bytes(), "image/png")).json["id"]
        await page.get_by_role("switch", name="Phone is on").uncheck()

        async def is_off() -> bool:
            users = await meta.admin("GET", "/users")
            return any(user["id"] == CUSTOMER and not user["is_reachable"] for user in users)

        await until(is_off)
        await meta.send(shop.number_id, CUSTOMER, type="image", image={"id": media_id, "caption": "here"})
        await until(lambda: len(receiver.statuses) == 1)
        await expect(page.get_by_test_id("bubble-theirs")).to_have_count(0)
        await page.get_by_role("switch", name="Phone is on").check()
        await expect(page.get_by_test_id("bubble-theirs").get_by_role("img")).to_be_visible()
        # The open chat is read: the business is told so although the dice said no.
        await until(lambda: [s["status"] for s in receiver.statuses] == ["sent", "delivered", "read"])


async def test_the_pages_are_accessible_and_fit_a_phone(meta: Meta, shop: Shop, browser: Browser) -> None:
    await send_survey(meta, shop)
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", {"from": CUSTOMER, "text": "Lovely."})
    await meta.send(shop.number_id, CUSTOMER, **BUTTONS)
    await meta.admin("POST", "/faults", {"action": "failed_status", "code": 131049})
    await meta.send(shop.number_id, CUSTOMER)
    chat = f"/phone/{CUSTOMER}?number={shop.number_id}"
    for look, paths in ((LOOKS[0], ("/", chat)), (LOOKS[3], ("/", "/phone", f"/phone/{CUSTOMER}", chat))):
        for path in paths:
            async with visit(browser, meta.url + path, look=look) as opened:
                if path == chat:
                    await expect(opened.page.get_by_role("button", name="Evening")).to_be_visible()
                    await expect(opened.page.get_by_text("did not arrive")).to_be_in_viewport()
                    await expect(opened.page.get_by_role("button", name="Send")).to_be_in_viewport()
                elif path == "/phone":
                    await expect(opened.page.get_by_text("Acme: When does it suit you?")).to_be_visible()
                elif path == f"/phone/{CUSTOMER}":
                    await expect(opened.page.get_by_role("link", name="Acme")).to_be_visible()
                await assert_accessible(opened.page)
                await assert_fits(opened.page)
    async with visit(browser, f"{meta.url}/phone", look=LOOKS[2]) as opened:
        await opened.page.get_by_label("Customer's phone number").fill("+49 1511 2345678")
        await opened.page.get_by_role("button", name="Open this phone").click()
        await opened.page.get_by_role("link", name="Acme").click()
        await expect(opened.page.get_by_role("button", name="Evening")).to_be_visible()
        await opened.page.get_by_role("link", name="Chats").click()
        await expect(opened.page.get_by_role("link", name="Acme")).to_be_visible()
