"""Reading endpoints, the delivery log and the state of the queue.

The log is read newest first with keyset cursors: a cursor names the last line of a page, so pages stay stable
while new lines arrive. Everything sees one partner's rows when its unit is a tenant's.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import sql

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Unit
from partnerhub.webhooks import moments
from partnerhub.webhooks.claims import open_headers
from partnerhub.webhooks.errors import CursorInvalid, DeliveryMissing, EndpointMissing
from partnerhub.webhooks.filters import conditions
from partnerhub.webhooks.schemas import (
    Attempt,
    Breaker,
    Delivery,
    DeliveryDetail,
    DeliveryFilter,
    DeliveryPage,
    DeliveryState,
    DisabledReason,
    Endpoint,
    Event,
    EventPage,
    Health,
    OpenDeliveries,
    OwnerKind,
    QueueHealth,
    SigningKey,
    health_of,
)
from partnerhub.webhooks.urls import mask

MAX_PAGE = 200
MOST_COUNTED = 1000
"""Counts for people stop here: nobody reads the difference, and a backlog may be long."""


async def find_endpoint(
    unit: Unit, *, owner_kind: OwnerKind, owner_id: str, keyring: Keyring, reveal: bool = False
) -> Endpoint | None:
    """Return an owner's endpoint, or None; header values are masked unless `reveal`."""
    rows = await unit.fetch_dicts(
        "select * from endpoint where owner_kind = %s and owner_id = %s", (owner_kind, owner_id)
    )
    return _endpoint(rows[0], keyring, reveal=reveal) if rows else None


async def list_signing_keys(unit: Unit, *, partner_id: str) -> list[SigningKey]:
    """Return the platform secrets that sign now, without their values: the current one first."""
    return await unit.fetch_all(
        SigningKey,
        "select id, created_at, retires_at from signing_key where partner_id = %s"
        " and (retires_at is null or retires_at > now()) order by created_at desc, id desc",
        (partner_id,),
    )


async def get_endpoint(unit: Unit, *, endpoint_id: UUID, keyring: Keyring, reveal: bool = False) -> Endpoint:
    """Return an endpoint. Raises: EndpointMissing."""
    rows = await unit.fetch_dicts("select * from endpoint where id = %s", (endpoint_id,))
    if not rows:
        raise EndpointMissing("There is no such webhook URL.")
    return _endpoint(rows[0], keyring, reveal=reveal)


async def list_endpoints(unit: Unit, *, partner_id: str, keyring: Keyring) -> list[Endpoint]:
    """Return every endpoint of a partner, its own first, header values masked."""
    rows = await unit.fetch_dicts(
        "select * from endpoint where partner_id = %s"
        " order by owner_kind = 'partner' desc, owner_kind, owner_id",
        (partner_id,),
    )
    return [_endpoint(row, keyring, reveal=False) for row in rows]


async def list_health(unit: Unit, *, owner_ids: Collection[str]) -> Mapping[str, Health]:
    """Return how the endpoints of these owners stand; an owner without one is left out."""
    rows = await unit.fetch_dicts(
        "select owner_id, enabled, breaker from endpoint where owner_id = any (%s)", (list(owner_ids),)
    )
    return {
        row["owner_id"]: health_of(enabled=row["enabled"], breaker=Breaker(row["breaker"])) for row in rows
    }


async def count_open(unit: Unit, *, partner_id: str, endpoint_id: UUID | None = None) -> OpenDeliveries:
    """Count what waits, is parked or was given up, for all endpoints or one, up to `MOST_COUNTED` each."""
    found = await unit.fetch_one(
        OpenDeliveries,
        """
        with own as materialized (
          select id from endpoint where partner_id = %(partner)s
            and (%(endpoint)s::uuid is null or id = %(endpoint)s)
        )
        select
          (select count(*) from (select from delivery where state = 'pending'
             and endpoint_id in (select id from own) limit %(most)s) waiting) as pending,
          (select count(*) from (select from delivery where state = 'parked'
             and endpoint_id in (select id from own) limit %(most)s) parked) as parked,
          (select count(*) from (select from delivery where state = 'failed' and partner_id = %(partner)s
             and state in ('failed', 'parked', 'discarded')
             and (%(endpoint)s::uuid is null or endpoint_id = %(endpoint)s) limit %(most)s) failed) as failed
        """,
        {"partner": partner_id, "endpoint": endpoint_id, "most": MOST_COUNTED},
    )
    return found or OpenDeliveries()


