"""Settings that an integration makes with its key: webhooks, templates, and Meta's own edges."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from tests import factories
from tests.gateway.stage import (
    CUSTOMER,
    PARTNER,
    Client,
    Stage,
    config_for,
    free_socket,
    port_of,
    running_gateway,
    staged,
)
from tests.kit.http.receivers import always
from tests.kit.http.receivers import receiver as http_receiver
from tests.simulator.harness import SYSTEM_TOKEN, Answer, until
from tests.webhooks.receivers import receiver

HOOK = "/v1/configs/webhook"


async def inbound(stage: Stage, number_id: str | None = None) -> None:
    """Let a customer write."""
    await stage.meta.admin(
        "POST", f"/numbers/{number_id or stage.shop.number_id}/inbound", {"from": CUSTOMER, "text": "hi"}
    )


async def test_a_webhook_is_set_read_and_used(stage: Stage) -> None:
    async with receiver() as second:
        wanted = {"url": second.url("/new"), "headers": {"Authorization": "Basic c2VjcmV0", "X-Any": "v"}}
        answer = await stage.client.call("POST", HOOK, json=wanted)
        assert (answer.status, answer.json) == (200, wanted)
        assert (await stage.client.call("GET", HOOK)).json == wanted
        await inbound(stage)
        [got] = await second.wait_for(1)
        assert (got.path, got.headers["authorization"], got.headers["x-any"]) == (
            "/new",
            "Basic c2VjcmV0",
            "v",
        )
    assert stage.receiver.got == []
    async with stage.database.tenant(PARTNER) as unit:
        [entry] = await unit.fetch_dicts(
            "select actor_kind, ip, user_agent, after from audit_entry where action = 'webhook.set'"
        )
    assert (entry["actor_kind"], entry["ip"]) == ("key", "127.0.0.1")
    assert entry["user_agent"].startswith("Python/")
    assert "secret" not in json.dumps(entry["after"])
    assert "c2VjcmV0" not in json.dumps(entry["after"])


async def test_a_webhook_must_be_one_that_can_be_called(database: Database, keyring: Keyring) -> None:
    async with staged(database, keyring, allow_loopback=False, configurations_per_second=100.0) as stage:
        for url, code in (
            ("http://client.example/hook", "https"),
            ("https://client_one.example/hook", "underscore"),
            ("https://client.example:8443/hook", "port"),
            ("https://10.0.0.1/hook", "public"),
            ("https://ann:secret@client.example/hook", "password"),
            ("https://client.example/hook#part", "#"),
            ("https://127.0.0.1/hook", ""),
            ("nonsense", ""),
        ):
            answer = await stage.client.call("POST", HOOK, json={"url": url})
            assert answer.status == 400, url
            assert answer.json["meta"]["success"] is False
            assert answer.json["meta"]["http_code"] == 400
            assert code in answer.body.decode().lower()
        wrong: list[Any] = [
            {},
            {"url": 7},
            {"url": "https://a.example", "headers": {"X": 1}},
            [],
        ]  # Any: JSON
        for body in wrong:
            assert (await stage.client.call("POST", HOOK, json=body)).status == 400
        for header in ({"Host": "b.example"}, {"X-Back": "https://my_host.example/"}):
            bad_header = {"url": "https://a.example", "headers": header}
            assert (await stage.client.call("POST", HOOK, json=bad_header)).status == 400
        many = await stage.client.call("POST", HOOK, json={"url": "http://client_one.example:8443/hook"})
        # Every rule that is broken is said at once.
        assert all(word in many.body.decode() for word in ("https", "underscore", "port"))
        # Nothing of it was taken.
        assert (await stage.client.call("GET", HOOK)).json["url"] == stage.receiver.url()


async def test_an_empty_url_removes_the_webhook(stage: Stage) -> None:
    assert (await stage.client.call("POST", HOOK, json={"url": ""})).status == 200
    assert (await stage.client.call("GET", HOOK)).json == {"url": "", "headers": {}}
    await inbound(stage)

    async def is_recorded() -> bool:
        async with stage.database.tenant(PARTNER) as unit:
            return bool(await unit.fetch_value("select count(*) from event where name = 'messages'"))

    await until(is_recorded)
    assert stage.receiver.got == []


async def test_an_accounts_webhook_serves_its_numbers_and_can_replace_theirs(stage: Stage) -> None:
    other = await stage.meta.admin(
        "PUT",
        f"/wabas/{stage.shop.waba_id}/numbers",
        {"phone_number": "+1 555 078 3882", "window_always_open": True},
    )
    channel = await factories.make_channel(stage.database, waba=stage.waba, external_id=other["id"])
    key = await factories.make_channel_key(stage.database, channel=channel)
    second = Client(stage.client.url, stage.client.session, key.secret)
    async with receiver() as shared:
        wanted = {"url": shared.url(), "headers": {"X-Gate": "open-sesame-1234", "X-Short": "pin"}}
        assert (await second.call("POST", "/waba_webhook", json=wanted)).status == 200
        # They are of every number, so a number's key does not read what another set.
        assert (await stage.client.call("GET", "/waba_webhook")).json == {
            "url": shared.url(),
            "headers": {"X-Gate": "••••1234", "X-Short": "••••"},
        }
        await inbound(stage, other["id"])
        await shared.wait_for(1)
        await inbound(stage)
        await stage.receiver.wait_for(1)
        answer = await second.call("POST", "/waba_webhook", json={"url": shared.url(), "override_all": True})
        assert answer.status == 200
        await inbound(stage)
        await shared.wait_for(2)
        assert len(stage.receiver.got) == 1


async def test_templates_are_listed_by_offset(stage: Stage) -> None:
    for number in range(3):
        await factories.make_template(stage.database, waba=stage.waba, name=f"extra_{number}")
    everything = (await stage.client.call("GET", "/v1/configs/templates")).json
    assert {template["name"] for template in everything["waba_templates"]} == {
        "news",
        "extra_0",
        "extra_1",
        "extra_2",
    }
    assert (everything["count"], everything["total"], everything["offset"]) == (4, 4, 0)
    assert {template["status"] for template in everything["waba_templates"]} == {"APPROVED"}
    part = (
        await stage.client.call("GET", "/v1/configs/templates?limit=2&offset=1&sort=-name&filters={}")
    ).json
    assert [template["name"] for template in part["waba_templates"]] == ["extra_2", "extra_1"]
    assert (part["count"], part["total"], part["limit"], part["offset"]) == (2, 4, 2, 1)
    named = (
        await stage.client.call("GET", "/v1/configs/templates", params={"filters": '{"name": "news"}'})
    ).json
    assert named["total"] == 1
    for query in ("limit=x", "offset=-1", "filters=x", "filters=[]"):
        assert (await stage.client.call("GET", f"/v1/configs/templates?{query}")).status == 400


async def test_templates_are_found_by_the_words_that_the_list_shows(
    database: Database, keyring: Keyring
) -> None:
    async with staged(database, keyring, configurations_per_second=100.0) as stage:
        await factories.make_template(
            database, waba=stage.waba, name="waiting", status="submitted", category="UTILITY"
        )

        async def names(**filters: object) -> set[str]:
            answer = await stage.client.call(
                "GET", "/v1/configs/templates", params={"filters": json.dumps(filters)}
            )
            assert answer.json["filters"] == filters
            return {each["name"] for each in answer.json["waba_templates"]}

        shown = (await stage.client.call("GET", "/v1/configs/templates")).json["waba_templates"]
        assert {each["name"]: each["status"] for each in shown} == {"news": "APPROVED", "waiting": "PENDING"}
        for status in ("APPROVED", "approved"):
            assert await names(status=status) == {"news"}
        for status in ("PENDING", "pending", "submitted"):
            assert await names(status=status) == {"waiting"}
        for category in ("UTILITY", "utility"):
            assert await names(category=category) == {"waiting"}
        assert await names(status="unknown") == {"news", "waiting"}
        assert await names(**{"business_templates.status": "APPROVED", "category": "marketing"}) == {"news"}
        assert await names(status="REJECTED") == set()
        wide = await stage.client.call("GET", "/v1/configs/templates?limit=5000")
        assert wide.json["limit"] == 1000


def template(name: str) -> dict[str, Any]:  # Any: as Meta takes it
    """Write a template that Meta takes."""
    return {
        "name": name,
        "language": "en_US",
        "category": "UTILITY",
        "components": [{"type": "BODY", "text": "Your order is on its way."}],
    }


async def test_a_template_is_made_known_at_once_and_deleted(stage: Stage) -> None:
    made = await stage.client.call("POST", "/v1/configs/templates", json=template("order_sent"))
    assert made.status == 200, made.body
    assert made.json["id"]
    assert made.json["name"] == "order_sent"
    assert made.json["status"] in {"PENDING", "APPROVED"}
    assert made.json["components"]
    async with stage.database.tenant(PARTNER) as unit:
        [row] = await unit.fetch_dicts("select external_id, category from template where name = 'order_sent'")
    assert row == {"external_id": made.json["id"], "category": "UTILITY"}
    again = await stage.client.call("POST", "/v1/configs/templates", json=template("order_sent"))
    assert again.status == 400
    assert again.error["type"] == "OAuthException"
    gone = await stage.client.call("DELETE", "/v1/configs/templates/order_sent")
    assert (gone.status, gone.json["success"]) == (200, True)
    async with stage.database.tenant(PARTNER) as unit:
        assert await unit.fetch_value("select count(*) from template where name = 'order_sent'") == 0


async def test_a_template_that_meta_reads_otherwise_than_we_do_is_asked_for(stage: Stage) -> None:
    made = await stage.client.call(
        "POST", "/v1/configs/templates", json={**template("order_sent"), "name": 5}
    )
    assert made.status == 200, made.body
    async with stage.database.pool.connection() as connection:
        # Meta's own news of the template may have come already.
        rows = await connection.execute(
            "select task_name, args->>'waba_id' from procrastinate_jobs"
            " where task_name <> 'messaging.route_change'"
        )
        assert [row async for row in rows] == [("channels.sync_templates", stage.waba.id)]


async def test_a_name_with_a_zero_character_is_no_template(stage: Stage) -> None:
    gone = await stage.client.call("DELETE", "/v1/configs/templates/a%00b")
    assert (gone.status, gone.error["code"]) == (403, 403), gone.body


async def test_templates_on_graphs_path_are_metas_own(stage: Stage) -> None:
    path = f"/v25.0/{stage.shop.waba_id}/message_templates"
    bearer = {"Authorization": f"Bearer {stage.client.key}"}
    listed = await stage.client.call("GET", path + "?limit=10&fields=name,status", headers=bearer)
    assert [each["name"] for each in listed.json["data"]] == ["news"]
    made = await stage.client.call("POST", path, headers=bearer, json=template("order_late"))
    assert set(made.json) == {"id", "status", "category"}
    gone = await stage.client.call("DELETE", path + "?name=order_late", headers=bearer)
    assert gone.json == {"success": True}
    foreign = await stage.client.call("GET", "/v25.0/104999999999999/message_templates", headers=bearer)
    assert (foreign.status, foreign.error["code"]) == (404, 100)


async def test_metas_edges_answer_behind_their_own_paths_and_graphs(stage: Stage) -> None:
    number = stage.shop.number_id
    bearer = {"Authorization": f"Bearer {stage.client.key}"}

    async def ask(method: str, path: str, **options: Any) -> Answer:  # Any: options of the call
        return await stage.client.call(method, path, headers=bearer, **options)

    profile = {"messaging_product": "whatsapp", "about": "Shoes", "websites": ["https://acme.example"]}
    for path in ("/whatsapp_business_profile", f"/v24.0/{number}/whatsapp_business_profile"):
        assert (await ask("POST", path, json=profile)).json == {"success": True}
        read = await ask("GET", path + "?fields=about,websites")
        assert read.json["data"][0]["about"] == "Shoes"
    health = await ask("GET", "/health_status")
    assert health.json["health_status"]["can_send_message"]
    await inbound(stage)
    blocked = await ask(
        "POST", "/block_users", json={"messaging_product": "whatsapp", "block_users": [{"user": CUSTOMER}]}
    )
    assert blocked.status == 200, blocked.body
    assert "added_users" in blocked.json["block_users"]
    calls = await stage.meta.admin("GET", "/calls")
    assert all(stage.client.key not in json.dumps(call) for call in calls)
    paths = {call["path"] for call in calls}
    assert {f"/{number}/whatsapp_business_profile", f"/{number}", f"/{number}/block_users"} <= paths


async def test_a_query_cannot_ask_for_more_than_its_edge(stage: Stage) -> None:
    for query in (
        "fields=about{x}",
        "fields=about,owner.fields(id)",
    ):
        assert (await stage.client.call("GET", f"/whatsapp_business_profile?{query}")).status == 400
    answer = await stage.client.call(
        "GET", "/whatsapp_business_profile?method=delete&access_token=stolen&ids=1,2&fields=about"
    )
    assert answer.status == 200
    [call, *_] = await stage.calls_to_meta("/whatsapp_business_profile")
    assert (call["method"], call["query"]) == ("GET", {"fields": "about"})


async def test_further_pages_are_read_here_and_not_at_meta(stage: Stage) -> None:
    for number in range(2):
        await stage.meta.post(
            f"/{stage.shop.waba_id}/message_templates", json=template(f"extra_{number}"), token=SYSTEM_TOKEN
        )
    bearer = {"Authorization": f"Bearer {stage.client.key}"}
    path = f"/v25.0/{stage.shop.waba_id}/message_templates?limit=2&fields=name"
    first = await stage.client.call("GET", path, headers=bearer)
    following = first.json["paging"]["next"]
    assert following.startswith(f"{stage.config.gateway_url}/v25.0/{stage.shop.waba_id}/message_templates?")
    assert "access_token" not in following
    assert first.json["paging"]["cursors"]["after"]
    second = await stage.client.call("GET", following.removeprefix(stage.config.gateway_url), headers=bearer)
    names = {each["name"] for page in (first, second) for each in page.json["data"]}
    assert names == {"news", "extra_0", "extra_1"}


@pytest.mark.parametrize(
    ("paging", "shown"),
    [
        (
            '{"next":"https://graph.facebook.com/v23.0/1/block_users?access_token=EAA&limit=1&after=x"}',
            {"next": "{here}/v23.0/1/block_users?limit=1&after=x"},
        ),
        (
            '{"previous":"https://graph.facebook.com/v23.0/1/block_users?access_token=EAA"}',
            {"previous": "{here}/v23.0/1/block_users"},
        ),
        ('{"cursors":{"after":"x"}}', {"cursors": {"after": "x"}}),
        ('{"next":7}', {"next": 7}),
        ('{"next":"http://[x"}', {"next": "http://[x"}),
        ("[]", []),
    ],
)
async def test_an_address_of_a_further_page_leads_here_and_carries_no_token(
    database: Database, keyring: Keyring, paging: str, shown: Any
) -> None:
    body = b'{"data":[{"big":12345678901234567890.10}],"paging":%b}' % paging.encode()
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with http_receiver(always(raw + body)) as graph, staged(database, keyring) as stage:
        sock = free_socket()
        config = config_for(stage.meta, f"http://127.0.0.1:{port_of(sock)}", graph_url=graph.url(""))
        async with running_gateway(database, keyring, config, sock):
            client = replace(stage.client, url=config.gateway_url)
            answer = await client.call("GET", "/block_users")
    assert answer.status == 200
    here = json.loads(json.dumps(shown).replace("{here}", config.gateway_url))
    assert answer.json["paging"] == here
    # The rest is Meta's, to the digit.
    assert answer.body.startswith(b'{"data":[{"big":12345678901234567890.10}]')


async def test_what_meta_refuses_on_an_edge_comes_back_as_it_is(stage: Stage) -> None:
    await stage.fault("error", path="/*/block_users", code=139101, http_status=400, times=1)
    answer = await stage.client.call("GET", "/block_users")
    assert (answer.status, answer.error["code"]) == (400, 139101)
