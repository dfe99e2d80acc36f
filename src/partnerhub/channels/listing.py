"""Filters and sorting of the Partner API, turned into SQL.

Each collection says which dotted names it knows and where they live; the rest (equality, AND, nullable
names, `"unknown"`, case-insensitive order with the id last) is the same for all. Source: Partner API
reference 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import LiteralString, assert_never

from psycopg import sql

from partnerhub.channels.schemas import Listing
from partnerhub.kit.errors import Invalid


class ListingInvalid(Invalid):
    """A filter or sort field is unknown here, or its value has the wrong type."""

    code = "listing_invalid"


class FieldKind(Enum):
    """How a filter's value is read and compared."""

    TEXT = auto()
    EMAIL = auto()
    PHONE = auto()
    FLAG = auto()
    NUMBER = auto()
    TIME = auto()


@dataclass(frozen=True)
class Field:
    """One name that a caller may filter and sort by; `expression` is SQL of our own."""

    expression: LiteralString
    kind: FieldKind = FieldKind.TEXT
    may_be_null: bool = False
    not_filtered: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Collection:
    """What may be asked of one list. A strict list refuses unknown names, a lenient one passes over them."""

    identity: LiteralString
    fields: Mapping[str, Field]
    is_strict: bool = False
    searched: tuple[LiteralString, ...] = ()
    searched_number: LiteralString = "null::text"
    aliases: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Field | None:
        """Return the field of this name.

        Raises: ListingInvalid, where the list is strict.
        """
        found = self.fields.get(self.aliases.get(name, name))
        if found is None and self.is_strict:
            raise ListingInvalid(f"“{name}” is not a field of this list.", fields={name: "unknown field"})
        return found


def where(collection: Collection, filters: Mapping[str, object]) -> tuple[sql.Composed, list[object]]:
    """Return the condition of all filters and its parameters; without filters it is true.

    A null matters for the nullable names only and is passed over elsewhere.
    Raises: ListingInvalid.
    """
    parts: list[sql.Composable] = [sql.SQL("true")]
    values: list[object] = []
    for name, wanted in filters.items():
        if name == "q" and collection.searched:
            if wanted is not None:
                parts.append(_search(collection, name, wanted, values))
            continue
        known = collection.find(name)
        if known is None:
            continue
        if wanted is None:
            if known.may_be_null:
                parts.append(sql.SQL("{} is null").format(sql.SQL(known.expression)))
            continue
        if isinstance(wanted, str) and wanted in known.not_filtered:
            continue
        left, value = _comparison(known, name, wanted)
        parts.append(sql.SQL("{} = %s").format(left))
        values.append(value)
    return sql.SQL(" and ").join(parts), values


def order(collection: Collection, sort: tuple[str, ...]) -> sql.Composed:
    """Return the ORDER BY list; text ignores case, the id breaks every tie in its own recorded order.

    Raises: ListingInvalid.
    """
    parts: list[sql.Composable] = []
    for name in sort:
        bare = name.removeprefix("-")
        known = collection.find(bare)
        if known is None:
            continue
        direction = sql.SQL(" desc nulls last" if name.startswith("-") else " asc nulls last")
        parts += [expression + direction for expression in _sortable(known)]
    parts += _sortable(Field(collection.identity))
    return sql.SQL(", ").join(parts)


def page(listing: Listing) -> tuple[sql.SQL, list[object]]:
    """Return LIMIT and OFFSET with their parameters."""
    return sql.SQL("limit %s offset %s"), [listing.limit, listing.offset]


def _sortable(known: Field) -> list[sql.Composable]:
    expression = sql.SQL(known.expression)
    match known.kind:
        case FieldKind.TEXT | FieldKind.EMAIL | FieldKind.PHONE:
            # The recorded order mixes upper and lower case, digits first; the raw text parts "a" from "A".
            return [
                sql.SQL('lower({}) collate "C"').format(expression),
                sql.SQL('({}) collate "C"').format(expression),
            ]
        case FieldKind.FLAG | FieldKind.NUMBER | FieldKind.TIME:
            return [expression]
        case _:
            assert_never(known.kind)


