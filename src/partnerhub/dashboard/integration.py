"""Integration: the partner's id and connect link, its webhook with a test, and where clients return to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from msgspec import UNSET

from partnerhub.dashboard import words
from partnerhub.dashboard.forms import Form
from partnerhub.dashboard.means import MessagingAddress, connect_link
from partnerhub.identity.schemas import Hub
from partnerhub.identity.services import record_change
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.errors import Invalid
from partnerhub.kit.http import HttpClient
from partnerhub.partners import queries as partners
from partnerhub.partners.errors import SettingsInvalid
from partnerhub.partners.schemas import PartnerSettings, SettingsChange
from partnerhub.partners.services import update_settings
from partnerhub.ui.frame import Toast, Tone
from partnerhub.web.guards import requires
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.principal import HubRequest, SignedInUser
from partnerhub.web.tenant import Tenant
from partnerhub.webhooks import queries as webhook_queries
from partnerhub.webhooks.schemas import (
    Delivery,
    DeliveryFilter,
    Endpoint,
    OpenDeliveries,
    OwnerKind,
    TestResult,
)
from partnerhub.webhooks.services import test_endpoint

PATH = "/dashboard/partner/integration"


@dataclass(frozen=True)
class AddressesForm:
    """The two addresses; an empty one clears it."""

    webhook_url: str = ""
    redirect_url: str = ""


@dataclass(frozen=True)
class Situation:
    """What the page shows of the partner and of its webhook."""

    settings: PartnerSettings
    endpoint: Endpoint | None
    last: Delivery | None
    open: OpenDeliveries


@dataclass(frozen=True)
class Trial:
    """A test of the webhook in the reader's words."""

    result: TestResult
    meaning: str
    advice: str
    tone: Tone
    request: str
    response: str
    phases: Sequence[tuple[str, int]]


@get(PATH)
async def show_integration(
    request: HubRequest,
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
    public_url: NamedDependency[str],
) -> Response[Any]:
    """Show the settings; members see them read-only."""
    return _page(request, page, await _read(tenant, keyring), public_url)


@post(PATH, status_code=303, guards=[requires(hub=Hub.PARTNER, owner=True)])
async def save_addresses(
    *,
    request: HubRequest,
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
    messaging: NamedDependency[MessagingAddress],
    public_url: NamedDependency[str],
    data: Form[AddressesForm],
) -> Response[Any]:
    """Save both addresses; the earlier ones are overwritten and stay in the audit log."""
    try:
        async with tenant.unit() as unit:
            await update_settings(
                unit,
                partner_id=tenant.partner_id,
                change=SettingsChange(
                    webhook_url=data.webhook_url.strip() or None,
                    redirect_url=data.redirect_url.strip() or None,
                    webhook_headers=UNSET,
                ),
                actor=tenant.actor,
                keyring=keyring,
                allow_loopback=messaging.allow_loopback,
            )
    except SettingsInvalid as error:
        errors = {name: page.say(text) for name, text in error.fields.items()}
        situation = await _read(tenant, keyring)
        return _page(request, page, situation, public_url, form=data, errors=errors, status=422)
    toast = Toast(title=page.say(N_("Saved")), text=page.say(N_("The earlier addresses are overwritten.")))
    return page.go(PATH, toast=toast)


@post(PATH + "/test", status_code=200, guards=[requires(hub=Hub.PARTNER, owner=True)])
async def test_webhook(
    *,
    request: HubRequest,
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
    messaging: NamedDependency[MessagingAddress],
    outbound: NamedDependency[HttpClient],
    public_url: NamedDependency[str],
    data: Form[AddressesForm],
) -> Response[Any]:
    """Call the webhook in the field now, saved or not, and explain what came of it."""
    situation = await _read(tenant, keyring)
    url = data.webhook_url.strip() or situation.settings.webhook_url or ""
    trial: Trial | None = None
    error = "" if url else page.say(N_("Write the URL first."))
    try:
        if url:
            trial = _trial(page, await _test(tenant, keyring, messaging, outbound, url=url))
    except Invalid as refused:
        error = page.say(refused.message)
    if page.is_fragment:
        return page.show(
            "dashboard/integration.html",
            part="dashboard/webhook_test_part.html",
            status=200 if trial else 422,
            trial=trial,
            error=error,
        )
    return _page(
        request,
        page,
        situation,
        public_url,
        form=data,
        errors={"webhook_url": error},
        trial=trial,
        status=200 if trial else 422,
    )


