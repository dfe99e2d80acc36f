-- One run of the onboarding popup: what the link said, how far the client came, what came of it.
create table onboarding_run (
  id            uuid primary key,
  partner_id    text not null references partner,
  browser_hash  bytea not null,
  client_id     text references client,
  step          text not null default 'started',
  parameters    jsonb not null default '{}',
  redirect_url  text,
  state         text,
  waba_id       text,
  channel_ids   text[] not null default '{}',
  revoked_ids   text[] not null default '{}',
  error_code    text,
  error_message text,
  created_at    timestamptz not null default now(),
  modified_at   timestamptz not null default now(),
  expires_at    timestamptz not null
);
create index onboarding_run_partner on onboarding_run (partner_id, created_at desc);
create index onboarding_run_age on onboarding_run (expires_at);
call protect('onboarding_run', 'select, insert, update', 'select, insert, update, delete', 'client_id');
