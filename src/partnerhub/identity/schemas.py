"""Values that every package above shares: who acts, who is signed in, what a code confirms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID


class ActorKind(StrEnum):
    """Through what somebody acts."""

    USER = "user"
    KEY = "key"
    CLIENT = "client"
    OPERATOR = "operator"
    SYSTEM = "system"


@dataclass(frozen=True)
class Actor:
    """Who does something, and from where; goes into the audit log and into `created_by`."""

    kind: ActorKind
    id: str
    name: str = ""
    ip: str = ""
    user_agent: str = ""
    request_id: str = ""

    def as_author(self) -> dict[str, str]:
        """Return the `created_by` / `modified_by` form of the Partner API."""
        return {"user_id": self.id, "user_name": self.name or self.id}


SYSTEM = Actor(kind=ActorKind.SYSTEM, id="system", name="system")

PLATFORM = "platform"
"""The audit chain of changes that belong to no partner: rates, operators, passwords."""


class Hub(StrEnum):
    """Which of the three hubs a session is signed in to."""

    PARTNER = "partner"
    CLIENT = "client"
    OPERATOR = "operator"


SESSION_IDLE = timedelta(hours=12)
SESSION_LIFE = timedelta(days=14)
"""A session ends when it was not used for so long, and in any case after so long."""


class CodePurpose(StrEnum):
    """What a one-time code confirms; a code confirms nothing else."""

    VIEW_SECRET = "view_secret"  # noqa: S105 - a purpose
    GENERATE_SECRET = "generate_secret"  # noqa: S105 - a purpose
    CREATE_KEY = "create_key"
    ADD_MEMBER = "add_member"
    REMOVE_MEMBER = "remove_member"
    IO_SIGNATURE_OFF = "io_signature_off"
    LEGACY_TOKENS_ON = "legacy_tokens_on"
    NUMBER_WEBHOOK = "number_webhook"
    PAYMENT_DATA = "payment_data"
    CONFIRM_EMAIL = "confirm_email"


@dataclass(frozen=True)
class User:
    """A person; may belong to several partners."""

    id: str
    email: str
    name: str
    locale: str
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True)
class SessionRow:
    """A live sign-in of one person in one browser, with the person's facts of now."""

    id: UUID
    user_id: str
    email: str
    user_name: str
    locale: str
    is_operator: bool
    hub: Hub
    partner_id: str | None
    client_id: str | None
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    ip: str
    user_agent: str


@dataclass(frozen=True)
class SignedIn:
    """A new session and its token, which exists nowhere else: only its hash is stored."""

    token: str
    session_id: UUID
    user: User
    hub: Hub
    partner_id: str | None
    client_id: str | None


@dataclass(frozen=True)
class SessionScope:
    """What a session may look at: a partner, and inside it perhaps one client."""

    partner_id: str | None = None
    client_id: str | None = None


@dataclass(frozen=True)
class AuditEntry:
    """One link of a partner's audit chain."""

    partner_id: str
    seq: int
    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    action: str
    object_kind: str
    object_id: str
    before: dict[str, Any] | None  # Any: JSON as it was recorded
    after: dict[str, Any] | None  # Any: JSON as it was recorded
    ip: str
    user_agent: str
    request_id: str
    prev_hash: bytes
    hash: bytes


@dataclass(frozen=True)
class ChainCheck:
    """What a walk over an audit chain found; compare `head`, the newest hash, with a copy kept elsewhere."""

    entries: int
    head: str
    broken_at: int | None

    @property
    def is_whole(self) -> bool:
        """Say whether every link holds."""
        return self.broken_at is None
