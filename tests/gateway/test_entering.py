"""Who comes in, and what everybody else hears."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from partnerhub.gateway.dialects import (
    Dialect,
    Style,
    blocked,
    invalid_key,
    missing_payment,
    rate_limited,
    render,
)
from partnerhub.gateway.table import ENDPOINTS, Access, find, list_routes
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.errors import Invalid, TooMany, Unavailable
from tests.gateway.stage import CUSTOMER, Stage, staged

TEXT = {"messaging_product": "whatsapp", "to": CUSTOMER, "type": "text", "text": {"body": "x"}}


async def test_a_wrong_key_hears_so_in_the_dialect_of_its_path(stage: Stage) -> None:
    for headers in ({}, {"D360-API-KEY": "wrong"}, {"Authorization": "Bearer wrong"}, {"Authorization": "x"}):
        answer = await stage.client.call("POST", "/messages", headers=headers, json=TEXT)
        assert answer.status == 401
        assert answer.json == {
            "error": {
                "message": "Invalid API key",
                "type": "GatewayException",
                "code": 401,
                "error_data": {
                    "messaging_product": "whatsapp",
                    "details": "Invalid API key (invalid_api_key)",
                },
            },
            "meta": {"success": False, "http_code": 401, "developer_message": "Invalid API key"},
        }
        assert answer.headers["x-request-id"]
    graph = await stage.client.call("POST", f"/v23.0/{stage.shop.number_id}/messages", headers={}, json=TEXT)
    assert (graph.status, graph.error["code"], graph.error["type"]) == (401, 190, "OAuthException")
    assert graph.error["fbtrace_id"] == graph.headers["x-request-id"]
    assert await stage.calls_to_meta("/messages") == []


async def test_a_key_may_come_in_each_place_that_clients_use(stage: Stage) -> None:
    key = stage.client.key
    places: list[dict[str, Any]] = [
        {"headers": {"d360-api-key": key}},
        {"headers": {"D360-Api-Key": key}},
        {"headers": {"Authorization": f"Bearer {key}"}},
        {"headers": {"Authorization": f"bearer  {key}"}},
        {"headers": {}, "params": {"access_token": key}},
    ]
    for place in places:
        answer = await stage.client.call("POST", "/messages", json=TEXT, **place)
        assert answer.status == 200, (place, answer.body)


async def test_what_is_not_listed_is_blocked_and_a_wrong_method_says_which_fit(stage: Stage) -> None:
    for method, path in (
        ("GET", "/"),
        ("POST", "/v1/contacts"),
        ("GET", "/admin"),
        ("GET", "/v23.0/me"),
        ("GET", "/debug_token"),
        ("POST", "/v23.0/oauth/access_token"),
        ("POST", f"/v23.0/{stage.shop.number_id}/register"),
        ("GET", f"/v23.0/{stage.shop.waba_id}/phone_numbers"),
        ("GET", "/groups/debug_token_of_somebody"),
        ("GET", "/groups/" + stage.shop.waba_id),
        ("GET", "/v23.0/message_template_library"),
        ("GET", "/" + "1" * 300),
    ):
        answer = await stage.client.call(method, path)
        assert answer.status == 403, (path, answer.body)
        assert "endpoint is blocked" in answer.error["message"]
    wrong = await stage.client.call("GET", "/messages")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    # Without a key nobody learns what exists.
    for path in ("/admin", "/messages"):
        assert (await stage.client.call("GET", path, headers={})).status == 401
    assert (await stage.meta.admin("GET", "/calls")) == [
        call for call in await stage.meta.admin("GET", "/calls") if "subscriptions" in call["path"]
    ]


async def test_a_number_that_is_cancelled_or_not_running_cannot_send(stage: Stage) -> None:
    async def answer_after(change: str) -> Any:  # Any: an answer of the client
        async with stage.database.system() as unit:
            await unit.execute(f"update channel set {change}")
            await unit.notify("routes", stage.channel.id)
        for _ in range(50):
            answer = await stage.client.send()
            if answer.status != 200:
                return answer
        raise AssertionError

    stopped = await answer_after("integration_state = 'created', account_mode = 'sandbox'")
    assert (stopped.status, stopped.error["message"]) == (502, "API not available for this number")
    async with stage.database.system() as unit:
        await unit.execute("update channel set integration_state = 'running', hub_status = 'terminated'")
        await unit.notify("routes", stage.channel.id)
    for _ in range(50):
        cancelled = await stage.client.send()
        if cancelled.status == 400:
            break
    assert cancelled.error["message"] == "API for this number has been disabled"


async def test_a_body_that_is_no_message_is_refused_without_a_call(stage: Stage) -> None:
    for body in (b"", b"[]", b"{", b'{"type":"text"}'):
        answer = await stage.client.call("POST", "/messages", data=body)
        assert answer.status == 400, body
        assert answer.json["meta"]["http_code"] == 400
    large = await stage.client.call("POST", "/messages", data=io.BytesIO(b"x" * (1024 * 1024 + 1)))
    assert large.status == 413

    async def unannounced() -> Any:
        for _ in range(20):
            yield b"x" * 100_000

    assert (await stage.client.call("POST", "/messages", data=unannounced())).status == 413
    assert await stage.calls_to_meta("/messages") == []


async def test_one_number_cannot_take_the_place_of_all(database: Database, keyring: Keyring) -> None:
    async with staged(database, keyring, configurations_per_second=0.1, messages_per_second=1.0) as stage:
        answers = [await stage.client.call("GET", "/v1/configs/webhook") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 400, 400]
        assert answers[1].error["message"] == "endpoint rate limit exceeded"
        assert answers[1].error["code"] == 80007
        assert answers[1].headers["retry-after"] == "1"
        assert [(await stage.client.send()).status for _ in range(4)].count(400) >= 1


async def test_too_much_at_once_is_told_to_come_back(database: Database, keyring: Keyring) -> None:
    async with staged(database, keyring, most_requests=0) as stage:
        answer = await stage.client.send()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert stage.receiver.got == []


async def test_the_machines_around_see_health_and_not_the_world(stage: Stage) -> None:
    assert (await stage.client.call("GET", "/healthz", headers={})).status == 200
    assert (await stage.client.call("GET", "/readyz", headers={})).status == 200
    await stage.client.send()
    text = (await stage.client.call("GET", "/metrics", headers={})).body.decode()
    assert 'partnerhub_gateway_sends_total{edge="messages",outcome="accepted"}' in text
    assert "partnerhub_gateway_watch_live 1.0" in text
    assert stage.channel.id not in text
    behind_proxy = await stage.client.call("GET", "/metrics", headers={"X-Forwarded-For": "198.51.100.1"})
    assert behind_proxy.status == 403


async def test_with_a_token_metrics_need_it(database: Database, keyring: Keyring) -> None:
    async with staged(database, keyring, metrics_token="let-me-see") as stage:
        assert (await stage.client.call("GET", "/metrics", headers={})).status == 403
        good = {"Authorization": "Bearer let-me-see"}
        assert (await stage.client.call("GET", "/metrics", headers=good)).status == 200


def body_of(error: Any, dialect: Dialect, style: Style) -> Any:
    return json.loads(render(error, dialect=dialect, style=style, request_id="r1").body)


def test_each_style_and_dialect_has_its_shape() -> None:
    plain = {"success": False, "http_code": 403, "developer_message": "endpoint is blocked"}
    assert body_of(blocked(), Dialect.MESSAGING, Style.SIMPLE) == {"error": "endpoint is blocked"}
    assert body_of(blocked(), Dialect.MESSAGING, Style.META) == {"meta": plain}
    assert body_of(blocked(), Dialect.CONFIGURATION, Style.SIMPLE) == {"meta": plain}
    assert body_of(blocked(), Dialect.MESSAGING, Style.UNION)["meta"] == plain
    wrong = Invalid("No.", fields={"url": "must be https"})
    assert body_of(wrong, Dialect.CONFIGURATION, Style.UNION)["meta"]["details"] == ["url: must be https"]
    # Graph's envelope whatever the style.
    for style in Style:
        assert body_of(invalid_key(), Dialect.GRAPH, style)["error"]["code"] == 190
    assert body_of(missing_payment(), Dialect.GRAPH, Style.UNION)["error"]["code"] == 131042


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(Unavailable("x"), b"1"), (TooMany("x", retry_after_seconds=7), b"7"), (rate_limited(), b"1")],
)
def test_who_should_come_back_hears_when(error: Any, seconds: bytes) -> None:
    reply = render(error, dialect=Dialect.MESSAGING, style=Style.UNION, request_id="r1")
    assert (b"retry-after", seconds) in reply.headers


def test_every_path_leads_to_its_own_entry() -> None:
    samples = {
        "{version}": "v23.0",
        "{object_id}": "123456789012345",
        "{group_id}": "Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAz",
        "{session_id}": "upload:MTphdHRhY2htZW50",
        "{code}": "4O4YGZEG3RIVE1",
        "{user_id}": "4915112345678",
        "{name}": "order_update",
    }
    for endpoint in ENDPOINTS:
        path = endpoint.template
        for name, sample in samples.items():
            path = path.replace(name, sample)
        found = find(endpoint.method, path).endpoint
        assert found is not None
        assert (found.method, found.template) == (endpoint.method, endpoint.template)


def test_the_route_list_says_who_may_enter() -> None:
    routes = list_routes()
    assert len({(route.method, route.path) for route in routes}) == len(routes)
    assert {route.path for route in routes if route.access is Access.PUBLIC} == {"/healthz", "/readyz"}
    assert {route.path for route in routes if route.access is Access.META} == {"/meta/webhook"}
