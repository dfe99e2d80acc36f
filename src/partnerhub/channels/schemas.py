"""Values of this package: what rows mean, what a route is, and what a caller hands in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from partnerhub.channels.life_cycle import HubStatus, Stage, stage_of

Permission = Literal["shared", "missing"]
Document = dict[str, Any]  # Any: JSON whose members come from Meta or from the partner
PartnerObject = dict[str, Any]  # Any: JSON in the shape of the Partner API


@dataclass(frozen=True)
class Client:
    """A business that owns numbers."""

    id: str
    partner_id: str
    name: str
    status: str
    organisation: str
    max_channels: int
    partner_payload: str | None
    meta_info: Document
    contact_info: Document
    contact_user: Document
    suspicious: bool
    user_id: str | None
    created_at: datetime
    modified_at: datetime
    created_by: Document
    modified_by: Document


@dataclass(frozen=True)
class Waba:
    """A WhatsApp Business Account of a client; its access token stays in the table."""

    id: str
    partner_id: str
    client_id: str
    external_id: str
    name: str
    namespace: str
    fb_business_id: str
    fb_business_name: str
    timezone_id: int
    time_zone: str
    currency: str
    status: str
    fb_account_status: str
    settings: Document | None
    consents: Document
    created_at: datetime
    modified_at: datetime
    created_by: Document


@dataclass(frozen=True)
class Channel:
    """One phone number, with the client and the WABA account it belongs to."""

    id: str
    partner_id: str
    client_id: str
    waba_id: str
    external_id: str
    app_id: int
    phone_number: str
    phone_name: str
    status: str
    account_mode: str
    hub_status: str
    meta_status: str
    availability_status: str
    integration_state: str
    permission: Permission
    hosting_type: str
    data_localization_region: str | None
    current_limit: str | None
    current_quality_rating: str | None
    throughput: str
    name_status: str
    verification_method: str
    default_language: str
    was_in_use: bool
    is_migrated: bool
    is_on_biz_app: bool
    is_oba: bool
    profile_info: Document
    error: str | None
    billing_started_at: datetime | None
    cancelled_at: datetime | None
    terminated_at: datetime | None
    created_at: datetime
    modified_at: datetime
    client: Client
    waba: Waba

    @property
    def stage(self) -> Stage:
        """Return how far the number has come."""
        return stage_of(
            status=self.status, integration_state=self.integration_state, account_mode=self.account_mode
        )

    @property
    def is_terminated(self) -> bool:
        """Say whether the cancellation took effect: no key, no message, no price."""
        return self.hub_status == HubStatus.TERMINATED


@dataclass(frozen=True)
class ChannelKey:
    """A Messaging API key of a channel as it may be shown: never the secret."""

    id: int
    channel_id: str
    prefix: str
    created_by: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True)
class MintedKey:
    """A new channel key; the secret exists nowhere else, only its hash is stored."""

    id: int
    app_id: int
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Template:
    """A message template as Meta knows it."""

    id: str
    partner_id: str
    waba_id: str
    external_id: str
    name: str
    language: str
    category: str
    status: str
    components: list[Document]
    quality_score: Document | None
    rejected_reason: str | None
    updated_external: bool
    created_at: datetime
    modified_at: datetime
    created_by: Document
    modified_by: Document
    namespace: str


@dataclass(frozen=True)
class Route:
    """What the gateway must know of a number to let a message through, in either direction.

    `currency` and `time_zone` are what the ledger prices with: the wallet's currency, the WABA's zone.
    `endpoint_id` is where the number's callbacks go: its own webhook, else the WABA's, else nowhere.
    """

    partner_id: str
    client_id: str
    channel_id: str
    waba_id: str
    waba_external_id: str
    phone_number_id: str
    phone_number: str
    access_sealed: bytes | None
    currency: str
    time_zone: str
    payment_model: str
    mm_routing: bool
    throughput: str
    status: str
    integration_state: str
    account_mode: str
    hub_status: str
    permission: Permission
    endpoint_id: UUID | None

    @property
    def may_send(self) -> bool:
        """Say whether the number is registered and not terminated."""
        stage = stage_of(
            status=self.status, integration_state=self.integration_state, account_mode=self.account_mode
        )
        return stage in {Stage.RUNNING, Stage.LIVE} and self.hub_status != HubStatus.TERMINATED


class HitKind(StrEnum):
    """What a search found."""

    CHANNEL = "channel"
    CLIENT = "client"
    WABA = "waba"


@dataclass(frozen=True)
class Hit:
    """Something that a search found, by its name; `number` is the phone number of a channel."""

    kind: str  # one of HitKind, as the database says it
    id: str
    name: str
    number: str


@dataclass(frozen=True)
class Listing:
    """What part of a list is asked for, in the words of the Partner API.

    `sort` holds field names, `-` in front for descending; `filters` maps field names to the value wanted.
    """

    limit: int = 1000
    offset: int = 0
    sort: tuple[str, ...] = ("id",)
    filters: Mapping[str, object] = field(default_factory=dict)
