"""Taking one of Meta's callbacks apart and putting parts of it together, without touching a byte of a change.

One POST may carry several entries, changes and numbers. Changes are cut out as slices of the original text;
an envelope for one number is made of those slices.
Source: Meta's webhook pages (transport, envelope, fields).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from msgspec import Raw

from partnerhub.meta.errors import UNREADABLE

# Meta escapes everything beyond ASCII. Half of a surrogate pair is no letter; our parser refuses the whole
# text for it, so the text that is parsed carries a replacement of the same length in its place.
_SURROGATE = re.compile(
    rb"(\\\\)|(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)

# Arrays whose members carry ids or times of their own, so that equal text means the same event.
_IDENTIFIED = (
    "messages",
    "statuses",
    "calls",
    "groups",
    "message_echoes",
    "history",
    "state_sync",
    "user_preferences",
)


class Malformed(ValueError):
    """The text is not one of Meta's envelopes."""


class _Metadata(msgspec.Struct):
    phone_number_id: str | int = ""


class _Value(msgspec.Struct):
    metadata: _Metadata | None = None


class _Statuses(msgspec.Struct):
    statuses: list[Raw] | None = None


class _Pricing(msgspec.Struct):
    type: str | None = None
    category: str | None = None
    pricing_model: str | None = None
    billable: bool | None = None


_WORDS = ("type", "category", "pricing_model")


class _Error(msgspec.Struct):
    code: int | str | None = None


class _Status(msgspec.Struct):
    id: str
    status: str
    timestamp: str | int
    type: str | None = None
    recipient_id: str | None = None
    recipient_user_id: str | None = None
    recipient_participant_id: str | None = None
    recipient_participant_user_id: str | None = None
    pricing: _Pricing | None = None
    errors: list[_Error] | None = None


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """One status of one message, and of one participant where it went to a group."""

    wamid: str
    participant: str
    recipient: str
    status: str
    at: datetime
    pricing: bytes | None
    error_code: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """One change as Meta wrote it, with what routing needs of it.

    `digest` names the content; it is None where equal text does not mean the same event. `unreadable` counts
    statuses that could not be understood; they still reach the number's webhook, but not the ledger.
    """

    entry: int
    entry_id: str
    field: str
    text: bytes
    phone_number_id: str
    digest: bytes | None
    statuses: tuple[StatusUpdate, ...] = ()
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Envelope:
    """A whole POST: its text, its changes, and the members around them."""

    text: bytes
    head: dict[str, Raw]
    entries: tuple[dict[str, Raw], ...]
    changes: tuple[Change, ...]

    def assemble(self, changes: Collection[Change]) -> bytes:
        """Return an envelope of these changes in their order; all of them are the original text."""
        if len(changes) == len(self.changes):
            return self.text
        by_entry: dict[int, list[bytes]] = {}
        for change in changes:
            by_entry.setdefault(change.entry, []).append(change.text)
        entries = [
            _object(self.entries[index], "changes", b"[" + b",".join(texts) + b"]")
            for index, texts in by_entry.items()
        ]
        return _object(self.head, "entry", b"[" + b",".join(entries) + b"]")


def find_half_letter(text: bytes) -> str:
    """Return the first escape that is half of a surrogate pair, or nothing."""
    return next((match[3].decode() for match in _SURROGATE.finditer(text) if match[3]), "")


def read_envelope(text: bytes) -> Envelope:
    """Take a callback apart.

    Raises: Malformed.
    """
    try:
        head = _members(text)
    except Malformed:
        head = _members(_SURROGATE.sub(_whole_letters, text))
    entries: list[dict[str, Raw]] = []
    changes: list[Change] = []
    try:
        for index, entry_text in enumerate(msgspec.json.decode(head["entry"], type=list[Raw])):
            entry = msgspec.json.decode(entry_text, type=dict[str, Raw])
            entries.append(entry)
            time = bytes(entry.get("time", b""))
            entry_id = _text(entry.get("id"))
            texts = msgspec.json.decode(entry["changes"], type=list[Raw])
            changes.extend(_change(index, entry_id, time, bytes(change)) for change in texts)
    except (*UNREADABLE, KeyError) as error:
        raise Malformed(f"The envelope is not as Meta sends it: {error}") from error
    if not changes:
        raise Malformed("The envelope holds no change.")
    return Envelope(text=text, head=head, entries=tuple(entries), changes=tuple(changes))


