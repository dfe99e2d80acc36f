-- Clients, WABA accounts, numbers (channels), their templates and keys.
create table client (
  id              text primary key,
  partner_id      text not null references partner,
  name            text not null,
  status          text not null default 'active',
  organisation    text not null default '',
  max_channels    integer not null default 100 check (max_channels >= 0),
  partner_payload text,
  meta_info       jsonb not null default '{}',
  contact_info    jsonb not null default '{}',
  contact_user    jsonb not null default '{}',
  suspicious      boolean not null default false,
  user_id         text references hub_user,
  created_at      timestamptz not null default now(),
  modified_at     timestamptz not null default now(),
  created_by      jsonb not null default '{"user_id": "system", "user_name": "system"}',
  modified_by     jsonb not null default '{"user_id": "system", "user_name": "system"}'
);
create index client_partner on client (partner_id, lower(id) collate "C", id collate "C");
create index client_user on client (user_id);
call protect('client', 'select, insert, update', 'select, insert, update', 'id');

create table waba (
  id                text primary key,
  partner_id        text not null references partner,
  client_id         text not null references client,
  external_id       text not null unique,
  name              text not null default '',
  namespace         text not null default '',
  fb_business_id    text not null default '',
  fb_business_name  text not null default '',
  timezone_id       integer not null default 0,
  time_zone         text not null default 'UTC',
  currency          text not null default '',
  status            text not null default 'created',
  fb_account_status text not null default 'pending',
  settings          jsonb,
  consents          jsonb not null default '{}',
  access_sealed     bytea,
  created_at        timestamptz not null default now(),
  modified_at       timestamptz not null default now(),
  created_by        jsonb not null default '{"user_id": "system", "user_name": "system"}'
);
create index waba_partner on waba (partner_id, client_id);
call protect('waba', 'select, insert, update', 'select, insert, update', 'client_id');

create sequence channel_app_id start 104100;
create table channel (
  id                     text primary key check (id !~ '^[0-9]'),
  partner_id             text not null references partner,
  client_id              text not null references client,
  waba_id                text not null references waba,
  external_id            text not null unique,
  app_id                 bigint not null default nextval('channel_app_id'),
  phone_number           text not null,
  phone_name             text not null default '',
  status                 text not null default 'created',
  account_mode           text not null default 'sandbox' check (account_mode in ('sandbox', 'live')),
  hub_status             text not null default 'draft',
  meta_status            text not null default 'PENDING',
  availability_status    text not null default 'ready',
  integration_state      text not null default 'created',
  permission             text not null default 'missing' check (permission in ('shared', 'missing')),
  hosting_type           text not null default 'cloud_api',
  data_localization_region text,
  current_limit          text,
  current_quality_rating text,
  throughput             text not null default 'STANDARD',
  name_status            text not null default '',
  verification_method    text not null default 'sms' check (verification_method in ('sms', 'voice')),
  default_language       text not null default 'en',
  was_in_use             boolean not null default false,
  is_migrated            boolean not null default false,
  is_on_biz_app          boolean not null default false,
  is_oba                 boolean not null default false,
  profile_info           jsonb not null default '{}',
  pin_sealed             bytea,
  error                  text,
  billing_started_at     timestamptz,
  cancelled_at           timestamptz,
  terminated_at          timestamptz,
  created_at             timestamptz not null default now(),
  modified_at            timestamptz not null default now()
);
alter sequence channel_app_id owned by channel.app_id;
grant usage on sequence channel_app_id to hub_tenant, hub_system;
create index channel_partner on channel (partner_id, lower(id) collate "C", id collate "C");
create index channel_client on channel (partner_id, client_id);
create index channel_waba on channel (waba_id);
create index channel_phone on channel (phone_number);
call protect('channel', 'select, insert, update', 'select, insert, update', 'client_id');

create sequence channel_key_id start 201100;
create table channel_key (
  id         bigint primary key default nextval('channel_key_id'),
  partner_id text not null references partner,
  channel_id text not null references channel,
  key_hash   bytea not null unique,
  prefix     text not null,
  created_by text not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);
alter sequence channel_key_id owned by channel_key.id;
grant usage on sequence channel_key_id to hub_tenant, hub_system;
-- The newest key revokes the earlier ones: at most one live key per channel.
create unique index channel_key_live on channel_key (channel_id) where revoked_at is null;
call protect('channel_key', 'select, insert, update', 'select, insert, update');
call narrow_for_clients('channel_key',
  'exists (select from channel c where c.id = channel_id and c.client_id = (select app_client()))');

create table template (
  id              text primary key,
  partner_id      text not null references partner,
  waba_id         text not null references waba,
  external_id     text not null,
  name            text not null,
  language        text not null,
  category        text not null,
  status          text not null default 'submitted',
  components      jsonb not null default '[]',
  quality_score   jsonb,
  rejected_reason text,
  updated_external boolean not null default true,
  created_at      timestamptz not null default now(),
  modified_at     timestamptz not null default now(),
  created_by      jsonb not null default '{"user_id": "system", "user_name": "system"}',
  modified_by     jsonb not null default '{"user_id": "system", "user_name": "system"}',
  unique (waba_id, name, language)
);
create unique index template_external on template (waba_id, external_id);
call protect('template', 'select, insert, update, delete', 'select, insert, update, delete');
call narrow_for_clients('template',
  'exists (select from waba w where w.id = waba_id and w.client_id = (select app_client()))');

-- Of the webhooks, which know owners by their ids only, a client sees those of its own numbers and accounts. What
-- it does may make an event of the partner happen, which it does not see.
do $$
declare own text := '(exists (select from channel c where c.id = owner_id and c.client_id = (select app_client())) '
  'or exists (select from waba w where w.id = owner_id and w.client_id = (select app_client())))';
begin
  call narrow_for_clients('endpoint', own);
  call narrow_for_clients('event', own, 'select');
  call narrow_for_clients('delivery', own, 'select');
  call narrow_for_clients('attempt', 'exists (select from endpoint e where e.id = endpoint_id)');
end $$;
