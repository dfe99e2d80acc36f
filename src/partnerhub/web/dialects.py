"""How each door says that something went wrong; the path decides which.

Unmatched paths and wrong methods never reach a route, so the prefix is all there is to go by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus

import msgspec

from partnerhub.kit import logs
from partnerhub.kit.errors import HubError, Problem
from partnerhub.partners.errors import LegacyTokensOff
from partnerhub.web import partner_json
from partnerhub.web.failures import Failure


class Dialect(Enum):
    """Who reads the answer."""

    TOKEN = "token"  # noqa: S105 - a path
    PARTNER_API = "partner_api"
    HUB_API = "hub_api"
    PAGE = "page"


@dataclass(frozen=True)
class Answer:
    """A finished answer, for the framework and for plain ASGI alike."""

    status: int
    body: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


PageWriter = Callable[[Failure, Mapping[str, object]], Answer]
"""Writes an error page for people; gets the ASGI scope for language, theme and path."""

# OAuth's words, which clients of the token call know (RFC 6749, 5.2).
_OAUTH = {"sign_in_refused": "invalid_grant", "token_invalid": "invalid_grant"}


def dialect_of(path: str) -> Dialect:
    """Return the dialect of a path, matched by a route or not; doubled slashes count once, as for routes."""
    match [part for part in path.split("/") if part]:
        case ["api", "v2", "token", *_]:
            return Dialect.TOKEN
        case ["api", "hub", *_]:
            return Dialect.HUB_API
        case ["api" | "v1", *_]:
            return Dialect.PARTNER_API
        case _:
            return Dialect.PAGE


def answer(failure: Failure, *, path: str) -> Answer:
    """Say a failure to a machine."""
    headers = {**failure.headers, "x-error-code": failure.code}
    match dialect_of(path):
        case Dialect.TOKEN:
            body, media_type = partner_json.encode(_token_error(failure)), "application/json"
            headers["vary"] = partner_json.VARY
        case Dialect.HUB_API:
            body, media_type = msgspec.json.encode(_problem(failure)), "application/problem+json"
        case _:
            body, media_type = partner_json.encode(_meta(failure)), "application/json"
            headers["vary"] = partner_json.VARY
    return Answer(failure.status, body, media_type, headers)


def _token_error(failure: Failure) -> dict[str, str]:
    fallback = "invalid_request" if failure.status == 400 else failure.code
    return {"error": _OAUTH.get(failure.code, fallback), "error_description": failure.message}


def _meta(failure: Failure) -> dict[str, object]:
    meta: dict[str, object] = {
        "success": False,
        "http_code": failure.status,
        "developer_message": failure.message,
    }
    if failure.details:
        meta["details"] = failure.details
    if failure.upstream_code is not None or failure.trace_id is not None:
        # Clients read `status` as a number and `code` as a text.
        meta["error_data"] = {
            "code": str(failure.upstream_code if failure.upstream_code is not None else failure.code),
            "message": failure.message,
            "real_message": f"{failure.message} (trace {failure.trace_id or 'unknown'})",
            "status": failure.status,
        }
    body: dict[str, object] = {"meta": meta}
    if failure.code == LegacyTokensOff.code:
        # Clients of the token flow look for these two also where only `meta` is usual.
        body |= _token_error(failure)
    return body


def _problem(failure: Failure) -> dict[str, object]:
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(failure.status).phrase,
        "status": failure.status,
        "code": failure.code,
        "message": failure.message,
        "fields": dict(failure.fields),
        "problems": _problems(failure),
        "request_id": logs.request_id.get(),
    }
    if failure.upstream_code is not None or failure.trace_id is not None:
        problem["upstream"] = {"code": failure.upstream_code, "trace_id": failure.trace_id}
    if failure.code == LegacyTokensOff.code:
        problem |= _token_error(failure)
    return problem


def _problems(failure: Failure) -> list[dict[str, str]]:
    """List every reason by itself; an input without reasons of its own has one, under the error's code."""
    found = failure.cause.problems if isinstance(failure.cause, HubError) else ()
    if not found:
        found = tuple(Problem(field, failure.code, message) for field, message in failure.fields.items())
    return [{"field": one.field, "code": one.code, "message": one.message} for one in found]
