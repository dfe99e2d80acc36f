"""What a request can be refused for before it reaches a door."""

from __future__ import annotations

from partnerhub.identity.schemas import Hub
from partnerhub.kit.errors import Forbidden, Invalid, NotFound, TooMany, Unauthenticated


class AddressUnknown(NotFound):
    """There is nothing at this address."""

    code = "route_not_found"


class NotSignedIn(Unauthenticated):
    """A page of a hub was asked for without a live session; people are led to sign in."""

    code = "not_signed_in"

    def __init__(self, hub: Hub = Hub.PARTNER) -> None:
        super().__init__("Sign in to see this page.")
        self.hub = hub


class CredentialMissing(Unauthenticated):
    """An API was called without a key or token."""

    code = "credential_missing"


class CredentialUnknown(Unauthenticated):
    """The key or token is not known, revoked or expired."""

    code = "credential_unknown"


class ForeignPartner(Forbidden):
    """The partner id in the path is not the credential's, whether such a partner exists or not."""

    code = "foreign_partner"


class ScopeMissing(Forbidden):
    """The key may not do this: it lacks a scope."""

    code = "scope_missing"


class RoleMissing(Forbidden):
    """This is for owners of the partner."""

    code = "role_missing"


class WrongHub(Forbidden):
    """The person is signed in, but to another hub or to none of its partners."""

    code = "wrong_hub"


class CodeNeeded(Forbidden):
    """The action has to be confirmed with a one-time code from the mail."""

    code = "code_needed"


class CrossSite(Forbidden):
    """A form was not sent from our own page, or from a page of another session."""

    code = "cross_site"


class BodyTooLarge(Invalid):
    """The request's body is larger than this path takes."""

    code = "body_too_large"
    status = 413


class CookiesTooLarge(Invalid):
    """The request carries more cookies than a browser has of us; clear those of this site."""

    code = "cookies_too_large"
    status = 431


class KeyLimited(TooMany):
    """The credential makes more calls than it may."""

    code = "rate_limited"
