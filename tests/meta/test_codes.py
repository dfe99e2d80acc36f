"""The error table, and what every kind of refusal is read as."""

from __future__ import annotations

import json

import pytest
from tests.simulator.harness import Meta, Shop

from partnerhub.kit.http import Answer, ExchangeError, FailureKind, Headers, Phase, Reason, Timings
from partnerhub.meta import BY_CODE, TABLE, MetaClient, MetaError, RetryClass, classify, find_code
from partnerhub.meta.errors import refusal_of, unreachable
from partnerhub.simulator.errors import TITLES, http_status

# Meta's documentation, read apart from the code: HTTP status → codes.
DOCUMENTED = {
    400: "1 4 33 80007 100 130429 130472 131008 131009 131021 131026 131037 131042 131047 131048 131049 "
    "131050 131051 131052 131053 131056 132000 132005 132007 132012 132015 132016 132068 132069 133005 "
    "133006 133008 133009 133010 133015 133016 134011 134100 134101 135000 2593107 2593108",
    401: "0 190",
    403: "10 200 250 299 368 130497 131005 131031",
    404: "132001",
    500: "3 131000 131016 131045 131057 133000 134102",
    503: "2 133004",
}
EXPECTED = {
    RetryClass.AUTH: "0 190 3 10 200 230 299 131005",
    RetryClass.THROTTLE: "4 80007 613 130429 131048 131064 133016",
    RetryClass.THROTTLE_USER: "131056",
    RetryClass.ACCOUNT: "368 131031 130497 131037 131042 131044 131045 134011",
    RetryClass.RETRY: "131000 131016 2 1 131052 131053 131057 132069",
    RetryClass.ROUTE: "131055 131063 134100 134101 134102 134103",
    RetryClass.FINAL: "33 100 130472 131008 131009 131021 131026 131030 131047 131049 131050 131051 131059 "
    "131060 131062 132000 132001 132005 132007 132008 132012 132015 132016 132068 135000 137000",
}


@pytest.mark.parametrize(("status", "codes"), DOCUMENTED.items())
def test_every_documented_code_has_its_status(status: int, codes: str) -> None:
    for code in map(int, codes.split()):
        row = find_code(code)
        assert row is not None, code
        assert row.http_status == status, code


@pytest.mark.parametrize(("retry_class", "codes"), EXPECTED.items())
def test_every_code_means_what_it_should(retry_class: RetryClass, codes: str) -> None:
    for code in map(int, codes.split()):
        assert classify(code, 400, is_transient=False, is_safe=False) is retry_class, code


def test_the_table_names_each_code_once_and_in_order() -> None:
    codes = [row.code for row in TABLE]
    assert codes == sorted(set(codes))
    assert set(BY_CODE) == set(codes)
    assert all(row.meaning.endswith(".") for row in TABLE)


@pytest.mark.parametrize(
    ("status", "is_transient", "is_safe", "expected"),
    [
        (400, False, False, RetryClass.FINAL),
        (400, True, False, RetryClass.RETRY),
        (401, False, False, RetryClass.AUTH),
        (403, False, True, RetryClass.AUTH),
        (404, False, True, RetryClass.FINAL),
        (429, False, False, RetryClass.THROTTLE),
        (302, False, False, RetryClass.FINAL),
        (500, False, True, RetryClass.RETRY),
        (500, False, False, RetryClass.AMBIGUOUS),
        (502, False, False, RetryClass.AMBIGUOUS),
        (503, True, False, RetryClass.RETRY),
    ],
)
@pytest.mark.parametrize("code", [None, 987654])
def test_an_unknown_code_is_read_by_its_status(
    code: int | None, status: int, is_transient: bool, is_safe: bool, expected: RetryClass
) -> None:
    assert classify(code, status, is_transient=is_transient, is_safe=is_safe) is expected


