"""The simulator's answers against Meta's own OpenAPI, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import response_schema_conformance

from tests.simulator.harness import CONFIG, SYSTEM_TOKEN, Json, Meta, Shop, in_thread
from tests.simulator.meta_contract import ERROR_BODY, check_answer, check_error, load
from tests.simulator.test_media import PICTURE, upload

PHONE = "/{Version}/{Phone-Number-ID}"
WABA = "/{Version}/{WABA-ID}"
USERS = "/{Version}/{WhatsApp-Business-Account-ID}/assigned_users"

ALLOWED: tuple[tuple[str, str], ...] = (
    ("get", "/{Version}/{Business-ID}/client_whatsapp_business_accounts"),
    ("get", "/{Version}/{Business-ID}/owned_whatsapp_business_accounts"),
    ("get", "/{Version}/{Business-ID}/extendedcredits"),
    ("get", WABA),
    ("post", WABA),
    ("get", f"{WABA}/phone_numbers"),
    ("post", f"{WABA}/phone_numbers"),
    ("get", f"{WABA}/subscribed_apps"),
    ("post", f"{WABA}/subscribed_apps"),
    ("delete", f"{WABA}/subscribed_apps"),
    ("get", f"{WABA}/message_templates"),
    ("post", f"{WABA}/message_templates"),
    ("delete", f"{WABA}/message_templates"),
    ("get", USERS),
    ("post", USERS),
    ("delete", USERS),
    ("get", PHONE),
    ("post", PHONE),
    ("post", f"{PHONE}/register"),
    ("post", f"{PHONE}/deregister"),
    ("post", f"{PHONE}/request_code"),
    ("post", f"{PHONE}/verify_code"),
    ("get", f"{PHONE}/settings"),
    ("post", f"{PHONE}/settings"),
    ("post", f"{PHONE}/messages"),
    ("post", f"{PHONE}/marketing_messages"),
    ("post", f"{PHONE}/media"),
    ("get", f"{PHONE}/block_users"),
    ("post", f"{PHONE}/block_users"),
    ("get", f"{PHONE}/whatsapp_business_profile"),
    ("post", f"{PHONE}/whatsapp_business_profile"),
    ("get", "/{Version}/{Media-ID}"),
    ("get", "/{Version}/{TEMPLATE_ID}"),
)


async def test_the_answers_of_onboarding_and_sending_fit_metas_schemas(meta: Meta, shop: Shop) -> None:
    number, waba = f"/{shop.number_id}", f"/{shop.waba_id}"
    product: Json = {"messaging_product": "whatsapp"}
    news: Json = {"type": "template", "template": {"name": "news", "language": {"code": "en_US"}}}
    template: Json = {
        "name": "shipped",
        "language": "en_US",
        "category": "UTILITY",
        "components": [{"type": "BODY", "text": "Your order is on its way."}],
    }
    await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", {"from": "4915112345678", "text": "hi"})
    media = await upload(meta, shop.number_id, PICTURE, "image/jpeg")
    every_field = (
        "id,display_phone_number,verified_name,status,quality_rating,code_verification_status,name_status,"
        "account_mode,host_platform,messaging_limit_tier,is_official_business_account,country_code"
    )
    answers = [
        ("get", f"{WABA}/phone_numbers", await meta.get(f"{waba}/phone_numbers")),
        ("get", f"{WABA}/phone_numbers", await meta.get(f"{waba}/phone_numbers?fields={every_field}")),
        (
            "post",
            f"{WABA}/phone_numbers",
            await meta.post(
                f"{waba}/phone_numbers",
                json={"cc": "49", "phone_number": "15112345678", "verified_name": "Acme"},
            ),
        ),
        ("post", f"{WABA}/subscribed_apps", await meta.post(f"{waba}/subscribed_apps")),
        ("get", f"{WABA}/subscribed_apps", await meta.get(f"{waba}/subscribed_apps")),
        (
            "post",
            f"{PHONE}/register",
            await meta.post(f"{number}/register", json={**product, "pin": "123456"}),
        ),
        (
            "post",
            f"{PHONE}/messages",
            await meta.post(f"{number}/messages", json={**product, "to": "4915112345678", **news}),
        ),
        (
            "post",
            f"{PHONE}/messages",
            await meta.post(
                f"{number}/messages", json={**product, "to": "4915112345678", "text": {"body": "hi"}}
            ),
        ),
        (
            "post",
            f"{PHONE}/marketing_messages",
            await meta.post(f"{number}/marketing_messages", json={**product, "to": "4915112345678", **news}),
        ),
        (
            "post",
            f"{WABA}/message_templates",
            await meta.post(f"{waba}/message_templates", json=template),
        ),
        ("get", f"{WABA}/message_templates", await meta.get(f"{waba}/message_templates")),
        ("get", "/{Version}/{TEMPLATE_ID}", await meta.get(f"/{shop.template_id}")),
        ("delete", f"{WABA}/message_templates", await meta.delete(f"{waba}/message_templates?name=shipped")),
        ("post", f"{PHONE}/media", media),
        ("get", "/{Version}/{Media-ID}", await meta.get(f"/{media.json['id']}")),
        ("delete", "/{Version}/{Media-ID}", await meta.delete(f"/{media.json['id']}")),
        ("get", PHONE, await meta.get(number)),
        ("post", PHONE, await meta.post(number, json={"pin": "654321"})),
        ("get", WABA, await meta.get(f"{waba}?fields=id,name,country,currency,ownership_type")),
        ("post", f"{PHONE}/deregister", await meta.post(f"{number}/deregister")),
    ]
    for method, path, answer in answers:
        assert answer.status == 200, (method, path, answer.body)
        check_answer(path, method, answer.json)
    by_name = {(method, path): answer.json for method, path, answer in answers}
    # The published schemas ask for little; what documentation promises is asked for here.
    assert set(by_name["post", f"{WABA}/message_templates"]) == {"id", "status", "category"}
    assert set(by_name["post", f"{PHONE}/messages"]) == {"messaging_product", "contacts", "messages"}
    assert set(by_name["get", PHONE]) == {
        "verified_name",
        "code_verification_status",
        "display_phone_number",
        "quality_rating",
        "platform_type",
        "throughput",
        "webhook_configuration",
        "id",
    }


async def test_every_error_has_metas_envelope(meta: Meta, shop: Shop) -> None:
    errors = [
        await meta.get("/1"),
        await meta.get(f"/{shop.number_id}?fields=nonsense"),
        await meta.get(f"/{shop.number_id}/nonsense"),
        await meta.post(
            f"/{shop.number_id}/messages", data=b"{", headers={"Content-Type": "application/json"}
        ),
        await meta.post(f"/{shop.waba_id}/message_templates", json={"name": "Not OK"}),
        await meta.get(f"/{shop.waba_id}", token="EAAnone"),
        await meta.get("/oauth/access_token", token=""),
        await meta.call("PATCH", f"/{shop.waba_id}"),
        await meta.get("/"),
    ]
    for error in errors:
        assert error.status >= 400
        check_error(error.json)


def test_the_overlay_still_bites() -> None:
    with pytest.raises(jsonschema.ValidationError):
        check_answer(f"{WABA}/phone_numbers", "get", {"data": [{"id": 5}]})
    with pytest.raises(jsonschema.ValidationError):
        check_answer(f"{PHONE}/register", "post", {"success": "yes"})
    with pytest.raises(jsonschema.ValidationError):
        check_error({"error": "text"})
    assert ERROR_BODY["required"] == ["error"]


@pytest.fixture(scope="module")
def generated() -> BaseSchema:
    """The mended specification, ready to generate from."""
    return schemathesis.openapi.from_dict(load())


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A simulator of this module's own: its state lasts over all generated requests."""
    with in_thread(CONFIG) as url:
        yield url


