"""The delivery log: what was sent to which webhook, each attempt, and sending it again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from partnerhub.channels import queries as channels
from partnerhub.dashboard import words
from partnerhub.identity.schemas import Hub
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Unit
from partnerhub.ui.address import Address
from partnerhub.ui.frame import Toast, Tone
from partnerhub.web.guards import requires
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.tenant import Tenant
from partnerhub.webhooks import queries as webhooks
from partnerhub.webhooks.schemas import (
    Attempt,
    Delivery,
    DeliveryDetail,
    DeliveryFilter,
    DeliveryState,
    OpenDeliveries,
    OwnerKind,
)
from partnerhub.webhooks.services import ReplayScope, list_request_headers, replay

PATH = "/dashboard/partner/deliveries"
PAGE_SIZE = 50

_TABS = (
    DeliveryState.PENDING,
    DeliveryState.PARKED,
    DeliveryState.FAILED,
    DeliveryState.DELIVERED,
    DeliveryState.DISCARDED,
)
_EVENT_NAME = re.compile(r"(?=.*[g-z_])[a-z]+(_[a-z]+)*")


@dataclass(frozen=True)
class Row:
    """One delivery as the log shows it; `owner` is the webhook's owner by name."""

    delivery: Delivery
    status: str
    tone: Tone
    kind: str
    owner: str
    is_due: bool

    @property
    def answer_tone(self) -> Tone:
        """Return the colour of the last answer."""
        status = self.delivery.last_status
        if status is None or not 200 <= status < 300:
            return "bad"
        return "warn" if self.delivery.is_unusual else "good"


@dataclass(frozen=True)
class Tab:
    """One state to narrow the log to."""

    label: str
    href: str
    current: bool
    count: int | str | None


@dataclass(frozen=True)
class Try:
    """One attempt in the reader's words."""

    attempt: Attempt
    meaning: str
    tone: Tone
    request: str
    answer: str
    phases: Sequence[tuple[str, int]]


@get(PATH)
async def list_deliveries(
    *,
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    q: FromQuery[str] = "",
    wanted_state: Annotated[str, QueryParameter(name="state")] = "",
    owner: FromQuery[str] = "",
    cursor: FromQuery[str] = "",
) -> Response[Any]:
    """Show the log, newest first; filters and place live in the address."""
    address = Address(PATH, {"q": q, "state": wanted_state, "owner": owner, "cursor": cursor})
    text = q.strip()
    is_name = _EVENT_NAME.fullmatch(text) is not None
    filters = DeliveryFilter(
        states=(DeliveryState(wanted_state),) if wanted_state in set(DeliveryState) else (),
        owner_kind=OwnerKind(owner) if owner in set(OwnerKind) else None,
        names=(text,) if is_name else (),
        text="" if is_name else text,
    )
    async with tenant.unit() as unit:
        found = await webhooks.list_deliveries(
            unit,
            partner_id=tenant.partner_id,
            filters=filters,
            cursor=cursor or None,
            limit=PAGE_SIZE,
        )
        waiting = await webhooks.count_open(unit, partner_id=tenant.partner_id)
        names = await _names(unit, tenant, found.items)
    return page.show(
        "dashboard/deliveries.html",
        part="dashboard/deliveries_part.html",
        headers={"hx-push-url": str(address)} if page.is_fragment else None,
        rows=[_row(page, delivery, names) for delivery in found.items],
        tabs=_tabs(page, address, wanted_state, waiting),
        address=address,
        first_page=address.with_(cursor=None) if cursor else None,
        next_page=address.with_(cursor=found.next_cursor) if found.next_cursor else None,
    )


@get(PATH + "/{delivery_id:uuid}")
async def show_delivery(
    delivery_id: FromPath[UUID],
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
) -> Response[Any]:
    """Show one delivery with what was sent and every answer."""
    async with tenant.unit() as unit:
        detail = await webhooks.get_delivery(unit, partner_id=tenant.partner_id, delivery_id=delivery_id)
        delivery = detail.delivery
        names = await _names(unit, tenant, [delivery])
        endpoint = await webhooks.find_endpoint(
            unit, owner_kind=delivery.owner_kind, owner_id=delivery.owner_id, keyring=keyring
        )
        requests = await list_request_headers(
            unit, partner_id=tenant.partner_id, detail=detail, keyring=keyring
        )
    meaning, advice = _outcome(page, detail)
    return page.show(
        "dashboard/delivery.html",
        detail=detail,
        row=_row(page, delivery, names),
        body=_pretty(detail.body),
        tries=[_try(page, *one) for one in reversed([*zip(detail.attempts, requests, strict=True)])],
        meaning=meaning,
        advice=advice,
        url=detail.attempts[-1].url if detail.attempts else endpoint.url if endpoint else "",
        may_send=endpoint is not None,
    )


