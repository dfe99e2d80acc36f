"""Channels: list, one, keys, cancellation."""

from __future__ import annotations

from typing import Any

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from partnerhub.channels import queries
from partnerhub.channels.queries import as_partner_api, without_open_dates
from partnerhub.channels.schemas import ChannelKey
from partnerhub.channels.services import (
    mint_key,
    request_cancellation,
    revoke_cancellation,
    revoke_keys,
)
from partnerhub.partner_api.means import PartnerApi
from partnerhub.partner_api.parameters import read_flag, read_list, read_object
from partnerhub.partners.schemas import Scope
from partnerhub.web.guards import requires
from partnerhub.web.partner_json import PartnerJson, done
from partnerhub.web.principal import HubRequest
from partnerhub.web.tenant import Tenant

READ = [requires(scope=Scope.READ)]
WRITE = [requires(scope=Scope.WRITE)]

# One client spells the path with a hyphen.
_KEYS = ["/channels/{channel_id:str}/api_keys", "/channels/{channel_id:str}/api-keys"]
_CONTROL = "/clients/{client_id:str}/channels/{channel_id:str}/control"


@get("/channels", guards=READ)
async def list_channels(request: HubRequest, tenant: NamedDependency[Tenant]) -> PartnerJson:
    """List channels; unknown filter and sort fields are passed over."""
    parameters = read_list(request.scope["query_string"])
    async with tenant.unit() as unit:
        found = await queries.list_channels(unit, partner_id=tenant.partner_id, listing=parameters.listing)
    rows = [as_partner_api(channel) for channel in found.rows]
    return PartnerJson(parameters.envelope("partner_channels", rows, found.total))


@get("/channels/{channel_id:str}", guards=READ)
async def get_channel(channel_id: FromPath[str], tenant: NamedDependency[Tenant]) -> PartnerJson:
    """Return one channel."""
    async with tenant.unit() as unit:
        channel = await queries.get_channel(unit, partner_id=tenant.partner_id, channel_id=channel_id)
    return PartnerJson(as_partner_api(channel))


@post(_KEYS, guards=WRITE)
async def post_api_key(
    channel_id: FromPath[str], tenant: NamedDependency[Tenant], partner_api: NamedDependency[PartnerApi]
) -> PartnerJson:
    """Make the channel's key, shown this once; whatever the body says, the earlier key stops working."""
    async with tenant.unit() as unit:
        key = await mint_key(unit, partner_id=tenant.partner_id, channel_id=channel_id, actor=tenant.actor)
    return PartnerJson(
        {
            "address": partner_api.messaging_url,
            "api_key": key.secret,
            "app_id": str(key.app_id),
            "id": str(key.id),
        },
        status_code=201,
    )


@get(_KEYS, guards=READ)
async def list_api_keys(
    channel_id: FromPath[str], tenant: NamedDependency[Tenant], partner_api: NamedDependency[PartnerApi]
) -> PartnerJson:
    """List the channel's live key; the secret is stored nowhere, so `api_key` is not a member here."""
    async with tenant.unit() as unit:
        channel = await queries.get_channel(unit, partner_id=tenant.partner_id, channel_id=channel_id)
        queries.check_shared(channel)
        keys = await queries.list_keys(unit, partner_id=tenant.partner_id, channel_id=channel_id)
    shown = [_key(key, app_id=channel.app_id, address=partner_api.messaging_url) for key in keys]
    return PartnerJson({"api_keys": shown})


@delete(_KEYS, status_code=200, guards=WRITE)
async def delete_api_keys(channel_id: FromPath[str], tenant: NamedDependency[Tenant]) -> PartnerJson:
    """Revoke the channel's key; without one it is the same answer."""
    async with tenant.unit() as unit:
        await revoke_keys(unit, partner_id=tenant.partner_id, channel_id=channel_id, actor=tenant.actor)
    return PartnerJson(done("api keys were revoked"))


@post(f"{_CONTROL}/cancellation_request", status_code=200, guards=WRITE)
async def post_cancellation(
    request: HubRequest,
    client_id: FromPath[str],
    channel_id: FromPath[str],
    tenant: NamedDependency[Tenant],
) -> PartnerJson:
    """Cancel the channel to the end of the month; with `enabled` false, take the cancellation back."""
    body = read_object(await request.body())
    change = request_cancellation if read_flag(body, "enabled", default=True) else revoke_cancellation
    async with tenant.unit() as unit:
        channel = await change(
            unit,
            partner_id=tenant.partner_id,
            client_id=client_id,
            channel_id=channel_id,
            actor=tenant.actor,
        )
    return PartnerJson(without_open_dates(as_partner_api(channel)))


@post(f"{_CONTROL}/reactivate", status_code=200, guards=WRITE)
async def post_reactivation(
    client_id: FromPath[str], channel_id: FromPath[str], tenant: NamedDependency[Tenant]
) -> PartnerJson:
    """Take a cancellation back, also one that has taken effect."""
    async with tenant.unit() as unit:
        channel = await revoke_cancellation(
            unit,
            partner_id=tenant.partner_id,
            client_id=client_id,
            channel_id=channel_id,
            actor=tenant.actor,
        )
    return PartnerJson(without_open_dates(as_partner_api(channel)))


def _key(key: ChannelKey, *, app_id: int, address: str) -> dict[str, Any]:  # Any: JSON
    return {"address": address, "app_id": str(app_id), "id": str(key.id)}
