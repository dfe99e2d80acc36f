"""Envelope keys: every sealed column is known, and rotation brings all of it under the newest key."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from partnerhub.app import meta_client, sealed
from partnerhub.app.operations import ANY_SETTINGS
from partnerhub.channels import services as channels
from partnerhub.channels.access import open_access, seal_access
from partnerhub.kit.crypto import MARK_BYTES, Keyring, SealBroken
from partnerhub.kit.database import Database
from partnerhub.kit.http import HttpClient
from partnerhub.onboarding.services import Connector
from partnerhub.partners import services as partners
from partnerhub.webhooks import queries as webhook_queries
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import OwnerKind
from tests import factories

SOURCE = Path(__file__).parents[1] / "src" / "partnerhub"
OLD, NEW = bytes(range(32)), bytes(range(32, 64))
# Written as a place is, and the key of a waiting job.
NOT_PLACES = {"billing.renew:"}
BEFORE, BETWEEN, AFTER = Keyring([OLD]), Keyring([NEW, OLD]), Keyring([NEW])


def places_in_source() -> set[str]:
    """Return the beginning of every place that the source seals for, such as `waba.access_sealed`."""
    return set(_places())


def _places() -> Iterator[str]:
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                text = str(node.values[0].value)
                if re.fullmatch(r"[a-z_]+\.[a-z_]+:", text) and text not in NOT_PLACES:
                    yield text.removesuffix(":")


async def test_every_sealed_column_of_the_schema_is_in_the_registry(database: Database) -> None:
    async with database.pool.connection() as connection:
        rows = await connection.execute(
            "select c.relname, a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid"
            " where c.relkind in ('r', 'p') and not c.relispartition and a.attnum > 0"
            " and a.atttypid = 'bytea'::regtype and a.attname ~ 'sealed'"
        )
        found = {f"{table}.{column}" async for table, column in rows}
    assert found == {column.name for column in sealed.SEALED}


def test_every_place_that_the_source_seals_for_is_in_the_registry() -> None:
    assert places_in_source() == {column.place for column in sealed.SEALED}


def test_only_maintenance_becomes_the_owner_of_the_tables() -> None:
    named = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if "hub_owner" in path.read_text() or "as_owner" in path.read_text()
    }
    assert named <= {
        "app/backup.py",
        "app/doctor/inside.py",
        "app/maintenance.py",
        "app/sealed.py",
        "migrations/env.py",
        "migrations/roles.py",
        "migrations/__init__.py",
    }


@dataclass(frozen=True)
class Secrets:
    """One row of every sealed column, made and read by the packages that own them."""

    partner_id: str
    endpoint_owner: str
    waba_id: str
    channel_id: str

    async def read(self, database: Database, keyring: Keyring) -> dict[str, object]:
        """Return everything in clear, the way the system itself reads it."""
        token_keys = partners.TokenKeys(keyring)
        async with database.tenant(self.partner_id) as unit:
            endpoint = await webhook_queries.find_endpoint(
                unit,
                owner_kind=OwnerKind.PARTNER,
                owner_id=self.endpoint_owner,
                keyring=keyring,
                reveal=True,
            )
            secret = await webhooks.reveal_signing_key(unit, partner_id=self.partner_id, keyring=keyring)
            access = await unit.fetch_value("select access_sealed from waba where id = %s", (self.waba_id,))
            pin = await unit.fetch_value("select pin_sealed from channel where id = %s", (self.channel_id,))
        signing = await token_keys.newest(database)
        assert endpoint is not None
        return {
            "headers": dict(endpoint.headers),
            "secret": secret,
            "access": open_access(keyring, waba_id=self.waba_id, access_sealed=access),
            "pin": keyring.open(bytes(pin), place=place_of_pin(self.channel_id)),
            "token key": signing.as_pem(private=True),
        }


def place_of_pin(channel_id: str) -> str:
    """Return where onboarding seals a number's PIN."""
    database, http = Database(ANY_SETTINGS.database_url, name="none"), HttpClient()
    connector = Connector(
        db=database, meta=meta_client(ANY_SETTINGS, http), keyring=AFTER, app_id="1", system_token=""
    )
    return connector.place_of_pin(channel_id)


async def make_secrets(database: Database, keyring: Keyring) -> Secrets:
    """Make one row of every sealed column."""
    partner = await factories.make_partner(database)
    client = await factories.make_client(database, partner=partner)
    waba = await factories.make_waba(database, client=client, access_token="EAAbusiness", keyring=keyring)
    channel = await factories.make_channel(database, waba=waba)
    async with database.tenant(partner.id) as unit:
        await webhooks.set_endpoint(
            unit,
            partner_id=partner.id,
            owner_kind=OwnerKind.PARTNER,
            owner_id=partner.id,
            url="https://hooks.acme.example/in",
            headers={"Authorization": "Bearer of-the-receiver"},
            keyring=keyring,
            allow_loopback=False,
        )
        await webhooks.add_signing_key(
            unit, partner_id=partner.id, secret="the platform secret", overlap_hours=24, keyring=keyring
        )
        await channels.update_channel(
            unit,
            partner_id=partner.id,
            channel_id=channel.id,
            facts=channels.NumberFacts(pin_sealed=keyring.seal(b"123456", place=place_of_pin(channel.id))),
        )
    await partners.TokenKeys(keyring).newest(database)
    return Secrets(partner.id, partner.id, waba.id, channel.id)


