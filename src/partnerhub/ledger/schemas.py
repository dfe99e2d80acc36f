"""The values that go in and out of the ledger. Amounts are micros: millionths of the currency unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from partnerhub.kit.money import Micros

NOTHING = Micros(0)


class Category(StrEnum):
    """What Meta prices; every other name it reports is one of these (`pricing.category_of`)."""

    MARKETING = "marketing"
    UTILITY = "utility"
    AUTHENTICATION = "authentication"
    AUTHENTICATION_INTERNATIONAL = "authentication_international"
    SERVICE = "service"


class ChargeState(StrEnum):
    """What came of a charge."""

    RESERVED = "reserved"
    CAPTURED = "captured"
    FREE = "free"
    UNCOVERED = "uncovered"
    RELEASED = "released"


@dataclass(frozen=True, kw_only=True)
class ReserveOrder:
    """What is about to be sent.

    `key` is the caller's and makes a repeat harmless. `reference` names what is billed (the channel) and
    `time_zone` is that of its WABA. `recipient` is a phone number in any writing, a BSUID (`US.1349…`) or a
    group id; for a group, `participants` says for how many members to reserve.
    """

    partner_id: str
    key: UUID
    reference: str
    recipient: str
    category: Category
    currency: str
    time_zone: str
    participants: int = 1


@dataclass(frozen=True)
class Reserved:
    """The answer to an order: committed, and no more than this will be held for it."""

    key: UUID
    max_micros: Micros


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """One status that Meta reported for a message.

    `participant` is set for a member of a group, otherwise empty. `at` is the status's own time. The two
    `pricing_` fields are those of Meta's `pricing` object where the status carried one.
    """

    partner_id: str
    reference: str
    wamid: str
    recipient: str
    status: str
    at: datetime
    currency: str
    time_zone: str
    participant: str = ""
    pricing_type: str | None = None
    pricing_category: str | None = None


@dataclass(frozen=True)
class SettleResult:
    """What a batch of statuses changed, counted in messages (group members one by one).

    `adopted` took a reservation whose own call had not been answered; `late` had none at all. What the
    wallets could not pay is `uncovered_micros`; `unpriced` were charged without a known rate.
    """

    captured: int = 0
    free: int = 0
    released: int = 0
    noted: int = 0
    ignored: int = 0
    adopted: int = 0
    late: int = 0
    uncovered: int = 0
    unpriced: int = 0
    uncovered_micros: Micros = NOTHING


@dataclass(frozen=True)
class Released:
    """How many reservations were given back for age, and how many of them no message had taken."""

    released: int
    unbound: int


@dataclass(frozen=True)
class Balance:
    """The wallet of one currency: `available = posted - held`; `owed` is what late captures left open."""

    currency: str
    posted: Micros
    held: Micros
    available: Micros
    owed: Micros


@dataclass(frozen=True)
class TopUp:
    """The first answer to a top-up; repeats return the same."""

    journal_id: UUID
    amount_micros: Micros
    repaid_micros: Micros
    balance: Balance


@dataclass(frozen=True)
class Journal:
    """One command or batch as its partner sees it: by how much it changed posted and available."""

    id: UUID
    kind: str
    currency: str
    posted_change: Micros
    available_change: Micros
    note: str
    actor_kind: str
    actor_id: str
    effective_at: datetime


@dataclass(frozen=True)
class Charge:
    """One paid delivery to one recipient, or its reservation."""

    key: UUID
    part: int
    reference: str
    recipient: str
    participant: str
    category: str
    charged_category: str | None
    pricing_type: str | None
    currency: str
    state: ChargeState
    is_late: bool
    max_micros: Micros
    price_micros: Micros | None
    uncovered_micros: Micros
    wamid: str | None
    reserved_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True)
class Rate:
    """One dated rate of Meta. `until` is the first day it no longer holds; a tier counts messages."""

    currency: str
    market: str
    category: str
    micros: Micros
    since: date
    until: date | None = None
    tier_from: int = 0
    tier_to: int | None = None


@dataclass(frozen=True)
class Market:
    """Which market the numbers of a prefix belong to, from a day on."""

    prefix: str
    market: str
    since: date
    until: date | None = None
    country: str = ""


@dataclass(frozen=True)
class MetaRule:
    """When Meta charges a category: `never`, `outside_window`, `after_allowance` or `always`."""

    category: str
    charged: str
    allowance: int | None
    since: date
    until: date | None = None


@dataclass(frozen=True)
class PriceLine:
    """What one message of a category costs in a market, and when Meta charges the category."""

    market: str
    category: Category
    micros: Micros
    charged: str
    allowance: int | None


@dataclass(frozen=True)
class PriceList:
    """A partner's prices on a day, markups included; `version` changes with every import of prices.

    `home` is the market of the country that was asked for, where one is known.
    """

    currency: str
    day: date
    version: UUID | None
    lines: tuple[PriceLine, ...]
    home: str | None = None


class RuleOp(StrEnum):
    """How a price rule changes a rate: add millionths of it, add micros, lift to, cut to."""

    PERCENT = "percent"
    FIXED = "fixed"
    FLOOR = "floor"
    CEIL = "ceil"


@dataclass(frozen=True, kw_only=True)
class PriceRule:
    """What a partner pays on top of Meta's rate; None matches everything, without partner everybody."""

    op: RuleOp
    value: int
    priority: int
    since: date
    until: date | None = None
    partner_id: str | None = None
    currency: str | None = None
    market: str | None = None
    category: str | None = None


@dataclass(frozen=True)
class RateChange:
    """One line of an import that changes something; `before` is None where there was no rate."""

    line: int
    currency: str
    market: str
    category: str
    since: date
    before: Micros | None
    after: Micros


@dataclass(frozen=True)
class MarketChange:
    """One line of a market file that changes something."""

    line: int
    prefix: str
    since: date
    before: str | None
    after: str


@dataclass(frozen=True)
class ImportResult:
    """What an import did, or (dry run) would do.

    `missing` names series that hold a rate today and are absent from a file that has their currency and
    category: they keep their rate.
    """

    sha256: str
    line_count: int
    unchanged: int
    is_dry_run: bool
    rates: tuple[RateChange, ...] = ()
    markets: tuple[MarketChange, ...] = ()
    missing: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Difference:
    """A figure that is not what recomputing it gives; `rule` names the broken promise."""

    rule: str
    partner_id: str
    subject: str
    expected: str
    found: str
