"""An account that anybody could have made does not bring its maker into a partner."""

from __future__ import annotations

import pytest

from partnerhub.identity import services as identity
from partnerhub.identity.errors import SignInRefused
from partnerhub.identity.passwords import Passwords
from partnerhub.identity.schemas import Hub, SessionScope
from partnerhub.kit.database import Database


async def test_a_void_password_signs_nobody_in_and_ends_every_session(database: Database) -> None:
    quick = Passwords(time_cost=1, memory_kib=64)
    secret = "a long enough phrase"
    async with database.system() as unit:
        user = await identity.create_user(
            unit, email="boss@acme.example", name="Boss", password=secret, passwords=quick
        )
        await identity.start_session(
            unit, user=user, hub=Hub.CLIENT, scope=SessionScope(), ip="127.0.0.1", user_agent="test"
        )
    async with database.system() as unit:
        await identity.void_password(unit, user_id=user.id)
        live = await unit.fetch_value(
            "select count(*) from session where user_id = %s and ended_at is null", (user.id,)
        )
    assert live == 0
    with pytest.raises(SignInRefused):
        await identity.check_password(
            database, email="boss@acme.example", password=secret, ip="127.0.0.1", passwords=quick
        )
