"""The error families of the whole system.

A domain package subclasses a family beside the function that raises it and gives it a stable `code`; a
door renders it in its own dialect by `status`. Anything that is not a `HubError` is a bug and answers 500.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one input: a stable code, and a sentence that pages can translate."""

    field: str
    code: str
    message: str


class HubError(Exception):
    """Base of every expected error.

    `code` is stable, snake_case and documented in `docs/reference/errors.md`; `message` is for people;
    `fields` maps the name of a wrong input to what is wrong with it; where an input breaks several rules,
    `problems` has each of them by itself, and `fields` all of an input in one text.
    """

    code: str = "error"
    status: int = 500

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        fields: Mapping[str, str] | None = None,
        problems: Iterable[Problem] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)
        self.fields: dict[str, str] = dict(fields or _by_field(self.problems))
        if code is not None:
            self.code = code


def _by_field(problems: Iterable[Problem]) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    for problem in problems:
        texts.setdefault(problem.field, []).append(problem.message)
    return {field: " ".join(messages) for field, messages in texts.items()}


class Invalid(HubError):
    """The request is wrong and will stay wrong."""

    code = "invalid"
    status = 400


class Unauthenticated(HubError):
    """No credential, or one that is not known."""

    code = "unauthenticated"
    status = 401


class Forbidden(HubError):
    """The credential is known and may not do this."""

    code = "forbidden"
    status = 403


class NotFound(HubError):
    """The object does not exist for this credential."""

    code = "not_found"
    status = 404


class Conflict(HubError):
    """The object is in a state that does not allow this."""

    code = "conflict"
    status = 409


class TooMany(HubError):
    """A limit was reached; `retry_after_seconds` says when to come back."""

    code = "too_many"
    status = 429

    def __init__(self, message: str, *, retry_after_seconds: int, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(HubError):
    """We cannot take this now (queue full, database away); the caller may try again."""

    code = "unavailable"
    status = 503


class UpstreamFailed(HubError):
    """A service we depend on refused or broke; carries its own code and trace id where it gave one."""

    code = "upstream_failed"
    status = 502

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        upstream_code: int | None = None,
        trace_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.upstream_code = upstream_code
        self.trace_id = trace_id


class UpstreamTimeout(UpstreamFailed):
    """A service we depend on did not answer in time."""

    code = "upstream_timeout"
    status = 504
