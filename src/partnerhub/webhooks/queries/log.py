"""The delivery log: read newest first with keyset cursors, and one delivery with all of its attempts.

A cursor names the last line of a page, so pages stay stable while new lines arrive.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

import msgspec
from psycopg import sql

from partnerhub.kit.database import Unit
from partnerhub.webhooks import moments
from partnerhub.webhooks.errors import DeliveryMissing
from partnerhub.webhooks.filters import conditions
from partnerhub.webhooks.queries.place import Place, cursor_of
from partnerhub.webhooks.schemas import (
    Attempt,
    Delivery,
    DeliveryDetail,
    DeliveryFilter,
    DeliveryPage,
    DeliveryState,
    Glimpse,
    OwnerKind,
)

MAX_PAGE = 200
MOST_SEARCHED = 20_000
"""How many bodies one page of a search looks into."""
LONG_BODY_BYTES = 64 * 1024

_COLUMNS = sql.SQL(
    "delivery.id, delivery.created_at, delivery.event_id, delivery.endpoint_id, delivery.partner_id,"
    " delivery.owner_kind, delivery.owner_id, delivery.name, delivery.state, delivery.attempts,"
    " delivery.last_status, delivery.last_error, delivery.due_at, delivery.finished_at, delivery.replay_of,"
    " delivery.lease is not null as is_under_way"
)
_PLAIN = sql.SQL(
    "select {columns} from delivery where delivery.partner_id = %(partner)s and {where} {after}"
    " order by {order} limit %(limit)s"
)
# Bodies are looked into one after the other, in the order of the log, until the page is full.
_SEARCHED = sql.SQL(
    "select {columns} from ("
    "select * from delivery where delivery.partner_id = %(partner)s and {where} {after}"
    " order by {order} limit %(most)s"
    ") delivery cross join lateral ("
    "select from event where event.created_at = delivery.event_at and event.id = delivery.event_id"
    " and (position(%(text)b in event.body) > 0 or position(%(escaped)b in event.body) > 0) limit 1) held"
    " order by {order} limit %(limit)s"
)
_STOPPED = sql.SQL(
    "select delivery.id, delivery.created_at from delivery where delivery.partner_id = %(partner)s"
    " and {where} {after} order by {order} offset %(most)s - 1 limit 1"
)
GLIMPSES: Final[LiteralString] = """
select shown.id, happened.body, last.total_us as last_us
from unnest(%(ids)b::uuid[], %(ats)b::timestamptz[], %(events)b::uuid[], %(event_ats)b::timestamptz[],
            %(ends)b::timestamptz[]) as shown(id, created_at, event_id, event_at, finished_at)
left join lateral (
  select case when octet_length(event.body) <= %(size)s then event.body end as body
  from event where event.created_at = shown.event_at and event.id = shown.event_id
) happened on true
left join lateral (
  select attempt.total_us from attempt
  where attempt.delivery_id = shown.id and attempt.created_at >= shown.created_at
    -- The clocks of two machines: what ends a delivery is written a moment after its last try.
    and attempt.created_at < coalesce(shown.finished_at + interval '1 hour', 'infinity')
  order by attempt.created_at desc limit 1
) last on true
"""


async def list_deliveries(
    unit: Unit,
    *,
    partner_id: str,
    filters: DeliveryFilter | None = None,
    containing: str = "",
    cursor: str | None = None,
    limit: int = 50,
) -> DeliveryPage:
    """Return a page of the delivery log, newest first.

    `containing` keeps deliveries whose body has this text in it, written as it is or with JSON's escapes. Of
    `MOST_SEARCHED` bodies at most for a page, so that it may hold fewer than `limit`, or none.

    Raises: CursorInvalid.
    """
    limit = max(1, min(limit, MAX_PAGE))
    place = Place.read(cursor)
    where, values = conditions(filters or DeliveryFilter())
    values |= {"partner": partner_id, "limit": limit + 1, "most": MOST_SEARCHED, **place.values}
    source = _SEARCHED if containing else _PLAIN
    if containing:
        values |= {"text": containing.encode(), "escaped": json.dumps(containing)[1:-1].encode()}
    parts = {"columns": _COLUMNS, "where": where, "after": place.condition, "order": place.order}
    rows = await unit.fetch_all(_DeliveryRow, source.format(**parts), values)
    is_more = len(rows) > limit
    if place.is_backward and not is_more and not containing:
        # Fewer newer ones than a page holds: that is the first page.
        return await list_deliveries(unit, partner_id=partner_id, filters=filters, limit=limit)
    items = [row.as_delivery() for row in rows[:limit]]
    if place.is_backward:
        items.reverse()
        return DeliveryPage(items, cursor_of(items[-1].id), cursor_of(items[0].id, back=True))
    stopped = None
    if containing and not is_more:
        stopped = await unit.fetch_one(_Stopped, _STOPPED.format(**parts), values)
    last = items[-1].id if is_more else stopped.id if stopped else None
    return DeliveryPage(
        items,
        next_cursor=cursor_of(last) if last else None,
        previous_cursor=cursor_of(items[0].id, back=True) if cursor and items and not containing else None,
        searched_to=stopped.created_at if stopped else None,
    )


async def list_glimpses(unit: Unit, *, deliveries: Collection[Delivery]) -> Mapping[UUID, Glimpse]:
    """Return what a page of the log shows beside its rows, by delivery; a long body is left out."""
    rows = await unit.fetch_all(
        _GlimpseRow,
        GLIMPSES,
        {
            "ids": [one.id for one in deliveries],
            "ats": [one.created_at for one in deliveries],
            "events": [one.event_id for one in deliveries],
            "event_ats": [moments.of(one.event_id) for one in deliveries],
            "ends": [one.finished_at for one in deliveries],
            "size": LONG_BODY_BYTES,
        },
    )
    return {row.id: Glimpse(bytes(row.body or b""), row.last_us) for row in rows}


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


def describe_filter(filters: DeliveryFilter) -> dict[str, object]:
    """Return a filter as plain values, for audit entries of replays."""
    return {
        name: value
        for name, value in msgspec.to_builtins(filters).items()
        if value not in (None, "", False, [], ())
    }


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


def _attempt(row: Mapping[str, Any]) -> Attempt:  # Any: a table row
    fields = {name: row[name] for name in Attempt.__dataclass_fields__ if name not in ("headers", "body")}
    return Attempt(
        **fields,
        headers=[(str(name), str(value)) for name, value in row["headers"] or ()],
        body=bytes(row["body"] or b""),
    )


@dataclass(frozen=True)
class _Stopped:
    id: UUID
    created_at: datetime


@dataclass(frozen=True)
class _GlimpseRow:
    id: UUID
    body: bytes | None
    last_us: int | None
