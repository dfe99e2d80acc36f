"""The audit log: a chain that shows every later change, and no secrets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest

from partnerhub.identity import queries
from partnerhub.identity.schemas import SYSTEM, Actor, ActorKind, AuditEntry, Hub
from partnerhub.identity.services import record_change
from partnerhub.kit import logs
from partnerhub.kit.database import Database

OWNER = Actor(ActorKind.USER, "Zx9Yw8U", "Ada", "203.0.113.7", "Browser/1", "req-1")


async def record(
    database: Database,
    action: str = "settings.changed",
    *,
    partner_id: str = "onePA",
    actor: Actor = OWNER,
    after: dict[str, object] | None = None,
) -> AuditEntry:
    async with database.tenant(partner_id) as unit:
        return await record_change(
            unit,
            partner_id=partner_id,
            actor=actor,
            action=action,
            object_kind="partner",
            object_id=partner_id,
            before=None,
            after=after,
        )


async def tamper(url: str, query: bytes) -> None:
    """Change rows as somebody with the owner's rights would."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("set role hub_owner")
        await connection.execute(query)


async def test_entries_keep_who_did_what_and_are_read_newest_first(database: Database) -> None:
    await record(database, "key.created", after={"name": "crm"})
    await record(database, "key.revoked", actor=SYSTEM)
    await record(database, "settings.changed")
    async with database.tenant("onePA") as unit:
        log = await queries.list_audit(unit, partner_id="onePA")
        keys = await queries.list_audit(unit, partner_id="onePA", action="key.")
        hers = await queries.list_audit(unit, partner_id="onePA", actor_id="Zx9Yw8U", before_seq=3)
        assert (await queries.list_audit(unit, partner_id="onePA", limit=1))[0].seq == 3
    assert [(entry.seq, entry.action) for entry in log] == [
        (3, "settings.changed"),
        (2, "key.revoked"),
        (1, "key.created"),
    ]
    assert [entry.seq for entry in keys] == [2, 1]
    assert [entry.seq for entry in hers] == [1]
    first = log[-1]
    assert (first.actor_id, first.actor_name, first.ip, first.request_id, first.after) == (
        "Zx9Yw8U",
        "Ada",
        "203.0.113.7",
        "req-1",
        {"name": "crm"},
    )


async def test_the_request_id_comes_from_the_running_request(database: Database) -> None:
    mark = logs.request_id.set("req-of-now")
    try:
        entry = await record(database, actor=SYSTEM)
    finally:
        logs.request_id.reset(mark)
    assert entry.request_id == "req-of-now"


async def test_each_partner_has_its_own_chain_and_sees_no_other(database: Database) -> None:
    await record(database)
    await record(database, partner_id="twoPA")
    async with database.tenant("twoPA") as unit:
        assert [entry.seq for entry in await queries.list_audit(unit, partner_id="twoPA")] == [1]
        assert await queries.list_audit(unit, partner_id="onePA") == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with database.tenant("twoPA") as unit:
            await record_change(
                unit,
                partner_id="onePA",
                actor=OWNER,
                action="x.y",
                object_kind="",
                object_id="",
                before=None,
                after=None,
            )


async def test_writers_at_the_same_moment_make_one_chain(database: Database) -> None:
    await asyncio.gather(*(record(database, after={"number": number}) for number in range(24)))
    async with database.tenant("onePA") as unit:
        check = await queries.verify_audit_chain(unit, partner_id="onePA")
        newest = (await queries.list_audit(unit, partner_id="onePA", limit=1))[0]
    assert (check.entries, check.is_whole, check.head) == (24, True, newest.hash.hex())


async def test_every_kind_of_value_survives_storage_with_its_hash(database: Database) -> None:
    await record(
        database,
        after={
            "number": 10**15,
            "flag": True,
            "nothing": None,
            "text": "Größe \u2028 “x” \\u0041 😀",
            "at": datetime(2026, 11, 20, tzinfo=UTC),
            "id": UUID(int=7),
            "amount": Decimal("1.10"),
            "hub": Hub.CLIENT,
            "list": [3, "b", {"z": 1, "a": 2}],
            "set": {"write", "read"},
        },
    )
    async with database.tenant("onePA") as unit:
        assert (await queries.verify_audit_chain(unit, partner_id="onePA")).is_whole
        after = (await queries.list_audit(unit, partner_id="onePA"))[0].after
    assert after is not None
    assert (after["amount"], after["hub"], after["set"]) == ("1.10", "client", ["read", "write"])
    with pytest.raises(TypeError):
        await record(database, after={"share": 0.1})


@pytest.mark.parametrize(
    ("change", "broken_at"),
    [
        ("update audit_entry set after = '{\"number\": 9}' where seq = 2", 2),
        ("update audit_entry set actor_name = 'Eve' where seq = 3", 3),
        ("update audit_entry set at = at + interval '1 microsecond' where seq = 1", 1),
        ("delete from audit_entry where seq = 2", 2),
        ("delete from audit_entry where seq = 1", 1),
        ("update audit_entry set hash = sha256('x') where seq = 2", 2),
    ],
)
async def test_a_later_change_shows_at_its_place(
    database: Database, database_url: str, change: str, broken_at: int
) -> None:
    for number in range(4):
        await record(database, after={"number": number})
    await tamper(database_url, change.encode())
    async with database.tenant("onePA") as unit:
        check = await queries.verify_audit_chain(unit, partner_id="onePA")
    assert (check.broken_at, check.entries) == (broken_at, broken_at - 1)


async def test_entries_cut_off_at_the_end_show_in_the_head(database: Database, database_url: str) -> None:
    head = (await record(database)).hash.hex()
    last = (await record(database)).hash.hex()
    await tamper(database_url, b"delete from audit_entry where seq = 2")
    async with database.tenant("onePA") as unit:
        check = await queries.verify_audit_chain(unit, partner_id="onePA")
    assert check.is_whole
    assert (check.head == head, check.head == last) == (True, False)


async def test_nobody_may_change_or_delete_an_entry(database: Database) -> None:
    await record(database)
    for query in (b"delete from audit_entry", b"update audit_entry set action = 'x'"):
        for unit_of_work in (database.tenant("onePA"), database.system()):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with unit_of_work as unit:
                    await unit.connection.execute(query)


async def test_secrets_do_not_reach_the_log(database: Database) -> None:
    entry = await record(
        database,
        after={
            "platform_secret": "hunter2",
            "apiKey": "hub_live_1",
            "headers": {"X-Auth-Token": "abc", "authorization": "…wxyz", "accept": "json"},
            "legacy_token_auth_enabled": True,
            "secret_overlap_hours": 24,
            "spinner": "kept",
            "nested": [{"password": "hunter2"}],
        },
    )
    assert entry.after == {
        "platform_secret": "[removed]",
        "apiKey": "[removed]",
        "headers": {"X-Auth-Token": "[removed]", "authorization": "…wxyz", "accept": "json"},
        "legacy_token_auth_enabled": True,
        "secret_overlap_hours": 24,
        "spinner": "kept",
        "nested": [{"password": "[removed]"}],
    }
