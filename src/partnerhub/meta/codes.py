"""Meta's error codes as one table: which HTTP status carries a code, what to do about it, what it means.

Source: Meta's error table for the WhatsApp Business Platform (December 2025) for status and meaning; what to
do is this project's reading of it. Codes that are in no row fall back to their HTTP status in `classify`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class RetryClass(StrEnum):
    """What the failure of a call means for the next one."""

    RETRY = "retry"  # nothing was done; the same call may work later
    THROTTLE = "throttle"  # too much at once, or too much today: later, and slower
    THROTTLE_USER = "throttle_user"  # as above, for this one recipient
    AUTH = "auth"  # the token or its permissions; an operator must act
    ACCOUNT = "account"  # the business, its number or its payment; the client must act
    FINAL = "final"  # this call will never work
    ROUTE = "route"  # another way of sending may work (Cloud API instead of Marketing Messages API, or back)
    AMBIGUOUS = "ambiguous"  # it may have been done; never repeat a message


class ErrorCode(NamedTuple):
    """One row; `http_status` None where Meta documents none."""

    code: int
    http_status: int | None
    retry_class: RetryClass
    meaning: str


_RETRY = RetryClass.RETRY
_THROTTLE = RetryClass.THROTTLE
_AUTH = RetryClass.AUTH
_ACCOUNT = RetryClass.ACCOUNT
_FINAL = RetryClass.FINAL
_ROUTE = RetryClass.ROUTE

TABLE: tuple[ErrorCode, ...] = (
    ErrorCode(0, 401, _AUTH, "The token is missing or cannot be read."),
    ErrorCode(1, 400, _RETRY, "Unknown error of the API."),
    ErrorCode(2, 503, _RETRY, "The API is down for the moment."),
    ErrorCode(3, 500, _AUTH, "The app lacks the capability."),
    ErrorCode(4, 400, _THROTTLE, "The app made too many calls."),
    ErrorCode(10, 403, _AUTH, "The permission is missing or was withdrawn."),
    ErrorCode(33, 400, _FINAL, "The id does not exist or may not be seen."),
    ErrorCode(100, 400, _FINAL, "A parameter is wrong."),
    ErrorCode(190, 401, _AUTH, "The token has expired or was revoked."),
    ErrorCode(368, 403, _ACCOUNT, "The account is blocked for policy violations."),
    ErrorCode(613, None, _THROTTLE, "Too many calls of this kind."),
    ErrorCode(80007, 400, _THROTTLE, "The WhatsApp Business account made too many calls."),
    ErrorCode(130429, 400, _THROTTLE, "The number sends faster than its throughput."),
    ErrorCode(130472, 400, _FINAL, "The recipient is in a control group; this message is not delivered."),
    ErrorCode(130497, 403, _ACCOUNT, "The account may not message users in this country."),
    ErrorCode(131000, 500, _RETRY, "Something went wrong."),
    ErrorCode(131005, 403, _AUTH, "Access is denied."),
    ErrorCode(131008, 400, _FINAL, "A required parameter is missing."),
    ErrorCode(131009, 400, _FINAL, "The value of a parameter is wrong."),
    ErrorCode(131016, 500, _RETRY, "The service is overloaded."),
    ErrorCode(131020, None, _FINAL, "A group call was refused."),
    ErrorCode(131021, 400, _FINAL, "Sender and recipient are the same."),
    ErrorCode(131026, 400, _FINAL, "The message cannot be delivered."),
    ErrorCode(131030, 400, _FINAL, "The recipient is not on the list of a test number."),
    ErrorCode(131031, 403, _ACCOUNT, "The account is locked."),
    ErrorCode(131037, 400, _ACCOUNT, "The number's display name is not approved."),
    ErrorCode(131041, None, _FINAL, "A group call was refused."),
    ErrorCode(131042, 400, _ACCOUNT, "There is a problem with the payment method."),
    ErrorCode(131044, None, _ACCOUNT, "There is a problem with the payment method."),
    ErrorCode(131045, 500, _ACCOUNT, "The number's certificate or registration failed."),
    ErrorCode(131047, 400, _FINAL, "More than 24 hours since the recipient wrote; only templates pass."),
    ErrorCode(131048, 400, _THROTTLE, "Too many messages were blocked or flagged as spam."),
    ErrorCode(131049, 400, _FINAL, "Not delivered now, to keep the recipient's engagement healthy."),
    ErrorCode(131050, 400, _FINAL, "The recipient stopped marketing messages from this business."),
    ErrorCode(131051, 400, _FINAL, "The message type is not supported."),
    ErrorCode(131052, 400, _RETRY, "The media could not be downloaded; once more at most."),
    ErrorCode(131053, 400, _RETRY, "The media could not be uploaded; once more at most."),
    ErrorCode(131055, 400, _ROUTE, "The method is not allowed, as for templates that are not marketing."),
    ErrorCode(131056, 400, RetryClass.THROTTLE_USER, "Too many messages to this one recipient."),
    ErrorCode(131057, 500, _RETRY, "The account is in maintenance, as for a throughput upgrade."),
    ErrorCode(131059, None, _FINAL, "The page cursor is no longer valid."),
    ErrorCode(131060, None, _FINAL, "The recipient's companion client cannot show the message."),
    ErrorCode(
        131062, None, _FINAL, "This message needs a phone number instead of a business-scoped user id."
    ),
    ErrorCode(131063, None, _ROUTE, "Marketing templates are switched off on Cloud API for this account."),
    ErrorCode(131064, None, _THROTTLE, "The day's limit of new conversations is reached."),
    ErrorCode(132000, 400, _FINAL, "The number of template parameters is wrong."),
    ErrorCode(132001, 404, _FINAL, "The template does not exist in this language."),
    ErrorCode(132005, 400, _FINAL, "The template's text is too long once filled in."),
    ErrorCode(132007, 400, _FINAL, "The template breaks a policy."),
    ErrorCode(132008, 400, _FINAL, "The value of a template parameter is wrong."),
    ErrorCode(132012, 400, _FINAL, "The format of a template parameter is wrong."),
    ErrorCode(132015, 400, _FINAL, "The template is paused for low quality."),
    ErrorCode(132016, 400, _FINAL, "The template is disabled for low quality."),
    ErrorCode(132068, 400, _FINAL, "The flow is blocked."),
    ErrorCode(132069, 400, _RETRY, "The flow is throttled."),
    ErrorCode(133000, 500, _RETRY, "An earlier deregistration is not complete."),
    ErrorCode(133004, 503, _RETRY, "The registration server is busy."),
    ErrorCode(133005, 400, _FINAL, "The two-step verification PIN is wrong."),
    ErrorCode(133006, 400, _ACCOUNT, "The number must be verified first."),
    ErrorCode(133008, 400, _THROTTLE, "Too many wrong PINs."),
    ErrorCode(133009, 400, _THROTTLE, "The PIN was entered too fast."),
    ErrorCode(133010, 400, _ACCOUNT, "The number is not registered."),
    ErrorCode(133015, 400, _THROTTLE, "The number was deleted a moment ago; wait before registering it."),
    ErrorCode(133016, 400, _THROTTLE, "Ten registrations of a number in 72 hours are the limit."),
    ErrorCode(134011, 400, _ACCOUNT, "The terms of WhatsApp Payments are not accepted."),
    ErrorCode(134100, 400, _ROUTE, "Only marketing templates are sent on this way."),
    ErrorCode(134101, 400, _ROUTE, "The template is not synced for this way yet."),
    ErrorCode(134102, 500, _ROUTE, "The template is not available on this way."),
    ErrorCode(134103, None, _ROUTE, "The template cannot be used on this way."),
    ErrorCode(135000, 400, _FINAL, "The request's parameters were refused."),
    ErrorCode(136024, None, _THROTTLE, "Too many verification codes were requested."),
    ErrorCode(136025, None, _FINAL, "The verification code is wrong."),
    ErrorCode(137000, None, _FINAL, "The recipient's identity key has changed."),
    ErrorCode(139101, None, _FINAL, "The block list is full."),
    ErrorCode(139102, None, _RETRY, "The block list was changed by someone else at the same time."),
    ErrorCode(
        2388001, None, _ACCOUNT, "The number has two-step verification on, or belongs to another account."
    ),
    ErrorCode(2388012, None, _FINAL, "The number is on this account already."),
    ErrorCode(2388091, None, _ACCOUNT, "The number cannot receive a verification code."),
    ErrorCode(2388093, None, _ACCOUNT, "The number cannot receive a verification code."),
    ErrorCode(2388103, None, _ACCOUNT, "The number cannot be moved."),
    ErrorCode(2494100, None, _RETRY, "The number is in maintenance."),
    ErrorCode(2593107, 400, _FINAL, "The data of the WhatsApp Business app was requested before."),
    ErrorCode(2593108, 400, _FINAL, "The time to request the data of the WhatsApp Business app has passed."),
)

BY_CODE: dict[int, ErrorCode] = {row.code: row for row in TABLE}

# Every code from 200 to 299 is a missing permission.
_PERMISSIONS = range(200, 300)


def find_code(code: int) -> ErrorCode | None:
    """Return the row of a code."""
    if code in _PERMISSIONS:
        return ErrorCode(code, 403, RetryClass.AUTH, "A permission is missing.")
    return BY_CODE.get(code)


def classify(code: int | None, http_status: int, *, is_transient: bool, is_safe: bool) -> RetryClass:
    """Say what a refusal means; `is_safe` for calls that change nothing.

    A server error whose code says nothing leaves open whether the call was done.
    """
    known = find_code(code) if code is not None else None
    if known is not None:
        return known.retry_class
    if is_transient:
        return RetryClass.RETRY
    if http_status == 429:
        return RetryClass.THROTTLE
    if http_status in (401, 403):
        return RetryClass.AUTH
    if http_status >= 500:
        return RetryClass.RETRY if is_safe else RetryClass.AMBIGUOUS
    return RetryClass.FINAL