def pattern_of(text: str) -> str:
    """Return the ILIKE pattern of a text that stands anywhere, its own signs taken as they are."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"


def _search(
    collection: Collection, name: str, wanted: object, values: list[object]
) -> sql.Composed | sql.SQL:
    text = _text(name, wanted).strip()
    if not text:
        return sql.SQL("true")
    pattern = pattern_of(text)
    parts = [sql.SQL("{} ilike %s").format(sql.SQL(expression)) for expression in collection.searched]
    values.extend(pattern for _ in parts)
    digits = re.sub(r"[\s+()./-]", "", text)
    if digits.isascii() and digits.isdigit():
        # A number as people write it; stored are its digits.
        parts.append(sql.SQL("{} like %s").format(sql.SQL(collection.searched_number)))
        values.append(f"%{digits}%")
    return sql.SQL("({})").format(sql.SQL(" or ").join(parts))


def _comparison(known: Field, name: str, wanted: object) -> tuple[sql.Composable, object]:
    expression = sql.SQL(known.expression)
    match known.kind:
        case FieldKind.TEXT:
            return expression, _text(name, wanted)
        case FieldKind.EMAIL:
            return sql.SQL("lower({})").format(expression), _text(name, wanted).strip().lower()
        case FieldKind.PHONE:
            return expression, re.sub(r"[^0-9]", "", _text(name, wanted))
        case FieldKind.FLAG:
            return expression, _flag(name, wanted)
        case FieldKind.NUMBER:
            return expression, _number(name, wanted)
        case FieldKind.TIME:
            return sql.SQL("date_trunc('second', {})").format(expression), _time(name, wanted)
        case _:
            assert_never(known.kind)


def _refuse(name: str, what: str) -> ListingInvalid:
    return ListingInvalid(f"The filter “{name}” takes {what}.", fields={name: f"takes {what}"})


def _text(name: str, wanted: object) -> str:
    if isinstance(wanted, bool) or not isinstance(wanted, str | int):
        raise _refuse(name, "a string")
    text = str(wanted)
    if "\x00" in text:
        raise _refuse(name, "a string without null characters")
    return text


def _flag(name: str, wanted: object) -> bool:
    if isinstance(wanted, bool):
        return wanted
    if isinstance(wanted, str) and wanted.lower() in {"true", "false"}:
        return wanted.lower() == "true"
    raise _refuse(name, "true or false")


def _number(name: str, wanted: object) -> int:
    if isinstance(wanted, int) and not isinstance(wanted, bool) and abs(wanted) < 2**63:
        return wanted
    if isinstance(wanted, str) and re.fullmatch(r"-?[0-9]{1,18}", wanted):
        return int(wanted)
    raise _refuse(name, "a whole number")


def _time(name: str, wanted: object) -> datetime:
    if isinstance(wanted, str):
        try:
            moment = datetime.fromisoformat(wanted)
        except ValueError as error:
            raise _refuse(name, "a time such as 2024-01-01T10:00:00Z") from error
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # Offsets at the ends of the calendar would leave it.
        if datetime.min.replace(tzinfo=UTC) + timedelta(days=1) < moment < _LAST:
            return moment
    raise _refuse(name, "a time such as 2024-01-01T10:00:00Z")


_LAST = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)


# What nobody filled in is shown as an empty text.
_CONTACT_INFO: Mapping[str, Field] = {
    "webpage_url": Field("coalesce(client.contact_info->>'webpage_url', '')"),
    "phone": Field("coalesce(client.contact_info->>'phone', '')"),
    "language": Field("coalesce(client.contact_info->>'language', '')"),
    "country": Field("coalesce(client.contact_info->>'country', '')"),
    "street_name": Field("coalesce(client.contact_info->>'street_name', '')"),
    "city": Field("coalesce(client.contact_info->>'city', '')"),
    "email": Field("coalesce(client.contact_info->>'email', '')", FieldKind.EMAIL),
    "zip_code": Field("coalesce(client.contact_info->>'zip_code', '')"),
    "full_name": Field("coalesce(client.contact_info->>'full_name', '')"),
}

_CLIENT: Mapping[str, Field] = {
    "id": Field("client.id"),
    "name": Field("client.name"),
    "status": Field("client.status"),
    "organisation": Field("client.organisation"),
    "partner_payload": Field("client.partner_payload"),
    "max_channels": Field("client.max_channels", FieldKind.NUMBER),
    "created_at": Field("client.created_at", FieldKind.TIME),
    "modified_at": Field("client.modified_at", FieldKind.TIME),
    "meta_info.business_vertical": Field("client.meta_info->>'business_vertical'"),
    "meta_info.timezone": Field("client.meta_info->>'timezone'"),
    "meta_info.about": Field("client.meta_info->>'about'"),
    "meta_info.business_description": Field("client.meta_info->>'business_description'"),
    "meta_info.use_case": Field("client.meta_info->>'use_case'"),
    "contact_user.phone": Field("coalesce(client.contact_user->>'phone', '')"),
    "contact_user.email": Field("coalesce(client.contact_user->>'email', '')", FieldKind.EMAIL),
    "contact_user.name": Field("coalesce(client.contact_user->>'name', '')"),
    **{f"contact_info.{name}": known for name, known in _CONTACT_INFO.items()},
}

_WABA: Mapping[str, Field] = {
    "id": Field("waba.id"),
    "client_id": Field("waba.client_id"),
    "partner_id": Field("waba.partner_id"),
    "name": Field("waba.name"),
    "namespace": Field("waba.namespace"),
    "external_id": Field("waba.external_id"),
    "fb_business_id": Field("waba.fb_business_id"),
    "fb_account_status": Field("waba.fb_account_status"),
    "timezone_id": Field("waba.timezone_id", FieldKind.NUMBER),
    "status": Field("waba.status"),
    "created_at": Field("waba.created_at", FieldKind.TIME),
    "created_by.user_id": Field("waba.created_by->>'user_id'"),
    "created_by.user_name": Field("waba.created_by->>'user_name'"),
    "modified_at": Field("waba.modified_at", FieldKind.TIME),
    "on_behalf_of_business_info.id": Field("nullif(waba.fb_business_id, '')"),
    "on_behalf_of_business_info.name": Field(
        "case when waba.fb_business_id <> '' then waba.fb_business_name end"
    ),
    "on_behalf_of_business_info.status": Field("case when waba.fb_business_id <> '' then 'approved' end"),
    "on_behalf_of_business_info.type": Field("case when waba.fb_business_id <> '' then 'SELF' end"),
}

# Documented names of members that no channel here has; no value is equal to them.
_NEVER_SHOWN = Field("null::text")

_CHANNEL: Mapping[str, Field] = {
    "id": Field("channel.id"),
    "client_id": Field("channel.client_id"),
    "waba_account_id": Field("channel.waba_id"),
    "external_id": Field("channel.external_id"),
    "status": Field("channel.status"),
    "meta_status": Field("channel.meta_status"),
    "hub_status": Field("channel.hub_status"),
    "availability_status": Field("channel.availability_status"),
    "account_mode": Field("channel.account_mode"),
    # The number's own endpoint, else that of its account; webhooks' rows, read here to be filtered by.
    "webhook_health": Field(
        "coalesce((select case when not endpoint.enabled then 'stopped'"
        " when endpoint.breaker = 'closed' then 'delivering' else 'failing' end from endpoint"
        " where (endpoint.owner_kind = 'channel' and endpoint.owner_id = channel.id)"
        " or (endpoint.owner_kind = 'waba' and endpoint.owner_id = channel.waba_id)"
        " order by endpoint.owner_kind limit 1), 'none')"
    ),
    "is_migrated": Field("channel.is_migrated", FieldKind.FLAG),
    "is_oba": Field("channel.is_oba", FieldKind.FLAG),
    "is_on_biz_app": Field("channel.is_on_biz_app", FieldKind.FLAG),
    "current_limit": Field("channel.current_limit", may_be_null=True),
    "current_quality_rating": Field("channel.current_quality_rating", may_be_null=True),
    "terminated_at": Field("channel.terminated_at", FieldKind.TIME, may_be_null=True),
    "cancelled_at": Field("channel.cancelled_at", FieldKind.TIME),
    "billing_started_at": Field("channel.billing_started_at", FieldKind.TIME),
    "created_at": Field("channel.created_at", FieldKind.TIME),
    "modified_at": Field("channel.modified_at", FieldKind.TIME),
    "profile_info.about_text": Field("channel.profile_info->>'about_text'"),
    "profile_info.business_vertical": Field("channel.profile_info->>'business_vertical'"),
    "profile_info.business_description": Field("channel.profile_info->>'business_description'"),
    "profile_info.contact_email": Field("channel.profile_info->>'contact_email'", FieldKind.EMAIL),
    "setup_info.phone_number": Field("channel.phone_number", FieldKind.PHONE),
    "setup_info.phone_name": Field("channel.phone_name"),
    "setup_info.was_in_use": Field("channel.was_in_use", FieldKind.FLAG),
    "setup_info.verification_method": Field("channel.verification_method"),
    "setup_info.default_language": Field("channel.default_language"),
    "setup_info.new_name_status": Field("channel.name_status"),
    "setup_info.configuration_type": Field("channel.hosting_type"),
    "setup_info.region": Field("channel.data_localization_region"),
    "setup_info.error": Field("channel.error"),
    # The same for every channel; a bare constant would be a column's number in ORDER BY.
    "setup_info.ivr": Field("false::boolean", FieldKind.FLAG),
    "setup_info.has_integration_layer": Field("true::boolean", FieldKind.FLAG),
    "setup_info.shards_number": Field("1::integer", FieldKind.NUMBER),
    "type": _NEVER_SHOWN,
    "version": _NEVER_SHOWN,
    "project.id": _NEVER_SHOWN,
    "project.name": _NEVER_SHOWN,
    "project.license_model": _NEVER_SHOWN,
    "integration.state": Field("channel.integration_state"),
    "integration.enabled": Field("(channel.integration_state = 'running')", FieldKind.FLAG),
    "integration.app_id": Field("channel.app_id::text"),
    **{f"client.{name}": known for name, known in _CLIENT.items()},
    **{f"waba_account.{name}": known for name, known in _WABA.items()},
}

# A .NET client cannot leave these two out and sends the word for an unset enum (Partner API reference 2.2).
_UNSET = frozenset({"unknown"})

_TEMPLATE: Mapping[str, Field] = {
    "id": Field("template.id"),
    "partner_id": Field("template.partner_id"),
    "waba_account_id": Field("template.waba_id"),
    "external_id": Field("template.external_id"),
    "name": Field("template.name"),
    "status": Field("template.status", not_filtered=_UNSET),
    "language": Field("template.language", not_filtered=_UNSET),
    "category": Field("template.category"),
    "rejected_reason": Field("template.rejected_reason"),
    "namespace": Field("waba.namespace"),
    "created_at": Field("template.created_at", FieldKind.TIME),
    "modified_at": Field("template.modified_at", FieldKind.TIME),
}

CLIENTS = Collection(identity="client.id", fields=_CLIENT, is_strict=True)
CHANNELS = Collection(
    identity="channel.id",
    fields=_CHANNEL,
    searched=(
        "channel.id",
        "channel.phone_name",
        "client.id",
        "client.name",
        "waba.id",
    ),
    searched_number="channel.phone_number",
)
TEMPLATES = Collection(
    identity="template.id",
    fields=_TEMPLATE,
    aliases={f"business_templates.{name}": name for name in _TEMPLATE},
)
