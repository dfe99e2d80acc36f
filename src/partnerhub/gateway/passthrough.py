"""Paths that lead to one of Meta's edges and back, body and answer unread.

Only what is listed passes, with the query parameters that are listed: a Graph query can rename the method,
expand into other objects or carry a token, and the channel's token may reach further than the channel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from partnerhub.gateway.asgi import Reply
from partnerhub.gateway.context import MOST_JSON_BYTES, Call, Context, check_rate
from partnerhub.gateway.dialects import unknown_object
from partnerhub.gateway.forwarding import page_of, reply_of
from partnerhub.kit.errors import Invalid
from partnerhub.meta.graph import GraphAnswer

_PAGING: Final = ("limit", "after", "before")
# Names and commas: a field with braces or dots would reach into other objects.
_FIELDS: Final = re.compile(r"[a-z0-9_,]*", re.ASCII)


class FieldsRefused(Invalid):
    """The `fields` parameter asks for more than plain names."""

    code = "fields_refused"


@dataclass(frozen=True)
class Edge:
    """One edge at Meta. `path` may hold names of path parameters and `{phone}`.

    `queries` maps each method that passes to the parameters that pass with it; `fixed` are added, and
    `from_path` turns a path parameter into one.
    """

    name: str
    path: str
    queries: Mapping[str, tuple[str, ...]]
    fixed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    from_path: Mapping[str, str] = field(default_factory=dict)

    async def __call__(self, context: Context, call: Call) -> Reply:
        """Forward the request."""
        check_rate(context.configuration_rate, call.live)
        request = call.request
        values = {
            name: request.parameter(name)
            for name in self.queries[request.method]
            if request.parameter(name) != ""
        }
        if not _FIELDS.fullmatch(values.get("fields", "")):
            raise FieldsRefused("The parameter fields takes plain names, separated by commas.")
        values.update(self.fixed.get(request.method, {}))
        values.update({name: call.params[part] for part, name in self.from_path.items()})
        if group_id := call.params.get("group_id"):
            is_own = await context.groups.owns(call.live, group_id)
            if isinstance(is_own, GraphAnswer):
                return reply_of(is_own)
            if not is_own:
                raise unknown_object(group_id)
        body = await request.body(MOST_JSON_BYTES)
        answer = await context.graph.call(
            request.method,
            self.path.format(phone=call.live.route.phone_number_id, **call.params),
            token=call.live.token,
            query=values,
            body=body,
            content_type=(request.header(b"content-type") or "application/json") if body else None,
        )
        return page_of(answer, gateway_url=context.config.gateway_url)


def _edge(
    name: str,
    *,
    path: str = "",
    get: tuple[str, ...] | None = None,
    post: tuple[str, ...] | None = None,
    delete: tuple[str, ...] | None = None,
    fixed: Mapping[str, Mapping[str, str]] | None = None,
) -> Edge:
    given = {"GET": get, "POST": post, "DELETE": delete}
    return Edge(
        name=name,
        path=path or f"/{{phone}}/{name}",
        queries={method: names for method, names in given.items() if names is not None},
        fixed=fixed or {},
    )


PROFILE: Final = _edge("whatsapp_business_profile", get=("fields",), post=())
BLOCK_USERS: Final = _edge("block_users", get=_PAGING, post=(), delete=())
ENCRYPTION: Final = _edge("whatsapp_business_encryption", get=(), post=())
CALLS: Final = _edge("calls", post=())
CALL_PERMISSIONS: Final = _edge("call_permissions", get=("user_wa_id", "recipient"))
CALL_PERMISSION: Final = Edge(
    name="call_permission",
    path="/{phone}/call_permissions",
    queries={"GET": ()},
    from_path={"user_id": "user_wa_id"},
)
SETTINGS: Final = _edge("settings", get=("fields", "include_sip_credentials"), post=())
COMMERCE: Final = _edge(
    "whatsapp_commerce_settings", get=("fields",), post=("is_cart_enabled", "is_catalog_visible")
)
QR_CODES: Final = _edge(
    "message_qrdls", get=("fields", "code", *_PAGING), post=("prefilled_message", "code", "generate_qr_image")
)
QR_CODE: Final = _edge("message_qrdl", path="/{phone}/message_qrdls/{code}", get=("fields",), delete=())
OFFICIAL: Final = _edge("official_business_account", get=("fields",), post=())
COMPLIANCE: Final = _edge("business_compliance_info", get=("fields",), post=())
AUTOMATION: Final = _edge("conversational_automation", post=())
AUTOMATION_STATE: Final = _edge(
    "conversational_automation_state",
    path="/{phone}",
    get=(),
    fixed={"GET": {"fields": "conversational_automation"}},
)
HEALTH: Final = _edge("health_status", path="/{phone}", get=(), fixed={"GET": {"fields": "health_status"}})
GROUPS: Final = _edge("groups", get=_PAGING, post=())
GROUP: Final = _edge("group", path="/{group_id}", get=("fields",), post=(), delete=())
GROUP_LINK: Final = _edge("group_invite_link", path="/{group_id}/invite_link", get=(), post=())
GROUP_REQUESTS: Final = _edge(
    "group_join_requests", path="/{group_id}/join_requests", get=_PAGING, post=(), delete=()
)
GROUP_MEMBERS: Final = _edge("group_participants", path="/{group_id}/participants", post=(), delete=())
NUMBER: Final = _edge("number", path="/{phone}", get=("fields",))
