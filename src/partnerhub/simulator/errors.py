"""Meta's errors: what each code is called, which HTTP status carries it, and its envelope."""

from __future__ import annotations

from partnerhub.kit.errors import HubError
from partnerhub.simulator.model import Json

TITLES: dict[int, str] = {
    0: "AuthException",
    1: "API Unknown",
    2: "API Service",
    3: "API Method",
    4: "API Too Many Calls",
    10: "Application does not have permission for this action",
    33: "Parameter value is not valid",
    100: "Invalid parameter",
    190: "Access token has expired",
    200: "API Permission",
    368: "Temporarily blocked for policies violations",
    613: "Calls to this api have exceeded the rate limit",
    2200: "Callback verification failed",
    80007: "Rate limit issues",
    130429: "Rate limit hit",
    130472: "User's number is part of an experiment",
    130497: "Business account is restricted from messaging users in this country",
    131000: "Something went wrong",
    131005: "Access denied",
    131008: "Required parameter is missing",
    131009: "Parameter value is not valid",
    131016: "Service unavailable",
    131021: "Recipient cannot be sender",
    131026: "Message undeliverable",
    131030: "Recipient phone number not in allowed list",
    131031: "Business Account locked",
    131037: "WhatsApp provided number needs display name approval before message can be sent",
    131042: "Business eligibility payment issue",
    131044: "Business eligibility payment issue",
    131045: "Incorrect certificate",
    131047: "Re-engagement message",
    131048: "Spam rate limit hit",
    131049: "This message was not delivered to maintain healthy ecosystem engagement",
    131050: "User has stopped receiving marketing messages from this business",
    131051: "Unsupported message type",
    131052: "Media download error",
    131053: "Media upload error",
    131055: "Method not allowed",
    131056: "(Business Account, Consumer Account) pair rate limit hit",
    131057: "Account in maintenance mode",
    131059: "Invalid cursor",
    131060: "This message is unavailable on the companion client",
    131062: "Business-scoped user ids are not supported for this message",
    131063: "Marketing templates are disabled on Cloud API",
    131064: "Messaging limit reached",
    132000: "Number of parameters does not match the expected number of params",
    132001: "Template name does not exist in the translation",
    132005: "Translated text too long",
    132007: "Template format character policy violated",
    132008: "Parameter value is not valid",
    132012: "Parameter format does not match format in the created template",
    132015: "Template is paused",
    132016: "Template is disabled",
    132068: "Flow is in blocked state",
    132069: "Flow is in throttled state",
    133000: "Incomplete deregistration",
    133004: "Server temporarily unavailable",
    133005: "Two step verification PIN mismatch",
    133006: "Phone number re-verification needed",
    133008: "Too many two step verification PIN guesses",
    133009: "Two step verification PIN guessed too fast",
    133010: "The account is not registered",
    133015: "Please wait a few minutes before attempting to register this phone number",
    133016: "Account register deregister rate limit exceeded",
    134011: "WhatsApp Payments terms of service has not been accepted",
    134100: "Only marketing messages supported",
    134101: "Template is still syncing",
    134102: "Template unavailable for use",
    134103: "Template cannot be used on this API",
    135000: "Generic user error",
    136024: "Cannot request a verification code now",
    136025: "Verify code error",
    137000: "Identity key mismatch",
    139100: "Failed to block or unblock some users",
    139101: "Block list is full",
    2388001: "Cannot create certificate",
    2388012: "Phone number already exists on this account",
    2388091: "Phone number is not eligible for a verification code",
    2388103: "Phone number cannot be migrated",
    2494100: "Phone number is in maintenance",
}

_THROTTLES = frozenset({4, 80007, 613, 130429, 131048, 131056, 131064, 133016, 136024})

_STATUS: dict[int, int] = {
    0: 401,
    190: 401,
    10: 403,
    200: 403,
    368: 403,
    130497: 403,
    131005: 403,
    131031: 403,
    132001: 404,
    1: 400,
    3: 500,
    131000: 500,
    131016: 500,
    131045: 500,
    131057: 500,
    133000: 500,
    134102: 500,
    2: 503,
    133004: 503,
}


def is_throttle(code: int) -> bool:
    """Return whether `code` means "slower"; its HTTP status follows the rule `throttle_status`."""
    return code in _THROTTLES


def http_status(code: int) -> int:
    """Return the documented HTTP status of a code. Source: Meta's error table, December 2025."""
    if 201 <= code <= 299:
        return 403
    return _STATUS.get(code, 400)


class GraphError(HubError):
    """A refusal in Meta's words; rendered as the Graph error envelope."""

    code = "graph_error"
    status = 400

    def __init__(
        self,
        number: int,
        details: str | None = None,
        *,
        message: str | None = None,
        subcode: int | None = None,
        kind: str = "OAuthException",
        user_title: str | None = None,
        user_message: str | None = None,
        http: int | None = None,
        is_messaging: bool = True,
        extra: Json | None = None,
    ) -> None:
        super().__init__(message or f"(#{number}) {TITLES.get(number, 'Unknown error')}")
        self.number = number
        self.details = details
        self.subcode = subcode
        self.kind = kind
        self.user_title = user_title
        self.user_message = user_message
        self.http = http or http_status(number)
        self.is_messaging = is_messaging
        self.extra = extra

    def envelope(self, trace_id: str) -> Json:
        """Return the body Graph would answer with."""
        error: Json = {"message": self.message, "type": self.kind, "code": self.number}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.details is not None:
            data: Json = {"details": self.details}
            error["error_data"] = {"messaging_product": "whatsapp", **data} if self.is_messaging else data
        if self.user_title is not None:
            error["is_transient"] = False
            error["error_user_title"] = self.user_title
            error["error_user_msg"] = self.user_message or self.user_title
        error["fbtrace_id"] = trace_id
        return {**(self.extra or {}), "error": error}


def unknown_object(object_id: str, method: str = "get") -> GraphError:
    """Make the one error Graph gives for a missing object and for one the token may not see."""
    return GraphError(
        100,
        message=(
            f"Unsupported {method.lower()} request. Object with ID '{object_id}' does not exist, cannot be "
            "loaded due to missing permissions, or does not support this operation. Please read the "
            "Graph API documentation at https://developers.facebook.com/docs/graph-api"
        ),
        subcode=33,
        kind="GraphMethodException",
    )


def invalid(details: str, *, message: str | None = None) -> GraphError:
    """Make error 100 with details."""
    return GraphError(100, details, message=message)


def missing(name: str) -> GraphError:
    """Make error 100 for an absent required parameter."""
    return GraphError(100, message=f"(#100) The parameter {name} is required.")


def status_errors(code: int, details: str) -> list[Json]:
    """Return the `errors` array of a failed status."""
    title = TITLES.get(code, "Unknown error")
    return [
        {
            "code": code,
            "title": title,
            "message": title,
            "error_data": {"details": details or title},
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        }
    ]
