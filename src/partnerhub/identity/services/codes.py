"""One-time codes: six digits by mail that confirm one purpose of one person."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from partnerhub.identity import mails, queries
from partnerhub.identity.errors import CodeExpired, CodeLimited, CodeWrong
from partnerhub.identity.schemas import CodePurpose
from partnerhub.identity.services.limits import Limit, count_hits
from partnerhub.kit import clock, mail
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.ids import uuid7

LIFE = timedelta(minutes=10)
ATTEMPTS = 5


@dataclass(frozen=True)
class _Code:
    id: UUID
    code_hash: bytes
    attempts: int
    expires_at: datetime


async def send_code(unit: Unit, *, user_id: str, purpose: CodePurpose, locale: str | None = None) -> datetime:
    """Mail the person a new code for the purpose, in the unit's commit, and return when it expires.

    An earlier code for the same purpose stops working. Needs a system unit. At most 5 codes in 10 minutes
    for a purpose and 30 an hour in all. Raises: CodeLimited, UserUnknown.
    """
    user = await queries.get_user(unit, user_id=user_id)
    wait = await count_hits(
        unit,
        limits=[Limit(f"code:{user_id}:{purpose.value}", 5, 600), Limit(f"code:{user_id}", 30, 3_600)],
    )
    if wait:
        # Rolling this count back is harmless: it stands at the limit.
        raise CodeLimited(
            "Too many codes were asked for. Use the last one or wait.", retry_after_seconds=wait
        )
    now, code_id, code = clock.now(), uuid7(), f"{secrets.randbelow(1_000_000):06d}"
    await unit.execute(
        "update one_time_code set used_at = %s where user_id = %s and purpose = %s and used_at is null",
        (now, user_id, purpose.value),
    )
    await unit.execute(
        "insert into one_time_code (id, user_id, purpose, code_hash, created_at, expires_at) "
        "values (%s, %s, %s, %s, %s, %s)",
        (code_id, user_id, purpose.value, _digest(code_id, code), now, now + LIFE),
    )
    words = mails.code_mail(
        locale=locale or user.locale, purpose=purpose, code=code, minutes=int(LIFE.total_seconds()) // 60
    )
    await mail.queue(unit, to=user.email, subject=words.subject, text=words.text)
    return now + LIFE


async def request_code(
    db: Database, *, user_id: str, purpose: CodePurpose, locale: str | None = None
) -> datetime:
    """Send a code in a unit of its own; see `send_code`."""
    async with db.system() as unit:
        return await send_code(unit, user_id=user_id, purpose=purpose, locale=locale)


async def check_code(db: Database, *, user_id: str, purpose: CodePurpose, code: str) -> None:
    """Spend the person's code for the purpose, or refuse.

    A flow, not a step: the attempt is committed before anything is refused, so a caller's rollback cannot
    give guesses back. Raises: CodeWrong, CodeExpired (used, replaced, too old, or guessed at too often).
    """
    async with db.system() as unit:
        row = await unit.fetch_one(
            _Code,
            "select id, code_hash, attempts, expires_at from one_time_code "
            "where user_id = %s and purpose = %s and used_at is null "
            "order by created_at desc limit 1 for update",
            (user_id, purpose.value),
        )
        is_live = row is not None and row.attempts < ATTEMPTS and clock.now() < row.expires_at
        fits = row is not None and is_live and _fits(row, code)
        if row is not None and is_live:
            await unit.execute(
                "update one_time_code set attempts = attempts + 1, "
                "used_at = case when %s then %s::timestamptz end where id = %s",
                (fits, clock.now(), row.id),
            )
    if row is None or not is_live:
        reason = "This code is used up or too old. Ask for a new one."
        raise CodeExpired(reason, fields={"code": reason})
    if not fits:
        reason = "This is not the code from the last mail."
        raise CodeWrong(reason, fields={"code": reason})


async def drop_old_codes(unit: Unit, *, older_than: timedelta) -> int:
    """Delete codes and links that expired so long ago; returns how many."""
    return await unit.execute("delete from one_time_code where expires_at < %s", (clock.now() - older_than,))


def _fits(row: _Code, code: str) -> bool:
    # People paste blanks and dashes with it.
    digits = "".join(character for character in code if character not in " -\u00a0\t\r\n")
    return hmac.compare_digest(row.code_hash, _digest(row.id, digits))


def _digest(code_id: UUID, code: str) -> bytes:
    # Salted by its row, so that equal codes do not show; ten minutes and five attempts are the protection.
    return hashlib.sha256(code_id.bytes + code.encode("utf-8", "replace")).digest()
