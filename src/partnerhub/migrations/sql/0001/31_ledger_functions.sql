-- How money moves. Each function here is called with every wallet it touches locked (ledger_lock), in the
-- order of account ids, so that writers queue instead of deadlocking and a partner's charges change one
-- writer at a time. Plans must not depend on how full a table was when a session first ran them, hence
-- `enable_seqscan = off` on the entry points.

-- Makes the accounts of wallets that do not exist yet.
create function ledger_open_wallets(partners text[], currencies text[], moment timestamptz) returns void
language plpgsql as $$
begin
  insert into ledger_account (partner_id, kind, currency)
  select distinct w.partner, k.kind, w.currency
  from unnest(partners, currencies) as w(partner, currency)
  cross join (values ('wallet_paid'), ('in_flight'), ('overdraft')) as k(kind)
  order by 1, 3, 2
  on conflict do nothing;
  insert into ledger_account (partner_id, kind, currency)
  select distinct null, k.kind, w.currency
  from unnest(currencies) as w(currency) cross join (values ('revenue_msg'), ('bank')) as k(kind)
  order by 3, 2
  on conflict do nothing;
  insert into ledger_balance
    (account_id, partner_id, currency, in_flight_id, overdraft_id, revenue_id, updated_at)
  select distinct paid.id, w.partner, w.currency, flight.id, over.id, revenue.id, moment
  from unnest(partners, currencies) as w(partner, currency)
  join ledger_account paid on (paid.partner_id, paid.kind, paid.currency) = (w.partner, 'wallet_paid', w.currency)
  join ledger_account flight on (flight.partner_id, flight.kind, flight.currency) = (w.partner, 'in_flight', w.currency)
  join ledger_account over on (over.partner_id, over.kind, over.currency) = (w.partner, 'overdraft', w.currency)
  join ledger_account revenue on revenue.partner_id is null
    and (revenue.kind, revenue.currency) = ('revenue_msg', w.currency)
  order by 1
  on conflict do nothing;
end $$;

-- Locks every wallet of the partners, always in the same order.
create function ledger_lock(partners text[]) returns void language plpgsql as $$
begin
  perform from ledger_balance where partner_id = any (partners) order by account_id for update;
end $$;

-- What one batch does to one wallet.
create type ledger_movement as (
  batch_id   uuid,
  kind       text,
  account_id bigint,
  n          integer,
  sum_micros bigint,
  digest     bytea,
  reserved   bigint,   -- wallet → in flight
  captured   bigint,   -- in flight → revenue
  returned   bigint,   -- in flight → wallet
  taken      bigint,   -- wallet → revenue: more than was reserved
  uncovered  bigint    -- overdraft → revenue: more than the wallet holds
);

