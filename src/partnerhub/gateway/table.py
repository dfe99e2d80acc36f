"""Every path of the gateway, what it leads to, and whom it lets in.

Two families lead to the same handlers: the Messaging API's own paths, and Meta's Graph paths with the
number's id in them (`/v23.0/{phone_number_id}/messages`, the version may be missing). What is not listed is
blocked. `list_routes` is what the access matrix is made from.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from partnerhub.gateway import configurations, media, messages, passthrough, templates
from partnerhub.gateway.asgi import AnyReply
from partnerhub.gateway.context import Call, Context
from partnerhub.gateway.dialects import Dialect

Handler = Callable[[Context, Call], Awaitable[AnyReply]]

# An id of Graph's is digits; a group's is a long word with capitals, which no other node or edge is.
_PARTS: Final = {
    "version": r"v[0-9]{1,2}\.[0-9]{1,2}",
    "object_id": r"[0-9]{1,20}",
    "group_id": r"(?=[^/]*[A-Z])[A-Za-z0-9_=-]{16,256}",
    "session_id": r"upload:[^/\x00]{1,1024}",
    "code": r"[A-Za-z0-9]{1,64}",
    "user_id": r"[A-Za-z0-9.+]{1,160}",
    "name": r"[^/\x00]{1,512}",
}


class Access(StrEnum):
    """Who may come in."""

    CHANNEL_KEY = "channel_key"
    META = "meta"
    PUBLIC = "public"


class Node(StrEnum):
    """What `object_id` in a path has to be: own number, own account, our app, or what the handler takes."""

    PHONE = "phone"
    WABA = "waba"
    APP = "app"
    ANY = "any"


@dataclass(frozen=True)
class Endpoint:
    """One method of one path. `name` is for metrics and rate limits."""

    method: str
    template: str
    name: str
    handler: Handler
    dialect: Dialect = Dialect.MESSAGING
    node: Node = Node.ANY


@dataclass(frozen=True)
class RouteEntry:
    """One line of the access matrix."""

    method: str
    path: str
    access: Access


@dataclass(frozen=True)
class Match:
    """What a path leads to; without an endpoint, `allowed` names the methods that it does take."""

    endpoint: Endpoint | None
    params: dict[str, str]
    allowed: tuple[str, ...] = ()


def _own(method: str, template: str, name: str, handler: Handler) -> list[Endpoint]:
    is_configuration = template.startswith(("/v1/configs", "/waba_webhook"))
    dialect = Dialect.CONFIGURATION if is_configuration else Dialect.MESSAGING
    return [Endpoint(method, template, name, handler, dialect)]


def _graph(method: str, rest: str, name: str, handler: Handler, node: Node) -> list[Endpoint]:
    return [
        Endpoint(method, prefix + rest, name, handler, Dialect.GRAPH, node) for prefix in ("/{version}", "")
    ]


def _edges(rest: str, edge: passthrough.Edge, *, own: str = "", node: Node = Node.PHONE) -> list[Endpoint]:
    found: list[Endpoint] = []
    for method in edge.queries:
        if own:
            found += _own(method, own, edge.name, edge)
        if rest:
            found += _graph(method, rest, edge.name, edge, node)
    return found


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *_own("POST", "/messages", "messages", messages.send_message),
    *_own("POST", "/v1/messages", "messages", messages.send_message),
    *_graph("POST", "/{object_id}/messages", "messages", messages.send_message, Node.PHONE),
    *_own("POST", "/marketing_messages", "marketing_messages", messages.send_marketing_message),
    *_own("POST", "/v1/marketing_messages", "marketing_messages", messages.send_marketing_message),
    *_graph(
        "POST",
        "/{object_id}/marketing_messages",
        "marketing_messages",
        messages.send_marketing_message,
        Node.PHONE,
    ),
    *_own("POST", "/media", "media_upload", media.upload),
    *_own("POST", "/v1/media", "media_upload", media.upload),
    *_graph("POST", "/{object_id}/media", "media_upload", media.upload, Node.PHONE),
    *_own("GET", "/media/{object_id}", "media", media.describe),
    *_own("DELETE", "/media/{object_id}", "media", media.delete),
    *_own("GET", "/v1/media/{object_id}", "media", media.describe),
    *_own("DELETE", "/v1/media/{object_id}", "media", media.delete),
    *_own("GET", "/{object_id}", "media", media.describe_or_read),
    *_own("DELETE", "/{object_id}", "media", media.delete),
    Endpoint("GET", "/{version}/{object_id}", "media", media.describe_or_read, Dialect.GRAPH),
    Endpoint("DELETE", "/{version}/{object_id}", "media", media.delete, Dialect.GRAPH),
    *_own("GET", "/whatsapp_business/attachments", "media_download", media.download),
    *_own("POST", "/uploads", "upload_open", media.open_upload),
    *_graph("POST", "/{object_id}/uploads", "upload_open", media.open_upload, Node.APP),
    *_own("POST", "/{session_id}", "upload", media.continue_upload),
    *_own("GET", "/{session_id}", "upload", media.continue_upload),
    Endpoint("POST", "/{version}/{session_id}", "upload", media.continue_upload, Dialect.GRAPH),
    Endpoint("GET", "/{version}/{session_id}", "upload", media.continue_upload, Dialect.GRAPH),
    *_own("POST", "/{object_id}", "upload", media.refuse_session),
    *_own("GET", "/v1/configs/webhook", "webhook", configurations.read_channel_webhook),
    *_own("POST", "/v1/configs/webhook", "webhook", configurations.set_channel_webhook),
    *_own("GET", "/waba_webhook", "waba_webhook", configurations.read_waba_webhook),
    *_own("POST", "/waba_webhook", "waba_webhook", configurations.set_waba_webhook),
    *_own("GET", "/v1/configs/templates", "templates", templates.list_templates),
    *_own("POST", "/v1/configs/templates", "templates", templates.create_template),
    *_own("DELETE", "/v1/configs/templates/{name}", "templates", templates.delete_template),
    *_graph("GET", "/{object_id}/message_templates", "templates", templates.AT_META, Node.WABA),
    *_graph("POST", "/{object_id}/message_templates", "templates", templates.create_template, Node.WABA),
    *_graph("DELETE", "/{object_id}/message_templates", "templates", templates.delete_templates, Node.WABA),
    *_edges("/{object_id}/whatsapp_business_profile", passthrough.PROFILE, own="/whatsapp_business_profile"),
    *_edges("", passthrough.HEALTH, own="/health_status"),
    *_edges("/{object_id}/block_users", passthrough.BLOCK_USERS, own="/block_users"),
    *_edges("", passthrough.AUTOMATION_STATE, own="/conversational_automation"),
    *_edges(
        "/{object_id}/conversational_automation", passthrough.AUTOMATION, own="/conversational_automation"
    ),
    *_edges(
        "/{object_id}/whatsapp_business_encryption",
        passthrough.ENCRYPTION,
        own="/whatsapp_business_encryption",
    ),
    *_edges("/{object_id}/calls", passthrough.CALLS, own="/calling/calls"),
    *_edges("/{object_id}/call_permissions", passthrough.CALL_PERMISSIONS),
    *_edges("", passthrough.CALL_PERMISSION, own="/calling/permissions/{user_id}"),
    *_edges("/{object_id}/settings", passthrough.SETTINGS, own="/calling/settings"),
    *_edges("/{object_id}/groups", passthrough.GROUPS, own="/groups"),
    *_edges("", passthrough.GROUP, own="/groups/{group_id}"),
    *[
        Endpoint(method, "/{version}/{group_id}", "group", passthrough.GROUP, Dialect.GRAPH)
        for method in passthrough.GROUP.queries
    ],
    *_edges(
        "/{group_id}/invite_link", passthrough.GROUP_LINK, own="/groups/{group_id}/invite_link", node=Node.ANY
    ),
    *_edges(
        "/{group_id}/join_requests",
        passthrough.GROUP_REQUESTS,
        own="/groups/{group_id}/join_requests",
        node=Node.ANY,
    ),
    *_edges(
        "/{group_id}/participants",
        passthrough.GROUP_MEMBERS,
        own="/groups/{group_id}/participants",
        node=Node.ANY,
    ),
    *_edges("/{object_id}/message_qrdls", passthrough.QR_CODES, own="/message_qrdls"),
    *_edges("/{object_id}/message_qrdls/{code}", passthrough.QR_CODE, own="/message_qrdls/{code}"),
    *_edges(
        "/{object_id}/whatsapp_commerce_settings", passthrough.COMMERCE, own="/whatsapp_commerce_settings"
    ),
    *_edges("/{object_id}/official_business_account", passthrough.OFFICIAL, own="/official_business_account"),
    *_edges("/{object_id}/business_compliance_info", passthrough.COMPLIANCE, own="/business_compliance_info"),
)

# Served before the table is asked: Meta's callback and what the machines around us look at.
CALLBACK_PATH: Final = "/meta/webhook"
OTHERS: Final = (
    RouteEntry("GET", CALLBACK_PATH, Access.META),
    RouteEntry("POST", CALLBACK_PATH, Access.META),
    RouteEntry("GET", "/healthz", Access.PUBLIC),
    RouteEntry("GET", "/readyz", Access.PUBLIC),
)


def list_routes() -> list[RouteEntry]:
    """Return every method of every path, and who may use it."""
    return [*OTHERS, *(RouteEntry(each.method, each.template, Access.CHANNEL_KEY) for each in ENDPOINTS)]


def _index() -> tuple[dict[str, dict[str, Endpoint]], dict[int, list[tuple[re.Pattern[str], Endpoint]]]]:
    plain: dict[str, dict[str, Endpoint]] = {}
    patterns: dict[int, list[tuple[re.Pattern[str], Endpoint]]] = {}
    for endpoint in ENDPOINTS:
        if "{" not in endpoint.template:
            plain.setdefault(endpoint.template, {})[endpoint.method] = endpoint
            continue
        pattern = re.sub(r"\{(\w+)\}", lambda part: f"(?P<{part[1]}>{_PARTS[part[1]]})", endpoint.template)
        patterns.setdefault(endpoint.template.count("/"), []).append((re.compile(pattern), endpoint))
    return plain, patterns


_PLAIN, _PATTERNS = _index()


def find(method: str, path: str) -> Match:
    """Return what a path (without a trailing slash) leads to."""
    methods = _PLAIN.get(path)
    if methods is not None:
        endpoint = methods.get(method)
        return Match(endpoint, {}, () if endpoint else tuple(methods))
    return _search(method, path) if len(path) < 256 else Match(None, {})


def _search(method: str, path: str) -> Match:
    allowed: list[str] = []
    for pattern, endpoint in _PATTERNS.get(path.count("/"), ()):
        match = pattern.fullmatch(path)
        if match is None:
            continue
        if endpoint.method == method:
            return Match(endpoint, match.groupdict())
        allowed.append(endpoint.method)
    return Match(None, {}, tuple(dict.fromkeys(allowed)))


def is_graph_path(path: str) -> bool:
    """Say whether a path that leads nowhere would be one of Graph's."""
    return re.match(r"/(v[0-9]{1,2}\.[0-9]{1,2}|[0-9]{1,20}/)", path) is not None
