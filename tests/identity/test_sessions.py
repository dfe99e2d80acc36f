"""Sessions: how they end, and how their token changes."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from partnerhub.identity import queries, services
from partnerhub.identity.schemas import Actor, ActorKind, Hub, SessionRow, SessionScope, SignedIn, User
from partnerhub.identity.services import SessionEnded
from partnerhub.kit import clock
from partnerhub.kit.database import Database
from tests.identity.people import make_user

HERSELF = Actor(ActorKind.USER, "Zx9Yw8U", "Ada", "203.0.113.7", "Browser")


async def start(database: Database, user: User, *, partner_id: str = "onePA") -> SignedIn:
    async with database.system() as unit:
        return await services.start_session(
            unit,
            user=user,
            hub=Hub.PARTNER,
            scope=SessionScope(partner_id),
            ip="203.0.113.7",
            user_agent="Browser",
        )


async def find(database: Database, token: str) -> SessionRow | None:
    async with database.system() as unit:
        return await queries.find_session(unit, token=token)


async def test_a_session_ends_when_it_idles_and_lives_on_when_it_is_used(database: Database) -> None:
    signed_in = await start(database, await make_user(database))
    with clock.moved_by(timedelta(hours=11)):
        assert await find(database, signed_in.token)
    with clock.moved_by(timedelta(hours=12)):
        assert await find(database, signed_in.token) is None
    with clock.moved_by(timedelta(hours=11)):
        async with database.system() as unit:
            await services.touch_session(unit, session_id=signed_in.session_id)
    with clock.moved_by(timedelta(hours=22)):
        assert await find(database, signed_in.token)


async def test_a_session_ends_after_two_weeks_however_much_it_is_used(database: Database) -> None:
    signed_in = await start(database, await make_user(database))
    for hour in range(0, 14 * 24, 8):
        with clock.moved_by(timedelta(hours=hour)):
            assert await find(database, signed_in.token)
            async with database.system() as unit:
                await services.touch_session(unit, session_id=signed_in.session_id)
    with clock.moved_by(timedelta(days=14)):
        assert await find(database, signed_in.token) is None


async def test_a_touched_session_is_written_once_a_minute_only(database: Database) -> None:
    signed_in = await start(database, await make_user(database))
    seen = []
    for seconds in (30, 61, 90):
        with clock.moved_by(timedelta(seconds=seconds)):
            async with database.system() as unit:
                await services.touch_session(unit, session_id=signed_in.session_id)
                seen.append(await unit.fetch_value("select seen_at - created_at from session"))
    assert (seen[0], seen[1] == seen[2]) == (timedelta(0), True)
    assert seen[1] >= timedelta(seconds=61)


async def test_switching_the_partner_changes_the_token(database: Database) -> None:
    signed_in = await start(database, await make_user(database))
    async with database.system() as unit:
        fresh = await services.switch_partner(unit, session_id=signed_in.session_id, partner_id="twoPA")
    assert await find(database, signed_in.token) is None
    session = await find(database, fresh)
    assert session is not None
    assert (session.id, session.partner_id) == (signed_in.session_id, "twoPA")


async def test_ending_sessions_is_written_into_the_log_of_their_partner(database: Database) -> None:
    user = await make_user(database)
    one, kept, two, three = [
        await start(database, user, partner_id=partner_id)
        for partner_id in ("onePA", "onePA", "twoPA", "onePA")
    ]
    await services.sign_out(database, session_id=one.session_id, user_id=user.id, actor=HERSELF)
    await services.sign_out_elsewhere(database, user_id=user.id, keep=kept.session_id, actor=HERSELF)
    async with database.system() as unit:
        log = [
            *await queries.list_audit(unit, partner_id="onePA"),
            *await queries.list_audit(unit, partner_id="twoPA"),
        ]
    assert [(entry.action, entry.object_id, entry.actor_id, entry.ip) for entry in log] == [
        ("session.ended", str(session.session_id), HERSELF.id, HERSELF.ip) for session in (three, one, two)
    ]


async def test_one_session_or_all_but_one_can_be_ended_by_their_owner_only(database: Database) -> None:
    user = await make_user(database)
    other = await make_user(database, email="other@acme.example")
    mine = [await start(database, user) for _ in range(3)]
    theirs = await start(database, other)

    async def end(session_id: UUID) -> bool:
        return await services.sign_out(database, session_id=session_id, user_id=user.id, actor=HERSELF)

    assert not await end(theirs.session_id)
    assert await end(mine[0].session_id)
    assert not await end(mine[0].session_id)
    async with database.system() as unit:
        assert await services.end_all_sessions(unit, user_id=user.id, keep=mine[1].session_id) == 1
        live = await queries.list_sessions(unit, user_id=user.id)
    assert [session.id for session in live] == [mine[1].session_id]
    assert await find(database, theirs.token)
    async with database.system() as unit:
        with pytest.raises(SessionEnded):
            await services.rotate_session(unit, session_id=mine[0].session_id)


async def test_leaving_a_partner_ends_only_the_sessions_there(database: Database) -> None:
    user = await make_user(database)
    first, second = await start(database, user), await start(database, user, partner_id="twoPA")
    async with database.system() as unit:
        assert await services.end_member_sessions(unit, user_id=user.id, partner_id="onePA") == 1
    assert await find(database, first.token) is None
    assert await find(database, second.token)


async def test_a_disabled_person_is_out_at_once_and_can_come_back(database: Database) -> None:
    user = await make_user(database)
    signed_in = await start(database, user)
    async with database.system() as unit:
        await services.disable_user(unit, user_id=user.id)
    assert await find(database, signed_in.token) is None
    async with database.system() as unit:
        await services.enable_user(unit, user_id=user.id)
    assert await find(database, signed_in.token) is None
    assert await find(database, (await start(database, user)).token)


async def test_a_new_operators_role_ends_the_old_sessions(database: Database) -> None:
    user = await make_user(database)
    signed_in = await start(database, user)
    async with database.system() as unit:
        await services.set_operator(unit, user_id=user.id, is_operator=True)
    assert await find(database, signed_in.token) is None


async def test_the_cleaner_takes_what_is_dead_and_nothing_else(database: Database) -> None:
    user = await make_user(database)
    dead, live = await start(database, user), await start(database, user)
    await services.sign_out(database, session_id=dead.session_id, user_id=user.id, actor=HERSELF)
    async with database.system() as unit:
        await services.hit_limit(unit, key="k", limit=5, window_seconds=60)
    with clock.moved_by(timedelta(days=1)):
        await services.tidy(database)
    async with database.system() as unit:
        assert await unit.fetch_value("select count(*) from session") == 2
        assert await unit.fetch_value("select count(*) from rate_window") == 1
        await unit.execute(
            "update session set expires_at = expires_at + interval '1 year' where id = %s", (live.session_id,)
        )
    with clock.moved_by(timedelta(days=31)):
        await services.tidy(database)
    async with database.system() as unit:
        assert await unit.fetch_dicts("select id from session") == [{"id": live.session_id}]
        assert await unit.fetch_value("select count(*) from rate_window") == 0