async def _test(
    tenant: Tenant, keyring: Keyring, messaging: MessagingAddress, outbound: HttpClient, *, url: str
) -> TestResult:
    """Call a URL as a delivery would, with the custom headers of the partner's webhook; audited."""
    async with tenant.unit() as unit:
        endpoint = await webhook_queries.find_endpoint(
            unit, owner_kind=OwnerKind.PARTNER, owner_id=tenant.partner_id, keyring=keyring, reveal=True
        )
    result = await test_endpoint(
        tenant.db,
        outbound,
        partner_id=tenant.partner_id,
        owner_kind=OwnerKind.PARTNER,
        url=url,
        # What a firewall is waiting for is a secret: it goes to the host it was given for, and to no other.
        headers=endpoint.headers if endpoint and endpoint.url == url else {},
        keyring=keyring,
        allow_loopback=messaging.allow_loopback,
    )
    async with tenant.unit() as unit:
        await record_change(
            unit,
            partner_id=tenant.partner_id,
            actor=tenant.actor,
            action="webhook.tested",
            object_kind="partner",
            object_id=tenant.partner_id,
            before=None,
            after={"url": url, "code": result.code, "status": result.status},
        )
    return result


async def _read(tenant: Tenant, keyring: Keyring) -> Situation:
    async with tenant.unit() as unit:
        settings = await partners.get_settings(unit, partner_id=tenant.partner_id, keyring=keyring)
        endpoint = await webhook_queries.find_endpoint(
            unit, owner_kind=OwnerKind.PARTNER, owner_id=tenant.partner_id, keyring=keyring
        )
        if endpoint is None:
            return Situation(settings, None, None, OpenDeliveries())
        found = await webhook_queries.list_deliveries(
            unit,
            partner_id=tenant.partner_id,
            filters=DeliveryFilter(owner_kind=OwnerKind.PARTNER, owner_id=tenant.partner_id),
            limit=1,
        )
        waiting = await webhook_queries.count_open(
            unit, partner_id=tenant.partner_id, endpoint_id=endpoint.id
        )
    return Situation(settings, endpoint, next(iter(found.items), None), waiting)


def _page(
    request: HubRequest,
    page: Page,
    situation: Situation,
    public_url: str,
    *,
    form: AddressesForm | None = None,
    errors: dict[str, str] | None = None,
    trial: Trial | None = None,
    status: int = 200,
) -> Response[Any]:
    person = request.user
    settings = situation.settings
    health, health_tone = words.HEALTH[situation.endpoint.health if situation.endpoint else None]
    return page.show(
        "dashboard/integration.html",
        status=status,
        settings=settings,
        situation=situation,
        health=page.say(health),
        health_tone=health_tone,
        form=form
        or AddressesForm(
            webhook_url=settings.webhook_url or "", redirect_url=settings.partner.redirect_url or ""
        ),
        errors={"webhook_url": "", "redirect_url": "", **(errors or {})},
        trial=trial,
        error="",
        connect_link=connect_link(public_url, settings.partner.id),
        api_url=f"{public_url}/api/v2/partners/{settings.partner.id}",
        may_edit=isinstance(person, SignedInUser) and person.is_owner,
    )


def _trial(page: Page, result: TestResult) -> Trial:
    meaning, advice = words.outcome_words(result.code, result.status)
    tone: Tone = "good" if result.code == "ok" else "warn" if result.is_success else "bad"
    request = [f"POST {result.url}", *(f"{name}: {value}" for name, value in result.request_headers)]
    response = [f"{name}: {value}" for name, value in result.response_headers]
    body = result.response_body.decode("utf-8", "replace")
    return Trial(
        result=result,
        meaning=page.say(meaning).format(status=result.status),
        advice=" ".join(filter(None, (page.say(advice) if advice else "", result.detail))),
        tone=tone,
        request="\n".join([*request, "", result.request_body.decode("utf-8", "replace")]),
        response="\n".join([*response, "", body] if body else response),
        phases=[(page.say(words.PHASES.get(one.name, one.name)), one.microseconds) for one in result.phases],
    )


def router() -> Router:
    """Return the routes of this screen."""
    return Router(
        "/",
        route_handlers=[show_integration, save_addresses, test_webhook],
        guards=[requires(hub=Hub.PARTNER)],
        opt={"hub": Hub.PARTNER},
    )
