"""The sender's side of the database: taking rows, keeping them, giving them back.

Each function queues one statement on the unit's connection, so that a caller can put an acknowledgement and
the next claim into one pipeline; what comes back is fetched after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncCursor
from psycopg.rows import class_row, tuple_row

from partnerhub.kit.crypto import Keyring, SealBroken
from partnerhub.kit.database import Query, Unit
from partnerhub.kit.logs import get
from partnerhub.webhooks import sql
from partnerhub.webhooks.lanes import Facts
from partnerhub.webhooks.policy import GIVE_UP_AFTER, LEASE_SECONDS
from partnerhub.webhooks.schemas import Breaker, Handover, OwnerKind
from partnerhub.webhooks.signing import plain_headers
from partnerhub.webhooks.urls import origin_of

_log = get(__name__)


class Result(msgspec.Struct, kw_only=True):
    """What a delivery becomes, and the attempt that made it so, if there was one.

    `delay` is in seconds from now, None for the place in line that its creation gives it; `tried_at` is None
    for a row that only changes hands.
    """

    id: UUID
    created_at: datetime
    lease: UUID
    state: str
    delay: float | None
    attempts: int
    step: int
    rank: int
    partner_id: str
    endpoint_id: UUID
    status: int | None = None
    error: str | None = None
    tried_at: datetime | None = None
    number: int = 0
    url: str = ""
    dns_us: int = 0
    connect_us: int = 0
    tls_us: int = 0
    first_byte_us: int = 0
    body_us: int = 0
    total_us: int = 0
    reused: bool = False
    is_probe: bool = False
    body_truncated: bool = False
    peer_address: str | None = None
    headers: Sequence[tuple[str, str]] | None = None
    body: bytes | None = None


@dataclass(frozen=True)
class Claimed:
    """A row of a claim."""

    id: UUID
    created_at: datetime
    event_id: UUID
    partner_id: str
    endpoint_id: UUID
    owner_kind: str
    attempts: int
    step: int
    rank: int
    body: bytes

    def as_handover(self, *, lease: UUID, until: float) -> Handover:
        """Return the work with its lease; `until` is monotonic."""
        return Handover(
            id=self.id,
            created_at=self.created_at,
            event_id=self.event_id,
            partner_id=self.partner_id,
            endpoint_id=self.endpoint_id,
            owner_kind=OwnerKind(self.owner_kind),
            body=self.body,
            lease=lease,
            lease_until=until,
            attempts=self.attempts,
            step=self.step,
            rank=self.rank,
        )


@dataclass(frozen=True)
class FactsRow:
    """An endpoint as stored, with its partner's live signing keys, newest first."""

    id: UUID
    partner_id: str
    url: str
    headers_sealed: bytes | None
    enabled: bool
    breaker: str
    probe_failures: int
    key_ids: list[UUID]
    secrets: list[bytes]
    ends: list[datetime | None]


Tuples = AsyncCursor[tuple[Any, ...]]  # Any: columns differ per statement
Claims = AsyncCursor[Claimed]


async def plan(unit: Unit) -> None:
    """Fix how the statements of this transaction are planned."""
    await _tuples(unit, sql.PLAN, {})


async def finish(unit: Unit, results: Sequence[Result], *, sender: str) -> Tuples:
    """Write outcomes under their leases and log the attempts; rows are the ids whose outcome counted."""
    return await _tuples(
        unit,
        sql.FINISH,
        {
            "results": msgspec.json.encode(results).decode(),
            "sender": sender,
        },
    )


async def claim(unit: Unit, rooms: Mapping[UUID, int], *, rank: int, lease: UUID) -> Claims:
    """Lease what is due at these endpoints, oldest first and no more than their room."""
    return await _claims(unit, sql.CLAIM, _wanted(rooms, lease) | {"rank": rank})


async def unpark(unit: Unit, rooms: Mapping[UUID, int], *, lease: UUID) -> Claims:
    """Lease parked rows of endpoints that take deliveries again."""
    return await _claims(unit, sql.UNPARK, _wanted(rooms, lease))


async def probe(unit: Unit, *, lease: UUID) -> Claims:
    """Lease the oldest parked row of each open endpoint whose probe is due."""
    return await _claims(unit, sql.PROBE, {"lease": lease, "lease_seconds": LEASE_SECONDS})


async def extend(unit: Unit, held: Sequence[Handover]) -> Tuples:
    """Renew leases; rows are the ids that are still ours."""
    return await _tuples(
        unit,
        sql.EXTEND,
        {
            "ids": [work.id for work in held],
            "created_ats": [work.created_at for work in held],
            "leases": [work.lease for work in held],
            "lease_seconds": LEASE_SECONDS,
        },
    )


async def park(unit: Unit, endpoints: Sequence[UUID], *, rank: int, limit: int) -> Tuples:
    """Park or discard due rows of endpoints that take none; rows are the endpoint of each."""
    return await _tuples(unit, sql.PARK, {"endpoints": list(endpoints), "rank": rank, "limit": limit})


async def sweep_parked(unit: Unit, endpoints: Sequence[UUID], *, limit: int) -> Tuples:
    """End the waiting of parked rows that are too old or whose endpoint was removed."""
    return await _tuples(
        unit, sql.SWEEP_PARKED, {"endpoints": list(endpoints), "limit": limit, "keep": GIVE_UP_AFTER}
    )


