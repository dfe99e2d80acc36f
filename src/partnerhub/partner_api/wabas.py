"""WABA accounts and their templates, under `/api/v2` and, for templates, under the older `/v1`."""

from __future__ import annotations

from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from partnerhub.channels import queries, services
from partnerhub.channels.queries import as_partner_api
from partnerhub.partner_api.means import PartnerApi
from partnerhub.partner_api.parameters import read_list, read_object
from partnerhub.partners.schemas import Scope
from partnerhub.web.guards import requires
from partnerhub.web.partner_json import PartnerJson, done
from partnerhub.web.principal import HubRequest
from partnerhub.web.tenant import Tenant

READ = [requires(scope=Scope.READ)]
WRITE = [requires(scope=Scope.WRITE)]

_TEMPLATES = "/waba_accounts/{waba_id:str}/waba_templates"


@get("/waba_accounts/{waba_id:str}", guards=READ)
async def get_waba(waba_id: FromPath[str], tenant: NamedDependency[Tenant]) -> PartnerJson:
    """Return one WABA account."""
    async with tenant.unit() as unit:
        waba = await queries.get_waba(unit, partner_id=tenant.partner_id, waba_id=waba_id)
    return PartnerJson(as_partner_api(waba))


@get(_TEMPLATES, guards=READ)
async def list_templates(
    request: HubRequest, waba_id: FromPath[str], tenant: NamedDependency[Tenant]
) -> PartnerJson:
    """List the templates of a WABA account."""
    parameters = read_list(request.scope["query_string"])
    async with tenant.unit() as unit:
        await queries.get_waba(unit, partner_id=tenant.partner_id, waba_id=waba_id)
        found = await queries.list_templates(
            unit, partner_id=tenant.partner_id, waba_id=waba_id, listing=parameters.listing
        )
    rows = [as_partner_api(template) for template in found.rows]
    return PartnerJson(parameters.envelope("waba_templates", rows, found.total))


@post(_TEMPLATES, guards=WRITE)
async def post_template(
    request: HubRequest,
    waba_id: FromPath[str],
    tenant: NamedDependency[Tenant],
    partner_api: NamedDependency[PartnerApi],
) -> PartnerJson:
    """Create a template; answers when Meta has taken it."""
    template = await services.create_template(
        tenant.db,
        partner_api.access,
        partner_id=tenant.partner_id,
        waba_id=waba_id,
        body=read_object(await request.body()),
        actor=tenant.actor,
    )
    return PartnerJson(as_partner_api(template), status_code=201)


@patch(f"{_TEMPLATES}/{{template_id:str}}", guards=WRITE)
async def patch_template(
    request: HubRequest,
    waba_id: FromPath[str],
    template_id: FromPath[str],
    tenant: NamedDependency[Tenant],
    partner_api: NamedDependency[PartnerApi],
) -> PartnerJson:
    """Change a template's components; it is under review again."""
    await services.edit_template(
        tenant.db,
        partner_api.access,
        partner_id=tenant.partner_id,
        waba_id=waba_id,
        template_id=template_id,
        body=read_object(await request.body()),
        actor=tenant.actor,
    )
    return PartnerJson({"success": True})


@delete(f"{_TEMPLATES}/{{template_id:str}}", status_code=200, guards=WRITE)
async def delete_template(
    waba_id: FromPath[str],
    template_id: FromPath[str],
    tenant: NamedDependency[Tenant],
    partner_api: NamedDependency[PartnerApi],
) -> PartnerJson:
    """Delete one language of a template, here and at Meta."""
    template = await services.delete_template(
        tenant.db,
        partner_api.access,
        partner_id=tenant.partner_id,
        waba_id=waba_id,
        template_id=template_id,
        actor=tenant.actor,
    )
    return PartnerJson(done(f"template name={template.name} was deleted"))
