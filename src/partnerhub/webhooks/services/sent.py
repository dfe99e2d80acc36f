"""What the requests of a delivery carried, for the log: computed again from what is kept, stored nowhere."""

from __future__ import annotations

from datetime import datetime, timedelta

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Unit
from partnerhub.webhooks.claims import key_place
from partnerhub.webhooks.queries import find_endpoint
from partnerhub.webhooks.schemas import DeliveryDetail
from partnerhub.webhooks.signing import plain_headers, signature_headers

Headers = list[tuple[str, str]]


async def list_request_headers(
    unit: Unit, *, partner_id: str, detail: DeliveryDetail, keyring: Keyring
) -> list[Headers]:
    """Return the headers of each attempt's request, in the order of `detail.attempts`.

    Signatures are those of the attempt's moment and of the keys that were live then. Custom headers are as
    they are set now, and masked: their earlier values are not kept.
    """
    endpoint = await find_endpoint(
        unit, owner_kind=detail.delivery.owner_kind, owner_id=detail.delivery.owner_id, keyring=keyring
    )
    plain = plain_headers(endpoint.headers if endpoint else {})
    moments = [attempt.created_at for attempt in detail.attempts]
    rows = await unit.fetch_dicts(
        "select id, secret_sealed, created_at, retires_at from signing_key where partner_id = %s"
        " and created_at < %s and (retires_at is null or retires_at > %s) order by created_at desc, id desc",
        (partner_id, max(moments) + timedelta(milliseconds=1), min(moments))
        if moments
        else (partner_id, None, None),
    )
    secrets = [
        (
            keyring.open(bytes(row["secret_sealed"]), place=key_place(row["id"])),
            row["created_at"],
            row["retires_at"],
        )
        for row in rows
    ]

    def keys_at(at: datetime) -> list[bytes]:
        # The moment is cut to the millisecond, and a secret may be of the same one.
        end = at + timedelta(milliseconds=1)
        return [key for key, since, until in secrets if since < end and (until is None or until > at)]

    return [
        [*signature_headers(keys_at(at), detail.body, event_id=detail.delivery.event_id, at=at), *plain]
        for at in moments
    ]
