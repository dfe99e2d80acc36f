"""Everything that can be made to go wrong."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.simulator.harness import Meta, Receiver, Shop, subscribe, until

CUSTOMER = "4915112345678"


async def fault(meta: Meta, **body: Any) -> str:
    """Put a fault in force."""
    made = await meta.admin("POST", "/faults", body)
    return str(made["id"])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"action": "error", "code": 131000}, 500, 131000),
        ({"action": "error", "code": 130429}, 400, 130429),
        ({"action": "error", "code": 130429, "http_status": 429}, 429, 130429),
        ({"action": "error", "code": 131031}, 403, 131031),
        ({"action": "expired_token"}, 401, 190),
    ],
)
async def test_an_error_comes_once_by_default(
    meta: Meta, shop: Shop, body: dict[str, Any], status: int, code: int
) -> None:
    await fault(meta, path="/*/messages", number_id=shop.number_id, **body)
    first = await meta.send_template(shop.number_id, CUSTOMER)
    assert (first.status, first.error["code"]) == (status, code)
    assert (await meta.send_template(shop.number_id, CUSTOMER)).status == 200


async def test_matchers_skip_and_count(meta: Meta, shop: Shop) -> None:
    await fault(meta, action="error", code=131026, recipient=CUSTOMER, skip=1, times=2)
    codes = [(await meta.send_template(shop.number_id, CUSTOMER)).status for _ in range(4)]
    assert codes == [200, 400, 400, 200]
    assert (await meta.send_template(shop.number_id, "4930123456")).status == 200
    lasting = await fault(meta, action="error", code=1, path="/*/register", times=None)
    assert (await meta.post(f"/{shop.number_id}/register", json={})).error["code"] == 1
    assert [one["id"] for one in await meta.admin("GET", "/faults")] == [lasting]
    await meta.admin("DELETE", f"/faults/{lasting}")
    assert await meta.admin("GET", "/faults") == []


async def test_latency_delays_the_answer(meta: Meta, shop: Shop) -> None:
    await fault(meta, action="latency", seconds=0.2)
    began = asyncio.get_running_loop().time()
    assert (await meta.send_template(shop.number_id, CUSTOMER)).status == 200
    assert asyncio.get_running_loop().time() - began >= 0.2


async def test_a_reset_before_or_after_acceptance_looks_alike_to_the_sender(meta: Meta, shop: Shop) -> None:
    for action in ("reset_before", "reset_after"):
        await fault(meta, action=action, path="/*/messages")
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            await meta.send_template(shop.number_id, CUSTOMER)
    stored = await meta.admin("GET", "/messages", direction="out")
    assert len(stored) == 1


async def test_broken_bodies_reach_the_client(meta: Meta, shop: Shop) -> None:
    await fault(meta, action="malformed_json")
    with pytest.raises(json.JSONDecodeError):
        _ = (await meta.send_template(shop.number_id, CUSTOMER)).json
    await fault(meta, action="html_error", http_status=503)
    answer = await meta.send_template(shop.number_id, CUSTOMER)
    assert (answer.status, answer.headers["Content-Type"]) == (503, "text/html; charset=utf-8")


async def test_a_failed_status_and_a_missing_one(meta: Meta, shop: Shop, receiver: Receiver) -> None:
    await subscribe(meta, receiver, "messages")
    await fault(meta, action="no_statuses")
    silent = (await meta.send_template(shop.number_id, CUSTOMER)).json["messages"][0]["id"]
    await fault(meta, action="failed_status", code=131049)
    await meta.send_template(shop.number_id, CUSTOMER)
    await until(lambda: len(receiver.statuses) == 1)
    assert receiver.statuses[0]["errors"][0]["code"] == 131049
    assert "pricing" not in receiver.statuses[0]
    await meta.admin("POST", f"/messages/{silent}/status", {"status": "delivered"})
    await until(lambda: len(receiver.statuses) == 2)
    assert (receiver.statuses[1]["id"], receiver.statuses[1]["status"]) == (silent, "delivered")
    assert "pricing" in receiver.statuses[1]


async def test_duplicates_wrong_signatures_and_cut_connections(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver, "messages")
    body = {"from": CUSTOMER, "text": "hi"}
    await fault(meta, action="duplicate", count=3)
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body)
    await until(lambda: len(receiver.bodies) == 3)
    assert len(set(receiver.bodies)) == 1
    await fault(meta, action="wrong_signature")
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body)
    await until(lambda: len(receiver.bodies) == 4)
    assert receiver.signatures_ok == [True, True, True, False]
    await fault(meta, action="drop")
    dropped = await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body)
    await until(lambda: len(receiver.bodies) == 5)
    found = await meta.admin("GET", f"/callbacks/{dropped['callbacks'][0]}")
    assert found["attempt_log"][0]["error"] == "connection cut off by a fault"
    assert found["attempt_log"][1]["status"] == 200


async def test_disorder_and_batches(meta: Meta, shop: Shop, receiver: Receiver) -> None:
    await subscribe(meta, receiver, "messages")
    await fault(meta, action="hold", times=3)
    sent = []
    for text in ("one", "two", "three"):
        body = {"from": CUSTOMER, "text": text}
        sent.append((await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body))["wamid"])
    assert await meta.admin("POST", "/callbacks/release") == {"released": 3}
    await until(lambda: len(receiver.messages) == 3)
    await fault(meta, action="batch", count=3, seconds=5, times=1)
    receiver.bodies.clear()
    receiver.changes.clear()
    for text in ("one", "two", "three"):
        await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", {"from": CUSTOMER, "text": text})
    await until(lambda: len(receiver.messages) == 3)
    assert len(receiver.bodies) == 1
    events = await meta.admin("GET", "/events", kind="message", is_acked="true")
    assert len(events) == 6
    assert [event["id"] for event in events[:3]] == sent
    assert len({event["callback"] for event in events[3:]}) == 1


async def test_a_pause_holds_everything_back_and_redelivery_repeats(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver, "messages")
    await meta.admin("POST", "/callbacks/pause")
    body = {"from": CUSTOMER, "text": "hi"}
    made = await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body)
    waiting = await meta.admin("GET", "/callbacks", callback_state="pending")
    assert [one["seq"] for one in waiting] == made["callbacks"]
    assert receiver.bodies == []
    await meta.admin("POST", "/callbacks/resume")
    await until(lambda: len(receiver.bodies) == 1)
    await meta.admin("POST", f"/callbacks/{made['callbacks'][0]}/redeliver")
    await until(lambda: len(receiver.bodies) == 2)
    assert receiver.bodies[0] == receiver.bodies[1]


async def test_undelivered_callbacks_expire_after_the_bound(
    meta: Meta, shop: Shop, receiver: Receiver
) -> None:
    await subscribe(meta, receiver, "messages")
    receiver.answers = [500] * 1_000
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", {"from": CUSTOMER, "text": "hi"})

    async def was_tried() -> bool:
        return bool((await meta.admin("GET", "/callbacks"))[0]["attempts"])

    await until(was_tried)
    await meta.admin("POST", "/clock", {"advance_seconds": 7 * 86_400})

    async def has_expired() -> bool:
        return bool((await meta.admin("GET", "/callbacks"))[0]["state"] == "expired")

    await until(has_expired)


async def test_calls_are_recorded_without_secrets(meta: Meta, shop: Shop) -> None:
    await meta.send_template(shop.number_id, CUSTOMER, biz_opaque_callback_data="mark")
    await meta.get("/debug_token", params={"input_token": "EAAother"})
    calls = await meta.admin("GET", "/calls", path="/messages", contains="mark")
    assert len(calls) == 1
    assert calls[0]["number_id"] == shop.number_id
    assert calls[0]["token"].startswith("SYSTEM_USER ")
    everything = json.dumps(await meta.admin("GET", "/calls"))
    assert "EAA" not in everything
    counts = await meta.admin("GET", "/counts")
    assert {"method": "POST", "edge": "messages", "status": 200, "count": 1} in counts["calls"]


async def test_a_batch_of_a_thousand_is_one_post(meta: Meta, shop: Shop, receiver: Receiver) -> None:
    await subscribe(meta, receiver, "flows")
    await fault(meta, action="batch", count=1_000, seconds=10)
    body = {"waba_id": shop.waba_id, "field": "flows", "value": {"event": "x"}, "copies": 1_000}
    await meta.admin("POST", "/events", body)
    await until(lambda: len(receiver.changes) == 1_000)
    assert len(receiver.bodies) == 1
    assert receiver.signatures_ok == [True]


async def test_reset_leaves_only_the_configuration(meta: Meta, shop: Shop) -> None:
    await meta.send_template(shop.number_id, CUSTOMER)
    await meta.admin("POST", "/reset")
    assert (await meta.admin("GET", "/state"))["counts"]["numbers"] == 0
    assert await meta.admin("GET", "/messages") == []
    assert (await meta.get(f"/{shop.number_id}")).status == 400
    assert (await meta.get("/me")).status == 200
