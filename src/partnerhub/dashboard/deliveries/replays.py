"""Sending again whatever an address of the log shows: first how much that is, then the press of a button.

The form carries the moment of its plan: what comes later was not counted and is not sent. What arrived since
by a later delivery is left out, so that a form sent twice sends once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency

from partnerhub.dashboard import words
from partnerhub.dashboard.deliveries.asked import PATH, Asked, read_address
from partnerhub.dashboard.forms import Form
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.ui.address import Address
from partnerhub.ui.frame import Toast
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.principal import HubRequest
from partnerhub.web.tenant import Tenant
from partnerhub.webhooks import queries as webhooks
from partnerhub.webhooks.errors import ReplayTooLarge
from partnerhub.webhooks.schemas import DeliveryFilter, DeliveryState, Replayed
from partnerhub.webhooks.services import ReplayScope, replay

REPLAY_PATH = PATH + "/replay"
# What waits goes out by itself.
REPLAYABLE = frozenset({DeliveryState.FAILED, DeliveryState.DISCARDED, DeliveryState.DELIVERED})


@dataclass(frozen=True)
class ReplayForm:
    """What was planned; times are of the plan, with their zone."""

    q: str = ""
    state: str = ""
    owner: str = ""
    since: str = ""
    until: str = ""


@get(REPLAY_PATH)
async def plan_replay(
    request: HubRequest, page: NamedDependency[Page], tenant: NamedDependency[Tenant]
) -> Response[Any]:
    """Say how many events would be sent again; nothing is sent yet."""
    asked = read_address(request.query_params, zone=page.frame.timezone)
    filters = _narrowed(asked.filters, until=clock.now())
    plan: Replayed | None = None
    failure: ReplayTooLarge | None = None
    # A text in bodies is no filter of a replay: finding everything could take a day.
    if not asked.containing:
        async with tenant.unit() as unit:
            try:
                plan = await replay(unit, partner_id=tenant.partner_id, scope=_scope(filters), dry_run=True)
            except ReplayTooLarge as error:
                failure = error
    return page.show(
        "dashboard/replay.html",
        part="dashboard/replay_part.html",
        asked=asked,
        filters=filters,
        state=page.say(words.DELIVERY_STATES[filters.states[0]][0]),
        plan=plan,
        failure=failure,
        explained=page.explain(failure) if failure else "",
        address=REPLAY_PATH,
        address_words=asked.address.get("q") or "",
        back=_log_of(asked),
    )


@post(REPLAY_PATH, status_code=303)
async def replay_matching(
    page: NamedDependency[Page], tenant: NamedDependency[Tenant], data: Form[ReplayForm]
) -> Response[Any]:
    """Send again what was planned and is not on its way yet."""
    asked = read_address(asdict(data), zone=page.frame.timezone)
    until = _moment(data.until)
    if until is None or asked.containing:
        # Not from a plan of ours: make one.
        return page.go(Address(REPLAY_PATH, asked.address.parameters).with_(cursor=None))
    filters = replace(_narrowed(asked.filters, until=until), since=_moment(data.since))
    async with tenant.unit() as unit:
        done = await replay(unit, partner_id=tenant.partner_id, scope=_scope(filters))
        if done.deliveries:
            await record_change(
                unit,
                partner_id=tenant.partner_id,
                actor=tenant.actor,
                action="delivery.replayed",
                object_kind="delivery",
                object_id="",
                before=None,
                after={"filter": webhooks.describe_filter(filters), "deliveries": done.deliveries},
            )
    return page.go(_log_of(asked), toast=_told(page, done))


def _told(page: Page, done: Replayed) -> Toast:
    if done.deliveries:
        return Toast(
            title=page.ngettext(
                "%(num)s event is on its way again.",
                "%(num)s events are on their way again.",
                done.deliveries,
            )
        )
    return Toast(
        title=page.say(N_("Nothing was sent again")),
        text=page.say(N_("What matched has arrived since, is on its way, or has no webhook.")),
        kind="info",
    )


def _narrowed(filters: DeliveryFilter, *, until: datetime) -> DeliveryFilter:
    """Keep to one state that a replay makes sense for, and to what was there when it was planned."""
    state = filters.states[0] if filters.states and filters.states[0] in REPLAYABLE else DeliveryState.FAILED
    return replace(filters, states=(state,), until=min(filters.until or until, until))


def _scope(filters: DeliveryFilter) -> ReplayScope:
    return ReplayScope(matching=filters, skip_sent=True)


def _log_of(asked: Asked) -> str:
    return asked.address.with_(state=None, cursor=None)


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
