"""The delivery log: what was sent to which webhook, each attempt, and sending it again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from partnerhub.identity.schemas import Hub
from partnerhub.identity.services import record_change
from partnerhub.ui.address import Address
from partnerhub.ui.frame import Toast, Tone
from partnerhub.web.guards import requires
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.tenant import Tenant
from partnerhub.webhooks import queries as webhooks
from partnerhub.webhooks.schemas import Delivery, DeliveryDetail, DeliveryFilter, DeliveryState, OwnerKind
from partnerhub.webhooks.services import ReplayScope, replay

PATH = "/dashboard/partner/deliveries"
PAGE_SIZE = 50

STATES: dict[DeliveryState, tuple[str, Tone]] = {
    DeliveryState.PENDING: (N_("Pending"), "info"),
    DeliveryState.DELIVERED: (N_("Delivered"), "good"),
    DeliveryState.PARKED: (N_("Parked"), "warn"),
    DeliveryState.FAILED: (N_("Failed"), "bad"),
    DeliveryState.DISCARDED: (N_("Discarded"), "neutral"),
}
OWNERS = {
    OwnerKind.PARTNER: N_("Partner webhook"),
    OwnerKind.CHANNEL: N_("Number"),
    OwnerKind.WABA: N_("Account"),
}


@dataclass(frozen=True)
class Row:
    """One delivery as the log shows it."""

    delivery: Delivery
    status: str
    tone: Tone
    owner: str


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
    filters = DeliveryFilter(
        states=(DeliveryState(wanted_state),) if wanted_state in set(DeliveryState) else (),
        owner_kind=OwnerKind(owner) if owner in set(OwnerKind) else None,
        text=q,
    )
    async with tenant.unit() as unit:
        found = await webhooks.list_deliveries(
            unit,
            partner_id=tenant.partner_id,
            filters=filters,
            cursor=cursor or None,
            limit=PAGE_SIZE,
        )
    return page.show(
        "dashboard/deliveries.html",
        part="dashboard/deliveries_part.html",
        headers={"hx-push-url": str(address)} if page.is_fragment else None,
        rows=[_row(page, delivery) for delivery in found.items],
        address=address,
        first_page=address.with_(cursor=None) if cursor else None,
        next_page=address.with_(cursor=found.next_cursor) if found.next_cursor else None,
    )


@get(PATH + "/{delivery_id:uuid}")
async def show_delivery(
    delivery_id: FromPath[UUID], page: NamedDependency[Page], tenant: NamedDependency[Tenant]
) -> Response[Any]:
    """Show one delivery with what was sent and every answer."""
    async with tenant.unit() as unit:
        detail = await webhooks.get_delivery(unit, partner_id=tenant.partner_id, delivery_id=delivery_id)
    return page.show(
        "dashboard/delivery.html",
        detail=detail,
        row=_row(page, detail.delivery),
        body=_pretty(detail),
    )


@post(PATH + "/{delivery_id:uuid}/replay", status_code=303)
async def send_again(
    delivery_id: FromPath[UUID], page: NamedDependency[Page], tenant: NamedDependency[Tenant]
) -> Response[Any]:
    """Send one event again to where its owner's webhook leads now."""
    async with tenant.unit() as unit:
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
        Toast(title=page.say(N_("On its way again. The id stays the same.")))
        if done.deliveries
        else Toast(title=page.say(N_("There is no webhook to send it to.")), kind="error")
    )
    return page.go(PATH, toast=toast)


def _row(page: Page, delivery: Delivery) -> Row:
    word, tone = STATES[delivery.state]
    return Row(delivery, page.say(word), tone, page.say(OWNERS[delivery.owner_kind]))


def _pretty(detail: DeliveryDetail) -> str:
    """Indent the body for reading; what was sent is compact and unchanged."""
    try:
        return json.dumps(json.loads(detail.body), indent=2, ensure_ascii=False)
    except ValueError:
        return detail.body.decode("utf-8", "replace")


def router() -> Router:
    """Return the routes of this screen."""
    return Router(
        "/",
        route_handlers=[list_deliveries, show_delivery, send_again],
        guards=[requires(hub=Hub.PARTNER)],
        opt={"hub": Hub.PARTNER},
    )
