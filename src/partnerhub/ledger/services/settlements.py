"""The end of a send: capture at the first delivery, release on failure, and reservations nobody ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import msgspec

from partnerhub.kit import clock
from partnerhub.kit.database import Unit
from partnerhub.kit.money import Micros
from partnerhub.ledger.pricing import Prices, category_of, local_day
from partnerhub.ledger.recipients import normalise
from partnerhub.ledger.renewals import ask_for_renewal
from partnerhub.ledger.schemas import Released, Settlement, SettleResult
from partnerhub.ledger.snapshots import load_prices

# `played` comes for voice messages and implies that they arrived.
_OUTCOMES = {
    "sent": "sent",
    "delivered": "capture",
    "read": "capture",
    "played": "capture",
    "failed": "release",
}
_RANK = {"sent": 0, "release": 1, "capture": 2}


class _Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of the SQL function `ledger_settle`."""

    n: int
    partner_id: str
    reference: str
    wamid: str
    participant: str
    recipient: str
    outcome: str
    currency: str
    month: date
    prices: dict[str, int] = {}
    highest: dict[str, int] = {}
    category: str | None = None
    pricing_type: str | None = None


@dataclass(frozen=True)
class _Payer:
    """Who pays for a message and out of which wallets: the partner of the day of the send."""

    partner_id: str
    currencies: list[str]


@dataclass(frozen=True)
class _Row:
    n: int | None
    answer: str
    adopted: bool
    late: bool
    uncovered: int
    unpriced: bool
    partner_id: str | None
    currency: str | None


async def settle(unit: Unit, settlements: Sequence[Settlement]) -> SettleResult:
    """Settle a batch of statuses in one go; repeats, any order and any mixture give the same money.

    Exactly one charge for each (wamid, participant): captured at the first of delivered, read or played,
    released on failed, unless it was delivered. An unknown wamid takes the oldest open reservation of the
    same reference and recipient; where there is none, a delivered one is charged late from what is
    available, and what is missing there goes to `overdraft`. Statuses that say nothing about money are
    ignored. A message is charged in the currency of its reservation and by its payer's prices, whatever the
    number's currency and partner are by now. A system unit. Asks for `billing.renew` where a wallet falls
    below its threshold.
    """
    wanted = _collapse(settlements)
    if not wanted:
        return SettleResult()
    prices = await load_prices(unit)
    payers = await _find_payers(unit, [status for _, status in wanted])
    items = [
        _item(n, outcome, status, payer, prices)
        for n, ((outcome, status), payer) in enumerate(zip(wanted, payers, strict=True))
    ]
    rows = await unit.fetch_all(
        _Row,
        "select n, answer, adopted, late, uncovered, unpriced, partner_id, currency "
        "from ledger_settle(%s::jsonb, %s)",
        (msgspec.json.encode(items).decode(), clock.now()),
    )
    for row in rows:
        if row.answer == "below" and row.partner_id is not None and row.currency is not None:
            await ask_for_renewal(unit, partner_id=row.partner_id, currency=row.currency)
    return _summary([row for row in rows if row.n is not None])


async def release_stale(
    unit: Unit,
    *,
    unbound_for: timedelta = timedelta(minutes=2),
    untaken_for: timedelta = timedelta(hours=24),
    unresolved_for: timedelta = timedelta(days=30),
    most: int = 1_000,
) -> Released:
    """Give back reservations that no message took in time, and those of messages that never ended.

    `untaken_for` is for what a group message reserved for further members and no status took: mostly there
    are none. At most `most` of each kind; call again while `released` reaches it. A status that comes later
    is charged late. A system unit.
    """
    now = clock.now()
    row = await unit.fetch_one(
        Released,
        "select released, unbound from ledger_release_stale(%s, %s, %s, %s, %s)",
        (now - unbound_for, now - untaken_for, now - unresolved_for, most, now),
    )
    return row or Released(0, 0)


def _collapse(settlements: Iterable[Settlement]) -> list[tuple[str, Settlement]]:
    """Keep one outcome for each message and participant: delivered over failed over sent, the earlier first.

    The day of the first delivery decides the price, and read may stand before delivered in a batch.
    The price class may have come with another status than the first delivered one: with `sent`, or with
    only one of delivered and read.
    """
    kept: dict[tuple[str, str], tuple[str, Settlement]] = {}
    for status in settlements:
        outcome = _OUTCOMES.get(status.status)
        if outcome is None:
            continue
        key = (status.wamid, status.participant)
        before = kept.get(key)
        if before is None or (-_RANK[outcome], status.at) < (-_RANK[before[0]], before[1].at):
            kept[key] = (outcome, _with_pricing_of(status, None if before is None else before[1]))
        else:
            kept[key] = (before[0], _with_pricing_of(before[1], status))
    return list(kept.values())


def _with_pricing_of(status: Settlement, other: Settlement | None) -> Settlement:
    if other is None or status.pricing_type is not None or status.pricing_category is not None:
        return status
    return replace(status, pricing_type=other.pricing_type, pricing_category=other.pricing_category)


async def _find_payers(unit: Unit, statuses: Sequence[Settlement]) -> list[_Payer]:
    """Return one payer for each status, in their order."""
    return await unit.fetch_all(
        _Payer,
        """
        select payer.partner_id,
               array(select b.currency from ledger_balance b
                     where b.partner_id = payer.partner_id) as currencies
        from unnest(%s::text[], %s::text[]) with ordinality as told(wamid, partner_id, n)
        left join lateral (
          select w.partner_id from charge_wamid w where w.wamid = told.wamid limit 1) known on true
        cross join lateral (select coalesce(known.partner_id, told.partner_id) as partner_id) payer
        order by told.n
        """,
        ([status.wamid for status in statuses], [status.partner_id for status in statuses]),
    )


def _item(n: int, outcome: str, status: Settlement, payer: _Payer, prices: Prices) -> _Item:
    category = category_of(status.pricing_category)
    # Which reservation pays is found under the lock, so every wallet that may pay gets its price.
    known: dict[str, int] = {}
    highest: dict[str, int] = {}
    if outcome != "release":
        for currency in {status.currency, *payer.currencies}:
            of_wallet = replace(status, partner_id=payer.partner_id, currency=currency)
            if (price := prices.price(of_wallet)) is not None:
                known[currency] = price
            elif outcome == "capture" and (dearest := prices.highest(of_wallet)) is not None:
                highest[currency] = dearest
    return _Item(
        n=n,
        partner_id=status.partner_id,
        reference=status.reference,
        wamid=status.wamid,
        participant=status.participant,
        recipient=normalise(status.recipient),
        outcome=outcome,
        currency=status.currency,
        month=local_day(status.at, status.time_zone).replace(day=1),
        prices=known,
        highest=highest,
        category=status.pricing_category if category is None else category.value,
        pricing_type=status.pricing_type,
    )


def _summary(rows: Sequence[_Row]) -> SettleResult:
    def count(answer: str) -> int:
        return sum(row.answer == answer for row in rows)

    return SettleResult(
        captured=count("captured") + count("uncovered"),
        free=count("free"),
        released=count("released"),
        noted=count("noted"),
        ignored=count("ignored"),
        adopted=sum(row.adopted for row in rows),
        late=sum(row.late for row in rows),
        uncovered=count("uncovered"),
        unpriced=sum(row.unpriced for row in rows),
        uncovered_micros=Micros(sum(row.uncovered for row in rows)),
    )