-- Writes journals, transfers and batches, moves the balances, and names the wallets that fell below their
-- threshold by it.
create function ledger_book(movements ledger_movement[], moment timestamptz)
returns table (partner_id text, currency text) language plpgsql as $$
#variable_conflict use_column
declare crossed ledger_balance[];
begin
  insert into ledger_journal (id, partner_id, key, kind, body_hash, effective_at, booked_at)
  select m.batch_id, b.partner_id, m.batch_id::text, m.kind, m.digest, moment, moment
  from unnest(movements) m join ledger_balance b on b.account_id = m.account_id
  where m.reserved + m.captured + m.returned + m.taken + m.uncovered > 0;

  insert into charge_batch (id, partner_id, account_id, kind, n, sum_micros, digest, journal_id, booked_at)
  select m.batch_id, b.partner_id, m.account_id, m.kind, m.n, m.sum_micros, m.digest,
    case when m.reserved + m.captured + m.returned + m.taken + m.uncovered > 0 then m.batch_id end, moment
  from unnest(movements) m join ledger_balance b on b.account_id = m.account_id;

  insert into ledger_transfer (partner_id, journal_id, debit_account, credit_account, amount_micros, currency)
  select b.partner_id, m.batch_id, leg.debit, leg.credit, leg.amount, b.currency
  from unnest(movements) m join ledger_balance b on b.account_id = m.account_id
  cross join lateral (values
    (b.account_id, b.in_flight_id, m.reserved),
    (b.in_flight_id, b.revenue_id, m.captured),
    (b.in_flight_id, b.account_id, m.returned),
    (b.account_id, b.revenue_id, m.taken),
    (b.overdraft_id, b.revenue_id, m.uncovered)
  ) as leg(debit, credit, amount)
  where leg.amount > 0;

  -- Locked by us, so reading before and after sees nobody else's movement.
  return query
    with change as (
      select m.account_id, sum(m.reserved - m.returned + m.taken) as spent
      from unnest(movements) m group by m.account_id
    )
    select b.partner_id, b.currency
    from change c
    join ledger_balance b on b.account_id = c.account_id
    join ledger_threshold t on t.account_id = c.account_id
    where b.posted - b.held >= t.micros and b.posted - b.held - c.spent < t.micros;

  update ledger_balance b
  set posted = b.posted - c.paid, held = b.held + c.kept, owed = b.owed + c.uncovered,
      version = b.version + 1, updated_at = moment
  from (
    select m.account_id, sum(m.captured + m.taken) as paid,
      sum(m.reserved - m.captured - m.returned) as kept, sum(m.uncovered) as uncovered
    from unnest(movements) m group by m.account_id
  ) c
  where b.account_id = c.account_id;
end $$;

-- The end of one reservation: delivered at a price, or (price null) given back.
create type ledger_resolution as (
  n            integer,
  partner_id   text,
  key          uuid,
  part         smallint,
  price        bigint,
  category     text,
  pricing_type text,
  basis        text,
  reason       text
);

-- Ends reservations that are still open, in the order of n, and returns what that moves.
-- Of a price above the reservation the wallet pays what it has; the rest is uncovered.
create function ledger_resolve(items ledger_resolution[], moment timestamptz) returns ledger_movement[]
language plpgsql as $$
declare movements ledger_movement[];
begin
  with due as materialized (
    select distinct on (c.partner_id, c.key, c.part)
      i.n, i.price, i.category as charged_category, i.pricing_type, i.basis, i.reason,
      c.partner_id, c.key, c.part, c.account_id, c.max_micros, c.reference, c.usage_month,
      case when i.price is null then 0 else least(i.price, c.max_micros) end as captured,
      greatest(coalesce(i.price, 0) - c.max_micros, 0) as extra
    from unnest(items) i
    join charge c on c.partner_id = i.partner_id and c.key = i.key and c.part = i.part
    where c.state = 'reserved'
    order by c.partner_id, c.key, c.part, i.n
  ), room as materialized (
    select d.account_id, uuid_v7() as capture_id, uuid_v7() as release_id,
      min(b.posted - b.held) + sum(d.max_micros - d.captured) as available
    from due d join ledger_balance b on b.account_id = d.account_id
    group by d.account_id
  ), split as materialized (
    select d.*, case when d.price is null then r.release_id else r.capture_id end as batch_id,
      greatest(0, least(d.extra,
        r.available - sum(d.extra) over (partition by d.account_id order by d.n, d.key, d.part) + d.extra
      ))::bigint as taken
    from due d join room r on r.account_id = d.account_id
  ), ended as (
    update charge c
    set state = case when s.price is null then 'released' when s.extra > s.taken then 'uncovered'
                     when s.price = 0 then 'free' else 'captured' end,
      price_micros = s.price, uncovered_micros = s.extra - s.taken, charged_category = s.charged_category,
      pricing_type = s.pricing_type, basis = s.basis, reason = s.reason,
      resolve_batch = s.batch_id, resolved_at = moment
    from split s
    where c.partner_id = s.partner_id and c.key = s.key and c.part = s.part
  ), given_back as (
    update service_usage u set used = greatest(u.used - g.n, 0)
    from (
      select s.reference, s.usage_month, count(*)::integer as n from split s
      where s.price is null and s.usage_month is not null group by 1, 2
    ) g
    where u.reference = g.reference and u.month = g.usage_month
  )
  select array_agg(m) into movements from (
    select s.batch_id, case when s.price is null then 'release' else 'capture' end,
      s.account_id, count(*)::integer, sum(coalesce(s.price, s.max_micros))::bigint,
      sha256(convert_to(string_agg(
        s.key::text || ':' || s.part || ':' || coalesce(s.price, s.max_micros), ',' order by s.key, s.part), 'UTF8')),
      0::bigint, sum(s.captured)::bigint, sum(s.max_micros - s.captured)::bigint,
      sum(s.taken)::bigint, sum(s.extra - s.taken)::bigint
    from split s
    group by s.account_id, s.batch_id, s.price is null
  ) as m;
  return coalesce(movements, '{}');
