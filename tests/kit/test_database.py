"""Units of work: two roles, one tenant, no network inside."""

from __future__ import annotations

import psycopg
import pytest

from partnerhub.kit import jobs
from partnerhub.kit.boundary import NetworkInsideTransaction, refuse_network
from partnerhub.kit.database import Database, DatabaseTooOld, check_version


async def _make_partners(database: Database) -> None:
    async with database.system() as unit:
        for name in ("onePA", "twoPA"):
            await unit.execute("insert into partner (id, brand_name) values (%s, 'Acme')", (name,))


@pytest.mark.parametrize("number", [90_624, 150_012, 159_999])
def test_an_older_server_is_refused_by_its_number(number: int) -> None:
    with pytest.raises(DatabaseTooOld, match=f"PostgreSQL {number // 10_000}: PostgreSQL 16 or newer"):
        check_version(number)


@pytest.mark.parametrize("number", [160_000, 160_004, 180_004])
def test_a_newer_server_is_taken_by_its_number(number: int) -> None:
    check_version(number)


async def test_a_tenant_sees_its_own_rows_only(database: Database) -> None:
    await _make_partners(database)
    async with database.tenant("onePA") as unit:
        assert await unit.fetch_dicts("select id from partner") == [{"id": "onePA"}]


async def test_a_tenant_cannot_write_rows_of_another(database: Database) -> None:
    await _make_partners(database)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with database.tenant("onePA") as unit:
            await unit.execute(
                "insert into partner_key values "
                "(gen_random_uuid(), 'twoPA', 'k', 'p', 'h', '{read}', 'u', now(), null, null)"
            )
    async with database.tenant("onePA") as unit:
        assert await unit.execute("update partner set brand_name = 'x' where id = 'twoPA'") == 0


async def test_the_login_role_by_itself_reads_nothing(database: Database) -> None:
    async with database.pool.connection() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("select * from partner")
        await connection.rollback()


async def test_the_tenant_does_not_leak_to_the_next_user_of_a_connection(database: Database) -> None:
    await _make_partners(database)
    for _ in range(20):
        async with database.tenant("onePA") as unit:
            await unit.execute("select 1")
        async with database.pool.connection() as connection:
            row = await (await connection.execute("select current_user, app_partner()")).fetchone()
            assert row is not None
            assert (row[0] == "hub_test", row[1]) == (True, None)


async def test_an_error_rolls_everything_back(database: Database) -> None:
    async def fail() -> None:
        async with database.system() as unit:
            await unit.execute("insert into partner (id, brand_name) values ('onePA', 'Acme')")
            await jobs.defer(unit, "some.job")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with database.system() as unit:
        assert await unit.fetch_value("select count(*) from partner") == 0
    assert await jobs.Queue(database).counts() == {}


async def test_a_second_waiting_job_with_the_same_key_is_dropped_and_the_commit_survives(
    database: Database,
) -> None:
    async with database.system() as unit:
        assert await jobs.defer(unit, "some.job", key="only-one", number=1)
        assert not await jobs.defer(unit, "some.job", key="only-one", number=2)
        await unit.execute("insert into partner (id, brand_name) values ('onePA', 'Acme')")
    async with database.system() as unit:
        assert await unit.fetch_value("select count(*) from partner") == 1
    assert await jobs.Queue(database).counts() == {"todo": 1}


async def test_the_network_is_refused_inside_a_unit(database: Database) -> None:
    async with database.system():
        with pytest.raises(NetworkInsideTransaction):
            refuse_network()
    refuse_network()


async def test_every_table_with_a_partner_is_under_row_level_security(database: Database) -> None:
    async with database.system() as unit:
        bare = await unit.fetch_dicts(
            """
            select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid
            where a.attname = 'partner_id' and c.relkind in ('r', 'p') and not c.relispartition
              and c.relnamespace = 'public'::regnamespace and c.relname <> 'session'
              and (not c.relrowsecurity or not exists (select from pg_policy p where p.polrelid = c.oid))
            """
        )
    assert bare == []
