"""Makers of people for tests: real users in the database, hashed with the cheapest cost argon2 takes."""

from __future__ import annotations

import re

from partnerhub.identity import services
from partnerhub.identity.passwords import Passwords
from partnerhub.identity.schemas import User
from partnerhub.kit.database import Database

CHEAP = Passwords(time_cost=1, memory_kib=8)
PASSWORD = "green-harbour-42"


async def make_user(
    database: Database,
    *,
    email: str = "ops@acme.example",
    name: str = "Acme Operations",
    password: str | None = PASSWORD,
    is_operator: bool = False,
    locale: str = "en",
    passwords: Passwords = CHEAP,
) -> User:
    """Create a user; the password is `PASSWORD` unless told."""
    async with database.system() as unit:
        return await services.create_user(
            unit,
            email=email,
            name=name,
            password=password,
            locale=locale,
            is_operator=is_operator,
            passwords=passwords,
        )


async def mails_to(database: Database, email: str) -> list[str]:
    """Return the texts of the mails that wait for this person, oldest first."""
    async with database.system() as unit:
        rows = await unit.fetch_dicts(
            "select subject, body_text from mail where recipient = %s order by created_at, id", (email,)
        )
    return [f"{row['subject']}\n{row['body_text']}" for row in rows]


async def last_code(database: Database, email: str) -> str:
    """Return the code of the newest mail to this person."""
    found = re.search(r"^\d{6}$", (await mails_to(database, email))[-1], re.MULTILINE)
    assert found
    return found.group()
