"""Counting deliveries for people: by state, and over time. Every count is bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from psycopg import sql

from partnerhub.kit.database import Unit
from partnerhub.webhooks.filters import conditions, in_state, is_rare
from partnerhub.webhooks.schemas import DeliveryFilter, DeliveryState, OpenDeliveries

MOST_COUNTED = 1000
"""Counts for people stop here: nobody reads the difference, and a backlog may be long."""
MOST_PICTURED = 50_000
"""How many of the newest deliveries are counted over time."""


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


async def count_deliveries(
    unit: Unit,
    *,
    partner_id: str,
    filters: DeliveryFilter | None = None,
    states: Sequence[DeliveryState] = tuple(DeliveryState),
) -> Mapping[DeliveryState, int]:
    """Count what matches in each of these states, up to `MOST_COUNTED` each.

    What waits or went wrong is found by an index; of what was delivered there may be a great deal.
    """
    where, values = conditions(filters or DeliveryFilter())
    counts = [
        sql.SQL(
            "select {state} as state, count(*) as number from (select from delivery"
            " where delivery.partner_id = %(partner)s and {where} and {in_state} limit %(most)s) found"
        ).format(state=sql.Literal(str(state)), where=where, in_state=in_state(state))
        for state in states
    ]
    rows = await unit.fetch_dicts(
        sql.SQL(" union all ").join(counts), values | {"partner": partner_id, "most": MOST_COUNTED}
    )
    return {DeliveryState(row["state"]): int(row["number"]) for row in rows}


async def find_counted_start(
    unit: Unit, *, partner_id: str, filters: DeliveryFilter
) -> tuple[datetime | None, bool]:
    """Return from when on to count over time, None in an empty log, and whether older ones are left out.

    Of a long log only the newest `MOST_PICTURED` deliveries are counted.
    """
    where, values = conditions(_bounds(filters))
    (found,) = await unit.fetch_dicts(
        sql.SQL(
            "select (select created_at from delivery where delivery.partner_id = %(partner)s and {where}"
            "  order by delivery.created_at desc, delivery.id desc offset %(most)s limit 1) as bound,"
            " (select created_at from delivery where delivery.partner_id = %(partner)s and {where}"
            "  order by delivery.created_at, delivery.id limit 1) as oldest"
        ).format(where=where),
        values | {"partner": partner_id, "most": MOST_PICTURED},
    )
    return found["bound"] or found["oldest"], found["bound"] is not None


async def count_over_time(
    unit: Unit, *, partner_id: str, filters: DeliveryFilter, edges: Sequence[datetime]
) -> list[Mapping[DeliveryState, int]]:
    """Count what matches by state between each two of these moments, which must rise.

    The filter's `since` keeps this from being long: see `find_counted_start`.
    """
    where, values = conditions(filters)
    rows = await unit.fetch_dicts(
        sql.SQL(
            "select width_bucket(delivery.created_at, %(edges)s::timestamptz[]) as place, delivery.state,"
            " count(*) as number from delivery"
            " where delivery.partner_id = %(partner)s and {where}"
            " and delivery.created_at >= %(first)s and delivery.created_at < %(last)s group by 1, 2"
        ).format(where=where),
        values | {"partner": partner_id, "edges": list(edges), "first": edges[0], "last": edges[-1]},
    )
    counted: list[dict[DeliveryState, int]] = [{} for _ in edges[1:]]
    for row in rows:
        counted[row["place"] - 1][DeliveryState(row["state"])] = int(row["number"])
    return [*counted]


def _bounds(filters: DeliveryFilter) -> DeliveryFilter:
    """Return the part of a filter that an index answers: time, and states that few deliveries are in."""
    states = filters.states if is_rare(filters.states) else ()
    return DeliveryFilter(states=states, since=filters.since, until=filters.until)
