"""Shapes of the delivery engine: what goes in, what the sender holds, what the log shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from partnerhub.kit.http import Reason


class OwnerKind(StrEnum):
    """What an endpoint or an event belongs to."""

    PARTNER = "partner"
    CHANNEL = "channel"
    WABA = "waba"


class DeliveryState(StrEnum):
    """Where a delivery stands.

    `pending` waits for its next attempt or is under way; `parked` waits for its endpoint to come back, and
    nothing is tried meanwhile; `failed` was given up after seven days; `discarded` lost its endpoint.
    """

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    PARKED = "parked"
    DISCARDED = "discarded"


class Breaker(StrEnum):
    """Whether an endpoint is delivered to: all of it, only probes, or more and more again."""

    CLOSED = "closed"
    OPEN = "open"
    RECOVERING = "recovering"


class DisabledReason(StrEnum):
    """Why nothing is sent to an endpoint until somebody enables it."""

    GONE = "gone"  # the receiver answered 410
    PAUSED = "paused"  # somebody paused it


class Health(StrEnum):
    """How an endpoint stands, in one word."""

    DELIVERING = "delivering"
    FAILING = "failing"  # the breaker is open or recovering: what is sent waits
    STOPPED = "stopped"  # nothing is sent until somebody enables it


@dataclass(frozen=True)
class SigningKey:
    """A platform secret without its value; one with `retires_at` signs beside the current until then."""

    id: UUID
    created_at: datetime
    retires_at: datetime | None


@dataclass(frozen=True)
class Endpoint:
    """Where an owner's events go. `headers` holds masked values unless they were asked for in clear."""

    id: UUID
    partner_id: str
    owner_kind: OwnerKind
    owner_id: str
    url: str
    headers: Mapping[str, str]
    enabled: bool
    disabled_reason: DisabledReason | None
    disabled_at: datetime | None
    breaker: Breaker
    opened_at: datetime | None
    next_probe_at: datetime | None
    created_at: datetime
    modified_at: datetime

    @property
    def health(self) -> Health:
        """Say in one word how it stands."""
        return health_of(enabled=self.enabled, breaker=self.breaker)


def health_of(*, enabled: bool, breaker: Breaker) -> Health:
    """Say in one word how an endpoint stands."""
    if not enabled:
        return Health.STOPPED
    return Health.DELIVERING if breaker is Breaker.CLOSED else Health.FAILING


@dataclass(frozen=True)
class Piece:
    """One event as received, to be stored and sent byte for byte.

    `digest` names the content: a piece whose digest was taken before is dropped. The owner's own endpoint
    takes it, else that of the WABA `fallback_owner_id`, else `endpoint_id`; without any of them the event is
    recorded and can be replayed later. `endpoint_id` is also what the sender's share is counted by.
    """

    partner_id: str
    owner_kind: OwnerKind
    owner_id: str
    name: str
    body: bytes
    digest: bytes
    endpoint_id: UUID | None = None
    fallback_owner_id: str | None = None


@dataclass(frozen=True)
class Handover:
    """One delivery leased to a sender, with everything it needs for the attempt.

    `lease_until` is on this process's monotonic clock.
    """

    id: UUID
    created_at: datetime
    event_id: UUID
    partner_id: str
    endpoint_id: UUID
    owner_kind: OwnerKind
    body: bytes
    lease: UUID
    lease_until: float
    attempts: int = 0
    step: int = 0
    rank: int = 0


@dataclass(frozen=True)
class DeliveryFilter:
    """Which deliveries to list, count or replay; what is None does not restrict.

    `since` is inclusive and `until` exclusive, both of the delivery's creation. `text` matches the start of a
    delivery or event id, or the whole of an owner id. `is_unusual` keeps 2xx answers other than 200.
    """

    states: Sequence[DeliveryState] = ()
    names: Sequence[str] = ()
    endpoint_id: UUID | None = None
    owner_kind: OwnerKind | None = None
    owner_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    status: int | None = None
    is_unusual: bool = False
    text: str = ""


