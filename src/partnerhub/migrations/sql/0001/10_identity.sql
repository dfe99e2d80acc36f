-- Who signs in, and what was done. Users are global: one person may belong to several partners.
create table hub_user (
  id            text primary key,
  email         text not null,
  name          text not null default '',
  password_hash text,
  locale        text not null default 'en',
  is_operator   boolean not null default false,
  created_at    timestamptz not null default now(),
  modified_at   timestamptz not null default now(),
  disabled_at   timestamptz,
  -- Counts up whenever what was proved before is to count no more: tokens carry the one they were issued under.
  credentials_version integer not null default 1
);
create unique index hub_user_email on hub_user (lower(email));

create table session (
  id           uuid primary key,
  token_hash   bytea not null unique,
  user_id      text not null references hub_user,
  hub          text not null check (hub in ('partner', 'client', 'operator')),
  partner_id   text,
  client_id    text,
  created_at   timestamptz not null default now(),
  seen_at      timestamptz not null default now(),
  expires_at   timestamptz not null,
  ended_at     timestamptz,
  ip           text not null default '',
  user_agent   text not null default ''
);
create index session_of_user on session (user_id) where ended_at is null;

-- A code sent by e-mail that confirms one action of one person.
create table one_time_code (
  id          uuid primary key,
  user_id     text not null references hub_user,
  purpose     text not null,
  code_hash   bytea not null,
  attempts    integer not null default 0,
  created_at  timestamptz not null default now(),
  expires_at  timestamptz not null,
  used_at     timestamptz
);
create index one_time_code_user on one_time_code (user_id, purpose, created_at desc);

-- Append-only log of everything that a person or key changed; one hash chain per partner.
create table audit_entry (
  partner_id   text not null,
  seq          bigint not null,
  at           timestamptz not null,
  actor_kind   text not null check (actor_kind in ('user', 'key', 'client', 'operator', 'system')),
  actor_id     text not null,
  actor_name   text not null default '',
  action       text not null,
  object_kind  text not null default '',
  object_id    text not null default '',
  before       jsonb,
  after        jsonb,
  ip           text not null default '',
  user_agent   text not null default '',
  request_id   text not null default '',
  prev_hash    bytea not null,
  hash         bytea not null,
  primary key (partner_id, seq)
);
create index audit_entry_at on audit_entry (partner_id, at desc);
call protect('audit_entry', 'select, insert', 'select, insert');
-- What a client does goes into its partner's chain; of the rest of it a client sees only where it ends.
call narrow_for_clients('audit_entry', 'false', 'select');
create view audit_link as select partner_id, seq, hash from audit_entry where is_in_scope(partner_id);
grant select on audit_link to hub_tenant, hub_system;

grant select, insert, update on hub_user, session, one_time_code to hub_system;
grant delete on session, one_time_code to hub_system;
