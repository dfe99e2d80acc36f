"""Signatures: our conformance vector, an independent library, and the recipes that we print."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from partnerhub.kit.crypto import sign_sha256
from partnerhub.webhooks.signing import plain_headers, signature_headers, standard_secret

EVENT_ID = UUID("01980000-0000-7000-8000-000000000001")
BODY = b'{"id":"evt_1","event":"channel_live","data":{"id":"tlbN64CH"}}'
SECRET = "test-platform-secret"
SIGNATURE = "5c4a2f73b90ad778b8cdc4d04cf8509aba9271b5a2b671022351bb56e5f29ee1"
RECIPES = Path(__file__).parents[2] / "docs" / "how-to" / "verify-webhook-signatures.md"


def _now() -> datetime:
    return datetime.now(UTC)


def _headers(*secrets: str, body: bytes = BODY) -> dict[str, str]:
    return dict(signature_headers([s.encode() for s in secrets], body, event_id=EVENT_ID, at=_now()))


def test_the_conformance_vector_holds() -> None:
    assert _headers(SECRET)["x-360dialog-signature"] == SIGNATURE
    assert sign_sha256(SECRET.encode(), BODY) == SIGNATURE


def test_the_raw_bytes_are_signed_even_where_they_are_not_text() -> None:
    body = b"\xff\xfe\x00not json"
    assert _headers(SECRET, body=body)["x-360dialog-signature"] == sign_sha256(SECRET.encode(), body)


def test_a_standard_webhooks_library_accepts_it_with_the_secret_in_its_form() -> None:
    headers = _headers(SECRET)
    assert headers["webhook-id"] == str(EVENT_ID)
    assert Webhook(standard_secret(SECRET)).verify(BODY, headers) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(standard_secret("another")).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(standard_secret(SECRET)).verify(BODY + b" ", headers)


def test_while_keys_overlap_receivers_with_either_accept_it() -> None:
    headers = _headers("new-secret", SECRET)
    assert headers["x-360dialog-signature"] == sign_sha256(b"new-secret", BODY)
    assert headers["x-360dialog-signature-previous"] == SIGNATURE
    for secret in ("new-secret", SECRET):
        Webhook(standard_secret(secret)).verify(BODY, headers)


def test_without_a_key_it_is_named_and_dated_but_not_signed() -> None:
    assert _headers().keys() == {"webhook-id", "webhook-timestamp"}


def test_the_timestamp_is_the_attempts_own() -> None:
    at = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    headers = dict(signature_headers([], BODY, event_id=EVENT_ID, at=at))
    assert headers["webhook-timestamp"] == "1795176000"


def test_custom_headers_replace_the_content_type() -> None:
    assert plain_headers({}) == [("Content-Type", "application/json")]
    assert plain_headers({"content-type": "text/plain", "X-A": "b"}) == [
        ("content-type", "text/plain"),
        ("X-A", "b"),
    ]


# --- the recipes of the documentation run as printed ------------------------------------------------------


def _recipe(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", RECIPES.read_text(), re.DOTALL)
    assert found, f"no {language} recipe in {RECIPES.name}"
    return "\n".join(found)


def _cases() -> list[tuple[bytes, dict[str, str], str, bool]]:
    changed = BODY.replace(b"live", b"dead")
    return [
        (BODY, _headers(SECRET), SECRET, True),
        (changed, _headers(SECRET), SECRET, False),
        (BODY, _headers("another"), SECRET, False),
        (BODY, _headers("new-secret", SECRET), SECRET, True),
        (BODY, _headers("new-secret", SECRET), "new-secret", True),
        (BODY, {}, SECRET, False),
        (BODY, {**_headers(SECRET), "x-360dialog-signature": "é" * 64}, SECRET, False),
    ]


def _stale() -> dict[str, str]:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return dict(signature_headers([SECRET.encode()], BODY, event_id=EVENT_ID, at=at))


def _input() -> bytes:
    cases = [
        {"body": base64.b64encode(body).decode(), "headers": headers, "secret": secret}
        for body, headers, secret, _ in _cases()
    ]
    cases.append(
        {"body": base64.b64encode(BODY).decode(), "headers": _stale(), "secret": SECRET, "only": "standard"}
    )
    return json.dumps(cases).encode()


def _expected() -> list[dict[str, bool]]:
    plain = [{"plain": is_good, "standard": is_good} for *_, is_good in _cases()]
    plain[-1]["standard"] = True  # only the plain header was spoilt
    return [*plain, {"plain": True, "standard": False}]


def test_the_python_recipe_accepts_what_we_send_and_refuses_the_rest(tmp_path: Path) -> None:
    program = tmp_path / "recipe.py"
    program.write_text(
        _recipe("python")
        + """
import base64, json, sys
print(json.dumps([
    {
        "plain": is_from_partner_hub(base64.b64decode(c["body"]), c["headers"], c["secret"]),
        "standard": is_standard_webhook(base64.b64decode(c["body"]), c["headers"], c["secret"]),
    }
    for c in json.load(sys.stdin)
]))
"""
    )
    done = subprocess.run([sys.executable, program], input=_input(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == _expected()


def test_the_node_recipe_accepts_what_we_send_and_refuses_the_rest(tmp_path: Path) -> None:
    program = tmp_path / "recipe.cjs"
    program.write_text(
        _recipe("javascript")
        + """
const cases = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map((c) => ({
  plain: isFromPartnerHub(Buffer.from(c.body, "base64"), c.headers, c.secret),
  standard: isStandardWebhook(Buffer.from(c.body, "base64"), c.headers, c.secret),
}))));
"""
    )
    node = Path(sys.executable).parent / "node"
    done = subprocess.run([node, program], input=_input(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == _expected()


def test_the_php_recipe_uses_the_same_names_and_a_constant_time_compare() -> None:
    recipe = _recipe("php")
    for part in ("HTTP_X_360DIALOG_SIGNATURE", "hash_hmac('sha256'", "hash_equals", "php://input"):
        assert part in recipe
