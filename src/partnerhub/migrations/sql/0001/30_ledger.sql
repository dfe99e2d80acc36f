-- Money: accounts, transfers, charges per message, dated prices. The functions are in the next file.
-- Amounts are integers in millionths of the currency unit. Transfers and journals are only ever added.

-- UUID version 7 (RFC 9562) for rows that a function makes; PostgreSQL has its own only from 18 on.
create function uuid_v7() returns uuid language sql volatile parallel safe as $$
  select encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
              placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
              from 1 for 6),
      52, 1), 53, 1), 'hex')::uuid $$;
revoke all on function uuid_v7() from public;
grant execute on function uuid_v7() to hub_tenant, hub_system;

-- A place where money is: a partner's, or (without partner) the house's own.
create table ledger_account (
  id         bigint generated always as identity primary key,
  partner_id text,
  kind       text not null check (kind in (
               'wallet_paid', 'wallet_granted', 'in_flight', 'overdraft', 'receivable',
               'revenue_msg', 'revenue_licence', 'cost_meta', 'payable_meta', 'bank', 'psp_clearing',
               'vat_payable', 'fx_gain_loss', 'suspense', 'write_off', 'rounding')),
  currency   text not null check (currency ~ '^[A-Z]{3}$'),
  opened_at  timestamptz not null default now(),
  closed_at  timestamptz,
  check (partner_id is not null or kind not in ('wallet_paid', 'wallet_granted', 'in_flight', 'overdraft')),
  unique (id, currency),
  unique nulls not distinct (partner_id, kind, currency)
);
call protect('ledger_account', 'select', 'select, insert');

-- The live figures of one wallet, guarded: the row is locked by whoever moves its money.
--   posted = wallet_paid + in_flight, held = in_flight, owed = overdraft; available = posted - held.
create table ledger_balance (
  account_id   bigint primary key references ledger_account,
  partner_id   text not null,
  currency     text not null,
  in_flight_id bigint not null references ledger_account,
  overdraft_id bigint not null references ledger_account,
  revenue_id   bigint not null references ledger_account,
  posted       bigint not null default 0 check (posted >= 0),
  held         bigint not null default 0 check (held >= 0),
  owed         bigint not null default 0 check (owed >= 0),
  version      bigint not null default 0,
  updated_at   timestamptz not null,
  check (posted - held >= 0),
  unique (partner_id, currency)
) with (fillfactor = 50);
call protect('ledger_balance', 'select', 'select, insert, update');

-- Below this much available, the job `billing.renew` is asked for in the commit that crosses it.
create table ledger_threshold (
  account_id bigint primary key references ledger_account,
  partner_id text not null,
  micros     bigint not null check (micros > 0)
);
create index ledger_threshold_partner on ledger_threshold (partner_id);
call protect('ledger_threshold', 'select, insert, update, delete', 'select, insert, update, delete');

-- One command and its first answer. The same key with another body is a conflict.
create table ledger_journal (
  id           uuid primary key,
  partner_id   text not null,
  key          text not null,
  kind         text not null check (kind in ('top_up', 'reserve', 'capture', 'release')),
  body_hash    bytea not null,
  result       jsonb not null default '{}',
  actor_kind   text not null default 'system',
  actor_id     text not null default 'system',
  note         text not null default '',
  effective_at timestamptz not null,
  booked_at    timestamptz not null default now(),
  unique (partner_id, key)
);
create index ledger_journal_partner on ledger_journal (partner_id, id);
call protect('ledger_journal', 'select', 'select, insert');

-- Money from the credited to the debited side; both accounts hold the transfer's currency by key.
create table ledger_transfer (
  id             bigint generated always as identity primary key,
  partner_id     text not null,
  journal_id     uuid not null references ledger_journal,
  debit_account  bigint not null,
  credit_account bigint not null check (credit_account <> debit_account),
  amount_micros  bigint not null check (amount_micros > 0),
  currency       text not null,
  foreign key (debit_account, currency) references ledger_account (id, currency),
  foreign key (credit_account, currency) references ledger_account (id, currency)
);
create index ledger_transfer_partner on ledger_transfer (partner_id, journal_id);
call protect('ledger_transfer', 'select', 'select, insert');

