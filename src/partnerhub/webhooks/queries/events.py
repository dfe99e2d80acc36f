"""What happened, delivered anywhere or not, and how the queue stands."""

from __future__ import annotations

from datetime import datetime

from psycopg import sql

from partnerhub.kit.database import Unit
from partnerhub.webhooks.queries.log import MAX_PAGE
from partnerhub.webhooks.queries.place import Place, cursor_of
from partnerhub.webhooks.schemas import Event, EventPage, OwnerKind, QueueHealth


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
            **Place.read(cursor).values,
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
    return EventPage(items, cursor_of(items[-1].id) if len(rows) > limit else None)


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