end $$;

-- Finds the oldest reservation of a recipient that no message has taken.
create function ledger_find_unbound(partner text, ref text, rcpt text) returns uuid
language plpgsql as $$
declare found_key uuid;
begin
  select c.key into found_key from charge c
  where c.partner_id = partner and c.reference = ref and c.recipient = rcpt
    and c.state = 'reserved' and c.wamid is null
  order by c.reserved_at, c.key limit 1;
  return found_key;
end $$;

-- Lets a reservation pay a message that nothing pays yet.
create function ledger_match(partner text, charge_key uuid, message text, moment timestamptz) returns void
language plpgsql as $$
begin
  insert into charge_wamid values (message, '', partner, charge_key, 0);
  update charge c set wamid = message, bound_at = moment
  where c.partner_id = partner and c.key = charge_key;
end $$;

-- Gives every open part of one reservation back.
create function ledger_give_back(partner text, charge_key uuid, why text, moment timestamptz) returns void
language plpgsql as $$
declare due ledger_resolution[];
begin
  select array_agg((0, c.partner_id, c.key, c.part, null, null, null, null, why)::ledger_resolution) into due
  from charge c where c.partner_id = partner and c.key = charge_key and c.state = 'reserved';
  perform ledger_book(ledger_resolve(due, moment), moment);
end $$;

-- The call of a reservation named a message, and the easy case (both free) was not so.
-- Statuses overtake answers, so either side may be taken: then reservations of one recipient swap places.
create function ledger_rebind(partner text, charge_key uuid, message text, moment timestamptz) returns text
language plpgsql as $$
declare own charge; taker charge_wamid; other uuid; taker_call text;
begin
  select * into own from charge c where c.partner_id = partner and c.key = charge_key and c.part = 0;
  if not found then
    return 'unknown';
  end if;
  update charge c set call = 'bound' where c.partner_id = partner and c.key = charge_key and c.call = 'open';
  select * into taker from charge_wamid w where w.wamid = message and w.participant = '';
  if found then
    if own.state = 'reserved' and own.wamid is null then
      -- Another one pays our message. We pay for the message of its call, unless that has none.
      select c.call into taker_call from charge c
      where c.partner_id = taker.partner_id and c.key = taker.key and c.part = taker.part;
      if taker_call = 'none' then
        perform ledger_give_back(partner, charge_key, 'its message was paid already', moment);
      end if;
    end if;
    return 'taken';
  end if;
  if own.state = 'reserved' and own.wamid is null then
    other := charge_key;
  else
    other := ledger_find_unbound(partner, own.reference, own.recipient);
  end if;
  if other is not null then
    perform ledger_match(partner, other, message, moment);
    return 'swapped';
  end if;
  -- Given back too early; its message, when delivered, is charged late.
  return 'late';
end $$;

create type gate_item as (
  n          integer,
  op         text,
  partner_id text,
  key        uuid,
  reference  text,
  recipient  text,
  category   text,
  currency   text,
  max        bigint,
  parts      smallint,
  allowance  integer,
  month      date,
  wamid      text,
  reason     text,
  account_id bigint,
  batch_id   uuid
);

