"""What a request that connects a number works with, and for whom."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from partnerhub.identity.schemas import Actor
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.meta import MetaClient
from partnerhub.partners.schemas import Partner


@dataclass(frozen=True)
class Connector:
    """What the flow works with; one per process."""

    db: Database
    meta: MetaClient
    keyring: Keyring
    app_id: str
    system_token: str
    # The operator's credit line at Meta; empty where clients pay Meta themselves.
    credit_line_id: str = ""

    def place_of_pin(self, channel_id: str) -> str:
        """Return where a number's PIN is sealed."""
        return f"channel.pin_sealed:{channel_id}"


@dataclass(frozen=True)
class Attempt:
    """One request that works on a run: for whom, with which PIN, and what its claims are known by."""

    run_id: UUID
    partner: Partner
    actor: Actor
    pin: str
    holder: UUID
