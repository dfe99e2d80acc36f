"""How a call to Meta fails: one error with Meta's own numbers and what to do about it."""

from __future__ import annotations

from typing import Final

import msgspec

from partnerhub.kit.errors import Invalid, UpstreamFailed
from partnerhub.kit.http import Answer, ExchangeError, FailureKind, Headers, Phase
from partnerhub.meta.codes import RetryClass, classify

# What decoding may end with: wrong syntax or type, bytes that are no UTF-8, nesting without end.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class MetaError(UpstreamFailed):
    """Meta refused a call, broke, or could not be reached.

    `code` is ours: `meta_refused` (Meta said no), `meta_unreachable` (nothing was done), `meta_unclear` (it
    may have been done), `meta_malformed` (the answer could not be read). Meta's own number is
    `upstream_code`, None when Meta said nothing; `http_status` likewise.
    """

    code = "meta_refused"

    def __init__(
        self,
        message: str,
        *,
        retry_class: RetryClass,
        code: str | None = None,
        http_status: int | None = None,
        upstream_code: int | None = None,
        subcode: int | None = None,
        details: str | None = None,
        user_title: str | None = None,
        user_message: str | None = None,
        fbtrace_id: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message, code=code, upstream_code=upstream_code, trace_id=fbtrace_id)
        self.retry_class = retry_class
        self.http_status = http_status
        self.subcode = subcode
        self.details = details
        self.user_title = user_title
        self.user_message = user_message
        self.retry_after_seconds = retry_after_seconds

    @property
    def fbtrace_id(self) -> str | None:
        """Meta's name for the trace id."""
        return self.trace_id


class InvalidGraphPath(Invalid):
    """A path with a part that is no id and no edge."""

    code = "invalid_graph_path"


class MediaUrlRefused(Invalid):
    """A media URL that does not lead to Meta's media host; the token is not sent there."""

    code = "media_url_refused"


class _ErrorData(msgspec.Struct):
    details: str | None = None


class _ErrorBody(msgspec.Struct):
    message: str = "Meta gave no reason."
    code: int | None = None
    error_subcode: int | None = None
    error_data: _ErrorData | str | None = None
    error_user_title: str | None = None
    error_user_msg: str | None = None
    is_transient: bool | None = None
    fbtrace_id: str | None = None


class _Wrapped(msgspec.Struct):
    error: _ErrorBody


class _Usage(msgspec.Struct):
    estimated_time_to_regain_access: int = 0


_decode_error = msgspec.json.Decoder(_Wrapped, strict=False).decode
_decode_usage = msgspec.json.Decoder(dict[str, list[_Usage]], strict=False).decode


def refusal_of(answer: Answer, *, is_safe: bool) -> MetaError:
    """Read an answer with an error status, whatever its body is."""
    trace_id = answer.headers.get("x-fb-trace-id")
    try:
        error = _decode_error(answer.body).error
    except UNREADABLE:
        return MetaError(
            f"Meta answered {answer.status} without an error body.",
            retry_class=classify(None, answer.status, is_transient=False, is_safe=is_safe),
            http_status=answer.status,
            fbtrace_id=trace_id,
            retry_after_seconds=_retry_after_seconds(answer.headers),
        )
    data = error.error_data
    return MetaError(
        error.message,
        retry_class=classify(
            error.code, answer.status, is_transient=error.is_transient is True, is_safe=is_safe
        ),
        http_status=answer.status,
        upstream_code=error.code,
        subcode=error.error_subcode,
        details=data.details if isinstance(data, _ErrorData) else data,
        user_title=error.error_user_title,
        user_message=error.error_user_msg,
        fbtrace_id=error.fbtrace_id or trace_id,
        retry_after_seconds=_retry_after_seconds(answer.headers),
    )


def unreachable(error: ExchangeError, *, is_safe: bool) -> MetaError:
    """Turn a failed exchange into what it means for the call."""
    words = "Meta could not be reached"
    if error.kind is FailureKind.BLOCKED:
        retry_class, code = RetryClass.FINAL, "meta_unreachable"
    elif is_safe or error.phase is Phase.PRE_DELIVERY:
        retry_class, code = RetryClass.RETRY, "meta_unreachable"
    else:
        # It went out whole or in part: nobody here knows whether Meta did it.
        retry_class, code = RetryClass.AMBIGUOUS, "meta_unclear"
        words = "Meta's answer was lost, and what was asked for may have been done"
    failure = MetaError(f"{words}: {error.message}", retry_class=retry_class, code=code)
    failure.status = error.status
    return failure


def malformed(what: str, http_status: int, *, is_safe: bool) -> MetaError:
    """Make the error of an answer that cannot be read, whatever it was meant to say."""
    return MetaError(
        what,
        retry_class=RetryClass.RETRY if is_safe else RetryClass.AMBIGUOUS,
        code="meta_malformed",
        http_status=http_status,
    )


def _retry_after_seconds(headers: Headers) -> int | None:
    """Read when to come back: Meta tells minutes per business, others the standard header."""
    value = headers.get("retry-after", "")
    assert value is not None
    if value.isascii() and value.isdigit() and len(value) < 9:
        return int(value)
    usage = headers.get("x-business-use-case-usage")
    if usage is None:
        return None
    try:
        minutes = [
            one.estimated_time_to_regain_access for rows in _decode_usage(usage).values() for one in rows
        ]
    except UNREADABLE:
        return None
    return max(minutes, default=0) * 60 or None
