"""What the Partner Hub's pages call things: states and outcomes in the reader's words, each with its tone.

The domain has stable codes and English sentences; everything here is marked for translation and translated
where it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping

from partnerhub.channels.life_cycle import Stage
from partnerhub.messaging.contents import ContentKind
from partnerhub.ui.frame import Tone
from partnerhub.web.navigation import N_
from partnerhub.webhooks.schemas import DeliveryState, Health, OwnerKind

Word = tuple[str, Tone]

STAGES: Mapping[Stage, Word] = {
    Stage.CREATED: (N_("Created"), "neutral"),
    Stage.UNVERIFIED: (N_("In review"), "info"),
    Stage.VERIFIED: (N_("Verified"), "info"),
    Stage.READY: (N_("Ready"), "info"),
    Stage.RUNNING: (N_("Running"), "good"),
    Stage.LIVE: (N_("Live"), "good"),
}
TERMINATED: Word = (N_("Terminated"), "neutral")
ENDS: Word = (N_("Ends this month"), "warn")
NEEDS_ACTION: Word = (N_("Needs action"), "bad")

QUALITIES: Mapping[str | None, tuple[int, str]] = {
    "GREEN": (3, N_("High")),
    "YELLOW": (2, N_("Medium")),
    "RED": (1, N_("Low")),
}
NOT_RATED = (0, N_("Not rated"))

LIMITS: Mapping[str | None, int] = {
    "TIER_50": 50,
    "TIER_250": 250,
    "TIER_1K": 1_000,
    "TIER_2K": 2_000,
    "TIER_10K": 10_000,
    "TIER_100K": 100_000,
}
UNLIMITED = N_("Unlimited")

META_STATES: Mapping[str, str] = {
    "CONNECTED": N_("Connected"),
    "PENDING": N_("Pending"),
    "DISCONNECTED": N_("Disconnected"),
    "FLAGGED": N_("Flagged"),
    "RESTRICTED": N_("Restricted"),
    "RATE_LIMITED": N_("Rate limited"),
    "BANNED": N_("Banned"),
    "UNVERIFIED": N_("Not verified"),
    "MIGRATED": N_("Migrated"),
    "DELETED": N_("Deleted"),
}
THROUGHPUTS: Mapping[str, str] = {
    "STANDARD": N_("80 messages a second"),
    "HIGH": N_("1,000 messages a second"),
}

HEALTH: Mapping[Health | None, Word] = {
    Health.DELIVERING: (N_("Delivering"), "good"),
    Health.FAILING: (N_("Not answering"), "bad"),
    Health.STOPPED: (N_("Stopped"), "warn"),
    None: (N_("Not set"), "neutral"),
}

DELIVERY_STATES: Mapping[DeliveryState, Word] = {
    DeliveryState.PENDING: (N_("Waiting"), "info"),
    DeliveryState.PARKED: (N_("Parked"), "warn"),
    DeliveryState.FAILED: (N_("Failed"), "bad"),
    DeliveryState.DELIVERED: (N_("Delivered"), "good"),
    DeliveryState.DISCARDED: (N_("Discarded"), "neutral"),
}

OWNERS: Mapping[OwnerKind, str] = {
    OwnerKind.PARTNER: N_("Partner webhook"),
    OwnerKind.CHANNEL: N_("Number"),
    OwnerKind.WABA: N_("WhatsApp account"),
}

# What a number's event is about, beside its name; `word` is Meta's own.
CONTENTS: Mapping[ContentKind, str] = {
    ContentKind.STATUS: N_("status {word}"),
    ContentKind.MESSAGE: "{word}",
    ContentKind.ECHO: N_("echo {word}"),
    ContentKind.CALL: N_("call {word}"),
}
CONTACT_ROLES: Mapping[bool, str] = {True: N_("Sender"), False: N_("Recipient")}

# Why an example of a URL is a bad one, by the code of the rule that it breaks.
URL_RULES: Mapping[str, str] = {
    "url_not_https": N_("not https"),
    "url_underscore": N_("an underscore in the host"),
    "url_port": N_("a port"),
    "url_private_address": N_("not a public address"),
}

PHASES: Mapping[str, str] = {
    "dns": N_("Name"),
    "connect": N_("Connect"),
    "tls": N_("TLS"),
    "first_byte": N_("First byte"),
    "body": N_("Body"),
}

# What happened to a number, as the audit log names it; with the new stage where there is one.
ACTIONS: Mapping[str, tuple[str, str, Tone]] = {
    "channel.created": (N_("Number connected"), "plus", "neutral"),
    "channel.advanced": (N_("Moved to “{stage}”"), "arrow-right", "good"),
    "permission.granted": (N_("Permission shared with you"), "lock-open", "good"),
    "permission.revoked": (N_("Permission withdrawn"), "lock", "warn"),
    "channel_key.created": (N_("API key created"), "key-round", "neutral"),
    "channel_key.revoked": (N_("API key revoked"), "key-round", "warn"),
    "webhook.set": (N_("Webhook of the number set"), "webhook", "neutral"),
    "webhook.removed": (N_("Webhook of the number removed"), "webhook", "warn"),
    "channel.cancellation_request": (N_("Cancelled to the end of the month"), "calendar", "warn"),
    "channel.cancellation_revoke": (N_("Cancellation withdrawn"), "rotate-cw", "good"),
    "channel.cancellation_processed": (N_("Terminated"), "ban", "bad"),
}

# An outcome of a delivery or test by its code: what it means, and what to do about it.
OUTCOMES: Mapping[str, tuple[str, str]] = {
    "ok": (N_("The receiver took the event."), ""),
    "ok_not_200": (
        N_("The receiver answered {status}, which counts as delivered."),
        N_("Answer 200 instead: some senders accept nothing else."),
    ),
    "dns": (
        N_("The host name could not be resolved."),
        N_("Check the spelling of the host and that its DNS record is public."),
    ),
    "refused": (
        N_("The host refused the connection."),
        N_("Check that the server runs, listens on port 443 and that no firewall refuses us."),
    ),
    "reset": (
        N_("The connection was cut before an answer came."),
        N_("Look for a proxy or firewall that closes connections, and at the server's log."),
    ),
    "closed": (
        N_("The server closed the connection without answering."),
        N_("Look at the server's log: the process may have crashed or timed out on its side."),
    ),
    "tls": (
        N_("The TLS handshake failed."),
        N_("Check that the certificate is valid, complete with its intermediates, and issued for this host."),
    ),
    "timeout_connect": (
        N_("The connection could not be made in time."),
        N_("Check the firewall: packets to the server seem to be dropped."),
    ),
    "timeout_first_byte": (
        N_("The server took the request and did not answer in time."),
        N_("Answer first and work afterwards: put the event in a queue and return 200 at once."),
    ),
    "timeout_total": (
        N_("The exchange took too long as a whole."),
        N_("Answer with a short body at once; the limit covers the whole answer."),
    ),
    "blocked": (
        N_("The host resolves to an address that is not public."),
        N_("Use a host that the internet can reach; private and local addresses are never called."),
    ),
    "too_large": (
        N_("The head of the answer is larger than allowed."),
        N_("Send fewer or shorter response headers."),
    ),
    "malformed": (
        N_("The answer is not valid HTTP."),
        N_("Check that the URL leads to an HTTP server and not to another service."),
    ),
    "url_invalid": (N_("The URL cannot be called."), N_("Correct the URL.")),
    "redirect": (
        N_("The server answered {status} and points elsewhere. Redirects are not followed."),
        N_("Set the final address as webhook URL."),
    ),
    "gone": (
        N_("The server answered 410: nothing is wanted at this address any more."),
        N_("A live delivery with this answer disables the webhook. Set the right URL."),
    ),
    "throttled": (
        N_("The server answered 429: it wants fewer requests."),
        N_("Raise the limit for our requests, or take events into a queue."),
    ),
    "client_error": (
        N_("The server refused the event with {status}."),
        N_("Check the path, that POST is allowed, and what the server demands (custom headers, signature)."),
    ),
    "server_error": (
        N_("The server failed with {status}."),
        N_("Look at the server's log for this moment."),
    ),
    "endpoint_removed": (
        N_("The webhook was removed before the event was delivered."),
        N_("Set a webhook URL and send the event again."),
    ),
    "expired": (
        N_("Seven days passed without success, so we gave up."),
        N_("Send the event again once the receiver works."),
    ),
    "local": (
        N_("We could not send it ourselves."),
        N_("Try again; if it stays, tell the operator of this installation."),
    ),
    "internal": (
        N_("We could not send it ourselves."),
        N_("Try again; if it stays, tell the operator of this installation."),
    ),
}


# Why IO Signature kept a link out, by the error's code.
REFUSALS: Mapping[str, str] = {
    "io_signature_missing": N_("No signature"),
    "io_signature_malformed": N_("Not written as a signature"),
    "io_signature_bad": N_("Signature does not fit"),
    "io_signature_too_old": N_("Signed too long ago"),
    "io_signature_in_future": N_("Signed in the future"),
    "io_signature_used": N_("Used already"),
}

# What opening the redirect URL showed, by its code: what it means, and what to do about it.
REDIRECTS: Mapping[str, tuple[str, str]] = {
    "ok": (
        N_("The page answers."),
        N_("Nothing to do."),
    ),
    "ok_after_redirects": (
        N_("The page answers, after redirects to {location}."),
        N_("Check that every redirect keeps the query: it carries the client's id and the numbers' ids."),
    ),
    "redirect_insecure": (
        N_("A redirect leads to {location}, which is not https."),
        N_("Keep every step on https: ids of clients and numbers are in the query."),
    ),
    "redirect_without_target": (
        N_("The server answered {status} without saying where to go."),
        N_("Send a Location header with the redirect, or answer with the page itself."),
    ),
    "too_many_redirects": (
        N_("The page redirects more than five times."),
        N_("Look for a loop, often between http and https or around signing in."),
    ),
    "url_invalid": (
        N_("A redirect leads to an address that a browser on the web cannot open: {location}"),
        N_("Answer with a page; it can open your app itself."),
    ),
    "client_error": (
        N_("The server refused the page with {status}."),
        N_(
            "Check the path. Where the page is only for people who are signed in, let returning clients"
            " see it."
        ),
    ),
    "server_error": (
        N_("The server failed with {status}."),
        N_("Look at the server's log for this moment."),
    ),
    "dns": (
        N_("The host name could not be resolved."),
        N_("Check the spelling of the host and that its DNS record is public."),
    ),
    "refused": (
        N_("The host refused the connection."),
        N_("Check that the server runs, listens on port 443 and that no firewall refuses visitors."),
    ),
    "reset": (
        N_("The connection was cut before an answer came."),
        N_("Look for a proxy or firewall that closes connections, and at the server's log."),
    ),
    "closed": (
        N_("The server closed the connection without answering."),
        N_("Look at the server's log: the process may have crashed."),
    ),
    "tls": (
        N_("The TLS handshake failed."),
        N_("Check that the certificate is valid, complete with its intermediates, and issued for this host."),
    ),
    "timeout": (
        N_("The page did not answer within five seconds."),
        N_("Clients would wait too: make it quicker."),
    ),
    "blocked": (
        N_("The host resolves to an address that is not public."),
        N_("Use a host that your clients can reach; private and local addresses are never called."),
    ),
    "malformed": (
        N_("The answer is not valid HTTP."),
        N_("Check that the URL leads to a web server and not to another service."),
    ),
    "local": (
        N_("We could not make the test ourselves."),
        N_("Try again; if it stays, tell the operator of this installation."),
    ),
}


# What a pasted body and signature have right or wrong, by the finding's code, and what to do about it.
FINDINGS: Mapping[str, tuple[str, str]] = {
    "fits": (
        N_("The signature fits the body."),
        N_("Nothing to do."),
    ),
    "fits_previous": (
        N_("The signature fits, with the secret that is being replaced."),
        N_("Put the current secret into your receiver before the overlap ends."),
    ),
    "secret_retired": (
        N_("The signature was made with a secret that signs no longer."),
        N_("Put the current secret into your receiver; nothing is signed with this one any more."),
    ),
    "secret_newline": (
        N_("The secret was used with a newline or blank at its end."),
        N_("Strip the secret where your receiver reads it from a file or variable."),
    ),
    "secret_decoded": (
        N_("The secret was decoded before it was used."),
        N_("Use the secret's text as it is, as UTF-8 bytes: it is no base64."),
    ),
    "secret_standard": (
        N_("The secret was used in the form that is for Standard Webhooks libraries."),
        N_("For this header use the platform secret itself, without whsec_."),
    ),
    "signature_case": (
        N_("The signature is in upper case."),
        N_("We send lower-case hex; compare with it exactly as it came."),
    ),
    "signature_prefix": (
        N_("The signature has a prefix such as sha256=."),
        N_("We send bare hex without a prefix; compare without one."),
    ),
    "signature_blank": (
        N_("The signature has blanks, quotes or a newline around or inside it."),
        N_("Compare the header's value alone."),
    ),
    "signature_base64": (
        N_("The signature is in base64."),
        N_("This header is lower-case hex; only webhook-signature is base64."),
    ),
    "algorithm": (
        N_("The signature was made with another algorithm than HMAC-SHA256."),
        N_("Use HMAC with SHA-256, keyed with the platform secret."),
    ),
    "body_blank_end": (
        N_("The body has blanks or a newline around it that were not sent."),
        N_("Sign the raw bytes of the request. If you pasted it, take the newline off."),
    ),
    "body_line_ends": (
        N_("The body's line ends were changed."),
        N_("Read the body as bytes and not as text."),
    ),
    "body_mark": (
        N_("The body begins with a byte order mark that was not sent."),
        N_("Read the body as bytes and not as text."),
    ),
    "body_reserialised": (
        N_("The body is the same JSON in another writing: blanks, order or escapes were changed."),
        N_("Sign the raw bytes of the request, before a JSON parser sees them; parse afterwards."),
    ),
    "body_changed": (
        N_("The body is not what we sent under this id: it differs from byte {position} on."),
        N_("Something between us and your check changes it. Sign the raw bytes of the request."),
    ),
    "secret_other": (
        N_("The body is what we sent, but no secret of yours made this signature."),
        N_("Check which secret your receiver uses, and that the signature is this delivery's."),
    ),
    "no_fit": (
        N_("No secret of yours makes this signature of this body."),
        N_("Either the body was changed or another secret was used. Compare with the delivery log."),
    ),
    "signature_shape": (
        N_("This is no signature of ours: {length} characters instead of 64 hex digits."),
        N_("Paste the value of x-360dialog-signature, whole."),
    ),
    "signature_missing": (
        N_("There is no signature to check."),
        N_("Paste the value of x-360dialog-signature."),
    ),
    "standard_headers_missing": (
        N_("A Standard Webhooks signature also covers id and time, and they are missing."),
        N_("Give webhook-id and webhook-timestamp of the same request, too."),
    ),
    "secret_missing": (
        N_("There is no platform secret yet, so nothing is signed."),
        N_("Generate one first."),
    ),
}


def outcome_words(code: str, status: int | None) -> tuple[str, str]:
    """Return what an outcome means and what to do, still to be translated and filled with `status`."""
    if code in OUTCOMES:
        return OUTCOMES[code]
    return OUTCOMES["client_error" if status else "internal"]
