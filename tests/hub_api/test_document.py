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

import schemathesis
import uvloop
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from jsonschema import Draft202012Validator
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from partnerhub.hub_api.shapes import SettingsChangeShape, SettingsShape
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.partners.redirects import MEANINGS
from partnerhub.webhooks import verdicts
from partnerhub.webhooks.urls import INVALID_EXAMPLES
from tests.factories import make_key, make_partner
from tests.hub_api.stage import Api, contract, make_application
from tests.partner_api.wire import exchange
from tests.serving import serving

Case = schemathesis.Case[Any]  # Any: its operation's types, which no test of ours looks at
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hub-api.md"


async def test_the_document_names_every_operation_and_no_other(database: Database, keyring: Keyring) -> None:
    async with HttpClient(policy=AddressPolicy.PUBLIC) as outbound:
        served = set(make_application(database, keyring, outbound).operations)
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


def test_what_can_be_read_can_be_changed() -> None:
    assert SettingsChangeShape.__struct_fields__ == SettingsShape.__struct_fields__


def test_the_reference_page_names_every_call_and_every_setting() -> None:
    page = PAGE.read_text("utf-8")
    named = page.replace(" P/", " /api/hub/v1/partners/{partner_id}/")
    assert [path for path in contract()["paths"] if path not in named] == []
    assert [name for name in SettingsShape.__struct_fields__ if f"`{name}`" not in page] == []


async def test_the_error_of_the_reference_page_is_what_is_answered(api: Api) -> None:
    shown = json.loads(PAGE.read_text("utf-8").partition("```json\n")[2].partition("```")[0])
    answer = await api.change({"webhook_url": "https://my_host.acme.example:8443/whatsapp"})
    assert {**answer.json, "request_id": shown["request_id"]} == shown


def test_the_reference_page_names_every_code_of_urls_and_tests() -> None:
    page = PAGE.read_text("utf-8")
    codes = {example.code for example in INVALID_EXAMPLES if example.code} | MEANINGS.keys()
    # Failures of a delivery that a test cannot meet.
    codes |= verdicts.CODES - {"endpoint_removed", "expired", "internal"}
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []


async def test_the_document_is_open_to_everybody(api: Api) -> None:
    answer = await exchange(api.url, "GET", "/api/hub/v1/openapi.json")
    assert (answer.status, json.loads(answer.body)) == (200, contract())


@contextmanager
def _running(database_url: str, keyring: Keyring) -> Iterator[tuple[str, str, str]]:
    """Serve the API in a thread with a loop of its own: schemathesis calls it without one."""
    ready = threading.Event()
    found: list[tuple[str, str, str]] = []
    stops: list[Callable[[], object]] = []

    async def serve() -> None:
        database = Database(database_url, name="document", max_size=4)
        await database.open()
        partner = await make_partner(database, redirect_url=None)
        key = await make_key(database, partner=partner)
        # As in production, and a client that calls nobody: no example may leave this machine.
        async with HttpClient(policy=AddressPolicy.PUBLIC) as outbound:
            application = make_application(database, keyring, outbound, development=False)
            async with serving(application.wrapper) as url:
                found.append((url, key.secret, partner.id))
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


def test_no_call_that_the_document_allows_breaks_the_server_or_its_own_shapes(
    database_url: str, keyring: Keyring
) -> None:
    with _running(database_url, keyring) as (url, key, partner_id):
        schema = schemathesis.openapi.from_url(f"{url}/api/hub/v1/openapi.json")
        statuses: Counter[int] = Counter()
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            known = {"partner_id": partner_id} if "{partner_id}" in operation.path else {}
            _explore(operation.as_strategy(path_parameters=known), url, key, statuses)
    # Refusals alone would prove little.
    assert statuses[200] > 15
    assert statuses[400] > 15
    assert statuses[500] == 0


def _explore(cases: SearchStrategy[Case], url: str, key: str, statuses: Counter[int]) -> None:
    @settings(
        max_examples=25,
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
