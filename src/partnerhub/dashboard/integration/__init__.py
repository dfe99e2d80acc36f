"""Integration: the partner's ids and addresses, its defaults, its platform secret and its signed links."""

from __future__ import annotations

from litestar import Router
from litestar.di import Provide

from partnerhub.dashboard.integration import addresses, checker, confirmations, defaults, headers, page
from partnerhub.dashboard.integration.page import PATH
from partnerhub.identity.schemas import Hub
from partnerhub.web.guards import requires

__all__ = ["PATH", "router"]


def router() -> Router:
    """Return the routes of this screen."""
    return Router(
        "/",
        route_handlers=[
            page.show_integration,
            addresses.save_addresses,
            addresses.test_webhook,
            addresses.test_redirect,
            defaults.save_solution,
            defaults.save_defaults,
            defaults.save_overlap,
            defaults.turn_legacy_tokens_off,
            defaults.turn_io_signature_on,
            headers.edit_headers,
            headers.save_headers,
            checker.show_checker,
            checker.check_signature,
            confirmations.router(),
        ],
        dependencies={"desk": Provide(page.provide_desk)},
        guards=[requires(hub=Hub.PARTNER)],
        opt={"hub": Hub.PARTNER},
    )
