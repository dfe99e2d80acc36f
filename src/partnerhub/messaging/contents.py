"""What the body of a number's event holds, in the few facts by which people tell events apart.

Read when a log is looked at, from the bytes that were sent: taking a callback in pays nothing for it.
Source: Meta's webhook reference (messages, statuses, message_echoes, calls).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec


class ContentKind(StrEnum):
    """What happened; the word beside it is Meta's."""

    STATUS = "status"
    MESSAGE = "message"  # somebody wrote to the number
    ECHO = "echo"  # the number wrote from elsewhere, such as its own app
    CALL = "call"


@dataclass(frozen=True)
class Content:
    """The first thing in an event, and how many more there are.

    `word` is the status or the type of the message; `party` the other side's number, or its user id where
    Meta names no number; what Meta left out is empty.
    """

    kind: ContentKind
    word: str
    party: str
    is_inbound: bool
    wamid: str
    further: int = 0


class _Item(msgspec.Struct):
    id: str = ""
    type: str = ""
    status: str = ""
    event: str = ""
    direction: str = ""
    from_: str = msgspec.field(default="", name="from")
    from_user_id: str = ""
    to: str = ""
    to_user_id: str = ""
    recipient_id: str = ""
    recipient_user_id: str = ""

    @property
    def sender(self) -> str:
        return self.from_ or self.from_user_id

    @property
    def receiver(self) -> str:
        return self.recipient_id or self.recipient_user_id or self.to or self.to_user_id


class _Value(msgspec.Struct):
    statuses: list[_Item] | None = None
    messages: list[_Item] | None = None
    message_echoes: list[_Item] | None = None
    calls: list[_Item] | None = None


class _Change(msgspec.Struct):
    value: _Value = msgspec.field(default_factory=_Value)


class _Entry(msgspec.Struct):
    changes: list[_Change] = []


class _Envelope(msgspec.Struct):
    entry: list[_Entry] = []


def read_content(body: bytes) -> Content | None:
    """Return what a callback in Meta's form is about; None for another body or one that cannot be read."""
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = [content for entry in envelope.entry for one in entry.changes for content in _contents(one.value)]
    return replace(found[0], further=len(found) - 1) if found else None


def _contents(value: _Value) -> Iterator[Content]:
    for item in value.messages or ():
        yield Content(ContentKind.MESSAGE, item.type, item.sender, is_inbound=True, wamid=item.id)
    for item in value.statuses or ():
        kind = ContentKind.CALL if item.type == "call" else ContentKind.STATUS
        yield Content(kind, item.status, item.receiver, is_inbound=False, wamid=item.id)
    for item in value.message_echoes or ():
        yield Content(ContentKind.ECHO, item.type, item.receiver, is_inbound=False, wamid=item.id)
    for item in value.calls or ():
        is_inbound = item.direction == "USER_INITIATED"
        party = item.sender if is_inbound else item.receiver
        yield Content(
            ContentKind.CALL, item.event or item.status, party, is_inbound=is_inbound, wamid=item.id
        )
