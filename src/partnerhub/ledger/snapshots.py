"""Loads the snapshot of dated prices, at most once for each version of them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from uuid import UUID

from partnerhub.kit.database import Unit
from partnerhub.ledger.pricing import Prices
from partnerhub.ledger.schemas import Market, MetaRule, PriceRule, Rate, RuleOp

# Immutable values under the random id of the change that made them: safe to share, whatever the database.
_KEPT = 4
_loaded: OrderedDict[UUID, Prices] = OrderedDict()


async def load_prices(unit: Unit) -> Prices:
    """Return the prices as they are now. A system unit: a tenant's would lack the rules of others."""
    if unit.partner_id is not None:
        raise ValueError("Prices are loaded in a system unit.")
    version: UUID | None = await unit.fetch_value("select id from price_change order by seq desc limit 1")
    if version is not None and version in _loaded:
        _loaded.move_to_end(version)
        return _loaded[version]
    prices = Prices(
        rates=tuple(await _rates(unit)),
        markets=tuple(await _markets(unit)),
        meta_rules=tuple(await _meta_rules(unit)),
        price_rules=tuple(await _price_rules(unit)),
    )
    if version is not None:
        _loaded[version] = prices
        while len(_loaded) > _KEPT:
            _loaded.popitem(last=False)
    return prices


async def _rates(unit: Unit) -> list[Rate]:
    return await unit.fetch_all(
        Rate,
        """
        select s.currency, s.market, s.category, r.micros, lower(r.valid) as since, upper(r.valid) as until,
          lower(r.tier)::integer as tier_from, upper(r.tier) as tier_to
        from rate r join rate_series s on s.id = r.series_id
        order by s.id, r.valid, r.tier
        """,
    )


async def _markets(unit: Unit) -> list[Market]:
    return await unit.fetch_all(
        Market,
        """
        select prefix::text as prefix, market, lower(valid) as since, upper(valid) as until, country
        from market_prefix order by prefix, valid
        """,
    )


async def _meta_rules(unit: Unit) -> list[MetaRule]:
    return await unit.fetch_all(
        MetaRule,
        """
        select c.name as category, m.charged, m.allowance, lower(m.valid) as since, upper(m.valid) as until
        from meta_rule m join price_category c on c.id = m.category_id order by m.id
        """,
    )


async def _price_rules(unit: Unit) -> list[PriceRule]:
    rows = await unit.fetch_all(
        PriceRule,
        """
        select op, value, priority, lower(valid) as since, upper(valid) as until, partner_id, currency,
          market, category
        from price_rule order by priority, id
        """,
    )
    return [replace(row, op=RuleOp(row.op)) for row in rows]
