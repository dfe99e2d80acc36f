"""What can go wrong with partners, their people and their credentials."""

from __future__ import annotations

from partnerhub.kit.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated


class PartnerUnknown(NotFound):
    """There is no such partner."""

    code = "partner_not_found"


class PartnerInvalid(Invalid):
    """A member of a new partner is missing or has the wrong shape."""

    code = "partner_invalid"


class SettingsInvalid(Invalid):
    """One or more settings have values that do not work; `fields` says which and why.

    `problems` has every reason by itself: a URL may break several rules at once.
    """

    code = "settings_invalid"


class SettingsOutdated(Conflict):
    """A setting was changed by somebody else since the caller saw it; `problems` says which."""

    code = "settings_outdated"


class TestUrlMissing(Invalid):
    """There is no URL to test: none is saved, and none was given."""

    __test__ = False  # not a test class, whatever pytest thinks of the name
    code = "test_url_missing"


class SecretMissing(Conflict):
    """There is no platform secret yet; generate one first."""

    code = "platform_secret_missing"


class IoSignatureOn(Conflict):
    """The platform secret signs onboarding links as long as IO Signature is on; turn it off first."""

    code = "io_signature_on"


class KeyInvalid(Invalid):
    """The key needs a name and at least one scope."""

    code = "key_invalid"


class KeyUnknown(NotFound):
    """The partner has no such live key."""

    code = "key_not_found"


class MemberUnknown(NotFound):
    """The person does not belong to the partner."""

    code = "member_not_found"


class MemberTaken(Conflict):
    """The person belongs to the partner already."""

    code = "member_exists"


class LastOwner(Conflict):
    """A partner keeps at least one owner."""

    code = "last_owner"


class TokenInvalid(Unauthenticated):
    """The token is not one of ours, was replaced, or has run out."""

    code = "token_invalid"


class LegacyTokensOff(Forbidden):
    """The partner has turned legacy tokens off; a partner key works instead."""

    code = "legacy_token_auth_disabled"