async def list_deliveries(
    unit: Unit,
    *,
    partner_id: str,
    filters: DeliveryFilter | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> DeliveryPage:
    """Return a page of the delivery log, newest first.

    Raises: CursorInvalid.
    """
    limit = max(1, min(limit, MAX_PAGE))
    where, values = conditions(filters or DeliveryFilter())
    values |= {"partner": partner_id, "limit": limit + 1, **_after(cursor)}
    rows = await unit.fetch_all(
        _DeliveryRow,
        sql.SQL(
            "select {columns} from delivery where delivery.partner_id = %(partner)s and {where} {after}"
            " order by delivery.created_at desc, delivery.id desc limit %(limit)s"
        ).format(columns=_COLUMNS, where=where, after=_AFTER if cursor else sql.SQL("")),
        values,
    )
    items = [row.as_delivery() for row in rows[:limit]]
    return DeliveryPage(items, _cursor(items[-1].id) if len(rows) > limit else None)


async def count_deliveries(
    unit: Unit, *, partner_id: str, filters: DeliveryFilter | None = None
) -> Mapping[DeliveryState, int]:
    """Count what matches, by state; states without any are left out."""
    where, values = conditions(filters or DeliveryFilter())
    rows = await unit.fetch_dicts(
        sql.SQL(
            "select state, count(*) as number from delivery"
            " where delivery.partner_id = %(partner)s and {where} group by state"
        ).format(where=where),
        values | {"partner": partner_id},
    )
    return {DeliveryState(row["state"]): int(row["number"]) for row in rows}


async def get_delivery(unit: Unit, *, partner_id: str, delivery_id: UUID) -> DeliveryDetail:
    """Return a delivery with its attempts and the body that was sent. Raises: DeliveryMissing."""
    at = moments.of(delivery_id)
    row = await unit.fetch_one(
        _DeliveryRow,
        sql.SQL(
            "select {columns} from delivery"
            " where delivery.partner_id = %s and delivery.created_at = %s and delivery.id = %s"
        ).format(columns=_COLUMNS),
        (partner_id, at, delivery_id),
    )
    if row is None:
        raise DeliveryMissing("There is no such delivery.")
    body = await unit.fetch_value(
        "select body from event where created_at = %s and id = %s", (moments.of(row.event_id), row.event_id)
    )
    attempts = await unit.fetch_dicts(
        "select * from attempt where delivery_id = %s and created_at >= %s order by created_at",
        (delivery_id, at),
    )
    return DeliveryDetail(row.as_delivery(), bytes(body or b""), [_attempt(found) for found in attempts])


async def list_events(
    unit: Unit,
    *,
    partner_id: str,
    owner_id: str | None = None,
    name: str | None = None,
    since: datetime | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> EventPage:
    """Return a page of what happened, newest first, delivered anywhere or not.

    Raises: CursorInvalid.
    """
    limit = max(1, min(limit, MAX_PAGE))
    parts = [sql.SQL("event.partner_id = %(partner)s")]
    if owner_id is not None:
        parts.append(sql.SQL("event.owner_id = %(owner)s"))
    if name is not None:
        parts.append(sql.SQL("event.name = %(name)s"))
    if since is not None:
        parts.append(sql.SQL("event.created_at >= %(since)s"))
    if cursor:
        parts.append(sql.SQL("(event.created_at, event.id) < (%(after_at)s, %(after_id)s)"))
    rows = await unit.fetch_dicts(
        sql.SQL(
            "select event.*, (select count(*) from delivery where delivery.partner_id = event.partner_id"
            " and delivery.owner_id = event.owner_id and delivery.event_id = event.id"
            " and delivery.created_at >= event.created_at) as deliveries"
            " from event where {where} order by event.created_at desc, event.id desc limit %(limit)s"
        ).format(where=sql.SQL(" and ").join(parts)),
        {
            "partner": partner_id,
            "owner": owner_id,
            "name": name,
            "since": since,
            "limit": limit + 1,
            **_after(cursor),
        },
    )
    items = [
        Event(
            id=row["id"],
            created_at=row["created_at"],
            partner_id=row["partner_id"],
            owner_kind=OwnerKind(row["owner_kind"]),
            owner_id=row["owner_id"],
            name=row["name"],
            body=bytes(row["body"]),
            deliveries=row["deliveries"],
        )
        for row in rows[:limit]
    ]
    return EventPage(items, _cursor(items[-1].id) if len(rows) > limit else None)


async def get_queue_health(unit: Unit) -> QueueHealth:
    """Return how the queue stands; in a system unit over all partners."""
    found = await unit.fetch_dicts(
        """
        select (select count(*) from delivery where state = 'pending') as pending,
               (select count(*) from delivery where state = 'parked') as parked,
               coalesce((select extract(epoch from now() - min(due_at))::float8 from delivery
                         where state = 'pending' and due_at <= now()), 0) as oldest_due_seconds,
               (select count(*) from endpoint where enabled and breaker = 'open') as open_endpoints,
               (select count(*) from endpoint where not enabled) as disabled_endpoints
        """
    )
    return QueueHealth(**found[0])


_COLUMNS = sql.SQL(
    "delivery.id, delivery.created_at, delivery.event_id, delivery.endpoint_id, delivery.partner_id,"
    " delivery.owner_kind, delivery.owner_id, delivery.name, delivery.state, delivery.attempts,"
    " delivery.last_status, delivery.last_error, delivery.due_at, delivery.finished_at, delivery.replay_of,"
    " delivery.lease is not null as is_under_way"
)
_AFTER = sql.SQL("and (delivery.created_at, delivery.id) < (%(after_at)s, %(after_id)s)")


@dataclass(frozen=True)
class _DeliveryRow:
    id: UUID
    created_at: datetime
    event_id: UUID
    endpoint_id: UUID
    partner_id: str
    owner_kind: str
    owner_id: str
    name: str
    state: str
    attempts: int
    last_status: int | None
    last_error: str | None
    due_at: datetime
    finished_at: datetime | None
    replay_of: UUID | None
    is_under_way: bool

    def as_delivery(self) -> Delivery:
        state = DeliveryState(self.state)
        is_waiting = state is DeliveryState.PENDING and not self.is_under_way
        status = self.last_status
        return Delivery(
            id=self.id,
            created_at=self.created_at,
            event_id=self.event_id,
            endpoint_id=self.endpoint_id,
            partner_id=self.partner_id,
            owner_kind=OwnerKind(self.owner_kind),
            owner_id=self.owner_id,
            name=self.name,
            state=state,
            attempts=self.attempts,
            last_status=status,
            last_error=self.last_error,
            next_at=self.due_at if is_waiting else None,
            finished_at=self.finished_at,
            replay_of=self.replay_of,
            is_unusual=status is not None and 200 < status < 300,
        )


def _endpoint(row: Mapping[str, Any], keyring: Keyring, *, reveal: bool) -> Endpoint:  # Any: a table row
    headers = open_headers(row["headers_sealed"], row["id"], keyring)
    is_probed = row["enabled"] and row["breaker"] == Breaker.OPEN
    reason = row["disabled_reason"]
    return Endpoint(
        id=row["id"],
        partner_id=row["partner_id"],
        owner_kind=OwnerKind(row["owner_kind"]),
        owner_id=row["owner_id"],
        url=row["url"],
        headers=headers if reveal else {name: mask(value) for name, value in headers.items()},
        enabled=row["enabled"],
        disabled_reason=None if reason is None else DisabledReason(reason),
        disabled_at=row["disabled_at"],
        breaker=Breaker(row["breaker"]),
        opened_at=row["opened_at"],
        next_probe_at=row["probe_at"] if is_probed else None,
        created_at=row["created_at"],
        modified_at=row["modified_at"],
    )


def _attempt(row: Mapping[str, Any]) -> Attempt:  # Any: a table row
    fields = {name: row[name] for name in Attempt.__dataclass_fields__ if name not in ("headers", "body")}
    return Attempt(
        **fields,
        headers=[(str(name), str(value)) for name, value in row["headers"] or ()],
        body=bytes(row["body"] or b""),
    )


def _cursor(ident: UUID) -> str:
    return base64.urlsafe_b64encode(ident.bytes).decode().rstrip("=")


def _after(cursor: str | None) -> dict[str, object]:
    if not cursor:
        return {}
    try:
        ident = UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error) as error:
        raise CursorInvalid("The page cursor was not made by this list.") from error
    return {"after_at": moments.of(ident), "after_id": ident}


def describe_filter(filters: DeliveryFilter) -> dict[str, object]:
    """Return a filter as plain values, for audit entries of replays."""
    return {
        name: value
        for name, value in msgspec.to_builtins(filters).items()
        if value not in (None, "", False, [], ())
    }
