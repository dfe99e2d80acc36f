"""Which URLs and headers a webhook may have; a redirect URL follows the same rules.

Checked when they are set; the HTTP client checks every address again after resolution, at each attempt. The
rules on underscores and ports hold for the host of the URL and for hosts inside header values. Every problem
is found at once and has its own code and sentence; the examples are for people who fill in a field.
Source: onboarding documentation of the compatible product, "set multiple webhooks for phone number".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from partnerhub.kit.errors import HubError, Problem
from partnerhub.kit.http import AddressPolicy, InvalidHeader, Target, check_header, parse_url, refusal
from partnerhub.webhooks.errors import HeaderRefused, UrlRefused

MAX_URL_LENGTH = 2048
MAX_HEADERS = 20
MAX_HEADER_BYTES = 8192

# Names that no public resolver answers (RFC 6761, RFC 6762, RFC 8375, ICANN 2024 for .internal).
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".intranet")
# From "://" on and never over a slash, so that no text is read twice.
_URL_IN_VALUE = re.compile(
    r"(?<=[a-z0-9+.-])://(?:[^/?#\s@]*@)?(\[[^\]/\s]*\]|[^/?#\s:,;\"']*)(:[0-9]+)?", re.IGNORECASE
)
# A host without a scheme is one where the header says so by its name, such as X-Forwarded-Host, or where the
# value is nothing but a dotted name and a port. Other words with underscores and colons are tokens.
_HOST_NAMED = re.compile(r"(?:.*-)?(?:host|hostname|domain)", re.IGNORECASE)
_HOST_OF_PART = re.compile(r"(\[[^\]\s]*\]|[^/?#\s:]*)(:[0-9]+)?")
_HOST_AND_PORT = re.compile(r"((?:[a-z0-9_-]+\.)+[a-z]{2,63})(:[0-9]{1,5})", re.IGNORECASE)
_CREDENTIAL_NAMED = re.compile(r".*(?:auth|token|key|secret|signature|cookie|password).*", re.IGNORECASE)
_SIGNATURE_HEADERS = ("x-360dialog-signature", "x-360dialog-signature-previous")
_SIGNATURE_PREFIX = "webhook-"


@dataclass(frozen=True)
class Example:
    """A URL to show under a field; `code` is the first rule it breaks, None where it is fine."""

    url: str
    code: str | None = None


VALID_EXAMPLES = (
    Example("https://hooks.acme.example/whatsapp"),
    Example("https://acme.example/whatsapp?tenant=7"),
    Example("https://my-host.acme.example/under_score/in_the_path"),
)
"""URLs as they should be, the plainest first."""

INVALID_EXAMPLES = (
    Example("http://acme.example/whatsapp", "url_not_https"),
    Example("https://my_host.acme.example/whatsapp", "url_underscore"),
    Example("https://acme.example:8443/whatsapp", "url_port"),
    Example("https://192.168.0.10/whatsapp", "url_private_address"),
    Example("https://localhost/whatsapp", "url_private_address"),
    Example("https://user:password@acme.example/whatsapp", "url_credentials"),
    Example("https://acme.example/whatsapp#top", "url_fragment"),
    Example("acme.example/whatsapp", "url_invalid"),
)
"""One URL for each rule, the usual mistakes first."""

_MESSAGES: Mapping[str, str] = {
    "url_too_long": f"The URL is longer than {MAX_URL_LENGTH} characters.",
    "url_credentials": "Take the user name and password out of the URL.",
    "url_not_https": "The URL must begin with https://.",
    "url_invalid": "Write the whole URL, such as https://hooks.acme.example/whatsapp.",
    "url_underscore": "The host has an underscore; use a name of letters, digits and hyphens.",
    "url_port": "The URL has a port; leave it out, https uses 443.",
    "url_private_address": "The internet cannot reach this host; use a public name or address.",
    "url_fragment": "Take the part from # on out of the URL; it is never sent.",
}
_OTHER_LETTERS = "Write a host with letters beyond a to z in its xn-- form."


def find_problems(url: str, *, allow_loopback: bool = False, field: str = "url") -> list[Problem]:
    """Return every rule that a webhook or redirect URL breaks, as problems of `field`; none when it is fine.

    `allow_loopback` is for development: http and a port are then fine on this machine's own addresses.
    """

    def broken(code: str, message: str = "") -> Problem:
        return Problem(field, code, message or _MESSAGES[code])

    if len(url) > MAX_URL_LENGTH:
        return [broken("url_too_long")]
    scheme, separator, rest = url.partition("://")
    if not separator or not scheme:
        return [broken("url_invalid")]
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    host_and_port = authority.rpartition("@")[2]
    found = []
    if host_and_port != authority:
        found.append(broken("url_credentials"))
    if "#" in rest:
        found.append(broken("url_fragment"))
    is_http, is_https = scheme.lower() == "http", scheme.lower() == "https"
    # What is left without the mistakes above says whether it is a URL at all.
    path = rest[len(authority) :].partition("#")[0]
    try:
        target = parse_url(f"https://{host_and_port}{path}")
    except HubError as error:
        other_letters = bool(host_and_port) and not host_and_port.isascii()
        invalid = broken("url_invalid", _OTHER_LETTERS if other_letters else error.message)
        return [*found, *([] if is_https else [broken("url_not_https")]), invalid]
    if allow_loopback and (is_http or is_https) and _is_loopback(target):
        return found
    if not is_https:
        found.append(broken("url_not_https"))
    if "_" in target.host:
        found.append(broken("url_underscore"))
    if re.search(r":[0-9]*$", host_and_port):
        found.append(broken("url_port"))
    if not _is_public(target):
        found.append(broken("url_private_address"))
    return found


def check_url(url: str, *, allow_loopback: bool = False) -> None:
    """Refuse a URL that no webhook may have; the error carries every rule it breaks.

    Raises: UrlRefused with the code of the first: `url_invalid`, `url_too_long`, `url_not_https`,
    `url_credentials`, `url_underscore`, `url_port`, `url_private_address` or `url_fragment`.
    """
    if problems := find_problems(url, allow_loopback=allow_loopback):
        raise UrlRefused(
            " ".join(problem.message for problem in problems), code=problems[0].code, problems=problems
        )


def find_header_problems(headers: Mapping[str, str]) -> list[Problem]:
    """Return every rule that custom headers break; `field` is the header's name, or `headers` for all.

    Of headers that are too many or too large nothing else is looked at.
    """
    found = []
    if len(headers) > MAX_HEADERS:
        found.append(Problem("headers", "headers_too_large", f"At most {MAX_HEADERS} custom headers."))
    if sum(len(name) + len(value) for name, value in headers.items()) > MAX_HEADER_BYTES:
        words = f"Custom headers hold at most {MAX_HEADER_BYTES} bytes."
        found.append(Problem("headers", "headers_too_large", words))
    if found:
        return found
    if len({name.lower() for name in headers}) < len(headers):
        words = "A header name is given twice; its case does not matter."
        found.append(Problem("headers", "header_invalid", words))
    for name, value in headers.items():
        found += _problems_of_header(name, value)
    return found


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse custom headers that must not be sent: framing, Host, signatures, line breaks, too many.

    Hosts inside values follow the rules on underscores and ports. The error carries every
    problem. Raises: HeaderRefused with the code of the first: `header_invalid`, `header_reserved`,
    `headers_too_large`, `url_underscore` or `url_port`.
    """
    if problems := find_header_problems(headers):
        raise HeaderRefused(
            " ".join(problem.message for problem in problems), code=problems[0].code, problems=problems
        )


