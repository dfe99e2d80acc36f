"""What Meta answers, as values: unknown fields are ignored, absent ones are None.

Ids are text, always: they have up to 17 digits and no arithmetic. Words of Meta's that grow over time
(statuses, tiers) stay text as well, so that a new one is not an error.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Success(msgspec.Struct, frozen=True):
    """Yes or no. Source: most POST and DELETE edges."""

    success: bool


class Id(msgspec.Struct, frozen=True):
    """A new object's id."""

    id: str


class Cursors(msgspec.Struct, frozen=True):
    """Where a page begins and ends."""

    before: str | None = None
    after: str | None = None


class Paging(msgspec.Struct, frozen=True):
    """The way to the next page; `next` is only looked at for being there."""

    cursors: Cursors | None = None
    next: str | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list edge."""

    data: list[T]
    paging: Paging | None = None

    @property
    def next_cursor(self) -> str | None:
        """The cursor to ask the next page with, None on the last."""
        if self.paging is None or self.paging.next is None or self.paging.cursors is None:
            return None
        return self.paging.cursors.after


class TokenGrant(msgspec.Struct, frozen=True):
    """A token; `expires_in` seconds is absent for tokens that do not expire."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - a word, no secret
    expires_in: int | None = None

    def __repr__(self) -> str:
        return f"TokenGrant(token_type={self.token_type!r}, expires_in={self.expires_in!r})"

    __str__ = __repr__


class GranularScope(msgspec.Struct, frozen=True):
    """A scope with the assets it holds for; None means all of them."""

    scope: str
    target_ids: list[str] | None = None


class TokenInfo(msgspec.Struct, frozen=True):
    """What `debug_token` says of a token; times are Unix seconds, 0 for never."""

    is_valid: bool
    app_id: str | None = None
    type: str | None = None
    application: str | None = None
    user_id: str | None = None
    issued_at: int | None = None
    expires_at: int | None = None
    data_access_expires_at: int | None = None
    scopes: list[str] = []
    granular_scopes: list[GranularScope] = []

    def targets(self, scope: str) -> list[str] | None:
        """Return the ids a scope holds for, newest first; None for all, [] for none."""
        for one in self.granular_scopes:
            if one.scope == scope:
                return one.target_ids
        return None if scope in self.scopes and not self.granular_scopes else []


class TokenInfoAnswer(msgspec.Struct, frozen=True):
    """The envelope of `debug_token`."""

    data: TokenInfo


class SubscribedField(msgspec.Struct, frozen=True):
    """One webhook field of an app and the version its bodies have."""

    name: str
    version: str | None = None


class AppSubscription(msgspec.Struct, frozen=True):
    """An app's webhook."""

    object: str
    callback_url: str | None = None
    active: bool | None = None
    fields: list[SubscribedField] = []


class AppName(msgspec.Struct, frozen=True):
    """An app as an account lists it."""

    id: str
    name: str | None = None
    link: str | None = None


class SubscribedApp(msgspec.Struct, frozen=True):
    """An app subscribed to an account."""

    whatsapp_business_api_data: AppName
    override_callback_uri: str | None = None


class AssignedUser(msgspec.Struct, frozen=True):
    """A user with tasks on an account."""

    id: str
    name: str | None = None
    tasks: list[str] = []


class HealthEntity(msgspec.Struct, frozen=True):
    """One of the things a message passes: APP, BUSINESS, WABA, PHONE_NUMBER, MESSAGE_TEMPLATE."""

    entity_type: str
    id: str | None = None
    can_send_message: str | None = None
    errors: list[dict[str, object]] = []
    additional_info: list[str] = []


class HealthStatus(msgspec.Struct, frozen=True):
    """Whether messages pass: AVAILABLE, LIMITED, BLOCKED."""

    can_send_message: str | None = None
    entities: list[HealthEntity] = []


class WithHealth(msgspec.Struct, frozen=True):
    """A node asked for nothing but its health."""

    id: str
    health_status: HealthStatus | None = None


class Named(msgspec.Struct, frozen=True):
    """An object with a name."""

    id: str
    name: str | None = None


class Account(msgspec.Struct, frozen=True):
    """A WhatsApp Business account (WABA)."""

    id: str
    name: str | None = None
    currency: str | None = None
    country: str | None = None
    timezone_id: str | None = None
    status: str | None = None
    account_review_status: str | None = None
    business_verification_status: str | None = None
    message_template_namespace: str | None = None
    ownership_type: str | None = None
    primary_funding_id: str | None = None
    marketing_messages_onboarding_status: str | None = None
    whatsapp_business_manager_messaging_limit: str | None = None
    is_enabled_for_insights: bool | None = None
    owner_business_info: Named | None = None
    on_behalf_of_business_info: Named | None = None
    health_status: HealthStatus | None = None


class Throughput(msgspec.Struct, frozen=True):
    """STANDARD, HIGH or NOT_APPLICABLE."""

    level: str | None = None


class WebhookConfiguration(msgspec.Struct, frozen=True):
    """The callback addresses that hold for a number, nearest first."""

    phone_number: str | None = None
    whatsapp_business_account: str | None = None
    application: str | None = None


