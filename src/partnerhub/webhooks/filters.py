"""A delivery filter as SQL, for the log and for replays."""

from __future__ import annotations

import string
from collections.abc import Collection
from uuid import UUID

from psycopg import sql

from partnerhub.webhooks import moments
from partnerhub.webhooks.schemas import DeliveryFilter, DeliveryState

_HEX = frozenset(string.hexdigits + "-")
_TROUBLE = frozenset({DeliveryState.FAILED, DeliveryState.PARKED, DeliveryState.DISCARDED})
# Names the index that claims use: what waits is little beside what was delivered.
_WAITS = sql.SQL(
    "delivery.state = 'pending' and delivery.endpoint_id = any (array(select endpoint.id from endpoint))"
)


def conditions(chosen: DeliveryFilter) -> tuple[sql.Composed, dict[str, object]]:
    """Return what restricts `delivery` and the values it binds; the partner is the caller's to add."""
    parts: list[sql.Composable] = [sql.SQL("true")]
    values: dict[str, object] = {}
    if chosen.states:
        parts.append(sql.SQL("delivery.state = any (%(states)s)"))
        values["states"] = [str(state) for state in chosen.states]
        if set(chosen.states) <= _TROUBLE:
            # Names the partial index: troubled deliveries are few among many.
            parts.append(sql.SQL("delivery.state in ('failed', 'parked', 'discarded')"))
        elif set(chosen.states) == {DeliveryState.PENDING}:
            parts.append(_WAITS)
    if chosen.names:
        parts.append(sql.SQL("delivery.name = any (%(names)s)"))
        values["names"] = list(chosen.names)
    if chosen.endpoint_id is not None:
        parts.append(sql.SQL("delivery.endpoint_id = %(endpoint)s"))
        values["endpoint"] = chosen.endpoint_id
    if chosen.owner_kind is not None:
        parts.append(sql.SQL("delivery.owner_kind = %(owner_kind)s"))
        values["owner_kind"] = str(chosen.owner_kind)
    if chosen.owner_id is not None:
        parts.append(sql.SQL("delivery.owner_id = %(owner_id)s"))
        values["owner_id"] = chosen.owner_id
    if chosen.since is not None:
        parts.append(sql.SQL("delivery.created_at >= %(since)s"))
        values["since"] = chosen.since
    if chosen.until is not None:
        parts.append(sql.SQL("delivery.created_at < %(until)s"))
        values["until"] = chosen.until
    if chosen.status is not None:
        parts.append(sql.SQL("delivery.last_status = %(status)s"))
        values["status"] = chosen.status
    if chosen.is_unusual:
        parts.append(sql.SQL("delivery.state = 'delivered' and delivery.last_status <> 200"))
    if chosen.text.strip():
        part, more = _text(chosen.text.strip())
        parts.append(part)
        values |= more
    return sql.SQL(" and ").join(parts), values


def is_rare(states: Collection[DeliveryState]) -> bool:
    """Tell whether an index finds the deliveries in these states, without a look at all the others."""
    return bool(states) and (set(states) <= _TROUBLE or set(states) == {DeliveryState.PENDING})


def in_state(state: DeliveryState) -> sql.Composable:
    """Return what restricts `delivery` to one state, in the words of the index that has it."""
    if state is DeliveryState.PENDING:
        return _WAITS
    return sql.SQL("delivery.state = {}").format(sql.Literal(str(state)))


def _text(text: str) -> tuple[sql.SQL, dict[str, object]]:
    try:
        ident = UUID(text)
    except ValueError:
        pass
    else:
        if ident.version != 7:
            return sql.SQL("false"), {}
        # An event is delivered the moment it happens and replayed any time after.
        return (
            sql.SQL(
                "(delivery.id = %(text_id)s or delivery.event_id = %(text_id)s)"
                " and delivery.created_at >= %(text_at)s::timestamptz - interval '1 second'"
            ),
            {"text_id": ident, "text_at": moments.of(ident)},
        )
    if set(text) <= _HEX:
        return (
            sql.SQL(
                "(delivery.id::text like %(text)s || '%%' or delivery.event_id::text like %(text)s || '%%'"
                " or delivery.owner_id = %(text_owner)s)"
            ),
            {"text": text.lower(), "text_owner": text},
        )
    return sql.SQL("delivery.owner_id = %(text_owner)s"), {"text_owner": text}
