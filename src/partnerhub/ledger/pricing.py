"""What a message may cost and what it did cost: pure functions over a snapshot of dated prices.

Rates, prefixes and rules are dated by days of the WABA's time zone, so that a change "at midnight" happens
at that zone's midnight, daylight saving included. Nothing here reads the clock or the database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from partnerhub.kit.money import Micros
from partnerhub.ledger.errors import RateMissing
from partnerhub.ledger.recipients import digits_of
from partnerhub.ledger.schemas import (
    Category,
    Market,
    MetaRule,
    PriceLine,
    PriceRule,
    Rate,
    ReserveOrder,
    RuleOp,
    Settlement,
)

_MILLION = 1_000_000
_OTHER_NAMES = {
    # Meta charges the Marketing Messages API like marketing; analytics has a third name for it.
    "marketing_lite": Category.MARKETING,
    "marketing_lite_dynamic": Category.MARKETING,
}
D = TypeVar("D", Rate, Market, MetaRule, PriceRule)


def category_of(reported: str | None) -> Category | None:
    """Return the priced category behind a reported one, or None for one that has no rate.

    Meta writes `authentication-international` in webhooks and `AUTHENTICATION_INTERNATIONAL` in analytics,
    and puts `group_` before the category of a group message; each member is charged like a single one.
    """
    if reported is None:
        return None
    name = reported.strip().lower().replace("-", "_").removeprefix("group_")
    if name in _OTHER_NAMES:
        return _OTHER_NAMES[name]
    try:
        return Category(name)
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """Return the time zone, or UTC for a name that is none: a status must be settled all the same."""
    try:
        return ZoneInfo(name)
    except (OSError, LookupError, ValueError):  # not found, or not a name at all
        return UTC


def local_day(moment: datetime, time_zone: str) -> date:
    """Return the day it is at `moment` in the WABA's time zone."""
    return moment.astimezone(zone(time_zone)).date()


@dataclass(frozen=True)
class Quote:
    """The highest price of one message. With an allowance, nothing while the month has some of it left."""

    max_micros: Micros
    allowance: int | None
    month: date


