"""People: who exists, with which e-mail, and whether they may still come in."""

from __future__ import annotations

import re
from typing import LiteralString

from psycopg import errors as database_errors

from partnerhub.identity.errors import EmailInvalid, EmailTaken, UserUnknown
from partnerhub.identity.passwords import STANDARD, Passwords, check_strength
from partnerhub.identity.schemas import User
from partnerhub.identity.services.sessions import end_all_sessions
from partnerhub.kit import clock
from partnerhub.kit.database import Unit
from partnerhub.kit.ids import Kind, public_id

_EMAIL = re.compile(
    r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+"
)


def clean_email(text: str) -> str:
    """Return the address as it is kept (spelling kept, blanks around it gone).

    Raises: EmailInvalid, on the field `email`.
    """
    address = text.strip()
    if len(address) > 254 or not _EMAIL.fullmatch(address):
        reason = "Write an e-mail address like name@company.example."
        raise EmailInvalid(reason, fields={"email": reason})
    return address


async def create_user(
    unit: Unit,
    *,
    email: str,
    name: str,
    password: str | None,
    locale: str = "en",
    is_operator: bool = False,
    passwords: Passwords = STANDARD,
) -> User:
    """Create a person; without a password they come in by the link of an invitation.

    Needs a system unit. Raises: EmailInvalid, EmailTaken, PasswordWeak, HashingBusy.
    """
    address = clean_email(email)
    if password is not None:
        check_strength(password, about=(address.partition("@")[0], name))
    password_hash = None if password is None else await passwords.hash(password)
    user = User(public_id(Kind.USER), address, name.strip(), locale, clock.now(), None)
    try:
        # In a savepoint, so that a caller may take the existing user instead.
        async with unit.connection.transaction():
            await unit.execute(
                "insert into hub_user (id, email, name, password_hash, locale, is_operator, created_at, "
                "modified_at) values (%s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    user.id,
                    user.email,
                    user.name,
                    password_hash,
                    user.locale,
                    is_operator,
                    user.created_at,
                    user.created_at,
                ),
            )
    except database_errors.UniqueViolation as error:
        if error.diag.constraint_name != "hub_user_email":
            raise
        reason = "Another user has this e-mail address."
        raise EmailTaken(reason, fields={"email": reason}) from error
    return user


async def set_operator(unit: Unit, *, user_id: str, is_operator: bool) -> None:
    """Give or take the operator's role; the user's sessions end, because their rights changed.

    Raises: UserUnknown.
    """
    await _update(
        unit, user_id, "update hub_user set is_operator = %s, modified_at = %s where id = %s", is_operator
    )
    await end_all_sessions(unit, user_id=user_id)


async def disable_user(unit: Unit, *, user_id: str) -> None:
    """Shut a person out at once: no sign-in, no session, no token. Repeatable. Raises: UserUnknown."""
    await _update(
        unit,
        user_id,
        "update hub_user set disabled_at = coalesce(disabled_at, %s), "
        "credentials_version = credentials_version + 1, modified_at = %s where id = %s",
        clock.now(),
    )
    await end_all_sessions(unit, user_id=user_id)


async def enable_user(unit: Unit, *, user_id: str) -> None:
    """Let a disabled person in again. Raises: UserUnknown."""
    await _update(unit, user_id, "update hub_user set disabled_at = %s, modified_at = %s where id = %s", None)


async def void_password(unit: Unit, *, user_id: str) -> None:
    """Take the password away, end sessions and tokens; the person comes back by an invitation or a reset.

    For an account that anybody may have made with somebody else's e-mail. Raises: UserUnknown.
    """
    await _update(
        unit,
        user_id,
        "update hub_user set password_hash = %s, credentials_version = credentials_version + 1, "
        "modified_at = %s where id = %s",
        None,
    )
    await end_all_sessions(unit, user_id=user_id)


async def _update(unit: Unit, user_id: str, query: LiteralString, value: object) -> None:
    if await unit.execute(query, (value, clock.now(), user_id)) == 0:
        raise UserUnknown("There is no such user.")
