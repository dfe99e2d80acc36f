"""Reads of clients, WABA accounts, channels, templates and keys, and the gateway's route look-ups.

Lists follow the Partner API's rules for filters, sorting and paging (`listing`); each takes two
statements whatever its length. Everything but the route look-ups runs in a tenant unit and names the
partner once more in its condition.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

from psycopg import sql

from partnerhub.channels import listing as rules
from partnerhub.channels.access import open_access
from partnerhub.channels.errors import (
    ChannelUnknown,
    ClientUnknown,
    PermissionMissing,
    TemplateUnknown,
    WabaUnknown,
)
from partnerhub.channels.partner_objects import as_partner_api, without_open_dates
from partnerhub.channels.rows import (
    CHANNEL_COLUMNS,
    CHANNEL_JOIN,
    CLIENT_COLUMNS,
    TEMPLATE_COLUMNS,
    TEMPLATE_JOIN,
    WABA_COLUMNS,
    channel_of,
)
from partnerhub.channels.schemas import (
    Channel,
    ChannelKey,
    Client,
    Hit,
    Listing,
    Route,
    Template,
    Waba,
)
from partnerhub.kit.database import Unit

__all__ = [
    "Rows",
    "as_partner_api",
    "check_shared",
    "find_route_by_key",
    "find_route_by_phone",
    "find_waba_by_external_id",
    "get_channel",
    "get_client",
    "get_template",
    "get_waba",
    "list_channels",
    "list_clients",
    "list_clients_of_user",
    "list_keys",
    "list_names",
    "list_templates",
    "open_access",
    "search",
    "without_open_dates",
]

T = TypeVar("T")


@dataclass(frozen=True)
class Rows(Generic[T]):
    """A part of a list; `total` counts every row that matches the filters."""

    rows: list[T]
    total: int


async def list_clients(unit: Unit, *, partner_id: str, listing: Listing) -> Rows[Client]:
    """Return the partner's clients. Raises: ListingInvalid."""
    matching, values = rules.where(rules.CLIENTS, listing.filters)
    ordered = rules.order(rules.CLIENTS, listing.sort)
    condition = sql.SQL("from client where client.partner_id = %s and {}").format(matching)
    total = await unit.fetch_value(sql.SQL("select count(*) {}").format(condition), [partner_id, *values])
    limit, limits = rules.page(listing)
    rows = await unit.fetch_all(
        Client,
        sql.SQL("select {} {} order by {} {}").format(CLIENT_COLUMNS, condition, ordered, limit),
        [partner_id, *values, *limits],
    )
    return Rows(rows, int(total))


async def get_client(unit: Unit, *, partner_id: str, client_id: str) -> Client:
    """Return one client. Raises: ClientUnknown."""
    client = await unit.fetch_one(
        Client,
        sql.SQL("select {} from client where id = %s and partner_id = %s").format(CLIENT_COLUMNS),
        (client_id, partner_id),
    )
    if client is None:
        raise ClientUnknown("The client does not exist.")
    return client


async def list_clients_of_user(unit: Unit, *, user_id: str) -> list[Client]:
    """Return the clients a person signs in for, of every partner, oldest first; needs a system unit."""
    return await unit.fetch_all(
        Client,
        sql.SQL("select {} from client where user_id = %s order by created_at, id").format(CLIENT_COLUMNS),
        (user_id,),
    )


async def get_waba(unit: Unit, *, partner_id: str, waba_id: str) -> Waba:
    """Return one WABA account. Raises: WabaUnknown."""
    waba = await unit.fetch_one(
        Waba,
        sql.SQL("select {} from waba where id = %s and partner_id = %s").format(WABA_COLUMNS),
        (waba_id, partner_id),
    )
    if waba is None:
        raise WabaUnknown("The WABA account does not exist.")
    return waba


