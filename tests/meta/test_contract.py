"""Every request of the client against Meta's own OpenAPI, and every shape against Meta's own examples.

The document is Meta's, unchanged (`tests/meta_openapi`, MIT). Where it is silent or wrong the table below
says so; a call without a line in the table fails.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import msgspec
import pytest
import yaml
from tests.kit.http.receivers import Request, Visit, receiver
from tests.meta.conftest import client_of

from partnerhub.kit.http import HttpClient
from partnerhub.meta import MetaClient
from partnerhub.meta.accounts import AccountCalls
from partnerhub.meta.app import AppCalls
from partnerhub.meta.credit import CreditCalls
from partnerhub.meta.media import MediaCalls
from partnerhub.meta.messages import MessageCalls
from partnerhub.meta.numbers import NumberCalls
from partnerhub.meta.shapes import (
    Account,
    AssignedUser,
    CreditLine,
    Id,
    MediaInfo,
    MessageAccepted,
    NumberSettings,
    Page,
    PhoneNumber,
    ProfileEntry,
    SubscribedApp,
    Success,
    Template,
    TemplateCreated,
)
from partnerhub.meta.templates import TemplateCalls

FILE = Path(__file__).parent.parent / "meta_openapi" / "business-messaging-api_v23.0.yaml"

Json = dict[str, Any]
Call = Callable[[MetaClient], Awaitable[object]]


async def drained(items: Any) -> list[object]:
    return [item async for item in items]


# An answer that every shape but one can be read from.
ANSWER = msgspec.json.encode(
    {
        "success": True,
        "id": "1",
        "data": [],
        "access_token": "t",
        "allocation_config_id": "1",
        "block_users": {},
        "h": "4::x",
    }
)
TOKEN_INFO = b'{"data":{"is_valid":true}}'
T = "EAAtoken"
TEMPLATE = {
    "name": "news",
    "language": "en_US",
    "category": "MARKETING",
    "components": [{"type": "BODY", "text": "News."}],
}
TEXT = b'{"messaging_product":"whatsapp","to":"15550001111","type":"text","text":{"body":"hello"}}'
MARKETING = (
    b'{"messaging_product":"whatsapp","recipient_type":"individual","to":"15550001111","type":"template",'
    b'"template":{"name":"news","language":{"code":"en_US","policy":"deterministic"}},"product_policy":"STRICT"}'
)

# Method of the client → (Meta's path in the document, the call). A path in brackets is not in the document.
CALLS: dict[str, tuple[str, Call]] = {
    "AppCalls.exchange_code": ("(/oauth/access_token)", lambda m: m.app.exchange_code(code="AQ")),
    "AppCalls.fetch_app_token": ("(/oauth/access_token)", lambda m: m.app.fetch_app_token()),
    "AppCalls.debug_token": ("(/debug_token)", lambda m: m.app.debug_token(inspected="EAA")),
    "AppCalls.subscribe": (
        "({Application-ID}/subscriptions)",
        lambda m: m.app.subscribe(callback_url="https://a.example/", verify_token="v", fields=["messages"]),
    ),
    "AppCalls.list_subscriptions": ("({Application-ID}/subscriptions)", lambda m: m.app.list_subscriptions()),
    "AppCalls.unsubscribe": ("({Application-ID}/subscriptions)", lambda m: m.app.unsubscribe()),
    "AccountCalls.get": ("{WABA-ID}", lambda m: m.accounts.get("2", token=T)),
    "AccountCalls.get_health": ("{WABA-ID}", lambda m: m.accounts.get_health("2", token=T)),
    "AccountCalls.update": (
        "{WABA-ID}",
        lambda m: m.accounts.update("2", token=T, changes={"is_enabled_for_insights": True}),
    ),
    "AccountCalls.list_owned": (
        "{Business-ID}/owned_whatsapp_business_accounts",
        lambda m: m.accounts.list_owned("3", token=T),
    ),
    "AccountCalls.list_shared": (
        "{Business-ID}/client_whatsapp_business_accounts",
        lambda m: m.accounts.list_shared("3", token=T),
    ),
    "AccountCalls.subscribe_app": (
        "{WABA-ID}/subscribed_apps",
        lambda m: m.accounts.subscribe_app(
            "2", token=T, override_callback_uri="https://a.example/", verify_token="v"
        ),
    ),
    "AccountCalls.unsubscribe_app": (
        "{WABA-ID}/subscribed_apps",
        lambda m: m.accounts.unsubscribe_app("2", token=T),
    ),
    "AccountCalls.list_subscribed_apps": (
        "{WABA-ID}/subscribed_apps",
        lambda m: m.accounts.list_subscribed_apps("2", token=T),
    ),
    "AccountCalls.assign_user": (
        "{WhatsApp-Business-Account-ID}/assigned_users",
        lambda m: m.accounts.assign_user("2", token=T, user_id="5", tasks=["MANAGE", "VIEW_COST"]),
    ),
    "AccountCalls.unassign_user": (
        "{WhatsApp-Business-Account-ID}/assigned_users",
        lambda m: m.accounts.unassign_user("2", token=T, user_id="5"),
    ),
    "AccountCalls.list_assigned_users": (
        "{WhatsApp-Business-Account-ID}/assigned_users",
        lambda m: m.accounts.list_assigned_users("2", token=T, business_id="3"),
    ),
    "AccountCalls.list_numbers": (
        "{WABA-ID}/phone_numbers",
        lambda m: m.accounts.list_numbers("2", token=T),
    ),
    "NumberCalls.get": ("{Phone-Number-ID}", lambda m: m.numbers.get("1", token=T)),
    "NumberCalls.get_health": ("{Phone-Number-ID}", lambda m: m.numbers.get_health("1", token=T)),
    "NumberCalls.add": (
        "{WABA-ID}/phone_numbers",
        lambda m: m.numbers.add(
            "2", token=T, country_code="49", phone_number="30901820", verified_name="Acme", migrate=True
        ),
    ),
    "NumberCalls.request_code": (
        "{Phone-Number-ID}/request_code",
        lambda m: m.numbers.request_code("1", token=T, method="SMS"),
    ),
    "NumberCalls.verify_code": (
        "{Phone-Number-ID}/verify_code",
        lambda m: m.numbers.verify_code("1", token=T, code="123456"),
    ),
    "NumberCalls.register": (
        "{Phone-Number-ID}/register",
        lambda m: m.numbers.register("1", token=T, pin="123456"),
    ),
    "NumberCalls.deregister": (
        "{Phone-Number-ID}/deregister",
        lambda m: m.numbers.deregister("1", token=T),
    ),
    "NumberCalls.set_pin": ("{Phone-Number-ID}", lambda m: m.numbers.set_pin("1", token=T, pin="123456")),
    "NumberCalls.override_callback": (
        "{Phone-Number-ID}",
        lambda m: m.numbers.override_callback(
            "1", token=T, callback_uri="https://a.example/", verify_token="v"
        ),
    ),
    "NumberCalls.update": (
        "{Phone-Number-ID}",
        lambda m: m.numbers.update("1", token=T, changes={"search_visibility": "VISIBLE"}),
    ),
    "NumberCalls.get_settings": (
        "{Phone-Number-ID}/settings",
        lambda m: m.numbers.get_settings("1", token=T),
    ),
    "NumberCalls.update_settings": (
        "{Phone-Number-ID}/settings",
        lambda m: m.numbers.update_settings(
            "1", token=T, settings={"user_identity_change": {"enable_identity_key_check": True}}
        ),
    ),
    "NumberCalls.get_profile": (
        "{Phone-Number-ID}/whatsapp_business_profile",
        lambda m: m.numbers.get_profile("1", token=T),
    ),
    "NumberCalls.update_profile": (
        "{Phone-Number-ID}/whatsapp_business_profile",
        lambda m: m.numbers.update_profile("1", token=T, changes={"about": "a", "vertical": "RETAIL"}),
    ),
    "NumberCalls.list_blocked": (
        "{Phone-Number-ID}/block_users",
        lambda m: m.numbers.list_blocked("1", token=T),
    ),
    "NumberCalls.block": (
        "{Phone-Number-ID}/block_users",
        lambda m: m.numbers.block("1", token=T, users=["15550001111"]),
    ),
    "NumberCalls.unblock": (
        "{Phone-Number-ID}/block_users",
        lambda m: m.numbers.unblock("1", token=T, users=["15550001111"]),
    ),
    "NumberCalls.request_app_data": (
        "({Phone-Number-ID}/smb_app_data)",
        lambda m: m.numbers.request_app_data("1", token=T, sync_type="history"),
    ),
    "TemplateCalls.list_all": (
        "{WABA-ID}/message_templates",
        lambda m: drained(m.templates.list_all("2", token=T, filters={"name": "news"})),
    ),
    "TemplateCalls.get": ("{TEMPLATE_ID}", lambda m: m.templates.get("4", token=T)),
    "TemplateCalls.create": (
        "{WABA-ID}/message_templates",
        lambda m: m.templates.create("2", token=T, template=TEMPLATE),
    ),
    "TemplateCalls.edit": (
        "{TEMPLATE_ID}",
        lambda m: m.templates.edit("4", token=T, changes={"components": TEMPLATE["components"]}),
    ),
    "TemplateCalls.delete": (
        "{WABA-ID}/message_templates",
        lambda m: m.templates.delete("2", token=T, name="news", template_id="4"),
    ),
    "TemplateCalls.unpause": ("({TEMPLATE_ID}/unpause)", lambda m: m.templates.unpause("4", token=T)),
    "MessageCalls.send": (
        "{Phone-Number-ID}/messages",
        lambda m: m.messages.send("1", token=T, body=TEXT),
    ),
    "MessageCalls.send marketing": (
        "{Phone-Number-ID}/marketing_messages",
        lambda m: m.messages.send("1", token=T, body=MARKETING, edge="marketing_messages"),
    ),
    "MediaCalls.upload": (
        "{Phone-Number-ID}/media",
        lambda m: m.media.upload("1", token=T, content=b"x", content_type="image/png", filename="a.png"),
    ),
    "MediaCalls.upload_form": (
        "{Phone-Number-ID}/media",
        lambda m: m.media.upload_form(
            "1", token=T, body=b"--x--\r\n", content_type="multipart/form-data; boundary=x"
        ),
    ),
    "MediaCalls.get": ("{Media-ID}", lambda m: m.media.get("6", token=T, number_id="1")),
    "MediaCalls.delete": ("{Media-ID}", lambda m: m.media.delete("6", token=T, number_id="1")),
    "MediaCalls.open_upload": (
        "({Application-ID}/uploads)",
        lambda m: m.media.open_upload(token=T, length=1, content_type="image/png"),
    ),
    "MediaCalls.send_upload": (
        "({Upload-ID})",
        lambda m: m.media.send_upload("upload:x", token=T, content=b"x"),
    ),
    "MediaCalls.get_upload": ("({Upload-ID})", lambda m: m.media.get_upload("upload:x", token=T)),
    "CreditCalls.list_lines": (
        "{Business-ID}/extendedcredits",
        lambda m: m.credit.list_lines("3", token=T),
    ),
    "CreditCalls.share_and_attach": (
        "({Credit-Line-ID}/whatsapp_credit_sharing_and_attach)",
        lambda m: m.credit.share_and_attach("7", token=T, account_id="2", currency="EUR"),
    ),
    "CreditCalls.list_allocations": (
        "({Credit-Line-ID}/owning_credit_allocation_configs)",
        lambda m: m.credit.list_allocations("7", token=T),
    ),
    "CreditCalls.get_allocation": (
        "({Allocation-ID})",
        lambda m: m.credit.get_allocation("8", token=T),
    ),
    "CreditCalls.revoke": ("({Allocation-ID})", lambda m: m.credit.revoke("8", token=T)),
}

# Not calls to Graph: a signed address of Meta's media host, tested in test_messages.
ELSEWHERE = {"MediaCalls.download"}

# Bodies that the document refuses although Meta's guide shows them.
WRONG_BODIES = {
    "{Phone-Number-ID}/messages": "each kind is an allOf of two objects that allow no further properties",
    "{Phone-Number-ID}/settings": "every setting is a bare `enabled`; the guide has the words we send",
}

# Query parameters Meta's guide has and the document leaves out.
UNDOCUMENTED_QUERY = {
    ("get", "{WABA-ID}/message_templates"): {"fields", "limit", "after"},
    ("get", "{TEMPLATE_ID}"): {"fields"},
    ("delete", "{WhatsApp-Business-Account-ID}/assigned_users"): {"user"},
}


@cache
def document() -> Json:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded: Json = yaml.load(FILE.read_text(), Loader=loader)  # noqa: S506 - safe in both spellings
    return loaded


def resolved(node: Json) -> Json:
    if "$ref" not in node:
        return node
    found: Any = document()
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return resolved(found)


def validator(schema: Json) -> jsonschema.Draft202012Validator:
    whole = {**schema, "components": document()["components"]}
    return jsonschema.Draft202012Validator(whole)


async def requests_of(call: Call, http: HttpClient) -> list[Request]:
    async def script(visit: Visit) -> None:
        while True:
            request = await visit.request()
            answer = TOKEN_INFO if "/debug_token" in request.lines[0] else ANSWER
            await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)

    async with receiver(script) as here:
        await call(client_of(here.url(""), http))
        return here.requests


def test_every_method_has_a_line_in_the_table() -> None:
    groups = (AppCalls, AccountCalls, NumberCalls, TemplateCalls, MessageCalls, MediaCalls, CreditCalls)
    methods = {
        f"{group.__name__}.{name}"
        for group in groups
        for name, member in inspect.getmembers(group, inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods - ELSEWHERE == {name.partition(" ")[0] for name in CALLS}


@pytest.mark.parametrize("name", CALLS)
async def test_a_request_is_one_that_meta_documents(name: str, http: HttpClient) -> None:
    path, call = CALLS[name]
    requests = await requests_of(call, http)
    request = requests[-1]
    method, address, _ = request.lines[0].split(" ")
    assert urlsplit(address).path.startswith("/v23.0/")
    assert T not in address
    if path.startswith("("):
        documented = f"/{{Version}}/{path.strip('()').strip('/')}"
        assert documented not in document()["paths"], "Meta documents this call now"
        return
    item = document()["paths"][f"/{{Version}}/{path}"]
    operation: Json = item[method.lower()]
    pattern = re.sub(r"\{[^}]+\}", r"[0-9]+", f"/v23.0/{path}")
    assert re.fullmatch(pattern, urlsplit(address).path)

    parameters = [resolved(one) for one in [*item.get("parameters", []), *operation.get("parameters", [])]]
    query = dict(parse_qsl(urlsplit(address).query))
    known = {one["name"] for one in parameters if one["in"] == "query"}
    needed = {one["name"] for one in parameters if one["in"] == "query" and one.get("required")}
    assert needed <= set(query)
    assert set(query) <= known | UNDOCUMENTED_QUERY.get((method.lower(), path), set())
    for one in parameters:
        if one["in"] == "header" and one.get("required") and one["name"].lower() != "content-type":
            assert request.header(one["name"]), one["name"]
    if path not in WRONG_BODIES:
        check_body(request, operation)


@pytest.mark.parametrize("name", ["MessageCalls.send", "NumberCalls.update_settings"])
async def test_the_document_still_refuses_what_the_guide_shows(name: str, http: HttpClient) -> None:
    path, call = CALLS[name]
    assert path in WRONG_BODIES
    [request] = await requests_of(call, http)
    with pytest.raises(AssertionError):
        check_body(request, document()["paths"][f"/{{Version}}/{path}"]["post"])


def check_body(request: Request, operation: Json) -> None:
    content: Json = resolved(operation.get("requestBody", {})).get("content", {})
    if not request.body:
        return
    content_type = (request.header("content-type") or "").partition(";")[0]
    if not content:
        return
    assert content_type in content
    schema = content[content_type].get("schema", {})
    if content_type == "application/json":
        complaints = validator(schema).iter_errors(msgspec.json.decode(request.body))
        assert [complaint.message for complaint in complaints] == []
    elif content_type == "application/x-www-form-urlencoded":
        form: Json = dict(parse_qsl(request.body.decode()))
        form = {key: msgspec.json.decode(text) if text[:1] == "[" else text for key, text in form.items()}
        assert [complaint.message for complaint in validator(schema).iter_errors(form)] == []


# Operation → what the client reads its answer as.
SHAPES: dict[tuple[str, str], Any] = {
    ("get", "{WABA-ID}"): Account,
    ("get", "{WABA-ID}/subscribed_apps"): Page[SubscribedApp],
    ("post", "{WABA-ID}/subscribed_apps"): Success,
    ("delete", "{WABA-ID}/subscribed_apps"): Success,
    ("get", "{WABA-ID}/phone_numbers"): Page[PhoneNumber],
    ("post", "{WABA-ID}/phone_numbers"): Id,
    ("get", "{Business-ID}/owned_whatsapp_business_accounts"): Page[Account],
    ("get", "{Business-ID}/client_whatsapp_business_accounts"): Page[Account],
    ("get", "{Business-ID}/extendedcredits"): Page[CreditLine],
    ("get", "{WhatsApp-Business-Account-ID}/assigned_users"): Page[AssignedUser],
    ("post", "{WhatsApp-Business-Account-ID}/assigned_users"): Success,
    ("delete", "{WhatsApp-Business-Account-ID}/assigned_users"): Success,
    ("get", "{Phone-Number-ID}"): PhoneNumber,
    ("post", "{Phone-Number-ID}/register"): Success,
    ("post", "{Phone-Number-ID}/deregister"): Success,
    ("post", "{Phone-Number-ID}/request_code"): Success,
    ("post", "{Phone-Number-ID}/verify_code"): Success,
    ("get", "{Phone-Number-ID}/settings"): NumberSettings,
    ("post", "{Phone-Number-ID}/settings"): Success,
    ("get", "{Phone-Number-ID}/whatsapp_business_profile"): Page[ProfileEntry],
    ("post", "{Phone-Number-ID}/whatsapp_business_profile"): Success,
    ("post", "{Phone-Number-ID}/messages"): MessageAccepted,
    ("post", "{Phone-Number-ID}/marketing_messages"): MessageAccepted,
    ("post", "{Phone-Number-ID}/media"): Id,
    ("get", "{Media-ID}"): MediaInfo,
    ("delete", "{Media-ID}"): Success,
    ("get", "{WABA-ID}/message_templates"): Page[Template],
    ("post", "{WABA-ID}/message_templates"): TemplateCreated,
    ("delete", "{WABA-ID}/message_templates"): Success,
    ("get", "{TEMPLATE_ID}"): Template,
    ("post", "{TEMPLATE_ID}"): Success,
}


def examples(method: str, path: str) -> list[Any]:
    operation: Json = document()["paths"][f"/{{Version}}/{path}"][method]
    answers: Json = {str(code): answer for code, answer in operation["responses"].items()}
    content: Json = resolved(answers["200"]).get("content", {}).get("application/json", {})
    named = [one["value"] for one in content.get("examples", {}).values() if "value" in one]
    return [*named, *([content["example"]] if "example" in content else [])]


@pytest.mark.parametrize(("method", "path"), SHAPES)
def test_a_shape_reads_every_example_meta_gives(method: str, path: str) -> None:
    found = examples(method, path)
    assert found, "Meta gives no example; take the line out"
    for example in found:
        msgspec.convert(example, SHAPES[method, path], strict=False)
