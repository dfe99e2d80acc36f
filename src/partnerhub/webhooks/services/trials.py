"""The test button: one signed event sent now, and what came of it in plain words.

A flow: it reads the signing keys, sends, and writes nothing. The caller records in the audit log who tested.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from partnerhub.kit.clock import now
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.errors import HubError
from partnerhub.kit.http import HttpClient
from partnerhub.webhooks import moments, outcomes
from partnerhub.webhooks.claims import key_place
from partnerhub.webhooks.policy import MAX_ANSWER_BYTES, timeouts_for
from partnerhub.webhooks.schemas import OwnerKind, TestResult
from partnerhub.webhooks.signing import plain_headers, signature_headers
from partnerhub.webhooks.urls import check_headers, check_url, mask
from partnerhub.webhooks.verdicts import code_of, explain, phases_of

TEST_EVENT = "webhook_test"


async def test_endpoint(
    database: Database,
    http: HttpClient,
    *,
    partner_id: str,
    owner_kind: OwnerKind,
    url: str,
    headers: Mapping[str, str],
    keyring: Keyring,
    body: bytes | None = None,  # noqa: PT028 - tests a webhook; it is no test of pytest's
    allow_loopback: bool = False,  # noqa: PT028 - as above
) -> TestResult:
    """Send one signed test event to a URL, saved or not, and explain the outcome.

    Without `body` a partner gets `{"id", "event": "webhook_test", "data"}` and a number or WABA an envelope
    of Meta's without entries, which receivers pass over. Custom header values come back masked.

    Raises: UrlRefused, HeaderRefused; every failure of the exchange itself is a result.
    """
    check_url(url, allow_loopback=allow_loopback)
    check_headers(headers)
    async with database.tenant(partner_id) as unit:
        rows = await unit.fetch_dicts(
            "select id, secret_sealed from signing_key where partner_id = %s"
            " and (retires_at is null or retires_at > now()) order by created_at desc, id desc",
            (partner_id,),
        )
    keys = [keyring.open(row["secret_sealed"], place=key_place(row["id"])) for row in rows]
    event_id, _ = moments.new()
    content = _test_body(str(event_id), owner_kind) if body is None else body
    ours = signature_headers(keys, content, event_id=event_id, at=now())
    try:
        answer = await http.request(
            "POST",
            url,
            headers=(*ours, *plain_headers(headers)),
            body=content,
            timeouts=timeouts_for(owner_kind),
            max_body_bytes=MAX_ANSWER_BYTES,
            repeatable=True,
        )
        outcome = outcomes.of_answer(answer)
    except HubError as error:
        outcome = outcomes.of_error(error)
    verdict, advice = explain(outcome)
    custom = {name.lower() for name in headers}
    return TestResult(
        code=code_of(outcome),
        is_success=outcome.is_success,
        verdict=verdict,
        advice=advice,
        event_id=event_id,
        url=url,
        request_headers=[
            *((n, mask(v) if n.lower() in custom else v) for n, v in plain_headers(headers)),
            *ours,
        ],
        request_body=content,
        status=outcome.status,
        response_headers=outcome.headers,
        response_body=outcome.body,
        body_truncated=outcome.body_truncated,
        peer_address=outcome.peer_address,
        phases=phases_of(outcome.timings),
        total_us=outcome.timings.total_us,
        detail=outcome.detail,
        reason=outcome.reason,
        location=outcome.location,
    )


def _test_body(event_id: str, owner_kind: OwnerKind) -> bytes:
    if owner_kind is OwnerKind.PARTNER:
        return msgspec.json.encode(
            {
                "id": event_id,
                "event": TEST_EVENT,
                "data": {"message": "This is a test of your webhook URL.", "sent_at": now().isoformat()},
            }
        )
    return msgspec.json.encode({"object": "whatsapp_business_account", "entry": []})
