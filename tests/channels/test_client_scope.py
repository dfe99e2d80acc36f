"""The client is a second scope inside its partner: the database keeps its neighbours' rows from it."""

from __future__ import annotations

from typing import LiteralString

import psycopg
import pytest
from tests import factories

from partnerhub.identity.queries import verify_audit_chain
from partnerhub.identity.schemas import SYSTEM
from partnerhub.identity.services import record_change
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.ids import uuid7
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import OwnerKind

# What a client's scope does not narrow: nobody's scope reads mail.
WIDE = {"mail"}
TABLES: tuple[LiteralString, ...] = (
    "waba",
    "channel",
    "channel_key",
    "template",
    "message",
    "message_status",
    "endpoint",
    "event",
    "delivery",
    "attempt",
)


async def _make_numbers(database: Database, partner: factories.MadePartner) -> list[str]:
    """Make two clients with everything a number has, and return them."""
    clients = []
    for _ in range(2):
        client = await factories.make_client(database, partner=partner)
        waba = await factories.make_waba(database, client=client)
        channel = await factories.make_channel(database, waba=waba)
        await factories.make_channel_key(database, channel=channel)
        await factories.make_template(database, waba=waba)
        async with database.system() as unit:
            await unit.execute(
                "insert into message (id, created_at, partner_id, channel_id, recipient, type, category,"
                " modified_at) values (%s, now(), %s, %s, '49', 'text', 'service', now())",
                (uuid7(), partner.id, channel.id),
            )
            await unit.execute(
                "insert into message_status (partner_id, channel_id, wamid, status, at, currency, time_zone)"
                " values (%s, %s, 'w', 'sent', now(), 'EUR', 'UTC')",
                (partner.id, channel.id),
            )
            await _make_delivery(unit, partner.id, "channel", channel.id)
        clients.append(client.id)
    return clients


async def _make_delivery(unit: Unit, partner_id: str, owner_kind: str, owner_id: str) -> None:
    """Make an endpoint with an event that was tried once."""
    await unit.execute(
        """
        with made as (
          insert into endpoint (id, partner_id, owner_kind, owner_id, url)
          values (%(id)s, %(partner)s, %(kind)s, %(owner)s, 'https://acme.example')
        ), happened as (
          insert into event (id, created_at, partner_id, owner_kind, owner_id, name, body)
          values (%(id)s, now(), %(partner)s, %(kind)s, %(owner)s, 'x', '{}')
        ), sent as (
          insert into delivery (id, created_at, event_id, event_at, endpoint_id, due_at, state, partner_id,
                                owner_kind, owner_id, name)
          values (%(id)s, now(), %(id)s, now(), %(id)s, now(), 'pending', %(partner)s,
                  %(kind)s, %(owner)s, 'x')
        )
        insert into attempt (delivery_id, created_at, partner_id, endpoint_id, dns_us, connect_us, tls_us,
                             first_byte_us, body_us, total_us, number, reused, is_probe, is_fenced,
                             body_truncated, url, sender)
        values (%(id)s, now(), %(partner)s, %(id)s, 0, 0, 0, 0, 0, 0, 1, false, false, false, false, '', '')
        """,
        {"partner": partner_id, "kind": owner_kind, "owner": owner_id, "id": uuid7()},
    )


@pytest.mark.parametrize("table", TABLES)
async def test_a_client_sees_its_own_rows_and_its_partner_all(
    database: Database, table: LiteralString
) -> None:
    partner = await factories.make_partner(database)
    clients = await _make_numbers(database, partner)

    async def count(client_id: str) -> int:
        async with database.tenant(partner.id, client_id=client_id) as unit:
            found: int = await unit.fetch_value(f"select count(*) from {table}")
        return found

    assert [await count(client) for client in clients] == [1, 1]
    assert (await count("nobodyCL"), await count("")) == (0, 2)


@pytest.mark.parametrize(
    "statement",
    [
        "update channel_key set revoked_at = now()",
        "update template set name = name",
        "delete from template",
    ],
)
async def test_a_client_changes_its_own_rows_only(database: Database, statement: LiteralString) -> None:
    partner = await factories.make_partner(database)
    clients = await _make_numbers(database, partner)
    async with database.tenant(partner.id, client_id=clients[0]) as unit:
        assert await unit.execute(statement) == 1


