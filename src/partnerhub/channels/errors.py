"""What can go wrong with clients, numbers, keys and templates."""

from __future__ import annotations

from partnerhub.channels.life_cycle import ChannelTerminated, StageRefused
from partnerhub.channels.listing import ListingInvalid
from partnerhub.kit.errors import Conflict, Forbidden, Invalid, NotFound, TooMany, UpstreamFailed

__all__ = [
    "ChannelTerminated",
    "ChannelUnfinished",
    "ChannelUnknown",
    "ClientInvalid",
    "ClientUnknown",
    "ListingInvalid",
    "NumberTaken",
    "PermissionMissing",
    "StageRefused",
    "TemplateInvalid",
    "TemplateLimited",
    "TemplateNameTaken",
    "TemplateRefused",
    "TemplateUnknown",
    "TooManyChannels",
    "WabaTaken",
    "WabaUnknown",
]


class ClientUnknown(NotFound):
    """The partner has no such client."""

    code = "client_not_found"


class ClientInvalid(Invalid):
    """A member of the client has the wrong shape."""

    code = "client_invalid"


class WabaUnknown(NotFound):
    """The partner has no such WABA account."""

    code = "waba_not_found"


class ChannelUnknown(NotFound):
    """The partner has no such channel."""

    code = "channel_not_found"


class TemplateUnknown(NotFound):
    """The WABA account has no such template."""

    code = "template_not_found"


class WabaTaken(Conflict):
    """The WABA account already belongs to another client or partner."""

    code = "waba_taken"


class NumberTaken(Conflict):
    """The phone number already belongs to another client or partner."""

    code = "number_taken"


class TooManyChannels(Conflict):
    """The client has as many channels as the partner allows it."""

    code = "too_many_channels"


class PermissionMissing(Forbidden):
    """The client has not granted the partner access to this channel, or has taken it back."""

    code = "permission_missing"


class ChannelUnfinished(Conflict):
    """The number is not registered at Meta yet, so there is nothing that the partner could use."""

    code = "channel_unfinished"


class TemplateInvalid(Invalid):
    """The template lacks a member or has one of the wrong shape."""

    code = "template_invalid"


class TemplateRefused(UpstreamFailed):
    """Meta refuses the template as it is; what Meta says is passed on, with its number and trace id."""

    code = "template_refused"
    status = 400


class TemplateLimited(TooMany):
    """Meta takes no more templates or changes for this account now."""

    code = "template_limited"


class TemplateNameTaken(Invalid):
    """The WABA account has a template of this name and language.

    The wording is matched by a public client (Partner API reference 6.3) and is part of the contract.
    """

    code = "template_name_taken"

    def __init__(self) -> None:
        super().__init__(
            "The template name you have provided is already in use. "
            "Please choose a different name for your template."
        )
