"""IO Signature: what a signed onboarding link proves, and what is kept of its use.

The partner's server signs `{partnerId}|{unixSeconds}` with the platform secret (HMAC-SHA512) and adds
`io_signature` and `io_timestamp` to the link. Nothing else is bound, and a second is the finest step: two
links of one second carry one signature, so the first browser that opens it keeps it. Only the current secret
counts: it cannot be replaced while the switch is on, so no link in flight was signed with an older one.
Source: 360dialog's documentation of IO Signature and `360dialog-connect-button` 1.0.2, read 2026-11; the
encoding and the window are not documented there and are ours.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from partnerhub.kit.crypto import fingerprint
from partnerhub.onboarding.entry import Entry
from partnerhub.onboarding.errors import (
    IoSignatureBad,
    IoSignatureInFuture,
    IoSignatureMalformed,
    IoSignatureMissing,
    IoSignatureTooOld,
)

_HEX: Final = re.compile(r"[0-9A-Fa-f]{128}")
_BASE64: Final = re.compile(r"(?:[0-9A-Za-z+/]{86}|[0-9A-Za-z_-]{86})(?:==)?")
# Seconds until the year 5138, as a number is written: no sign, no fraction, no leading zero, ASCII digits.
_SECONDS: Final = re.compile(r"0|[1-9][0-9]{0,10}")
_MILLISECONDS: Final = re.compile(r"[1-9][0-9]{12}")


@dataclass(frozen=True)
class Window:
    """How far a link's time may lie from ours, so that clocks may differ and people may take a moment."""

    back: timedelta = timedelta(minutes=5)
    forward: timedelta = timedelta(minutes=1)

    def check(self, signed_at: datetime, *, now: datetime) -> None:
        """Pass a time inside the window, both ends included.

        Raises: IoSignatureTooOld, IoSignatureInFuture.
        """
        if signed_at < now - self.back:
            raise IoSignatureTooOld("The link is too old. Open a fresh one from the partner's page.")
        if signed_at > now + self.forward:
            raise IoSignatureInFuture("The link was signed for a later time: a clock is wrong.")


@dataclass(frozen=True)
class SignedLink:
    """A link whose signature is the partner's own; whether it is in time and unused is still open.

    `signature_hash` is the same for every way of writing one signature.
    """

    signature_hash: bytes
    signed_at: datetime
    window: Window


def sign(*, partner_id: str, timestamp: str, secret: str) -> bytes:
    """Return the HMAC-SHA512 that a link of this partner and second carries."""
    return hmac.digest(secret.encode(), f"{partner_id}|{timestamp}".encode(), hashlib.sha512)


def read_signature(*, partner_id: str, entry: Entry, secret: str, window: Window) -> SignedLink:
    """Check that the link carries this partner's signature of its own time.

    Hex in either case, base64 and base64url are taken, the last two with or without padding. The text that
    came is compared with each way of writing the right signature, in constant time, so no second text of the
    same bytes gets in.
    Raises: IoSignatureMissing, IoSignatureMalformed, IoSignatureBad.
    """
    signature, timestamp = entry.io_signature, entry.io_timestamp
    if repeated := entry.repeated & {"io_signature", "io_timestamp"}:
        raise IoSignatureMalformed(f"The link has {' and '.join(sorted(repeated))} more than once.")
    if not signature or not timestamp:
        missing = " and ".join(
            name for name, value in (("io_signature", signature), ("io_timestamp", timestamp)) if not value
        )
        raise IoSignatureMissing(f"The link has no {missing}.")
    if _MILLISECONDS.fullmatch(timestamp):
        raise IoSignatureMalformed("io_timestamp is in milliseconds; seconds are signed and sent.")
    if not _SECONDS.fullmatch(timestamp):
        raise IoSignatureMalformed("io_timestamp is not a Unix time in whole seconds.")
    is_hex = _HEX.fullmatch(signature)
    if not is_hex and not _BASE64.fullmatch(signature):
        raise IoSignatureMalformed("io_signature is not an HMAC-SHA512 as hex, base64 or base64url.")
    right = sign(partner_id=partner_id, timestamp=timestamp, secret=secret)
    if not _is_written_as(right, signature.lower() if is_hex else signature):
        raise IoSignatureBad("The signature is not the partner's for this partner id and time.")
    return SignedLink(
        signature_hash=fingerprint(right.hex()),
        signed_at=datetime.fromtimestamp(int(timestamp), UTC),
        window=window,
    )


def _is_written_as(digest: bytes, text: str) -> bool:
    given = text.encode()
    plain, url_safe = base64.b64encode(digest), base64.urlsafe_b64encode(digest)
    ways = (digest.hex().encode(), plain, url_safe, plain.rstrip(b"="), url_safe.rstrip(b"="))
    # Every way is compared, so that the time taken does not say which came near.
    fits = [hmac.compare_digest(given, way) for way in ways]
    return any(fits)
