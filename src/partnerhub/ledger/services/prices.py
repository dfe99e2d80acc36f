"""Dated prices: taking over rate cards and prefix tables, and the partner's price rules."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import TypeVar
from uuid import UUID

import msgspec

from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.database import Unit
from partnerhub.kit.ids import uuid7
from partnerhub.kit.money import Micros
from partnerhub.ledger.errors import PriceRuleInvalid, RatesRefused
from partnerhub.ledger.price_files import RateLine, read_markets, read_rates, text_of
from partnerhub.ledger.pricing import category_of
from partnerhub.ledger.schemas import Category, ImportResult, MarketChange, PriceRule, RateChange, RuleOp
from partnerhub.ledger.timelines import Plan, Span, V, plan

# Where Meta has no market of its own for a country.
_OTHER = "Other"
# In millionths, as percentages are.
_WHOLE = 1_000_000
Series = tuple[str, str, str]
K = TypeVar("K", str, Series)


@dataclass(frozen=True)
class _StoredRate:
    id: int
    currency: str
    market: str
    category: str
    micros: int
    since: date
    until: date | None
    tier_from: int
    tier_to: int | None


@dataclass(frozen=True)
class _StoredMarket:
    id: int
    prefix: str
    market: str
    since: date
    until: date | None


async def import_rates(
    unit: Unit,
    *,
    content: bytes | str,
    source: str,
    actor: Actor,
    since: date | None = None,
    currency: str | None = None,
    dry_run: bool = False,
) -> ImportResult:
    """Take a rate card over, all of it or nothing; with `dry_run` only say what would change.

    A rate holds from its day in the WABA's time zone until the next one. `source` is the file's name;
    `since` and `currency` stand in for columns that the file does not have. Markets must be known from the
    prefix table (or be “Other”). Every process hears of the change. A system unit.

    Raises: RatesRefused, with every faulty line under `line N`.
    """
    lines = read_rates(text_of(content), since=since, currency=currency)
    await unit.lock("rates")
    lines = _with_known_markets(lines, await _known_markets(unit))
    stored = await _stored_rates(unit, sorted({line.currency for line in lines}))
    plans = _plans(
        stored=((_series(row), _rate_span(row)) for row in stored),
        new=((_series(line), _line_span(line)) for line in lines),
    )
    changes = tuple(
        RateChange(
            span.line, *series, span.since, None if before is None else Micros(before), Micros(span.value)
        )
        for series, made in plans.items()
        for span, before in made.added
    )
    result = ImportResult(
        sha256=_digest(content).hex(),
        line_count=len(lines),
        unchanged=sum(made.unchanged for made in plans.values()),
        is_dry_run=dry_run,
        rates=tuple(sorted(changes, key=lambda change: (change.line, change.category))),
        missing=_missing(lines, stored),
    )
    if not dry_run and changes:
        change_id = await _record(
            unit, "rates", source=source, content=content, line_count=len(lines), actor=actor
        )
        await _store_rates(unit, plans, change_id)
    return result


async def import_markets(
    unit: Unit,
    *,
    content: bytes | str,
    source: str,
    actor: Actor,
    since: date | None = None,
    dry_run: bool = False,
) -> ImportResult:
    """Take a table of prefixes over, all of it or nothing; dated and refused like rates. A system unit.

    Raises: RatesRefused.
    """
    lines = read_markets(text_of(content), since=since)
    await unit.lock("rates")
    stored = await unit.fetch_all(
        _StoredMarket,
        "select id, prefix::text as prefix, market, lower(valid) as since, upper(valid) as until "
        "from market_prefix",
    )
    countries = {(line.prefix, line.since): line.country for line in lines}
    plans = _plans(
        stored=((row.prefix, Span(row.market, row.since, row.until, ident=row.id)) for row in stored),
        new=((line.prefix, Span(line.market, line.since, line=line.line)) for line in lines),
    )
    changes = tuple(
        MarketChange(span.line, prefix, span.since, before, span.value)
        for prefix, made in plans.items()
        for span, before in made.added
    )
    if not dry_run and changes:
        change_id = await _record(
            unit, "markets", source=source, content=content, line_count=len(lines), actor=actor
        )
        await _store_markets(unit, plans, countries, change_id)
    return ImportResult(
        sha256=_digest(content).hex(),
        line_count=len(lines),
        unchanged=sum(made.unchanged for made in plans.values()),
        is_dry_run=dry_run,
        markets=tuple(sorted(changes, key=lambda change: change.line)),
    )


async def add_price_rule(unit: Unit, *, rule: PriceRule, actor: Actor) -> UUID:
    """Add what a partner pays on top of Meta's rate, from a day on. A system unit.

    Raises: PriceRuleInvalid.
    """
    await unit.lock("rates")
    rule = _checked(rule, await _known_markets(unit))
    change_id = await _record(
        unit, "rule", source="price rule", content=repr(rule), line_count=1, actor=actor
    )
    await unit.execute(
        """
        insert into price_rule
          (id, partner_id, priority, market, category, currency, op, value, valid, change_id)
        values (%s, %s, %s, %s, %s, %s, %s, %s, daterange(%s, %s), %s)
        """,
        (
            change_id,
            rule.partner_id,
            rule.priority,
            rule.market,
            rule.category,
            rule.currency,
            rule.op.value,
            rule.value,
            rule.since,
            rule.until,
            change_id,
        ),
    )
    if rule.partner_id is not None:
        await record_change(
            unit,
            partner_id=rule.partner_id,
            actor=actor,
            action="price_rule.added",
            object_kind="price_rule",
            object_id=str(change_id),
            before=None,
            after=asdict(rule),
        )
    return change_id


def _checked(rule: PriceRule, markets: Mapping[str, str]) -> PriceRule:
    """Return a rule in our own spelling. Raises: PriceRuleInvalid, with everything that is wrong."""
    faults: dict[str, str] = {}
    category = category_of(rule.category)
    market = None if rule.market is None else markets.get(_plain(rule.market))
    if rule.category is not None and category is None:
        faults["category"] = f"Categories are {', '.join(Category)}."
    if rule.market is not None and market is None:
        faults["market"] = f"“{rule.market}” is not a market of the prefix table."
    if rule.op is not RuleOp.PERCENT and rule.currency is None:
        faults["currency"] = "Name the currency of the amount."
    if rule.currency is not None and not re.fullmatch("[A-Z]{3}", rule.currency):
        faults["currency"] = "A currency has three letters, such as EUR."
    if rule.op is not RuleOp.PERCENT and rule.value < 0:
        faults["value"] = "An amount is not below zero."
    if rule.op is RuleOp.PERCENT and rule.value < -_WHOLE:
        faults["value"] = "A price does not fall below zero."
    if rule.until is not None and rule.until <= rule.since:
        faults["until"] = "It ends after it begins."
    if faults:
        raise PriceRuleInvalid("The price rule cannot be taken.", fields=faults)
    return replace(rule, market=market, category=category.value if category else None)


def _digest(content: bytes | str) -> bytes:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).digest()


def _series(row: RateLine | _StoredRate) -> Series:
    return row.currency, row.market, str(row.category)


def _rate_span(row: _StoredRate) -> Span[int]:
    return Span(row.micros, row.since, row.until, row.tier_from, row.tier_to, ident=row.id)


def _line_span(line: RateLine) -> Span[int]:
    return Span(int(line.micros), line.since, tier_from=line.tier_from, tier_to=line.tier_to, line=line.line)


def _plain(market: str) -> str:
    """Return a market's name so that ways of writing it meet: `Rest of Central & Eastern Europe`."""
    return re.sub(r"\s+", " ", market.replace("&", " and ")).strip().casefold()


