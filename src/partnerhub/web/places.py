"""Where a person belongs: the partners they may look at, and turning the session to another of them."""

from __future__ import annotations

from dataclasses import dataclass

from partnerhub.identity import services as identity
from partnerhub.kit.database import Database
from partnerhub.partners import queries as partner_queries
from partnerhub.partners.schemas import Role
from partnerhub.web.errors import ForeignPartner
from partnerhub.web.principal import SignedInUser


@dataclass(frozen=True)
class Place:
    """A partner that a person belongs to."""

    partner_id: str
    name: str
    role: Role


async def list_places(db: Database, person: SignedInUser) -> list[Place]:
    """Return every partner the person belongs to, the longest first."""
    async with db.system() as unit:
        members = await partner_queries.list_memberships(unit, user_id=person.session.user_id)
        partners = [await partner_queries.get_partner(unit, partner_id=one.partner_id) for one in members]
    return [
        Place(member.partner_id, partner.brand_name, member.role)
        for member, partner in zip(members, partners, strict=True)
    ]


async def go_to_place(db: Database, person: SignedInUser, *, partner_id: str) -> str:
    """Turn the session to another partner of the person's and return its new token.

    Raises: ForeignPartner.
    """
    async with db.system() as unit:
        members = await partner_queries.list_memberships(unit, user_id=person.session.user_id)
        if partner_id not in {member.partner_id for member in members}:
            raise ForeignPartner("You do not belong to this partner.")
        return await identity.switch_partner(unit, session_id=person.session.id, partner_id=partner_id)