def _members(text: bytes) -> dict[str, Raw]:
    try:
        return msgspec.json.decode(text, type=dict[str, Raw])
    except UNREADABLE as error:
        raise Malformed(f"Not a JSON object: {error}") from error


def _whole_letters(match: re.Match[bytes]) -> bytes:
    return match[0] if match[3] is None else rb"\ufffd"


def _change(index: int, entry_id: str, time: bytes, text: bytes) -> Change:
    members = _lenient(text)
    value = bytes(members.get("value", b"null"))
    names = _lenient(value)
    statuses, unreadable = _statuses(value) if "statuses" in names else ((), 0)
    field = _text(members.get("field"))
    # A repeat of the POST carries the same time; management fields need it to tell two equal events apart.
    is_identified = bool(time) or any(name in names for name in _IDENTIFIED)
    return Change(
        entry=index,
        entry_id=entry_id,
        field=field,
        text=text,
        phone_number_id=_phone_number_id(value) if "metadata" in names else "",
        digest=_digest(entry_id.encode(), time, text) if is_identified else None,
        statuses=statuses,
        unreadable=unreadable,
    )


def _digest(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"\x00".join(parts), digest_size=16).digest()


def digest_text(text: bytes) -> bytes:
    """Name a POST that could not be taken apart."""
    return _digest(b"whole", text)


def digest_of(changes: Sequence[Change]) -> bytes | None:
    """Name the content of several changes; None when one of them may come again with equal text."""
    if len(changes) == 1:
        return changes[0].digest
    digests = [change.digest for change in changes if change.digest is not None]
    return _digest(*digests) if len(digests) == len(changes) else None


def _lenient(text: bytes) -> dict[str, Raw]:
    """Return the members of an object; of anything else none, so that one odd change spoils no other."""
    try:
        return msgspec.json.decode(text, type=dict[str, Raw])
    except UNREADABLE:
        return {}


def _text(raw: Raw | None) -> str:
    """Return a JSON string or number as text; ids are strings, but a page of Meta's shows numbers."""
    if raw is None:
        return ""
    try:
        value = msgspec.json.decode(raw, type=str | int)
    except UNREADABLE:
        return ""
    return str(value).replace("\x00", "")


def _phone_number_id(value: bytes) -> str:
    try:
        metadata = msgspec.json.decode(value, type=_Value).metadata
    except UNREADABLE:
        return ""
    return str(metadata.phone_number_id).replace("\x00", "") if metadata else ""


def _statuses(value: bytes) -> tuple[tuple[StatusUpdate, ...], int]:
    try:
        raws: Sequence[Raw] = msgspec.json.decode(value, type=_Statuses).statuses or ()
    except UNREADABLE:
        return (), 1
    found: list[StatusUpdate] = []
    unreadable = 0
    for raw in raws:
        try:
            status = msgspec.json.decode(raw, type=_Status)
            at = _moment(status.timestamp)
        except (*UNREADABLE, ValueError, OverflowError, OSError):
            unreadable += 1
            continue
        if status.type == "call":
            continue
        found.append(_update(status, at))
    return tuple(found), unreadable


def _update(status: _Status, at: datetime) -> StatusUpdate:
    participant = status.recipient_participant_id or status.recipient_participant_user_id or ""
    recipient = status.recipient_id or status.recipient_user_id or ""
    return StatusUpdate(
        wamid=_clean(status.id),
        participant=_clean(participant),
        recipient=_clean(recipient),
        status=_clean(status.status),
        at=at,
        pricing=_clean_pricing(status.pricing) if status.pricing else None,
        error_code=_code(status.errors),
    )


def _code(errors: list[_Error] | None) -> int | None:
    text = str(errors[0].code) if errors else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _moment(timestamp: str | int) -> datetime:
    """Read Meta's seconds since 1970, a string in message fields and a number elsewhere."""
    return datetime.fromtimestamp(int(timestamp), UTC)


def _clean(text: str) -> str:
    """Drop what PostgreSQL text cannot hold."""
    return text.replace("\x00", "")


def _clean_pricing(pricing: _Pricing) -> bytes:
    words = {name: _clean(value) for name in _WORDS if (value := getattr(pricing, name)) is not None}
    return msgspec.json.encode(msgspec.structs.replace(pricing, **words))


def _object(members: dict[str, Raw], name: str, replacement: bytes) -> bytes:
    """Write an object with one member replaced and the others as they came."""
    return (
        b"{"
        + b",".join(
            msgspec.json.encode(key) + b":" + (replacement if key == name else bytes(raw))
            for key, raw in members.items()
        )
        + b"}"
    )