def mask(value: str) -> str:
    """Return a secret as people may see it: its last four characters, and none of a short one."""
    return f"••••{value[-4:]}" if len(value) >= 8 else "••••"


@lru_cache(maxsize=4096)
def origin_of(url: str) -> str:
    """Return what connections are shared by, for counting; a URL we cannot call is an origin of its own."""
    try:
        target = parse_url(url)
    except HubError:
        return url
    return f"{target.is_tls}:{target.host}:{target.port}"


def _is_loopback(target: Target) -> bool:
    if target.is_literal:
        return (
            refusal(target.host, AddressPolicy.PUBLIC_AND_LOOPBACK) is None
            and refusal(target.host, AddressPolicy.PUBLIC) is not None
        )
    return target.host == "localhost" or target.host.endswith(".localhost")


def _is_public(target: Target) -> bool:
    if target.is_literal:
        return refusal(target.host, AddressPolicy.PUBLIC) is None
    name = target.host.removesuffix(".")
    return "." in name and not name.endswith(_PRIVATE_SUFFIXES)


def _problems_of_header(name: str, value: str) -> list[Problem]:
    lower = name.lower()
    if lower in _SIGNATURE_HEADERS or lower.startswith(_SIGNATURE_PREFIX):
        return [Problem(name, "header_reserved", f"The header {name} is set by us on every delivery.")]
    try:
        check_header(name, value)
    except InvalidHeader as error:
        reserved = "belongs to the connection" in error.message
        return [Problem(name, "header_reserved" if reserved else "header_invalid", error.message)]
    found = []
    hosts = _hosts_in(name, value)
    if any("_" in host for host, _ in hosts):
        words = f"The header {name} holds a host with an underscore."
        found.append(Problem(name, "url_underscore", words))
    if any(port for _, port in hosts):
        found.append(Problem(name, "url_port", f"The header {name} holds a host with a port."))
    return found


def _hosts_in(name: str, value: str) -> list[tuple[str, str | None]]:
    """Return the hosts that a header's value names, each with its port."""
    hosts = [(match[1], match[2]) for match in _URL_IN_VALUE.finditer(value)]
    if _HOST_NAMED.fullmatch(name):
        parts = [part.strip() for part in value.split(",") if "://" not in part]
        hosts += [(match[1], match[2]) for part in parts if (match := _HOST_OF_PART.match(part))]
    elif not _CREDENTIAL_NAMED.fullmatch(name) and (match := _HOST_AND_PORT.fullmatch(value.strip())):
        hosts.append((match[1], match[2]))
    return hosts
