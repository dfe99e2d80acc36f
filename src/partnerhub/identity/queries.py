"""Reading people, sessions and the audit log. All but the audit reads need a system unit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from partnerhub.identity.chain import GENESIS, digest
from partnerhub.identity.errors import UserUnknown
from partnerhub.identity.schemas import SESSION_IDLE, AuditEntry, ChainCheck, Hub, SessionRow, User
from partnerhub.kit import clock, crypto
from partnerhub.kit.database import Unit

_USER = "id, email, name, locale, created_at, disabled_at"
_ENTRY = (
    "partner_id, seq, at, actor_kind, actor_id, actor_name, action, object_kind, object_id, before, after, "
    "ip, user_agent, request_id, prev_hash, hash"
)
_SESSION = (
    "select s.id, s.user_id, u.email, u.name as user_name, u.locale, u.is_operator, s.hub, s.partner_id, "
    "s.client_id, s.created_at, s.seen_at, s.expires_at, s.ip, s.user_agent "
    "from session s join hub_user u on u.id = s.user_id where s.ended_at is null and u.disabled_at is null "
    "and s.expires_at > %(now)s and s.seen_at > %(idle)s "
)


@dataclass(frozen=True)
class Credential:
    """What a sign-in is checked against."""

    id: str
    password_hash: str | None
    disabled_at: datetime | None
    credentials_version: int


async def get_user(unit: Unit, *, user_id: str) -> User:
    """Return a person. Raises: UserUnknown."""
    user = await unit.fetch_one(User, f"select {_USER} from hub_user where id = %s", (user_id,))
    if user is None:
        raise UserUnknown("There is no such user.")
    return user


async def find_user_by_email(unit: Unit, *, email: str) -> User | None:
    """Find a person by e-mail, in any spelling."""
    return await unit.fetch_one(
        User, f"select {_USER} from hub_user where lower(email) = lower(%s)", (_bindable(email),)
    )


async def find_credential(unit: Unit, *, email: str) -> Credential | None:
    """Find what a password for this e-mail is checked against."""
    return await unit.fetch_one(
        Credential,
        "select id, password_hash, disabled_at, credentials_version from hub_user "
        "where lower(email) = lower(%s)",
        (_bindable(email),),
    )


async def is_operator(unit: Unit, *, user_id: str) -> bool:
    """Say whether a person has the operator's rights."""
    return bool(await unit.fetch_value("select is_operator from hub_user where id = %s", (user_id,)))


async def list_operators(unit: Unit) -> list[User]:
    """Return every operator, oldest first."""
    return await unit.fetch_all(
        User, f"select {_USER} from hub_user where is_operator order by created_at, id"
    )


async def find_session(unit: Unit, *, token: str) -> SessionRow | None:
    """Find the live session of a token: not ended, idle or too old, and its person not disabled."""
    rows = await unit.fetch_all(
        SessionRow, _SESSION + "and s.token_hash = %(hash)s", _live(hash=crypto.fingerprint(token))
    )
    return _typed(rows[0]) if rows else None


async def list_sessions(unit: Unit, *, user_id: str) -> list[SessionRow]:
    """Return a person's live sessions, the last used first."""
    rows = await unit.fetch_all(
        SessionRow, _SESSION + "and s.user_id = %(user)s order by s.seen_at desc, s.id", _live(user=user_id)
    )
    return [_typed(row) for row in rows]


async def list_audit(
    unit: Unit,
    *,
    partner_id: str,
    action: str | None = None,
    actor_id: str | None = None,
    object_kind: str | None = None,
    object_id: str | None = None,
    since: datetime | None = None,
    before_seq: int | None = None,
    limit: int = 50,
) -> list[AuditEntry]:
    """Return a partner's audit entries, newest first; `before_seq` continues below the last one seen.

    `action` also takes a prefix that ends in a dot (`key.`).
    """
    return await unit.fetch_all(
        AuditEntry,
        f"select {_ENTRY} from audit_entry where partner_id = %(partner)s "
        "and (%(action)s::text is null or action = %(action)s "
        "     or (right(%(action)s, 1) = '.' and starts_with(action, %(action)s))) "
        "and (%(actor)s::text is null or actor_id = %(actor)s) "
        "and (%(kind)s::text is null or object_kind = %(kind)s) "
        "and (%(object)s::text is null or object_id = %(object)s) "
        "and (%(since)s::timestamptz is null or at >= %(since)s) "
        "and (%(below)s::bigint is null or seq < %(below)s) order by seq desc limit %(limit)s",
        {
            "partner": partner_id,
            "action": action,
            "actor": actor_id,
            "kind": object_kind,
            "object": object_id,
            "since": since,
            "below": before_seq,
            "limit": limit,
        },
    )


async def verify_audit_chain(unit: Unit, *, partner_id: str) -> ChainCheck:
    """Recompute every hash of a partner's chain from the first entry on.

    A changed, removed or inserted entry breaks it at its place; entries cut off at the end only show when
    the head is compared with one noted earlier.
    """
    expected_seq, previous, count = 1, GENESIS, 0
    while True:
        page = await unit.fetch_all(
            AuditEntry,
            f"select {_ENTRY} from audit_entry where partner_id = %s and seq >= %s order by seq limit 1000",
            (partner_id, expected_seq),
        )
        for entry in page:
            if entry.seq != expected_seq or entry.prev_hash != previous or digest(entry) != entry.hash:
                return ChainCheck(entries=count, head=previous.hex(), broken_at=expected_seq)
            expected_seq, previous, count = entry.seq + 1, entry.hash, count + 1
        if not page:
            return ChainCheck(entries=count, head=previous.hex(), broken_at=None)


def _live(**parameters: object) -> dict[str, object]:
    now = clock.now()
    return {"now": now, "idle": now - SESSION_IDLE, **parameters}


def _typed(row: SessionRow) -> SessionRow:
    # The driver fills plain text in; the rest of the house compares members of the enum.
    return replace(row, hub=Hub(row.hub))


def _bindable(text: str) -> str:
    # PostgreSQL's text has no NUL; no e-mail has one either.
    return text.strip().replace("\x00", "")
