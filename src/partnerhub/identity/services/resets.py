"""Setting a password by a link from a mail: after it was forgotten, and when somebody is invited."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from partnerhub.identity import mails, queries
from partnerhub.identity.errors import LinkExpired, PasswordWrong, SignInRefused
from partnerhub.identity.passwords import STANDARD, Passwords, check_strength
from partnerhub.identity.schemas import PLATFORM, Actor, ActorKind, User
from partnerhub.identity.services.audit import record_change
from partnerhub.identity.services.limits import Limit, take_hit
from partnerhub.identity.services.sessions import end_all_sessions, rotate_session
from partnerhub.identity.services.sign_in import check_password
from partnerhub.kit import clock, crypto, jobs, mail
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.errors import TooMany
from partnerhub.kit.ids import token, uuid7
from partnerhub.kit.peers import source_of

JOB = "identity.password_reset"
RESET_LIFE = timedelta(minutes=30)
INVITATION_LIFE = timedelta(days=7)
_PURPOSE = "set_password"


@dataclass(frozen=True)
class _Link:
    id: UUID
    user_id: str
    code_hash: bytes
    expires_at: datetime


async def request_password_reset(db: Database, *, email: str, ip: str, link_base: str) -> None:
    """Have a reset link mailed, if anybody has this e-mail; the answer and the work are the same if not.

    A job looks the e-mail up later. `link_base` is the page that takes the link's token, without a query.
    Raises: TooMany.
    """
    # What a form may carry and a job may not; no e-mail has one.
    email = email.replace("\x00", "").strip()
    person = crypto.fingerprint(email.casefold()).hex()[:32]
    source = source_of(ip)
    async with db.system() as unit:
        # The e-mail's own limit keeps a box from being flooded, and is wide: a stranger, held by the limit of
        # the pair, must not keep the owner from a link.
        wait = await take_hit(
            unit,
            limits=[
                Limit(f"reset:{person}@{source}", 3, 900),
                Limit(f"reset:{person}@{source}", 5, 86_400),
                Limit(f"reset:{person}", 10, 3_600),
                Limit(f"reset:{person}", 30, 86_400),
                Limit(f"reset@{source}", 30, 3_600),
            ],
        )
        if not wait:
            await jobs.defer(unit, JOB, email=email[:254], link_base=link_base)
    if wait:
        raise TooMany("Too many requests. Wait before you try again.", retry_after_seconds=wait)


async def send_reset_link(db: Database, *, email: str, link_base: str) -> None:
    """Mail the link to whoever has this e-mail, if anybody; the handler of the job."""
    async with db.system() as unit:
        user = await queries.find_user_by_email(unit, email=email)
        if user is None or user.disabled_at is not None:
            return
        link = await _make_link(unit, user=user, link_base=link_base, life=RESET_LIFE)
        words = mails.reset_mail(locale=user.locale, link=link, minutes=int(RESET_LIFE.total_seconds()) // 60)
        await mail.queue(unit, to=user.email, subject=words.subject, text=words.text)


async def send_invitation(unit: Unit, *, user_id: str, place: str, link_base: str) -> None:
    """Mail an invited person the link that sets their first password; `place` names what they join.

    Needs a system unit. Raises: UserUnknown.
    """
    user = await queries.get_user(unit, user_id=user_id)
    link = await _make_link(unit, user=user, link_base=link_base, life=INVITATION_LIFE)
    words = mails.invitation_mail(locale=user.locale, place=place, link=link, days=INVITATION_LIFE.days)
    await mail.queue(unit, to=user.email, subject=words.subject, text=words.text)


async def check_reset_link(db: Database, *, link_token: str) -> User:
    """Return whose password the link sets, without using it up. Raises: LinkExpired."""
    async with db.system() as unit:
        link = await _find_link(unit, link_token)
        return await queries.get_user(unit, user_id=link.user_id)


async def reset_password(
    db: Database,
    *,
    link_token: str,
    password: str,
    ip: str,
    user_agent: str,
    link_base: str,
    passwords: Passwords = STANDARD,
) -> User:
    """Set a new password by the link, end every session and token and tell the owner by mail.

    `link_base` is the page where the owner asks for a new link, should it not have been them.
    Raises: LinkExpired, PasswordWeak, HashingBusy.
    """
    user = await check_reset_link(db, link_token=link_token)
    check_strength(password, about=(user.email.partition("@")[0], user.name))
    password_hash = await passwords.hash(password)
    async with db.system() as unit:
        link = await _find_link(unit, link_token)
        await unit.execute("update one_time_code set used_at = %s where id = %s", (clock.now(), link.id))
        await _set_password(unit, user=user, password_hash=password_hash, keep=None, link_base=link_base)
        actor = Actor(ActorKind.USER, user.id, user.name, ip, user_agent)
        await _record(unit, actor, "password.reset", user)
    return user


async def change_password(
    db: Database,
    *,
    user_id: str,
    current: str,
    new: str,
    keep: UUID,
    actor: Actor,
    link_base: str,
    passwords: Passwords = STANDARD,
) -> str:
    """Replace a password by its owner, who gives the current one, and return the session's new token.

    Every session but `keep` ends, and every token. Guesses at the current password count as sign-in attempts.
    Raises: PasswordWrong, PasswordWeak, SignInLimited, HashingBusy, SessionEnded.
    """
    async with db.system() as unit:
        user = await queries.get_user(unit, user_id=user_id)
    check_strength(new, about=(user.email.partition("@")[0], user.name))
    try:
        await check_password(db, email=user.email, password=current, ip=actor.ip, passwords=passwords)
    except SignInRefused as error:
        reason = "This is not your current password."
        raise PasswordWrong(reason, fields={"current_password": reason}) from error
    password_hash = await passwords.hash(new)
    async with db.system() as unit:
        await _set_password(unit, user=user, password_hash=password_hash, keep=keep, link_base=link_base)
        fresh = await rotate_session(unit, session_id=keep)
        await _record(unit, actor, "password.changed", user)
    return fresh


async def _make_link(unit: Unit, *, user: User, link_base: str, life: timedelta) -> str:
    now, link_id, secret = clock.now(), uuid7(), token()
    await unit.execute(
        "update one_time_code set used_at = %s where user_id = %s and purpose = %s and used_at is null",
        (now, user.id, _PURPOSE),
    )
    await unit.execute(
        "insert into one_time_code (id, user_id, purpose, code_hash, created_at, expires_at) "
        "values (%s, %s, %s, %s, %s, %s)",
        (link_id, user.id, _PURPOSE, crypto.fingerprint(secret), now, now + life),
    )
    return f"{link_base}?token={link_id.hex}.{secret}"


async def _find_link(unit: Unit, link_token: str) -> _Link:
    name, _, secret = link_token.partition(".")
    expired = LinkExpired("This link was used, replaced or is too old. Ask for a new one.")
    try:
        link_id = UUID(hex=name)
    except ValueError as error:
        raise expired from error
    link = await unit.fetch_one(
        _Link,
        "select c.id, c.user_id, c.code_hash, c.expires_at "
        "from one_time_code c join hub_user u on u.id = c.user_id "
        "where c.id = %s and c.purpose = %s and c.used_at is null and u.disabled_at is null for update of c",
        (link_id, _PURPOSE),
    )
    if link is None or not hmac.compare_digest(link.code_hash, crypto.fingerprint(secret)):
        raise expired
    if clock.now() >= link.expires_at:
        raise expired
    return link


async def _set_password(
    unit: Unit, *, user: User, password_hash: str, keep: UUID | None, link_base: str
) -> None:
    await unit.execute(
        "update hub_user set password_hash = %s, credentials_version = credentials_version + 1, "
        "modified_at = %s where id = %s",
        (password_hash, clock.now(), user.id),
    )
    await unit.execute(
        "update one_time_code set used_at = %s where user_id = %s and purpose = %s and used_at is null",
        (clock.now(), user.id, _PURPOSE),
    )
    await end_all_sessions(unit, user_id=user.id, keep=keep)
    words = mails.changed_mail(locale=user.locale, link=link_base)
    await mail.queue(unit, to=user.email, subject=words.subject, text=words.text)


async def _record(unit: Unit, actor: Actor, action: str, user: User) -> None:
    await record_change(
        unit,
        partner_id=PLATFORM,
        actor=actor,
        action=action,
        object_kind="user",
        object_id=user.id,
        before=None,
        after=None,
    )
