"""The onboarding sequence against the simulator, from the code of Embedded Signup to a number in service."""

from __future__ import annotations

from typing import Any

import pytest
from tests.meta.conftest import client_of
from tests.simulator.harness import APP_ID, CONFIG, VERIFY_TOKEN, Meta, Shop, listening

from partnerhub.kit.http import HttpClient
from partnerhub.meta import MetaClient, MetaError, RetryClass


async def sign_up(simulator: Meta, **more: Any) -> dict[str, Any]:
    """Finish Embedded Signup; returns its code and the ids its message told."""
    done: dict[str, Any] = await simulator.admin(
        "POST",
        "/signups",
        {"app_id": APP_ID, "number": {"phone_number": "+49 30 901820"}, **more},
    )
    return done


async def test_a_business_is_onboarded_with_its_own_token(simulator: Meta, meta: MetaClient) -> None:
    signup = await sign_up(simulator)
    told = signup["message"]["data"]

    grant = await meta.app.exchange_code(code=signup["code"])
    assert (grant.token_type, grant.expires_in) == ("bearer", None)
    token = grant.access_token

    info = await meta.app.debug_token(inspected=token)
    assert info.is_valid
    assert (info.app_id, info.expires_at) == (APP_ID, 0)
    assert info.targets("whatsapp_business_management") == [told["waba_id"]]
    assert info.targets("catalog_management") == []

    await meta.accounts.subscribe_app(told["waba_id"], token=token)
    apps = await meta.accounts.list_subscribed_apps(told["waba_id"], token=token)
    assert [app.whatsapp_business_api_data.id for app in apps] == [APP_ID]

    numbers = await meta.accounts.list_numbers(told["waba_id"], token=token)
    assert [number.id for number in numbers] == [told["phone_number_id"]]
    assert numbers[0].display_phone_number is not None
    assert (numbers[0].status, numbers[0].platform_type) == ("PENDING", "NOT_APPLICABLE")

    await meta.numbers.register(
        told["phone_number_id"], token=token, pin="123456", data_localization_region="DE"
    )
    number = await meta.numbers.get(told["phone_number_id"], token=token)
    assert (number.status, number.platform_type) == ("CONNECTED", "CLOUD_API")
    assert number.is_pin_enabled
    settings = await meta.numbers.get_settings(told["phone_number_id"], token=token)
    assert settings.storage_configuration is not None
    assert settings.storage_configuration.data_localization_region == "DE"

    health = await meta.numbers.get_health(told["phone_number_id"], token=token)
    assert health.can_send_message == "AVAILABLE"
    assert {entity.entity_type for entity in health.entities} >= {"PHONE_NUMBER", "WABA", "BUSINESS"}
    account = await meta.accounts.get(told["waba_id"], token=token)
    assert (account.id, account.owner_business_info and account.owner_business_info.id) == (
        told["waba_id"],
        told["business_id"],
    )


async def test_the_secret_of_the_app_is_in_no_address(simulator: Meta, meta: MetaClient) -> None:
    signup = await sign_up(simulator)
    await meta.app.exchange_code(code=signup["code"])
    await meta.app.fetch_app_token()
    calls = await simulator.admin("GET", "/calls?path=/oauth/access_token")
    assert [(call["method"], call["query"]) for call in calls] == [("POST", {})] * 2


async def test_a_grant_does_not_show_its_token(meta: MetaClient) -> None:
    grant = await meta.app.fetch_app_token()
    assert grant.access_token == meta.app.app_token
    assert grant.access_token not in f"{grant!r} {grant}"


@pytest.mark.parametrize("trouble", ["used", "expired", "unknown"])
async def test_a_code_works_once_and_for_thirty_seconds(
    trouble: str, simulator: Meta, meta: MetaClient
) -> None:
    code = (await sign_up(simulator))["code"]
    if trouble == "used":
        await meta.app.exchange_code(code=code)
    elif trouble == "expired":
        await simulator.admin("POST", "/clock", {"advance_seconds": 31})
    else:
        code = "AQunknown"
    with pytest.raises(MetaError) as caught:
        await meta.app.exchange_code(code=code)
    assert (caught.value.upstream_code, caught.value.retry_class) == (100, RetryClass.FINAL)


async def test_a_token_that_is_not_valid_is_described_as_such(simulator: Meta, meta: MetaClient) -> None:
    info = await meta.app.debug_token(inspected="EAAnobody")
    assert (info.is_valid, info.scopes) == (False, [])
    system = await meta.app.debug_token(inspected=simulator.token, token=simulator.token)
    assert system.is_valid
    assert system.targets("whatsapp_business_messaging") is None