@dataclass(frozen=True)
class Prices:
    """Every dated rate, market, rule and markup, as one immutable snapshot."""

    rates: tuple[Rate, ...] = ()
    markets: tuple[Market, ...] = ()
    meta_rules: tuple[MetaRule, ...] = ()
    price_rules: tuple[PriceRule, ...] = ()
    _series: Mapping[tuple[str, str, str], list[Rate]] = field(init=False, repr=False, compare=False)
    _by_category: Mapping[tuple[str, str], list[Rate]] = field(init=False, repr=False, compare=False)
    _prefixes: Mapping[str, list[Market]] = field(init=False, repr=False, compare=False)
    _highest: dict[tuple[str, str | None, date], list[Rate]] = field(init=False, repr=False, compare=False)
    _longest: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the rows by what they are looked up with."""
        series: dict[tuple[str, str, str], list[Rate]] = defaultdict(list)
        by_category: dict[tuple[str, str], list[Rate]] = defaultdict(list)
        prefixes: dict[str, list[Market]] = defaultdict(list)
        for rate in self.rates:
            series[rate.currency, rate.market, rate.category].append(rate)
            by_category[rate.currency, rate.category].append(rate)
        for market in self.markets:
            prefixes[market.prefix].append(market)
        set_field = object.__setattr__  # frozen for everybody else
        set_field(self, "_series", dict(series))
        set_field(self, "_by_category", dict(by_category))
        set_field(self, "_prefixes", dict(prefixes))
        set_field(self, "_highest", {})
        set_field(self, "_longest", max((len(prefix) for prefix in prefixes), default=0))

    def market_of(self, recipient: str, day: date) -> str | None:
        """Return the market of a recipient by the longest prefix that holds on the day."""
        digits = digits_of(recipient)
        if digits is None:
            return None
        for length in range(min(self._longest, len(digits)), 0, -1):
            if row := _on(self._prefixes.get(digits[:length], ()), day):
                return row.market
        return None

    def market_of_country(self, country: str, day: date) -> str | None:
        """Return the market of a country's shortest prefix, or None for a country without one."""
        rows = (row for row in self.markets if row.country == country and country and _holds(row, day))
        return min(((len(row.prefix), row.prefix, row.market) for row in rows), default=(0, "", None))[2]

    def rate(self, currency: str, market: str, category: str, day: date, *, count: int = 0) -> Rate | None:
        """Return the one rate that holds on the day for the message after `count` others of its month."""
        rows = self._series.get((currency, market, category), ())
        return _on((row for row in rows if _in_tier(row, count)), day)

    def lines(self, *, partner_id: str, currency: str, day: date) -> list[PriceLine]:
        """Return what the partner's messages cost on a day, without tiers, by market and category."""
        rules = {row.category: row for row in self.meta_rules if _holds(row, day)}
        order = list(Category)
        found = []
        for (of_currency, market, category), rows in self._series.items():
            rate = _on((row for row in rows if _in_tier(row, 0)), day) if of_currency == currency else None
            if rate is None:
                continue
            rule = rules.get(category)
            found.append(
                PriceLine(
                    market=market,
                    category=Category(category),
                    micros=self._marked_up(rate, partner_id, day),
                    charged=rule.charged if rule else "always",
                    allowance=rule.allowance if rule else None,
                )
            )
        return sorted(found, key=lambda line: (line.market, order.index(line.category)))

    def quote(self, order: ReserveOrder, now: datetime) -> Quote:
        """Return the most that one recipient of the order can cost.

        An authentication message may be reported as international, so the dearer of the two counts. Where
        the market or its rate is unknown, the dearest rate of the category counts, and where there is
        none of that, the dearest of the currency: unknown is never free.

        Raises: RateMissing when the currency has no rate at all.
        """
        day = local_day(now, order.time_zone)
        rule = _on((row for row in self.meta_rules if row.category == order.category), day)
        month = day.replace(day=1)
        if rule is not None and rule.charged == "never":
            return Quote(Micros(0), None, month)
        categories = [order.category]
        if order.category is Category.AUTHENTICATION:
            categories.append(Category.AUTHENTICATION_INTERNATIONAL)
        market = self.market_of(order.recipient, day)
        found = []
        if market is not None:
            rows = (self.rate(order.currency, market, category, day) for category in categories)
            found = [row for row in rows if row is not None]
        for category in (*categories, None):
            found = found or self._dearest(order.currency, category, day)
        if not found:
            raise RateMissing(f"No message rates in {order.currency} are imported.")
        highest = max(self._marked_up(row, order.partner_id, day) for row in found)
        allowance = rule.allowance if rule is not None and rule.charged == "after_allowance" else None
        return Quote(highest, allowance, month)

    def price(self, settlement: Settlement) -> Micros | None:
        """Return what the reported category costs on the day of the status in the WABA's time zone.

        0 for the free types of Meta; None where nothing was reported or no rate is known.
        """
        if settlement.pricing_type is not None and settlement.pricing_type.lower().startswith("free_"):
            return Micros(0)
        category = category_of(settlement.pricing_category)
        if category is None:
            return None
        day = local_day(settlement.at, settlement.time_zone)
        market = self.market_of(settlement.participant or settlement.recipient, day)
        row = None if market is None else self.rate(settlement.currency, market, category, day)
        return None if row is None else self._marked_up(row, settlement.partner_id, day)

    def highest(self, settlement: Settlement) -> Micros | None:
        """Return the dearest price of the reported category, else of the currency; None without any rate."""
        day = local_day(settlement.at, settlement.time_zone)
        category = category_of(settlement.pricing_category)
        found = self._dearest(settlement.currency, category, day) or self._dearest(
            settlement.currency, None, day
        )
        return max((self._marked_up(row, settlement.partner_id, day) for row in found), default=None)

    def _dearest(self, currency: str, category: str | None, day: date) -> list[Rate]:
        """Return every market's rate, dearest first; markups differ by market, so all of them are needed."""
        key = (currency, category, day)
        if key not in self._highest:
            rows = [
                row
                for (of_currency, of_category), group in self._by_category.items()
                if of_currency == currency and category in (None, of_category)
                for row in group
                if _holds(row, day) and _in_tier(row, 0)
            ]
            if len(self._highest) > 10_000:
                self._highest.clear()
            self._highest[key] = sorted(rows, key=lambda row: -row.micros)
        return self._highest[key]

    def _marked_up(self, rate: Rate, partner_id: str, day: date) -> Micros:
        amount: int = rate.micros
        if amount == 0:
            return Micros(0)
        for rule in self.price_rules:
            if _matches(rule, rate, partner_id) and _holds(rule, day):
                amount = _apply(rule, amount)
        return Micros(max(amount, 0))


def _holds(row: D, day: date) -> bool:
    return row.since <= day and (row.until is None or day < row.until)


def _on(rows: Iterable[D], day: date) -> D | None:
    return next((row for row in rows if _holds(row, day)), None)


def _in_tier(rate: Rate, count: int) -> bool:
    return rate.tier_from <= count and (rate.tier_to is None or count < rate.tier_to)


def _matches(rule: PriceRule, rate: Rate, partner_id: str) -> bool:
    return (
        rule.partner_id in (None, partner_id)
        and rule.currency in (None, rate.currency)
        and rule.market in (None, rate.market)
        and rule.category in (None, rate.category)
    )


def _apply(rule: PriceRule, amount: int) -> int:
    match rule.op:
        case RuleOp.PERCENT:
            # Rounded up to a whole micro: a price has no smaller part, and the invoice rounds once.
            return amount - (-amount * rule.value // _MILLION)
        case RuleOp.FIXED:
            return amount + rule.value
        case RuleOp.FLOOR:
            return max(amount, rule.value)
        case RuleOp.CEIL:
            return min(amount, rule.value)
