"""The access matrix: for every operation, what each kind of caller gets.

Rows are keyed by method and path template. An operation without a row, and a row without an operation,
fails the check; a test calls every cell over HTTP. To add a route of the hub, add its line to `HUB_ROWS`
below, in the block of its door, and name what callers get by one of the profiles; the gateway's are listed
in `access_gateway`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from litestar.routes import BaseRoute

from partnerhub.web.guards import handlers_of


class Caller(StrEnum):
    """Who calls. `OTHER_…` and `CROSSED` belong to another partner than the objects asked for."""

    ANONYMOUS = "anonymous"
    MEMBER = "member"
    OWNER = "owner"
    CLIENT = "client"
    OPERATOR = "operator"
    KEY_READ = "key_read"
    KEY_WRITE = "key_write"
    KEY_SECURITY = "key_security"
    OWNER_TOKEN = "owner_token"  # noqa: S105 - a kind of caller: a legacy token of an owner
    MEMBER_TOKEN = "member_token"  # noqa: S105 - the same of a member
    CHANNEL_KEY = "channel_key"
    OTHER_OWNER = "other_owner"
    OTHER_KEY = "other_key"
    CROSSED = "crossed"  # another partner's key under its own partner id, for this partner's objects


class Outcome(Enum):
    """What a caller gets."""

    PASSES = "passes"  # whatever the handler answers, it was reached
    SIGN_IN = "sign_in"  # led to the sign-in page
    UNAUTHENTICATED = "401"
    FORBIDDEN = "403"
    MISSING = "404"  # the handler was reached and the object is another tenant's


@dataclass(frozen=True)
class Row:
    """What each caller gets."""

    anonymous: Outcome
    member: Outcome
    owner: Outcome
    client: Outcome
    operator: Outcome
    key_read: Outcome
    key_write: Outcome
    key_security: Outcome
    owner_token: Outcome
    member_token: Outcome
    channel_key: Outcome
    other_owner: Outcome
    other_key: Outcome
    crossed: Outcome

    def expected(self, caller: Caller) -> Outcome:
        """Return the cell of a caller."""
        outcome: Outcome = getattr(self, caller.value)
        return outcome

    def but(self, **cells: Outcome) -> Row:
        """Return this row with some cells changed."""
        return replace(self, **cells)


_PASSES, _SIGN_IN = Outcome.PASSES, Outcome.SIGN_IN
_UNKNOWN, _FORBIDDEN, _MISSING = Outcome.UNAUTHENTICATED, Outcome.FORBIDDEN, Outcome.MISSING


def _row(default: Outcome, **cells: Outcome) -> Row:
    return Row(**{caller.value: cells.get(caller.value, default) for caller in Caller})


OPEN = _row(_PASSES)
"""Anybody: sign-in pages, health, static files, the token call."""

# On pages a key is no credential, and another hub's session is none of this hub's.
PARTNER_PAGE = _row(_SIGN_IN, member=_PASSES, owner=_PASSES, other_owner=_PASSES)
"""A page of the Partner Hub without ids in its path: everybody sees their own partner."""
OWNER_PAGE = PARTNER_PAGE.but(member=_FORBIDDEN)
"""A page of the Partner Hub for owners."""
PARTNER_OBJECT_PAGE = PARTNER_PAGE.but(other_owner=_MISSING)
"""A page about one object, whose id is in the path."""
OWNER_OBJECT_PAGE = OWNER_PAGE.but(other_owner=_MISSING)
"""The same for owners."""
CLIENT_PAGE = _row(_SIGN_IN, client=_PASSES)
"""A page of the Client Hub."""
OPERATOR_PAGE = _row(_SIGN_IN, operator=_PASSES)
"""A page of the operator."""

# On API paths a session is no credential; a channel key is not a partner's.
API_READ = _row(
    _UNKNOWN,
    key_read=_PASSES,
    key_write=_FORBIDDEN,
    key_security=_FORBIDDEN,
    owner_token=_PASSES,
    member_token=_PASSES,
    other_key=_FORBIDDEN,
    crossed=_PASSES,
)
"""An API call with the scope `read`, the partner id in its path and no other."""
API_WRITE = API_READ.but(key_read=_FORBIDDEN, key_write=_PASSES)
"""An API call with the scope `write`."""
API_SETTING = API_WRITE.but(member_token=_FORBIDDEN)
"""An API call with the scope `write` that changes or tests what on pages is for owners."""
API_SECURITY = API_READ.but(
    key_read=_FORBIDDEN, key_security=_PASSES, owner_token=_FORBIDDEN, member_token=_FORBIDDEN
)
"""An API call with the scope `security`: what pages guard by a one-time code."""
API_READ_OBJECT = API_READ.but(crossed=_MISSING)
"""An API call with the scope `read` that names an object in its path."""
API_WRITE_OBJECT = API_WRITE.but(crossed=_MISSING)
"""The same with `write`."""
API_SECURITY_OBJECT = API_SECURITY.but(crossed=_MISSING)
"""The same with `security`."""

_PARTNER = "/api/v2/partners/{partner_id}"
_HUB = "/api/hub/v1/partners/{partner_id}"
_OLDER = "/v1/partners/{partner_id}"
_CHANNEL = f"{_PARTNER}/channels/{{channel_id}}"
_CONTROL = f"{_PARTNER}/clients/{{client_id}}/channels/{{channel_id}}/control"
_WABA = f"{_PARTNER}/waba_accounts/{{waba_id}}"
_TEMPLATES = "/waba_accounts/{waba_id}/waba_templates"

HUB_ROWS: Mapping[str, Row] = {
    # machines around the process; metrics decide by themselves who may see them
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /metrics": OPEN,
    # looks and static files
    "POST /preferences": OPEN,
    "GET /static": OPEN,
    "GET /onboarding/static/{file_path}": OPEN,
    "HEAD /onboarding/static/{file_path}": OPEN,
    # coming in and going out
    "GET /": OPEN,
    **{
        f"{operation[0]} {prefix}{operation[1]}": OPEN
        for prefix in ("", "/client", "/operator")
        for operation in (
            ("GET", "/sign-in"),
            ("POST", "/sign-in"),
            ("POST", "/sign-out"),
            ("GET", "/forgot-password"),
            ("POST", "/forgot-password"),
            ("GET", "/reset-password"),
            ("POST", "/reset-password"),
        )
    },
    "GET /switch": PARTNER_PAGE,
    "POST /switch": PARTNER_PAGE,
    # one's own account, in each hub
    **{
        f"{operation[0]} {prefix}{operation[1]}": row
        for prefix, row in (("", PARTNER_PAGE), ("/client", CLIENT_PAGE), ("/operator", OPERATOR_PAGE))
        for operation in (
            ("GET", "/account"),
            ("POST", "/account/password"),
            ("POST", "/account/sessions/end-others"),
            ("POST", "/codes"),
        )
    },
    "POST /account/sessions/{session_id}/end": PARTNER_OBJECT_PAGE,
    "POST /client/account/sessions/{session_id}/end": CLIENT_PAGE,
    "POST /operator/account/sessions/{session_id}/end": OPERATOR_PAGE,
    # Partner Hub: WhatsApp accounts, integration, delivery log
    "GET /dashboard": PARTNER_PAGE,
    "GET /dashboard/partner/accounts": PARTNER_PAGE,
    "GET /dashboard/partner/accounts/{channel_id}": PARTNER_OBJECT_PAGE,
    "GET /dashboard/partner/accounts/{channel_id}/api-key": PARTNER_OBJECT_PAGE,
    "POST /dashboard/partner/accounts/{channel_id}/api-key": PARTNER_OBJECT_PAGE,
    "GET /dashboard/partner/integration": PARTNER_PAGE,
    "POST /dashboard/partner/integration": OWNER_PAGE,
    **{
        f"POST /dashboard/partner/integration/{change}": OWNER_PAGE
        for change in (
            "test",
            "test-redirect",
            "solution",
            "defaults",
            "overlap",
            "headers",
            "legacy-tokens/off",
            "io-signature/on",
            "confirm/{action}",
            "confirm/{action}/code",
        )
    },
    "GET /dashboard/partner/integration/headers": OWNER_PAGE,
    "GET /dashboard/partner/integration/signature": PARTNER_PAGE,
    "POST /dashboard/partner/integration/signature": PARTNER_PAGE,
    "GET /dashboard/partner/integration/confirm/{action}": OWNER_PAGE,
    "GET /dashboard/partner/connect": PARTNER_PAGE,
    "GET /dashboard/partner/search": PARTNER_PAGE,
    "GET /dashboard/partner/deliveries": PARTNER_PAGE,
    "GET /dashboard/partner/deliveries/replay": PARTNER_PAGE,
    "POST /dashboard/partner/deliveries/replay": PARTNER_PAGE,
    "GET /dashboard/partner/deliveries/{delivery_id}": PARTNER_OBJECT_PAGE,
    "POST /dashboard/partner/deliveries/{delivery_id}/replay": PARTNER_OBJECT_PAGE,
    # the onboarding popup: open to everybody with a link; a run belongs to the browser that began it
    "GET /dashboard/app/{link_partner}": OPEN,
    "GET /dashboard/app/{link_partner}/permissions": OPEN,
    "GET /onboarding/{link_partner}": OPEN,
    "GET /onboarding/run/{run_id}": OPEN,
    "GET /onboarding/run/{run_id}/finish": OPEN,
    **{
        f"{method} /onboarding/run/{{run_id}}/{step}": OPEN
        for step in (
            "account",
            "again",
            "cancelled",
            "forgot-password",
            "known",
            "language",
            "leave",
            "permission",
            "permissions",
            "prices",
            "register",
            "reset-password",
            "sign-in",
            "signup",
        )
        for method in ("GET", "POST")
    },
    # the connect button, for any site
    "GET /connect/partnerhub-connect.js": OPEN,
    "GET /connect/{version}/partnerhub-connect.js": OPEN,
    # Partner API
    "POST /api/v2/token": OPEN,
    "GET /api/v2/openapi.json": OPEN,
    f"GET {_PARTNER}": API_READ,
    f"PATCH {_PARTNER}": API_SETTING,
    f"GET {_PARTNER}/webhook_url": API_READ,
    f"POST {_PARTNER}/webhook_url": API_SETTING,
    f"GET {_PARTNER}/balance": API_READ,
    f"PATCH {_PARTNER}/settings/partner_change_request": API_SETTING,
    f"GET {_PARTNER}/clients": API_READ,
    f"GET {_PARTNER}/clients/{{client_id}}": API_READ_OBJECT,
    f"PATCH {_PARTNER}/clients/{{client_id}}": API_WRITE_OBJECT,
    f"GET {_PARTNER}/channels": API_READ,
    f"GET {_CHANNEL}": API_READ_OBJECT,
    **{
        f"{method} {_CHANNEL}/{name}": row
        for name in ("api_keys", "api-keys")
        for method, row in (
            ("GET", API_READ_OBJECT),
            ("POST", API_WRITE_OBJECT),
            ("DELETE", API_WRITE_OBJECT),
        )
    },
    f"POST {_CONTROL}/cancellation_request": API_WRITE_OBJECT,
    f"POST {_CONTROL}/reactivate": API_WRITE_OBJECT,
    f"GET {_WABA}": API_READ_OBJECT,
    f"GET {_PARTNER}{_TEMPLATES}": API_READ_OBJECT,
    **{f"POST {prefix}{_TEMPLATES}": API_WRITE_OBJECT for prefix in (_PARTNER, _OLDER)},
    **{f"DELETE {prefix}{_TEMPLATES}/{{template_id}}": API_WRITE_OBJECT for prefix in (_PARTNER, _OLDER)},
    f"PATCH {_OLDER}{_TEMPLATES}/{{template_id}}": API_WRITE_OBJECT,
    # the hub's own API
    "GET /api/hub/v1/openapi.json": OPEN,
    f"GET {_HUB}/settings": API_READ,
    f"PATCH {_HUB}/settings": API_SETTING,
    f"POST {_HUB}/webhook_url/test": API_SETTING,
    f"POST {_HUB}/redirect_url/test": API_SETTING,
    # components, in development only
    **{
        f"GET /gallery{page}": OPEN
        for page in (
            "",
            "/delete",
            "/error",
            "/list",
            "/list/{account_id}",
            "/popup",
            "/search",
            "/secret",
            "/sign-in",
        )
    },
    **{f"POST /gallery/{form}": OPEN for form in ("delete", "secret", "toast")},
}


def operations_of(routes: Iterable[BaseRoute]) -> list[str]:
    """Return the operations of a route table, sorted: `GET /api/v2/partners/{partner_id}`."""
    found = set()
    for route in routes:
        path = "/".join(_plain(part) for part in route.path_format.split("/"))
        for handler in handlers_of(route):
            for method in getattr(handler, "http_methods", {"GET"}):
                found.add(f"{getattr(method, 'value', method)} {path}")
    return sorted(found)


def problems(operations: Iterable[str], rows: Mapping[str, Row]) -> list[str]:
    """Return what is wrong between a route table and the matrix, one line each."""
    known = set(operations)
    return [f"{operation}: no row in the access matrix" for operation in sorted(known - set(rows))] + [
        f"{operation}: a row without an operation" for operation in sorted(set(rows) - known)
    ]


def _plain(part: str) -> str:
    return "{" + part[1:-1].partition(":")[0] + "}" if part.startswith("{") else part
