"""Looking at a redirect URL as a client's browser would: GET, following redirects, and what that means.

Every hop goes through the guarded client, so a redirect never leads inwards. Nothing of the partner's is
sent: no header, no cookie, no id of a client. Texts are English here and keys for translation in the pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

from partnerhub.kit.errors import HubError
from partnerhub.kit.http import HttpClient, Timeouts, Timings
from partnerhub.webhooks import outcomes
from partnerhub.webhooks.outcomes import Outcome
from partnerhub.webhooks.urls import find_problems

MOST_REDIRECTS: Final = 5
_TIMEOUTS = Timeouts(connect_seconds=5, first_byte_seconds=5, total_seconds=5)
_READ_BYTES = 64 * 1024
_HEADERS = (("Accept", "text/html, */*;q=0.1"),)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

# A failure below HTTP, or a status; the codes are those of deliveries wherever they mean the same.
MEANINGS: Mapping[str, tuple[str, str]] = {
    "ok": ("The page answers.", "Nothing to do."),
    "ok_after_redirects": (
        "The page answers, after redirects to {location}.",
        "Check that every redirect keeps the query: it carries the client's id and the numbers' ids.",
    ),
    "redirect_insecure": (
        "A redirect leads to {location}, which is not https.",
        "Keep every step on https: ids of clients and numbers are in the query.",
    ),
    "redirect_without_target": (
        "The server answered {status} without saying where to go.",
        "Send a Location header with the redirect, or answer with the page itself.",
    ),
    "too_many_redirects": (
        "The page redirects more than five times.",
        "Look for a loop, often between http and https or around signing in.",
    ),
    "url_invalid": (
        "A redirect leads to an address that a browser on the web cannot open: {location}",
        "Answer with a page; it can open your app itself.",
    ),
    "client_error": (
        "The server refused the page with {status}.",
        "Check the path. Where the page is only for people who are signed in, let clients who return see it.",
    ),
    "server_error": ("The server failed with {status}.", "Look at the server's log for this moment."),
    "dns": (
        "The host name could not be resolved.",
        "Check the spelling of the host and that its DNS record is public.",
    ),
    "refused": (
        "The host refused the connection.",
        "Check that the server runs, listens on port 443 and that no firewall refuses visitors.",
    ),
    "reset": (
        "The connection was cut before an answer came.",
        "Look for a proxy or firewall that closes connections, and at the server's log.",
    ),
    "closed": (
        "The server closed the connection without answering.",
        "Look at the server's log: the process may have crashed.",
    ),
    "tls": (
        "The TLS handshake failed.",
        "Check that the certificate is valid, complete with its intermediates, and issued for this host.",
    ),
    "timeout": ("The page did not answer within five seconds.", "Clients would wait too: make it quicker."),
    "blocked": (
        "The host resolves to an address that is not public.",
        "Use a host that your clients can reach; private and local addresses are never called.",
    ),
    "malformed": (
        "The answer is not valid HTTP.",
        "Check that the URL leads to a web server and not to another service.",
    ),
    "local": (
        "We could not make the test ourselves.",
        "Try again; if it stays, tell the operator of this installation.",
    ),
}
_SAME = {
    "gone": "client_error",
    "throttled": "client_error",
    "timeout_connect": "timeout",
    "timeout_first_byte": "timeout",
    "timeout_total": "timeout",
    "too_large": "malformed",
    "internal": "local",
}


@dataclass(frozen=True)
class Hop:
    """One address that was opened; `location` is where it led to, as a whole URL."""

    url: str
    outcome: Outcome
    location: str | None = None

    @property
    def status(self) -> int | None:
        """The status of the answer, None where there was none."""
        return self.outcome.status

    @property
    def timings(self) -> Timings:
        """How long each phase took."""
        return self.outcome.timings


@dataclass(frozen=True)
class RedirectResult:
    """What opening a redirect URL showed. `code` is a key of `MEANINGS`; the last hop decided."""

    code: str
    is_success: bool
    verdict: str
    advice: str
    request_headers: Sequence[tuple[str, str]]
    hops: Sequence[Hop]

    @property
    def last(self) -> Hop:
        """The hop that decided."""
        return self.hops[-1]


async def open_page(http: HttpClient, *, url: str, allow_loopback: bool = False) -> RedirectResult:
    """Open a URL that was checked, follow its redirects, and say what came of it."""
    hops: list[Hop] = []
    while True:
        hop = await _open(http, url)
        hops.append(hop)
        code = _code_of(hops, allow_loopback=allow_loopback)
        if code is not None or hop.location is None:
            return _result(code or "local", hops)
        url = hop.location


async def _open(http: HttpClient, url: str) -> Hop:
    try:
        answer = await http.request(
            "GET", url, headers=_HEADERS, timeouts=_TIMEOUTS, max_body_bytes=_READ_BYTES, repeatable=True
        )
        outcome = outcomes.of_answer(answer)
    except HubError as error:
        outcome = outcomes.of_error(error)
    if outcome.status not in _REDIRECTS or not outcome.location:
        return Hop(url, outcome)
    try:
        target = urljoin(url, outcome.location).partition("#")[0]
    except ValueError:
        target = outcome.location
    return Hop(url, outcome, target)


def _code_of(hops: Sequence[Hop], *, allow_loopback: bool) -> str | None:
    """Say what the last hop decided, or None where a further one is to be opened."""
    hop = hops[-1]
    outcome = hop.outcome
    if hop.location is not None:
        broken = {one.code for one in find_problems(hop.location, allow_loopback=allow_loopback)}
        if not hop.location.lower().startswith(("http://", "https://")) or "url_invalid" in broken:
            return "url_invalid"
        if "url_not_https" in broken:
            return "redirect_insecure"
        return "too_many_redirects" if len(hops) > MOST_REDIRECTS else None
    if outcome.error is None:
        return "ok" if len(hops) == 1 else "ok_after_redirects"
    if outcome.error == "redirect":
        return "redirect_without_target"
    return _SAME.get(outcome.error, outcome.error)


def _result(code: str, hops: Sequence[Hop]) -> RedirectResult:
    last = hops[-1]
    meaning, advice = MEANINGS[code]
    return RedirectResult(
        code=code,
        is_success=code in {"ok", "ok_after_redirects"},
        verdict=meaning.format(status=last.status, location=last.location or last.url),
        advice=advice,
        request_headers=_HEADERS,
        hops=hops,
    )
