"""How an exchange can fail: one error with a phase and a kind, both stable and stored in logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from partnerhub.kit.errors import Invalid, UpstreamFailed
from partnerhub.kit.http.answers import Answer, Timings


class Phase(StrEnum):
    """Whether the peer can have processed the request."""

    PRE_DELIVERY = "pre_delivery"  # nothing of the request can have been processed: sending again is safe
    ATTEMPT = "attempt"  # it may have been processed


class FailureKind(StrEnum):
    """What went wrong."""

    DNS = "dns"
    REFUSED = "refused"
    RESET = "reset"
    TLS = "tls"
    TIMEOUT_CONNECT = "timeout_connect"
    TIMEOUT_FIRST_BYTE = "timeout_first_byte"
    TIMEOUT_TOTAL = "timeout_total"
    BLOCKED = "blocked"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    CLOSED = "closed"
    LOCAL = "local"  # our own side: out of sockets, or the client is shutting down; never the peer's fault


_TIMEOUTS = frozenset(
    {FailureKind.TIMEOUT_CONNECT, FailureKind.TIMEOUT_FIRST_BYTE, FailureKind.TIMEOUT_TOTAL},
)


@dataclass(frozen=True)
class Reason:
    """Why an exchange failed: the kind, and a sentence whose `{names}` stand in `values`.

    Sentence and values stay apart so that a page can say the same in another language.
    """

    kind: FailureKind
    sentence: str
    values: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.sentence.format_map(self.values)


STOPPED = Reason(FailureKind.LOCAL, "This process is being stopped.")
"""The client was closed; nothing is called any more."""


class ExchangeError(UpstreamFailed):
    """An exchange did not end with a whole answer.

    `answer` holds what had arrived where the head of the answer was complete; `timings` and `peer_address`
    what was known when it failed.
    """

    code = "exchange_failed"

    def __init__(
        self,
        reason: Reason,
        *,
        phase: Phase,
        timings: Timings | None = None,
        peer_address: str | None = None,
        answer: Answer | None = None,
    ) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.phase = phase
        self.timings = timings or Timings()
        self.peer_address = peer_address
        self.answer = answer
        if self.is_timeout:
            self.status = 504

    @property
    def kind(self) -> FailureKind:
        """Return what went wrong."""
        return self.reason.kind

    @property
    def is_timeout(self) -> bool:
        """Say whether a deadline ended the exchange."""
        return self.kind in _TIMEOUTS


class InvalidUrl(Invalid):
    """The URL is not one this client calls."""

    code = "invalid_url"


class InvalidHeader(Invalid):
    """A header name or value that must not go on the wire: not a token, a line break, or one that is ours."""

    code = "invalid_header"