async def test_a_revoked_token_is_for_the_operator(shop: Shop, meta: MetaClient) -> None:
    with pytest.raises(MetaError) as caught:
        await meta.accounts.get(shop.waba_id, token="EAAnobody")
    assert (caught.value.upstream_code, caught.value.http_status) == (190, 401)
    assert caught.value.retry_class is RetryClass.AUTH


async def test_the_apps_webhook_is_set_by_a_challenge(meta: MetaClient) -> None:
    assert await meta.app.list_subscriptions() == []
    async with listening() as receiver:
        await meta.app.subscribe(
            callback_url=receiver.url, verify_token=VERIFY_TOKEN, fields=["messages", "account_update"]
        )
        [subscription] = await meta.app.list_subscriptions()
        assert (subscription.callback_url, subscription.active) == (receiver.url, True)
        assert [field.name for field in subscription.fields] == ["messages", "account_update"]
        with pytest.raises(MetaError) as caught:
            await meta.app.subscribe(callback_url=receiver.url, verify_token="wrong", fields=["messages"])
        assert caught.value.upstream_code == 2200
    await meta.app.unsubscribe()
    assert await meta.app.list_subscriptions() == []


async def test_an_account_may_have_a_callback_of_its_own(
    simulator: Meta, shop: Shop, meta: MetaClient
) -> None:
    async with listening() as receiver:
        await meta.accounts.subscribe_app(
            shop.waba_id,
            token=simulator.token,
            override_callback_uri=receiver.url,
            verify_token=VERIFY_TOKEN,
        )
        [app] = await meta.accounts.list_subscribed_apps(shop.waba_id, token=simulator.token)
        assert app.override_callback_uri == receiver.url
        await meta.accounts.subscribe_app(shop.waba_id, token=simulator.token)
        [app] = await meta.accounts.list_subscribed_apps(shop.waba_id, token=simulator.token)
        assert app.override_callback_uri is None

        await meta.numbers.override_callback(
            shop.number_id, token=simulator.token, callback_uri=receiver.url, verify_token=VERIFY_TOKEN
        )
        number = await meta.numbers.get(shop.number_id, token=simulator.token)
        assert number.webhook_configuration is not None
        assert number.webhook_configuration.phone_number == receiver.url
    await meta.accounts.unsubscribe_app(shop.waba_id, token=simulator.token)
    assert await meta.accounts.list_subscribed_apps(shop.waba_id, token=simulator.token) == []


async def test_a_system_user_gets_tasks_on_an_account(simulator: Meta, shop: Shop, meta: MetaClient) -> None:
    await meta.accounts.assign_user(
        shop.waba_id, token=simulator.token, user_id="77", tasks=["MANAGE", "VIEW_COST"]
    )
    users = await meta.accounts.list_assigned_users(
        shop.waba_id, token=simulator.token, business_id=shop.business_id
    )
    assert [(user.id, user.tasks) for user in users] == [("77", ["MANAGE", "VIEW_COST"])]
    await meta.accounts.unassign_user(shop.waba_id, token=simulator.token, user_id="77")
    assert not await meta.accounts.list_assigned_users(
        shop.waba_id, token=simulator.token, business_id=shop.business_id
    )


async def test_a_credit_line_is_attached_and_taken_back(
    simulator: Meta, shop: Shop, meta: MetaClient
) -> None:
    [line] = await meta.credit.list_lines(CONFIG.business_id, token=simulator.token)
    attached = await meta.credit.share_and_attach(
        line.id, token=simulator.token, account_id=shop.waba_id, currency="EUR"
    )
    assert attached.waba_id == shop.waba_id
    share = await meta.credit.get_allocation(attached.allocation_config_id, token=simulator.token)
    account = await meta.accounts.get(shop.waba_id, token=simulator.token)
    assert share.receiving_credential is not None
    assert (account.primary_funding_id, account.currency) == (share.receiving_credential.id, "EUR")
    await meta.credit.revoke(attached.allocation_config_id, token=simulator.token)
    assert (await meta.accounts.get(shop.waba_id, token=simulator.token)).primary_funding_id is None


