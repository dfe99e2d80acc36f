"""Custom headers of the partner webhook: what a firewall or gateway in front of the receiver wants to see."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from msgspec import UNSET, DecodeError, UnsetType, ValidationError, json

from partnerhub.dashboard.forms import SEEN
from partnerhub.dashboard.integration.page import PATH, Desk
from partnerhub.identity.schemas import Hub
from partnerhub.kit.errors import Invalid
from partnerhub.partners.errors import SettingsOutdated
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
    return await _form(desk)


@post(HEADERS, status_code=200, guards=_OWNER)
async def save_headers(desk: NamedDependency[Desk]) -> Response[Any]:
    """Replace the headers by the form's pairs; without a name one is dropped, without a value it stays.

    `seen_headers` says what was saved when the form was made, as JSON from name to mask: where that is not so
    any more, the form comes back.
    """
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
    for name, value in pairs:
        if name.lower() in {known.lower() for known in wanted}:
            return await _form(desk, pairs, error=desk.page.say(N_("A header is there twice.")))
        kept = next((old for known, old in saved.items() if known.lower() == name.lower()), "")
        wanted[name] = value.strip() or kept
    seen = SettingsChange(webhook_headers=_seen(form.get(SEEN + "headers")))
    try:
        await desk.change(SettingsChange(webhook_headers=wanted), seen=seen)
    except SettingsOutdated:
        said = N_("Somebody changed the headers since you opened this. Save again to replace theirs.")
        return await _form(desk, pairs, error=desk.page.say(said), status=409)
    except Invalid as refused:
        error = " ".join(desk.page.wrong(refused).values()) or desk.page.explain(refused)
        return await _form(desk, pairs, error=error)
    return desk.page.go(PATH, toast=Toast(title=desk.page.say(N_("Headers saved"))))


def _seen(text: str | None) -> dict[str, str] | UnsetType:
    if text is None:
        return UNSET
    try:
        return json.decode(text, type=dict[str, str])
    except (ValidationError, DecodeError):  # written by hand: it is no state that ever was
        return {}


async def _form(
    desk: Desk, typed: Sequence[tuple[str, str]] = (), *, error: str = "", status: int = 422
) -> Response[Any]:
    settings = (await desk.read()).settings
    masks = {name.lower(): mask for name, mask in settings.webhook_headers.items()}
    lines = [(name, value, masks.get(name.lower(), "")) for name, value in typed]
    if not error:
        lines = [(name, "", mask) for name, mask in settings.webhook_headers.items()]
    return desk.page.show(
        "dashboard/headers.html",
        part="dashboard/headers_part.html",
        status=status if error else 200,
        lines=[*lines, *[("", "", "")] * _SPARE_LINES],
        seen=json.encode(settings.webhook_headers).decode(),
        has_url=bool(settings.webhook_url),
        error=error,
        back=PATH,
    )
