"""The recorded exchanges, byte for byte, values aside (Partner API reference 11)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from psycopg.types.json import Jsonb
from tests.factories import make_client, make_member, make_template, make_waba
from tests.partner_api.conftest import CHEAP, Api

PASSWORD = "correct horse battery"


async def test_the_login_answers_as_recorded(api: Api) -> None:
    await make_member(
        api.database,
        partner=api.partner,
        email="api@partner.example",
        password_hash=await CHEAP.hash(PASSWORD),
    )
    answer = await api.post(
        "/api/v2/token",
        {"username": "api@partner.example", "password": PASSWORD},
        headers={"Content-Type": "application/json"},
    )
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert re.fullmatch(
        rb'\{"access_token":"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+","expires_in":86400,'
        rb'"refresh_token":"[A-Za-z0-9_-]{44}","token_type":"Bearer"\}\n',
        answer.body,
    )


async def test_a_list_of_templates_without_parameters_answers_as_recorded(api: Api) -> None:
    client = await make_client(api.database, partner=api.partner)
    waba = await make_waba(api.database, client=client, id="q1W2e3WA")
    await make_template(
        api.database,
        waba=waba,
        id="0aB1cD2eF3gH4iJ5kL6mWT",
        external_id="1949000000000000",
        name="news_1",
        components=[
            {
                "type": "BODY",
                "text": "Hi {{1}}, grüße von {{2}}",
                "example": {"body_text": [["Ann", "Sport"]]},
            },
            {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Reply"}]},
        ],
        quality_score={"score": "UNKNOWN", "reasons": None},
    )
    async with api.database.system() as unit:
        await unit.execute(
            "update template set created_at = %s, modified_at = %s, created_by = %s",
            (
                datetime(2024, 1, 1, 8, 34, 37, 999_999, tzinfo=UTC),
                datetime(2024, 1, 2, 22, 26, 51, tzinfo=UTC),
                Jsonb({"user_name": "apiuser", "user_id": "Zx9Yw8U"}),
            ),
        )
    answer = await api.get(
        "waba_accounts/q1W2e3WA/waba_templates",
        headers={
            "X-API-Key": api.key,
            "Accept": "application/json",
            "Content-Type": "application/json",
        },
    )
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "Origin"
    assert answer.headers["strict-transport-security"] == "max-age=15724800; includeSubDomains"
    assert answer.body == (
        b'{"count":1,"filters":{},"limit":1000,"offset":0,"sort":["id"],"total":1,"waba_templates":['
        b'{"category":"MARKETING",'
        b'"components":[{"example":{"body_text":[["Ann","Sport"]]},'
        b'"text":"Hi {{1}}, gr\\u00fc\\u00dfe von {{2}}","type":"BODY"},'
        b'{"buttons":[{"text":"Reply","type":"QUICK_REPLY"}],"type":"BUTTONS"}],'
        b'"created_at":"2024-01-01T08:34:37Z","created_by":{"user_id":"Zx9Yw8U","user_name":"apiuser"},'
        b'"external_id":"1949000000000000","id":"0aB1cD2eF3gH4iJ5kL6mWT","language":"de",'
        b'"modified_at":"2024-01-02T22:26:51Z","modified_by":{"user_id":"system","user_name":"system"},'
        b'"name":"news_1","namespace":"1212e9fb_86f2_493d_8d24_cbf159a9b876","partner_id":"f167CmPA",'
        b'"quality_score":{"reasons":null,"score":"UNKNOWN"},"rejected_reason":"NONE","status":"approved",'
        b'"updated_external":true,"waba_account_id":"q1W2e3WA"}]}\n'
    )
