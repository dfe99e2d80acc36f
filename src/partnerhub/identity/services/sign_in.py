"""Signing in by e-mail and password.

Whoever tries learns nothing about which e-mails exist: an unknown one costs the same limits, the same
hashing and gets the same answer.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

from partnerhub.identity import queries
from partnerhub.identity.errors import HashingBusy, NoPlace, SignInLimited, SignInRefused
from partnerhub.identity.passwords import STANDARD, Passwords
from partnerhub.identity.schemas import PLATFORM, Actor, ActorKind, Hub, SessionScope, SignedIn, User
from partnerhub.identity.services.audit import record_change
from partnerhub.identity.services.limits import Attempt, Limit, begin_attempt, fail_attempt, undo_attempt
from partnerhub.identity.services.sessions import start_session
from partnerhub.kit import logs
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.peers import source_of

ScopeChooser = Callable[[Unit, User], Awaitable[SessionScope]]
"""Finds, in a system unit, where a person belongs in the hub they sign in to; `NoPlace` when nowhere."""

MINUTE, HOUR, DAY = 60, 3_600, 86_400

# How long attempts at the same moment wait for each other's outcome before one is refused.
_TURNS, _TURN_SECONDS = 100, 0.05

log = logs.get(__name__)


def sign_in_limits(*, email: str, ip: str) -> tuple[list[Limit], list[Limit]]:
    """Return the limits of one attempt: (of this person from this address, of each alone).

    Only failures count, or a program that signs in often would shut itself out.
    The wait grows with the windows. The address has room for an office behind one line; the e-mail's own
    limit is wide, so that a stranger elsewhere, held by the limits of the pair, does not lock the owner out.
    """
    source = source_of(ip)
    person = hashlib.sha256(email.strip().casefold().encode()).hexdigest()[:32]
    pair = [
        Limit(f"sign_in:{person}@{source}", hits, seconds)
        for hits, seconds in ((5, MINUTE), (10, 15 * MINUTE), (20, 4 * HOUR), (40, DAY))
    ]
    alone = [
        Limit(f"sign_in:{person}", 30, HOUR),
        Limit(f"sign_in:{person}", 100, DAY),
        Limit(f"sign_in@{source}", 60, MINUTE),
        Limit(f"sign_in@{source}", 300, HOUR),
    ]
    return pair, alone


async def check_password(
    db: Database, *, email: str, password: str, ip: str, passwords: Passwords = STANDARD
) -> User:
    """Return the person whose e-mail and password these are, within the sign-in limits.

    Raises: SignInLimited, SignInRefused (one answer for every reason), HashingBusy.
    """
    pair, alone = sign_in_limits(email=email, ip=ip)
    attempt = await _begin(db, [*pair, *alone])
    if not attempt.may_try:
        log.warning("sign-in limited", ip=ip)
        raise SignInLimited(
            "Too many attempts. Wait before you try again.", retry_after_seconds=attempt.wait_seconds
        )
    async with db.system() as unit:
        known = await queries.find_credential(unit, email=email)
    stored = known.password_hash if known and known.disabled_at is None else None
    try:
        fits = await passwords.verify(stored, password)
        is_outdated = fits and stored is not None and passwords.is_outdated(stored)
        fresh = await passwords.hash(password) if is_outdated else None
    except HashingBusy:
        async with db.system() as unit:
            await undo_attempt(unit, attempt)
        raise
    if not fits or known is None:
        async with db.system() as unit:
            await fail_attempt(unit, attempt)
        log.info("sign-in refused", ip=ip)
        raise SignInRefused("E-mail or password is not right.")
    async with db.system() as unit:
        await undo_attempt(unit, attempt, forgotten=pair)
        if fresh is not None:
            await unit.execute("update hub_user set password_hash = %s where id = %s", (fresh, known.id))
        return await queries.get_user(unit, user_id=known.id)


async def _begin(db: Database, limits: list[Limit]) -> Attempt:
    """Begin an attempt, waiting for the others of the same moment: were they right, there is room."""
    for _ in range(_TURNS):
        async with db.system() as unit:
            attempt = await begin_attempt(unit, limits=limits)
        if not attempt.is_crowded:
            break
        await asyncio.sleep(_TURN_SECONDS)
    return attempt


async def sign_in(
    db: Database,
    *,
    email: str,
    password: str,
    ip: str,
    user_agent: str,
    hub: Hub,
    choose_scope: ScopeChooser | None = None,
    passwords: Passwords = STANDARD,
) -> SignedIn:
    """Check the password, find the person's place in the hub and start a session.

    Without `choose_scope` the session belongs to no partner yet (`switch_partner` gives it one).
    Raises: SignInLimited, SignInRefused, HashingBusy; NoPlace, once the password was right.
    """
    user = await check_password(db, email=email, password=password, ip=ip, passwords=passwords)
    async with db.system() as unit:
        if hub is Hub.OPERATOR and not await queries.is_operator(unit, user_id=user.id):
            raise NoPlace("This account has no operator's rights.")
        scope = await choose_scope(unit, user) if choose_scope else SessionScope()
        signed_in = await start_session(unit, user=user, hub=hub, scope=scope, ip=ip, user_agent=user_agent)
        kind = {Hub.PARTNER: ActorKind.USER, Hub.CLIENT: ActorKind.CLIENT, Hub.OPERATOR: ActorKind.OPERATOR}[
            hub
        ]
        await record_change(
            unit,
            partner_id=scope.partner_id or PLATFORM,
            actor=Actor(kind, user.id, user.name, ip, user_agent),
            action="session.started",
            object_kind="session",
            object_id=str(signed_in.session_id),
            before=None,
            after={"hub": hub},
        )
    return signed_in