async def expire(unit: Unit, *, limit: int) -> int:
    """Give up what waits on days that no claim looks at any more; return how many rows that were."""
    return await unit.execute(sql.EXPIRE, {"limit": limit})


async def scan_pending(unit: Unit) -> Tuples:
    """Find every endpoint with pending rows; rows are (endpoint, seconds until its first is due)."""
    return await _tuples(unit, sql.SCAN_PENDING, {})


async def scan_parked(unit: Unit) -> Tuples:
    """Find every endpoint with parked rows; rows are (endpoint, whether it takes deliveries)."""
    return await _tuples(unit, sql.SCAN_PARKED, {})


async def open_breaker(unit: Unit, endpoint_id: UUID, *, failures: int, delay: float) -> None:
    """Park an endpoint; it is probed after `delay` seconds."""
    await _tuples(unit, sql.OPEN_BREAKER, {"id": endpoint_id, "failures": failures, "delay": delay})


async def fail_probe(unit: Unit, endpoint_id: UUID, *, failures: int, delay: float) -> None:
    """Keep an endpoint parked; it is probed again after `delay` seconds."""
    await _tuples(unit, sql.FAIL_PROBE, {"id": endpoint_id, "failures": failures, "delay": delay})


async def recover(unit: Unit, endpoint_id: UUID) -> None:
    """Let deliveries flow again at a ramp."""
    await _tuples(unit, sql.RECOVER, {"id": endpoint_id})


async def close_breaker(unit: Unit, endpoint_id: UUID) -> None:
    """Call an endpoint well."""
    await _tuples(unit, sql.CLOSE_BREAKER, {"id": endpoint_id})


async def disable_gone(unit: Unit, endpoint_id: UUID, *, url: str) -> Tuples:
    """Disable an endpoint that answered 410, unless its URL changed since; look at `rowcount`."""
    return await _tuples(unit, sql.DISABLE_GONE, {"id": endpoint_id, "url": url})


async def facts(unit: Unit, endpoints: Sequence[UUID]) -> AsyncCursor[FactsRow]:
    """Read what is known of these endpoints; pass the reply to `read_facts`."""
    cursor = unit.connection.cursor(row_factory=class_row(FactsRow), binary=True)
    return await cursor.execute(sql.FACTS, {"ids": list(endpoints)}, prepare=True)


async def read_facts(
    reply: AsyncCursor[FactsRow], endpoints: Sequence[UUID], keyring: Keyring
) -> dict[UUID, Facts]:
    """Return the facts of every endpoint asked for; a removed one does not exist."""
    found = {row.id: _open(row, keyring) for row in await reply.fetchall()}
    return {ident: found.get(ident) or Facts(exists=False) for ident in endpoints}


async def _tuples(unit: Unit, query: Query, params: Mapping[str, object]) -> Tuples:
    cursor: Tuples = unit.connection.cursor(row_factory=tuple_row, binary=True)
    return await cursor.execute(query, params, prepare=True)


async def _claims(unit: Unit, query: Query, params: Mapping[str, object]) -> Claims:
    cursor = unit.connection.cursor(row_factory=class_row(Claimed), binary=True)
    return await cursor.execute(query, params, prepare=True)


def _wanted(rooms: Mapping[UUID, int], lease: UUID) -> dict[str, object]:
    return {
        "endpoints": list(rooms),
        "rooms": list(rooms.values()),
        "lease": lease,
        "lease_seconds": LEASE_SECONDS,
    }


def _open(row: FactsRow, keyring: Keyring) -> Facts:
    try:
        headers = open_headers(row.headers_sealed, row.id, keyring)
        keys = [
            keyring.open(sealed, place=key_place(ident))
            for ident, sealed in zip(row.key_ids, row.secrets, strict=True)
        ]
    except SealBroken:
        # Sent without its headers or signature, a delivery would be refused or trusted wrongly: it waits.
        _log.exception("webhook_endpoint_sealed_with_unknown_key", endpoint_id=str(row.id))
        return Facts(exists=True, partner_id=row.partner_id, url=row.url, enabled=False)
    return Facts(
        exists=True,
        partner_id=row.partner_id,
        url=row.url,
        origin=origin_of(row.url),
        headers=tuple(plain_headers(headers)),
        keys=tuple(zip(keys, row.ends, strict=True)),
        enabled=row.enabled,
        breaker=Breaker(row.breaker),
        probe_failures=row.probe_failures,
    )


def headers_place(endpoint_id: UUID) -> str:
    """Name the place of an endpoint's sealed headers."""
    return f"endpoint.headers:{endpoint_id}"


def key_place(key_id: UUID) -> str:
    """Name the place of a sealed signing secret."""
    return f"signing_key.secret:{key_id}"


def open_headers(sealed: bytes | None, endpoint_id: UUID, keyring: Keyring) -> dict[str, str]:
    """Return an endpoint's custom headers in clear."""
    if sealed is None:
        return {}
    return msgspec.json.decode(keyring.open(sealed, place=headers_place(endpoint_id)), type=dict[str, str])
