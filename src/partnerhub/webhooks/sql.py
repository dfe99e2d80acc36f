"""The statements of the hot paths: accept, claim, finish, extend, park, probe.

Batches travel as binary arrays through `unnest` (COPY is refused under row-level security). Every join with a
partitioned table names its partition key, and every search for work is bounded in created_at, so that only
the days that can hold work are looked at: nothing waits longer than seven days. A lease is only ever set on a
pending row and cleared with its outcome, so the lease alone fences a write.

Batches must find their rows by primary key whatever the planner believes of a table that was empty a moment
ago. So sequential scans, hash and merge joins are off here, and the partition key is joined by `between x and
x`: an equality would offer the planner an ordered scan of the whole table.
"""

from __future__ import annotations

from typing import Final, LiteralString

# Plans are made once: over forty partitions planning takes twenty times as long as running, but the planner,
# which does not count on pruning at run time, would find its generic plan too dear and plan afresh for ever.
PLAN: Final[LiteralString] = (
    "select set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), "
    "set_config('enable_mergejoin', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true)"
)

_LIVE_DAYS: Final[LiteralString] = (
    "created_at > now() - interval '9 days' and created_at < now() + interval '1 day'"
)

_PIECE: Final[LiteralString] = """
  select * from unnest(
    %(event_ids)b::uuid[], %(event_ats)b::timestamptz[], %(delivery_ids)b::uuid[],
    %(delivery_ats)b::timestamptz[], %(partner_ids)b::text[], %(owner_kinds)b::text[], %(owner_ids)b::text[],
    %(fallback_ids)b::text[], %(endpoint_ids)b::uuid[], %(names)b::text[], %(bodies)b::bytea[],
    %(digests)b::bytea[], %(leased)b::boolean[]
  ) as piece(event_id, event_at, delivery_id, delivery_at, partner_id, owner_kind, owner_id, fallback_id,
             endpoint_id, name, body, digest, leased)
"""

# The owner's own endpoint first, then its WABA's, then the one the caller named: settings that changed a
# moment ago win over what a caller remembered.
_ROUTED: Final[LiteralString] = """
  select taken.*, coalesce(own.id, fallback.id, named.id) as target,
         coalesce(own.enabled and own.breaker <> 'open', fallback.enabled and fallback.breaker <> 'open',
                  named.enabled and named.breaker <> 'open') as is_open
  from taken
  left join endpoint_target own on own.owner_kind = taken.owner_kind and own.owner_id = taken.owner_id
  left join endpoint_target fallback on fallback.owner_kind = 'waba' and fallback.owner_id = taken.fallback_id
  left join endpoint_target named on named.id = taken.endpoint_id
"""

_STORED: Final[LiteralString] = """
stored as (
  insert into event (id, created_at, partner_id, owner_kind, owner_id, fallback_id, name, body)
  select event_id, event_at, partner_id, owner_kind, owner_id, fallback_id, name, body from routed
),
wanted as (
  select routed.*, case when is_open then 'pending' else 'parked' end as state,
         coalesce(leased and is_open and target = endpoint_id, false) as is_leased
  from routed where target is not null
),
made as (
  insert into delivery (id, created_at, event_id, event_at, endpoint_id, lease, due_at, state, partner_id,
                        owner_kind, owner_id, name)
  select delivery_id, delivery_at, event_id, event_at, target,
         case when is_leased then %(lease)s::uuid end,
         now() + case when is_leased then %(lease_seconds)s * interval '1 second' else interval '0' end,
         state, partner_id, owner_kind, owner_id, name
  from wanted
)
select delivery_id as id, target as endpoint_id, state, is_leased from wanted
"""

ACCEPT: Final[LiteralString] = f"""
with piece as ({_PIECE}),
fresh as (
  insert into callback_seen (digest) select digest from piece on conflict do nothing returning digest
),
taken as (select piece.* from piece join fresh using (digest)),
routed as ({_ROUTED}),
{_STORED}
"""

