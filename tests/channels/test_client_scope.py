"""The client is a second scope inside its partner: the database keeps its neighbours' rows from it."""

from __future__ import annotations

from typing import LiteralString

import psycopg
import pytest
from tests import factories

from partnerhub.kit.database import Database
from partnerhub.kit.ids import uuid7

# What a client's scope does not narrow, because nothing in the row tells whose it is, or because what a
# client does writes there: the log's chain is the partner's, and the delivery engine knows owners by id only.
WIDE = {
    "attempt",
    "audit_entry",
    "delivery",
    "endpoint",
    "event",
    "hub_user",
    "mail",
    "member",
    "partner",
    "signing_key",
}
TABLES: tuple[LiteralString, ...] = (
    "waba",
    "channel",
    "channel_key",
    "template",
    "message",
    "message_status",
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
        clients.append(client.id)
    return clients


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
