"""The tenant scope of a request: every unit of work that a door opens for a person or key comes from here."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from litestar.di import NamedDependency

from partnerhub.identity.schemas import Actor, Hub
from partnerhub.kit.database import Database, Unit
from partnerhub.web.errors import WrongHub
from partnerhub.web.principal import HubRequest, SignedInUser, actor_of, partner_of


@dataclass(frozen=True)
class Tenant:
    """Whose rows this request may see, and who acts."""

    db: Database
    partner_id: str
    client_id: str
    actor: Actor

    def unit(self) -> AbstractAsyncContextManager[Unit]:
        """Open a unit of work inside the scope; objects of other tenants do not exist in it."""
        return self.db.tenant(self.partner_id, client_id=self.client_id)


async def provide_tenant(request: HubRequest, db: NamedDependency[Database]) -> Tenant:
    """Return the scope of the request's principal. Raises: WrongHub for a principal without a partner."""
    principal = request.user
    partner_id = partner_of(principal)
    if not partner_id:
        raise WrongHub("You do not belong to a partner here.")
    client_id = ""
    if isinstance(principal, SignedInUser) and principal.session.hub is Hub.CLIENT:
        client_id = principal.session.client_id or ""
        if not client_id:
            # Without a client the unit would see every client of the partner.
            raise WrongHub("You do not belong to a client here.")
    return Tenant(db, partner_id, client_id, actor_of(request))
