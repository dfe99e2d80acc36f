"""Settings by API: the ten members, what each scope may change, and what is wrong said all at once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from partnerhub.identity.queries import list_audit
from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit import clock
from partnerhub.partners.services import TokenKeys, generate_platform_secret, issue_token
from partnerhub.webhooks.queries import find_endpoint
from partnerhub.webhooks.schemas import OwnerKind
from tests.factories import make_member, make_partner
from tests.hub_api.stage import Api
from tests.identity.people import CHEAP, PASSWORD

DEFAULTS: dict[str, object] = {
    "solution_id": None,
    "webhook_url": None,
    "webhook_headers": {},
    "redirect_url": None,
    "redirect_origins": [],
    "default_hosting_type": "cloud_api",
    "data_localization_region": "US",
    "legacy_token_auth_enabled": False,
    "mm_api_routing_enabled": True,
    "io_signature_enabled": False,
    "secret_overlap_hours": 24,
}


async def _secret(api: Api) -> None:
    async with api.database.tenant(api.partner.id) as unit:
        await generate_platform_secret(unit, partner_id=api.partner.id, actor=SYSTEM, keyring=api.keyring)


async def test_a_new_partner_has_these_settings_and_no_others(api: Api) -> None:
    assert await api.get() == DEFAULTS


async def test_every_setting_can_be_changed_at_once_and_stays(api: Api) -> None:
    await _secret(api)
    wanted = {
        "solution_id": "123456789012345",
        "webhook_url": "https://hooks.acme.example/whatsapp",
        "webhook_headers": {"X-Partner-Auth": "a-long-header-secret"},
        "redirect_url": "https://acme.example/connected",
        "redirect_origins": ["https://app.acme.example"],
        "default_hosting_type": "cloud_api",
        "data_localization_region": "DE",
        "legacy_token_auth_enabled": True,
        "mm_api_routing_enabled": False,
        "io_signature_enabled": True,
        "secret_overlap_hours": 48,
    }
    assert wanted.keys() == DEFAULTS.keys()
    changed = await api.change(wanted)
    assert changed.status == 200, changed.body
    shown = {**wanted, "webhook_headers": {"X-Partner-Auth": "••••cret"}}
    assert changed.json == await api.get() == shown
    async with api.database.tenant(api.partner.id) as unit:
        endpoint = await find_endpoint(
            unit, owner_kind=OwnerKind.PARTNER, owner_id=api.partner.id, keyring=api.keyring, reveal=True
        )
        entry = (await list_audit(unit, partner_id=api.partner.id))[0]
    assert endpoint is not None
    assert endpoint.headers == wanted["webhook_headers"]
    assert (entry.action, entry.actor_kind) == ("settings.changed", "key")
    assert "a-long-header-secret" not in str(entry) + changed.body.decode()


async def test_null_clears_and_what_is_not_named_stays(api: Api) -> None:
    await api.change({"solution_id": "123456789012345", "webhook_url": "https://a.example/h"})
    await api.change({"redirect_url": "https://a.example/back", "webhook_headers": {"X-A": "value-1234"}})
    left = await api.change({"solution_id": None})
    assert left.json["webhook_url"] == "https://a.example/h"
    assert left.json["webhook_headers"] == {"X-A": "••••1234"}
    assert left.json["solution_id"] is None
    cleared = await api.change({"webhook_url": None, "redirect_url": None})
    assert cleared.json == DEFAULTS
    assert (await api.change({})).json == DEFAULTS


@pytest.mark.parametrize("development", [False])
@pytest.mark.usefixtures("development")
async def test_every_problem_is_said_at_once_with_a_code_and_a_sentence_of_its_own(api: Api) -> None:
    answer = await api.change(
        {
            "solution_id": "12",
            "webhook_url": "http://my_host.example:8080/hook",
            "redirect_url": "https://127.0.0.1/back",
            "webhook_headers": {"Host": "x"},
            "data_localization_region": "FR",
            "default_hosting_type": "on_premise",
            "secret_overlap_hours": 1000,
            "mm_api_routing_enabled": False,
        }
    )
    assert (answer.status, answer.json["code"]) == (400, "settings_invalid")
    assert answer.headers["x-error-code"] == "settings_invalid"
    assert answer.headers["content-type"] == "application/problem+json"
    found = [(problem["field"], problem["code"]) for problem in answer.json["problems"]]
    assert sorted(found) == [
        ("data_localization_region", "data_localization_region_invalid"),
        ("default_hosting_type", "default_hosting_type_invalid"),
        ("redirect_url", "url_private_address"),
        ("secret_overlap_hours", "secret_overlap_hours_invalid"),
        ("solution_id", "solution_id_invalid"),
        ("webhook_headers", "header_reserved"),
        ("webhook_url", "url_not_https"),
        ("webhook_url", "url_port"),
        ("webhook_url", "url_underscore"),
    ]
    assert len({problem["message"] for problem in answer.json["problems"]}) == len(found)
    assert answer.json["fields"].keys() == {field for field, _ in found}
    assert await api.get() == DEFAULTS


@pytest.mark.parametrize(
    ("raw", "member"),
    [
        (b'{"solution_id": 5}', "solution_id"),
        (b'{"legacy_token_auth_enabled": "true"}', "legacy_token_auth_enabled"),
        (b'{"legacy_token_auth_enabled": null}', "legacy_token_auth_enabled"),
        (b'{"data_localization_region": null}', "data_localization_region"),
        (b'{"webhook_headers": {"X-A": 1}}', "webhook_headers"),
        (b'{"secret_overlap_hours": 1.5}', "secret_overlap_hours"),
        (b'{"brand_name": "Acme"}', "body"),
        (b"[]", "body"),
    ],
)
async def test_a_member_of_another_type_or_name_is_refused_by_its_name(
    api: Api, raw: bytes, member: str
) -> None:
    answer = await api.change(None, raw=raw)
    assert (answer.status, answer.json["code"]) == (400, "body_invalid")
    assert list(answer.json["fields"]) == [member]
    assert await api.get() == DEFAULTS


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"solution_id": "\\u0000"}', b'{"solution_id": NaN}'])
async def test_a_body_that_is_no_json_is_refused(api: Api, raw: bytes) -> None:
    answer = await api.change(None, raw=raw)
    assert (answer.status, answer.json["code"]) == (400, "body_invalid")


async def test_what_a_page_guards_by_a_code_needs_the_scope_security(api: Api) -> None:
    await _secret(api)
    writer, guard = await api.key_of("read", "write"), await api.key_of("write", "security")
    refused = await api.change({"legacy_token_auth_enabled": True, "solution_id": "1" * 15}, key=writer)
    assert (refused.status, refused.json["code"]) == (403, "security_scope_missing")
    assert list(refused.json["fields"]) == ["legacy_token_auth_enabled"]
    assert (await api.get()) == DEFAULTS
    assert (await api.change({"io_signature_enabled": True}, key=writer)).status == 200
    refused = await api.change({"io_signature_enabled": False}, key=writer)
    assert (refused.status, list(refused.json["fields"])) == (403, ["io_signature_enabled"])
    both = {"io_signature_enabled": False, "legacy_token_auth_enabled": True}
    assert (await api.change(both, key=guard)).status == 200
    # Tightening, and saying again what is so, is not guarded.
    assert (await api.change(both, key=writer)).status == 200
    assert (await api.change({"legacy_token_auth_enabled": False}, key=writer)).status == 200


async def test_the_scopes_are_apart(api: Api) -> None:
    reader, writer, guard = [await api.key_of(scope) for scope in ("read", "write", "security")]
    assert await api.get(key=reader) == DEFAULTS
    for key, body in ((reader, {}), (guard, {"legacy_token_auth_enabled": True})):
        answer = await api.change(body, key=key)
        assert (answer.status, answer.json["code"]) == (403, "scope_missing")
    assert (await api.call("GET", "settings", key=writer)).status == 403
    assert (await api.call("GET", "settings", headers={})).status == 401
    for target in ("webhook_url/test", "redirect_url/test"):
        assert (await api.call("POST", target, key=reader)).json["code"] == "scope_missing"


async def test_io_signature_needs_a_platform_secret(api: Api) -> None:
    answer = await api.change({"io_signature_enabled": True})
    assert (answer.status, answer.json["code"]) == (409, "platform_secret_missing")


async def test_another_partners_settings_are_theirs(api: Api) -> None:
    other = await make_partner(api.database)
    stranger = Api(api.url, api.database, api.keyring, other, api.key)
    for answer in (await stranger.call("GET", "settings"), await stranger.change({"solution_id": None})):
        assert (answer.status, answer.json["code"]) == (403, "foreign_partner")


async def test_a_past_hosting_type_is_shown_and_survives_other_changes(api: Api) -> None:
    async with api.database.system() as unit:
        await unit.execute("update partner set default_hosting_type = 'on_premise'")
    whole = {**await api.get(), "solution_id": "123456789012345"}
    assert whole["default_hosting_type"] == "on_premise"
    assert (await api.change(whole)).json == whole
    left = await api.change({"default_hosting_type": "cloud_api"})
    assert left.json["default_hosting_type"] == "cloud_api"
    assert (await api.change({"default_hosting_type": "on_premise"})).status == 400


async def _bearer(api: Api, role: str) -> dict[str, str]:
    await api.change({"legacy_token_auth_enabled": True})
    hashed = await CHEAP.hash(PASSWORD)
    member = await make_member(api.database, partner=api.partner, role=role, password_hash=hashed)
    issued = await issue_token(
        api.database,
        email=member.email,
        password=PASSWORD,
        ip="192.0.2.1",
        keys=TokenKeys(api.keyring),
        passwords=CHEAP,
    )
    return {"Authorization": f"Bearer {issued.access_token}"}


async def test_a_members_token_reads_the_settings_and_neither_changes_nor_tests_them(api: Api) -> None:
    bearer = await _bearer(api, "member")
    before = await api.get(headers=bearer)
    for name, value in (
        ("webhook_url", "https://elsewhere.example/hook"),
        ("webhook_headers", {"X-A": "value"}),
        ("redirect_url", "https://elsewhere.example/back"),
        ("redirect_origins", ["https://elsewhere.example"]),
        ("solution_id", "1" * 15),
        ("data_localization_region", "DE"),
        ("mm_api_routing_enabled", False),
        ("secret_overlap_hours", 0),
        ("io_signature_enabled", True),
        ("legacy_token_auth_enabled", False),
    ):
        refused = await api.change({name: value}, headers=bearer)
        assert (refused.status, refused.json["code"]) == (403, "role_missing"), name
    for target in ("webhook_url/test", "redirect_url/test"):
        refused = await api.call("POST", target, headers=bearer)
        assert (refused.status, refused.json["code"]) == (403, "role_missing"), target
    assert await api.get() == before
    # The role counts as it is at the moment of the call.
    async with api.database.system() as unit:
        await unit.execute("update member set role = 'owner'")
    assert (await api.change({"secret_overlap_hours": 1}, headers=bearer)).status == 200


async def test_an_owners_token_reads_and_writes_but_opens_nothing_that_is_guarded(api: Api) -> None:
    bearer = await _bearer(api, "owner")
    await _secret(api)
    assert (await api.change({"io_signature_enabled": True}, headers=bearer)).status == 200
    refused = await api.change({"io_signature_enabled": False}, headers=bearer)
    assert (refused.status, refused.json["code"]) == (403, "security_scope_missing")
    # It may turn itself off; from then on it hears why, also when it has run out.
    assert (await api.change({"legacy_token_auth_enabled": False}, headers=bearer)).status == 200
    for days in (0, 2):
        with clock.moved_by(timedelta(days=days)):
            answer = await api.call("GET", "settings", headers=bearer)
        assert (answer.status, answer.json["error"]) == (403, "legacy_token_auth_disabled")
        assert answer.json["error_description"] == answer.json["message"]
    assert await api.get(headers={"Authorization": f"Bearer {api.key}"})
