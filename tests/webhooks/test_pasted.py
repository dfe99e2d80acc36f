"""A pasted body and signature: the exact pair is right, and every usual mistake is named."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.webhooks.steps import PARTNER, SECRET, MakeReceiver, MakeSender, add_key, set_url

from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.webhooks import pasted, services
from partnerhub.webhooks.pasted import Pasted, Report, Secret, SecretState, examine
from partnerhub.webhooks.schemas import OwnerKind
from partnerhub.webhooks.signing import signature_headers

BODY = '{"id":"evt_1","event":"channel_live","data":{"id":"tlbN64CH","name":"Ä/ö"}}'.encode()
LATER = datetime(2026, 12, 1, tzinfo=UTC)
SECRETS = [
    Secret(SECRET.encode(), SecretState.CURRENT),
    Secret(b"the-one-before", SecretState.OVERLAPPING, LATER),
    Secret(b"an-old-one", SecretState.RETIRED, LATER - timedelta(days=90)),
]


def signed(body: bytes = BODY, secret: bytes = SECRET.encode(), algorithm: str = "sha256") -> str:
    return hmac.new(secret, body, algorithm).hexdigest()


def look(
    body: bytes, signature: str, *, sent: bytes | None = None, headers: dict[str, str] | None = None
) -> Report:
    return examine(Pasted(body, signature, headers or {}, sent), SECRETS)


def codes(report: Report) -> list[str]:
    assert all(finding.verdict and finding.advice for finding in report.findings)
    return [finding.code for finding in report.findings]


def test_the_exact_pair_is_right() -> None:
    report = look(BODY, signed())
    assert (report.is_valid, codes(report), report.secret) == (True, ["fits"], SecretState.CURRENT)
    for name in ("x-360dialog-signature", "X-360Dialog-Signature"):
        assert look(BODY, f"{name}: {signed()}").is_valid


def test_the_secret_that_is_being_replaced_is_right_until_its_end() -> None:
    report = look(BODY, signed(secret=b"the-one-before"))
    assert (report.is_valid, codes(report)) == (True, ["fits_previous"])
    assert (report.secret, report.retires_at) == (SecretState.OVERLAPPING, LATER)
    report = look(BODY, signed(secret=b"an-old-one"))
    assert (report.is_valid, codes(report)) == (False, ["secret_retired"])


@pytest.mark.parametrize(
    ("body", "signature", "expected"),
    [
        (BODY, signed().upper(), ["signature_case"]),
        (BODY, "sha256=" + signed(), ["signature_prefix"]),
        (BODY, "SHA256=" + signed().upper(), ["signature_prefix", "signature_case"]),
        (BODY, signed() + "\n", ["signature_blank"]),
        (BODY, "\t" + signed(), ["signature_blank"]),
        (BODY, f'"{signed()}"', ["signature_blank"]),
        (BODY, signed()[:32] + "\n" + signed()[32:], ["signature_blank"]),
        (BODY, base64.b64encode(bytes.fromhex(signed())).decode(), ["signature_base64"]),
        (BODY, signed(algorithm="sha1"), ["algorithm"]),
        (BODY, signed(algorithm="sha512"), ["algorithm"]),
        (BODY + b"\n", signed(), ["body_blank_end"]),
        (BODY + b"\r\n", signed(), ["body_blank_end"]),
        (b" " + BODY + b"  ", signed(), ["body_blank_end"]),
        (b"\xef\xbb\xbf" + BODY, signed(), ["body_mark"]),
        (b"\xef\xbb\xbf" + BODY + b"\n", signed(), ["body_mark", "body_blank_end"]),
        (b"a\r\nb", signed(b"a\nb"), ["body_line_ends"]),
        (b"a\nb", signed(b"a\r\nb"), ["body_line_ends"]),
        (b"a\r\nb\r\n", signed(b"a\nb"), ["body_line_ends", "body_blank_end"]),
        (json.dumps(json.loads(BODY)).encode(), signed(), ["body_reserialised"]),
        (
            json.dumps(json.loads(BODY), indent=2, ensure_ascii=False).encode(),
            signed(),
            ["body_reserialised"],
        ),
        (BODY.replace(b"/", b"\\/"), signed(), ["body_reserialised"]),
        (BODY, signed(json.dumps(json.loads(BODY)).encode()), ["body_reserialised"]),
        (BODY, signed(secret=SECRET.encode() + b"\n"), ["secret_newline"]),
        (BODY, signed(secret=b"whsec_" + base64.b64encode(SECRET.encode())), ["secret_standard"]),
        (
            BODY + b"\n",
            "sha256=" + signed(secret=b"an-old-one").upper(),
            ["signature_prefix", "signature_case", "body_blank_end", "secret_retired"],
        ),
        (BODY + b"\n", signed(secret=b"the-one-before"), ["body_blank_end", "fits_previous"]),
        (BODY, signed(secret=b"nobody's"), ["no_fit"]),
        (BODY, "sha256=" + signed(secret=b"nobody's"), ["no_fit", "signature_prefix"]),
        (BODY.replace(b"live", b"dead"), signed(), ["no_fit"]),
        (BODY, "", ["signature_missing"]),
        (BODY, " \n", ["signature_missing"]),
        (BODY, signed()[:-1], ["signature_shape"]),
        (BODY, "hello", ["signature_shape"]),
    ],
)
def test_what_is_wrong_is_named(body: bytes, signature: str, expected: list[str]) -> None:
    report = look(body, signature)
    assert (report.is_valid, codes(report)) == (False, expected)


def test_a_secret_that_was_decoded_is_told() -> None:
    secret = base64.urlsafe_b64encode(hashlib.sha256(b"x").digest()).rstrip(b"=")
    made = signed(secret=hashlib.sha256(b"x").digest())
    report = examine(Pasted(BODY, made, {}), [Secret(secret, SecretState.CURRENT)])
    assert codes(report) == ["secret_decoded"]


def test_with_what_we_sent_at_hand_any_change_is_placed() -> None:
    changed = BODY.replace(b"live", b"dead")
    report = look(changed, signed(), sent=BODY)
    assert codes(report) == ["body_changed"]
    assert f"from byte {BODY.index(b'live') + 1} on" in report.findings[0].verdict
    reordered = json.dumps(dict(reversed(json.loads(BODY).items()))).encode()
    assert codes(look(reordered, signed(), sent=BODY)) == ["body_reserialised"]
    assert codes(look(BODY, signed(secret=b"nobody's"), sent=BODY)) == ["secret_other"]
    assert codes(look(changed, signed(secret=b"nobody's"), sent=BODY)) == ["body_changed"]
    assert codes(look(BODY[:-5], signed(), sent=BODY)) == ["body_changed"]


def test_standard_webhooks_signatures_are_checked_with_their_id_and_time() -> None:
    made = dict(
        signature_headers(
            [b"new", SECRET.encode()], BODY, event_id=UUID(int=7), at=datetime(2026, 11, 20, tzinfo=UTC)
        )
    )
    moved = {**made, "webhook-timestamp": "1"}
    assert look(BODY, made["webhook-signature"], headers=made).is_valid
    assert codes(look(BODY, made["webhook-signature"])) == ["standard_headers_missing"]
    assert codes(look(BODY + b"\n", made["webhook-signature"], headers=made)) == ["body_blank_end"]
    assert codes(look(BODY, made["webhook-signature"], headers=moved)) == ["no_fit"]
    assert codes(look(BODY, "v1,", headers=made)) == ["signature_shape"]


def test_without_a_secret_it_says_so() -> None:
    assert codes(examine(Pasted(BODY, signed(), {}), [])) == ["secret_missing"]


@given(st.binary(max_size=200), st.text(max_size=200))
def test_anything_may_be_pasted_and_nothing_of_it_is_right(body: bytes, signature: str) -> None:
    report = look(body, signature, sent=BODY, headers={"webhook-id": signature, "webhook-timestamp": "1"})
    assert not report.is_valid
    assert codes(report)


def test_every_code_is_one_of_the_list() -> None:
    assert all(code.islower() for code in pasted.CODES)
    assert SECRET not in repr(SECRETS)


async def test_a_delivery_is_checked_with_the_partners_own_secrets_and_events(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    async def check(body: bytes, signature: str = "", **headers: str) -> Report:
        async with database.tenant(PARTNER) as unit:
            return await services.check_pasted(
                unit, partner_id=PARTNER, body=body, signature=signature, keyring=keyring, headers=headers
            )

    assert codes(await check(BODY, signed())) == ["secret_missing"]
    here = await make_receiver()
    await make_sender()
    await set_url(database, keyring, here.url(), owner_kind=OwnerKind.PARTNER, owner_id=PARTNER)
    await add_key(database, keyring, "first-secret")
    await add_key(database, keyring, "second-secret", overlap_hours=2)
    async with database.tenant(PARTNER) as unit:
        await services.publish(
            unit,
            partner_id=PARTNER,
            owner_kind=OwnerKind.PARTNER,
            owner_id=PARTNER,
            name="channel_live",
            data={"id": "tlbN64CH", "setup_info": {"phone_name": "Ä"}},
        )
    (got,) = await here.wait_for(1)
    current, previous = (got.headers[f"x-360dialog-signature{end}"] for end in ("", "-previous"))
    assert (await check(got.body, current)).secret is SecretState.CURRENT
    assert (await check(got.body, previous)).secret is SecretState.OVERLAPPING
    assert (await check(got.body, "", **got.headers)).is_valid
    assert (await check(got.body, got.headers["webhook-signature"], **got.headers)).is_valid
    # The event's own id finds what was sent, whatever became of the order of its members.
    turned = json.dumps(dict(reversed(json.loads(got.body).items())), indent=1).encode()
    assert codes(await check(turned, current)) == ["body_reserialised"]
    assert codes(await check(got.body.replace(b"live", b"dead"), current)) == ["body_changed"]
    assert codes(await check(got.body, signed(got.body, b"nobody's"))) == ["secret_other"]
    with clock.moved_by(timedelta(hours=3)):
        late = await check(got.body, previous)
    assert (late.is_valid, codes(late), late.secret) == (False, ["secret_retired"], SecretState.RETIRED)
    # Another partner's secrets and events are its own.
    async with database.tenant("otherAPA") as unit:
        other = await services.check_pasted(
            unit, partner_id="otherAPA", body=got.body, signature=current, keyring=keyring
        )
    assert codes(other) == ["secret_missing"]
