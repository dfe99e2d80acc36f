"""Server-side sessions: a random token in a cookie, its SHA-256 in our table, two expiries.

A session ends idle after 12 hours and in any case after 14 days. The token is new at sign-in and whenever
what the session may see changes, so a token caught before is worth nothing after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from partnerhub.identity import queries
from partnerhub.identity.schemas import (
    PLATFORM,
    SESSION_LIFE,
    Actor,
    Hub,
    SessionRow,
    SessionScope,
    SignedIn,
    User,
)
from partnerhub.identity.services.audit import record_change
from partnerhub.kit import clock, crypto
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.errors import Unauthenticated
from partnerhub.kit.ids import token, uuid7

SEEN_STEP = timedelta(minutes=1)
"""How stale `seen_at` may get before a request writes it again."""


class SessionEnded(Unauthenticated):
    """The session ended or expired meanwhile."""

    code = "session_ended"


@dataclass(frozen=True)
class _Ended:
    id: UUID
    partner_id: str | None


async def start_session(
    unit: Unit, *, user: User, hub: Hub, scope: SessionScope, ip: str, user_agent: str
) -> SignedIn:
    """Start a session for a person who has proved who they are; the token is returned this once."""
    secret, session_id, now = token(), uuid7(), clock.now()
    await unit.execute(
        "insert into session (id, token_hash, user_id, hub, partner_id, client_id, created_at, seen_at, "
        "expires_at, ip, user_agent) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            session_id,
            crypto.fingerprint(secret),
            user.id,
            hub.value,
            scope.partner_id,
            scope.client_id,
            now,
            now,
            now + SESSION_LIFE,
            ip,
            user_agent[:300],
        ),
    )
    return SignedIn(secret, session_id, user, hub, scope.partner_id, scope.client_id)


async def touch_session(unit: Unit, *, session_id: UUID) -> None:
    """Write down that the session was used, at most once a minute."""
    now = clock.now()
    await unit.execute(
        "update session set seen_at = %s where id = %s and seen_at < %s", (now, session_id, now - SEEN_STEP)
    )


async def rotate_session(unit: Unit, *, session_id: UUID) -> str:
    """Give a live session a new token and return it; the old one stops working. Raises: SessionEnded."""
    secret = token()
    changed = await unit.execute(
        "update session set token_hash = %s where id = %s and ended_at is null",
        (crypto.fingerprint(secret), session_id),
    )
    if changed == 0:
        raise SessionEnded("The session has ended. Sign in again.")
    return secret


async def switch_partner(
    unit: Unit, *, session_id: UUID, partner_id: str, client_id: str | None = None, hub: Hub = Hub.PARTNER
) -> str:
    """Point the session at another partner (and client) and return its new token.

    The caller has checked that the person belongs there. Raises: SessionEnded.
    """
    secret = await rotate_session(unit, session_id=session_id)
    await unit.execute(
        "update session set hub = %s, partner_id = %s, client_id = %s where id = %s",
        (hub.value, partner_id, client_id, session_id),
    )
    return secret


async def end_all_sessions(unit: Unit, *, user_id: str, keep: UUID | None = None) -> int:
    """End every session of this person, but for the one to keep; returns how many."""
    return await unit.execute(
        "update session set ended_at = %s where user_id = %s and ended_at is null and id is distinct from %s",
        (clock.now(), user_id, keep),
    )


async def sign_out(db: Database, *, session_id: UUID, user_id: str, actor: Actor) -> bool:
    """End one session of this person in a unit of its own; says whether one was live. Repeatable."""
    async with db.system() as unit:
        ended = await unit.fetch_all(
            _Ended,
            "update session set ended_at = %s where id = %s and user_id = %s and ended_at is null "
            "returning id, partner_id",
            (clock.now(), session_id, user_id),
        )
        await _record(unit, actor, ended)
    return bool(ended)


async def sign_out_elsewhere(db: Database, *, user_id: str, keep: UUID, actor: Actor) -> int:
    """End every other session of this person in a unit of its own; returns how many."""
    async with db.system() as unit:
        ended = await unit.fetch_all(
            _Ended,
            "update session set ended_at = %s where user_id = %s and ended_at is null and id <> %s "
            "returning id, partner_id",
            (clock.now(), user_id, keep),
        )
        await _record(unit, actor, ended)
    return len(ended)


async def read_sessions(db: Database, *, user_id: str) -> list[SessionRow]:
    """Return a person's live sessions, the last used first, in a unit of its own."""
    async with db.system() as unit:
        return await queries.list_sessions(unit, user_id=user_id)


async def end_member_sessions(unit: Unit, *, user_id: str, partner_id: str) -> int:
    """End a person's sessions in one partner, when they leave it; returns how many."""
    return await unit.execute(
        "update session set ended_at = %s where user_id = %s and partner_id = %s and ended_at is null",
        (clock.now(), user_id, partner_id),
    )


async def drop_old_sessions(unit: Unit, *, older_than: timedelta) -> int:
    """Delete sessions that ended or expired so long ago; returns how many."""
    edge = clock.now() - older_than
    return await unit.execute(
        "delete from session where expires_at < %(edge)s or ended_at < %(edge)s", {"edge": edge}
    )


async def _record(unit: Unit, actor: Actor, ended: Sequence[_Ended]) -> None:
    # Partners in one order for everybody: an entry holds its partner's chain until the commit.
    for session in sorted(ended, key=lambda session: (session.partner_id or "", session.id)):
        await record_change(
            unit,
            partner_id=session.partner_id or PLATFORM,
            actor=actor,
            action="session.ended",
            object_kind="session",
            object_id=str(session.id),
            before=None,
            after=None,
        )
