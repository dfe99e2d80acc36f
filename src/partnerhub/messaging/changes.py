"""Changes that Meta tells beside messages, taken to whoever owns their field.

Each was stored with its callback and waits for a job of its own. What nobody owns goes to the number's
webhook where it names one of ours, and is kept with the reason where it does not.
Source: Meta's management webhooks; destinations of coexistence events from the onboarding reference.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from partnerhub.channels import queries as channel_queries
from partnerhub.channels import services as channels
from partnerhub.kit import logs
from partnerhub.kit.database import Database, Unit
from partnerhub.messaging.callbacks import NUMBER_FIELDS, insert_statuses, piece_for, status_rows
from partnerhub.messaging.envelopes import Malformed, read_envelope
from partnerhub.messaging.routes import LiveRoute, RouteBook
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import OwnerKind

# Told to the partner in its own envelope. The echoes of the same feature go to the number only.
_PARTNER_FIELDS: Final = frozenset({"history", "smb_app_state_sync"})
# How long a change of a number or account that we do not know waits for it to appear: Meta tells of both
# before onboarding has written them down.
_WAIT: Final = timedelta(days=7)
_WAITING: Final = frozenset({"unknown_number", "unknown_account"})

_log = logs.get(__name__)


@dataclass(frozen=True)
class _Row:
    id: UUID
    field: str
    entry_id: str
    phone_number_id: str
    body: bytes
    error: str | None


class _Template(msgspec.Struct):
    message_template_id: int | str = ""
    event: str = ""
    reason: str | None = None
    new_quality_score: str | None = None
    new_category: str | None = None
    previous_category: str | None = None


class _Number(msgspec.Struct):
    display_phone_number: str = ""
    event: str = ""
    current_limit: str | None = None
    max_daily_conversations_per_business: str | int | None = None
    decision: str | None = None
    requested_verified_name: str | None = None


class _WabaInfo(msgspec.Struct):
    waba_id: str = ""


class _AccountChange(msgspec.Struct):
    waba_info: _WabaInfo | None = None


Sink = Callable[[Unit, _Row, bytes], Awaitable[str | None]]


async def route_change(database: Database, routes: RouteBook, *, change_id: str) -> None:
    """Take one stored change to its owner and mark it handled; a change that was handled is left alone."""
    async with database.system() as unit:
        phone = await unit.fetch_value("select phone_number_id from meta_change where id = %s", (change_id,))
    live = await routes.by_phone(phone) if phone else None
    async with database.system() as unit:
        row = await _hold(unit, change_id)
        if row is not None:
            await _mark(unit, row, await _take(unit, row, live))


async def route_waiting(database: Database, routes: RouteBook, *, limit: int = 200) -> int:
    """Take changes whose number or account was unknown when they came and is known now; return how many."""
    async with database.system() as unit:
        waiting = await unit.fetch_dicts(
            "select id, phone_number_id from meta_change"
            " where handled_at is null and received_at > now() - %s"
            " and (phone_number_id <> '' and error = 'unknown_number' and exists"
            " (select from channel where channel.external_id = meta_change.phone_number_id)"
            " or error = 'unknown_account' and exists"
            " (select from waba where waba.external_id = meta_change.entry_id))"
            " order by received_at limit %s",
            (_WAIT, limit),
        )
    delivered = 0
    for each in waiting:
        phone = each["phone_number_id"]
        live = await routes.by_phone(phone) if phone else None
        if phone and live is None:
            continue
        async with database.system() as unit:
            row = await _hold(unit, each["id"])
            if row is not None:
                await _mark(unit, row, await _take(unit, row, live))
                delivered += 1
    return delivered


async def _hold(unit: Unit, change_id: str) -> _Row | None:
    """Return a change that is not handled, and keep it from others until the commit."""
    return await unit.fetch_one(
        _Row,
        "select id, field, entry_id, phone_number_id, body, error from meta_change"
        " where id = %s and handled_at is null for update",
        (change_id,),
    )


async def forget_old(database: Database, *, seen_for: timedelta = timedelta(days=8)) -> None:
    """Forget what was taken longer ago than Meta repeats it, and changes that are past use."""
    async with database.system() as unit:
        await unit.execute("delete from callback_seen where created_at < now() - %s", (seen_for,))
        await unit.execute("delete from meta_change where received_at < now() - interval '30 days'")


async def _take(unit: Unit, row: _Row, live: LiveRoute | None) -> str | None:
    value = _value(row.body)
    if live is not None and row.field in NUMBER_FIELDS and row.error == "unknown_number":
        # What its callback would have done, had it known the number.
        await _deliver(unit, row, live)
        if row.field not in _PARTNER_FIELDS:
            return None
    if row.field in _PARTNER_FIELDS and live is not None:
        await _tell_partner(unit, row, live, value)
        return None
    # One page of Meta's shows a quality change under the name of a status change.
    name = "message_template_quality_update" if b"new_quality_score" in value else row.field
    if sink := _SINKS.get(name):
        return await sink(unit, row, value)
    if live is not None:
        await _deliver(unit, row, live)
        return None
    return "unknown_number" if row.phone_number_id else "no_owner"


async def _deliver(unit: Unit, row: _Row, live: LiveRoute) -> None:
    """Give a change to its number's webhook, and its statuses to the settle loop."""
    envelope = read_envelope(row.body)
    await webhooks.accept_bodies(unit, [piece_for(live, envelope.changes, row.body)])
    if row.field in NUMBER_FIELDS:
        await insert_statuses(unit, status_rows(live, envelope.changes))


