"""What can be read: balances, journals, charges, rates.

`check_books` and `get_price_list` look at everybody's rows and need a system unit; the others a tenant's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from uuid import UUID

from partnerhub.kit.database import Unit
from partnerhub.ledger.books import check_books
from partnerhub.ledger.schemas import Balance, Charge, ChargeState, Journal, PriceList, Rate
from partnerhub.ledger.snapshots import load_prices

__all__ = [
    "check_books",
    "find_price_version",
    "find_rate",
    "get_balance",
    "get_price_list",
    "list_charges",
    "list_journals",
]


async def get_balance(unit: Unit, *, partner_id: str) -> list[Balance]:
    """Return the partner's wallets, one for each currency, in the order of currencies."""
    return await unit.fetch_all(
        Balance,
        "select currency, posted, held, posted - held as available, owed from ledger_balance "
        "where partner_id = %s order by currency",
        (partner_id,),
    )


async def list_journals(
    unit: Unit,
    *,
    partner_id: str,
    kinds: tuple[str, ...] = (),
    before: UUID | None = None,
    limit: int = 50,
) -> list[Journal]:
    """Return what moved the partner's wallets, newest first; `before` is the last id of the page before.

    Without `kinds`, all of them: `top_up`, and the batches `reserve`, `capture`, `release`.
    """
    return await unit.fetch_all(
        Journal,
        """
        select j.id, j.kind, moved.currency, moved.posted_change, moved.available_change, j.note,
          j.actor_kind, j.actor_id, j.effective_at
        from (
          select id, kind, note, actor_kind, actor_id, effective_at from ledger_journal
          where partner_id = %(partner)s
            and (%(before)s::uuid is null or id < %(before)s)
            and (cardinality(%(kinds)s::text[]) = 0 or kind = any(%(kinds)s))
          order by id desc limit %(limit)s
        ) j
        cross join lateral (
          select b.currency,
            sum(case when t.credit_account in (b.account_id, b.in_flight_id) then t.amount_micros else 0 end
              - case when t.debit_account in (b.account_id, b.in_flight_id) then t.amount_micros else 0 end
            )::bigint as posted_change,
            sum(case when t.credit_account = b.account_id then t.amount_micros else 0 end
              - case when t.debit_account = b.account_id then t.amount_micros else 0 end
            )::bigint as available_change
          from ledger_transfer t
          join ledger_balance b on b.partner_id = t.partner_id and b.currency = t.currency
          where t.partner_id = %(partner)s and t.journal_id = j.id
          group by b.currency
        ) moved
        order by j.id desc
        """,
        {"partner": partner_id, "before": before, "kinds": list(kinds), "limit": limit},
    )


async def list_charges(
    unit: Unit,
    *,
    partner_id: str,
    reference: str | None = None,
    state: ChargeState | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[Charge]:
    """Return the partner's charges, newest first; `before` is the last key of the page before."""
    rows = await unit.fetch_all(
        Charge,
        """
        select key, part, reference, recipient, participant, category, charged_category, pricing_type,
          currency, state, is_late, max_micros, price_micros, uncovered_micros, wamid, reserved_at,
          resolved_at
        from charge
        where partner_id = %(partner)s
          and (%(reference)s::text is null or reference = %(reference)s)
          and (%(state)s::text is null or state = %(state)s)
          and (%(before)s::uuid is null or key < %(before)s)
        order by key desc, part
        limit %(limit)s
        """,
        {
            "partner": partner_id,
            "reference": reference,
            "state": None if state is None else state.value,
            "before": before,
            "limit": limit,
        },
    )
    return [replace(row, state=ChargeState(row.state)) for row in rows]


async def find_rate(unit: Unit, *, currency: str, market: str, category: str, day: date) -> Rate | None:
    """Return Meta's rate on a day of the WABA's time zone, without the partner's price rules."""
    return await unit.fetch_one(
        Rate,
        """
        select s.currency, s.market, s.category, r.micros, lower(r.valid) as since, upper(r.valid) as until,
          lower(r.tier)::integer as tier_from, upper(r.tier)::integer as tier_to
        from rate r join rate_series s on s.id = r.series_id
        where (s.currency, s.market, s.category) = (%s, %s, %s) and r.valid @> %s::date and lower(r.tier) = 0
        """,
        (currency, market, category, day),
    )


async def get_price_list(
    unit: Unit, *, partner_id: str, currency: str, day: date, country: str = ""
) -> PriceList:
    """Return what a partner's messages cost on a day; no lines where no rates of the currency hold then."""
    prices = await load_prices(unit)
    lines = prices.lines(partner_id=partner_id, currency=currency, day=day)
    home = prices.market_of_country(country, day)
    return PriceList(currency, day, await find_price_version(unit), tuple(lines), home)


async def find_price_version(unit: Unit) -> UUID | None:
    """Return the newest change of prices, or None before the first."""
    version: UUID | None = await unit.fetch_value("select id from price_change order by seq desc limit 1")
    return version
