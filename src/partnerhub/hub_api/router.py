"""The routes of this door."""

from __future__ import annotations

from litestar import Router

from partnerhub.hub_api import document, settings, trials


def routers() -> list[Router]:
    """Return the routes; the application hands in a `HubApi` as the dependency `hub_api`."""
    of_partner = Router(
        "/partners/{partner_id:str}",
        route_handlers=[
            settings.read_settings,
            settings.change_settings,
            trials.post_webhook_test,
            trials.post_redirect_test,
        ],
    )
    return [Router("/api/hub/v1", route_handlers=[document.get_document, of_partner])]
