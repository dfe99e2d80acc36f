"""The log itself: a page of it, newest first, with its filters and the strip over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from partnerhub.dashboard import words
from partnerhub.dashboard.deliveries.asked import PATH, Asked, Window, read_address
from partnerhub.dashboard.deliveries.picture import draw
from partnerhub.dashboard.deliveries.rows import as_row, list_owner_names
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.principal import HubRequest
from partnerhub.web.tenant import Tenant
from partnerhub.webhooks import queries as webhooks
from partnerhub.webhooks.schemas import DeliveryState

PAGE_SIZE = 50

_TABS = (
    DeliveryState.PENDING,
    DeliveryState.PARKED,
    DeliveryState.FAILED,
    DeliveryState.DELIVERED,
    DeliveryState.DISCARDED,
)
# What an index counts; of what was delivered there may be a great deal.
_COUNTED = (DeliveryState.PENDING, DeliveryState.PARKED, DeliveryState.FAILED)
_WINDOWS: Mapping[Window | None, tuple[str, str]] = {
    Window.HOUR: (N_("1 h"), N_("Last hour")),
    Window.DAY: (N_("24 h"), N_("Last 24 hours")),
    Window.WEEK: (N_("7 d"), N_("Last 7 days")),
    None: (N_("All"), N_("All that is kept")),
    Window.CUSTOM: (N_("Custom"), N_("A time of your own")),
}


@dataclass(frozen=True)
class Tab:
    """One state, or one length of time, to narrow the log to; `title` says it in full."""

    label: str
    href: str
    current: bool
    count: int | str | None = None
    title: str = ""


@get(PATH)
async def list_deliveries(
    request: HubRequest, page: NamedDependency[Page], tenant: NamedDependency[Tenant]
) -> Response[Any]:
    """Show the log, newest first; filters and place live in the address."""
    asked = read_address(request.query_params, zone=page.frame.timezone)
    address, partner_id = asked.address, tenant.partner_id
    counts: Mapping[DeliveryState, int] = {}
    picture = None
    async with tenant.unit() as unit:
        found = await webhooks.list_deliveries(
            unit,
            partner_id=partner_id,
            filters=asked.filters,
            containing=asked.containing,
            cursor=address.get("cursor"),
            limit=PAGE_SIZE,
        )
        glimpses = await webhooks.list_glimpses(unit, deliveries=found.items)
        names = await list_owner_names(unit, tenant, found.items)
        if not asked.containing and not asked.is_one_event:
            counts = await webhooks.count_deliveries(
                unit, partner_id=partner_id, filters=asked.filters, states=_COUNTED
            )
            picture = await draw(unit, page, partner_id=partner_id, asked=asked)
    return page.show(
        "dashboard/deliveries.html",
        part="dashboard/deliveries_part.html",
        headers={"hx-push-url": str(address)} if page.is_fragment else None,
        asked=asked,
        rows=[as_row(page, one, names, glimpses[one.id]) for one in found.items],
        tabs=_tabs(page, asked, counts),
        windows=_windows(page, asked),
        picture=picture,
        failed=counts.get(DeliveryState.FAILED, 0),
        most_counted=webhooks.MOST_COUNTED,
        address=address,
        previous_page=_previous(asked, found.previous_cursor),
        next_page=address.with_(cursor=found.next_cursor) if found.next_cursor else None,
        searched_to=found.searched_to,
    )


def _previous(asked: Asked, cursor: str | None) -> str | None:
    if cursor is not None:
        return asked.address.with_(cursor=cursor)
    # A search in bodies only goes on; it begins again.
    return asked.address.with_(cursor=None) if asked.containing and asked.address.get("cursor") else None


def _tabs(page: Page, asked: Asked, counts: Mapping[DeliveryState, int]) -> list[Tab]:
    address = asked.address
    tabs = [Tab(page.say(N_("All")), address.with_(state=None, cursor=None), current=asked.state is None)]
    for state in _TABS:
        count = counts.get(state)
        tabs.append(
            Tab(
                page.say(words.DELIVERY_STATES[state][0]),
                address.with_(state=state, cursor=None),
                current=asked.state is state,
                count=f"{count}+" if count == webhooks.MOST_COUNTED else count or None,
            )
        )
    return tabs


def _windows(page: Page, asked: Asked) -> list[Tab]:
    return [
        Tab(
            page.say(label),
            asked.address.with_(**{"range": window, "from": None, "to": None, "cursor": None}),
            current=asked.window is window,
            title=page.say(title),
        )
        for window, (label, title) in _WINDOWS.items()
    ]
