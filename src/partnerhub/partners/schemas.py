"""Values of this package: the partner, its settings, its people and its credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

PaymentModel = Literal["partner_paid", "direct_paid"]
Role = Literal["owner", "member"]

DATA_REGIONS = frozenset(
    {"AE", "AU", "BH", "BR", "CA", "CH", "DE", "GB", "ID", "IN", "JP", "KR", "SG", "US", "ZA"}
)
"""Where Meta can keep data at rest; `US` is Meta's default and is sent as no region."""
DEFAULT_REGION = "US"


class Scope(StrEnum):
    """What a partner key may do; what a page guards by a code needs `security`."""

    READ = "read"
    WRITE = "write"
    SECURITY = "security"


@dataclass(frozen=True)
class Partner:
    """A partner as its row says."""

    id: str
    brand_name: str
    logo_url: str | None
    country: str
    payment_model: PaymentModel
    currency: str
    redirect_url: str | None
    redirect_origins: list[str]
    solution_id: str | None
    default_hosting_type: str
    data_localization_region: str | None
    legacy_token_auth_enabled: bool
    mm_api_routing_enabled: bool
    io_signature_enabled: bool
    secret_overlap_hours: int
    allow_client_to_add_phone_no: bool
    blocked_new_submission: bool
    auto_approve_partner_change: bool
    retention_days: int
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True)
class PartnerSettings:
    """A partner with what `webhooks` keeps for it; header values are masks, never the values."""

    partner: Partner
    webhook_url: str | None
    webhook_headers: Mapping[str, str]
    has_platform_secret: bool

    @property
    def region(self) -> str:
        """Where the data of numbers registered from now on is kept, as it is shown: never nothing."""
        return self.partner.data_localization_region or DEFAULT_REGION


class SettingsChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which settings to change, and to what; what is not named stays as it is.

    None clears a setting that may be empty. `webhook_headers` replaces all headers.
    """

    brand_name: str | UnsetType = UNSET
    logo_url: str | UnsetType | None = UNSET
    webhook_url: str | UnsetType | None = UNSET
    webhook_headers: dict[str, str] | UnsetType = UNSET
    redirect_url: str | UnsetType | None = UNSET
    redirect_origins: list[str] | UnsetType = UNSET
    solution_id: str | UnsetType | None = UNSET
    default_hosting_type: str | UnsetType = UNSET
    data_localization_region: str | UnsetType = UNSET
    legacy_token_auth_enabled: bool | UnsetType = UNSET
    mm_api_routing_enabled: bool | UnsetType = UNSET
    io_signature_enabled: bool | UnsetType = UNSET
    secret_overlap_hours: int | UnsetType = UNSET
    allow_client_to_add_phone_no: bool | UnsetType = UNSET
    auto_approve_partner_change: bool | UnsetType = UNSET


NO_SETTINGS = SettingsChange()
"""None of the settings."""


@dataclass(frozen=True)
class Member:
    """A person who belongs to a partner."""

    partner_id: str
    user_id: str
    email: str
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True)
class Membership:
    """A partner that a person belongs to, by its brand's name, and their role there."""

    partner_id: str
    name: str
    role: Role


@dataclass(frozen=True)
class PartnerKey:
    """A Partner API key as it may be shown: never the secret."""

    id: UUID
    partner_id: str
    name: str
    prefix: str
    scopes: frozenset[Scope]
    created_by: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class IssuedToken:
    """What the legacy token flow answers; neither token is stored, only the refresh token's hash."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in_seconds: int


@dataclass(frozen=True)
class TokenHolder:
    """Who a legacy token stands for."""

    token_id: UUID
    partner_id: str
    user_id: str
    user_name: str
    role: Role


@dataclass(frozen=True)
class TokenUse:
    """That a person still uses legacy tokens."""

    user_id: str
    email: str
    name: str
    last_used_at: datetime