async def find_waba_by_external_id(unit: Unit, *, external_id: str) -> Waba | None:
    """Return the WABA account with Meta's id; a system unit finds it under any partner."""
    return await unit.fetch_one(
        Waba, sql.SQL("select {} from waba where external_id = %s").format(WABA_COLUMNS), (external_id,)
    )


async def list_channels(unit: Unit, *, partner_id: str, listing: Listing) -> Rows[Channel]:
    """Return the partner's channels, clients and WABA accounts included. Raises: ListingInvalid."""
    matching, values = rules.where(rules.CHANNELS, listing.filters)
    ordered = rules.order(rules.CHANNELS, listing.sort)
    condition = sql.SQL("from {} where channel.partner_id = %s and {}").format(CHANNEL_JOIN, matching)
    total = await unit.fetch_value(sql.SQL("select count(*) {}").format(condition), [partner_id, *values])
    limit, limits = rules.page(listing)
    rows = await unit.fetch_dicts(
        sql.SQL("select {} {} order by {} {}").format(CHANNEL_COLUMNS, condition, ordered, limit),
        [partner_id, *values, *limits],
    )
    return Rows([channel_of(row) for row in rows], int(total))


async def search(unit: Unit, *, partner_id: str, text: str, most: int = 5) -> list[Hit]:
    """Return the partner's channels, clients and WABA accounts whose name, number or id has the text in it.

    At most so many of each kind, whoever begins with the text first; a client or account without a channel
    is left out. A number may be written with blanks and signs, an id of Meta's stands whole.
    """
    digits = re.sub(r"\D", "", text) if re.fullmatch(r"\+?[0-9][0-9 ()./-]*", text) else ""
    return await unit.fetch_all(
        Hit,
        _SEARCH,
        {
            "partner": partner_id,
            "text": text,
            "anywhere": rules.pattern_of(text),
            "first": rules.pattern_of(text)[1:],
            "number": rules.pattern_of(digits or text),
            "most": most,
        },
    )


async def get_channel(
    unit: Unit, *, partner_id: str, channel_id: str, client_id: str | None = None
) -> Channel:
    """Return one channel; with `client_id`, only if it is that client's. Raises: ChannelUnknown."""
    rows = await unit.fetch_dicts(
        sql.SQL(
            "select {} from {} where channel.id = %s and channel.partner_id = %s"
            " and (%s::text is null or channel.client_id = %s)"
        ).format(CHANNEL_COLUMNS, CHANNEL_JOIN),
        (channel_id, partner_id, client_id, client_id),
    )
    if not rows:
        raise ChannelUnknown("The channel does not exist.")
    return channel_of(rows[0])


def check_shared(channel: Channel) -> None:
    """Refuse what only the client's permission allows. Raises: PermissionMissing."""
    if channel.permission != "shared":
        raise PermissionMissing("The client has not granted the permission to create API keys.")


async def list_names(unit: Unit, *, partner_id: str, channel_ids: Collection[str]) -> dict[str, str]:
    """Return the display names of these channels, or their numbers; ids that are not there are left out."""
    rows = await unit.fetch_dicts(
        "select id, phone_name, phone_number from channel where partner_id = %s and id = any (%s)",
        (partner_id, list(channel_ids)),
    )
    return {row["id"]: row["phone_name"] or f"+{row['phone_number']}" for row in rows}


async def list_keys(unit: Unit, *, partner_id: str, channel_id: str) -> list[ChannelKey]:
    """Return the channel's live keys: one, or none."""
    return await unit.fetch_all(
        ChannelKey,
        "select id, channel_id, prefix, created_by, created_at, revoked_at from channel_key"
        " where partner_id = %s and channel_id = %s and revoked_at is null order by id",
        (partner_id, channel_id),
    )