@post(PATH + "/{delivery_id:uuid}/replay", status_code=303)
async def send_again(
    delivery_id: FromPath[UUID], page: NamedDependency[Page], tenant: NamedDependency[Tenant]
) -> Response[Any]:
    """Send one event again to where its owner's webhook leads now; lead to the event's deliveries."""
    async with tenant.unit() as unit:
        detail = await webhooks.get_delivery(unit, partner_id=tenant.partner_id, delivery_id=delivery_id)
        done = await replay(unit, partner_id=tenant.partner_id, scope=ReplayScope(delivery_id=delivery_id))
        await record_change(
            unit,
            partner_id=tenant.partner_id,
            actor=tenant.actor,
            action="delivery.replayed",
            object_kind="delivery",
            object_id=str(delivery_id),
            before=None,
            after={"deliveries": done.deliveries},
        )
    toast = (
        Toast(title=page.say(N_("On its way again. The event ID stays the same.")))
        if done.deliveries
        else Toast(title=page.say(N_("There is no webhook to send it to.")), kind="error")
    )
    return page.go(f"{PATH}?q={detail.delivery.event_id}", toast=toast)


async def _names(unit: Unit, tenant: Tenant, deliveries: Sequence[Delivery]) -> Mapping[str, str]:
    ids = {one.owner_id for one in deliveries if one.owner_kind is OwnerKind.CHANNEL}
    if not ids:
        return {}
    return await channels.list_names(unit, partner_id=tenant.partner_id, channel_ids=ids)


def _row(page: Page, delivery: Delivery, names: Mapping[str, str]) -> Row:
    word, tone = words.DELIVERY_STATES[delivery.state]
    kind = page.say(words.OWNERS[delivery.owner_kind])
    return Row(
        delivery=delivery,
        status=page.say(word),
        tone=tone,
        kind=kind,
        owner=names.get(delivery.owner_id, kind),
        is_due=delivery.next_at is not None and delivery.next_at <= clock.now(),
    )


def _tabs(page: Page, address: Address, current: str, waiting: OpenDeliveries) -> list[Tab]:
    counts = {
        DeliveryState.PENDING: waiting.pending,
        DeliveryState.PARKED: waiting.parked,
        DeliveryState.FAILED: waiting.failed,
    }
    tabs = [
        Tab(
            page.say(N_("All")),
            address.with_(state=None, cursor=None),
            current=current not in set(_TABS),
            count=None,
        )
    ]
    for state in _TABS:
        count = counts.get(state)
        tabs.append(
            Tab(
                page.say(words.DELIVERY_STATES[state][0]),
                address.with_(state=state, cursor=None),
                current=current == state,
                count=f"{count}+" if count == webhooks.MOST_COUNTED else count or None,
            )
        )
    return tabs


def _outcome(page: Page, detail: DeliveryDetail) -> tuple[str, str]:
    """Say what came of the last attempt and what to do; nothing where there is nothing to say."""
    delivery = detail.delivery
    if delivery.last_error is None and not delivery.is_unusual:
        return "", ""
    meaning, advice = words.outcome_words(delivery.last_error or "ok_not_200", delivery.last_status)
    return page.say(meaning).format(status=delivery.last_status), page.say(advice)


def _try(page: Page, attempt: Attempt, request: Sequence[tuple[str, str]]) -> Try:
    meaning, _advice = words.outcome_words(attempt.error or "ok", attempt.status)
    is_unusual = attempt.error is None and attempt.status != 200
    lines = _lines(attempt.headers)
    body = attempt.body.decode("utf-8", "replace")
    phases = {
        "dns": attempt.dns_us,
        "connect": attempt.connect_us,
        "tls": attempt.tls_us,
        "first_byte": attempt.first_byte_us,
        "body": attempt.body_us,
    }
    return Try(
        attempt=attempt,
        meaning=page.say(meaning).format(status=attempt.status),
        tone="bad" if attempt.error else "warn" if is_unusual else "good",
        request="\n".join(_lines(request)),
        answer="\n".join([*lines, "", body] if body else lines),
        phases=[(page.say(words.PHASES[name]), spent) for name, spent in phases.items() if spent],
    )


def _lines(headers: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{name}: {value}" for name, value in headers]


def _pretty(body: bytes) -> str:
    """Indent the body for reading; what was sent is compact and unchanged."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body.decode("utf-8", "replace")


def router() -> Router:
    """Return the routes of this screen."""
    return Router(
        "/",
        route_handlers=[list_deliveries, show_delivery, send_again],
        guards=[requires(hub=Hub.PARTNER)],
        opt={"hub": Hub.PARTNER},
    )
