-- That a Direct-Paid client accepted prices and terms, and which ones: evidence, so only ever added.
-- price_version is the newest change of prices (price_change.id) at that moment. The run is named and not
-- referenced: runs are thrown away, evidence stays.
create table price_acceptance (
  id            uuid primary key,
  partner_id    text not null references partner,
  client_id     text not null references client,
  run_id        uuid not null,
  currency      text not null,
  price_version uuid not null,
  terms_url     text not null default '',
  plan          text not null default '',
  accepted_by   text not null,
  ip            text not null default '',
  user_agent    text not null default '',
  accepted_at   timestamptz not null
);
create index price_acceptance_partner on price_acceptance (partner_id, client_id, accepted_at desc);
call protect('price_acceptance', 'select, insert', 'select, insert', 'client_id');
