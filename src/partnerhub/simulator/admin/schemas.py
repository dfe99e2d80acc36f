"""Bodies of the admin API. Fields left out stay as they are, or take Meta's usual value on creation."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from partnerhub.simulator.model import Entity, Json

Maybe = UnsetType


class Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A body that refuses names it does not know."""


class AppBody(Body, kw_only=True):
    """An app."""

    id: str | Maybe = UNSET
    name: str | Maybe = UNSET
    secret: str | Maybe = UNSET
    allowed_domains: list[str] | Maybe = UNSET


class BusinessBody(Body, kw_only=True):
    """A business portfolio."""

    id: str | Maybe = UNSET
    name: str | Maybe = UNSET
    verification_status: str | Maybe = UNSET
    messaging_limit: str | Maybe = UNSET
    marketing_terms: bool | Maybe = UNSET


class WabaBody(Body, kw_only=True):
    """A WABA. `is_subscribed` subscribes the configured app, `is_funded` attaches a payment method."""

    id: str | Maybe = UNSET
    name: str | Maybe = UNSET
    business_id: str | Maybe = UNSET
    currency: str | Maybe = UNSET
    timezone: str | Maybe = UNSET
    country: str | Maybe = UNSET
    account_review_status: str | Maybe = UNSET
    status: str | Maybe = UNSET
    ban_state: str | Maybe | None = UNSET
    international_authentication: list[str] | Maybe = UNSET
    disable_marketing_messages_on_cloud_api: bool | Maybe = UNSET
    is_subscribed: bool | Maybe = UNSET
    is_funded: bool | Maybe = UNSET


class NumberTraits(Body, kw_only=True):
    """What can be set of a number at any time."""

    verified_name: str | Maybe = UNSET
    code_verification_status: str | Maybe = UNSET
    quality_rating: str | Maybe = UNSET
    status: str | Maybe = UNSET
    platform_type: str | Maybe = UNSET
    throughput: str | Maybe = UNSET
    name_status: str | Maybe = UNSET
    new_name_status: str | Maybe = UNSET
    account_mode: str | Maybe = UNSET
    is_official_business_account: bool | Maybe = UNSET
    is_on_biz_app: bool | Maybe = UNSET
    is_ineligible_for_marketing: bool | Maybe = UNSET
    pin: str | Maybe | None = UNSET
    window_always_open: bool | Maybe = UNSET
    free_service_used: int | Maybe = UNSET
    free_month: str | Maybe = UNSET


class NumberBody(NumberTraits, kw_only=True):
    """A business number; `phone_number` in any writing."""

    id: str | Maybe = UNSET
    phone_number: str | Maybe = UNSET


class TemplateBody(Body, kw_only=True):
    """A template, approved unless `status` says otherwise; `text` is short for a body component."""

    id: str | Maybe = UNSET
    name: str | Maybe = UNSET
    language: str | Maybe = UNSET
    category: str | Maybe = UNSET
    status: str | Maybe = UNSET
    components: list[Json] | Maybe = UNSET
    text: str | Maybe = UNSET
    parameter_format: str | Maybe = UNSET
    quality_score: str | Maybe = UNSET
    allow_category_change: bool | Maybe = UNSET
    is_ineligible_for_marketing: bool | Maybe = UNSET
    pacing_status: str | Maybe | None = UNSET
    created_at: float | Maybe = UNSET


class UserBody(Body, kw_only=True):
    """A customer."""

    wa_id: str
    name: str | Maybe = UNSET
    user_id: str | Maybe = UNSET
    username: str | Maybe | None = UNSET
    is_on_whatsapp: bool | Maybe = UNSET
    is_reachable: bool | Maybe = UNSET
    reads: bool | Maybe | None = UNSET
    hides_phone: bool | Maybe = UNSET
    stopped_marketing: bool | Maybe = UNSET


class TokenBody(Body, kw_only=True):
    """An access token. `targets` null means every asset; `expires_in_seconds` null never expires."""

    id: str | Maybe = UNSET
    app_id: str | Maybe = UNSET
    user_id: str | Maybe = UNSET
    type: str | Maybe = UNSET
    scopes: list[str] | Maybe = UNSET
    targets: list[str] | Maybe | None = UNSET
    business_id: str | Maybe | None = UNSET
    is_valid: bool | Maybe = UNSET
    expires_in_seconds: float | None = None


class PreverifiedBody(Body, kw_only=True):
    """A pre-verified number of a partner."""

    phone_number: str
    id: str | Maybe = UNSET
    business_id: str | Maybe = UNSET


class SeedBody(Body, kw_only=True):
    """Everything a WABA needs, in one call. Entities with a known id are updated."""

    business: BusinessBody = msgspec.field(default_factory=BusinessBody)
    waba: WabaBody = msgspec.field(default_factory=WabaBody)
    numbers: list[NumberBody] = []
    templates: list[TemplateBody] = []
    users: list[UserBody] = []
    token: TokenBody | None = None
    """Targets default to the WABA of this call."""


class TemplateDecision(Body, kw_only=True):
    """What review says about a template.

    With `when` `now` it happens at once, with its webhooks; with `review` it is what the pending or next
    review will decide. `category` recategorises. PAUSED climbs Meta's ladder: three hours, six hours,
    DISABLED; with a `title` of yours (RATE_LIMITING_PAUSE) it stays until the next decision.
    """

    status: str = "APPROVED"
    reason: str = "NONE"
    category: str | None = None
    title: str | None = None
    quality_score: str | None = None
    when: str = "now"


class NumberChange(NumberTraits, kw_only=True):
    """Changes of a number; `announce` sends the webhooks Meta would."""

    announce: bool = True


class WindowBody(Body, kw_only=True):
    """Open or close a customer's service window."""

    user: str
    is_open: bool = True
    seconds_ago: float = 0.0
    by_ad: bool = False


class EventBody(Body, kw_only=True):
    """Any webhook. Without `waba_id` it goes to every app subscribed to the field, under `entry_id`."""

    field: str
    value: dict[str, Any]  # Any: whatever the test wants to send
    waba_id: str | None = None
    entry_id: str | None = None
    number_id: str | None = None
    time: int | None = None
    copies: int = 1


class StatusBody(Body, kw_only=True):
    """A status for a message, now."""

    status: str
    code: int = 0
    details: str = ""


class ClockBody(Body, kw_only=True):
    """Move virtual time: forward by `advance_seconds`, or to real time plus `shift_seconds`.

    `is_frozen` lets time stand still: what is due later comes only by advancing. A restart thaws.
    """

    is_frozen: bool | None = None
    advance_seconds: float | None = None
    shift_seconds: float | None = None


def apply(entity: Entity, body: Body, *, skip: frozenset[str] = frozenset()) -> None:
    """Copy every field that was given and that the entity has."""
    names = {field.name for field in msgspec.structs.fields(type(entity))}
    for field in msgspec.structs.fields(type(body)):
        value = getattr(body, field.name)
        if value is not UNSET and field.name in names and field.name not in skip:
            setattr(entity, field.name, value)