@dataclass(frozen=True)
class Delivery:
    """One line of the delivery log.

    `next_at` is when the next attempt is due, for a pending one that is not under way. `is_unusual` marks a
    2xx answer other than 200: it counts as delivered here, but not with every provider.
    """

    id: UUID
    created_at: datetime
    event_id: UUID
    endpoint_id: UUID
    partner_id: str
    owner_kind: OwnerKind
    owner_id: str
    name: str
    state: DeliveryState
    attempts: int
    last_status: int | None
    last_error: str | None
    next_at: datetime | None
    finished_at: datetime | None
    replay_of: UUID | None
    is_unusual: bool


@dataclass(frozen=True)
class Attempt:
    """One try of a delivery: phases in microseconds, the answer's headers (secrets removed) and first bytes.

    `error` is the failure's kind, None for a 2xx; `is_fenced` says that the sender had lost its lease by
    then, so that another try decided.
    """

    created_at: datetime
    number: int
    url: str
    status: int | None
    error: str | None
    dns_us: int
    connect_us: int
    tls_us: int
    first_byte_us: int
    body_us: int
    total_us: int
    reused: bool
    is_probe: bool
    is_fenced: bool
    peer_address: str | None
    sender: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    body_truncated: bool


@dataclass(frozen=True)
class OpenDeliveries:
    """How many deliveries are not where they should be; a count stops at `queries.MOST_COUNTED`."""

    pending: int = 0
    parked: int = 0
    failed: int = 0


@dataclass(frozen=True)
class DeliveryDetail:
    """A delivery with its attempts, oldest first, and the bytes that were sent."""

    delivery: Delivery
    body: bytes
    attempts: Sequence[Attempt]


@dataclass(frozen=True)
class Glimpse:
    """What a log shows of a delivery beside its row: its body unless that is long, and how long the last
    attempt took."""

    body: bytes
    last_us: int | None


@dataclass(frozen=True)
class DeliveryPage:
    """Newest first; `next_cursor` leads to older ones, `previous_cursor` to newer, None where there are none.

    `searched_to` is set where a search in bodies stopped looking; what is older was not searched yet, and
    `next_cursor` goes on from there.
    """

    items: Sequence[Delivery]
    next_cursor: str | None
    previous_cursor: str | None = None
    searched_to: datetime | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened, whether or not anybody listened; `deliveries` counts replays too."""

    id: UUID
    created_at: datetime
    partner_id: str
    owner_kind: OwnerKind
    owner_id: str
    name: str
    body: bytes
    deliveries: int


@dataclass(frozen=True)
class EventPage:
    """Newest first; `next_cursor` leads to the following page, None on the last."""

    items: Sequence[Event]
    next_cursor: str | None


@dataclass(frozen=True)
class Replayed:
    """What a replay did or, as a dry run, would do.

    `without_endpoint` counts events whose owner has nowhere to send them to, `sent_since` those left out
    because they arrived by a later delivery or are on their way.
    """

    deliveries: int
    without_endpoint: int
    dry_run: bool
    sent_since: int = 0


@dataclass(frozen=True)
class QueueHealth:
    """How the queue stands, for metrics and `doctor`; ages in seconds."""

    pending: int
    parked: int
    oldest_due_seconds: float
    open_endpoints: int
    disabled_endpoints: int


@dataclass(frozen=True)
class Phase:
    """One phase of an exchange and how long it took."""

    name: str
    microseconds: int


@dataclass(frozen=True)
class TestResult:
    """What a test of an endpoint sent, what came back, and what it means in plain words.

    `code` is stable: `ok`, `ok_not_200`, or the kind of failure; `advice` says what to do next. `detail` is
    what the failing layer said, `reason` the same where it was the HTTP client, with its values apart;
    `location` is where a redirect pointed to.
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    code: str
    is_success: bool
    verdict: str
    advice: str
    event_id: UUID
    url: str
    request_headers: Sequence[tuple[str, str]]
    request_body: bytes
    status: int | None
    response_headers: Sequence[tuple[str, str]] = ()
    response_body: bytes = b""
    body_truncated: bool = False
    peer_address: str | None = None
    phases: Sequence[Phase] = field(default_factory=tuple)
    total_us: int = 0
    detail: str = ""
    reason: Reason | None = None
    location: str | None = None