PUBLISH: Final[LiteralString] = f"""
with taken as ({_PIECE}),
routed as ({_ROUTED}),
{_STORED}
"""

_CLAIMED: Final[LiteralString] = """
from picked, event
where delivery.created_at between picked.created_at and picked.created_at and delivery.id = picked.id
  and event.created_at between picked.event_at and picked.event_at and event.id = picked.event_id
returning delivery.id, delivery.created_at, delivery.event_id, delivery.partner_id, delivery.endpoint_id,
          delivery.owner_kind, delivery.attempts, delivery.step, delivery.rank, event.body
"""

# What is due at each wanted endpoint, oldest first, at most `room` of it.
CLAIM: Final[LiteralString] = f"""
with want as (select * from unnest(%(endpoints)b::uuid[], %(rooms)b::integer[]) as want(endpoint_id, room)),
picked as (
  select found.* from want
  join endpoint on endpoint.id = want.endpoint_id and endpoint.enabled and endpoint.breaker <> 'open'
  cross join lateral (
    select created_at, id, event_at, event_id from delivery
    where delivery.endpoint_id = want.endpoint_id and state = 'pending' and rank = %(rank)s
      and due_at <= now() and {_LIVE_DAYS}
    order by due_at limit want.room for update skip locked
  ) found
)
update delivery set lease = %(lease)s, due_at = now() + %(lease_seconds)s * interval '1 second'
{_CLAIMED}
"""

# Parked rows of endpoints that are delivered to again.
UNPARK: Final[LiteralString] = f"""
with want as (select * from unnest(%(endpoints)b::uuid[], %(rooms)b::integer[]) as want(endpoint_id, room)),
picked as (
  select found.* from want
  join endpoint on endpoint.id = want.endpoint_id and endpoint.enabled and endpoint.breaker <> 'open'
  cross join lateral (
    select created_at, id, event_at, event_id from delivery
    where delivery.endpoint_id = want.endpoint_id and state = 'parked' and {_LIVE_DAYS}
    order by due_at limit want.room for update skip locked
  ) found
)
update delivery
set state = 'pending', lease = %(lease)s, due_at = now() + %(lease_seconds)s * interval '1 second'
{_CLAIMED}
"""

# The oldest parked row of each open endpoint whose time has come. An endpoint with nothing parked has
# nothing to probe with; the next event will be its probe.
PROBE: Final[LiteralString] = f"""
with ready as (
  select id from endpoint where breaker = 'open' and enabled and probe_at <= now()
  order by probe_at limit 50 for update skip locked
),
picked as (
  select found.* from ready cross join lateral (
    select created_at, id, event_at, event_id, endpoint_id from delivery
    where delivery.endpoint_id = ready.id and state = 'parked' and {_LIVE_DAYS}
    order by due_at limit 1 for update skip locked
  ) found
),
moved as (
  update endpoint
  set probe_at = now() + %(lease_seconds)s * interval '1 second',
      breaker = case when picked.id is null then 'recovering' else 'open' end
  from ready left join picked on picked.endpoint_id = ready.id
  where endpoint.id = ready.id
)
update delivery
set state = 'pending', lease = %(lease)s, due_at = now() + %(lease_seconds)s * interval '1 second'
{_CLAIMED}
"""

# Due rows whose endpoint takes nothing now: parked where it is out of order, discarded where it is removed.
# Parked rows are tried in the order of due_at: of their creation first, and after a failed probe at the end.
PARK: Final[LiteralString] = f"""
with picked as (
  select found.*, endpoint.id as target from unnest(%(endpoints)b::uuid[]) as want(endpoint_id)
  left join endpoint on endpoint.id = want.endpoint_id
  cross join lateral (
    select created_at, id from delivery
    where delivery.endpoint_id = want.endpoint_id and state = 'pending' and rank = %(rank)s
      and due_at <= now() and {_LIVE_DAYS}
    limit %(limit)s for update skip locked
  ) found
  where endpoint.id is null or not endpoint.enabled or endpoint.breaker = 'open'
)
update delivery
set state = case when target is null then 'discarded' else 'parked' end, lease = null,
    due_at = delivery.created_at, finished_at = case when target is null then now() end,
    last_error = case when target is null then 'endpoint_removed' else last_error end
from picked
where delivery.created_at between picked.created_at and picked.created_at and delivery.id = picked.id
returning delivery.endpoint_id
"""

