"""Who makes a request: nobody, a person with a session, a partner key, or a legacy token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State

from partnerhub.identity.schemas import Actor, ActorKind, Hub, SessionRow
from partnerhub.kit import logs
from partnerhub.partners.schemas import Membership, PartnerKey, Role, Scope, TokenHolder

LegacyToken = TokenHolder


@dataclass(frozen=True)
class Anonymous:
    """Nobody we know."""


@dataclass(frozen=True)
class SignedInUser:
    """A person with a live session, as of this request.

    `role` is theirs in the session's partner, `places` are all the partners they belong to.
    """

    session: SessionRow
    role: Role | None = None
    places: Sequence[Membership] = ()

    @property
    def partner_id(self) -> str | None:
        """The partner the session looks at."""
        return self.session.partner_id

    @property
    def is_owner(self) -> bool:
        """Say whether the person is an owner of the partner."""
        return self.role == "owner"


Principal = Anonymous | SignedInUser | PartnerKey | LegacyToken
HubRequest = Request[Principal, Any, State]  # Any: nothing of ours is in `auth`
HubConnection = ASGIConnection[Any, Principal, Any, State]  # Any: as above

# A token stands for a person who gave no one-time code, so it never does what pages guard by one.
_TOKEN_SCOPES = frozenset({Scope.READ, Scope.WRITE})
_KINDS = {Hub.PARTNER: ActorKind.USER, Hub.CLIENT: ActorKind.CLIENT, Hub.OPERATOR: ActorKind.OPERATOR}


def partner_of(principal: Principal) -> str | None:
    """Return the partner a principal acts for."""
    return None if isinstance(principal, Anonymous) else principal.partner_id


def scopes_of(principal: Principal) -> frozenset[Scope]:
    """Return the scopes of a machine credential; people have none, they have roles."""
    match principal:
        case PartnerKey():
            return principal.scopes
        case TokenHolder():
            return _TOKEN_SCOPES
        case _:
            return frozenset()


def actor_of(request: HubRequest) -> Actor:
    """Return who acts, from where and in which request, for audit and `created_by`."""
    principal = request.user
    ip = request.client.host if request.client else ""
    agent = request.headers.get("user-agent", "")[:300]
    request_id = logs.request_id.get()
    match principal:
        case SignedInUser(session=session):
            return Actor(_KINDS[session.hub], session.user_id, session.user_name, ip, agent, request_id)
        case PartnerKey():
            return Actor(ActorKind.KEY, str(principal.id), principal.name, ip, agent, request_id)
        case TokenHolder():
            return Actor(ActorKind.USER, principal.user_id, principal.user_name, ip, agent, request_id)
        case Anonymous():
            return Actor(ActorKind.SYSTEM, "anonymous", "", ip, agent, request_id)
