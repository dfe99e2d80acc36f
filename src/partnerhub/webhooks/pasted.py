"""What a pasted body and signature have wrong, in words for whoever writes the receiver.

Only the exact pair is right. Where it is not, the mistakes that receivers make are tried one upon the other
(what was done to the signature, to the body, with the secret) until the pair fits, and each of them is named.
Texts are English here and keys for translation in the pages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from partnerhub.webhooks.signing import HEADER, PREVIOUS_HEADER

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "fits": ("The signature fits the body.", "Nothing to do."),
    "fits_previous": (
        "The signature fits, with the secret that is being replaced.",
        "Put the current secret into your receiver before the overlap ends.",
    ),
    "secret_retired": (
        "The signature was made with a secret that signs no longer.",
        "Put the current secret into your receiver; nothing is signed with this one any more.",
    ),
    "secret_newline": (
        "The secret was used with a newline or blank at its end.",
        "Strip the secret where your receiver reads it from a file or variable.",
    ),
    "secret_decoded": (
        "The secret was decoded before it was used.",
        "Use the secret's text as it is, as UTF-8 bytes: it is no base64.",
    ),
    "secret_standard": (
        "The secret was used in the form that is for Standard Webhooks libraries.",
        "For this header use the platform secret itself, without whsec_.",
    ),
    "signature_case": (
        "The signature is in upper case.",
        "We send lower-case hex; compare with it exactly as it came.",
    ),
    "signature_prefix": (
        "The signature has a prefix such as sha256=.",
        "We send bare hex without a prefix; compare without one.",
    ),
    "signature_blank": (
        "The signature has blanks, quotes or a newline around or inside it.",
        "Compare the header's value alone.",
    ),
    "signature_base64": (
        "The signature is in base64.",
        "This header is lower-case hex; only webhook-signature is base64.",
    ),
    "algorithm": (
        "The signature was made with another algorithm than HMAC-SHA256.",
        "Use HMAC with SHA-256, keyed with the platform secret.",
    ),
    "body_blank_end": (
        "The body has blanks or a newline around it that were not sent.",
        "Sign the raw bytes of the request. If you pasted it, take the newline off.",
    ),
    "body_line_ends": (
        "The body's line ends were changed.",
        "Read the body as bytes and not as text.",
    ),
    "body_mark": (
        "The body begins with a byte order mark that was not sent.",
        "Read the body as bytes and not as text.",
    ),
    "body_reserialised": (
        "The body is the same JSON in another writing: blanks, order or escapes were changed.",
        "Sign the raw bytes of the request, before a JSON parser sees them; parse afterwards.",
    ),
    "body_changed": (
        "The body is not what we sent under this id: it differs from byte {position} on.",
        "Something between us and your check changes it. Sign the raw bytes of the request.",
    ),
    "secret_other": (
        "The body is what we sent, but no secret of yours made this signature.",
        "Check which secret your receiver uses, and that the signature is this delivery's.",
    ),
    "no_fit": (
        "No secret of yours makes this signature of this body.",
        "Either the body was changed or another secret was used. Compare with the delivery log.",
    ),
    "signature_shape": (
        "This is no signature of ours: {length} characters instead of 64 hex digits.",
        "Paste the value of x-360dialog-signature, whole.",
    ),
    "signature_missing": (
        "There is no signature to check.",
        "Paste the value of x-360dialog-signature.",
    ),
    "standard_headers_missing": (
        "A Standard Webhooks signature also covers id and time, and they are missing.",
        "Give webhook-id and webhook-timestamp of the same request, too.",
    ),
    "secret_missing": (
        "There is no platform secret yet, so nothing is signed.",
        "Generate one first.",
    ),
}
CODES: Final = frozenset(_WORDS)

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_SIZES: Final = {40: hashlib.sha1, 96: hashlib.sha384, 128: hashlib.sha512}
_PREFIX: Final = re.compile(r"^(?:sha-?256|hmac-sha256|v1)\s*[=:]\s*", re.IGNORECASE)
_NAMES: Final = re.compile(rf"^\s*(?:{PREVIOUS_HEADER}|{HEADER}|webhook-signature)\s*:", re.IGNORECASE)
_AROUND: Final = " \t\r\n\v\f\u00a0\u200b\ufeff\"'`"


class SecretState(StrEnum):
    """Which of a partner's secrets it is."""

    CURRENT = "current"
    OVERLAPPING = "overlapping"
    RETIRED = "retired"