-- One commit of the gate: binds, releases, then reserves, those of one wallet in their order.
--   answers: reserved · repeated (same key, same body: the first answer) · reused (same key, other body) ·
--            short (not enough money) · bound, taken, swapped, late, unknown · released · below (no item:
--            a wallet fell below its threshold)
-- A refused order is not stored: its key may come again after a top-up.
create function ledger_gate(batch jsonb, moment timestamptz, block_free_at_zero boolean)
returns table (n integer, answer text, micros bigint, partner_id text, currency text)
language plpgsql set enable_seqscan = off as $$
#variable_conflict use_column
declare
  items gate_item[];
  taken gate_item[] := '{}';
  answered integer[] := '{}';
  due ledger_resolution[] := '{}';
  movements ledger_movement[];
  i record;
  own charge;
  other uuid;
  wallet bigint;
  wallet_batch uuid;
  available bigint;
  cost bigint;
  has_binds boolean;
  has_releases boolean;
  has_reserves boolean;
begin
  select array_agg(r::gate_item), bool_or(r.op = 'bind'), bool_or(r.op = 'release'), bool_or(r.op = 'reserve')
  into items, has_binds, has_releases, has_reserves
  from jsonb_populate_recordset(null::gate_item, batch) r;

  if has_reserves then
    perform ledger_open_wallets(array_agg(m.partner_id), array_agg(m.currency), moment)
    from (
      select distinct r.partner_id, r.currency from unnest(items) r
      where r.op = 'reserve' and not exists (
        select from ledger_balance b where b.partner_id = r.partner_id and b.currency = r.currency)
    ) m having count(*) > 0;
  end if;
  perform ledger_lock(array(select distinct r.partner_id from unnest(items) r));

  if has_binds then
    -- By primary key first, then filtered: the partial indexes would walk through every open reservation.
    with found as materialized (
      select r.n, r.partner_id, r.key, r.wamid, c.state, c.wamid as own_wamid
      from unnest(items) r
      join charge c on c.partner_id = r.partner_id and c.key = r.key and c.part = 0
      where r.op = 'bind'
    ), wanted as (
      select distinct on (f.partner_id, f.key) f.partner_id, f.key, f.wamid
      from found f where f.state = 'reserved' and f.own_wamid is null
      order by f.partner_id, f.key, f.n
    ), matched as (
      insert into charge_wamid (wamid, participant, partner_id, key, part)
      select w.wamid, '', w.partner_id, w.key, 0 from wanted w order by w.wamid
      on conflict do nothing
      returning wamid, partner_id, key
    )
    update charge c set wamid = m.wamid, call = 'bound', bound_at = moment
    from matched m
    where c.partner_id = m.partner_id and c.key = m.key;

    -- Taken rightly by a status that overtook this bind.
    update charge c set call = 'bound'
    from unnest(items) r join charge_wamid w on w.wamid = r.wamid and w.participant = ''
    where r.op = 'bind' and w.partner_id = r.partner_id and w.key = r.key
      and c.partner_id = r.partner_id and c.key = r.key and c.call = 'open';

    for i in
      select r.n, r.partner_id, r.key, r.wamid, w.key is not distinct from r.key as is_matched
      from unnest(items) r
      left join charge_wamid w on w.wamid = r.wamid and w.participant = '' and w.partner_id = r.partner_id
      where r.op = 'bind' order by r.n
    loop
      n := i.n; micros := null; partner_id := i.partner_id; currency := null;
      answer := case when i.is_matched then 'bound'
                     else ledger_rebind(i.partner_id, i.key, i.wamid, moment) end;
      return next;
    end loop;
  end if;

  if has_releases then
    for i in select r.* from unnest(items) r where r.op = 'release' order by r.n loop
      n := i.n; answer := 'released'; micros := null; partner_id := i.partner_id; currency := null;
      return next;
      select * into own from charge c where c.partner_id = i.partner_id and c.key = i.key and c.part = 0;
      if not found or own.call = 'none' then
        continue;
      elsif own.wamid is null or own.call = 'bound' then
        select due || array_agg(
          (i.n, c.partner_id, c.key, c.part, null, null, null, null, i.reason)::ledger_resolution) into due
        from charge c where c.partner_id = i.partner_id and c.key = i.key and c.state = 'reserved'
        having count(*) > 0;
        due := coalesce(due, '{}');
      else
        -- It pays another's message. That other one, if it waits, is what must be given back.
        select c.key into other from charge c
        where c.partner_id = own.partner_id and c.reference = own.reference and c.recipient = own.recipient
          and c.state = 'reserved' and c.wamid is null and c.call = 'bound'
        order by c.reserved_at, c.key limit 1;
        if other is not null then
          perform ledger_give_back(own.partner_id, other, i.reason, moment);
        end if;
      end if;
      update charge c set call = 'none' where c.partner_id = i.partner_id and c.key = i.key and c.call = 'open';
    end loop;
    if cardinality(due) > 0 then
      perform ledger_book(ledger_resolve(due, moment), moment);
    end if;
  end if;

  if has_reserves then
    for i in
      select r.*, b.account_id as wallet_id, b.posted - b.held as in_wallet,
        coalesce(u.used, 0) + sum(r.parts) over (partition by r.reference, r.month order by r.n)
          <= r.allowance as is_allowed
      from (
        select distinct on (r.partner_id, r.key) r.* from unnest(items) r
        where r.op = 'reserve' order by r.partner_id, r.key, r.n
      ) r
      join ledger_balance b on b.partner_id = r.partner_id and b.currency = r.currency
      left join service_usage u on u.reference = r.reference and u.month = r.month
      where not exists (select from charge c where c.partner_id = r.partner_id and c.key = r.key)
      order by b.account_id, r.n
    loop
      if i.wallet_id is distinct from wallet then
        wallet := i.wallet_id; available := i.in_wallet; wallet_batch := uuid_v7();
      end if;
      if i.is_allowed then
        i.max := 0;
      end if;
      cost := i.max * i.parts;
      if (cost > 0 and cost > available) or (cost = 0 and block_free_at_zero and available <= 0) then
        n := i.n; answer := 'short'; micros := cost; partner_id := i.partner_id; currency := i.currency;
        return next;
        answered := answered || i.n;
        continue;
      end if;
      n := i.n; answer := 'reserved'; micros := cost; partner_id := i.partner_id; currency := i.currency;
      return next;
      answered := answered || i.n;
      available := available - cost;
      taken := taken || (i.n, i.op, i.partner_id, i.key, i.reference, i.recipient, i.category, i.currency,
        i.max, i.parts, i.allowance, i.month, null, null, i.wallet_id, wallet_batch)::gate_item;
    end loop;

    if cardinality(taken) > 0 then
      insert into charge (partner_id, key, part, account_id, reference, recipient, category, currency, state,
        max_micros, usage_month, reserve_batch, reserved_at)
      select t.partner_id, t.key, p, t.account_id, t.reference, t.recipient, t.category, t.currency, 'reserved',
        t.max, t.month, t.batch_id, moment
      from unnest(taken) t cross join lateral generate_series(0, t.parts - 1) p;

      insert into service_usage as u (partner_id, reference, month, used)
      select min(t.partner_id), t.reference, t.month, sum(t.parts) from unnest(taken) t
      where t.month is not null group by t.reference, t.month order by t.reference, t.month
      on conflict (reference, month) do update set used = u.used + excluded.used;

      select array_agg(m) into movements from (
        select t.batch_id, 'reserve', t.account_id, count(*)::integer, sum(t.max)::bigint,
          sha256(convert_to(string_agg(
            t.key::text || ':' || p || ':' || t.max, ',' order by t.key, p), 'UTF8')),
          sum(t.max)::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint
        from unnest(taken) t cross join lateral generate_series(0, t.parts - 1) p
        group by t.account_id, t.batch_id
      ) as m;
      return query
        select null::integer, 'below', null::bigint, x.partner_id, x.currency
        from ledger_book(movements, moment) x;
    end if;

    -- The rest repeats an earlier order, of this batch or of long ago, and gets its answer.
    return query
      select r.n,
        case when c.key is null then 'short'
             when (c.reference, c.recipient, c.category, c.currency)
                  is distinct from (r.reference, r.recipient, r.category, r.currency) then 'reused'
             else 'repeated' end,
        coalesce((select sum(s.max_micros)::bigint from charge s
                  where s.partner_id = r.partner_id and s.key = r.key), r.max * r.parts),
        r.partner_id, r.currency
      from unnest(items) r
      left join charge c on c.partner_id = r.partner_id and c.key = r.key and c.part = 0
      where r.op = 'reserve' and r.n <> all (answered);
  end if;
