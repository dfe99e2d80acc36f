"""Values that every package above shares: who acts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
