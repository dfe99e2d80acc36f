"""What Meta's answer to a send means for the money that was reserved.

Meta took the message and named it; or it read the body as a receipt, or refused, and nobody will be charged;
or nobody can tell.
Source: Meta's Cloud API error table (codes and their HTTP status).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from partnerhub.meta.errors import UNREADABLE

# Refusals that come with a 5xx: Meta says so before it takes a message. Other 5xx (131000, 131016, 1, 2) only
# say that something went wrong.
_REFUSED_CODES: Final = frozenset({3, 131045, 131057, 133000, 133004, 134102})


class Outcome(Enum):
    """Whether Meta has the message; of a `SIGNAL` there is none, whatever stood beside it."""

    ACCEPTED = "accepted"
    SIGNAL = "signal"
    REFUSED = "refused"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wamid` is set exactly when the message was accepted. `is_metas` says whether the body is in Meta's own
    form, so that a client may have it; `code` is Meta's where there is one. `recipient` is how Meta spells
    whom it goes to: a phone number with its country, or a user id; empty where it does not say."""

    outcome: Outcome
    wamid: str | None = None
    recipient: str = ""
    is_metas: bool = True
    code: int | None = None


class _Message(msgspec.Struct):
    id: str = ""


class _Contact(msgspec.Struct):
    wa_id: str | None = None
    user_id: str | None = None


class _Error(msgspec.Struct):
    code: int | None = None


class _Answer(msgspec.Struct):
    messages: list[_Message] | None = None
    contacts: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None
    success: msgspec.Raw = msgspec.Raw(b"null")


def judge(status: int, body: bytes) -> Verdict:
    """Read Meta's answer to a send."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except UNREADABLE:
        answer = None
    code = answer.error.code if answer is not None and answer.error is not None else None
    if 200 <= status < 300:
        wamid = answer.messages[0].id.replace("\x00", "") if answer is not None and answer.messages else ""
        if answer is not None and wamid:
            return Verdict(Outcome.ACCEPTED, wamid=wamid, recipient=_recipient(answer))
        if answer is not None and answer.messages is None and bytes(answer.success) == b"true":
            return Verdict(Outcome.SIGNAL)
        return Verdict(Outcome.UNCLEAR, is_metas=answer is not None, code=code)
    if status < 500 and status != 408:
        return Verdict(Outcome.REFUSED, is_metas=status >= 400, code=code)
    is_metas = answer is not None and answer.error is not None
    outcome = Outcome.REFUSED if code in _REFUSED_CODES else Outcome.UNCLEAR
    return Verdict(outcome, is_metas=is_metas, code=code)


def _recipient(answer: _Answer) -> str:
    """Read whom the message goes to; what cannot be read must not make an accepted message a failure."""
    try:
        contacts = msgspec.json.decode(answer.contacts, type=list[_Contact] | None)
    except UNREADABLE:
        return ""
    return (contacts[0].wa_id or contacts[0].user_id or "").replace("\x00", "") if contacts else ""
