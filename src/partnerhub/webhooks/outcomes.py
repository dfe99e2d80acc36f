"""What came of one attempt: success or the kind of failure, and what is kept of the answer.

Kinds of failure are stable words, stored in the log and translated to sentences by `verdicts`. Those below
the HTTP status are the client's (`FailureKind`); of the statuses, redirects, 410 and 429 have their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from partnerhub.kit.clock import now
from partnerhub.kit.errors import HubError
from partnerhub.kit.http import Answer, ExchangeError, FailureKind, Headers, Reason, Timings
from partnerhub.webhooks.policy import KEPT_ANSWER_BYTES

URL_INVALID = "url_invalid"
INTERNAL = "internal"

_MAX_KEPT_HEADERS = 40
_MAX_KEPT_VALUE = 512
_SECRET_HEADERS = frozenset(
    {"set-cookie", "set-cookie2", "authorization", "proxy-authorization", "www-authenticate"}
)
_SECRET_WORDS = ("token", "secret", "password", "api-key", "apikey", "session", "signature", "credential")
_NO_TIMINGS = Timings()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt's end. `error` is None exactly for a 2xx that came whole; `reason` is the client's."""

    status: int | None
    error: str | None
    timings: Timings
    retry_after: float | None = None
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    body_truncated: bool = False
    peer_address: str | None = None
    location: str | None = None
    detail: str = ""
    reason: Reason | None = None

    @property
    def is_success(self) -> bool:
        """Say whether the receiver took the event."""
        return self.error is None

    @property
    def is_gone(self) -> bool:
        """Say whether the receiver wants no more events here."""
        return self.error == "gone"

    @property
    def is_ours(self) -> bool:
        """Say whether our own side failed; the receiver is not blamed for it."""
        return self.error in (FailureKind.LOCAL, INTERNAL)


def of_answer(answer: Answer) -> Outcome:
    """Read an outcome off an answer."""
    status = answer.status
    if 200 <= status < 300:
        if not answer.headers and not answer.body:
            return Outcome(
                status=status, error=None, timings=answer.timings, peer_address=answer.peer_address
            )
        error = None
    else:
        error = _status_error(status)
    return _with_answer(answer, error)


def of_error(error: BaseException) -> Outcome:
    """Read an outcome off what the client raised."""
    if isinstance(error, ExchangeError):
        if error.answer is not None:
            return _with_answer(error.answer, str(error.kind), reason=error.reason)
        return Outcome(
            status=None,
            error=str(error.kind),
            timings=error.timings,
            peer_address=error.peer_address,
            detail=error.message,
            reason=error.reason,
        )
    if isinstance(error, HubError):
        return Outcome(status=None, error=URL_INVALID, timings=_NO_TIMINGS, detail=error.message)
    return Outcome(status=None, error=INTERNAL, timings=_NO_TIMINGS, detail=type(error).__name__)


def kept_headers(headers: Headers) -> list[tuple[str, str]]:
    """Return the answer's headers for the log, values that may be secrets removed."""
    kept = []
    for name, value in headers.items()[:_MAX_KEPT_HEADERS]:
        if name in _SECRET_HEADERS or any(word in name for word in _SECRET_WORDS):
            kept.append((name, "[removed]"))
        else:
            kept.append((name, value[:_MAX_KEPT_VALUE].replace("\x00", "")))
    return kept


def _status_error(status: int) -> str:
    match status:
        case 410:
            return "gone"
        case 429:
            return "throttled"
        case _ if 300 <= status < 400:
            return "redirect"
        case _ if 400 <= status < 500:
            return "client_error"
        case _ if status >= 500:
            return "server_error"
        case _:
            return "malformed"


def _with_answer(answer: Answer, error: str | None, *, reason: Reason | None = None) -> Outcome:
    return Outcome(
        status=answer.status,
        error=error,
        timings=answer.timings,
        retry_after=None if error is None else _retry_after(answer.headers.get("retry-after")),
        headers=kept_headers(answer.headers),
        body=answer.body[:KEPT_ANSWER_BYTES],
        body_truncated=answer.body_truncated or len(answer.body) > KEPT_ANSWER_BYTES,
        peer_address=answer.peer_address,
        location=answer.headers.get("location"),
        detail="" if reason is None else str(reason),
        reason=reason,
    )


def _retry_after(text: str | None) -> float | None:
    """Read Retry-After: seconds, or a date (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - now()).total_seconds(), 0.0)
