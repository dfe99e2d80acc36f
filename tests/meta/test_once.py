"""What is sent how often: a message once whatever happens, a question again while Meta is down."""

from __future__ import annotations

import hmac
import json
import socket
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.kit.http.receivers import Visit, always, once, receiver
from tests.meta.conftest import client_of
from tests.simulator.harness import APP_ID, APP_SECRET, Meta, Shop

from partnerhub.kit.boundary import NetworkInsideTransaction, in_transaction
from partnerhub.kit.http import Address, ExchangeError, FailureKind, HttpClient, Phase, Reason, Timeouts
from partnerhub.meta import (
    MEDIA_ORIGIN,
    MEDIA_PATH,
    InvalidGraphPath,
    MessageAccepted,
    MetaClient,
    MetaError,
    RetryClass,
)
from partnerhub.meta.blanking import stream_without_token

TEXT = json.dumps(
    {"messaging_product": "whatsapp", "to": "15550001111", "type": "text", "text": {"body": "hello"}}
).encode()


async def calls(simulator: Meta, path: str) -> int:
    found: list[object] = await simulator.admin("GET", f"/calls?path={path}")
    return len(found)


async def failing(meta: MetaClient, simulator: Meta, shop: Shop) -> MetaError:
    with pytest.raises(MetaError) as caught:
        await meta.messages.send(shop.number_id, token=simulator.token, body=TEXT)
    return caught.value


@pytest.mark.parametrize("action", ["reset_before", "reset_after"])
@pytest.mark.parametrize("warm", [False, True])
async def test_a_message_is_not_repeated_after_a_reset(
    action: str, warm: bool, simulator: Meta, shop: Shop, meta: MetaClient
) -> None:
    if warm:  # on a kept connection a reset looks like one that was closed while idle
        await meta.numbers.get(shop.number_id, token=simulator.token)
    await simulator.admin("POST", "/faults", {"action": action, "path": "/*/messages"})
    error = await failing(meta, simulator, shop)
    assert (error.retry_class, error.code) == (RetryClass.AMBIGUOUS, "meta_unclear")
    assert isinstance(error.__cause__, ExchangeError)
    assert await calls(simulator, "/messages") == 1


async def test_a_message_is_not_repeated_after_a_timeout(
    simulator: Meta, shop: Shop, http: HttpClient
) -> None:
    meta = MetaClient(
        http,
        app_id=APP_ID,
        app_secret=APP_SECRET,
        base_url=simulator.url,
        timeouts=Timeouts(first_byte_seconds=0.15),
    )
    await simulator.admin("POST", "/faults", {"action": "latency", "seconds": 0.4, "path": "/*/messages"})
    error = await failing(meta, simulator, shop)
    assert (error.retry_class, error.code, error.status) == (RetryClass.AMBIGUOUS, "meta_unclear", 504)


@pytest.mark.parametrize(
    ("action", "code"), [("html_error", "meta_refused"), ("malformed_json", "meta_malformed")]
)
async def test_a_message_is_not_repeated_after_an_answer_without_sense(
    action: str, code: str, simulator: Meta, shop: Shop, meta: MetaClient
) -> None:
    await simulator.admin("POST", "/faults", {"action": action, "path": "/*/messages"})
    answer = await meta.messages.send(shop.number_id, token=simulator.token, body=TEXT)
    with pytest.raises(MetaError) as caught:
        answer.read(MessageAccepted)
    assert (caught.value.retry_class, caught.value.code) == (RetryClass.AMBIGUOUS, code)
    assert await calls(simulator, "/messages") == 1


async def test_a_message_is_not_repeated_when_meta_says_retry(
    simulator: Meta, shop: Shop, meta: MetaClient
) -> None:
    await simulator.admin("POST", "/faults", {"action": "error", "code": 131000, "path": "/*/messages"})
    answer = await meta.messages.send(shop.number_id, token=simulator.token, body=TEXT)
    assert answer.error is not None
    assert answer.error.retry_class is RetryClass.RETRY
    assert await calls(simulator, "/messages") == 1