async def list_templates(unit: Unit, *, partner_id: str, waba_id: str, listing: Listing) -> Rows[Template]:
    """Return the templates of a WABA account as last heard from Meta. Raises: ListingInvalid."""
    matching, values = rules.where(rules.TEMPLATES, listing.filters)
    ordered = rules.order(rules.TEMPLATES, listing.sort)
    condition = sql.SQL("from {} where template.partner_id = %s and template.waba_id = %s and {}").format(
        TEMPLATE_JOIN, matching
    )
    values = [partner_id, waba_id, *values]
    total = await unit.fetch_value(sql.SQL("select count(*) {}").format(condition), values)
    limit, limits = rules.page(listing)
    rows = await unit.fetch_all(
        Template,
        sql.SQL("select {} {} order by {} {}").format(TEMPLATE_COLUMNS, condition, ordered, limit),
        [*values, *limits],
    )
    return Rows(rows, int(total))


async def get_template(unit: Unit, *, partner_id: str, waba_id: str, template_id: str) -> Template:
    """Return one template. Raises: TemplateUnknown."""
    template = await unit.fetch_one(
        Template,
        sql.SQL(
            "select {} from {} where template.id = %s and template.waba_id = %s and template.partner_id = %s"
        ).format(TEMPLATE_COLUMNS, TEMPLATE_JOIN),
        (template_id, waba_id, partner_id),
    )
    if template is None:
        raise TemplateUnknown("The template does not exist.")
    return template


_SEARCH = """
(select 'channel' as kind, id, coalesce(nullif(phone_name, ''), '+' || phone_number) as name,
        phone_number as number
 from channel where partner_id = %(partner)s
   and (id ilike %(anywhere)s or phone_name ilike %(anywhere)s or phone_number like %(number)s
        or external_id = %(text)s)
 order by phone_name not ilike %(first)s, lower(phone_name), id limit %(most)s)
union all
(select 'client', id, name, '' from client where partner_id = %(partner)s
   and (id ilike %(anywhere)s or name ilike %(anywhere)s or contact_user->>'email' ilike %(anywhere)s)
   and exists (select from channel where channel.client_id = client.id and channel.partner_id = %(partner)s)
 order by name not ilike %(first)s, lower(name), id limit %(most)s)
union all
(select 'waba', id, name, '' from waba where partner_id = %(partner)s
   and (id ilike %(anywhere)s or name ilike %(anywhere)s or external_id = %(text)s)
   and exists (select from channel where channel.waba_id = waba.id and channel.partner_id = %(partner)s)
 order by name not ilike %(first)s, lower(name), id limit %(most)s)
"""
_ROUTE = sql.SQL(
    """
    select channel.partner_id, channel.client_id, channel.id as channel_id, waba.id as waba_id,
           waba.external_id as waba_external_id, channel.external_id as phone_number_id,
           channel.phone_number, waba.access_sealed, partner.currency, waba.time_zone,
           partner.payment_model, partner.mm_api_routing_enabled as mm_routing, channel.throughput,
           channel.status, channel.integration_state, channel.account_mode, channel.hub_status,
           channel.permission,
           -- The endpoint is webhooks' row, read here because this look-up stands in the gateway's way.
           coalesce(
             (select id from endpoint where owner_kind = 'channel' and owner_id = channel.id),
             (select id from endpoint where owner_kind = 'waba' and owner_id = waba.id)
           ) as endpoint_id
    from channel join waba on waba.id = channel.waba_id join partner on partner.id = channel.partner_id
    """
)


async def find_route_by_key(unit: Unit, *, key_hash: bytes) -> Route | None:
    """Find the route of a live channel key by its fingerprint; needs a system unit."""
    return await unit.fetch_one(
        Route,
        sql.SQL(
            "{} join channel_key on channel_key.channel_id = channel.id"
            " where channel_key.key_hash = %s and channel_key.revoked_at is null"
        ).format(_ROUTE),
        (key_hash,),
    )


async def find_route_by_phone(unit: Unit, *, external_id: str) -> Route | None:
    """Find the route of a number by Meta's phone number id; needs a system unit."""
    return await unit.fetch_one(
        Route, sql.SQL("{} where channel.external_id = %s").format(_ROUTE), (external_id,)
    )