async def _tell_partner(unit: Unit, row: _Row, live: LiveRoute, value: bytes) -> None:
    data: dict[str, Any] = {"id": live.route.waba_external_id}  # Any: Meta's members, passed on
    data.update(msgspec.json.decode(value, type=dict[str, msgspec.Raw]))
    await webhooks.publish(
        unit,
        partner_id=live.route.partner_id,
        owner_kind=OwnerKind.PARTNER,
        owner_id=live.route.partner_id,
        name=row.field,
        data=data,
    )


async def _mark(unit: Unit, row: _Row, problem: str | None) -> None:
    if problem in _WAITING:
        _log.info("meta_change_waits", field=row.field, entry_id=row.entry_id, reason=problem)
    elif problem is not None:
        _log.warning("meta_change_not_taken", field=row.field, entry_id=row.entry_id, reason=problem)
    # What names an unknown number or account stays open, so that it is found once that is known.
    await unit.execute(
        "update meta_change set error = %s, handled_at = case when %s then null else now() end where id = %s",
        (problem, problem in _WAITING, row.id),
    )


def _value(body: bytes) -> bytes:
    """Return the value of the one change in a stored envelope."""
    try:
        change = read_envelope(body).changes[0]
        return bytes(msgspec.json.decode(change.text, type=dict[str, msgspec.Raw]).get("value", b"{}"))
    except (Malformed, msgspec.DecodeError):
        return b"{}"


# --- owners ------------------------------------------------------------------------------------------------


async def _template_status(unit: Unit, row: _Row, value: bytes) -> str | None:
    said = msgspec.json.decode(value, type=_Template)
    changed = await channels.change_template_status(
        unit,
        waba_external_id=row.entry_id,
        template_external_id=str(said.message_template_id),
        meta_status=said.event,
        reason=said.reason,
    )
    return None if changed else "nothing_changed"


async def _template_quality(unit: Unit, row: _Row, value: bytes) -> str | None:
    said = msgspec.json.decode(value, type=_Template)
    changed = await channels.change_template_quality(
        unit,
        waba_external_id=row.entry_id,
        template_external_id=str(said.message_template_id),
        score=said.new_quality_score or "UNKNOWN",
    )
    return None if changed else "nothing_changed"


async def _template_category(unit: Unit, row: _Row, value: bytes) -> str | None:
    said = msgspec.json.decode(value, type=_Template)
    # An impending change names the present category as the new one; only the completed one counts.
    if said.previous_category is None or not said.new_category:
        return "nothing_changed"
    changed = await channels.change_template_category(
        unit,
        waba_external_id=row.entry_id,
        template_external_id=str(said.message_template_id),
        category=said.new_category,
    )
    return None if changed else "nothing_changed"


async def _number_quality(unit: Unit, row: _Row, value: bytes) -> str | None:
    said = msgspec.json.decode(value, type=_Number)
    limit = said.current_limit or str(said.max_daily_conversations_per_business or "")
    facts = channels.NumberFacts(
        current_limit=limit or None,
        throughput="HIGH" if said.event == "THROUGHPUT_UPGRADE" else None,
    )
    return await _update_number(unit, row, said, facts)


async def _number_name(unit: Unit, row: _Row, value: bytes) -> str | None:
    said = msgspec.json.decode(value, type=_Number)
    is_approved = said.decision == "APPROVED"
    facts = channels.NumberFacts(
        name_status=said.decision, phone_name=said.requested_verified_name if is_approved else None
    )
    return await _update_number(unit, row, said, facts)


async def _update_number(unit: Unit, row: _Row, said: _Number, facts: channels.NumberFacts) -> str | None:
    """Write facts to the number of the account with these digits; how they are written differs by field."""
    waba = await channel_queries.find_waba_by_external_id(unit, external_id=row.entry_id)
    if waba is None:
        return "unknown_account"
    digits = re.sub(r"[^0-9]", "", said.display_phone_number)
    channel_id = await unit.fetch_value(
        "select id from channel where waba_id = %s and phone_number = %s", (waba.id, digits)
    )
    if channel_id is None:
        return "unknown_number_of_account"
    await channels.update_channel(unit, partner_id=waba.partner_id, channel_id=channel_id, facts=facts)
    return None


async def _account(unit: Unit, row: _Row, value: bytes) -> str | None:
    """Keep what Meta tells of an account as long as changes are kept; nothing follows from it here."""
    about = msgspec.json.decode(value, type=_AccountChange).waba_info
    # That a business shares an account is told under the provider's own id.
    account_id = (about.waba_id if about else "") or row.entry_id
    if await channel_queries.find_waba_by_external_id(unit, external_id=account_id):
        return None
    await unit.execute("update meta_change set entry_id = %s where id = %s", (account_id, row.id))
    return "unknown_account"


_SINKS: Final[Mapping[str, Sink]] = {
    "message_template_status_update": _template_status,
    "message_template_quality_update": _template_quality,
    "template_category_update": _template_category,
    "phone_number_quality_update": _number_quality,
    "phone_number_name_update": _number_name,
    "account_update": _account,
    "account_alerts": _account,
    "account_review_update": _account,
    "business_capability_update": _account,
}
