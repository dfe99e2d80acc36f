"""What can go wrong when people prove who they are."""

from __future__ import annotations

from partnerhub.kit.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooMany,
    Unauthenticated,
    Unavailable,
)


class SignInRefused(Unauthenticated):
    """The e-mail is unknown, the password is wrong or the user is disabled: deliberately one answer."""

    code = "sign_in_refused"


class SignInLimited(TooMany):
    """Too many failed attempts for this e-mail or from this address; also for e-mails that nobody has."""

    code = "sign_in_limited"


class NoPlace(Forbidden):
    """The person is known but has no place in the hub they sign in to."""

    code = "no_place_in_hub"


class HashingBusy(Unavailable):
    """More passwords wait to be checked than this process takes on."""

    code = "sign_in_busy"


class UserUnknown(NotFound):
    """No such user."""

    code = "user_not_found"


class EmailInvalid(Invalid):
    """The text is not an e-mail address."""

    code = "email_invalid"


class EmailTaken(Conflict):
    """Another user has this e-mail."""

    code = "email_taken"


class PasswordWeak(Invalid):
    """The password is too short, too long or too easy to guess."""

    code = "password_weak"


class PasswordWrong(Invalid):
    """The current password, asked again before a change, is not right."""

    code = "password_wrong"


class CodeWrong(Invalid):
    """The one-time code is not the one that was sent last for this purpose."""

    code = "code_wrong"


class CodeExpired(Invalid):
    """No live code: it was used, ran out of time or out of attempts."""

    code = "code_expired"


class CodeLimited(TooMany):
    """Too many codes were asked for; an existing one still works."""

    code = "code_limited"


class LinkExpired(Invalid):
    """The link from the mail was used, replaced or is too old."""

    code = "link_expired"