async def test_a_message_that_cannot_have_left_may_be_sent_again(http: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    meta = client_of(f"http://127.0.0.1:{port}", http)
    with pytest.raises(MetaError) as caught:
        await meta.messages.send("1", token="t", body=TEXT)
    assert (caught.value.retry_class, caught.value.code) == (RetryClass.RETRY, "meta_unreachable")


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "reset_before"},
        {"action": "reset_after"},
        {"action": "html_error"},
        {"action": "error", "code": 2},
        {"action": "error", "code": 131016},
    ],
)
async def test_a_question_is_asked_again_while_meta_is_down(
    fault: dict[str, object], simulator: Meta, shop: Shop, meta: MetaClient
) -> None:
    await simulator.admin("POST", "/faults", {**fault, "path": f"/{shop.number_id}", "times": 2})
    number = await meta.numbers.get(shop.number_id, token=simulator.token)
    assert number.id == shop.number_id
    assert await calls(simulator, f"/{shop.number_id}") == 3


async def test_a_question_is_not_asked_for_ever(simulator: Meta, shop: Shop, meta: MetaClient) -> None:
    await simulator.admin(
        "POST", "/faults", {"action": "error", "code": 2, "path": f"/{shop.number_id}", "times": None}
    )
    with pytest.raises(MetaError) as caught:
        await meta.numbers.get(shop.number_id, token=simulator.token)
    assert (caught.value.upstream_code, caught.value.retry_class) == (2, RetryClass.RETRY)
    assert await calls(simulator, f"/{shop.number_id}") == 3


@pytest.mark.parametrize("code", [4, 80007, 190, 100, 131031])
async def test_a_question_that_was_answered_is_not_asked_again(
    code: int, simulator: Meta, shop: Shop, meta: MetaClient
) -> None:
    await simulator.admin("POST", "/faults", {"action": "error", "code": code, "path": f"/{shop.number_id}"})
    with pytest.raises(MetaError) as caught:
        await meta.numbers.get(shop.number_id, token=simulator.token)
    assert caught.value.upstream_code == code
    assert await calls(simulator, f"/{shop.number_id}") == 1


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"success":"maybe"}', b'{"id":1}'])
async def test_an_answer_of_another_shape_is_malformed(body: bytes, http: HttpClient) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with receiver(always(raw + body)) as here:
        meta = client_of(here.url(""), http)
        with pytest.raises(MetaError) as caught:
            await meta.numbers.set_pin("1", token="t", pin="123456")
        assert (caught.value.code, caught.value.retry_class) == ("meta_malformed", RetryClass.AMBIGUOUS)
        with pytest.raises(MetaError) as caught:
            await meta.accounts.get("1", token="t")
        assert (caught.value.code, caught.value.retry_class) == ("meta_malformed", RetryClass.RETRY)


