"""Turning a session to another partner that its person belongs to."""

from __future__ import annotations

from partnerhub.identity import services as identity
from partnerhub.kit.database import Database
from partnerhub.partners import queries as partner_queries
from partnerhub.web.errors import ForeignPartner
from partnerhub.web.principal import SignedInUser


async def go_to_place(db: Database, person: SignedInUser, *, partner_id: str) -> str:
    """Turn the session to another partner of the person's and return its new token.

    Raises: ForeignPartner.
    """
    async with db.system() as unit:
        members = await partner_queries.list_memberships(unit, user_id=person.session.user_id)
        if partner_id not in {member.partner_id for member in members}:
            raise ForeignPartner("You do not belong to this partner.")
        return await identity.switch_partner(unit, session_id=person.session.id, partner_id=partner_id)
