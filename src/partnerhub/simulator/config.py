"""What a simulator is started with, and the rules that can be switched while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

DAY_SECONDS = 86_400.0

Enforcement = Literal["off", "sync", "status"]
"""How a broken rule shows: not at all, as an error answer, or as a later `failed` status."""

PricingRules = Literal["conversation", "2025-07-01", "2026-10-01"]
"""Which of Meta's price models fills the `pricing` object."""


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Meta's rules and habits; every one can be changed at run time by `PATCH /simulator/rules`.

    Source: Meta's documentation of messaging limits, throughput, pair rate, registration and template
    review, as of November 2026.
    """

    service_window: Enforcement = "status"
    """Non-template messages need an inbound message in the last 24 hours (131047)."""
    messaging_limit: Enforcement = "sync"
    """Unique users a portfolio may open conversations with in 24 hours (131064)."""
    throughput: bool = True
    """Messages per second and number: 80, or 1000 at level HIGH (130429)."""
    pair_rate: bool = True
    """One message in six seconds to one user, with a burst of 45 (131056)."""
    template_review: bool = True
    """New templates are PENDING first, then decided; otherwise approved at once."""
    recategorise: bool = True
    """Review moves promotional UTILITY templates to MARKETING."""
    template_limits: bool = True
    """100 new templates per WABA and hour; edits of approved templates are rationed."""
    prices: bool = True
    """Statuses carry a `pricing` object."""
    registration_limit: bool = True
    """Ten register or deregister calls per number in 72 hours (133016)."""
    pin: bool = True
    """Register checks the two-step PIN and locks after wrong guesses (133005, 133008)."""
    management_limit: bool = True
    """Management calls per app and WABA in an hour: 200, or 5000 with a registered number (80007)."""
    funding: bool = False
    """A WABA without a payment method fails chargeable messages (131042)."""
    media_guard: bool = True
    """More than five failed media reads in an hour block the number's media for an hour."""

    statuses: bool = True
    """Accepted messages get statuses at all."""
    sent_after_seconds: float = 0.1
    delivered_after_seconds: float = 0.4
    read_after_seconds: float = 2.0
    """Counted from acceptance, as the two above."""
    read_probability: float = 0.6
    template_review_seconds: float = 1.0

    pricing_rules: PricingRules = "2026-10-01"
    webhook_version: int = 25
    """Below 24 statuses carry a `conversation` object, from 24 only in a free entry point."""
    with_wa_id: bool = True
    with_user_id: bool = True
    """Whether webhooks carry phone numbers and business-scoped user ids."""
    throttle_status: Literal[400, 429] = 400
    """HTTP status of throttle errors; Meta documents 400, clients have also seen 429."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """Everything a simulator is started with.

    `data_file` None keeps all state in memory. `seed` makes ids and dice repeatable for one data file and
    one start. `public_url` is the address under which browsers and the hub reach the simulator; media URLs
    and the Embedded Signup script are made from it.
    """

    app_id: str
    app_secret: str
    system_user_token: str
    data_file: Path | None = None
    public_url: str = "http://127.0.0.1:8090"
    app_name: str = "Partner app"
    business_id: str = "100000000000001"
    business_name: str = "Solution Provider"
    system_user_id: str = "100000000000002"
    callback_retry_seconds: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    callback_retry_after_seconds: float = 10.0
    """Pause between attempts once `callback_retry_seconds` is used up."""
    callback_retry_bound_seconds: float = 7 * DAY_SECONDS
    callback_timeout_seconds: float = 20.0
    callback_concurrency: int = 64
    callback_ca_file: Path | None = None
    """Extra certificate authority for https callbacks, for tests with an own one."""
    recorded_calls: int = 2_000
    """How many of the last Graph calls are kept for `GET /simulator/calls`."""
    seed: int | None = None
    rules: Rules = field(default_factory=Rules)
