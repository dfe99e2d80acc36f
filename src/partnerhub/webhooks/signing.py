"""How a delivery proves where it comes from.

Two schemes ride side by side over the same raw bytes, both keyed with the platform secret as UTF-8:
`x-360dialog-signature` (lower-case hex HMAC-SHA256 of the body; `-previous` with the retiring key while keys
overlap), and Standard Webhooks (https://www.standardwebhooks.com, v1), which also signs the id and the time.
Where a library wants a Standard Webhooks secret, it is `whsec_` and the base64 of the platform secret's
bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

HEADER = "x-360dialog-signature"
PREVIOUS_HEADER = "x-360dialog-signature-previous"


def standard_secret(secret: str) -> str:
    """Return the platform secret in the form that Standard Webhooks libraries take."""
    return "whsec_" + base64.b64encode(secret.encode()).decode()


def signature_headers(
    keys: Sequence[bytes], body: bytes, *, event_id: UUID, at: datetime
) -> list[tuple[str, str]]:
    """Return the headers that identify and sign one attempt; `keys` are the live ones, newest first.

    Without a key only the id and the time are sent. During an overlap the Standard Webhooks header lists a
    signature for every live key.
    """
    ident, timestamp = str(event_id), str(int(at.timestamp()))
    headers = [("webhook-id", ident), ("webhook-timestamp", timestamp)]
    if not keys:
        return headers
    signed = f"{ident}.{timestamp}.".encode() + body
    headers.append(
        (
            "webhook-signature",
            " ".join(
                "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys
            ),
        )
    )
    headers.append((HEADER, hmac.digest(keys[0], body, hashlib.sha256).hex()))
    if len(keys) > 1:
        headers.append((PREVIOUS_HEADER, hmac.digest(keys[1], body, hashlib.sha256).hex()))
    return headers


def plain_headers(custom: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers that are the same on every attempt; custom ones replace ours of the same name."""
    headers = list(custom.items())
    if not any(name.lower() == "content-type" for name in custom):
        headers.insert(0, ("Content-Type", "application/json"))
    return headers