end $$;

create type settle_item as (
  n            integer,
  partner_id   text,
  reference    text,
  wamid        text,
  participant  text,
  recipient    text,
  outcome      text,
  prices       jsonb,
  highest      jsonb,
  category     text,
  pricing_type text,
  currency     text,
  month        date
);

-- A delivered message that no open reservation can pay: a charge of its own, without reservation.
create function ledger_open_late(i settle_item, moment timestamptz) returns uuid language plpgsql as $$
declare late_key uuid := uuid_v7();
begin
  insert into charge (partner_id, key, part, account_id, reference, recipient, participant, category, currency,
    state, call, is_late, max_micros, wamid, usage_month, reserved_at, bound_at)
  select i.partner_id, late_key, 0, b.account_id, i.reference, i.recipient, i.participant,
    coalesce(i.category, 'unknown'), i.currency, 'reserved', 'none', true, 0, i.wamid,
    case when i.category = 'service' then i.month end, moment, moment
  from ledger_balance b where b.partner_id = i.partner_id and b.currency = i.currency;
  if i.category = 'service' then
    insert into service_usage as u (partner_id, reference, month, used)
    values (i.partner_id, i.reference, i.month, 1)
    on conflict (reference, month) do update set used = u.used + 1;
  end if;
  return late_key;
