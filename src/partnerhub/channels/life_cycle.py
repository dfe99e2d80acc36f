"""How a number comes to life and ends: stages, cancellation, and which partner event each step tells.

Two independent tracks. The *stage* says how far the number has come at Meta and only moves forward; the
*hub status* says whether the contract for it stands. Both are tables below; what they do not list is
refused. Source: Partner API reference 12.1, onboarding reference 2.3, 2.6 and 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

from partnerhub.kit.errors import Conflict


class Stage(StrEnum):
    """How far a number has come."""

    CREATED = "created"
    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    READY = "ready"
    RUNNING = "running"
    LIVE = "live"


class HubStatus(StrEnum):
    """Whether the contract for a number stands."""

    DRAFT = "draft"
    LIVE = "live"
    PENDING_DELETION = "pending_deletion"
    TERMINATED = "terminated"


class PartnerEvent(StrEnum):
    """The partner events that this package tells."""

    CLIENT_CREATED = "client_created"
    CHANNEL_CREATED = "channel_created"
    CHANNEL_READY = "channel_ready"
    CHANNEL_RUNNING = "channel_running"
    CHANNEL_LIVE = "channel_live"
    PERMISSION_GRANTED = "channel_permission_granted"
    PERMISSION_REVOKED = "channel_permission_revoked"
    CANCELLATION_REQUEST = "cancellation_request"
    CANCELLATION_REVOKE = "cancellation_revoke"
    CANCELLATION_PROCESSED = "cancellation_processed"
    TEMPLATE_STATUS = "waba_template_status_changed"
    TEMPLATE_CATEGORY = "waba_template_category_changed"
    QUALITY_CHANGED = "phone_number_quality_changed"


# Stages that speak to the partner cannot be skipped; the ones before `ready` are Meta's and may be.
NEXT_STAGES: Mapping[Stage, frozenset[Stage]] = {
    Stage.CREATED: frozenset({Stage.UNVERIFIED, Stage.VERIFIED, Stage.READY}),
    Stage.UNVERIFIED: frozenset({Stage.VERIFIED, Stage.READY}),
    Stage.VERIFIED: frozenset({Stage.READY}),
    Stage.READY: frozenset({Stage.RUNNING}),
    Stage.RUNNING: frozenset({Stage.LIVE}),
    Stage.LIVE: frozenset(),
}

STAGE_EVENTS: Mapping[Stage, PartnerEvent] = {
    Stage.CREATED: PartnerEvent.CHANNEL_CREATED,
    Stage.READY: PartnerEvent.CHANNEL_READY,
    Stage.RUNNING: PartnerEvent.CHANNEL_RUNNING,
    Stage.LIVE: PartnerEvent.CHANNEL_LIVE,
}

NEXT_HUB_STATUSES: Mapping[HubStatus, frozenset[HubStatus]] = {
    HubStatus.DRAFT: frozenset({HubStatus.LIVE, HubStatus.PENDING_DELETION}),
    HubStatus.LIVE: frozenset({HubStatus.PENDING_DELETION}),
    HubStatus.PENDING_DELETION: frozenset({HubStatus.DRAFT, HubStatus.LIVE, HubStatus.TERMINATED}),
    HubStatus.TERMINATED: frozenset({HubStatus.DRAFT, HubStatus.LIVE}),
}


class StageRefused(Conflict):
    """The number cannot go from its stage to the one asked for."""

    code = "stage_refused"


class ChannelTerminated(Conflict):
    """The number was cancelled and its time is over; reactivate it first."""

    code = "channel_terminated"


def stage_of(*, status: str, integration_state: str, account_mode: str) -> Stage:
    """Read the stage from the three words that a channel stores.

    The API never says `running` or `live` in `status`: real events of live numbers carry `ready`, and a
    client waits for that word (onboarding reference 2.5).
    """
    if integration_state != "running":
        return Stage(status) if status in _EARLY else Stage.READY
    return Stage.LIVE if account_mode == "live" else Stage.RUNNING


_EARLY = frozenset({Stage.CREATED, Stage.UNVERIFIED, Stage.VERIFIED, Stage.READY})


def words_of(stage: Stage) -> tuple[str, str, str]:
    """Return `(status, integration_state, account_mode)` of a stage."""
    match stage:
        case Stage.CREATED | Stage.UNVERIFIED | Stage.VERIFIED | Stage.READY:
            return stage.value, "created", "sandbox"
        case Stage.RUNNING:
            return "ready", "running", "sandbox"
        case Stage.LIVE:
            return "ready", "running", "live"
        case _:
            assert_never(stage)


def check_stage(current: Stage, wanted: Stage) -> None:
    """Refuse a step that the table does not list.

    Raises: StageRefused.
    """
    if wanted not in NEXT_STAGES[current]:
        raise StageRefused(f"A channel that is {current} cannot become {wanted}.")


def check_hub_status(current: HubStatus, wanted: HubStatus) -> None:
    """Refuse a step that the table does not list.

    Raises: StageRefused.
    """
    if wanted not in NEXT_HUB_STATUSES[current]:
        raise StageRefused(f"A channel that is {current} cannot become {wanted}.")


def standing(stage: Stage) -> HubStatus:
    """Return the hub status of a number that is not cancelled."""
    return HubStatus.LIVE if stage is Stage.LIVE else HubStatus.DRAFT
