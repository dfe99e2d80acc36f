"""Custom headers of the partner webhook: what a firewall or gateway in front of the receiver wants to see."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency

from partnerhub.dashboard.integration.page import PATH, Desk
from partnerhub.identity.schemas import Hub
from partnerhub.kit.errors import Invalid
from partnerhub.partners.schemas import SettingsChange
from partnerhub.ui.frame import Toast
from partnerhub.web.guards import requires
from partnerhub.web.navigation import N_
from partnerhub.webhooks import queries as webhook_queries
from partnerhub.webhooks.schemas import OwnerKind
from partnerhub.webhooks.urls import MAX_HEADERS

HEADERS = PATH + "/headers"
_SPARE_LINES = 2
_OWNER = [requires(hub=Hub.PARTNER, owner=True)]


@get(HEADERS, guards=_OWNER)
async def edit_headers(desk: NamedDependency[Desk]) -> Response[Any]:
    """Show the headers; saved values as masks."""
    settings = (await desk.read()).settings
    return _form(desk, settings.webhook_headers, has_url=bool(settings.webhook_url))


@post(HEADERS, status_code=200, guards=_OWNER)
async def save_headers(desk: NamedDependency[Desk]) -> Response[Any]:
    """Replace the headers by the form's pairs; without a name one is dropped, without a value it stays."""
    tenant = desk.tenant
    form = await desk.request.form()
    named = zip((name.strip() for name in form.getall("name", [])), form.getall("value", []), strict=False)
    # One more than may be, so that too many are refused; nobody writes the rest by hand.
    pairs = list(islice(((name, value) for name, value in named if name), MAX_HEADERS + 1))
    async with tenant.unit() as unit:
        endpoint = await webhook_queries.find_endpoint(
            unit,
            owner_kind=OwnerKind.PARTNER,
            owner_id=tenant.partner_id,
            keyring=desk.keyring,
            reveal=True,
        )
    saved = dict(endpoint.headers) if endpoint else {}
    wanted: dict[str, str] = {}
    error = ""
    for name, value in pairs:
        if name.lower() in {known.lower() for known in wanted}:
            error = desk.page.say(N_("A header is there twice."))
        kept = next((old for known, old in saved.items() if known.lower() == name.lower()), "")
        wanted[name] = value.strip() or kept
    try:
        if not error:
            await desk.change(SettingsChange(webhook_headers=wanted))
            return desk.page.go(PATH, toast=Toast(title=desk.page.say(N_("Headers saved"))))
    except Invalid as refused:
        error = " ".join(desk.page.wrong(refused).values()) or desk.page.explain(refused)
    return _form(desk, {}, typed=dict(pairs), has_url=endpoint is not None, error=error)


def _form(
    desk: Desk,
    saved: Mapping[str, str],
    *,
    has_url: bool,
    typed: Mapping[str, str] | None = None,
    error: str = "",
) -> Response[Any]:
    lines = [(name, "", mask) for name, mask in saved.items()]
    lines += [(name, value, "") for name, value in (typed or {}).items()]
    lines += [("", "", "")] * _SPARE_LINES
    return desk.page.show(
        "dashboard/headers.html",
        part="dashboard/headers_part.html",
        status=422 if error else 200,
        lines=lines,
        has_url=has_url,
        error=error,
        back=PATH,
    )
