"""What can stop a client on the way, each with a stable code and a way on."""

from __future__ import annotations

from partnerhub.kit.errors import Conflict, Forbidden, Invalid, NotFound, UpstreamFailed


class PartnerLinkUnknown(NotFound):
    """The link names no partner."""

    code = "partner_link_unknown"


class OnboardingClosed(Forbidden):
    """The partner takes no new submissions."""

    code = "onboarding_closed"


class RedirectNotAllowed(Forbidden):
    """The link wants to send the client to an address that the partner did not list."""

    code = "redirect_not_allowed"


class RunUnknown(NotFound):
    """There is no such run in this browser, or its time is over; start again from the partner's page."""

    code = "onboarding_unknown"


class StepWrong(Conflict):
    """The run is at another step (back button, second tab); show that step."""

    code = "onboarding_step"


class AccountExists(Conflict):
    """The e-mail has an account; the person signs in instead."""

    code = "account_exists"


class ClientMayNotAdd(Forbidden):
    """The partner does not let clients add numbers, or the client has as many as it may have."""

    code = "client_may_not_add"


class SignupIncomplete(Invalid):
    """Embedded Signup ended without what is needed (no code, no account, no number)."""

    code = "signup_incomplete"


class SignupMismatch(Forbidden):
    """What the browser says was shared is not what Meta says was shared."""

    code = "signup_mismatch"


class NumberTaken(Conflict):
    """The account or number belongs to another client of this hub."""

    code = "number_taken"


class PinNeeded(Conflict):
    """The number has a two-step verification PIN that we do not know; the client must give it."""

    code = "pin_needed"


class ConnectFailed(UpstreamFailed):
    """Meta refused a step of the connection; carries Meta's code and trace id."""

    code = "connect_failed"
