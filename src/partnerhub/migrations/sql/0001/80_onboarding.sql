-- One run of the onboarding popup: what the link said, how far the client came, what came of it.
create table onboarding_run (
  id            uuid primary key,
  partner_id    text not null references partner,
  browser_hash  bytea not null,
  signature_hash bytea, -- of the signed link that began it (IO Signature)
  client_id     text references client,
  user_id       text references hub_user, -- who signed in and has no client of this partner yet
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
create index onboarding_run_browser on onboarding_run (browser_hash);
create index onboarding_run_age on onboarding_run (expires_at);
call protect('onboarding_run', 'select, insert, update', 'select, insert, update, delete', 'client_id');

-- Which request works on a run or registers a number at this moment; a claim whose time is over is nobody's.
create table onboarding_claim (
  name       text primary key,
  partner_id text not null references partner,
  holder     uuid not null,
  ends_at    timestamptz not null
);
create index onboarding_claim_partner on onboarding_claim (partner_id);
create index onboarding_claim_holder on onboarding_claim (holder);
create index onboarding_claim_end on onboarding_claim (ends_at);
call protect('onboarding_claim', '', 'select, insert, update, delete');

-- Signatures of links (IO Signature) that were opened: each belongs to one browser and its newest run, from
-- claimed_at on for good: there a client went past the account. Kept for as long as a run may take; by then the
-- signature itself is too old.
create table io_use (
  signature_hash bytea primary key,
  partner_id     text not null references partner,
  browser_hash   bytea not null,
  run_id         uuid not null references onboarding_run on delete cascade,
  signed_at      timestamptz not null,
  used_at        timestamptz not null,
  claimed_at     timestamptz
);
create index io_use_partner on io_use (partner_id);
create index io_use_run on io_use (run_id);
create index io_use_used on io_use (used_at);
call protect('io_use', '', 'select, insert, update, delete');

-- Links that were refused, for the partner to see: one row per minute, reason and network, and only so many.
create table io_refusal (
  id         uuid primary key,
  partner_id text not null references partner,
  minute     timestamptz not null,
  reason     text not null,
  detail     text not null,
  network    text not null, -- the address without its last part, which would name a person
  times      integer not null default 1,
  last_at    timestamptz not null,
  unique (partner_id, minute, reason, network)
);
create index io_refusal_partner on io_refusal (partner_id, last_at desc);
create index io_refusal_last on io_refusal (last_at);
call protect('io_refusal', 'select', 'select, insert, update, delete');
call narrow_for_clients('io_refusal', 'false');
