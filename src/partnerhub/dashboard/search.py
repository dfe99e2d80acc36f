"""What the palette finds beyond pages and actions: numbers, clients, WABA accounts and deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote
from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from partnerhub.channels import queries as channels
from partnerhub.channels.schemas import Hit, HitKind
from partnerhub.dashboard import accounts, deliveries, words
from partnerhub.identity.schemas import Hub
from partnerhub.ui import formats
from partnerhub.web.guards import requires
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.tenant import Tenant
from partnerhub.webhooks import queries as webhooks
from partnerhub.webhooks.schemas import Delivery, DeliveryFilter

PATH = "/dashboard/partner/search"
SHORTEST = 2
MOST = 5
_LONGEST = 100

_GROUPS: Mapping[HitKind, str] = {
    HitKind.CHANNEL: N_("Numbers"),
    HitKind.CLIENT: N_("Clients"),
    HitKind.WABA: N_("WABA accounts"),
}


@get(PATH)
async def search(
    page: NamedDependency[Page], tenant: NamedDependency[Tenant], q: FromQuery[str] = ""
) -> list[dict[str, str]]:
    """Answer with what the text finds, each with its words, its address and the group it stands in."""
    text = q.strip().replace("\x00", "")[:_LONGEST]
    if len(text) < SHORTEST:
        return []
    async with tenant.unit() as unit:
        hits = await channels.search(unit, partner_id=tenant.partner_id, text=text, most=MOST)
        # A part of a delivery's id would be looked for in the whole log; a whole one says when it was.
        logged = (
            await webhooks.list_deliveries(
                unit, partner_id=tenant.partner_id, filters=DeliveryFilter(text=text), limit=MOST
            )
            if _is_uuid(text)
            else None
        )
    return [
        *(_hit(page, hit) for hit in hits),
        *(_delivery(page, delivery) for delivery in (logged.items if logged else ())),
    ]


def _hit(page: Page, hit: Hit) -> dict[str, str]:
    kind = HitKind(hit.kind)
    # Clients and WABA accounts have no page: their numbers are what people look for.
    href = f"{accounts.PATH}/{hit.id}" if kind is HitKind.CHANNEL else f"{accounts.PATH}?q={quote(hit.id)}"
    return {
        "label": hit.name or hit.id,
        "hint": formats.phone(hit.number) if hit.number else hit.id,
        "href": href,
        "group": page.say(_GROUPS[kind]),
    }


def _delivery(page: Page, delivery: Delivery) -> dict[str, str]:
    return {
        "label": delivery.name,
        "hint": page.say(words.DELIVERY_STATES[delivery.state][0]),
        "href": f"{deliveries.PATH}/{delivery.id}",
        "group": page.say(N_("Deliveries")),
    }


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def router() -> Router:
    """Return the route of the search."""
    return Router("/", route_handlers=[search], guards=[requires(hub=Hub.PARTNER)], opt={"hub": Hub.PARTNER})