-- One paid delivery to one recipient: from the reservation before the send to what it cost in the end.
--   reference: what was billed (the number), as its owner names it; the ledger never looks it up
--   part:      a group message reserves one part for each participant
--   call:      what came of the reservation's own call to Meta: open, bound (it named a message),
--              none (refused, or there never was one)
--   wamid:     the message that this charge pays. A status may have come before the call's answer and taken
--              another reservation of the same recipient; then `call` is still open while wamid is set.
create table charge (
  partner_id       text not null,
  key              uuid not null,
  part             smallint not null default 0,
  account_id       bigint not null,
  reference        text not null,
  recipient        text not null,
  participant      text not null default '',
  category         text not null,
  currency         text not null,
  state            text not null check (state in ('reserved', 'captured', 'free', 'uncovered', 'released')),
  call             text not null default 'open' check (call in ('open', 'bound', 'none')),
  is_late          boolean not null default false,
  max_micros       bigint not null check (max_micros >= 0),
  quoted_micros    bigint check (quoted_micros >= 0),
  price_micros     bigint check (price_micros >= 0),
  uncovered_micros bigint not null default 0 check (uncovered_micros >= 0),
  charged_category text,
  pricing_type     text,
  basis            text,
  wamid            text,
  usage_month      date,
  reason           text,
  reserve_batch    uuid,
  resolve_batch    uuid,
  reserved_at      timestamptz not null,
  bound_at         timestamptz,
  resolved_at      timestamptz,
  primary key (partner_id, key, part),
  check (not is_late or max_micros = 0),
  check ((state = 'reserved') = (resolve_batch is null)),
  check ((state in ('captured', 'free', 'uncovered')) = (price_micros is not null)),
  check ((state = 'uncovered') = (uncovered_micros > 0)),
  check (state <> 'free' or price_micros = 0)
) with (fillfactor = 80);
-- A reservation without a message, by whom a message of unknown origin may have been sent.
create index charge_unbound on charge (partner_id, reference, recipient, reserved_at)
  where state = 'reserved' and wamid is null;
-- One whose call named a message that another reservation pays. Nearly always empty.
create index charge_displaced on charge (partner_id, reference, recipient)
  where state = 'reserved' and wamid is null and call = 'bound';
create index charge_unbound_age on charge (reserved_at) where state = 'reserved' and wamid is null;
create index charge_bound_age on charge (reserved_at) where state = 'reserved' and wamid is not null;
-- What was set aside for members of a group that may not exist: part 0 is the first member's, or the group's own.
create index charge_untaken_age on charge (reserved_at)
  where state = 'reserved' and wamid is not null and part > 0 and participant = '';
call protect('charge', 'select', 'select, insert, update');

-- Which charge pays which message: (wamid, '') is the message, (wamid, participant) one member of a group.
-- Its primary key is what makes a message charged once, whatever comes twice or in another order.
create table charge_wamid (
  wamid       text not null,
  participant text not null default '',
  partner_id  text not null,
  key         uuid not null,
  part        smallint not null,
  primary key (wamid, participant)
);
create index charge_wamid_partner on charge_wamid (partner_id, key);
call protect('charge_wamid', '', 'select, insert, update');

-- What one commit did to one wallet's charges; links the charges with their journal.
--   sum_micros: reserve and release: the sum of max, capture: the sum of price
--   digest:     SHA-256 over `key:part:amount`, joined by commas in the order of key and part
create table charge_batch (
  id         uuid primary key,
  partner_id text not null,
  account_id bigint not null,
  kind       text not null check (kind in ('reserve', 'capture', 'release')),
  n          integer not null check (n > 0),
  sum_micros bigint not null check (sum_micros >= 0),
  digest     bytea not null,
  journal_id uuid references ledger_journal,
  booked_at  timestamptz not null
);
create index charge_batch_partner on charge_batch (partner_id, booked_at desc);
call protect('charge_batch', 'select', 'select, insert');

-- Free-form messages of one number in one month of its time zone: an estimate for the free tier of Meta.
create table service_usage (
  partner_id text not null,
  reference  text not null,
  month      date not null,
  used       integer not null default 0 check (used >= 0),
  primary key (reference, month)
) with (fillfactor = 50);
create index service_usage_partner on service_usage (partner_id, month);
call protect('service_usage', 'select', 'select, insert, update');

-- Prices are dated by days of the WABA's time zone (Meta: "00:00 in the WABA time zone"), so days, not
-- instants, are stored. Without btree_gist, what must not overlap is an integer as a range of one.
create table price_category (
  id   smallint primary key,
  name text not null unique
);
insert into price_category values
  (1, 'marketing'), (2, 'utility'), (3, 'authentication'), (4, 'authentication_international'), (5, 'service');
