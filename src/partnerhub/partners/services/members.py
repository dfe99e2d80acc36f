"""Who belongs to a partner, as owner or member. People themselves are made by `identity`."""

from __future__ import annotations

from typing import get_args

from psycopg import errors as database_errors

from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.database import Unit
from partnerhub.kit.errors import Invalid
from partnerhub.partners.errors import LastOwner, MemberTaken
from partnerhub.partners.queries import get_member
from partnerhub.partners.schemas import Member, Role


class RoleInvalid(Invalid):
    """Roles are owner and member."""

    code = "role_invalid"


async def add_member(unit: Unit, *, partner_id: str, user_id: str, role: Role, actor: Actor) -> Member:
    """Let a person belong to the partner. Needs a system unit. Raises: MemberTaken, RoleInvalid."""
    _check_role(role)
    try:
        async with unit.connection.transaction():
            await unit.execute(
                "insert into member (partner_id, user_id, role, created_at) values (%s, %s, %s, %s)",
                (partner_id, user_id, role, clock.now()),
            )
    except database_errors.UniqueViolation as error:
        reason = "This person belongs to the partner already."
        raise MemberTaken(reason, fields={"email": reason}) from error
    member = await get_member(unit, partner_id=partner_id, user_id=user_id)
    await _record(unit, member, actor, action="member.added", before=None, after=role)
    return member


async def change_role(unit: Unit, *, partner_id: str, user_id: str, role: Role, actor: Actor) -> Member:
    """Make a person owner or member. Raises: MemberUnknown, LastOwner, RoleInvalid."""
    _check_role(role)
    member = await _locked(unit, partner_id, user_id)
    if member.role == role:
        return member
    if role == "member":
        await _keep_an_owner(unit, partner_id, user_id)
    await unit.execute(
        "update member set role = %s where partner_id = %s and user_id = %s", (role, partner_id, user_id)
    )
    await _record(unit, member, actor, action="member.changed", before=member.role, after=role)
    return await get_member(unit, partner_id=partner_id, user_id=user_id)


async def remove_member(unit: Unit, *, partner_id: str, user_id: str, actor: Actor) -> None:
    """Take a person out; end their sessions with `identity.services.end_member_sessions` beside it.

    Raises: MemberUnknown, LastOwner.
    """
    member = await _locked(unit, partner_id, user_id)
    if member.role == "owner":
        await _keep_an_owner(unit, partner_id, user_id)
    await unit.execute("delete from member where partner_id = %s and user_id = %s", (partner_id, user_id))
    await _record(unit, member, actor, action="member.removed", before=member.role, after=None)


async def _locked(unit: Unit, partner_id: str, user_id: str) -> Member:
    # Two owners who remove each other at the same time would leave none.
    await unit.lock(f"members:{partner_id}")
    return await get_member(unit, partner_id=partner_id, user_id=user_id)


async def _keep_an_owner(unit: Unit, partner_id: str, user_id: str) -> None:
    others = await unit.fetch_value(
        "select count(*) from member where partner_id = %s and role = 'owner' and user_id <> %s",
        (partner_id, user_id),
    )
    if not others:
        raise LastOwner("A partner keeps at least one owner.")


def _check_role(role: str) -> None:
    if role not in get_args(Role):
        reason = "Choose owner or member."
        raise RoleInvalid(reason, fields={"role": reason})


async def _record(
    unit: Unit, member: Member, actor: Actor, *, action: str, before: Role | None, after: Role | None
) -> None:
    await record_change(
        unit,
        partner_id=member.partner_id,
        actor=actor,
        action=action,
        object_kind="user",
        object_id=member.user_id,
        before=None if before is None else {"email": member.email, "role": before},
        after=None if after is None else {"email": member.email, "role": after},
    )
