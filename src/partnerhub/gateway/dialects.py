"""Errors that the gateway makes itself, in the words and shapes that clients know.

One host speaks several dialects; which one depends on the path and on the operator's `error_style`. What Meta
refused is never rendered here: its status and body go to the client as they came.
Source: the Messaging API's public error table; shapes from its OpenAPI fragments and older error pages.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import msgspec

from partnerhub.gateway.asgi import HeaderPairs, Reply
from partnerhub.kit.errors import HubError, TooMany, Unavailable
from partnerhub.kit.pace import BodyTooSlow

INVALID_KEY: Final = "Invalid API key"
DISABLED: Final = "API for this number has been disabled"
RATE_LIMIT: Final = "endpoint rate limit exceeded"
MISSING_PAYMENT: Final = (
    "message not sent because of missing payment. Message sending is resumed once the overdue invoices are "
    "settled. Please contact your integration partner."
)
BLOCKED: Final = "endpoint is blocked"
INTERNAL: Final = "internal server error"
NOT_AVAILABLE: Final = "API not available for this number"


class Style(Enum):
    """The operator's choice for paths that have no shape of their own."""

    UNION = "union"
    SIMPLE = "simple"
    META = "meta"


class Dialect(Enum):
    """What the path's clients expect: the hub's own paths, its configuration paths, or Graph's."""

    MESSAGING = "messaging"
    CONFIGURATION = "configuration"
    GRAPH = "graph"


class Refused(HubError):
    """An error with a wording of the public table. `graph_code` is Meta's nearest code."""

    code = "refused"

    def __init__(
        self, status: int, message: str, *, code: str, graph_code: int = 0, graph_message: str = ""
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.graph_code = graph_code
        self.graph_message = graph_message


def invalid_key() -> Refused:
    """The key is missing, wrong or revoked."""
    return Refused(
        401,
        INVALID_KEY,
        code="invalid_api_key",
        graph_code=190,
        graph_message="Invalid OAuth access token - Cannot parse access token",
    )


def disabled() -> Refused:
    """The number was cancelled."""
    return Refused(400, DISABLED, code="number_disabled", graph_code=131031)


def rate_limited() -> Refused:
    """The gateway's own limit; 80007 makes clients that know Meta's throttle codes wait."""
    return Refused(400, RATE_LIMIT, code="endpoint_rate_limit", graph_code=80007)


def missing_payment() -> Refused:
    """The balance does not cover the highest price of the message."""
    return Refused(400, MISSING_PAYMENT, code="payment_missing", graph_code=131042)


def blocked() -> Refused:
    """The path is not on the list of what passes through."""
    return Refused(403, BLOCKED, code="endpoint_blocked", graph_code=10)


def not_available() -> Refused:
    """The number is not running."""
    return Refused(502, NOT_AVAILABLE, code="number_not_available", graph_code=133010)


def unknown_object(ident: str) -> Refused:
    """The id is not one that this key reaches; Meta's words for it."""
    message = (
        f"Unsupported request. Object with ID '{ident}' does not exist, cannot be loaded due to missing "
        "permissions, or does not support this operation"
    )
    return Refused(404, message, code="unknown_object", graph_code=100)


def render(error: HubError, *, dialect: Dialect, style: Style, request_id: str) -> Reply:
    """Return the reply that says `error` in the dialect."""
    message = error.message
    graph_code = error.graph_code if isinstance(error, Refused) else 0
    if dialect is Dialect.GRAPH:
        if isinstance(error, Refused) and error.graph_message:
            message = error.graph_message
        body = _graph(error.status, message, graph_code or _GRAPH_CODES.get(error.status, 1), request_id)
    elif style is Style.UNION:
        body = _union(error, graph_code)
    elif style is Style.META or dialect is Dialect.CONFIGURATION:
        body = {"meta": _meta(error)}
    else:
        body = {"error": message}
    return Reply(error.status, msgspec.json.encode(body), headers=_headers(error))


_GRAPH_CODES: Final = {400: 100, 401: 190, 403: 10, 404: 100, 413: 100, 429: 4, 503: 2}


def _graph(status: int, message: str, code: int, request_id: str) -> dict[str, Any]:  # Any: JSON
    error: dict[str, Any] = {"message": f"(#{code}) {message}", "type": "OAuthException", "code": code}
    if status == 404:
        error = {"message": message, "type": "GraphMethodException", "code": code, "error_subcode": 33}
    return {"error": {**error, "fbtrace_id": request_id}}


def _union(error: HubError, graph_code: int) -> dict[str, Any]:  # Any: JSON
    # The status stands where Meta's code would, but for a throttle that clients recognise by code.
    code = graph_code if error.code == "endpoint_rate_limit" else error.status
    return {
        "error": {
            "message": error.message,
            "type": "GatewayException",
            "code": code,
            "error_data": {"messaging_product": "whatsapp", "details": _details(error)},
        },
        "meta": _meta(error),
    }


def _meta(error: HubError) -> dict[str, Any]:  # Any: JSON
    meta: dict[str, Any] = {
        "success": False,
        "http_code": error.status,
        "developer_message": error.message,
    }
    if error.fields:
        meta["details"] = [f"{name}: {problem}" for name, problem in error.fields.items()]
    return meta


def _details(error: HubError) -> str:
    return "; ".join(error.fields.values()) or f"{error.message} ({error.code})"


def _headers(error: HubError) -> HeaderPairs:
    match error:
        case TooMany():
            return [(b"retry-after", b"%d" % error.retry_after_seconds)]
        case BodyTooSlow():
            # What is still to come of the body belongs to nobody.
            return [(b"retry-after", b"1"), (b"connection", b"close")]
        case Unavailable():
            return [(b"retry-after", b"1")]
        case _ if error.code == "endpoint_rate_limit":
            return [(b"retry-after", b"1")]
        case _:
            return []
