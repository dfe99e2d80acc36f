"""The things Meta keeps: apps, businesses, accounts, numbers, users, templates, tokens, media, messages.

They are mutable on purpose: this is the live state of the simulator, written through to the store by
`World.save`. Nothing here knows HTTP.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

Json = dict[str, Any]  # Any: documents in Meta's shapes travel through unchanged

ALL_FIELDS = (
    "account_alerts",
    "account_review_update",
    "account_settings_update",
    "account_update",
    "automatic_events",
    "business_capability_update",
    "business_status_update",
    "business_username_update",
    "calls",
    "consumer_profile",
    "flows",
    "group_lifecycle_update",
    "group_participants_update",
    "group_settings_update",
    "group_status_update",
    "history",
    "message_echoes",
    "message_template_components_update",
    "message_template_quality_update",
    "message_template_status_update",
    "messages",
    "messaging_handovers",
    "partner_solutions",
    "payment_configuration_update",
    "phone_number_name_update",
    "phone_number_quality_update",
    "security",
    "smb_app_state_sync",
    "smb_message_echoes",
    "template_category_update",
    "template_correct_category_detection",
    "tracking_events",
    "user_preferences",
)

OVERRIDABLE_FIELDS = frozenset(
    {
        "messages",
        "message_echoes",
        "calls",
        "consumer_profile",
        "messaging_handovers",
        "group_lifecycle_update",
        "group_participants_update",
        "group_settings_update",
        "group_status_update",
        "smb_message_echoes",
        "smb_app_state_sync",
        "history",
        "account_settings_update",
    }
)
"""Only these follow a WABA's or number's own callback address; the rest always go to the app's."""

MANAGEMENT = "whatsapp_business_management"
MESSAGING = "whatsapp_business_messaging"
BUSINESS = "business_management"


class Entity(msgspec.Struct, kw_only=True):
    """Something with an id that is stored as one document."""

    KIND: ClassVar[str] = ""
    id: str


class AppSubscription(msgspec.Struct, kw_only=True):
    """The app's own callback for one kind of object."""

    callback_url: str
    verify_token: str
    fields: list[str]


class App(Entity, kw_only=True):
    """A Meta app; its secret signs webhooks."""

    KIND: ClassVar[str] = "app"
    name: str
    secret: str
    allowed_domains: list[str] = []
    """Origins that may open Embedded Signup; empty means any."""
    subscription: AppSubscription | None = None


class Business(Entity, kw_only=True):
    """A business portfolio."""

    KIND: ClassVar[str] = "business"
    name: str
    verification_status: str = "verified"
    messaging_limit: str = "TIER_2K"
    marketing_terms: bool = True
    credit_line_id: str | None = None


class WabaSubscription(msgspec.Struct, kw_only=True):
    """One app's subscription to a WABA, perhaps with an address of its own."""

    override_callback_uri: str = ""
    verify_token: str = ""


class Waba(Entity, kw_only=True):
    """A WhatsApp Business account."""

    KIND: ClassVar[str] = "waba"
    name: str
    business_id: str
    currency: str = "USD"
    timezone: str = "UTC"
    country: str = "US"
    account_review_status: str = "APPROVED"
    status: str = "ACTIVE"
    ban_state: str | None = None
    template_namespace: str = ""
    subscriptions: dict[str, WabaSubscription] = {}
    assigned_users: dict[str, list[str]] = {}
    shared_with: list[str] = []
    """Apps a business shared the account with by Embedded Signup."""
    primary_funding_id: str | None = None
    allocation_config_id: str | None = None
    is_enabled_for_insights: bool = False
    disable_marketing_messages_on_cloud_api: bool = False
    purchase_order_number: str = ""
    international_authentication: list[str] = []
    """Countries whose authentication messages are priced `authentication-international`."""
    created_at: float = 0.0
    template_creations: list[float] = []


class Number(Entity, kw_only=True):
    """A business phone number."""

    KIND: ClassVar[str] = "number"
    waba_id: str
    display_phone_number: str
    digits: str
    verified_name: str
    code_verification_status: str = "VERIFIED"
    quality_rating: str = "GREEN"
    status: str = "CONNECTED"
    platform_type: str = "CLOUD_API"
    throughput: str = "STANDARD"
    name_status: str = "APPROVED"
    new_display_name: str | None = None
    new_name_status: str = "NONE"
    account_mode: str = "LIVE"
    is_official_business_account: bool = False
    is_on_biz_app: bool = False
    is_preverified_number: bool = False
    search_visibility: str = "VISIBLE"
    username: str | None = None
    username_status: str = "reserved"
    pin: str | None = None
    pin_failures: list[float] = []
    registrations: list[float] = []
    data_localization_region: str | None = None
    verification_code: str | None = None
    code_requests: list[float] = []
    override_callback_uri: str = ""
    override_verify_token: str = ""
    profile: Json = {}
    settings: Json = {}
    conversational_automation: Json = {}
    public_key: str | None = None
    blocked: list[str] = []
    last_onboarded_at: float = 0.0
    window_always_open: bool = False
    """Every customer counts as having written in the last 24 hours."""
    is_ineligible_for_marketing: bool = False
    """`marketing_messages` refuses, as for a portfolio that has not accepted the terms."""
    free_month: str = ""
    free_service_used: int = 0
    media_failures: list[float] = []

    @property
    def is_registered(self) -> bool:
        """Whether the number can send."""
        return self.status in {"CONNECTED", "FLAGGED", "RATE_LIMITED", "RESTRICTED"}


