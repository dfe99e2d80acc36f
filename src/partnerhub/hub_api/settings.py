"""A partner's integration settings: read, and changed one or many at a time."""

from __future__ import annotations

from litestar import get, patch
from litestar.di import NamedDependency

from partnerhub.hub_api.bodies import HubJson, read_body
from partnerhub.hub_api.errors import SecurityScopeMissing
from partnerhub.hub_api.means import HubApi
from partnerhub.hub_api.shapes import SettingsChangeShape, SettingsShape
from partnerhub.partners.queries import get_settings
from partnerhub.partners.schemas import PartnerSettings, Scope, SettingsChange
from partnerhub.partners.services import guarded_changes, update_settings
from partnerhub.web.guards import requires
from partnerhub.web.principal import HubRequest, scopes_of
from partnerhub.web.tenant import Tenant


@get("/settings", guards=[requires(scope=Scope.READ)])
async def read_settings(tenant: NamedDependency[Tenant], hub_api: NamedDependency[HubApi]) -> HubJson:
    """Return the settings."""
    async with tenant.unit() as unit:
        settings = await get_settings(unit, partner_id=tenant.partner_id, keyring=hub_api.keyring)
    return HubJson(_shown(settings))


@patch("/settings", guards=[requires(scope=Scope.WRITE, owner=True)])
async def change_settings(
    request: HubRequest, tenant: NamedDependency[Tenant], hub_api: NamedDependency[HubApi]
) -> HubJson:
    """Change what the body names, all of it or nothing, and return the settings as they are then."""
    wanted = read_body(await request.body(), SettingsChangeShape)
    change = SettingsChange(**{name: getattr(wanted, name) for name in wanted.__struct_fields__})
    async with tenant.unit() as unit:
        before = await get_settings(
            unit, partner_id=tenant.partner_id, keyring=hub_api.keyring, for_update=True
        )
        guarded = guarded_changes(before, change)
        if guarded and Scope.SECURITY not in scopes_of(request.user):
            raise SecurityScopeMissing(guarded)
        settings = await update_settings(
            unit,
            partner_id=tenant.partner_id,
            change=change,
            actor=tenant.actor,
            keyring=hub_api.keyring,
            allow_loopback=hub_api.allow_loopback,
        )
    return HubJson(_shown(settings))


def _shown(settings: PartnerSettings) -> SettingsShape:
    partner = settings.partner
    return SettingsShape(
        solution_id=partner.solution_id,
        webhook_url=settings.webhook_url,
        webhook_headers=dict(settings.webhook_headers),
        redirect_url=partner.redirect_url,
        redirect_origins=partner.redirect_origins,
        default_hosting_type=partner.default_hosting_type,
        data_localization_region=settings.region,
        legacy_token_auth_enabled=partner.legacy_token_auth_enabled,
        mm_api_routing_enabled=partner.mm_api_routing_enabled,
        io_signature_enabled=partner.io_signature_enabled,
        secret_overlap_hours=partner.secret_overlap_hours,
    )