end $$;

-- One commit of the settler. Items are one for each (wamid, participant): sent, capture or release.
--   prices:  by currency, what the reported category costs; empty when nothing was reported or no rate is known
--   highest: by currency, what to take when nothing else says a price
--   A message is charged in the currency of what was reserved for it; `currency` is that of a late charge.
--   answers: captured, free, uncovered, released · noted (sent) · ignored (nothing to do any more) · below
create function ledger_settle(batch jsonb, moment timestamptz)
returns table (n integer, answer text, adopted boolean, late boolean, uncovered bigint, unpriced boolean,
               partner_id text, currency text)
language plpgsql set enable_seqscan = off as $$
#variable_conflict use_column
declare
  items settle_item[];
  partners text[];
  adopters integer[] := '{}';
  due ledger_resolution[];
  i record;
  one settle_item;
  claim charge_wamid;
  own charge;
  free_key uuid;
begin
  select array_agg(r::settle_item) into items from jsonb_populate_recordset(null::settle_item, batch) r;
  perform ledger_open_wallets(array_agg(m.partner_id), array_agg(m.currency), moment)
  from (
    select distinct r.partner_id, r.currency from unnest(items) r where not exists (
      select from ledger_balance b where b.partner_id = r.partner_id and b.currency = r.currency)
      -- What is paid by a reservation needs no wallet in what the number is billed in by now.
      and not exists (select from charge_wamid w where w.wamid = r.wamid)
  ) m having count(*) > 0;

  -- A number may have moved since: the partner of the day of the send pays.
  partners := array(
    select r.partner_id from unnest(items) r
    union select w.partner_id from unnest(items) r join charge_wamid w on w.wamid = r.wamid);
  perform ledger_lock(partners);
  if exists (select from unnest(items) r join charge_wamid w on w.wamid = r.wamid
             where w.partner_id <> all (partners)) then
    raise exception 'a message changed hands while its status waited' using errcode = 'serialization_failure';
  end if;

  -- Bring everything that is not simply matched into that form.
  for i in
    select r.n, w.wamid is not null as is_claimed
    from unnest(items) r
    left join charge_wamid w on w.wamid = r.wamid and w.participant = r.participant
    left join charge c on c.partner_id = w.partner_id and c.key = w.key and c.part = w.part
    where w.wamid is null or (c.state = 'released' and r.outcome = 'capture')
    order by r.n
  loop
    select * into one from unnest(items) r where r.n = i.n;
    if i.is_claimed then
      -- Given back before it was delivered after all. A reservation ends once; this is a new charge.
      select c.* into own from charge_wamid w
      join charge c on c.partner_id = w.partner_id and c.key = w.key and c.part = w.part
      where w.wamid = one.wamid and w.participant = one.participant;
      one.partner_id := own.partner_id; one.reference := own.reference; one.currency := own.currency;
      one.category := coalesce(one.category, own.category);
      update charge_wamid w set key = ledger_open_late(one, moment), part = 0
      where w.wamid = one.wamid and w.participant = one.participant;
      continue;
    end if;
    select * into claim from charge_wamid w where w.wamid = one.wamid and w.participant = '';
    if not found then
      free_key := ledger_find_unbound(one.partner_id, one.reference, one.recipient);
      if free_key is not null then
        perform ledger_match(one.partner_id, free_key, one.wamid, moment);
        adopters := adopters || one.n;
        claim := (one.wamid, '', one.partner_id, free_key, 0)::charge_wamid;
      end if;
    end if;
    if claim.wamid is not null then
      if one.participant = '' then
        continue;
      end if;
      -- A member of a group takes the next part that was reserved for the group.
      update charge c set participant = one.participant
      where (c.partner_id, c.key, c.part) = (
        select f.partner_id, f.key, f.part from charge f
        where f.partner_id = claim.partner_id and f.key = claim.key
          and f.state = 'reserved' and f.participant = '' order by f.part limit 1)
      returning c.* into own;
      if found then
        insert into charge_wamid values (one.wamid, one.participant, own.partner_id, own.key, own.part);
        continue;
      end if;
      -- More members than were reserved for: paid by whom and in what the others are.
      select c.* into own from charge c
      where c.partner_id = claim.partner_id and c.key = claim.key and c.part = claim.part;
      one.partner_id := own.partner_id; one.reference := own.reference; one.currency := own.currency;
    end if;
    if one.outcome = 'capture' then
      insert into charge_wamid
      values (one.wamid, one.participant, one.partner_id, ledger_open_late(one, moment), 0);
    end if;
  end loop;

  update charge c set quoted_micros = (r.prices ->> c.currency)::bigint, pricing_type = r.pricing_type,
    charged_category = r.category
  from unnest(items) r
  join charge_wamid w on w.wamid = r.wamid and w.participant = r.participant
  where r.outcome = 'sent' and r.prices ? c.currency and c.state = 'reserved'
    and c.partner_id = w.partner_id and c.key = w.key and c.part = w.part;

  select array_agg((r.n, c.partner_id, c.key, c.part,
      case when r.outcome = 'capture' then
        coalesce((r.prices ->> c.currency)::bigint, c.quoted_micros,
          case when not c.is_late then c.max_micros end, (r.highest ->> c.currency)::bigint, 0) end,
      coalesce(r.category, c.charged_category, c.category), coalesce(r.pricing_type, c.pricing_type),
      case when r.outcome = 'release' then null when r.prices ? c.currency then 'reported'
           when c.quoted_micros is not null then 'announced' when not c.is_late then 'reserved'
           else 'highest' end,
      case when r.outcome = 'release' then 'failed' end)::ledger_resolution)
  into due
  from unnest(items) r
  join charge_wamid w on w.wamid = r.wamid and w.participant = r.participant
  join charge c on c.partner_id = w.partner_id and c.key = w.key and c.part = w.part
  where r.outcome in ('capture', 'release') and c.state = 'reserved';

  if due is not null then
    return query
      select null::integer, 'below', false, false, 0::bigint, false, x.partner_id, x.currency
      from ledger_book(ledger_resolve(due, moment), moment) x;
  end if;
  return query
    select r.n,
      case when d.n is not null then c.state
           when r.outcome = 'sent' and c.state = 'reserved' then 'noted' else 'ignored' end,
      r.n = any (adopters), d.n is not null and c.is_late,
      case when d.n is not null then c.uncovered_micros else 0 end,
      d.n is not null and coalesce(c.basis in ('reserved', 'highest'), false), c.partner_id, c.currency
    from unnest(items) r
    left join unnest(due) d on d.n = r.n
    left join charge_wamid w on w.wamid = r.wamid and w.participant = r.participant
    left join charge c on c.partner_id = w.partner_id and c.key = w.key and c.part = w.part;
