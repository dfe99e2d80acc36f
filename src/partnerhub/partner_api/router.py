"""The routes of this door."""

from __future__ import annotations

from litestar import Router
from litestar.datastructures import ResponseHeader
from litestar.exceptions import NotFoundException

from partnerhub.partner_api import channels, clients, document, partners, tokens, wabas
from partnerhub.web.partner_json import VARY
from partnerhub.web.principal import HubRequest


async def refuse_null_characters(request: HubRequest) -> None:
    """Answer 404 to a path that no id can have and the database could not even look up."""
    if "\x00" in request.scope["path"]:
        raise NotFoundException


def routers() -> list[Router]:
    """Return the routes; the application hands in a `PartnerApi` as the dependency `partner_api`."""
    vary = [ResponseHeader(name="Vary", value=VARY)]
    of_partner = Router(
        "/partners/{partner_id:str}",
        route_handlers=[
            partners.get_partner,
            partners.patch_partner,
            partners.get_webhook_url,
            partners.post_webhook_url,
            partners.get_balance,
            partners.patch_partner_change_request,
            clients.list_clients,
            clients.get_client,
            clients.patch_client,
            channels.list_channels,
            channels.get_channel,
            channels.post_api_key,
            channels.list_api_keys,
            channels.delete_api_keys,
            channels.post_cancellation,
            channels.post_reactivation,
            wabas.get_waba,
            wabas.list_templates,
            wabas.post_template,
            wabas.delete_template,
        ],
    )
    older = Router(
        "/v1/partners/{partner_id:str}",
        route_handlers=[wabas.post_template, wabas.patch_template, wabas.delete_template],
        response_headers=vary,
        before_request=refuse_null_characters,
    )
    newest = Router(
        "/api/v2",
        route_handlers=[tokens.post_token, document.get_document, of_partner],
        response_headers=vary,
        before_request=refuse_null_characters,
    )
    return [newest, older]
