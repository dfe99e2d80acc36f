"""The Partner Hub's menu and all its screens."""

from __future__ import annotations

from litestar import Router, get
from litestar.response import Redirect

from partnerhub.dashboard import accounts, connect, deliveries, integration, search
from partnerhub.identity.schemas import Hub
from partnerhub.web.guards import requires
from partnerhub.web.navigation import N_, Entry, Menu, Section

MENU: Menu = (
    Section(
        entries=(Entry(label=N_("WhatsApp accounts"), href=accounts.PATH, icon="phone", keys="g n"),),
    ),
    Section(
        label=N_("Build"),
        entries=(
            Entry(label=N_("Integration"), href=integration.PATH, icon="plug", keys="g i"),
            Entry(label=N_("Link and button"), href=connect.PATH, icon="link", keys="g l"),
            Entry(label=N_("Delivery log"), href=deliveries.PATH, icon="list", keys="g d"),
        ),
    ),
)


ACTIONS: Menu = (
    Section(
        entries=(
            Entry(label=N_("Connect a number"), href=connect.PATH, icon="plus"),
            Entry(label=N_("Check a signature"), href=f"{integration.PATH}/signature", icon="shield-check"),
            Entry(
                label=N_("Test the webhook"),
                href=f"{integration.PATH}#addresses",
                icon="send",
                is_for_owners=True,
            ),
        ),
    ),
)
"""What the palette offers beside pages."""


@get("/dashboard", guards=[requires(hub=Hub.PARTNER)], opt={"hub": Hub.PARTNER})
async def show_home() -> Redirect:
    """Lead to the first screen."""
    return Redirect(accounts.PATH, status_code=303)


def screens() -> list[Router]:
    """Return the routes of every screen."""
    return [
        Router("/", route_handlers=[show_home]),
        accounts.router(),
        integration.router(),
        connect.router(),
        deliveries.router(),
        search.router(),
    ]