async def _known_markets(unit: Unit) -> Mapping[str, str]:
    rows = await unit.fetch_dicts("select distinct market from market_prefix")
    return {_plain(name): name for name in (_OTHER, *(str(row["market"]) for row in rows))}


def _with_known_markets(lines: Sequence[RateLine], known: Mapping[str, str]) -> list[RateLine]:
    faults = {
        f"line {line.line}": f"“{line.market}” is not a market of the prefix table; import that first"
        for line in lines
        if _plain(line.market) not in known
    }
    if faults:
        raise RatesRefused.of_lines(faults, one="names an unknown market", many="name unknown markets")
    return [replace(line, market=known[_plain(line.market)]) for line in lines]


async def _stored_rates(unit: Unit, currencies: Sequence[str]) -> list[_StoredRate]:
    return await unit.fetch_all(
        _StoredRate,
        """
        select r.id, s.currency, s.market, s.category, r.micros, lower(r.valid) as since,
          upper(r.valid) as until, lower(r.tier) as tier_from, upper(r.tier) as tier_to
        from rate r join rate_series s on s.id = r.series_id where s.currency = any(%s)
        """,
        (list(currencies),),
    )


def _missing(lines: Sequence[RateLine], stored: Sequence[_StoredRate]) -> tuple[str, ...]:
    given = {_series(line) for line in lines}
    newest = {(line.currency, str(line.category)): line.since for line in lines}
    gone = {
        _series(row)
        for row in stored
        if (day := newest.get((row.currency, row.category))) is not None
        and _series(row) not in given
        and row.since <= day
        and (row.until is None or day < row.until)
    }
    return tuple(" · ".join(series) for series in sorted(gone))


