"""The partner itself: object, webhook URL, balance, one setting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from litestar import get, patch, post
from litestar.di import NamedDependency
from msgspec import UNSET, UnsetType

from partnerhub.kit import money
from partnerhub.ledger import queries as ledger
from partnerhub.ledger.schemas import Balance
from partnerhub.partner_api.means import PartnerApi
from partnerhub.partner_api.parameters import BodyInvalid, read_flag, read_object, read_text
from partnerhub.partners.errors import SettingsInvalid
from partnerhub.partners.queries import get_settings
from partnerhub.partners.schemas import PartnerSettings, Scope, SettingsChange
from partnerhub.partners.services import update_settings
from partnerhub.web.guards import requires
from partnerhub.web.partner_json import PartnerJson
from partnerhub.web.principal import HubRequest
from partnerhub.web.tenant import Tenant

# Settings that callers here know by other names.
_SENT_AS = {"redirect_url": "partner_redirect_url", "webhook_headers": "headers"}

READ = [requires(scope=Scope.READ)]
SETTING = [requires(scope=Scope.WRITE, owner=True)]


@get("/", guards=READ)
async def get_partner(
    tenant: NamedDependency[Tenant], partner_api: NamedDependency[PartnerApi]
) -> PartnerJson:
    """Return the partner."""
    return PartnerJson(partner_object(await _settings(tenant, partner_api)))


@patch("/", guards=SETTING)
async def patch_partner(
    request: HubRequest, tenant: NamedDependency[Tenant], partner_api: NamedDependency[PartnerApi]
) -> PartnerJson:
    """Change what the body names of the partner; null and unknown members change nothing."""
    body = read_object(await request.body())
    change = SettingsChange(
        webhook_url=_url(body, "webhook_url"),
        redirect_url=_url(body, "partner_redirect_url"),
        logo_url=_url(body, "logo_url"),
        brand_name=_or_unset(read_text(body, "brand_name")),
        allow_client_to_add_phone_no=_flag(body, "allow_client_to_add_phone_no"),
    )
    return PartnerJson(partner_object(await _change(tenant, partner_api, change)))


@get("/webhook_url", guards=READ)
async def get_webhook_url(
    tenant: NamedDependency[Tenant], partner_api: NamedDependency[PartnerApi]
) -> PartnerJson:
    """Return where partner events go."""
    return PartnerJson({"webhook_url": (await _settings(tenant, partner_api)).webhook_url})


@post("/webhook_url", status_code=200, guards=SETTING)
async def post_webhook_url(
    request: HubRequest, tenant: NamedDependency[Tenant], partner_api: NamedDependency[PartnerApi]
) -> PartnerJson:
    """Set where partner events go, replacing the URL before; answers the whole partner."""
    body = read_object(await request.body())
    if read_text(body, "webhook_url") is None:
        raise BodyInvalid("webhook_url is missing.", fields={"webhook_url": "is missing"})
    change = SettingsChange(webhook_url=_url(body, "webhook_url"), webhook_headers=_headers(body))
    return PartnerJson(partner_object(await _change(tenant, partner_api, change)))


@get("/balance", guards=READ)
async def get_balance(tenant: NamedDependency[Tenant]) -> PartnerJson:
    """Return what can be spent, one entry per currency: a bare list."""
    async with tenant.unit() as unit:
        balances = await ledger.get_balance(unit, partner_id=tenant.partner_id)
    return PartnerJson([_balance(balance) for balance in balances])


@patch("/settings/partner_change_request", guards=SETTING)
async def patch_partner_change_request(
    request: HubRequest, tenant: NamedDependency[Tenant], partner_api: NamedDependency[PartnerApi]
) -> PartnerJson:
    """Say whether clients may move to and from this partner without being asked."""
    body = read_object(await request.body())
    if body.get("auto_approve") is None:
        raise BodyInvalid("auto_approve is missing.", fields={"auto_approve": "is missing"})
    wanted = read_flag(body, "auto_approve", default=False)
    settings = await _change(tenant, partner_api, SettingsChange(auto_approve_partner_change=wanted))
    return PartnerJson({"auto_approve": settings.partner.auto_approve_partner_change})


def partner_object(settings: PartnerSettings) -> dict[str, Any]:  # Any: JSON
    """Return the partner as the API shows it; members of billing that is gone stay for typed clients."""
    partner = settings.partner
    return {
        "id": partner.id,
        "brand_name": partner.brand_name,
        "logo_url": partner.logo_url,
        "webhook_url": settings.webhook_url,
        "partner_redirect_url": partner.redirect_url,
        "country": partner.country,
        "payment_required": partner.payment_model == "direct_paid",
        "payment_plan": {},
        "onboarding_deeplink_add_params": False,
        "blocked_new_submission": partner.blocked_new_submission,
        "allow_client_to_add_phone_no": partner.allow_client_to_add_phone_no,
        "settings": {"partner_change_request": {"auto_approve": partner.auto_approve_partner_change}},
        "publishable_key": None,
    }


async def _settings(tenant: Tenant, means: PartnerApi) -> PartnerSettings:
    async with tenant.unit() as unit:
        return await get_settings(unit, partner_id=tenant.partner_id, keyring=means.keyring)


async def _change(tenant: Tenant, means: PartnerApi, change: SettingsChange) -> PartnerSettings:
    try:
        async with tenant.unit() as unit:
            return await update_settings(
                unit,
                partner_id=tenant.partner_id,
                change=change,
                actor=tenant.actor,
                keyring=means.keyring,
                allow_loopback=means.allow_loopback,
            )
    except SettingsInvalid as error:
        problems = [replace(one, field=_SENT_AS.get(one.field, one.field)) for one in error.problems]
        raise SettingsInvalid(error.message, problems=problems) from error


def _url(body: dict[str, Any], name: str) -> str | UnsetType | None:  # Any: JSON that a caller wrote
    # Typed clients send null for what they leave alone, so only an empty text can mean "remove".
    text = read_text(body, name)
    if text is None:
        return UNSET
    return text.strip() or None


def _or_unset(text: str | None) -> str | UnsetType:
    return UNSET if text is None else text


def _flag(body: dict[str, Any], name: str) -> bool | UnsetType:  # Any: JSON that a caller wrote
    return UNSET if body.get(name) is None else read_flag(body, name, default=False)


def _headers(body: dict[str, Any]) -> dict[str, str] | UnsetType:  # Any: JSON that a caller wrote
    headers = body.get("headers")
    if headers is None:
        return UNSET
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise BodyInvalid(
            "headers must be an object of strings.", fields={"headers": "must be an object of strings"}
        )
    return headers


def _balance(balance: Balance) -> dict[str, object]:
    # A JSON number is what clients read; it is made from whole cents and never calculated with.
    shown = money.spendable(balance.available, balance.currency)
    return {"currency": balance.currency.lower(), "total": float(shown)}
