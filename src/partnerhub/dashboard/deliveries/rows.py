"""Deliveries in the reader's words: what each was about, whose it is, and how it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from partnerhub.channels import queries as channels
from partnerhub.channels.partner_objects import read_subject
from partnerhub.dashboard import words
from partnerhub.kit import clock
from partnerhub.kit.database import Unit
from partnerhub.messaging.contents import Content, read_content
from partnerhub.ui import formats
from partnerhub.ui.frame import Tone
from partnerhub.web.pages import Page
from partnerhub.web.tenant import Tenant
from partnerhub.webhooks.schemas import Delivery, Glimpse, OwnerKind


@dataclass(frozen=True)
class Row:
    """One delivery as the log shows it.

    `what` is the kind of thing beside the event's name, `contact` whom it concerns and `contact_role` how;
    `owner` is the webhook's owner by name, `kind` what it is. `wamid` is empty outside messages.
    """

    delivery: Delivery
    status: str
    tone: Tone
    kind: str
    owner: str
    is_due: bool
    what: str = ""
    contact: str = ""
    contact_role: str = ""
    wamid: str = ""
    took_ms: float | None = None

    @property
    def answer_tone(self) -> Tone:
        """Return the colour of the last answer."""
        status = self.delivery.last_status
        if status is None or not 200 <= status < 300:
            return "bad"
        return "warn" if self.delivery.is_unusual else "good"


async def list_owner_names(unit: Unit, tenant: Tenant, deliveries: Sequence[Delivery]) -> Mapping[str, str]:
    """Return the names of the numbers whose events these are."""
    ids = {one.owner_id for one in deliveries if one.owner_kind is OwnerKind.CHANNEL}
    if not ids:
        return {}
    return await channels.list_names(unit, partner_id=tenant.partner_id, channel_ids=ids)


def as_row(page: Page, delivery: Delivery, names: Mapping[str, str], glimpse: Glimpse) -> Row:
    """Say one delivery in words."""
    word, tone = words.DELIVERY_STATES[delivery.state]
    kind = page.say(words.OWNERS[delivery.owner_kind])
    what, contact, role, wamid = _content(page, delivery, glimpse.body)
    return Row(
        delivery=delivery,
        status=page.say(word),
        tone=tone,
        kind=kind,
        owner=names.get(delivery.owner_id, kind),
        is_due=delivery.next_at is not None and delivery.next_at <= clock.now(),
        what=what,
        contact=contact,
        contact_role=role,
        wamid=wamid,
        took_ms=None if glimpse.last_us is None else glimpse.last_us / 1000,
    )


def _content(page: Page, delivery: Delivery, body: bytes) -> tuple[str, str, str, str]:
    if delivery.owner_kind is OwnerKind.PARTNER:
        subject = read_subject(body)
        if subject is None:
            return "", "", "", ""
        number = formats.phone(subject.number) if subject.number else ""
        return "", subject.name or number, number if subject.name else "", ""
    content = read_content(body)
    if content is None:
        return "", "", "", ""
    role = page.say(words.CONTACT_ROLES[content.is_inbound]) if content.party else ""
    return _what(page, content), _party(content.party), role, content.wamid


def _what(page: Page, content: Content) -> str:
    said = page.say(words.CONTENTS[content.kind]).format(word=content.word.lower())
    return f"{said} +{content.further}" if content.further else said


def _party(party: str) -> str:
    """Write a number as people do; an id that stands for one stays as it is."""
    return formats.phone(party) if party.isdigit() else party
