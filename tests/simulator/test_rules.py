"""Meta's limits and price rules, and that each can be switched off."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.harness import Json, Meta, Receiver, Shop, seed_shop, subscribe, until

CUSTOMER = "4915112345678"


async def rules(meta: Meta, **changes: Any) -> Json:
    """Change rules."""
    changed: Json = await meta.admin("PATCH", "/rules", changes)
    return changed


async def test_throughput_is_limited_by_level_and_the_limit_can_be_off(meta: Meta) -> None:
    shop = await seed_shop(meta)
    await rules(meta, statuses=False)
    await meta.admin("POST", "/clock", {"is_frozen": True})
    answers = [await meta.send_template(shop.number_id, f"4915{place:07d}") for place in range(81)]
    assert [answer.status for answer in answers] == [200] * 80 + [400]
    assert answers[-1].error["code"] == 130429
    await meta.admin("POST", "/clock", {"advance_seconds": 1 / 80})
    assert (await meta.send_template(shop.number_id, CUSTOMER)).status == 200
    await rules(meta, throughput=False)
    more = [(await meta.send_template(shop.number_id, f"4916{place:07d}")).status for place in range(90)]
    assert more == [200] * 90


async def test_the_pair_rate_allows_a_burst_of_45(meta: Meta, shop: Shop) -> None:
    await rules(meta, statuses=False)
    await meta.admin("POST", "/clock", {"is_frozen": True})
    answers = [await meta.send_template(shop.number_id, CUSTOMER) for _ in range(47)]
    assert [answer.status for answer in answers] == [200] * 45 + [400] * 2
    assert answers[-1].error["code"] == 131056
    assert (await meta.send_template(shop.number_id, "49151000")).status == 200
    await meta.admin("POST", "/clock", {"advance_seconds": 6})
    assert (await meta.send_template(shop.number_id, CUSTOMER)).status == 200
    await rules(meta, throttle_status=429)
    assert (await meta.send_template(shop.number_id, CUSTOMER)).status == 429


async def test_the_messaging_limit_counts_unique_users_of_a_portfolio(meta: Meta, shop: Shop) -> None:
    await rules(meta, statuses=False, throughput=False)
    await meta.admin("PUT", "/businesses", {"id": shop.business_id, "messaging_limit": "TIER_50"})
    for place in range(50):
        assert (await meta.send_template(shop.number_id, f"4915{place:07d}")).status == 200
    assert (await meta.send_template(shop.number_id, "49150000000")).status == 200
    over = await meta.send_template(shop.number_id, "49159999999")
    assert (over.status, over.error["code"]) == (400, 131064)
    body = {"user": "49159999999", "is_open": True}
    await meta.admin("POST", f"/numbers/{shop.number_id}/window", body)
    assert (await meta.send_template(shop.number_id, "49159999999")).status == 200
    await meta.admin("POST", "/clock", {"advance_seconds": 86_401})
    assert (await meta.send_template(shop.number_id, "49158888888")).status == 200


async def test_the_first_thousand_service_messages_of_a_month_are_free(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver, "messages")
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", {"from": CUSTOMER, "text": "hi"})
    await meta.send(shop.number_id, CUSTOMER)
    await until(lambda: len(receiver.statuses) == 3)
    number = await meta.admin("GET", f"/numbers/{shop.number_id}")
    assert number["free_service_used"] == 1
    await meta.admin("PATCH", f"/numbers/{shop.number_id}", {"free_service_used": 1_000})
    await meta.send(shop.number_id, CUSTOMER)
    await until(lambda: len(receiver.statuses) == 6)
    kinds = [status["pricing"]["type"] for status in receiver.statuses if status["status"] == "sent"]
    assert kinds == ["free_customer_service", "regular"]
    await meta.admin("POST", "/clock", {"advance_seconds": 32 * 86_400})
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", {"from": CUSTOMER, "text": "hi"})
    await meta.send(shop.number_id, CUSTOMER)
    await until(lambda: len(receiver.statuses) == 9)
    assert receiver.statuses[6]["pricing"]["type"] == "free_customer_service"


@pytest.mark.parametrize(
    "case",
    [
        ({"pricing_rules": "2026-10-01"}, {"type": "regular", "category": "utility"}, False),
        ({"pricing_rules": "2025-07-01"}, {"type": "free_customer_service", "category": "utility"}, False),
        ({"webhook_version": 23}, {"type": "regular", "category": "utility"}, True),
        ({"pricing_rules": "conversation", "webhook_version": 22}, {"category": "utility"}, True),
    ],
)
async def test_utility_in_the_window_is_priced_by_the_rules_in_force(
    meta: Meta, shop: Shop, receiver: Receiver, case: tuple[Json, Json, bool]
) -> None:
    changes, expected, has_conversation = case
    await subscribe(meta, receiver, "messages")
    await rules(meta, **changes)
    body = {"name": "shipped", "category": "UTILITY", "text": "Your order is on its way."}
    await meta.admin("PUT", f"/wabas/{shop.waba_id}/templates", body)
    await meta.admin("POST", f"/numbers/{shop.number_id}/window", {"user": CUSTOMER})
    await meta.send_template(shop.number_id, CUSTOMER, "shipped")
    await until(lambda: len(receiver.statuses) >= 1)
    pricing = receiver.statuses[0]["pricing"]
    assert {key: pricing[key] for key in expected} == expected
    assert pricing["pricing_model"] == ("CBP" if changes.get("pricing_rules") == "conversation" else "PMP")
    assert ("conversation" in receiver.statuses[0]) is has_conversation


async def test_marketing_messages_take_only_marketing_templates(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver, "messages")
    body: Json = {
        "messaging_product": "whatsapp",
        "to": CUSTOMER,
        "type": "template",
        "template": {"name": "news", "language": {"code": "en_US"}},
    }
    assert (await meta.post(f"/{shop.number_id}/marketing_messages", json=body)).status == 200
    await until(lambda: len(receiver.statuses) >= 1)
    assert receiver.statuses[0]["pricing"]["category"] == "marketing_lite"
    utility = {"name": "shipped", "category": "UTILITY", "text": "Your order is on its way."}
    await meta.admin("PUT", f"/wabas/{shop.waba_id}/templates", utility)
    body["template"]["name"] = "shipped"
    assert (await meta.post(f"/{shop.number_id}/marketing_messages", json=body)).error["code"] == 134100
    meta.version = "v22.0"
    assert (await meta.post(f"/{shop.number_id}/marketing_messages", json=body)).error["code"] == 131055
    body["template"]["name"] = "news"
    await meta.admin("PATCH", f"/numbers/{shop.number_id}", {"is_ineligible_for_marketing": True})
    strict = await meta.post(
        f"/{shop.number_id}/marketing_messages", json={**body, "product_policy": "STRICT"}
    )
    assert (strict.status, strict.error["code"]) == (403, 200)
    assert (await meta.post(f"/{shop.number_id}/marketing_messages", json=body)).status == 200


async def test_management_calls_are_rationed_per_app_and_account(meta: Meta) -> None:
    made = await meta.admin("POST", "/seed", {"business": {"name": "Empty"}})
    answers = [await meta.get(f"/{made['waba_id']}") for _ in range(201)]
    assert [answer.status for answer in answers] == [200] * 200 + [400]
    assert answers[-1].error["code"] == 80007
    assert '"call_count":100' in answers[199].headers["x-business-use-case-usage"]


async def test_an_unfunded_account_fails_when_the_rule_is_on(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver, "messages")
    await rules(meta, funding=True)
    await meta.send_template(shop.number_id, CUSTOMER)
    await until(lambda: len(receiver.statuses) == 1)
    assert receiver.statuses[0]["errors"][0]["code"] == 131042
    lines = (await meta.get("/100000000000001/extendedcredits")).json["data"]
    shared = await meta.post(
        f"/{lines[0]['id']}/whatsapp_credit_sharing_and_attach",
        params={"waba_id": shop.waba_id, "waba_currency": "EUR"},
    )
    allocation = shared.json["allocation_config_id"]
    node = (await meta.get(f"/{shop.waba_id}?fields=primary_funding_id,currency")).json
    config = (await meta.get(f"/{allocation}?fields=receiving_credential{{id}}")).json
    assert node["primary_funding_id"] == config["receiving_credential"]["id"]
    assert node["currency"] == "EUR"
    await meta.send_template(shop.number_id, CUSTOMER)
    await until(lambda: len(receiver.statuses) == 4)
    assert receiver.statuses[1]["status"] == "sent"


async def test_an_unknown_rule_is_refused(meta: Meta) -> None:
    async with meta.session.patch(f"{meta.url}/simulator/rules", json={"nonsense": True}) as answer:
        assert answer.status == 400


async def test_a_template_of_low_quality_is_paused_twice_and_then_disabled(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver)

    def told() -> list[tuple[str, str]]:
        values = receiver.values("message_template_status_update")
        return [(value["event"], value["other_info"]["title"]) for value in values]

    expected: list[tuple[str, str]] = []
    async with meta.standing_still():
        for title, hours in (("FIRST_PAUSE", 3), ("SECOND_PAUSE", 6)):
            await meta.admin("POST", f"/templates/{shop.template_id}/decision", {"status": "PAUSED"})
            expected.append(("PAUSED", title))
            await meta.admin("POST", "/clock", {"advance_seconds": hours * 3_600 - 1})
            refused = await meta.send_template(shop.number_id, CUSTOMER)
            assert refused.error["code"] == 132015
            await meta.admin("POST", "/clock", {"advance_seconds": 2})
            assert (await meta.send_template(shop.number_id, CUSTOMER)).status == 200
            expected.append(("APPROVED", "UNPAUSE"))
        await meta.admin("POST", f"/templates/{shop.template_id}/decision", {"status": "PAUSED"})
        expected.append(("DISABLED", "DISABLED"))
        assert (await meta.send_template(shop.number_id, CUSTOMER)).error["code"] == 132016
    await until(lambda: told() == expected)


async def test_the_currency_of_an_attached_credit_line_stays(meta: Meta, shop: Shop) -> None:
    lines = (await meta.get("/100000000000001/extendedcredits")).json["data"]
    path = f"/{lines[0]['id']}/whatsapp_credit_sharing_and_attach"

    async def attach(currency: str) -> int:
        params = {"waba_id": shop.waba_id, "waba_currency": currency}
        return (await meta.post(path, params=params)).status

    assert [await attach("EUR"), await attach("EUR"), await attach("USD")] == [200, 200, 400]
    assert (await meta.get(f"/{shop.waba_id}?fields=currency")).json["currency"] == "EUR"