@dataclass(frozen=True)
class Secret:
    """A platform secret in clear, newest first in a list; `retires_at` is past, to come, or none."""

    value: bytes = field(repr=False)
    state: SecretState
    retires_at: datetime | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that is so: a stable code, what it means with its `values`, and what to do."""

    code: str
    verdict: str
    advice: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Pasted:
    """What was pasted; header names are in lower case, `sent` is the body that we stored under its id."""

    body: bytes
    signature: str
    headers: Mapping[str, str]
    sent: bytes | None = None


@dataclass(frozen=True)
class Report:
    """Whether the pair is right as it is, and the findings, the first of which is the headline.

    `secret` says which secret fits, none where nothing does; `retires_at` is that secret's end.
    """

    is_valid: bool
    findings: tuple[Finding, ...]
    secret: SecretState | None = None
    retires_at: datetime | None = None


@dataclass(frozen=True)
class _Claim:
    """A signature as it may be meant: what was done to it, and how it is compared."""

    digests: tuple[str, ...]
    mistakes: tuple[str, ...]
    algorithm: Any = hashlib.sha256  # Any: a constructor of hashlib
    preamble: bytes = b""


def examine(pasted: Pasted, secrets: Sequence[Secret]) -> Report:
    """Check a pasted signature against every secret and say what is wrong with the pair."""
    if not secrets:
        return _report("secret_missing")
    given = _NAMES.sub("", pasted.signature)
    if not given.strip(_AROUND):
        return _report("signature_missing")
    claim = _standard(given, pasted.headers) if "v1," in given else _plain(given)
    if isinstance(claim, Report):
        return claim
    for body, body_mistakes in _bodies(pasted):
        for secret in secrets:
            for key, key_mistakes in _keys(secret.value):
                right = hmac.digest(key, claim.preamble + body, claim.algorithm).hex()
                if any([hmac.compare_digest(right, digest) for digest in claim.digests]):  # noqa: C419 - all compared
                    return _found(secret, pasted, claim.mistakes, body_mistakes, key_mistakes)
    if pasted.sent is None:
        return _report("no_fit", *claim.mistakes)
    if pasted.sent == pasted.body:
        return _report("secret_other", *claim.mistakes)
    return _report(_difference(pasted), *claim.mistakes, position=_position(pasted))


def _found(
    secret: Secret,
    pasted: Pasted,
    signature_mistakes: tuple[str, ...],
    body_mistakes: tuple[str, ...],
    key_mistakes: tuple[str, ...],
) -> Report:
    mistakes = [*signature_mistakes, *body_mistakes, *key_mistakes]
    is_valid = not mistakes and secret.state is not SecretState.RETIRED
    match secret.state:
        case SecretState.RETIRED:
            mistakes.append("secret_retired")
        case SecretState.OVERLAPPING:
            mistakes.append("fits_previous")
        case SecretState.CURRENT if not mistakes:
            mistakes.append("fits")
        case _:
            pass
    found = _report(*mistakes, position=_position(pasted))
    return Report(is_valid, found.findings, secret.state, secret.retires_at)


def _plain(given: str) -> _Claim | Report:
    mistakes = []
    text = given
    # A header's value has no blanks around it; those of a pasted line are the paste's own.
    if text.strip(_AROUND) != text.strip(" ") or re.search(r"\s", text.strip(_AROUND)):
        mistakes.append("signature_blank")
        text = re.sub(r"\s", "", text)
    text = text.strip(_AROUND)
    if (bare := _PREFIX.sub("", text)) != text:
        mistakes.append("signature_prefix")
        text = bare
    if _HEX.fullmatch(text.lower()):
        if text != text.lower():
            mistakes.append("signature_case")
        return _Claim((text.lower(),), tuple(mistakes))
    if re.fullmatch(r"[0-9A-Fa-f]+", text) and len(text) in _SIZES:
        return _Claim((text.lower(),), (*mistakes, "algorithm"), _SIZES[len(text)])
    if (decoded := _decoded(text)) is not None and len(decoded) == 32:
        return _Claim((decoded.hex(),), (*mistakes, "signature_base64"))
    return _report("signature_shape", *mistakes, length=len(text))


def _standard(given: str, headers: Mapping[str, str]) -> _Claim | Report:
    ident, at = headers.get("webhook-id", "").strip(), headers.get("webhook-timestamp", "").strip()
    if not ident or not at:
        return _report("standard_headers_missing")
    parts = [part.removeprefix("v1,") for part in given.strip(_AROUND).split() if part.startswith("v1,")]
    digests = [decoded.hex() for part in parts if (decoded := _decoded(part)) is not None]
    if not digests:
        return _report("signature_shape", length=len(given.strip()))
    return _Claim(tuple(digests), (), preamble=f"{ident}.{at}.".encode())


def _bodies(pasted: Pasted) -> Iterator[tuple[bytes, tuple[str, ...]]]:
    """Yield the body as it is, then as it may have been sent, with what was done to it since."""
    body = pasted.body
    yield body, ()
    seen = {body}
    unmarked = body.removeprefix(b"\xef\xbb\xbf")
    ways = [
        (body.strip(), ("body_blank_end",)),
        (unmarked, ("body_mark",)),
        (body.replace(b"\r\n", b"\n"), ("body_line_ends",)),
        (re.sub(rb"(?<!\r)\n", b"\r\n", body), ("body_line_ends",)),
        (unmarked.strip(), ("body_mark", "body_blank_end")),
        (body.replace(b"\r\n", b"\n").strip(), ("body_line_ends", "body_blank_end")),
    ]
    ways += [(text, ("body_reserialised",)) for text in _rewritten(unmarked)]
    if pasted.sent is not None:
        ways.append((pasted.sent, (_difference(pasted),)))
    for text, mistakes in ways:
        if text not in seen:
            seen.add(text)
            yield text, mistakes


def _rewritten(body: bytes) -> Iterator[bytes]:
    """Yield the JSON as serialisers usually write it; nothing where it is none."""
    value = _json(body)
    if value is None:
        return
    for separators in ((",", ":"), (", ", ": ")):
        for is_ascii in (False, True):
            try:
                text = json.dumps(value, separators=separators, ensure_ascii=is_ascii).encode()
            except UnicodeEncodeError:  # half of a character outside the basic plane
                continue
            yield text
            yield text.replace(b"/", b"\\/")


def _json(body: bytes) -> Any | None:  # Any: whatever the JSON holds
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _difference(pasted: Pasted) -> str:
    ours, theirs = _json(pasted.sent or b""), _json(pasted.body)
    return "body_reserialised" if theirs is not None and theirs == ours else "body_changed"


def _position(pasted: Pasted) -> int:
    sent, body = pasted.sent or b"", pasted.body
    pairs = enumerate(zip(sent, body, strict=False))
    return next((number for number, (ours, theirs) in pairs if ours != theirs), min(len(sent), len(body))) + 1


def _keys(secret: bytes) -> Iterator[tuple[bytes, tuple[str, ...]]]:
    """Yield the secret as it is, then as receivers get it wrong."""
    yield secret, ()
    for end in (b"\n", b"\r\n", b" "):
        yield secret + end, ("secret_newline",)
    if (decoded := _decoded(secret.decode("utf-8", "replace"))) is not None:
        yield decoded, ("secret_decoded",)
    standard = base64.b64encode(secret)
    yield b"whsec_" + standard, ("secret_standard",)
    yield standard, ("secret_standard",)


def _decoded(text: str) -> bytes | None:
    if not re.fullmatch(r"[0-9A-Za-z+/_-]+={0,2}", text):
        return None
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        return None


def _report(*codes: str, **values: object) -> Report:
    found = dict.fromkeys(codes)
    return Report(is_valid=False, findings=tuple(_finding(code, values) for code in found))


def _finding(code: str, values: Mapping[str, object]) -> Finding:
    verdict, advice = _WORDS[code]
    known = {"position": "?", "length": "?", **values}
    return Finding(code, verdict.format_map(known), advice, known)
