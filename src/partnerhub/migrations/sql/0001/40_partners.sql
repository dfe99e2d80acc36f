-- The partner, its people, its keys.
create table partner (
  id                           text primary key,
  partner_id                   text generated always as (id) stored,
  brand_name                   text not null,
  logo_url                     text,
  country                      text not null default '',
  payment_model                text not null default 'partner_paid' check (payment_model in ('partner_paid', 'direct_paid')),
  currency                     text not null default 'EUR',
  redirect_url                 text,
  redirect_origins             text[] not null default '{}',
  solution_id                  text check (solution_id ~ '^[0-9]{14,18}$'),
  -- 'on_premise' is what a partner once had; nothing can choose it any more.
  default_hosting_type         text not null default 'cloud_api' check (default_hosting_type in ('cloud_api', 'on_premise')),
  data_localization_region     text,
  legacy_token_auth_enabled    boolean not null default false,
  mm_api_routing_enabled       boolean not null default true,
  io_signature_enabled         boolean not null default false,
  secret_overlap_hours         integer not null default 24 check (secret_overlap_hours between 0 and 720),
  allow_client_to_add_phone_no boolean not null default true,
  blocked_new_submission       boolean not null default false,
  auto_approve_partner_change  boolean not null default false,
  retention_days               integer not null default 30 check (retention_days between 1 and 400),
  created_at                   timestamptz not null default now(),
  modified_at                  timestamptz not null default now()
);
call protect('partner', 'select, update', 'select, insert, update');
call narrow_for_clients('partner', 'false', 'update');

create table member (
  partner_id text not null references partner,
  user_id    text not null references hub_user,
  role       text not null check (role in ('owner', 'member')),
  created_at timestamptz not null default now(),
  primary key (partner_id, user_id)
);
create index member_user on member (user_id);
call protect('member', 'select, insert, update, delete', 'select, insert, update, delete');
call narrow_for_clients('member', 'false');

-- A partner's own pages name the people of that partner, and nobody else.
alter table hub_user enable row level security;
create policy system on hub_user to hub_system using (true) with check (true);
grant select (id, email, name, locale, created_at, disabled_at) on hub_user to hub_tenant;
create policy tenant on hub_user for select to hub_tenant
  using (exists (select from member m where m.user_id = hub_user.id and m.partner_id = (select app_partner())));
call narrow_for_clients('hub_user', 'false');

create table partner_key (
  id           uuid primary key,
  partner_id   text not null references partner,
  name         text not null,
  prefix       text not null,
  key_hash     bytea not null unique,
  scopes       text[] not null check (scopes <@ array['read', 'write', 'security'] and cardinality(scopes) > 0),
  created_by   text not null,
  created_at   timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at   timestamptz
);
create index partner_key_partner on partner_key (partner_id);
call protect('partner_key', 'select, insert, update', 'select, insert, update');
call narrow_for_clients('partner_key', 'false');

-- Refresh tokens of the legacy token flow and when a token was used last.
create table legacy_token (
  id           uuid primary key,
  partner_id   text not null references partner,
  user_id      text not null references hub_user,
  refresh_hash bytea not null unique,
  credentials_version integer not null, -- the user's when the password was checked
  issued_at    timestamptz not null default now(),
  expires_at   timestamptz not null,
  last_used_at timestamptz
);
create index legacy_token_partner on legacy_token (partner_id, last_used_at);
call protect('legacy_token', 'select', 'select, insert, update, delete');
call narrow_for_clients('legacy_token', 'false');

-- Keys that sign legacy tokens, sealed; the newest signs, all verify.
create table token_key (
  id         uuid primary key,
  sealed     bytea not null,
  created_at timestamptz not null
);
grant select, insert on token_key to hub_system;
