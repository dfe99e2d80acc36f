"""The delivery log: what was sent to which webhook, each attempt, and sending it again."""

from __future__ import annotations

from litestar import Router

from partnerhub.dashboard.deliveries.asked import PATH
from partnerhub.dashboard.deliveries.detail import send_again, show_delivery
from partnerhub.dashboard.deliveries.listing import list_deliveries
from partnerhub.dashboard.deliveries.replays import plan_replay, replay_matching
from partnerhub.identity.schemas import Hub
from partnerhub.web.guards import requires

__all__ = ["PATH", "router"]


def router() -> Router:
    """Return the routes of this screen."""
    return Router(
        "/",
        route_handlers=[list_deliveries, show_delivery, send_again, plan_replay, replay_matching],
        guards=[requires(hub=Hub.PARTNER)],
        opt={"hub": Hub.PARTNER},
    )
