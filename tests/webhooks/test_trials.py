"""The test button: one signed event now, and its outcome in plain words with a code for each failure."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

import pytest
from aiohttp import web
from standardwebhooks import Webhook
from tests.webhooks.receivers import Got, Receiver, answer
from tests.webhooks.steps import PARTNER, SECRET, MakeReceiver, add_key, states

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import FailureKind, HttpClient
from partnerhub.webhooks import outcomes, services
from partnerhub.webhooks.errors import HeaderRefused, UrlRefused
from partnerhub.webhooks.schemas import OwnerKind, TestResult
from partnerhub.webhooks.signing import standard_secret
from partnerhub.webhooks.verdicts import CODES, explain_code


class _Try:
    """Presses the button."""

    def __init__(self, database: Database, http: HttpClient, keyring: Keyring) -> None:
        self._parts = (database, http, keyring)

    async def __call__(
        self,
        url: str,
        *,
        owner_kind: OwnerKind = OwnerKind.PARTNER,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> TestResult:
        database, http, keyring = self._parts
        return await services.test_endpoint(
            database,
            http,
            partner_id=PARTNER,
            owner_kind=owner_kind,
            url=url,
            headers=headers or {},
            keyring=keyring,
            body=body,
            allow_loopback=True,
        )


@pytest.fixture
def press(database: Database, http: HttpClient, keyring: Keyring) -> _Try:
    """Give the button."""
    return _Try(database, http, keyring)


async def test_it_sends_a_signed_event_and_shows_both_sides(
    database: Database, keyring: Keyring, press: _Try, make_receiver: MakeReceiver
) -> None:
    await add_key(database, keyring, SECRET)
    here = await make_receiver(answer(200, headers={"X-Trace": "t"}, text="thanks"))
    result = await press(here.url(), headers={"X-Auth": "Bearer 12345678"})
    (got,) = here.got
    assert got.is_signed_with(SECRET)
    Webhook(standard_secret(SECRET)).verify(got.body, got.headers)
    assert got.headers["x-auth"] == "Bearer 12345678"
    assert (result.code, result.is_success, result.status) == ("ok", True, 200)
    assert result.request_body == got.body
    assert ("X-Auth", "••••5678") in result.request_headers
    assert ("webhook-id", got.event_id) in result.request_headers
    assert ("x-trace", "t") in result.response_headers
    assert result.response_body == b"thanks"
    assert {"connect", "first_byte"} <= {phase.name for phase in result.phases}
    assert result.total_us >= sum(phase.microseconds for phase in result.phases) * 0.9
    assert await states(database) == {}


async def test_a_number_gets_metas_envelope_and_a_given_body_is_sent_as_it_is(
    press: _Try, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver()
    await press(here.url(), owner_kind=OwnerKind.CHANNEL)
    await press(here.url(), owner_kind=OwnerKind.CHANNEL, body=b"exactly  this")
    assert [got.body for got in here.got] == [
        b'{"object":"whatsapp_business_account","entry":[]}',
        b"exactly  this",
    ]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (202, "ok_not_200", "202, which counts as delivered"),
        (307, "redirect", "https://elsewhere.example/. Redirects are not followed"),
        (404, "client_error", "404"),
        (410, "gone", "410"),
        (429, "throttled", "429"),
        (500, "server_error", "500"),
    ],
)
async def test_every_kind_of_status_has_its_code_and_its_words(
    press: _Try, make_receiver: MakeReceiver, status: int, code: str, words: str
) -> None:
    here = await make_receiver(answer(status, headers={"Location": "https://elsewhere.example/"}))
    result = await press(here.url())
    assert result.code == code
    assert words in result.verdict
    assert result.advice
    assert result.is_success == (status == 202)


async def test_failures_below_http_are_told_apart(press: _Try, make_receiver: MakeReceiver) -> None:
    async def drop(_receiver: Receiver, _got: Got) -> None:
        pass

    async def sleep(_receiver: Receiver, _got: Got) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    here, plain, slow = await make_receiver(drop), await make_receiver(), await make_receiver(sleep)
    results = await asyncio.gather(
        press(f"http://127.0.0.1:{free}/"),
        press(here.url()),
        press(f"https://127.0.0.1:{plain.port}/"),
        press(slow.url(), owner_kind=OwnerKind.CHANNEL),
    )
    assert [result.code for result in results] == ["refused", "closed", "tls", "timeout_first_byte"]
    assert all(not result.is_success and result.status is None for result in results)
    assert "did not answer" in results[3].verdict
    assert 4_900_000 < results[3].total_us < 7_000_000


async def test_a_url_or_header_that_breaks_a_rule_is_refused_before_anything_is_sent(press: _Try) -> None:
    with pytest.raises(UrlRefused):
        await press("https://10.0.0.1/")
    with pytest.raises(HeaderRefused):
        await press("https://acme.example/", headers={"Host": "x"})


def test_every_failure_that_can_be_logged_has_words() -> None:
    statuses = {outcomes._status_error(status) for status in range(300, 600)}
    kinds = {str(kind) for kind in FailureKind}
    ends = {"endpoint_removed", "expired"}
    missing = (statuses | kinds | ends | {outcomes.URL_INVALID, outcomes.INTERNAL}) - CODES
    assert missing == set()
    for code in CODES:
        meaning, advice = explain_code(code, status=500)
        assert "{" not in meaning + advice
