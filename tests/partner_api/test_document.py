"""The OpenAPI document says what is served, and what is served survives what the document allows."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvloop
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from jsonschema import Draft202012Validator, ValidationError
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.factories import make_channel, make_client, make_key, make_partner, make_template, make_waba
from tests.partner_api.conftest import Api, make_application
from tests.partner_api.contract import check, contract
from tests.serving import serving

from partnerhub.channels.life_cycle import PartnerEvent
from partnerhub.channels.services import MetaAccess
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.meta import MetaClient
from partnerhub.web.application import Application


def test_the_document_names_every_operation_and_no_other(application: Application) -> None:
    served = {operation for operation in application.operations if " /api/v2" in operation}
    documented = {
        f"{method.upper()} {path}"
        for path, operations in contract()["paths"].items()
        for method in operations
        if method != "parameters"
    }
    assert documented == served


def test_every_shape_is_a_valid_schema() -> None:
    assert contract()["openapi"] == "3.1.0"
    for shape in contract()["components"]["schemas"].values():
        Draft202012Validator.check_schema(shape)


async def test_the_document_is_open_to_everybody(api: Api) -> None:
    answer = await api.get("/api/v2/openapi.json", headers={})
    assert answer.status == 200
    assert json.loads(answer.body) == contract()


Case = schemathesis.Case[Any]  # Any: its operation's types, which no test of ours looks at


@contextmanager
def _running(database_url: str, keyring: Keyring) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Serve the API in a thread with a loop of its own: schemathesis calls it without one."""
    ready = threading.Event()
    found: list[tuple[str, str, dict[str, str]]] = []
    stops: list[Callable[[], object]] = []

    async def serve() -> None:
        database = Database(database_url, name="document", max_size=4)
        await database.open()
        async with HttpClient(policy=AddressPolicy.TRUSTED) as http:
            meta = MetaClient(http, app_id="1", app_secret="s", base_url="http://127.0.0.1:9", retries=0)
            access = MetaAccess(meta=meta, keyring=keyring, system_token="t")
            partner = await make_partner(database, legacy_token_auth_enabled=True)
            key = await make_key(database, partner=partner)
            waba = await make_waba(database, client=await make_client(database, partner=partner))
            channel = await make_channel(database, waba=waba)
            template = await make_template(database, waba=waba)
            async with serving(make_application(database, keyring, access).wrapper) as url:
                ids = {
                    "partner_id": partner.id,
                    "client_id": waba.client_id,
                    "channel_id": channel.id,
                    "waba_id": waba.id,
                    "template_id": template.id,
                }
                found.append((url, key.secret, ids))
                stop = asyncio.Event()
                stops.append(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
                ready.set()
                await stop.wait()
        await database.close()

    thread = threading.Thread(target=lambda: uvloop.run(serve()))
    thread.start()
    assert ready.wait(20)
    yield found[0]
    stops[0]()
    thread.join(20)


@pytest.mark.slow
def test_no_call_that_the_document_allows_breaks_the_server_or_its_own_shapes(
    database_url: str, keyring: Keyring
) -> None:
    with _running(database_url, keyring) as (url, key, ids):
        schema = schemathesis.openapi.from_url(f"{url}/api/v2/openapi.json")
        statuses: Counter[int] = Counter()
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            known = {name: value for name, value in ids.items() if f"{{{name}}}" in operation.path}
            _explore(operation.as_strategy(path_parameters=known), url, key, statuses)
    # Refusals alone would prove little.
    assert statuses[200] > 50
    assert statuses[400] > 5
    assert statuses[500] == 0


def _explore(cases: SearchStrategy[Case], url: str, key: str, statuses: Counter[int]) -> None:
    @settings(
        max_examples=10,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def explore(case: Case) -> None:
        answer = case.call(base_url=url, headers={"X-API-Key": key})
        statuses[answer.status_code] += 1
        assert answer.status_code != 500, answer.text
        case.validate_response(
            answer,
            checks=[status_code_conformance, content_type_conformance, response_schema_conformance],
        )

    explore()


def test_the_check_of_answers_refuses_what_the_document_does_not_name() -> None:
    check("GET", "/api/v2/partners/f167CmPA/webhook_url", 200, {"webhook_url": None})
    for wrong in ({"webhook_url": None, "extra": 1}, {}, {"webhook_url": 5}):
        with pytest.raises(ValidationError):
            check("GET", "/api/v2/partners/f167CmPA/webhook_url", 200, wrong)
    with pytest.raises(AssertionError, match="not documented"):
        check("GET", "/api/v2/partners/f167CmPA/webhook_url", 418, {})


def test_the_reference_page_names_every_call_and_every_event(application: Application) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "partner-api.md").read_text("utf-8")
    named = page.replace("`GET P`", "`GET P/`").replace(" P/", " /api/v2/partners/{partner_id}/")
    # The page says once that the older prefix and the hyphen lead to the same calls.
    named += named.replace("/api_keys", "/api-keys") + named.replace("/api/v2/", "/v1/")
    paths = {operation.partition(" ")[2] for operation in application.operations}
    missing = sorted(path for path in paths if path not in named)
    assert missing == []
    assert [event.value for event in PartnerEvent if f"`{event.value}`" not in page] == []