def answered(status: int, body: bytes, **headers: str) -> Answer:
    return Answer(
        status=status,
        reason="",
        headers=Headers([(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]),
        body=body,
        body_truncated=False,
        timings=Timings(),
        peer_address="127.0.0.1",
    )


def test_an_error_body_is_read_whole() -> None:
    body = {
        "error": {
            "message": "(#100) Invalid parameter",
            "type": "OAuthException",
            "code": 100,
            "error_subcode": 2388019,
            "is_transient": False,
            "error_user_title": "Template limit",
            "error_user_msg": "An account has 250 templates at most.",
            "error_data": {"messaging_product": "whatsapp", "details": "too many", "unknown": [1]},
            "fbtrace_id": "AbCdEf",
            "new_field": {"of": "tomorrow"},
        }
    }
    error = refusal_of(answered(400, json.dumps(body).encode()), is_safe=False)
    assert (error.code, error.status, error.http_status) == ("meta_refused", 502, 400)
    assert (error.upstream_code, error.subcode, error.details) == (100, 2388019, "too many")
    assert (error.user_title, error.user_message) == (
        "Template limit",
        "An account has 250 templates at most.",
    )
    assert error.fbtrace_id == error.trace_id == "AbCdEf"
    assert error.retry_class is RetryClass.FINAL
    assert str(error) == "(#100) Invalid parameter"


def test_error_data_may_be_plain_text() -> None:
    body = b'{"error":{"message":"m","code":131000,"error_data":"just text"}}'
    error = refusal_of(answered(500, body), is_safe=False)
    assert (error.details, error.retry_class) == ("just text", RetryClass.RETRY)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"error":"text"}', b'{"error":{"code":"x"}}', b"\xff"]
)
def test_a_body_that_is_no_error_is_read_by_its_status(body: bytes) -> None:
    error = refusal_of(answered(502, body, x_fb_trace_id="trace"), is_safe=False)
    assert (error.upstream_code, error.retry_class, error.fbtrace_id) == (None, RetryClass.AMBIGUOUS, "trace")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry_after": "9" * 50}, None),
        (
            {"x_business_use_case_usage": '{"1":[{"estimated_time_to_regain_access":3}],"2":[{}]}'},
            180,
        ),
        ({"x_business_use_case_usage": '{"1":[{"estimated_time_to_regain_access":0}]}'}, None),
        ({"x_business_use_case_usage": "garbage"}, None),
    ],
)
def test_when_to_come_back_is_read_from_the_headers(headers: dict[str, str], seconds: int | None) -> None:
    body = b'{"error":{"message":"m","code":80007}}'
    assert refusal_of(answered(400, body, **headers), is_safe=False).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("phase", "kind", "is_safe", "expected", "code"),
    [
        (Phase.PRE_DELIVERY, FailureKind.REFUSED, False, RetryClass.RETRY, "meta_unreachable"),
        (Phase.PRE_DELIVERY, FailureKind.TIMEOUT_CONNECT, False, RetryClass.RETRY, "meta_unreachable"),
        (Phase.PRE_DELIVERY, FailureKind.BLOCKED, False, RetryClass.FINAL, "meta_unreachable"),
        (Phase.ATTEMPT, FailureKind.RESET, False, RetryClass.AMBIGUOUS, "meta_unclear"),
        (Phase.ATTEMPT, FailureKind.TIMEOUT_FIRST_BYTE, False, RetryClass.AMBIGUOUS, "meta_unclear"),
        (Phase.ATTEMPT, FailureKind.RESET, True, RetryClass.RETRY, "meta_unreachable"),
    ],
)
def test_a_failed_exchange_is_read_by_what_may_have_happened(
    phase: Phase, kind: FailureKind, is_safe: bool, expected: RetryClass, code: str
) -> None:
    error = unreachable(ExchangeError(Reason(kind, "broken"), phase=phase), is_safe=is_safe)
    assert (error.retry_class, error.code, error.http_status) == (expected, code, None)
    assert error.status == (504 if "timeout" in kind else 502)
    assert ("may have been done" in error.message) is (code == "meta_unclear")
    assert ("could not be reached" in error.message) is (code == "meta_unreachable")


async def test_a_code_meta_answers_with_arrives_with_its_meaning(
    simulator: Meta, shop: Shop, meta: MetaClient
) -> None:
    for code in sorted(set(TITLES) - {0, 2200}):
        fault = {"action": "error", "code": code, "details": "because", "path": "/*/messages"}
        await simulator.admin("POST", "/faults", fault)
        answer = await meta.messages.send(shop.number_id, token=simulator.token, body=b"{}")
        error = answer.error
        assert error is not None
        assert (error.upstream_code, error.http_status) == (code, http_status(code))
        assert (error.details, error.fbtrace_id) == ("because", answer.headers.get("x-fb-trace-id"))
        assert error.retry_class is classify(code, http_status(code), is_transient=False, is_safe=False)
        with pytest.raises(MetaError) as caught:
            answer.read(dict)
        assert caught.value is error
