-- What was sent, what Meta told about it, and the callbacks that wait for a job.
create table message (
  id           uuid not null,
  created_at   timestamptz not null,
  partner_id   text not null,
  channel_id   text not null,
  wamid        text,
  recipient    text not null,
  type         text not null,
  category     text not null,
  template     text,
  -- unconfirmed: Meta's answer was lost, so nobody knows yet whether it was taken
  status       text not null default 'accepted',
  error_code   integer,
  modified_at  timestamptz not null,
  primary key (created_at, id)
) partition by range (created_at);
create index message_wamid on message (wamid);
create index message_unconfirmed on message (channel_id, recipient, created_at) where wamid is null;
create index message_channel on message (partner_id, channel_id, created_at desc);
call protect('message', 'select', 'select, insert, update');
call narrow_for_clients('message',
  'exists (select from channel c where c.id = channel_id and c.client_id = (select app_client()))');
insert into partitioned values ('message', 30);

-- One row per status that Meta sent; the worker settles them in order and marks them. What cannot be settled
-- says why in `problem` and is tried again at `retry_at`.
create table message_status (
  id           bigint generated always as identity,
  created_at   timestamptz not null default now(),
  partner_id   text not null,
  channel_id   text not null,
  wamid        text not null,
  participant  text not null default '',
  recipient    text not null default '',
  status       text not null,
  at           timestamptz not null,
  pricing      jsonb,
  error_code   integer,
  -- what the ledger prices with, as it was when the status came
  currency     text not null,
  time_zone    text not null,
  settled_at   timestamptz,
  attempts     smallint not null default 0,
  retry_at     timestamptz,
  problem      text,
  primary key (created_at, id)
) partition by range (created_at);
create index message_status_open on message_status (id) where settled_at is null;
create index message_status_wamid on message_status (wamid);
call protect('message_status', 'select', 'select, insert, update');
call narrow_for_clients('message_status',
  'exists (select from channel c where c.id = channel_id and c.client_id = (select app_client()))');
insert into partitioned values ('message_status', 30);

-- A change of a field other than messages, or one that nobody could take: an envelope of its own, in the bytes
-- that Meta sent. A job hands it to the package that owns the field; `error` says why none could.
create table meta_change (
  id              uuid primary key,
  received_at     timestamptz not null default now(),
  field           text not null,
  entry_id        text not null,
  phone_number_id text not null default '',
  body            bytea not null,
  handled_at      timestamptz,
  error           text
);
create index meta_change_open on meta_change (received_at) where handled_at is null;
create index meta_change_phone on meta_change (phone_number_id) where handled_at is null and phone_number_id <> '';
grant select, insert, update, delete on meta_change to hub_system;

-- What was already taken from Meta: hash of field and content, so that a repeat is answered and dropped.
create table callback_seen (
  digest     bytea not null,
  created_at timestamptz not null default now(),
  primary key (digest)
);
-- Rows come in order of time, so a few pages of summary find the old ones.
create index callback_seen_age on callback_seen using brin (created_at);
grant select, insert, delete on callback_seen to hub_system;