async def test_an_answer_of_success_false_is_a_failure(http: HttpClient) -> None:
    async with receiver(always(b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"success":false}')) as here:
        meta = client_of(here.url(""), http)
        with pytest.raises(MetaError) as caught:
            await meta.numbers.verify_code("1", token="t", code="123456")
        assert caught.value.retry_class is RetryClass.FINAL


async def test_an_answer_without_bounds_is_not_read_to_its_end(http: HttpClient) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while not visit.writer.is_closing():
            await visit.send(b"x" * 100_000)

    async with receiver(script) as here:
        with pytest.raises(MetaError) as caught:
            await client_of(here.url(""), http).messages.send("1", token="t", body=TEXT)
        assert (caught.value.code, caught.value.retry_class) == ("meta_malformed", RetryClass.AMBIGUOUS)


async def test_a_token_that_meta_repeats_is_blanked_out(http: HttpClient) -> None:
    token = "EAAsecretsecret"
    body = b'{"error":{"message":"Malformed access token EAAsecretsecret","code":190}}'
    raw = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with receiver(always(raw + body)) as here:
        answer = await client_of(here.url(""), http).messages.send("1", token=token, body=TEXT)
        assert token.encode() not in answer.body
        assert b"Malformed access token [token]" in answer.body
        assert answer.error is not None
        assert token not in str(answer.error)
        assert token not in repr(answer)


async def test_a_token_in_an_accepted_answer_is_blanked_out_however_it_is_written(http: HttpClient) -> None:
    token = "1|secret/secret"
    body = (
        b'{"data":[],"paging":{"next":"https://graph.example/1/x?access_token=1%7Csecret%2Fsecret&after=a"},'
        b'"token":"1|secret/secret"}'
    )
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with receiver(always(raw + body)) as here:
        answer = await client_of(here.url(""), http).messages.send("1", token=token, body=TEXT)
    assert answer.body == (
        b'{"data":[],"paging":{"next":"https://graph.example/1/x?access_token=[token]&after=a"},'
        b'"token":"[token]"}'
    )


async def test_a_word_that_is_no_token_of_metas_is_left_alone(http: HttpClient) -> None:
    body = b'{"token":"t"}'
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with receiver(always(raw + body)) as here:
        assert (await client_of(here.url(""), http).messages.send("1", token="t", body=TEXT)).body == body


@pytest.mark.parametrize("size", [1, 2, 7, 100])
async def test_a_token_in_a_streamed_body_is_blanked_out_wherever_it_is_cut(size: int) -> None:
    body = b"a 1|secret b 1%7Csecret c" + b"1|secre" + b" 1|secret"

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    shown = b"".join([piece async for piece in stream_without_token(pieces(), "1|secret")])
    assert len(shown) == len(body)
    assert shown == b"a [token]  b [token]    c1|secre [token] "


async def test_a_token_travels_in_a_header_and_never_in_the_address(http: HttpClient) -> None:
    async with receiver(always(b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"success":true}')) as here:
        meta = client_of(here.url(""), http, version="v24.0", proof=True)
        await meta.numbers.set_pin("17", token="EAAtoken", pin="123456")
        request = here.requests[0]
        assert request.header("authorization") == "Bearer EAAtoken"
        assert "EAAtoken" not in request.lines[0]
        proof = hmac.new(APP_SECRET.encode(), b"EAAtoken", "sha256").hexdigest()
        assert request.lines[0] == f"POST /v24.0/17?appsecret_proof={proof} HTTP/1.1"


async def test_the_proof_of_the_secret_is_the_one_meta_checks(
    simulator: Meta, shop: Shop, http: HttpClient
) -> None:
    meta = client_of(simulator.url, http, proof=True)
    assert (await meta.numbers.get(shop.number_id, token=simulator.token)).id == shop.number_id
    wrong = MetaClient(
        http,
        app_id=APP_ID,
        app_secret="another",
        base_url=simulator.url,
        uses_appsecret_proof=True,
    )
    with pytest.raises(MetaError) as caught:
        await wrong.numbers.get(shop.number_id, token=simulator.token)
    assert caught.value.upstream_code == 100


@pytest.mark.parametrize(
    "path",
    [
        "",
        "123",
        "//evil.example/",
        "/1/../2",
        "/..",
        "/./1",
        "/1?x=y",
        "/1#x",
        "/1 2",
        "/%2e%2e",
        "/é",
        "/1\r\n",
    ],
)
async def test_a_path_that_is_not_ids_and_edges_is_refused(path: str, http: HttpClient) -> None:
    async with receiver(once(b"")) as here:
        with pytest.raises(InvalidGraphPath):
            await client_of(here.url(""), http).call("GET", path, token="t")
        assert here.connections == 0


async def test_a_base_url_outside_the_policy_is_not_called() -> None:
    async with HttpClient() as guarded:
        meta = client_of("http://127.0.0.1:1", guarded)
        with pytest.raises(MetaError) as caught:
            await meta.accounts.get("1", token="t")
        assert caught.value.retry_class is RetryClass.FINAL
        assert isinstance(caught.value.__cause__, ExchangeError)
        assert caught.value.__cause__.kind is FailureKind.BLOCKED


async def test_meta_is_not_called_inside_a_transaction(simulator: Meta, meta: MetaClient) -> None:
    mark = in_transaction.set(True)
    try:
        with pytest.raises(NetworkInsideTransaction):
            await meta.accounts.get("1", token=simulator.token)
    finally:
        in_transaction.reset(mark)


class Nowhere:
    """A resolver that notes who is looked for and knows nobody."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def resolve(self, host: str) -> Sequence[Address]:
        self.asked.append(host)
        raise ExchangeError(Reason(FailureKind.DNS, "nobody"), phase=Phase.PRE_DELIVERY)


async def test_the_real_addresses_are_the_defaults() -> None:
    nowhere = Nowhere()
    async with HttpClient(resolver=nowhere) as http:
        meta = MetaClient(http, app_id=APP_ID, app_secret=APP_SECRET)
        with pytest.raises(MetaError):
            await meta.messages.send("1", token="t", body=TEXT)
        with pytest.raises(MetaError):
            async with meta.media.download(f"{MEDIA_ORIGIN}{MEDIA_PATH}/?mid=1", token="t"):
                pytest.fail("a download was opened")
    assert nowhere.asked == ["graph.facebook.com", "lookaside.fbsbx.com"]