@pytest.fixture(scope="module")
def path_values(address: str) -> Json:
    """Ids to fill into paths, of things that exist."""
    requests.patch(
        f"{address}/simulator/rules",
        json={"statuses": False, "management_limit": False, "registration_limit": False},
        timeout=10,
    ).raise_for_status()
    made = requests.post(
        f"{address}/simulator/seed",
        json={
            "numbers": [{"phone_number": "+15550783881", "window_always_open": True}],
            "templates": [{"name": "news", "text": "Our news are out."}],
        },
        timeout=10,
    ).json()
    number_id = made["numbers"][0]["id"]
    received = requests.post(
        f"{address}/simulator/numbers/{number_id}/inbound",
        json={"from": "4915112345678", "type": "image"},
        timeout=10,
    )
    received.raise_for_status()
    media = requests.post(
        f"{address}/{number_id}/media",
        files={"file": ("a.jpg", PICTURE, "image/jpeg")},
        data={"messaging_product": "whatsapp"},
        headers={"Authorization": f"Bearer {SYSTEM_TOKEN}"},
        timeout=10,
    ).json()
    return {
        "Version": "v23.0",
        "Phone-Number-ID": number_id,
        "WABA-ID": made["waba_id"],
        "WhatsApp-Business-Account-ID": made["waba_id"],
        "Business-ID": CONFIG.business_id,
        "Media-ID": media["id"],
        "TEMPLATE_ID": made["templates"][0]["id"],
    }


@pytest.mark.parametrize(("method", "path"), ALLOWED, ids=str)
def test_generated_requests_never_break_the_simulator(
    address: str, path_values: Json, generated: BaseSchema, method: str, path: str
) -> None:
    operation = generated[path][method.upper()]
    statuses: set[int] = set()

    @settings(
        max_examples=8,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), unused=st.none())
    def probe(case: Case[Any], unused: None) -> None:
        assert unused is None
        case.path_parameters = {
            name: path_values[name] for name in (case.path_parameters or {}) if name in path_values
        }
        response = case.call(
            base_url=address, headers={"Authorization": f"Bearer {SYSTEM_TOKEN}"}, timeout=10
        )
        statuses.add(response.status_code)
        case.validate_response(response, checks=[not_a_server_error])
        if "fields" not in (case.query or {}):  # which leaves out what the schema calls required
            case.validate_response(response, checks=[response_schema_conformance])

    probe()
    assert statuses
