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


class StateRefused(Invalid):
    """The link's `state` cannot come back as it is: over 4,000 characters, not UTF-8, or a zero character."""

    code = "state_refused"


class IoSignatureRefused(Forbidden):
    """The partner lets in signed links only, and this is none; `io_signature_…` says why.

    `partner_id` is known where a run is stopped on its way.
    """

    code = "io_signature_refused"

    def __init__(self, message: str, *, partner_id: str = "") -> None:
        super().__init__(message)
        self.partner_id = partner_id


class IoSignatureMissing(IoSignatureRefused):
    """IO Signature is on, and the link carries no signature or no time."""

    code = "io_signature_missing"


class IoSignatureMalformed(IoSignatureRefused):
    """The link's `io_signature` or `io_timestamp` is not written as one, or is there more than once."""

    code = "io_signature_malformed"


class IoSignatureBad(IoSignatureRefused):
    """The signature does not fit the partner id, the time and the platform secret."""

    code = "io_signature_bad"


class IoSignatureTooOld(IoSignatureRefused):
    """The link was signed longer ago than links are good for."""

    code = "io_signature_too_old"


class IoSignatureInFuture(IoSignatureRefused):
    """The link was signed for a time that has not come; the partner's clock or ours is wrong."""

    code = "io_signature_in_future"


class IoSignatureUsed(IoSignatureRefused):
    """Another browser opened a link with this signature first, or another sign-up went on with it."""

    code = "io_signature_used"


class CookiesNeeded(Invalid):
    """A signed link belongs to one browser, and this one keeps no cookie to know it by."""

    code = "cookies_needed"


class RunUnknown(NotFound):
    """There is no such run in this browser, or its time is over; start again from the partner's page."""

    code = "onboarding_unknown"


class RunOver(RunUnknown):
    """The run is this browser's, and its time is over."""

    def __init__(self, message: str, *, partner_id: str) -> None:
        super().__init__(message)
        self.partner_id = partner_id


class StepWrong(Conflict):
    """The run is at another step (back button, second tab); show that step."""

    code = "onboarding_step"


class StillWorking(Conflict):
    """Another request is at work on this run or registers this number; look again in a moment."""

    code = "onboarding_working"


class AccountExists(Conflict):
    """The e-mail has an account; the person signs in instead."""

    code = "account_exists"


class ClientMayNotAdd(Forbidden):
    """The partner does not let clients add numbers, or the client has as many as it may have."""

    code = "client_may_not_add"


class PricesNotAccepted(Invalid):
    """A Direct-Paid client goes on once prices and terms are accepted."""

    code = "prices_not_accepted"


class PricesChanged(Conflict):
    """The prices were changed while the client looked at them; it is asked again."""

    code = "prices_changed"


class PricesMissing(Conflict):
    """No rates are imported in the partner's currency, so there is nothing that a client could accept."""

    code = "prices_missing"


class PaymentMethodNeeded(Conflict):
    """No payment provider is set, and the operator lets nobody pass without one."""

    code = "payment_method_needed"


class PermissionFixed(Forbidden):
    """The partner pays for the number: its client asks the partner to end the permission."""

    code = "permission_fixed"


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
