"""Errors in the reader's words: the codes that pages show often, ready for translation.

The domain speaks English; a code that is missing here is shown with the domain's own message, in the
reader's language where the message is one of `SENTENCES`.
"""

from __future__ import annotations

from collections.abc import Mapping

from partnerhub.web.navigation import N_

HEADINGS: Mapping[int, str] = {
    400: N_("This request does not work"),
    401: N_("Please sign in"),
    403: N_("You may not do this"),
    404: N_("This page does not exist"),
    405: N_("This page does not exist"),
    409: N_("This does not work any more"),
    413: N_("This is too large"),
    429: N_("Too many attempts"),
    431: N_("Too many cookies"),
    500: N_("Something went wrong on our side"),
    502: N_("A service we depend on failed"),
    503: N_("We are not available right now"),
    504: N_("A service we depend on did not answer"),
}

ERRORS: Mapping[str, str] = {
    "route_not_found": N_("It may have moved, or the address has a typing mistake."),
    "method_not_allowed": N_("It may have moved, or the address has a typing mistake."),
    "internal_error": N_(
        "Nothing was changed as far as we know. With the request ID support can find the cause."
    ),
    "database_away": N_("Try again in a moment."),
    "not_signed_in": N_("Sign in to see this page."),
    "wrong_hub": N_("Your account has no place in this hub."),
    "no_place_in_hub": N_("Your account has no place in this hub."),
    "role_missing": N_("Only owners may do this."),
    "foreign_partner": N_("This partner is not yours."),
    "cross_site": N_("This page is from an earlier session. Load it again and repeat what you did."),
    "sign_in_refused": N_("E-mail or password is not right."),
    "sign_in_limited": N_("Too many attempts. Wait before you try again."),
    "sign_in_busy": N_("Too many people sign in at this moment. Try again in a few seconds."),
    "replay_too_large": N_("Narrow the log by time or webhook: 50,000 deliveries go at once at most."),
    "too_many": N_("Too many attempts. Wait before you try again."),
    "code_needed": N_("Enter the code from the mail."),
    "code_wrong": N_("This is not the code from the last mail."),
    "code_expired": N_("This code is used up or too old. Ask for a new one."),
    "code_limited": N_("Too many codes were asked for. Use the last one or wait."),
    "link_expired": N_("This link was used, replaced or is too old. Ask for a new one."),
    "password_wrong": N_("This is not your current password."),
    "session_ended": N_("The session has ended. Sign in again."),
    "email_invalid": N_("Write an e-mail address like name@company.example."),
    "partner_link_unknown": N_("The link names no partner that we know."),
    "onboarding_closed": N_("The partner takes no new numbers at the moment."),
    "redirect_not_allowed": N_("The link leads back to an address that the partner did not set."),
    "state_refused": N_("The link carries more than this page can hand back, or it is damaged (state)."),
    "io_signature_missing": N_("The link is not signed. The partner lets people in from its own page only."),
    "io_signature_malformed": N_("The link's signature is damaged: a part of it may be missing."),
    "io_signature_bad": N_("The link's signature is not the partner's."),
    "io_signature_too_old": N_("The link was made too long ago: it is good for a few minutes."),
    "io_signature_in_future": N_(
        "The link is made for a later time: a clock on the partner's side is wrong."
    ),
    "io_signature_used": N_(
        "The link was opened in another browser before, somebody opened theirs in the same second, or another"
        " sign-up went on with it."
    ),
    "cookies_too_large": N_(
        "Your browser sends more cookies than this site has set. Delete the cookies of this site."
    ),
    "cookies_needed": N_(
        "The link belongs to the browser that opens it, and a cookie tells us which one it is."
    ),
    "onboarding_unknown": N_("It took too long, or it was begun in another browser."),
    "account_exists": N_("There is an account with this e-mail address. Sign in with it."),
    "client_may_not_add": N_("The partner does not let you add further numbers by yourself."),
    "prices_changed": N_("The prices changed while you looked at them. These are the new ones."),
    "prices_missing": N_("There are no prices in the partner's currency yet."),
    "payment_method_needed": N_("No payment provider is set, and without a payment method nobody goes on."),
    "permission_fixed": N_("The partner pays for this number. Ask there to end the permission."),
    "signup_mismatch": N_("Meta does not confirm what its window reported. Open the window again."),
    "number_taken": N_("This number belongs to another account here."),
}

SENTENCES = (
    N_("Use at least 12 characters."),
    N_("Use at most 128 characters."),
    N_("Use a less regular password."),
    N_("This password is one of the first that are tried. Use another."),
    N_("Do not build the password from your name or e-mail address."),
    N_("Accept the terms of service to go on."),
    N_("Needed to go on."),
    N_("Enter the company's name."),
    N_("Enter your name."),
    N_("Use at most 200 characters."),
    N_("Meta could not be reached. Try again in a moment."),
    N_("Meta's answer was lost: the step may have been carried out. Try again; nothing is done twice."),
    N_("Meta's answer cannot be read: the step may have been carried out. Try again in a moment."),
    N_("Meta's window ended without a result. Open it again."),
    N_("No WhatsApp account was shared. Open Meta's window again and choose one."),
    N_("The account has no phone number yet. Open Meta's window again and add one."),
    N_("The number that the window reported does not belong to the account."),
    N_("Meta did not say which phone number was shared."),
    N_("The URL is longer than 2048 characters."),
    N_("Take the user name and password out of the URL."),
    N_("The URL must begin with https://."),
    N_("Write the whole URL, such as https://hooks.acme.example/whatsapp."),
    N_("Write a host with letters beyond a to z in its xn-- form."),
    N_("The host has an underscore; use a name of letters, digits and hyphens."),
    N_("The URL has a port; leave it out, https uses 443."),
    N_("The internet cannot reach this host; use a public name or address."),
    N_("Take the part from # on out of the URL; it is never sent."),
    N_("An origin is https:// and a host name, without a path."),
    N_("The URL has a space, a control character or a backslash in it."),
    N_("The URL is not of the form https://host/path, without a user name in it."),
    N_("The port of the URL is not between 1 and 65535."),
    N_("The host of the URL is not an IPv6 address."),
    N_("The host is a number or a shortened address; write an address in full."),
    N_("The host of the URL is not a valid name."),
    N_("A header name is given twice; its case does not matter."),
    N_("A header name has a letter that is not allowed in it."),
    N_("At most 20 custom headers."),
    N_("Custom headers hold at most 8192 bytes."),
    N_("Set a webhook URL first; headers go with it."),
    N_("The brand name has 1 to 100 characters."),
    N_("The logo's address begins with https:// and a host name."),
    N_("The solution id is a number of 14 to 18 digits."),
    N_("New numbers are hosted by Meta: choose cloud_api."),
    N_("The overlap is 0 to 720 hours."),
)
"""What the domain says of a field or a step where one code has several reasons."""
