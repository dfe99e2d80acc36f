"""Settings of a partner: checked all at once, written through to the webhook, audited, told to gateways."""

from __future__ import annotations

from typing import Any

import pytest
from tests.factories import MadePartner, make_partner

from partnerhub.identity.queries import list_audit
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.partners.errors import IoSignatureOn, PartnerUnknown, SecretMissing, SettingsInvalid
from partnerhub.partners.queries import get_settings
from partnerhub.partners.schemas import DATA_REGIONS, PartnerSettings, SettingsChange
from partnerhub.partners.services import (
    generate_platform_secret,
    guarded_changes,
    reveal_platform_secret,
    update_settings,
)
from partnerhub.webhooks.queries import find_endpoint
from partnerhub.webhooks.schemas import OwnerKind
from partnerhub.webhooks.services import disable_endpoint

ACTOR = Actor(ActorKind.USER, "Zx9Yw8U", "Ann", ip="192.0.2.1")


async def _update(
    database: Database,
    keyring: Keyring,
    partner: MadePartner,
    *,
    allow_loopback: bool = False,
    **members: Any,
) -> PartnerSettings:
    async with database.tenant(partner.id) as unit:
        return await update_settings(
            unit,
            partner_id=partner.id,
            change=SettingsChange(**members),
            actor=ACTOR,
            keyring=keyring,
            allow_loopback=allow_loopback,
        )


async def test_what_is_not_named_stays_as_it_is(database: Database, keyring: Keyring) -> None:
    partner = await make_partner(database)
    first = await _update(
        database,
        keyring,
        partner,
        webhook_url="https://acme.example/360/hook",
        webhook_headers={"X-Partner-Auth": "a-long-header-secret"},
        solution_id="123456789012345",
        data_localization_region="DE",
    )
    second = await _update(database, keyring, partner, redirect_url="https://acme.example/back")
    assert second.webhook_url == first.webhook_url == "https://acme.example/360/hook"
    assert second.partner.solution_id == "123456789012345"
    assert second.partner.redirect_url == "https://acme.example/back"
    assert "a-long-header-secret" not in repr(second)


async def test_a_new_webhook_url_keeps_the_headers_and_an_empty_map_removes_them(
    database: Database, keyring: Keyring
) -> None:
    partner = await make_partner(database)

    async def headers() -> dict[str, str]:
        async with database.tenant(partner.id) as unit:
            endpoint = await find_endpoint(
                unit, owner_kind=OwnerKind.PARTNER, owner_id=partner.id, keyring=keyring, reveal=True
            )
        assert endpoint is not None
        return dict(endpoint.headers)

    await _update(
        database,
        keyring,
        partner,
        webhook_url="https://a.example/h",
        webhook_headers={"X-Auth": "secret-value"},
    )
    await _update(database, keyring, partner, webhook_url="https://b.example/h")
    assert await headers() == {"X-Auth": "secret-value"}
    await _update(database, keyring, partner, webhook_headers={})
    assert await headers() == {}


