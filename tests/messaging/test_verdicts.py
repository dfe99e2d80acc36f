"""What Meta's answer means for the money."""

from __future__ import annotations

import json

import pytest

from partnerhub.messaging.verdicts import Outcome, judge


def error(code: int) -> bytes:
    return json.dumps({"error": {"message": "no", "type": "OAuthException", "code": code}}).encode()


def test_an_accepted_message_is_named() -> None:
    verdict = judge(200, b'{"messaging_product":"whatsapp","messages":[{"id":"wamid.1"}],"contacts":[]}')
    assert (verdict.outcome, verdict.wamid) == (Outcome.ACCEPTED, "wamid.1")


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b'{"success":true}', Outcome.SIGNAL),
        (b'{"success":false}', Outcome.UNCLEAR),
        (b'{"success":"true"}', Outcome.UNCLEAR),
        (b'{"success":true,"messages":[]}', Outcome.UNCLEAR),
        (b'{"success":true,"messages":[{"id":"wamid.1"}]}', Outcome.ACCEPTED),
    ],
)
def test_what_meta_took_as_a_receipt_is_no_message(body: bytes, outcome: Outcome) -> None:
    assert judge(200, body).outcome is outcome


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, 131047),
        (400, 130429),
        (429, 613),
        (403, 368),
        (404, 132001),
        (401, 190),
        (500, 131057),
        (503, 133004),
    ],
)
def test_a_refusal_frees_the_money(status: int, code: int) -> None:
    verdict = judge(status, error(code))
    assert (verdict.outcome, verdict.code, verdict.is_metas) == (Outcome.REFUSED, code, True)


@pytest.mark.parametrize(("status", "code"), [(500, 131000), (500, 131016), (503, 2), (500, 1)])
def test_a_server_error_leaves_it_open_and_may_be_passed_on(status: int, code: int) -> None:
    verdict = judge(status, error(code))
    assert (verdict.outcome, verdict.is_metas) == (Outcome.UNCLEAR, True)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "is_metas"),
    [
        (502, b"<html>Bad gateway</html>", Outcome.UNCLEAR, False),
        (504, b"", Outcome.UNCLEAR, False),
        (408, b"", Outcome.UNCLEAR, False),
        (200, b'{"messages":[]}', Outcome.UNCLEAR, True),
        (200, b'{"messages":[{"id":""}]}', Outcome.UNCLEAR, True),
        (200, b"{", Outcome.UNCLEAR, False),
        (200, b"[" * 50_000, Outcome.UNCLEAR, False),
        (302, b"", Outcome.REFUSED, False),
        (404, b"<html>", Outcome.REFUSED, True),
    ],
)
def test_an_answer_that_is_not_metas_is_judged_by_its_status(
    status: int, body: bytes, outcome: Outcome, is_metas: bool
) -> None:
    verdict = judge(status, body)
    assert (verdict.outcome, verdict.is_metas, verdict.wamid) == (outcome, is_metas, None)


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_that_is_no_text_leaves_the_outcome_open(status: int) -> None:
    verdict = judge(status, b'{"messages":[{"id":"wamid.\xff"}],"error":{"code":"\xff"}}')
    assert (verdict.outcome, verdict.is_metas) == (Outcome.UNCLEAR, False)


@pytest.mark.parametrize(
    ("contacts", "recipient"),
    [
        (b'[{"input":"0151 123","wa_id":"49151123"}]', "49151123"),
        (b'[{"input":"x","wa_id":"49151123","user_id":"DE.1"}]', "49151123"),
        (b'[{"input":"x","user_id":"DE.1"}]', "DE.1"),
        (b'[{"wa_id":"49\\u0000151"}]', "49151"),
        (b"[]", ""),
        (b"null", ""),
        (b'[{"wa_id":49151123}]', ""),
        (b'"nobody"', ""),
    ],
)
def test_meta_says_whom_an_accepted_message_goes_to(contacts: bytes, recipient: str) -> None:
    verdict = judge(200, b'{"messages":[{"id":"wamid.1"}],"contacts":%s}' % contacts)
    assert (verdict.outcome, verdict.wamid, verdict.recipient) == (Outcome.ACCEPTED, "wamid.1", recipient)
