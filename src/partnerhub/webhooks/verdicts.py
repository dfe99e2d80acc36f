"""What an outcome means, in words for the person who set the URL up.

Every kind of failure has a sentence and what to do about it; the kinds themselves are stable codes. Texts are
English here and keys for translation in the pages.
"""

from __future__ import annotations

from partnerhub.kit.http import Timings
from partnerhub.webhooks.outcomes import Outcome
from partnerhub.webhooks.schemas import Phase

_MEANINGS: dict[str, tuple[str, str]] = {
    "ok": ("The receiver took the event.", "Nothing to do."),
    "ok_not_200": (
        "The receiver answered {status}, which counts as delivered.",
        "Answer 200 instead: some senders accept nothing else.",
    ),
    "dns": (
        "The host name could not be resolved.",
        "Check the spelling of the host and that its DNS record is public.",
    ),
    "refused": (
        "The host refused the connection.",
        "Check that the server runs, listens on port 443 and that no firewall refuses us.",
    ),
    "reset": (
        "The connection was cut before an answer came.",
        "Look for a proxy or firewall that closes connections, and at the server's log.",
    ),
    "closed": (
        "The server closed the connection without answering.",
        "Look at the server's log: the process may have crashed or timed out on its side.",
    ),
    "tls": (
        "The TLS handshake failed: {detail}",
        "Check that the certificate is valid, complete with its intermediates, and issued for this host.",
    ),
    "timeout_connect": (
        "The connection could not be made in time.",
        "Check the firewall: packets to the server seem to be dropped.",
    ),
    "timeout_first_byte": (
        "The server took the request and did not answer in time.",
        "Answer first and work afterwards: put the event in a queue and return 200 at once.",
    ),
    "timeout_total": (
        "The exchange took too long as a whole.",
        "Answer with a short body at once; the limit covers the whole answer.",
    ),
    "blocked": (
        "The host resolves to an address that is not public.",
        "Use a host that the internet can reach; private and local addresses are never called.",
    ),
    "too_large": (
        "The head of the answer is larger than allowed.",
        "Send fewer or shorter response headers.",
    ),
    "malformed": (
        "The answer is not valid HTTP.",
        "Check that the URL leads to an HTTP server and not to another service.",
    ),
    "url_invalid": ("The URL cannot be called: {detail}", "Correct the URL."),
    "redirect": (
        "The server answered {status} and points to {location}. Redirects are not followed.",
        "Set the final address as webhook URL.",
    ),
    "gone": (
        "The server answered 410: nothing is wanted at this address any more.",
        "A live delivery with this answer disables the webhook. Set the right URL.",
    ),
    "throttled": (
        "The server answered 429: it wants fewer requests.",
        "Raise the limit for our requests, or take events into a queue.",
    ),
    "client_error": (
        "The server refused the event with {status}.",
        "Check the path, that POST is allowed, and what the server demands (custom headers, signature).",
    ),
    "server_error": (
        "The server failed with {status}.",
        "Look at the server's log for this moment.",
    ),
    "endpoint_removed": (
        "The webhook was removed before the event was delivered.",
        "Set a webhook URL and send the event again.",
    ),
    "expired": (
        "Seven days passed without success, so we gave up.",
        "Send the event again once the receiver works.",
    ),
    "local": (
        "We could not send the test ourselves.",
        "Try again; if it stays, tell the operator of this installation.",
    ),
    "internal": (
        "We could not send the test ourselves.",
        "Try again; if it stays, tell the operator of this installation.",
    ),
}

CODES = frozenset(_MEANINGS)


def code_of(outcome: Outcome) -> str:
    """Return the stable code of an outcome: `ok`, `ok_not_200` or the kind of failure."""
    if outcome.error is not None:
        return outcome.error
    return "ok" if outcome.status == 200 else "ok_not_200"


def explain(outcome: Outcome) -> tuple[str, str]:
    """Return what an outcome means and what to do about it."""
    meaning, advice = _MEANINGS[code_of(outcome)]
    return (
        meaning.format(
            status=outcome.status,
            detail=outcome.detail or "no detail",
            location=outcome.location or "nowhere",
        ),
        advice,
    )


def explain_code(code: str, *, status: int | None = None) -> tuple[str, str]:
    """Return the same for a line of the log, where only the code and the status are kept."""
    meaning, advice = _MEANINGS.get(code, _MEANINGS["internal"])
    return meaning.format(status=status, detail="see the attempt", location="another address"), advice


def phases_of(timings: Timings) -> list[Phase]:
    """Return the phases that happened, in their order."""
    named = (
        ("dns", timings.dns_us),
        ("connect", timings.connect_us),
        ("tls", timings.tls_us),
        ("first_byte", timings.first_byte_us),
        ("body", timings.body_us),
    )
    return [Phase(name, microseconds) for name, microseconds in named if microseconds]