async def test_after_a_rotation_the_old_key_may_go(database: Database) -> None:
    made = await make_secrets(database, BEFORE)
    before = await made.read(database, BEFORE)
    states = await sealed.survey(database, BETWEEN)
    assert [(state.current, state.older, state.unknown) for state in states] == [(0, 1, 0)] * 5

    told: list[sealed.Progress] = []
    done = await sealed.rotate(database, BETWEEN, on_progress=told.append)

    assert done == sealed.Rotation(resealed=5, broken=())
    assert {progress.column.name for progress in told} == {column.name for column in sealed.SEALED}
    assert await made.read(database, AFTER) == before
    with pytest.raises(SealBroken):
        await made.read(database, BEFORE)
    states = await sealed.survey(database, AFTER)
    assert [(state.current, state.older, state.unknown) for state in states] == [(1, 0, 0)] * 5
    assert (await sealed.rotate(database, BETWEEN)).resealed == 0


async def add_accounts(database: Database, count: int) -> list[str]:
    """Make WABA accounts with tokens under the old key."""
    client = await factories.make_client(database)
    return [
        (
            await factories.make_waba(database, client=client, access_token=f"token {number}", keyring=BEFORE)
        ).id
        for number in range(count)
    ]


async def tokens(database: Database, keyring: Keyring) -> set[str | None]:
    """Return the access tokens of all accounts."""
    async with database.system() as unit:
        rows = await unit.fetch_dicts("select id, access_sealed from waba")
    return {open_access(keyring, waba_id=row["id"], access_sealed=row["access_sealed"]) for row in rows}


class BrokenOffError(RuntimeError):
    """Somebody pressed Ctrl-C."""


async def test_a_rotation_that_was_broken_off_goes_on_where_it_was(database: Database) -> None:
    await add_accounts(database, 7)

    def stop(progress: sealed.Progress) -> None:
        if progress.done >= 4:
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        await sealed.rotate(database, BETWEEN, batch=2, on_progress=stop)
    state = {one.column.name: one for one in await sealed.survey(database, BETWEEN)}["waba.access_sealed"]
    assert (state.current, state.older) == (4, 3)

    assert (await sealed.rotate(database, BETWEEN, batch=2)).resealed == 3
    assert await tokens(database, AFTER) == {f"token {number}" for number in range(7)}


async def test_a_row_that_is_being_changed_is_waited_for_and_keeps_the_change(database: Database) -> None:
    first, *_ = await add_accounts(database, 3)
    is_written, may_commit = asyncio.Event(), asyncio.Event()

    async def renew_token() -> None:
        async with database.system() as unit:
            renewed = seal_access(BEFORE, waba_id=first, access_token="renewed")
            await unit.execute("update waba set access_sealed = %s where id = %s", (renewed, first))
            is_written.set()
            await may_commit.wait()

    changing = asyncio.create_task(renew_token())
    await is_written.wait()
    told: list[int] = []

    def see(progress: sealed.Progress) -> None:
        told.append(progress.done)
        may_commit.set()

    done = await sealed.rotate(database, BETWEEN, on_progress=see)
    await changing
    assert (done.resealed, told) == (3, [2, 3])
    assert await tokens(database, AFTER) == {"renewed", "token 1", "token 2"}


async def test_a_value_that_no_key_opens_is_named_and_stays(database: Database) -> None:
    first, second, third = await add_accounts(database, 3)
    async with database.system() as unit:
        stranger = seal_access(Keyring([bytes(32)]), waba_id=second, access_token="sealed elsewhere")
        await unit.execute("update waba set access_sealed = %s where id = %s", (stranger, second))
        await unit.execute(
            "update waba set access_sealed = (select access_sealed from waba where id = %s) where id = %s",
            (first, third),
        )
    states = {one.column.name: one for one in await sealed.survey(database, BETWEEN)}
    state = states["waba.access_sealed"]
    assert (state.current, state.older, state.unknown) == (0, 2, 1)
    assert set(state.broken) == {second, third}

    done = await sealed.rotate(database, BETWEEN, batch=1)

    assert done.resealed == 1
    assert set(done.broken) == {f"waba.access_sealed {one}" for one in (second, third)}
    async with database.system() as unit:
        kept = await unit.fetch_value("select access_sealed from waba where id = %s", (second,))
    assert bytes(kept) == stranger


def test_a_mark_names_a_key_and_gives_nothing_of_it_away() -> None:
    assert BETWEEN.marks[1:] == BEFORE.marks
    assert BEFORE.seal(b"x", place="p")[:MARK_BYTES] == BEFORE.marks[0]
    assert not any(mark in OLD + NEW for mark in BETWEEN.marks)