end $$;

-- Gives back reservations that no message took in time, parts of a group that no member took, and messages that
-- never came to an end.
-- At most `most` in one commit; returns how many, and how many of them no message had taken.
create function ledger_release_stale(unbound_before timestamptz, untaken_before timestamptz,
  unresolved_before timestamptz, most integer, moment timestamptz)
returns table (released integer, unbound integer) language plpgsql set enable_seqscan = off as $$
#variable_conflict use_column
declare stale ledger_resolution[];
begin
  select array_agg((0, s.partner_id, s.key, s.part, null, null, null, null, 'stale')::ledger_resolution) into stale
  from (
    (select c.partner_id, c.key, c.part from charge c
     where c.state = 'reserved' and c.wamid is null and c.reserved_at < unbound_before
     order by c.reserved_at limit most)
    union
    (select c.partner_id, c.key, c.part from charge c
     where c.state = 'reserved' and c.wamid is not null and c.part > 0 and c.participant = ''
       and c.reserved_at < untaken_before
     order by c.reserved_at limit most)
    union
    (select c.partner_id, c.key, c.part from charge c
     where c.state = 'reserved' and c.wamid is not null and c.reserved_at < unresolved_before
     order by c.reserved_at limit most)
  ) s;
  if stale is null then
    return query select 0, 0;
    return;
  end if;
  perform ledger_lock(array(select distinct s.partner_id from unnest(stale) s));
  -- Look again under the lock: a message may have come in between.
  select array_agg((row_number, partner_id, key, part, null, null, null, null, why)::ledger_resolution),
    count(*), count(*) filter (where why = 'never bound')
  into stale, released, unbound
  from (
    select row_number() over (), c.partner_id, c.key, c.part,
      case when c.wamid is null then 'never bound'
           when c.part > 0 and c.participant = '' then 'no such member' else 'never resolved' end as why
    from unnest(stale) s
    join charge c on c.partner_id = s.partner_id and c.key = s.key and c.part = s.part
    where c.state = 'reserved'
      and c.reserved_at < case when c.wamid is null then unbound_before
                               when c.part > 0 and c.participant = '' then untaken_before
                               else unresolved_before end
  ) again;
  if stale is not null then
    perform ledger_book(ledger_resolve(stale, moment), moment);
  end if;
  return next;
end $$;

do $$
declare name text;
begin
  foreach name in array array['ledger_open_wallets', 'ledger_lock', 'ledger_book', 'ledger_resolve',
    'ledger_find_unbound', 'ledger_match', 'ledger_give_back', 'ledger_rebind', 'ledger_gate',
    'ledger_open_late', 'ledger_settle', 'ledger_release_stale']
  loop
    execute format('revoke all on function %I from public', name);
    execute format('grant execute on function %I to hub_system', name);
  end loop;
end $$;