class PreverifiedNumber(Entity, kw_only=True):
    """A number a partner owns and lends to the Embedded Signup dialog."""

    KIND: ClassVar[str] = "preverified"
    business_id: str
    digits: str
    code_verification_status: str = "VERIFIED"
    verified_at: float = 0.0
    claimed_by: str | None = None


class User(Entity, kw_only=True):
    """A customer with WhatsApp on a phone; the id is the phone number's digits."""

    KIND: ClassVar[str] = "user"
    user_id: str
    name: str
    username: str | None = None
    is_on_whatsapp: bool = True
    is_reachable: bool = True
    """False: messages are sent but never delivered, as with a phone that is off."""
    reads: bool | None = None
    """True or False force read receipts; None leaves it to the dice."""
    hides_phone: bool = False
    """With a username adopted, webhooks carry no phone number."""
    stopped_marketing: bool = False


class Template(Entity, kw_only=True):
    """One language of a message template."""

    KIND: ClassVar[str] = "template"
    waba_id: str
    name: str
    language: str
    category: str
    components: list[Json]
    status: str = "APPROVED"
    parameter_format: str = "POSITIONAL"
    sub_category: str | None = None
    previous_category: str | None = None
    rejected_reason: str = "NONE"
    quality_score: str = "UNKNOWN"
    message_send_ttl_seconds: int | None = None
    allow_category_change: bool = True
    library_template_name: str | None = None
    created_at: float = 0.0
    review_due: float | None = None
    decision: Json | None = None
    """What review will decide, set beforehand through the admin API."""
    pauses: int = 0
    """How often its quality paused it; the third time disables it."""
    paused_until: float | None = None
    edits: list[float] = []
    is_ineligible_for_marketing: bool = False
    pacing_status: str | None = None
    """`message_status` of the answer to a send: held_for_quality_assessment or paused."""


class Token(Entity, kw_only=True):
    """An access token; the id is the token itself. `targets` None means every asset."""

    KIND: ClassVar[str] = "token"
    app_id: str
    user_id: str
    type: str = "SYSTEM_USER"
    scopes: list[str] = msgspec.field(default_factory=lambda: [MANAGEMENT, MESSAGING, BUSINESS])
    targets: list[str] | None = None
    issued_at: float = 0.0
    expires_at: float = 0.0
    is_valid: bool = True
    business_id: str | None = None


class SignupCode(Entity, kw_only=True):
    """A code of Embedded Signup: 30 seconds, one use."""

    KIND: ClassVar[str] = "code"
    app_id: str
    user_id: str
    business_id: str
    waba_ids: list[str]
    expires_at: float
    is_used: bool = False


class Media(Entity, kw_only=True):
    """A stored file; the bytes are a blob under the same id."""

    KIND: ClassVar[str] = "media"
    number_id: str
    mime_type: str
    sha256: str
    file_size: int
    filename: str = ""
    created_at: float = 0.0
    is_inbound: bool = False


class Upload(Entity, kw_only=True):
    """A resumable upload session; the id starts with `upload:`."""

    KIND: ClassVar[str] = "upload"
    app_id: str
    file_length: int
    file_type: str
    file_name: str = ""
    received: int = 0
    handle: str | None = None


class Allocation(Entity, kw_only=True):
    """A share of a credit line given to a business, perhaps attached to a WABA."""

    KIND: ClassVar[str] = "allocation"
    credit_line_id: str
    receiving_business_id: str
    receiving_credential_id: str
    waba_id: str | None = None
    currency: str | None = None
    is_deleted: bool = False


class Window(Entity, kw_only=True):
    """When a customer last wrote to a number; the id is `<number id>:<wa_id>`."""

    KIND: ClassVar[str] = "window"
    last_inbound: float = 0.0
    entry_point_until: float = 0.0


class Step(msgspec.Struct, kw_only=True, array_like=True, omit_defaults=True):
    """One status still owed: when (virtual seconds), which, and for `failed` the error."""

    due: float
    status: str
    code: int = 0
    details: str = ""


class MessageState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The moving part of an accepted message."""

    category: str = "service"
    is_template: bool = False
    steps: list[Step] = []
    opaque: str | None = None
    pricing: Json | None = None
    conversation: Json | None = None
    was_free_service: bool = False
    priced: bool = False
    problem: str = ""
    """Code and reason once the message has failed."""


class Message(msgspec.Struct, kw_only=True):
    """A message that still owes statuses; the finished ones live only in the store."""

    seq: int
    wamid: str
    number_id: str
    wa_id: str
    type: str
    at: float
    status: str
    state: MessageState
