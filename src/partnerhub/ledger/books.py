"""Recomputes the books from their rows and names every figure that is not what it should be.

One statement, so that all of it sees one snapshot while money keeps moving.
"""

from __future__ import annotations

from partnerhub.kit.database import Unit
from partnerhub.ledger.schemas import Difference

# Each part returns (rule, partner, subject, expected, found) for what differs, and nothing otherwise.
_CHECKS = """
with legs as (
  select account_id, sum(credit) - sum(debit) as balance
  from (
    select debit_account as account_id, amount_micros as debit, 0::bigint as credit from ledger_transfer
    union all
    select credit_account, 0, amount_micros from ledger_transfer
  ) sides group by account_id
),
rebuilt as (
  select b.*, coalesce(w.balance, 0) as wallet, coalesce(f.balance, 0) as flight,
    -coalesce(o.balance, 0) as overdraft
  from ledger_balance b
  left join legs w on w.account_id = b.account_id
  left join legs f on f.account_id = b.in_flight_id
  left join legs o on o.account_id = b.overdraft_id
),
rows_of_charges as (
  select account_id,
    coalesce(sum(max_micros) filter (where state = 'reserved'), 0) as open,
    coalesce(sum(price_micros), 0) as price, coalesce(sum(uncovered_micros), 0) as uncovered
  from charge group by account_id
),
other_journals as (
  select t.account_id, sum(t.amount) as amount
  from (
    select j.kind, x.debit_account as account_id, -x.amount_micros as amount
    from ledger_transfer x join ledger_journal j on j.id = x.journal_id
    union all
    select j.kind, x.credit_account, x.amount_micros
    from ledger_transfer x join ledger_journal j on j.id = x.journal_id
  ) t
  where t.kind not in ('reserve', 'capture', 'release') group by t.account_id
),
ends as (
  select reserve_batch as batch_id, partner_id, account_id, key, part, max_micros as amount from charge
  where reserve_batch is not null
  union all
  select resolve_batch, partner_id, account_id, key, part, coalesce(price_micros, max_micros) from charge
  where resolve_batch is not null
),
batch_rows as (
  select batch_id, count(*) as n, sum(amount) as sum_micros,
    sha256(convert_to(string_agg(key::text || ':' || part || ':' || amount, ',' order by key, part), 'UTF8'))
      as digest,
    count(distinct account_id) as wallets
  from ends group by batch_id
),
batch_legs as (
  select c.id, coalesce(sum(t.amount_micros) filter (
      where (c.kind = 'reserve' and t.debit_account = b.account_id and t.credit_account = b.in_flight_id)
         or (c.kind = 'capture' and t.credit_account = b.revenue_id)
         or (c.kind = 'release' and t.debit_account = b.in_flight_id and t.credit_account = b.account_id)), 0)
    as moved
  from charge_batch c
  join ledger_balance b on b.account_id = c.account_id
  left join ledger_transfer t on t.journal_id = c.journal_id
  group by c.id
)
-- 1: what is debited is credited, in one currency.
select 'sum_is_zero' as rule, '' as partner_id, a.currency as subject, '0' as expected,
  sum(l.balance)::text as found
from legs l join ledger_account a on a.id = l.account_id
group by a.currency having sum(l.balance) <> 0
union all
select 'one_currency', t.partner_id, 'transfer ' || t.id, t.currency, d.currency || '/' || c.currency
from ledger_transfer t join ledger_account d on d.id = t.debit_account
join ledger_account c on c.id = t.credit_account
where d.currency <> t.currency or c.currency <> t.currency
-- 2 and 9: the live figures are those of the transfers.
union all
select 'posted_is_transfers', partner_id, currency, (wallet + flight)::text, posted::text
from rebuilt where posted <> wallet + flight
union all
select 'held_is_in_flight', partner_id, currency, flight::text, held::text from rebuilt where held <> flight
union all
select 'owed_is_overdraft', partner_id, currency, overdraft::text, owed::text
from rebuilt where owed <> overdraft
union all
select 'available_is_not_negative', partner_id, currency, '>= 0', (posted - held)::text
from rebuilt where posted - held < 0
-- 2 and 9: and those of the charges.
union all
select 'held_is_open_charges', r.partner_id, r.currency, coalesce(c.open, 0)::text, r.held::text
from rebuilt r left join rows_of_charges c on c.account_id = r.account_id
where r.held <> coalesce(c.open, 0)
union all
select 'posted_is_charges', r.partner_id, r.currency,
  (coalesce(j.amount, 0) - coalesce(c.price, 0) + coalesce(c.uncovered, 0))::text, r.posted::text
from rebuilt r
left join rows_of_charges c on c.account_id = r.account_id
left join other_journals j on j.account_id = r.account_id
where r.posted <> coalesce(j.amount, 0) - coalesce(c.price, 0) + coalesce(c.uncovered, 0)
-- 5: price and what came back are what was reserved, and only what lies above it may be uncovered.
union all
select 'parts_are_whole', partner_id, key || '/' || part, 'uncovered <= price - max',
  uncovered_micros || ' > ' || (coalesce(price_micros, 0) - max_micros)
from charge where uncovered_micros > greatest(coalesce(price_micros, 0) - max_micros, 0)
-- A message is paid by one charge.
union all
select 'paid_once', min(partner_id), wamid || '/' || participant, '1', count(*)::text
from charge where wamid is not null and price_micros is not null
group by wamid, participant, case when participant = '' then part end having count(*) > 1
union all
select 'paid_by_its_charge', w.partner_id, w.wamid || '/' || w.participant, w.wamid, coalesce(c.wamid, 'none')
from charge_wamid w left join charge c on c.partner_id = w.partner_id and c.key = w.key and c.part = w.part
where c.key is null or (c.wamid is distinct from w.wamid and c.state <> 'released')
-- 8: a batch is its charges, and its journal.
union all
select 'batch_is_its_charges', c.partner_id, 'batch ' || c.id,
  c.n || ', ' || c.sum_micros || ', ' || left(encode(c.digest, 'hex'), 12),
  coalesce(r.n || ', ' || r.sum_micros || ', ' || left(encode(r.digest, 'hex'), 12), 'none')
from charge_batch c left join batch_rows r on r.batch_id = c.id
where (c.n, c.sum_micros, c.digest) is distinct from (r.n, r.sum_micros, r.digest) or r.wallets <> 1
union all
select 'charge_has_its_batch', e.partner_id, e.key || '/' || e.part, e.batch_id::text, 'none'
from ends e left join charge_batch c on c.id = e.batch_id where c.id is null
union all
select 'batch_is_its_journal', c.partner_id, 'batch ' || c.id, c.sum_micros::text, l.moved::text
from charge_batch c join batch_legs l on l.id = c.id where c.sum_micros <> l.moved
order by 1, 2, 3
limit 1000
"""


async def check_books(unit: Unit) -> list[Difference]:
    """Recompute every wallet, batch and charge and return what differs; nothing is right.

    Reads every row there is: for the nightly job and `doctor`, not for a page. A system unit.
    """
    return await unit.fetch_all(Difference, _CHECKS)
