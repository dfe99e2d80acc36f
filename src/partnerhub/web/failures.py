"""What went wrong, told once for every dialect: any exception becomes a `Failure`.

Expected errors carry their own status and code. Everything else is a bug: logged here with its traceback
and the request id, and answered without a word about its cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import psycopg
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)

from partnerhub.kit import logs
from partnerhub.kit.errors import HubError, TooMany, Unavailable, UpstreamFailed

log = logs.get(__name__)

# What psycopg says of a text that PostgreSQL cannot hold.
_ZERO = "NUL (0x00)"

_CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "route_not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "media_type_unknown",
    422: "invalid",
    429: "too_many",
}


@dataclass(frozen=True)
class Failure:
    """An error as the outside may know it."""

    status: int
    code: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    upstream_code: int | None = None
    trace_id: str | None = None
    cause: Exception | None = None

    @property
    def details(self) -> list[str]:
        """Return the wrong fields as one line each."""
        return [f"{name}: {reason}" for name, reason in self.fields.items()]


def failure_of(error: Exception) -> Failure:
    """Tell an exception as a failure; a bug is logged here, once."""
    match error:
        case HubError():
            return _expected(error)
        case HTTPException():
            return _framework(error)
        case psycopg.DataError() if _ZERO in str(error):
            return Failure(
                400, "zero_character", "A value has a zero character in it; no text here holds one."
            )
        case psycopg.OperationalError():
            log.error("database away", reason=type(error).__name__)
            return Failure(503, "database_away", "The database does not answer.", headers=_retry(1))
        case _:
            return bug(error)


def bug(error: BaseException) -> Failure:
    """Log a bug with its traceback and return what the outside may know of it."""
    log.error("bug", exc_info=error)
    return Failure(
        500, "internal_error", "Something went wrong on our side. The request id helps us find it."
    )


def _expected(error: HubError) -> Failure:
    headers: dict[str, str] = {}
    if isinstance(error, TooMany):
        headers = _retry(error.retry_after_seconds)
    elif isinstance(error, Unavailable):
        headers = _retry(1)
    upstream = error if isinstance(error, UpstreamFailed) else None
    if error.status >= 500:
        log.warning("unavailable", code=error.code, status=error.status, reason=error.message)
    return Failure(
        status=error.status,
        code=error.code,
        message=error.message,
        fields=error.fields,
        headers=headers,
        upstream_code=upstream.upstream_code if upstream else None,
        trace_id=upstream.trace_id if upstream else None,
        cause=error,
    )


def _framework(error: HTTPException) -> Failure:
    status = error.status_code
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    match error:
        case ValidationException():
            fields = _wrong_fields(error.extra)
            return Failure(400, "validation_failed", "The request has wrong values.", fields, headers)
        case NotFoundException():
            return Failure(404, "route_not_found", "There is nothing at this address.", headers=headers)
        case MethodNotAllowedException():
            return Failure(
                405, "method_not_allowed", "This address does not take this method.", headers=headers
            )
        case _ if status >= 500:
            return bug(error)
        case _:
            code = _CODES.get(status, "bad_request")
            return Failure(status, code, error.detail or HTTPStatus(status).phrase, headers=headers)


def _wrong_fields(extra: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in extra if isinstance(extra, list) else []:
        if isinstance(part, dict):
            found[str(part.get("key") or "body")] = str(part.get("message", "is wrong"))
    return found


def _retry(seconds: int) -> dict[str, str]:
    return {"retry-after": str(seconds)}