class PhoneNumber(msgspec.Struct, frozen=True):
    """A business phone number."""

    id: str
    display_phone_number: str | None = None
    verified_name: str | None = None
    code_verification_status: str | None = None
    quality_rating: str | None = None
    platform_type: str | None = None
    throughput: Throughput | None = None
    webhook_configuration: WebhookConfiguration | None = None
    name_status: str | None = None
    new_name_status: str | None = None
    status: str | None = None
    account_mode: str | None = None
    messaging_limit_tier: str | None = None
    whatsapp_business_manager_messaging_limit: str | None = None
    certificate: str | None = None
    is_official_business_account: bool | None = None
    is_pin_enabled: bool | None = None
    is_on_biz_app: bool | None = None
    is_preverified_number: bool | None = None
    last_onboarded_time: str | None = None
    health_status: HealthStatus | None = None


class StorageConfiguration(msgspec.Struct, frozen=True):
    """Where a number's data is kept at rest."""

    status: str | None = None
    data_localization_region: str | None = None
    retention_minutes: int | None = None


class NumberSettings(msgspec.Struct, frozen=True):
    """A number's settings."""

    storage_configuration: StorageConfiguration | None = None
    calling: dict[str, object] | None = None
    user_identity_change: dict[str, object] | None = None
    payload_encryption: dict[str, object] | None = None


class Profile(msgspec.Struct, frozen=True):
    """What customers see of a number."""

    about: str | None = None
    address: str | None = None
    description: str | None = None
    email: str | None = None
    profile_picture_url: str | None = None
    websites: list[str] | None = None
    vertical: str | None = None


class ProfileEntry(Profile, frozen=True):
    """A profile as the edge lists it: bare in Meta's guide, one level deeper in its OpenAPI."""

    business_profile: Profile | None = None

    @property
    def profile(self) -> Profile:
        """The profile, wherever it was."""
        return self if self.business_profile is None else self.business_profile


class SyncRequest(msgspec.Struct, frozen=True):
    """An accepted request for the data of the WhatsApp Business app."""

    request_id: str | None = None


class QualityScore(msgspec.Struct, frozen=True):
    """A template's quality: GREEN, YELLOW, RED, UNKNOWN."""

    score: str | None = None
    date: int | None = None


class Template(msgspec.Struct, frozen=True):
    """A message template in one language."""

    id: str
    name: str | None = None
    language: str | None = None
    status: str | None = None
    category: str | None = None
    sub_category: str | None = None
    previous_category: str | None = None
    correct_category: str | None = None
    parameter_format: str | None = None
    components: list[dict[str, object]] = []
    rejected_reason: str | None = None
    quality_score: QualityScore | None = None
    message_send_ttl_seconds: int | None = None
    library_template_name: str | None = None


class TemplateCreated(msgspec.Struct, frozen=True):
    """A new template and what review makes of it; the category may not be the one asked for."""

    id: str
    status: str | None = None
    category: str | None = None


class MediaInfo(msgspec.Struct, frozen=True):
    """A file's facts; `url` lives five minutes and needs the token."""

    id: str
    url: str | None = None
    mime_type: str | None = None
    sha256: str | None = None
    file_size: int | None = None


class UploadProgress(msgspec.Struct, frozen=True):
    """How many bytes of a resumable upload have come."""

    id: str
    file_offset: int = 0


class UploadHandle(msgspec.Struct, frozen=True):
    """The handle of a finished upload."""

    h: str


class Contact(msgspec.Struct, frozen=True):
    """Whom a message went to; `wa_id` may be absent for users with a username."""

    input: str | None = None
    wa_id: str | None = None
    user_id: str | None = None


class MessageId(msgspec.Struct, frozen=True):
    """An accepted message; `message_status` only under pacing."""

    id: str
    message_status: str | None = None


class MessageAccepted(msgspec.Struct, frozen=True):
    """The answer to a message."""

    messages: list[MessageId] = []
    contacts: list[Contact] = []


class BlockedUser(msgspec.Struct, frozen=True):
    """A user of a block list or of a change to it."""

    input: str | None = None
    wa_id: str | None = None
    user_id: str | None = None


class BlockedUsers(msgspec.Struct, frozen=True):
    """Who was added or removed."""

    added_users: list[BlockedUser] = []
    removed_users: list[BlockedUser] = []
    failed_users: list[dict[str, object]] = []


class BlockChange(msgspec.Struct, frozen=True):
    """The answer to a change of a block list."""

    block_users: BlockedUsers


class CreditLine(msgspec.Struct, frozen=True):
    """A solution provider's credit line."""

    id: str
    legal_entity_name: str | None = None


class CreditAllocation(msgspec.Struct, frozen=True):
    """A credit line attached to an account."""

    allocation_config_id: str
    waba_id: str | None = None


class ReceivingCredential(msgspec.Struct, frozen=True):
    """What a shared credit line is called on the receiving account (`primary_funding_id` there)."""

    id: str


class AllocationConfig(msgspec.Struct, frozen=True):
    """A share of a credit line."""

    id: str
    receiving_credential: ReceivingCredential | None = None
    request_status: str | None = None
