"""Integration: the partner's id, its webhook with a test, and where clients return to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from msgspec import UNSET

from partnerhub.dashboard.forms import Form
from partnerhub.dashboard.means import MessagingAddress
from partnerhub.identity.schemas import Hub
from partnerhub.identity.services import record_change
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.errors import HubError, Invalid
from partnerhub.kit.http import HttpClient
from partnerhub.partners import queries as partners
from partnerhub.partners.errors import SettingsInvalid
from partnerhub.partners.schemas import PartnerSettings, SettingsChange
from partnerhub.partners.services import update_settings
from partnerhub.ui.frame import Toast
from partnerhub.web.guards import requires
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.principal import HubRequest, SignedInUser
from partnerhub.web.tenant import Tenant
from partnerhub.webhooks import queries as webhook_queries
from partnerhub.webhooks.schemas import OwnerKind, TestResult
from partnerhub.webhooks.services import test_endpoint

PATH = "/dashboard/partner/integration"


@dataclass(frozen=True)
class AddressesForm:
    """The two addresses; an empty one clears it."""

    webhook_url: str = ""
    redirect_url: str = ""


@get(PATH)
async def show_integration(
    request: HubRequest,
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
) -> Response[Any]:
    """Show the settings; members see them read-only."""
    return _page(request, page, await _read(tenant, keyring))


@post(PATH, status_code=303, guards=[requires(hub=Hub.PARTNER, owner=True)])
async def save_addresses(
    *,
    request: HubRequest,
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
    messaging: NamedDependency[MessagingAddress],
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
        return _page(request, page, await _read(tenant, keyring), form=data, errors=error.fields, status=422)
    return page.go(PATH, toast=Toast(title=page.say(N_("Saved. The earlier addresses are overwritten."))))


@post(PATH + "/test", status_code=200, guards=[requires(hub=Hub.PARTNER, owner=True)])
async def test_webhook(
    *,
    request: HubRequest,
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
    messaging: NamedDependency[MessagingAddress],
    outbound: NamedDependency[HttpClient],
) -> Response[Any]:
    """Call the saved webhook now and explain what came of it."""
    settings = await _read(tenant, keyring)
    if settings.webhook_url is None:
        problem = Invalid(page.say(N_("Set a webhook URL first.")), code="webhook_url_missing")
        return _page(request, page, settings, problem=problem, status=422)
    async with tenant.unit() as unit:
        endpoint = await webhook_queries.find_endpoint(
            unit, owner_kind=OwnerKind.PARTNER, owner_id=tenant.partner_id, keyring=keyring, reveal=True
        )
    result = await test_endpoint(
        tenant.db,
        outbound,
        partner_id=tenant.partner_id,
        owner_kind=OwnerKind.PARTNER,
        url=settings.webhook_url,
        headers=endpoint.headers if endpoint else {},
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
            after={"url": settings.webhook_url, "code": result.code, "status": result.status},
        )
    if page.is_fragment:
        return page.show("dashboard/integration.html", part="dashboard/webhook_test_part.html", result=result)
    return _page(request, page, settings, result=result)


async def _read(tenant: Tenant, keyring: Keyring) -> PartnerSettings:
    async with tenant.unit() as unit:
        return await partners.get_settings(unit, partner_id=tenant.partner_id, keyring=keyring)


def _page(
    request: HubRequest,
    page: Page,
    settings: PartnerSettings,
    *,
    form: AddressesForm | None = None,
    errors: dict[str, str] | None = None,
    result: TestResult | None = None,
    problem: HubError | None = None,
    status: int = 200,
) -> Response[Any]:
    person = request.user
    return page.show(
        "dashboard/integration.html",
        status=status,
        settings=settings,
        form=form
        or AddressesForm(
            webhook_url=settings.webhook_url or "", redirect_url=settings.partner.redirect_url or ""
        ),
        errors={"webhook_url": "", "redirect_url": "", **(errors or {})},
        result=result,
        problem=None if problem is None else page.toast(problem, page.say(N_("Nothing was tested"))),
        may_edit=isinstance(person, SignedInUser) and person.is_owner,
    )


def router() -> Router:
    """Return the routes of this screen."""
    return Router(
        "/",
        route_handlers=[show_integration, save_addresses, test_webhook],
        guards=[requires(hub=Hub.PARTNER)],
        opt={"hub": Hub.PARTNER},
    )
