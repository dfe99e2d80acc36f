"""Reading the body of a send: as little as the price and the route need, never rewriting what came.

The bytes that go to Meta are the client's own; only a missing `messaging_product` is put in front, because
older clients leave it out. Fields we do not know pass through unread.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec import UNSET, Raw, UnsetType

from partnerhub.messaging.envelopes import find_half_letter
from partnerhub.messaging.errors import InvalidMessage
from partnerhub.messaging.recipients import canonical
from partnerhub.meta.errors import UNREADABLE

_PRODUCT = b'"messaging_product":"whatsapp"'


class _Language(msgspec.Struct):
    code: str = ""


class _Template(msgspec.Struct):
    name: str = ""
    language: _Language | str | None = None


class _Body(msgspec.Struct):
    messaging_product: Raw | UnsetType = UNSET
    to: str | int | None = None
    recipient: str | None = None
    recipient_type: str | None = None
    type: str | None = None
    status: str | None = None
    message_id: str | None = None
    template: Raw | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class SendBody:
    """A send as the flow needs it; `forward` is what goes to Meta.

    A signal (read receipt, typing indicator) has no recipient and is no message. `to` is the recipient as
    the client wrote it, `recipient` in the one spelling the ledger knows.
    """

    forward: bytes
    is_signal: bool
    type: str = ""
    to: str = ""
    recipient: str = ""
    is_group: bool = False
    template: str = ""
    language: str = ""


def read_send(body: bytes) -> SendBody:
    """Read the JSON body of a send.

    Raises: InvalidMessage.
    """
    try:
        parsed = msgspec.json.decode(body, type=_Body)
    except UNREADABLE as error:
        # The reason quotes types and places, never content.
        raise InvalidMessage(f"The body is not a valid message: {_reason(body, error)}.") from error
    forward = body if parsed.messaging_product is not UNSET else _with_product(body)
    if parsed.status is not None and parsed.to is None and parsed.recipient is None:
        return SendBody(forward=forward, is_signal=True, type=parsed.status)
    to = str(parsed.to) if parsed.to not in (None, "") else (parsed.recipient or "")
    if not to.strip():
        raise InvalidMessage("The parameter to is required.")
    # Meta reads a message without a type as text.
    kind = _word(parsed.type) or ("text" if parsed.template is UNSET else "template")
    name, language = _template(parsed.template) if kind == "template" else ("", "")
    return SendBody(
        forward=forward,
        is_signal=False,
        type=kind[:64].replace("\x00", ""),
        to=to,
        recipient=canonical(to),
        is_group=_word(parsed.recipient_type) == "group",
        template=name,
        language=language,
    )


def _reason(body: bytes, error: Exception) -> str:
    if half := find_half_letter(body):
        return f"the escape {half} is half of a character, its other half is missing"
    return str(error)


def _word(text: str | None) -> str:
    """Return a word of Graph's as we spell it: where Graph takes `TEMPLATE`, the price must too."""
    return (text or "").strip().lower()


def _template(raw: Raw | UnsetType) -> tuple[str, str]:
    """Return name and language, or nothing for a template we cannot read: Meta will say what is wrong."""
    if raw is UNSET:
        return "", ""
    try:
        template = msgspec.json.decode(raw, type=_Template)
    except UNREADABLE:
        return "", ""
    language = template.language
    return template.name, language.code if isinstance(language, _Language) else (language or "")


def _with_product(body: bytes) -> bytes:
    """Put the missing product in front of the first member, touching nothing else."""
    opening = body.index(b"{") + 1
    is_empty = body[opening:].lstrip(b" \t\r\n").startswith(b"}")
    return body[:opening] + _PRODUCT + (b"" if is_empty else b",") + body[opening:]