comment on table price_category is 'seed';

-- When Meta charges a category.
--   never · outside_window (free inside the customer service window) · after_allowance (free for so many
--   delivered messages per number and month) · always
-- Source: Meta's pricing timeline as of 2026-10-01.
create table meta_rule (
  id          smallint primary key,
  category_id smallint not null references price_category,
  valid       daterange not null check (not isempty(valid)),
  charged     text not null check (charged in ('never', 'outside_window', 'after_allowance', 'always')),
  allowance   integer check (allowance > 0),
  check ((charged = 'after_allowance') = (allowance is not null)),
  exclude using gist (int8range(category_id, category_id, '[]') with &&, valid with &&)
);
insert into meta_rule values
  (1, 1, '[2025-07-01,)', 'always', null),
  (2, 2, '[2025-07-01,2026-10-01)', 'outside_window', null),
  (3, 2, '[2026-10-01,)', 'always', null),
  (4, 3, '[2025-07-01,)', 'always', null),
  (5, 4, '[2025-07-01,)', 'always', null),
  (6, 5, '[2025-07-01,2026-10-01)', 'never', null),
  (7, 5, '[2026-10-01,)', 'after_allowance', 1000);
comment on table meta_rule is 'seed';

-- Every change of prices: what was imported, from which bytes, by whom. The newest row is the version
-- that snapshots in memory are compared with.
create table price_change (
  seq        bigint generated always as identity primary key,
  id         uuid not null unique,
  kind       text not null check (kind in ('rates', 'markets', 'rule')),
  source     text not null,
  sha256     bytea not null,
  line_count integer not null,
  actor_kind text not null,
  actor_id   text not null,
  made_at    timestamptz not null
);

create table rate_series (
  id          bigint generated always as identity primary key,
  currency    text not null check (currency ~ '^[A-Z]{3}$'),
  market      text not null,
  category    text not null references price_category (name),
  unique (currency, market, category)
);
create table rate (
  id         bigint generated always as identity primary key,
  series_id  bigint not null references rate_series,
  tier       int8range not null default '[0,)' check (lower(tier) >= 0),
  valid      daterange not null check (not isempty(valid) and lower(valid) is not null),
  micros     bigint not null check (micros >= 0),
  change_id  uuid not null references price_change (id),
  exclude using gist (int8range(series_id, series_id, '[]') with &&, tier with &&, valid with &&)
);

-- Longest prefix of the E.164 digits decides the market. A prefix never starts with 0, so it is a number.
create table market_prefix (
  id        bigint generated always as identity primary key,
  prefix    bigint not null check (prefix > 0),
  market    text not null,
  country   text not null default '',
  valid     daterange not null check (not isempty(valid) and lower(valid) is not null),
  change_id uuid not null references price_change (id),
  exclude using gist (int8range(prefix, prefix, '[]') with &&, valid with &&)
);

-- What a partner pays on top of Meta's rate, applied in the order of priority; without a partner: everybody.
--   percent: value in millionths (30_000 = 3 %) · fixed, floor, ceil: value in micros
create table price_rule (
  id         uuid primary key,
  partner_id text,
  priority   integer not null,
  market     text,
  category   text references price_category (name),
  currency   text,
  op         text not null check (op in ('percent', 'fixed', 'floor', 'ceil')),
  value      bigint not null check (op = 'percent' or value >= 0),
  valid      daterange not null check (not isempty(valid) and lower(valid) is not null),
  change_id  uuid not null references price_change (id),
  check (op = 'percent' or currency is not null)
);
create index price_rule_partner on price_rule (partner_id, priority);
call protect('price_rule', 'select', 'select, insert, update');

grant select on price_category, meta_rule, price_change, rate_series, rate, market_prefix
  to hub_tenant, hub_system;
grant insert on price_change, rate_series, rate, market_prefix to hub_system;
grant update on rate, market_prefix to hub_system;

-- The client is a second scope inside the partner: money of the partner is never shown in it.
do $$
declare tbl text;
begin
  foreach tbl in array array['ledger_account', 'ledger_balance', 'ledger_threshold', 'ledger_journal',
    'ledger_transfer', 'charge', 'charge_batch', 'service_usage', 'price_rule']
  loop
    call narrow_for_clients(tbl, 'false');
  end loop;
end $$;