# What ends the waiting of parked rows: their endpoint was removed, or seven days are over.
SWEEP_PARKED: Final[LiteralString] = """
with picked as (
  select found.*, endpoint.id as target from unnest(%(endpoints)b::uuid[]) as want(endpoint_id)
  left join endpoint on endpoint.id = want.endpoint_id
  cross join lateral (
    select created_at, id from delivery
    where delivery.endpoint_id = want.endpoint_id and state = 'parked'
      and (endpoint.id is null or due_at < now() - %(keep)s::interval)
    limit %(limit)s for update skip locked
  ) found
)
update delivery
set state = case when target is null then 'discarded' else 'failed' end, finished_at = now(),
    last_error = case when target is null then 'endpoint_removed' else coalesce(last_error, 'expired') end
from picked
where delivery.created_at between picked.created_at and picked.created_at and delivery.id = picked.id
returning delivery.endpoint_id
"""

# What waits on days that no claim looks at any more, because no sender came by. A live lease still counts.
EXPIRE: Final[LiteralString] = """
with picked as (
  select created_at, id from delivery
  where state in ('pending', 'parked') and created_at <= now() - interval '9 days'
    and (lease is null or due_at <= now())
  limit %(limit)s for update skip locked
)
update delivery
set state = 'failed', lease = null, due_at = delivery.created_at, finished_at = now(), last_error = 'expired'
from picked
where delivery.created_at between picked.created_at and picked.created_at and delivery.id = picked.id
"""

# Every endpoint with waiting rows and when its first one is due. A loose index scan: one look for each
# endpoint and rank, however many rows wait behind it.
SCAN_PENDING: Final[LiteralString] = f"""
with recursive lane as (
  (select endpoint_id, rank, due_at from delivery where state = 'pending' and {_LIVE_DAYS}
   order by endpoint_id, rank, due_at limit 1)
  union all
  select following.* from lane cross join lateral (
    select delivery.endpoint_id, delivery.rank, delivery.due_at from delivery
    where state = 'pending' and (delivery.endpoint_id, delivery.rank) > (lane.endpoint_id, lane.rank)
      and {_LIVE_DAYS}
    order by delivery.endpoint_id, delivery.rank, delivery.due_at limit 1
  ) following
)
select endpoint_id, extract(epoch from min(due_at) - now())::float8 from lane group by endpoint_id
"""

SCAN_PARKED: Final[LiteralString] = """
with recursive lane as (
  (select endpoint_id from delivery where state = 'parked' order by endpoint_id limit 1)
  union all
  select following.* from lane cross join lateral (
    select delivery.endpoint_id from delivery
    where state = 'parked' and delivery.endpoint_id > lane.endpoint_id
    order by delivery.endpoint_id limit 1
  ) following
)
select lane.endpoint_id, coalesce(endpoint.enabled and endpoint.breaker <> 'open', false) as is_open
from lane left join endpoint on endpoint.id = lane.endpoint_id
"""

