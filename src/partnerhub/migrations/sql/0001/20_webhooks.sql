-- Where events go (endpoint), how they are signed (signing_key), what happened (event), the job of bringing
-- one event to one endpoint (delivery), and every try (attempt). This package knows no partner and no channel,
-- so ids of owners are plain text without foreign keys.
create table endpoint (
  id              uuid primary key,
  partner_id      text not null,
  owner_kind      text not null check (owner_kind in ('partner', 'channel', 'waba')),
  owner_id        text not null,
  url             text not null,
  headers_sealed  bytea,
  enabled         boolean not null default true,
  disabled_reason text check (disabled_reason in ('gone', 'paused')),
  disabled_at     timestamptz,
  -- closed: deliver; open: park everything and probe; recovering: deliver at a ramp
  breaker         text not null default 'closed' check (breaker in ('closed', 'open', 'recovering')),
  opened_at       timestamptz,
  probe_at        timestamptz,
  probe_failures  integer not null default 0,
  created_at      timestamptz not null default now(),
  modified_at     timestamptz not null default now(),
  unique (owner_kind, owner_id),
  check (enabled = (disabled_reason is null)),
  check (breaker <> 'open' or probe_at is not null)
);
create index endpoint_partner on endpoint (partner_id);
create index endpoint_open on endpoint (probe_at) where breaker = 'open';
call protect('endpoint', 'select, insert, update, delete', 'select, insert, update, delete');
-- Where an event goes, for whoever makes one happen: a client sees no endpoint of its partner.
create view endpoint_target as
  select id, owner_kind, owner_id, enabled, breaker from endpoint where is_in_scope(partner_id);
grant select on endpoint_target to hub_tenant, hub_system;

-- The newest key signs; earlier ones sign beside it until they retire.
create table signing_key (
  id            uuid primary key,
  partner_id    text not null,
  secret_sealed bytea not null,
  created_at    timestamptz not null default now(),
  retires_at    timestamptz
);
create unique index signing_key_current on signing_key (partner_id) where retires_at is null;
create index signing_key_partner on signing_key (partner_id, created_at desc);
call protect('signing_key', 'select, insert, update', 'select, insert, update');
call narrow_for_clients('signing_key', 'false');

-- What happened, with the bytes that are signed and sent, stored once. created_at is the time inside the id
-- (UUIDv7, milliseconds), so an id alone finds its day.
create table event (
  id          uuid not null,
  created_at  timestamptz not null,
  partner_id  text not null,
  owner_kind  text not null,
  owner_id    text not null,
  fallback_id text, -- the WABA whose endpoint takes it when the owner has none
  name        text not null,
  body        bytea not null,
  primary key (created_at, id)
) partition by range (created_at);
-- Bodies are small and read once, soon: kept in the row, not compressed.
alter table event alter column body set storage external;
create index event_partner on event (partner_id, created_at desc, id desc);
call protect('event', 'select, insert', 'select, insert');
insert into partitioned values ('event', 30, 'toast_tuple_target = 8160');

-- The job. due_at says when somebody may take it next: for a leased row that is the end of the lease, so the
-- query that claims what is due also sweeps up what a dead sender left.
create table delivery (
  id          uuid not null,
  created_at  timestamptz not null,
  event_id    uuid not null,
  event_at    timestamptz not null,
  endpoint_id uuid not null,
  lease       uuid,
  due_at      timestamptz not null,
  finished_at timestamptz,
  replay_of   uuid,
  rank        smallint not null default 0, -- 0: never tried, goes first; 1: retry or replay
  attempts    smallint not null default 0,
  step        smallint not null default 0, -- of the back-off; a probe of a parked endpoint does not count
  last_status smallint,
  state       text not null check (state in ('pending', 'delivered', 'failed', 'parked', 'discarded')),
  partner_id  text not null,
  owner_kind  text not null,
  owner_id    text not null,
  name        text not null,
  last_error  text,
  primary key (created_at, id)
) partition by range (created_at);
create index delivery_due on delivery (endpoint_id, rank, due_at) where state = 'pending';
create index delivery_parked on delivery (endpoint_id, due_at) where state = 'parked';
create index delivery_partner on delivery (partner_id, created_at desc, id desc);
create index delivery_owner on delivery (owner_id, created_at desc, id desc);
create index delivery_trouble on delivery (partner_id, state, created_at desc, id desc)
  where state in ('failed', 'parked', 'discarded');
-- What was sent again; first deliveries are not in it and pay nothing for it.
create index delivery_replayed on delivery (event_id) where replay_of is not null;
call protect('delivery', 'select, insert', 'select, insert, update');
insert into partitioned values ('delivery', 30, 'fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05');

-- Every try, whatever came of it. Two tries of one delivery never start in the same microsecond, so the key
-- also makes writing a row twice harmless.
create table attempt (
  delivery_id    uuid not null,
  created_at     timestamptz not null,
  partner_id     text not null,
  endpoint_id    uuid not null,
  dns_us         integer not null,
  connect_us     integer not null,
  tls_us         integer not null,
  first_byte_us  integer not null,
  body_us        integer not null,
  total_us       integer not null,
  number         smallint not null,
  status         smallint,
  reused         boolean not null,
  is_probe       boolean not null,
  is_fenced      boolean not null, -- the lease was lost by then: the outcome did not count
  body_truncated boolean not null,
  error          text,
  url            text not null,
  peer_address   text,
  sender         text not null,
  headers        jsonb,
  body           bytea,
  primary key (delivery_id, created_at)
) partition by range (created_at);
call protect('attempt', 'select', 'select, insert');
insert into partitioned values ('attempt', 30);