async def test_none_removes_the_webhook(database: Database, keyring: Keyring) -> None:
    partner = await make_partner(database)
    await _update(database, keyring, partner, webhook_url="https://a.example/h")
    removed = await _update(database, keyring, partner, webhook_url=None)
    again = await _update(database, keyring, partner, webhook_url=None)
    assert (removed.webhook_url, again.webhook_url) == (None, None)


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"webhook_url": "http://acme.example/h"}, "webhook_url"),
        ({"webhook_url": "https://acme_hooks.example/h"}, "webhook_url"),
        ({"webhook_url": "https://acme.example:8443/h"}, "webhook_url"),
        ({"webhook_url": "https://10.0.0.1/h"}, "webhook_url"),
        ({"webhook_url": "http://127.0.0.1:9000/h"}, "webhook_url"),
        ({"redirect_url": "ftp://acme.example/"}, "redirect_url"),
        ({"redirect_url": ""}, "redirect_url"),
        ({"redirect_origins": ["https://app.acme.example/path"]}, "redirect_origins"),
        ({"redirect_origins": ["https://app.acme.example?x=1"]}, "redirect_origins"),
        ({"redirect_origins": ["https://fine.example", "http://acme.example"]}, "redirect_origins"),
        ({"redirect_origins": ["https://a.example"] * 21}, "redirect_origins"),
        ({"webhook_headers": {"Host": "x"}, "webhook_url": "https://acme.example/h"}, "webhook_headers"),
        ({"webhook_headers": {"X-Auth": "x"}}, "webhook_headers"),
        ({"webhook_headers": {"X-Auth": "x"}, "webhook_url": None}, "webhook_headers"),
        ({"solution_id": "1234"}, "solution_id"),
        ({"solution_id": "１２３４５６７８９０１２３４５"}, "solution_id"),
        ({"data_localization_region": "FR"}, "data_localization_region"),
        ({"default_hosting_type": "on_premise"}, "default_hosting_type"),
        ({"secret_overlap_hours": 721}, "secret_overlap_hours"),
        ({"secret_overlap_hours": -1}, "secret_overlap_hours"),
        ({"brand_name": "  "}, "brand_name"),
        ({"brand_name": "x" * 101}, "brand_name"),
        ({"brand_name": "Acme\nChat"}, "brand_name"),
        ({"brand_name": "Acme\x07"}, "brand_name"),
        ({"brand_name": "Acme\u202egnp"}, "brand_name"),
        *(
            ({"logo_url": url}, "logo_url")
            for url in (
                "javascript:alert(1)",
                "http://acme.example/l.png",
                "https://日本.example/l.png",
                "https://a;script-src.example/l.png",
                "https://a'b.example/l.png",
                "https://x,y.example/l.png",
                "https://x y.example/l.png",
                "https://*/l.png",
                "https://ann:word@acme.example/l.png",
                "https://acme.example:abc/l.png",
                "https://acme.example:70000/l.png",
                "https://acme.example/l.png\n",
                "https://[::1",
                "https://[zz]/l.png",
                "https://x℀.example/l.png",
            )
        ),
    ],
)
async def test_a_setting_that_does_not_work_is_named_and_nothing_is_written(
    database: Database, keyring: Keyring, members: dict[str, Any], name: str
) -> None:
    partner = await make_partner(database)
    with pytest.raises(SettingsInvalid) as caught:
        await _update(database, keyring, partner, mm_api_routing_enabled=False, **members)
    assert list(caught.value.fields) == [name]
    async with database.tenant(partner.id) as unit:
        settings = await get_settings(unit, partner_id=partner.id, keyring=keyring)
        assert await list_audit(unit, partner_id=partner.id) == []
    assert (settings.partner.mm_api_routing_enabled, settings.webhook_url) == (True, None)


async def test_a_logo_saved_under_older_rules_may_be_said_again(database: Database, keyring: Keyring) -> None:
    partner = await make_partner(database)
    async with database.system() as unit:
        await unit.execute("update partner set logo_url = 'https://acme.example:8443/l.png'")
    same = await _update(
        database, keyring, partner, logo_url="https://acme.example:8443/l.png", brand_name="Acme"
    )
    assert (same.partner.logo_url, same.partner.brand_name) == ("https://acme.example:8443/l.png", "Acme")
    removed = await _update(database, keyring, partner, logo_url=None)
    assert removed.partner.logo_url is None


async def test_a_name_is_trimmed(database: Database, keyring: Keyring) -> None:
    partner = await make_partner(database)
    named = await _update(database, keyring, partner, brand_name="  Birch & Co\n")
    assert named.partner.brand_name == "Birch & Co"


