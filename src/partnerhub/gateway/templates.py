"""Templates: the Messaging API's own list with offsets, and Meta's edge as it is."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from partnerhub.channels import queries as channels
from partnerhub.channels.schemas import Listing, Template
from partnerhub.gateway.asgi import Reply
from partnerhub.gateway.context import MOST_JSON_BYTES, Call, Context, check_rate
from partnerhub.gateway.dialects import Dialect
from partnerhub.gateway.forwarding import reply_of
from partnerhub.gateway.passthrough import Edge
from partnerhub.kit.errors import Invalid
from partnerhub.messaging import services
from partnerhub.meta.errors import UNREADABLE
from partnerhub.meta.graph import GraphAnswer

_DEFAULT_LIMIT: Final = 1000
_MOST_LIMIT: Final = 1000

AT_META: Final = Edge(
    name="message_templates",
    path="/{object_id}/message_templates",
    queries={
        "GET": (
            *("name", "name_or_content", "content", "language", "status", "category", "quality_score"),
            *("since", "until", "fields", "limit", "after", "before", "summary"),
        )
    },
)
_DELETE_BY: Final = ("name", "hsm_id", "hsm_ids")


class ListInvalid(Invalid):
    """A parameter of the list is not what it should be."""

    code = "list_invalid"


async def list_templates(context: Context, call: Call) -> Reply:
    """Return the account's templates as last heard from Meta, paged by offset."""
    check_rate(context.configuration_rate, call.live)
    request, route = call.request, call.live.route
    limit = min(_number(request.parameter("limit"), "limit", _DEFAULT_LIMIT), _MOST_LIMIT)
    offset = _number(request.parameter("offset"), "offset", 0)
    sort = tuple(name for name in request.parameter("sort").split(",") if name) or ("id",)
    filters = _filters(request.parameter("filters"))
    async with context.database.tenant(route.partner_id) as unit:
        found = await channels.list_templates(
            unit,
            partner_id=route.partner_id,
            waba_id=route.waba_id,
            listing=Listing(limit=limit, offset=offset, sort=sort, filters=_in_our_words(filters)),
        )
    body = {
        "waba_templates": [_shown(template) for template in found.rows],
        "count": len(found.rows),
        "total": found.total,
        "limit": limit,
        "offset": offset,
        "filters": filters,
        "sort": list(sort),
    }
    return Reply(200, msgspec.json.encode(body))


async def create_template(context: Context, call: Call) -> Reply:
    """Create a template and return what it became; on Graph's path the answer is Meta's own."""
    check_rate(context.configuration_rate, call.live)
    body = await call.request.body(MOST_JSON_BYTES)
    answer = await services.create_template(
        context.database, context.graph, live=call.live, body=body, actor=call.actor
    )
    reply = reply_of(answer)
    if reply.status == 200 and call.dialect is not Dialect.GRAPH:
        try:
            asked = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
            made = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
        except UNREADABLE:
            return reply
        kept = {name: asked[name] for name in ("name", "language", "components") if name in asked}
        reply.body = msgspec.json.encode({**kept, **made})
    return reply


async def delete_templates(context: Context, call: Call) -> Reply:
    """Delete one language or all of a name, by Meta's parameters."""
    values = {name: value for name in _DELETE_BY if (value := call.request.parameter(name))}
    return reply_of(await _delete(context, call, values))


async def delete_template(context: Context, call: Call) -> Reply:
    """Delete all languages of the name in the path."""
    reply = reply_of(await _delete(context, call, {"name": call.params["name"]}))
    if reply.status == 200:
        reply.body = msgspec.json.encode({"success": True, "meta": {"success": True, "http_code": 200}})
    return reply


async def _delete(context: Context, call: Call, values: dict[str, str]) -> GraphAnswer:
    check_rate(context.configuration_rate, call.live)
    return await services.delete_templates(
        context.database, context.graph, live=call.live, query=values, actor=call.actor
    )


def _number(text: str, name: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise ListInvalid(f"The parameter {name} is a whole number.", fields={name: "a whole number"})
    return int(text)


def _filters(text: str) -> dict[str, object]:
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except UNREADABLE as error:
        raise ListInvalid(
            "The parameter filters is a JSON object.", fields={"filters": "a JSON object"}
        ) from error


def _in_our_words(filters: dict[str, object]) -> dict[str, object]:
    """Return filters in the words of our rows; clients write them as shown, or in lower case."""
    return {name: _in_our_word(name.removeprefix("business_templates."), filters[name]) for name in filters}


def _in_our_word(name: str, wanted: object) -> object:
    match name, wanted:
        case "status", str():
            return "submitted" if wanted.lower() == "pending" else wanted.lower()
        case "category", str():
            return wanted.upper()
        case _:
            return wanted


def _shown(template: Template) -> dict[str, Any]:  # Any: JSON
    """Return a template in the shape of this host, whose words are Meta's in capitals."""
    return {
        "id": template.external_id,
        "name": template.name,
        "namespace": template.namespace,
        "category": template.category,
        "language": template.language,
        "status": "PENDING" if template.status == "submitted" else template.status.upper(),
        "rejected_reason": template.rejected_reason,
        "components": template.components,
        "quality_score": template.quality_score,
    }