# Writes outcomes under their leases, and every attempt whether or not its outcome still counted. `state` is
# what the row becomes; a result without `tried_at` was not tried and only changes hands. One JSON document
# costs the sender a quarter of what an array for each of these columns does.
FINISH: Final[LiteralString] = """
with result as (
  select * from json_to_recordset(%(results)s::json) as result(
    id uuid, created_at timestamptz, lease uuid, state text, delay float8, attempts smallint, step smallint,
    rank smallint, status smallint, error text, tried_at timestamptz, number smallint, partner_id text,
    endpoint_id uuid, url text, dns_us integer, connect_us integer, tls_us integer, first_byte_us integer,
    body_us integer, total_us integer, reused boolean, is_probe boolean, body_truncated boolean,
    peer_address text, headers jsonb, body text)
),
done as (
  update delivery set
    state = result.state, lease = null,
    due_at = coalesce(now() + result.delay * interval '1 second', delivery.created_at),
    attempts = result.attempts, step = result.step, rank = result.rank,
    last_status = case when result.tried_at is null then last_status else result.status end,
    last_error = case when result.tried_at is null then coalesce(result.error, last_error)
                      else result.error end,
    finished_at = case when result.state in ('delivered', 'failed', 'discarded') then now() end
  from result
  where delivery.created_at between result.created_at and result.created_at and delivery.id = result.id
    and delivery.lease = result.lease
  returning delivery.id
),
logged as (
  insert into attempt (delivery_id, created_at, partner_id, endpoint_id, dns_us, connect_us, tls_us,
                       first_byte_us, body_us, total_us, number, status, reused, is_probe, is_fenced,
                       body_truncated, error, url, peer_address, sender, headers, body)
  select result.id, tried_at, partner_id, endpoint_id, dns_us, connect_us, tls_us, first_byte_us, body_us,
         total_us, number, status, reused, is_probe, result.id not in (select id from done), body_truncated,
         error, url, peer_address, %(sender)s, headers, decode(body, 'base64')
  from result where tried_at is not null
  on conflict do nothing
)
select id from done
"""

EXTEND: Final[LiteralString] = """
update delivery set due_at = now() + %(lease_seconds)s * interval '1 second'
from unnest(%(ids)b::uuid[], %(created_ats)b::timestamptz[], %(leases)b::uuid[])
  as held(id, created_at, lease)
where delivery.created_at between held.created_at and held.created_at and delivery.id = held.id
  and delivery.lease = held.lease
returning delivery.id
"""

FACTS: Final[LiteralString] = """
select endpoint.id, endpoint.partner_id, endpoint.url, endpoint.headers_sealed, endpoint.enabled,
       endpoint.breaker, endpoint.probe_failures,
       array(select signing_key.id from signing_key
             where signing_key.partner_id = endpoint.partner_id
               and (retires_at is null or retires_at > now())
             order by created_at desc, id desc) as key_ids,
       array(select signing_key.secret_sealed from signing_key
             where signing_key.partner_id = endpoint.partner_id
               and (retires_at is null or retires_at > now())
             order by created_at desc, id desc) as secrets,
       array(select signing_key.retires_at from signing_key
             where signing_key.partner_id = endpoint.partner_id
               and (retires_at is null or retires_at > now())
             order by created_at desc, id desc) as ends
from endpoint where endpoint.id = any (%(ids)b::uuid[])
"""

OPEN_BREAKER: Final[LiteralString] = """
update endpoint set breaker = 'open', opened_at = coalesce(opened_at, now()), probe_failures = %(failures)s,
                    probe_at = now() + %(delay)s * interval '1 second'
where id = %(id)s and enabled and breaker <> 'open'
"""

FAIL_PROBE: Final[LiteralString] = """
update endpoint set probe_failures = %(failures)s, probe_at = now() + %(delay)s * interval '1 second'
where id = %(id)s and breaker = 'open'
"""

RECOVER: Final[LiteralString] = """
update endpoint set breaker = 'recovering' where id = %(id)s and breaker = 'open'
"""

CLOSE_BREAKER: Final[LiteralString] = """
update endpoint set breaker = 'closed', opened_at = null, probe_at = null, probe_failures = 0
where id = %(id)s and breaker = 'recovering'
"""

# Only while the URL is the one that answered: a new one must not be disabled for what the old one said.
DISABLE_GONE: Final[LiteralString] = """
update endpoint set enabled = false, disabled_reason = 'gone', disabled_at = now(), modified_at = now()
where id = %(id)s and enabled and url = %(url)s
"""