async def test_every_problem_is_named_at_once(database: Database, keyring: Keyring) -> None:
    partner = await make_partner(database)
    with pytest.raises(SettingsInvalid) as caught:
        await _update(database, keyring, partner, solution_id="x", redirect_url="x", brand_name="")
    assert set(caught.value.fields) == {"solution_id", "redirect_url", "brand_name"}
    with pytest.raises(SettingsInvalid) as caught:
        await _update(
            database,
            keyring,
            partner,
            redirect_url="http://my_host.example:8080/",
            webhook_headers={"Host": "x"},
        )
    assert [(problem.field, problem.code) for problem in caught.value.problems] == [
        ("redirect_url", "url_not_https"),
        ("redirect_url", "url_underscore"),
        ("redirect_url", "url_port"),
        ("webhook_headers", "header_reserved"),
    ]


async def test_a_past_hosting_type_survives_and_does_not_come_back(
    database: Database, keyring: Keyring
) -> None:
    partner = await make_partner(database)
    async with database.system() as unit:
        await unit.execute(
            "update partner set default_hosting_type = 'on_premise' where id = %s", (partner.id,)
        )
    other = await _update(database, keyring, partner, solution_id="123456789012345")
    whole = await _update(database, keyring, partner, default_hosting_type="on_premise", brand_name="New")
    assert (other.partner.default_hosting_type, whole.partner.default_hosting_type) == ("on_premise",) * 2
    left = await _update(database, keyring, partner, default_hosting_type="cloud_api")
    assert left.partner.default_hosting_type == "cloud_api"
    with pytest.raises(SettingsInvalid):
        await _update(database, keyring, partner, default_hosting_type="on_premise")


async def test_metas_default_region_is_shown_by_its_name(database: Database, keyring: Keyring) -> None:
    partner = await make_partner(database)
    first = await _update(database, keyring, partner, data_localization_region="US")
    async with database.tenant(partner.id) as unit:
        assert await list_audit(unit, partner_id=partner.id) == []
    second = await _update(database, keyring, partner, data_localization_region="DE")
    third = await _update(database, keyring, partner, data_localization_region="US")
    assert [one.region for one in (first, second, third)] == ["US", "DE", "US"]
    assert len(DATA_REGIONS) == 15


async def test_development_may_use_its_own_machine(database: Database, keyring: Keyring) -> None:
    partner = await make_partner(database)
    url = "http://127.0.0.1:9000/hook"
    settings = await _update(
        database, keyring, partner, allow_loopback=True, webhook_url=url, redirect_url=url
    )
    assert (settings.webhook_url, settings.partner.redirect_url) == (url, url)


async def test_the_audit_log_has_what_changed_and_no_header_value(
    database: Database, keyring: Keyring
) -> None:
    partner = await make_partner(database, redirect_url="https://acme.example/return")
    members: dict[str, Any] = {
        "webhook_url": "https://acme.example/h",
        "webhook_headers": {"X-Trace": "a-long-header-value"},
        "redirect_url": "https://acme.example/return",
        "legacy_token_auth_enabled": True,
    }
    await _update(database, keyring, partner, **members)
    await _update(database, keyring, partner, **members)
    async with database.tenant(partner.id) as unit:
        (entry,) = await list_audit(unit, partner_id=partner.id)
    assert (entry.action, entry.actor_id, entry.ip) == ("settings.changed", "Zx9Yw8U", "192.0.2.1")
    assert entry.before == {"legacy_token_auth_enabled": False, "webhook_url": None, "webhook_headers": {}}
    assert entry.after is not None
    assert entry.after["legacy_token_auth_enabled"] is True
    assert entry.after["webhook_url"] == "https://acme.example/h"
    assert "a-long-header-value" not in str(entry)


async def test_a_new_header_value_is_recorded_even_under_the_same_mask(
    database: Database, keyring: Keyring
) -> None:
    partner = await make_partner(database)
    url = "https://acme.example/h"
    for value in ("first-secret-1234", "other-secret-1234", "other-secret-1234"):
        await _update(database, keyring, partner, webhook_url=url, webhook_headers={"X-Trace": value})
    async with database.tenant(partner.id) as unit:
        entries = await list_audit(unit, partner_id=partner.id)
    assert len(entries) == 2
    assert entries[0].before == entries[0].after
    assert "secret" not in str(entries)


