"""Guards: what a route asks of who calls it. Every route names one, or says in its `opt` that it is open.

`opt={"public": True}` looks at no credential at all; `opt={"visitor": True}` is open but knows a signed-in
person (onboarding pages). `check_guards` refuses to start an application with a route that says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import BaseRoute

from partnerhub.identity.schemas import Hub
from partnerhub.partners.schemas import PartnerKey, Scope, TokenHolder
from partnerhub.web.errors import (
    CredentialMissing,
    ForeignPartner,
    NotSignedIn,
    RoleMissing,
    ScopeMissing,
    WrongHub,
)
from partnerhub.web.principal import Anonymous, Principal, SignedInUser, partner_of, scopes_of

PARTNER_PARAMETER = "partner_id"
"""The path parameter that must be the credential's own partner."""


class RouteUnguarded(RuntimeError):
    """A route neither has a guard nor says that it is open."""


@dataclass(frozen=True)
class Requirement:
    """A guard as a value, so that the access matrix can read it."""

    hub: Hub | None = None
    is_owner_only: bool = False
    scope: Scope | None = None

    def __call__(self, connection: ASGIConnection, _handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]  # Litestar's own signature
        """Let the request pass or refuse it."""
        principal: Principal = connection.user
        self._check(principal)
        named = connection.path_params.get(PARTNER_PARAMETER)
        if named is not None and named != partner_of(principal) and not _is_operator(principal):
            raise ForeignPartner("This partner is not yours.")

    def _check(self, principal: Principal) -> None:
        match principal:
            case Anonymous():
                raise NotSignedIn(self.hub) if self.hub else CredentialMissing("Send an API key or token.")
            case SignedInUser():
                self._check_person(principal)
            case PartnerKey() | TokenHolder():
                self._check_machine(principal)
            case _:
                assert_never(principal)

    def _check_machine(self, machine: PartnerKey | TokenHolder) -> None:
        if self.scope is None or self.scope not in scopes_of(machine):
            raise ScopeMissing(f"This needs the scope “{self.scope or 'none: a person'}”.")
        # Keys are made by owners; a token has the rights that its person has on pages.
        if self.is_owner_only and isinstance(machine, TokenHolder) and machine.role != "owner":
            raise RoleMissing("Only owners may do this.")

    def _check_person(self, person: SignedInUser) -> None:
        if self.hub is None or person.session.hub is not self.hub:
            raise WrongHub("This page belongs to another hub.")
        if self.hub is Hub.PARTNER and person.role is None:
            raise WrongHub("You do not belong to a partner here.")
        if self.is_owner_only and not person.is_owner:
            raise RoleMissing("Only owners may do this.")


def requires(*, hub: Hub | None = None, owner: bool = False, scope: Scope | None = None) -> Requirement:
    """Make a guard: people of `hub`, or keys and tokens with `scope`.

    With `owner`, only owners and their tokens; a key was made by an owner.
    A path parameter `partner_id` must always be the caller's own partner, else 403.
    """
    if hub is None and scope is None:
        raise ValueError("A guard names a hub or a scope.")
    return Requirement(hub=hub, is_owner_only=owner, scope=scope)


def requirements_of(handler: BaseRouteHandler) -> list[Requirement]:
    """Return the guards of a route from every layer above it."""
    layers = handler.ownership_layers
    return [guard for layer in layers for guard in layer.guards or () if isinstance(guard, Requirement)]


def is_open(handler: BaseRouteHandler) -> bool:
    """Say whether the route says of itself that anybody may call it."""
    return bool(handler.opt.get("public") or handler.opt.get("visitor"))


def check_guards(routes: Iterable[BaseRoute]) -> None:
    """Refuse a route that everybody could call by oversight. Raises: RouteUnguarded."""
    for route in routes:
        for handler in handlers_of(route):
            if not is_open(handler) and not requirements_of(handler):
                raise RouteUnguarded(f"{route.path}: give it guards=[requires(…)] or opt={{'public': True}}.")


def handlers_of(route: BaseRoute) -> list[BaseRouteHandler]:
    """Return a route's handlers, without the answers to OPTIONS that the framework adds."""
    found = getattr(route, "route_handlers", None) or [route.route_handler]  # type: ignore[attr-defined]  # ASGI routes have one
    return [one for one in found if getattr(one, "http_methods", None) != {"OPTIONS"}]


def _is_operator(principal: Principal) -> bool:
    return isinstance(principal, SignedInUser) and principal.session.hub is Hub.OPERATOR
