"""Clients of the partner."""

from __future__ import annotations

from litestar import get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath

from partnerhub.channels import queries
from partnerhub.channels.queries import as_partner_api
from partnerhub.channels.services import update_client
from partnerhub.partner_api.parameters import read_list, read_number, read_object, read_text
from partnerhub.partners.schemas import Scope
from partnerhub.web.guards import requires
from partnerhub.web.partner_json import PartnerJson
from partnerhub.web.principal import HubRequest
from partnerhub.web.tenant import Tenant

READ = [requires(scope=Scope.READ)]
WRITE = [requires(scope=Scope.WRITE)]


@get("/clients", guards=READ)
async def list_clients(request: HubRequest, tenant: NamedDependency[Tenant]) -> PartnerJson:
    """List clients; unknown filter and sort fields are refused."""
    parameters = read_list(request.scope["query_string"])
    async with tenant.unit() as unit:
        found = await queries.list_clients(unit, partner_id=tenant.partner_id, listing=parameters.listing)
    return PartnerJson(
        parameters.envelope("clients", [as_partner_api(client) for client in found.rows], found.total)
    )


@get("/clients/{client_id:str}", guards=READ)
async def get_client(client_id: FromPath[str], tenant: NamedDependency[Tenant]) -> PartnerJson:
    """Return one client."""
    async with tenant.unit() as unit:
        client = await queries.get_client(unit, partner_id=tenant.partner_id, client_id=client_id)
    return PartnerJson(as_partner_api(client))


@patch("/clients/{client_id:str}", guards=WRITE)
async def patch_client(
    request: HubRequest, client_id: FromPath[str], tenant: NamedDependency[Tenant]
) -> PartnerJson:
    """Change a client's payload or its most channels; null leaves either as it is."""
    body = read_object(await request.body())
    async with tenant.unit() as unit:
        client = await update_client(
            unit,
            partner_id=tenant.partner_id,
            client_id=client_id,
            partner_payload=read_text(body, "partner_payload"),
            max_channels=read_number(body, "max_channels"),
            actor=tenant.actor,
        )
    return PartnerJson(as_partner_api(client))
