"""Sending events again: one, those that match a filter, or everything since a time.

A replay is a new delivery of the same event, with the same bytes and the same `webhook-id`, to wherever the
owner's events go now. It queues behind new events and has seven days of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import sql as composed

from partnerhub.kit.database import Unit
from partnerhub.webhooks import moments
from partnerhub.webhooks.errors import DeliveryMissing, ReplayTooLarge
from partnerhub.webhooks.filters import conditions
from partnerhub.webhooks.schemas import DeliveryFilter, OwnerKind, Replayed
from partnerhub.webhooks.turns import CHANNEL

MAX_REPLAY = 50_000


@dataclass(frozen=True)
class ReplayScope:
    """What to replay: exactly one of the three.

    `since` takes every event of the partner, or of one owner, from that time on: those that never had an
    endpoint too, and with `only_undelivered` only those that no attempt brought to a receiver. With
    `skip_sent`, `matching` leaves out what arrived by a later delivery or is on its way: asked for twice, it
    sends once.
    """

    delivery_id: UUID | None = None
    matching: DeliveryFilter | None = None
    skip_sent: bool = False
    since: datetime | None = None
    owner_kind: OwnerKind | None = None
    owner_id: str | None = None
    only_undelivered: bool = True


@dataclass(frozen=True)
class _Found:
    event_id: UUID
    event_at: datetime
    partner_id: str
    owner_kind: str
    owner_id: str
    name: str
    replay_of: UUID | None
    target: UUID | None
    is_sent: bool


async def replay(unit: Unit, *, partner_id: str, scope: ReplayScope, dry_run: bool = False) -> Replayed:
    """Send again what the scope names; as a dry run, only say how much that would be.

    Each event is sent once, however many deliveries of it match. A second call sends again, unless the scope
    skips what was sent.

    Raises: DeliveryMissing; ReplayTooLarge above 50,000 events.
    """
    if scope.matching is not None:
        await _refuse_too_many(unit, partner_id, scope.matching)
    if scope.skip_sent and not dry_run:
        # The same form sent twice at once: the second reads what the first has written.
        await unit.lock(f"replay {partner_id}")
    found = await unit.fetch_all(_Found, *_selection(partner_id, scope))
    if scope.delivery_id is not None and not found:
        raise DeliveryMissing("There is no such delivery.")
    if len(found) > MAX_REPLAY:
        raise ReplayTooLarge(f"More than {MAX_REPLAY} events match; narrow the time or the filter.")
    open_ = [row for row in found if not row.is_sent]
    going = [row for row in open_ if row.target is not None]
    if going and not dry_run:
        await _insert(unit, going)
    return Replayed(
        deliveries=len(going),
        without_endpoint=len(open_) - len(going),
        dry_run=dry_run,
        sent_since=len(found) - len(open_),
    )


_TARGETS = composed.SQL(
    "left join endpoint own on own.owner_kind = event.owner_kind and own.owner_id = event.owner_id"
    " left join endpoint fallback on fallback.owner_kind = 'waba' and fallback.owner_id = event.fallback_id"
)


async def _refuse_too_many(unit: Unit, partner_id: str, matching: DeliveryFilter) -> None:
    # Counted before anything is sorted: what matches may be most of the log.
    where, params = conditions(matching)
    count = await unit.fetch_value(
        composed.SQL(
            "select count(*) from (select from delivery where delivery.partner_id = %(partner)s and {where}"
            " limit %(limit)s) found"
        ).format(where=where),
        params | {"partner": partner_id, "limit": MAX_REPLAY + 1},
    )
    if count > MAX_REPLAY:
        raise ReplayTooLarge(f"More than {MAX_REPLAY} deliveries match; narrow the time or the filter.")


# Only replays come later than the delivery they repeat, and an index holds them alone.
_SENT = composed.SQL(
    "exists (select from delivery later where later.event_id = event.id and later.replay_of is not null"
    " and later.partner_id = event.partner_id and later.created_at > delivery.created_at"
    " and later.state in ('delivered', 'pending', 'parked'))"
)


def _selection(partner_id: str, scope: ReplayScope) -> tuple[composed.Composed, dict[str, object]]:
    chosen = [part is not None for part in (scope.delivery_id, scope.matching, scope.since)]
    if sum(chosen) != 1:
        raise ValueError("A replay names one delivery, a filter or a time.")
    params: dict[str, object] = {"partner": partner_id, "limit": MAX_REPLAY + 1}
    if scope.since is not None:
        return _since(scope, params), params
    if scope.delivery_id is not None:
        where = composed.SQL("{}").format(
            composed.SQL("delivery.created_at = %(at)s and delivery.id = %(id)s")
        )
        params |= {"at": moments.of(scope.delivery_id), "id": scope.delivery_id}
    else:
        assert scope.matching is not None
        where, more = conditions(scope.matching)
        params |= more
    query = composed.SQL(
        "select distinct on (event.id) event.id as event_id, event.created_at as event_at, event.partner_id,"
        " event.owner_kind, event.owner_id, event.name, delivery.id as replay_of,"
        " coalesce(own.id, fallback.id, same.id) as target, {is_sent} as is_sent"
        " from delivery join event on event.created_at = delivery.event_at and event.id = delivery.event_id"
        " {targets}"
        " left join endpoint same on same.id = delivery.endpoint_id"
        " where delivery.partner_id = %(partner)s and {where}"
        " order by event.id, delivery.created_at desc limit %(limit)s"
    )
    is_sent = _SENT if scope.skip_sent else composed.SQL("false")
    return query.format(where=where, targets=_TARGETS, is_sent=is_sent), params


def _since(scope: ReplayScope, params: dict[str, object]) -> composed.Composed:
    where = [composed.SQL("event.partner_id = %(partner)s and event.created_at >= %(since)s")]
    params["since"] = scope.since
    if scope.owner_id is not None:
        where.append(composed.SQL("event.owner_id = %(owner)s"))
        params["owner"] = scope.owner_id
    if scope.owner_kind is not None:
        where.append(composed.SQL("event.owner_kind = %(kind)s"))
        params["kind"] = scope.owner_kind
    if scope.only_undelivered:
        where.append(composed.SQL("last.is_delivered is not true and last.is_waiting is not true"))
    return composed.SQL(
        "select event.id as event_id, event.created_at as event_at, event.partner_id, event.owner_kind,"
        " event.owner_id, event.name, last.replay_of,"
        " coalesce(own.id, fallback.id) as target, false as is_sent"
        " from event"
        " {targets}"
        " left join lateral ("
        "   select bool_or(state = 'delivered') as is_delivered,"
        "          bool_or(state in ('pending', 'parked')) as is_waiting, (array_agg(id))[1] as replay_of"
        "   from delivery where delivery.event_id = event.id and delivery.owner_id = event.owner_id"
        "     and delivery.partner_id = event.partner_id and delivery.created_at >= event.created_at"
        " ) last on true"
        " where {where} order by event.created_at, event.id limit %(limit)s"
    ).format(where=composed.SQL(" and ").join(where), targets=_TARGETS)


async def _insert(unit: Unit, rows: list[_Found]) -> None:
    made = [moments.new() for _ in rows]
    await unit.execute(
        """
        insert into delivery (id, created_at, event_id, event_at, endpoint_id, due_at, state, rank, replay_of,
                              partner_id, owner_kind, owner_id, name)
        select row.id, row.created_at, row.event_id, row.event_at, endpoint.id, now(),
               case when endpoint.enabled and endpoint.breaker <> 'open' then 'pending' else 'parked' end, 1,
               row.replay_of, row.partner_id, row.owner_kind, row.owner_id, row.name
        from unnest(%(ids)b::uuid[], %(ats)b::timestamptz[], %(events)b::uuid[], %(event_ats)b::timestamptz[],
                    %(targets)b::uuid[], %(originals)b::uuid[], %(partners)b::text[], %(kinds)b::text[],
                    %(owners)b::text[], %(names)b::text[])
          as row(id, created_at, event_id, event_at, target, replay_of, partner_id, owner_kind, owner_id,
                 name)
        join endpoint on endpoint.id = row.target
        """,
        {
            "ids": [ident for ident, _ in made],
            "ats": [at for _, at in made],
            "events": [row.event_id for row in rows],
            "event_ats": [row.event_at for row in rows],
            "targets": [row.target for row in rows],
            "originals": [row.replay_of for row in rows],
            "partners": [row.partner_id for row in rows],
            "kinds": [row.owner_kind for row in rows],
            "owners": [row.owner_id for row in rows],
            "names": [row.name for row in rows],
        },
    )
    for endpoint_id in {row.target for row in rows}:
        await unit.notify(CHANNEL, f"due {endpoint_id}")