def _plans(stored: Iterable[tuple[K, Span[V]]], new: Iterable[tuple[K, Span[V]]]) -> dict[K, Plan[V]]:
    """Plan each timeline for itself. Raises: RatesRefused with the faults of all of them."""
    before: dict[K, list[Span[V]]] = defaultdict(list)
    after: dict[K, list[Span[V]]] = defaultdict(list)
    for key, span in stored:
        before[key].append(span)
    for key, span in new:
        after[key].append(span)
    plans = {key: plan(before[key], spans) for key, spans in after.items()}
    faults = {f"line {line}": fault for made in plans.values() for line, fault in made.faults}
    if faults:
        raise RatesRefused.of_lines(faults)
    return plans


async def _record(
    unit: Unit, kind: str, *, source: str, content: bytes | str, line_count: int, actor: Actor
) -> UUID:
    """Write who changed prices with what, and tell every process."""
    change_id = uuid7()
    await unit.execute(
        "insert into price_change (id, kind, source, sha256, line_count, actor_kind, actor_id, made_at) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (change_id, kind, source, _digest(content), line_count, actor.kind.value, actor.id, clock.now()),
    )
    await unit.notify("rates")
    return change_id


async def _store_rates(unit: Unit, plans: Mapping[Series, Plan[int]], change_id: UUID) -> None:
    await unit.execute(
        "update rate r set valid = daterange(lower(r.valid), c.until) "
        "from jsonb_to_recordset(%s::jsonb) as c(id bigint, until date) where r.id = c.id",
        (_cuts(plans.values()),),
    )
    rows = [
        {
            **dict(zip(("currency", "market", "category"), series, strict=True)),
            "micros": span.value,
            "since": span.since,
            "until": span.until,
            "tier_from": span.tier_from,
            "tier_to": span.tier_to,
        }
        for series, made in plans.items()
        for span, _ in made.added
    ]
    document = msgspec.json.encode(rows).decode()
    await unit.execute(
        "insert into rate_series (currency, market, category) "
        "select distinct currency, market, category "
        "from jsonb_to_recordset(%s::jsonb) as n(currency text, market text, category text) "
        "on conflict do nothing",
        (document,),
    )
    await unit.execute(
        """
        insert into rate (series_id, tier, valid, micros, change_id)
        select s.id, int8range(n.tier_from, n.tier_to), daterange(n.since, n.until), n.micros, %s
        from jsonb_to_recordset(%s::jsonb) as n(currency text, market text, category text, micros bigint,
          since date, until date, tier_from bigint, tier_to bigint)
        join rate_series s using (currency, market, category)
        """,
        (change_id, document),
    )


async def _store_markets(
    unit: Unit,
    plans: Mapping[str, Plan[str]],
    countries: Mapping[tuple[str, date], str],
    change_id: UUID,
) -> None:
    await unit.execute(
        "update market_prefix m set valid = daterange(lower(m.valid), c.until) "
        "from jsonb_to_recordset(%s::jsonb) as c(id bigint, until date) where m.id = c.id",
        (_cuts(plans.values()),),
    )
    rows = [
        {
            "prefix": int(prefix),
            "market": span.value,
            "country": countries[prefix, span.since],
            "since": span.since,
            "until": span.until,
        }
        for prefix, made in plans.items()
        for span, _ in made.added
    ]
    await unit.execute(
        """
        insert into market_prefix (prefix, market, country, valid, change_id)
        select n.prefix, n.market, n.country, daterange(n.since, n.until), %s
        from jsonb_to_recordset(%s::jsonb)
          as n(prefix bigint, market text, country text, since date, until date)
        """,
        (change_id, msgspec.json.encode(rows).decode()),
    )


def _cuts(plans: Iterable[Plan[V]]) -> str:
    return msgspec.json.encode(
        [{"id": span.ident, "until": span.until} for made in plans for span in made.cut]
    ).decode()
