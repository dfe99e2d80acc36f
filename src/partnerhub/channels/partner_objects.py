"""Clients, WABA accounts, channels and templates as the Partner API and the partner events show them.

Null rules (Partner API reference 8.3): typed clients refuse a null in dates, numbers, flags and enums, so
such a member is left out where we have nothing; strings, objects and the two dates that lists may carry
as null stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import overload

import msgspec

from partnerhub.channels.schemas import Channel, Client, PartnerObject, Template, Waba

_CONTACT_MEMBERS = (
    "webpage_url",
    "phone",
    "language",
    "country",
    "street_name",
    "city",
    "email",
    "full_name",
    "zip_code",
)
_CONTACT_USER_MEMBERS = ("name", "email", "phone")


@overload
def as_partner_api(thing: Client) -> PartnerObject: ...
@overload
def as_partner_api(thing: Waba) -> PartnerObject: ...
@overload
def as_partner_api(thing: Channel) -> PartnerObject: ...
@overload
def as_partner_api(thing: Template) -> PartnerObject: ...
def as_partner_api(thing: Client | Waba | Channel | Template) -> PartnerObject:
    """Return the object that the Partner API shows for this row."""
    match thing:
        case Client():
            return _client(thing)
        case Waba():
            return _waba(thing)
        case Channel():
            return _channel(thing)
        case Template():
            return _template(thing)


@dataclass(frozen=True)
class Subject:
    """What a partner event is about, as people call it; a client and a template have no number."""

    name: str
    number: str = ""


def read_subject(body: bytes) -> Subject | None:
    """Return what the body of a partner event is about; None where it does not say."""
    try:
        data = msgspec.json.decode(body, type=_Event).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    name = data.phone_name or data.client.name if data.phone_number or data.client_id else data.name
    return Subject(name, data.phone_number) if name or data.phone_number else None


class _Named(msgspec.Struct):
    name: str = ""


class _Data(msgspec.Struct):
    phone_name: str | None = ""
    phone_number: str = ""
    client_id: str = ""
    client: _Named = msgspec.field(default_factory=_Named)
    name: str = ""


class _Event(msgspec.Struct):
    data: _Data


def without_open_dates(channel: PartnerObject) -> PartnerObject:
    """Leave out the dates that have not come yet; the answer to a cancellation may not carry null there."""
    open_dates = {"billing_started_at", "terminated_at"}
    return {name: value for name, value in channel.items() if name not in open_dates or value is not None}


def client_event(client: Client) -> PartnerObject:
    """Return the `data` of `client_created`: receivers read `client` inside it."""
    return {"client": _client(client), "client_id": client.id}


def channel_event(channel: Channel) -> PartnerObject:
    """Return the `data` of a channel event: the channel, with number and name at the top as well.

    One body labelled as real has the two at the top, every model-based client nests them (onboarding
    reference 2.5); both are served.
    """
    return {
        **_channel(channel),
        "phone_number": channel.phone_number,
        "phone_name": channel.phone_name,
    }


def as_timestamp(moment: datetime) -> str:
    """Write a time as the Partner API does: UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _optional(moment: datetime | None) -> str | None:
    return None if moment is None else as_timestamp(moment)


def _filled(document: Mapping[str, object], members: tuple[str, ...]) -> PartnerObject:
    return {**dict.fromkeys(members, ""), **document}


def _client(client: Client) -> PartnerObject:
    return {
        "id": client.id,
        "name": client.name,
        "status": client.status,
        "organisation": client.organisation,
        "max_channels": client.max_channels,
        "partner_payload": client.partner_payload,
        "meta_info": client.meta_info,
        "contact_info": _filled(client.contact_info, _CONTACT_MEMBERS),
        "contact_user": _filled(client.contact_user, _CONTACT_USER_MEMBERS),
        "suspicious": client.suspicious,
        "created_at": as_timestamp(client.created_at),
        "created_by": client.created_by,
        "modified_at": as_timestamp(client.modified_at),
        "modified_by": client.modified_by,
    }


def _waba(waba: Waba) -> PartnerObject:
    return {
        "id": waba.id,
        "client_id": waba.client_id,
        "partner_id": waba.partner_id,
        "name": waba.name,
        "namespace": waba.namespace,
        "external_id": waba.external_id,
        "fb_business_id": waba.fb_business_id,
        "timezone_id": waba.timezone_id,
        "status": waba.status,
        "settings": waba.settings,
        "fb_account_status": waba.fb_account_status,
        "on_behalf_of_business_info": _owner(waba),
        "consents": waba.consents,
        "created_at": as_timestamp(waba.created_at),
        "created_by": waba.created_by,
        "modified_at": as_timestamp(waba.modified_at),
    }


def _owner(waba: Waba) -> PartnerObject | None:
    if not waba.fb_business_id:
        return None
    return {
        "id": waba.fb_business_id,
        "name": waba.fb_business_name,
        "status": "approved",
        "type": "SELF",
    }


def _channel(channel: Channel) -> PartnerObject:
    client = channel.client
    return {
        "id": channel.id,
        "client_id": channel.client_id,
        "client": {
            "id": client.id,
            "name": client.name,
            "partner_payload": client.partner_payload,
            "contact_info": _filled(client.contact_info, _CONTACT_MEMBERS),
        },
        "waba_account_id": channel.waba_id,
        "waba_account": _waba(channel.waba),
        "external_id": channel.external_id,
        "account_mode": channel.account_mode,
        "status": channel.status,
        "hub_status": channel.hub_status,
        "meta_status": channel.meta_status,
        "availability_status": channel.availability_status,
        "current_limit": channel.current_limit,
        "current_quality_rating": channel.current_quality_rating,
        "is_migrated": channel.is_migrated,
        "is_oba": channel.is_oba,
        "is_on_biz_app": channel.is_on_biz_app,
        "setup_info": _setup_info(channel),
        "profile_info": channel.profile_info,
        "integration": {
            "app_id": str(channel.app_id),
            "enabled": channel.integration_state == "running",
            "state": channel.integration_state,
        },
        "created_at": as_timestamp(channel.created_at),
        "modified_at": as_timestamp(channel.modified_at),
        "billing_started_at": _optional(channel.billing_started_at),
        "cancelled_at": _optional(channel.cancelled_at),
        "terminated_at": _optional(channel.terminated_at),
    }


def _setup_info(channel: Channel) -> PartnerObject:
    # `ivr`, `has_integration_layer` and `shards_number` speak of hosting that is gone; clients need them.
    return {
        "phone_number": channel.phone_number,
        "phone_name": channel.phone_name,
        "was_in_use": channel.was_in_use,
        "ivr": False,
        "verification_method": channel.verification_method,
        "default_language": channel.default_language,
        "new_name_status": channel.name_status,
        "has_integration_layer": True,
        "configuration_type": channel.hosting_type,
        "region": channel.data_localization_region,
        "shards_number": 1,
        "error": channel.error,
    }


def _template(template: Template) -> PartnerObject:
    return {
        "id": template.id,
        "partner_id": template.partner_id,
        "waba_account_id": template.waba_id,
        "external_id": template.external_id,
        "name": template.name,
        "namespace": template.namespace,
        "language": template.language,
        "category": template.category,
        "status": template.status,
        "components": template.components,
        "quality_score": template.quality_score,
        "rejected_reason": template.rejected_reason,
        "updated_external": template.updated_external,
        "created_at": as_timestamp(template.created_at),
        "created_by": template.created_by,
        "modified_at": as_timestamp(template.modified_at),
        "modified_by": template.modified_by,
    }
