-- What every later file uses: schemas, the tenant rule, day partitions.
create schema if not exists jobs;

-- The partner and client that this transaction acts for; null (no rows at all) when none is set.
create function app_partner() returns text language sql stable parallel safe as
$$ select nullif(current_setting('app.partner_id', true), '') $$;
create function app_client() returns text language sql stable parallel safe as
$$ select nullif(current_setting('app.client_id', true), '') $$;
grant execute on function app_partner(), app_client() to hub_tenant, hub_system;

-- Puts a tenant table under row-level security and grants it to the two roles.
--   tenant, system: privileges, for example 'select, insert, update'; empty for none
--   client_column:  the second scope inside the partner, where the table has one
create procedure protect(tbl regclass, tenant text, system text, client_column text default null)
language plpgsql as $$
declare rule text := 'partner_id = (select app_partner())';
begin
  if client_column is not null then
    rule := rule || format(' and ((select app_client()) is null or %I = (select app_client()))', client_column);
  end if;
  execute format('alter table %s enable row level security', tbl);
  if tenant <> '' then
    execute format('grant %s on %s to hub_tenant', tenant, tbl);
    execute format('create policy tenant on %s to hub_tenant using (%s) with check (%s)', tbl, rule, rule);
  end if;
  if system <> '' then
    execute format('grant %s on %s to hub_system', system, tbl);
    execute format('create policy system on %s to hub_system using (true) with check (true)', tbl);
  end if;
end $$;

-- Narrows what is seen and written in the scope of one client, for tables without a column that names it.
--   rule: what a row must fulfil then; `false` keeps clients out
--   command: what is narrowed; what a client does may write where it reads nothing
create procedure narrow_for_clients(tbl regclass, rule text, command text default 'all') language plpgsql as $$
begin
  execute format('create policy clients on %s as restrictive for %s to hub_tenant '
                 'using ((select app_client()) is null or %s)', tbl, command, rule);
end $$;

-- Whether a view that sees past row-level security may show a partner's rows to this transaction. One plain
-- expression, so that the planner writes it into the query.
create function is_in_scope(partner text) returns boolean language sql stable parallel safe as
$$ select partner = app_partner() or current_setting('role') = 'hub_system' $$;
grant execute on function is_in_scope(text) to hub_tenant, hub_system;

-- Tables that are partitioned by day (their key column is named here) and how long a day is kept.
create table partitioned (
  table_name text primary key,
  keep_days  integer not null check (keep_days > 0),
  storage    text not null default '' -- storage parameters of each day, which a parent cannot carry
);

-- Makes the partitions of the coming days; runs at every start and once an hour. Both this and the next lock
-- the parent against everybody. Behind a long reader (a backup) they would wait, and all writers behind them:
-- they give up instead, and are called again.
create function make_partitions(days_ahead integer default 7) returns integer
language plpgsql security definer set search_path = public set timezone = 'UTC' set lock_timeout = '1s' as $$
declare entry record; day date; name text; made integer := 0;
begin
  perform pg_advisory_xact_lock(hashtext('make_partitions'));
  for entry in select table_name, storage from partitioned order by 1 loop
    for day in select generate_series(current_date - 1, current_date + days_ahead, interval '1 day')::date loop
      name := format('%s_%s', entry.table_name, to_char(day, 'YYYYMMDD'));
      if to_regclass(name) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)',
                       name, entry.table_name, day, day + 1)
                || case when entry.storage = '' then '' else format(' with (%s)', entry.storage) end;
        made := made + 1;
      end if;
    end loop;
  end loop;
  return made;
end $$;

-- Drops days that are older than the table's retention.
create function drop_partitions() returns integer
language plpgsql security definer set search_path = public set timezone = 'UTC' set lock_timeout = '1s' as $$
declare entry record; part record; dropped integer := 0;
begin
  for entry in select table_name, keep_days from partitioned loop
    for part in
      select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = entry.table_name::regclass
        and to_date(right(c.relname, 8), 'YYYYMMDD') < current_date - entry.keep_days
    loop
      execute format('drop table %I', part.relname);
      dropped := dropped + 1;
    end loop;
  end loop;
  return dropped;
end $$;
revoke execute on function make_partitions(integer), drop_partitions() from public;
grant execute on function make_partitions(integer), drop_partitions() to hub_system;

-- Mail that is to leave; written in the business commit, sent by a job.
create table mail (
  id          uuid primary key,
  partner_id  text,
  recipient   text not null,
  subject     text not null,
  body_text   text not null,
  body_html   text,
  created_at  timestamptz not null default now(),
  sent_at     timestamptz,
  failed_at   timestamptz, -- refused for good; nobody tries again
  attempts    integer not null default 0,
  last_error  text
);
create index mail_unsent on mail (created_at) where sent_at is null and failed_at is null;
alter table mail enable row level security;
grant insert on mail to hub_tenant, hub_system;
grant select, update, delete on mail to hub_system;
create policy tenant on mail for insert to hub_tenant with check (partner_id = (select app_partner()));
create policy system on mail to hub_system using (true) with check (true);

-- Limits that must hold across processes (sign-in, codes): one row per key and window. Of the hits, `open_hits`
-- are attempts whose outcome is not known yet.
create table rate_window (
  key          text not null,
  window_start timestamptz not null,
  hits         integer not null,
  open_hits    integer not null default 0,
  primary key (key, window_start)
);
grant select, insert, update, delete on rate_window to hub_system;
