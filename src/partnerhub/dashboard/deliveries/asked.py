"""What an address of the log asks for: words to search, a state, whose webhook, and which time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from partnerhub.channels.life_cycle import PartnerEvent
from partnerhub.kit import clock
from partnerhub.messaging.callbacks import NUMBER_FIELDS
from partnerhub.ui.address import Address
from partnerhub.ui.formats import zone_of
from partnerhub.web.navigation import N_
from partnerhub.webhooks.schemas import DeliveryFilter, DeliveryState, OwnerKind

PATH = "/dashboard/partner/deliveries"


class Window(StrEnum):
    """Which time the log is narrowed to; without one it is everything that is kept."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"
    CUSTOM = "custom"


_LENGTHS = {
    Window.HOUR: timedelta(hours=1),
    Window.DAY: timedelta(hours=24),
    Window.WEEK: timedelta(days=7),
}
_FIELDS = ("q", "state", "owner", "range", "from", "to", "cursor")
_NAMES = frozenset({*PartnerEvent, *NUMBER_FIELDS})
_OWNER_ID = re.compile(r"[A-Za-z0-9]{4,}(CH|WA|PA)")
# Ids of events begin with a zero for years to come; phone numbers with their country's code never do.
_ID_START = re.compile(r"(?=0|.*[a-f-])[0-9a-f]{6}[0-9a-f-]{0,30}", re.IGNORECASE)
_NUMBER = re.compile(r"\+?[\d\s().\-/]{6,}")


@dataclass(frozen=True)
class Asked:
    """An address as the log understands it.

    `containing` is a text to look for in bodies; `start` and `end` are the fields of a time of one's own, in
    the reader's zone; `wrong` says what cannot be understood about them.
    """

    address: Address
    filters: DeliveryFilter
    containing: str = ""
    window: Window | None = None
    start: str = ""
    end: str = ""
    wrong: str = ""

    @property
    def state(self) -> DeliveryState | None:
        """Return the state whose tab is open."""
        return self.filters.states[0] if self.filters.states else None

    @property
    def is_one_event(self) -> bool:
        """Tell whether an id is searched for: a picture or a replay of that says nothing."""
        return bool(self.filters.text) and _OWNER_ID.fullmatch(self.filters.text) is None


def read_address(values: Mapping[str, str], *, zone: str) -> Asked:
    """Understand an address; what is no value of ours is left aside."""
    given = {name: values.get(name, "") for name in _FIELDS}
    state, owner = given["state"], given["owner"]
    filters = DeliveryFilter(
        states=(DeliveryState(state),) if state in set(DeliveryState) else (),
        owner_kind=OwnerKind(owner) if owner in set(OwnerKind) else None,
    )
    asked = _search(Asked(Address(PATH, given), filters), given["q"].strip())
    window = Window(given["range"]) if given["range"] in set(Window) else None
    if window is None or _is_uuid(asked.filters.text):
        return asked
    if window is Window.CUSTOM:
        return _between(asked, given["from"], given["to"], zone)
    since = clock.now() - _LENGTHS[window]
    return replace(asked, window=window, filters=replace(asked.filters, since=since))


def _search(asked: Asked, text: str) -> Asked:
    if text in _NAMES:
        return replace(asked, filters=replace(asked.filters, names=(text,)))
    if _OWNER_ID.fullmatch(text) or _ID_START.fullmatch(text):
        return replace(asked, filters=replace(asked.filters, text=text))
    if _NUMBER.fullmatch(text):
        # As people write it; in bodies a number is its digits.
        return replace(asked, containing=re.sub(r"\D", "", text).removeprefix("00"))
    return replace(asked, containing=text)


def _between(asked: Asked, start: str, end: str, zone: str) -> Asked:
    now = clock.now().astimezone(zone_of(zone)).replace(second=0, microsecond=0, tzinfo=None)
    start = start or (now - timedelta(hours=24)).isoformat("T", "minutes")
    end = end or (now + timedelta(minutes=1)).isoformat("T", "minutes")
    asked = replace(asked, window=Window.CUSTOM, start=start, end=end)
    since, until = _moment(start, zone), _moment(end, zone)
    if since is None or until is None:
        return replace(asked, wrong=N_("Enter both times as day and time."))
    if since >= until:
        return replace(asked, wrong=N_("The end must be after the beginning."))
    return replace(asked, filters=replace(asked.filters, since=since, until=until))


def _moment(text: str, zone: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=zone_of(zone))


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