async def test_a_client_makes_no_key_for_a_neighbours_number(database: Database) -> None:
    partner = await factories.make_partner(database)
    clients = await _make_numbers(database, partner)
    async with database.system() as unit:
        number = await unit.fetch_value("select id from channel where client_id = %s", (clients[1],))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with database.tenant(partner.id, client_id=clients[0]) as unit:
            await unit.execute(
                "insert into channel_key (partner_id, channel_id, key_hash, prefix, created_by, revoked_at)"
                " values (%s, %s, 'x', 'x', 'x', now())",
                (partner.id, number),
            )


@pytest.mark.parametrize(
    "table",
    ["endpoint", "event", "delivery", "attempt", "signing_key", "audit_entry", "member", "hub_user"],
)
async def test_what_is_the_partners_is_not_there_for_a_client(
    database: Database, keyring: Keyring, table: LiteralString
) -> None:
    partner = await factories.make_partner(database)
    member = await factories.make_member(database, partner=partner)
    client = await factories.make_client(database, partner=partner)
    async with database.tenant(member.partner_id) as unit:
        await _add_signing_key(unit, partner.id, keyring)
        await _record(unit, member.partner_id)
    async with database.system() as unit:
        await _make_delivery(unit, member.partner_id, "partner", member.partner_id)
    async with database.tenant(member.partner_id) as unit:
        assert await unit.fetch_value(f"select count(*) from {table}") == 1
    async with database.tenant(member.partner_id, client_id=client.id) as unit:
        assert await unit.fetch_value(f"select count(*) from {table}") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "update partner set redirect_url = 'https://evil.example'",
        "delete from endpoint",
        "update endpoint set url = 'https://evil.example'",
        "delete from member",
        "update signing_key set retires_at = now()",
    ],
)
async def test_a_client_changes_nothing_of_its_partners(
    database: Database, keyring: Keyring, statement: LiteralString
) -> None:
    partner = await factories.make_partner(database)
    member = await factories.make_member(database, partner=partner)
    client = await factories.make_client(database, partner=partner)
    async with database.tenant(member.partner_id) as unit:
        await _add_signing_key(unit, partner.id, keyring)
    async with database.system() as unit:
        await _make_delivery(unit, member.partner_id, "partner", member.partner_id)
    async with database.tenant(member.partner_id, client_id=client.id) as unit:
        assert await unit.execute(statement) == 0


async def _add_signing_key(unit: Unit, partner_id: str, keyring: Keyring) -> None:
    await webhooks.add_signing_key(
        unit, partner_id=partner_id, secret="s" * 32, overlap_hours=0, keyring=keyring
    )


async def _record(unit: Unit, partner_id: str) -> None:
    await record_change(
        unit,
        partner_id=partner_id,
        actor=SYSTEM,
        action="thing.done",
        object_kind="thing",
        object_id="1",
        before=None,
        after=None,
    )


async def test_what_a_client_does_is_told_to_its_partner_and_written_into_its_log(database: Database) -> None:
    partner = await factories.make_partner(database)
    client = await factories.make_client(database, partner=partner)
    async with database.system() as unit:
        await _make_delivery(unit, partner.id, "partner", partner.id)
    for client_id in ("", client.id, client.id, ""):
        async with database.tenant(partner.id, client_id=client_id) as unit:
            await webhooks.publish(
                unit,
                partner_id=partner.id,
                owner_kind=OwnerKind.PARTNER,
                owner_id=partner.id,
                name="client_created",
                data={},
            )
            await _record(unit, partner.id)
    async with database.tenant(partner.id) as unit:
        assert await unit.fetch_value("select count(*) from delivery where name = 'client_created'") == 4
        check = await verify_audit_chain(unit, partner_id=partner.id)
    assert (check.entries, check.broken_at) == (4, None)


async def test_partitions_are_made_and_dropped_by_the_system_only(database: Database) -> None:
    for call in ("make_partitions(1)", "drop_partitions()"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.tenant("onePA") as unit:
                await unit.fetch_value(f"select {call}")


async def test_every_table_of_a_tenant_says_what_a_client_sees(database: Database) -> None:
    async with database.system() as unit:
        rows = await unit.fetch_dicts(
            """
            select c.relname from pg_class c
            where c.relrowsecurity and c.relkind in ('r', 'p') and not c.relispartition
              and exists (select from pg_policies p where p.tablename = c.relname
                          and 'hub_tenant' = any (p.roles))
              and not exists (select from pg_policies p where p.tablename = c.relname
                              and 'hub_tenant' = any (p.roles) and p.qual like '%app_client%')
            """
        )
    assert {row["relname"] for row in rows} == WIDE