async def test_a_url_set_again_revives_its_endpoint(database: Database, keyring: Keyring) -> None:
    partner = await make_partner(database)
    url = "https://acme.example/h"
    await _update(database, keyring, partner, webhook_url=url)
    async with database.system() as unit:
        await disable_endpoint(unit, owner_kind=OwnerKind.PARTNER, owner_id=partner.id)
    await _update(database, keyring, partner, webhook_url=url)
    async with database.tenant(partner.id) as unit:
        endpoint = await find_endpoint(
            unit, owner_kind=OwnerKind.PARTNER, owner_id=partner.id, keyring=keyring
        )
        assert len(await list_audit(unit, partner_id=partner.id)) == 1
    assert endpoint is not None
    assert endpoint.enabled


async def test_gateways_hear_of_a_change_of_routing_and_of_no_other(
    database: Database, keyring: Keyring
) -> None:
    partner = await make_partner(database)
    async with database.listen("routes") as connection:
        await _update(database, keyring, partner, mm_api_routing_enabled=True)
        await _update(database, keyring, partner, brand_name="New name")
        await _update(database, keyring, partner, mm_api_routing_enabled=False)
        heard = [note.payload async for note in connection.notifies(timeout=1, stop_after=2)]
    assert heard == [partner.id]


async def test_an_unknown_partner_is_not_found(database: Database, keyring: Keyring) -> None:
    with pytest.raises(PartnerUnknown):
        await _update(database, keyring, MadePartner("nobodyPA"), brand_name="x")


async def test_the_platform_secret_can_be_seen_again_and_every_look_is_recorded(
    database: Database, keyring: Keyring
) -> None:
    partner = await make_partner(database)
    async with database.tenant(partner.id) as unit:
        secret = await generate_platform_secret(unit, partner_id=partner.id, actor=ACTOR, keyring=keyring)
    async with database.tenant(partner.id) as unit:
        assert (
            await reveal_platform_secret(unit, partner_id=partner.id, actor=ACTOR, keyring=keyring) == secret
        )
        entries = await list_audit(unit, partner_id=partner.id)
        settings = await get_settings(unit, partner_id=partner.id, keyring=keyring)
    assert [entry.action for entry in entries] == ["platform_secret.viewed", "platform_secret.generated"]
    assert secret not in str(entries)
    assert len(secret) >= 43
    assert settings.has_platform_secret


async def test_without_a_secret_there_is_nothing_to_see(database: Database, keyring: Keyring) -> None:
    partner = await make_partner(database)
    async with database.tenant(partner.id) as unit:
        with pytest.raises(SecretMissing):
            await reveal_platform_secret(unit, partner_id=partner.id, actor=ACTOR, keyring=keyring)


async def test_the_secret_is_not_regenerated_while_io_signature_is_on(
    database: Database, keyring: Keyring
) -> None:
    partner = await make_partner(database)
    with pytest.raises(SecretMissing):
        await _update(database, keyring, partner, io_signature_enabled=True)

    async def generate() -> str:
        async with database.tenant(partner.id) as unit:
            return await generate_platform_secret(unit, partner_id=partner.id, actor=ACTOR, keyring=keyring)

    first = await generate()
    await _update(database, keyring, partner, io_signature_enabled=True)
    with pytest.raises(IoSignatureOn):
        await generate()
    await _update(database, keyring, partner, io_signature_enabled=False)
    assert await generate() != first


async def test_loosening_is_guarded_and_tightening_is_not(database: Database, keyring: Keyring) -> None:
    partner = await make_partner(database, io_signature_enabled=True)
    async with database.tenant(partner.id) as unit:
        settings = await get_settings(unit, partner_id=partner.id, keyring=keyring)
    loosened = SettingsChange(io_signature_enabled=False, legacy_token_auth_enabled=True, brand_name="x")
    tightened = SettingsChange(io_signature_enabled=True, legacy_token_auth_enabled=False)
    assert guarded_changes(settings, loosened) == {"io_signature_enabled", "legacy_token_auth_enabled"}
    assert guarded_changes(settings, tightened) == frozenset()