async def test_a_new_number_is_verified_registered_and_taken_out_of_service(
    simulator: Meta, shop: Shop, meta: MetaClient
) -> None:
    token = simulator.token
    number_id = await meta.numbers.add(
        shop.waba_id, token=token, country_code="49", phone_number="30901820", verified_name="Acme"
    )
    with pytest.raises(MetaError) as caught:
        await meta.numbers.register(number_id, token=token, pin="123456")
    assert (caught.value.upstream_code, caught.value.retry_class) == (133006, RetryClass.ACCOUNT)
    await meta.numbers.request_code(number_id, token=token, method="SMS", language="de_DE")
    code = (await simulator.admin("GET", f"/numbers/{number_id}"))["verification_code"]
    await meta.numbers.verify_code(number_id, token=token, code=code)
    await meta.numbers.register(number_id, token=token, pin="123456")
    await meta.numbers.set_pin(number_id, token=token, pin="654321")
    await meta.numbers.deregister(number_id, token=token)
    with pytest.raises(MetaError) as caught:
        await meta.numbers.register(number_id, token=token, pin="123456")
    assert (caught.value.upstream_code, caught.value.retry_class) == (133005, RetryClass.FINAL)
    await simulator.admin("POST", "/clock", {"advance_seconds": 3600})
    await meta.numbers.register(number_id, token=token, pin="654321")
    numbers = await meta.accounts.list_numbers(shop.waba_id, token=token)
    assert {number.id for number in numbers} == {shop.number_id, number_id}


@pytest.mark.parametrize(("version", "calls"), [("v20.0", ["register"]), ("v21.0", ["settings", "register"])])
async def test_the_region_is_told_as_the_version_wants_it(
    version: str, calls: list[str], simulator: Meta, shop: Shop, http: HttpClient
) -> None:
    meta = client_of(simulator.url, http, version=version)
    await meta.numbers.register(
        shop.number_id, token=simulator.token, pin="123456", data_localization_region="BR"
    )
    made = await simulator.admin("GET", f"/calls?number_id={shop.number_id}")
    assert [call["path"].rpartition("/")[2] for call in reversed(made)] == calls
    assert {call["version"] for call in made} == {version}
    assert (await simulator.admin("GET", f"/numbers/{shop.number_id}"))["data_localization_region"] == "BR"


async def test_accounts_that_a_callback_missed_are_found(simulator: Meta, meta: MetaClient) -> None:
    made = [
        (await sign_up(simulator, number=None, event="FINISH_ONLY_WABA"))["message"]["data"]
        for _ in range(30)
    ]
    shared = await meta.accounts.list_shared(CONFIG.business_id, token=simulator.token)
    assert {account.id for account in shared} >= {one["waba_id"] for one in made}
    assert len({account.id for account in shared}) == len(shared) >= 30
    owned = await meta.accounts.list_owned(made[0]["business_id"], token=simulator.token)
    assert made[0]["waba_id"] in {account.id for account in owned}


async def test_a_profile_and_a_block_list_are_kept(simulator: Meta, shop: Shop, meta: MetaClient) -> None:
    token = simulator.token
    await meta.numbers.update_profile(
        shop.number_id,
        token=token,
        changes={"about": "We sell things.", "websites": ["https://acme.example/"], "vertical": "RETAIL"},
    )
    profile = await meta.numbers.get_profile(shop.number_id, token=token)
    assert (profile.about, profile.websites, profile.vertical, profile.email) == (
        "We sell things.",
        ["https://acme.example/"],
        "RETAIL",
        None,
    )
    await simulator.admin("POST", f"/numbers/{shop.number_id}/window", {"user": "15550002222"})
    done = await meta.numbers.block(shop.number_id, token=token, users=["15550002222"])
    assert [user.wa_id for user in done.added_users] == ["15550002222"]
    assert [user.wa_id for user in await meta.numbers.list_blocked(shop.number_id, token=token)] == [
        "15550002222"
    ]
    done = await meta.numbers.unblock(shop.number_id, token=token, users=["15550002222"])
    assert [user.wa_id for user in done.removed_users] == ["15550002222"]
    assert await meta.numbers.list_blocked(shop.number_id, token=token) == []


async def test_settings_of_an_account_are_changed(simulator: Meta, shop: Shop, meta: MetaClient) -> None:
    await meta.accounts.update(shop.waba_id, token=simulator.token, changes={"is_enabled_for_insights": True})
    account = await meta.accounts.get(shop.waba_id, token=simulator.token, fields=["is_enabled_for_insights"])
    assert account.is_enabled_for_insights
    assert (
        await meta.accounts.get_health(shop.waba_id, token=simulator.token)
    ).can_send_message == "AVAILABLE"
