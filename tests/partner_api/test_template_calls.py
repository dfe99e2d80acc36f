"""Template calls with a real Meta behind them: the simulator."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.factories import MadeChannel, make_channel, make_client, make_member, make_waba
from tests.partner_api.conftest import CHEAP, Api
from tests.simulator.harness import Meta, Shop

PASSWORD = "correct horse battery"
DRAFT: dict[str, Any] = {
    "name": "welcome_1",
    "category": "MARKETING",
    "language": "de",
    "components": [{"type": "BODY", "text": "Welcome to our news."}],
}


@pytest.fixture
def meta_url(simulator: Meta) -> str:
    """Meta is the simulator here."""
    return simulator.url


@pytest.fixture
async def channel(api: Api, shop: Shop) -> MadeChannel:
    """A channel whose WABA account is at Meta."""
    client = await make_client(api.database, partner=api.partner)
    waba = await make_waba(api.database, client=client, id="q1W2e3WA", external_id=shop.waba_id)
    return await make_channel(api.database, waba=waba, id="k9Lm2NCH")


async def test_a_created_template_answers_as_recorded(api: Api, shop: Shop) -> None:
    client = await make_client(api.database, partner=api.partner)
    await make_waba(api.database, client=client, id="q1W2e3WA", external_id=shop.waba_id)
    await make_member(
        api.database,
        partner=api.partner,
        email="api@partner.example",
        name="apiuser",
        user_id="Zx9Yw8U",
        password_hash=await CHEAP.hash(PASSWORD),
    )
    login = await api.post(
        "/api/v2/token", {"username": "api@partner.example", "password": PASSWORD}, headers={}
    )
    answer = await api.post(
        "waba_accounts/q1W2e3WA/waba_templates",
        headers={"Authorization": f"{login.json['token_type']} {login.json['access_token']}"},
        raw=b'{"name":"welcome_1","category":"MARKETING","components":[{"type":"BODY",'
        b'"text":"Welcome to {{1}} today","example":{"body_text":[["Acme"]]}}],"language":"de",'
        b'"allow_category_change":true}',
    )
    assert answer.status == 201
    stamp = rb"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
    author = rb'\{"user_id":"Zx9Yw8U","user_name":"apiuser"\}'
    assert re.fullmatch(
        rb'\{"category":"MARKETING","components":\[\{"example":\{"body_text":\[\["Acme"\]\]\},'
        rb'"text":"Welcome to \{\{1\}\} today","type":"BODY"\}\],'
        rb'"created_at":"' + stamp + rb'","created_by":' + author + rb',"external_id":"[0-9]{15,17}",'
        rb'"id":"[A-Za-z0-9]{20}WT","language":"de","modified_at":"' + stamp + rb'","modified_by":' + author
        + rb',"name":"welcome_1","namespace":"1212e9fb_86f2_493d_8d24_cbf159a9b876","partner_id":"f167CmPA",'
        rb'"quality_score":null,"rejected_reason":null,"status":"submitted","updated_external":true,'
        rb'"waba_account_id":"q1W2e3WA"\}\n',
        answer.body,
    ), answer.body  # fmt: skip


@pytest.mark.parametrize("prefix", ["/api/v2", "/v1"])
async def test_rule_3_a_created_template_is_201_and_other_calls_are_200(
    api: Api, channel: MadeChannel, prefix: str
) -> None:
    path = f"{prefix}/partners/{api.partner.id}/waba_accounts/{channel.waba_id}/waba_templates"
    created = await api.post(path, DRAFT)
    assert (created.status, created.json["category"], created.json["status"]) == (
        201,
        "MARKETING",
        "submitted",
    )
    deleted = await api.delete(f"{path}/{created.json['id']}")
    assert deleted.status == 200
    assert deleted.message == "template name=welcome_1 was deleted"


async def test_rule_3_an_edited_template_is_200_on_the_older_path(
    api: Api, channel: MadeChannel, simulator: Meta
) -> None:
    path = f"/v1/partners/{api.partner.id}/waba_accounts/{channel.waba_id}/waba_templates"
    created = (await api.post(path, DRAFT)).json
    await simulator.admin("POST", f"/templates/{created['external_id']}/decision", {"status": "APPROVED"})
    edited = await api.patch(
        f"{path}/{created['id']}", {"components": [{"type": "BODY", "text": "Other news."}]}
    )
    assert (edited.status, edited.body) == (200, b'{"success":true}\n')


async def test_rule_10_a_taken_template_name_is_told_in_the_words_that_are_matched(
    api: Api, channel: MadeChannel
) -> None:
    path = f"waba_accounts/{channel.waba_id}/waba_templates"
    await api.post(path, DRAFT)
    again = await api.post(path, DRAFT)
    assert 400 <= again.status < 600
    pattern = rb"you have provided is already in use. Please choose a different name for your template."
    assert re.search(pattern, again.body)
