"""What the pages of this door stand on beside the tenant; made once per process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MessagingAddress:
    """Where keys are used, and whether webhooks may lead to loopback (development)."""

    url: str
    allow_loopback: bool


def permission_link(public_url: str, partner_id: str) -> str:
    """Return the address at which a client of the partner's gives and withdraws permissions."""
    return f"{public_url}/dashboard/app/{partner_id}/permissions"


def connect_link(public_url: str, partner_id: str) -> str:
    """Return the address at which the partner's clients begin."""
    return f"{public_url}/onboarding/{partner_id}"
