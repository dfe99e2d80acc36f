"""Which URLs and headers a webhook may have.

Checked when they are set; the HTTP client checks every address again after resolution, at each attempt. The
rules on underscores and ports hold for the host of the URL and of URLs inside header values.
Source: onboarding documentation of the compatible product, "set multiple webhooks for phone number".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from partnerhub.kit.errors import HubError
from partnerhub.kit.http import AddressPolicy, InvalidHeader, Target, check_header, parse_url, refusal
from partnerhub.webhooks.errors import HeaderRefused, UrlRefused

MAX_URL_LENGTH = 2048
MAX_HEADERS = 20
MAX_HEADER_BYTES = 8192

# Names that no public resolver answers (RFC 6761, RFC 6762, RFC 8375, ICANN 2024 for .internal).
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".intranet")
_URL_IN_VALUE = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[^/?#\s@]*@)?(\[[^\]\s]*\]|[^/?#\s:,;\"']*)(:[0-9]+)?", re.IGNORECASE
)
_SIGNATURE_HEADERS = ("x-360dialog-signature", "x-360dialog-signature-previous")
_SIGNATURE_PREFIX = "webhook-"


def check_url(url: str, *, allow_loopback: bool = False) -> None:
    """Refuse a URL that no webhook may have.

    `allow_loopback` is for development: http and a port are then fine on this machine's own addresses.

    Raises: UrlRefused with `url_invalid`, `url_too_long`, `url_not_https`, `url_credentials`,
    `url_underscore`, `url_port` or `url_private_address`.
    """
    if len(url) > MAX_URL_LENGTH:
        raise _refused("url_too_long", f"A webhook URL has at most {MAX_URL_LENGTH} characters.")
    scheme, separator, rest = url.partition("://")
    if separator and "@" in re.split(r"[/?#\\]", rest, maxsplit=1)[0]:
        raise _refused(
            "url_credentials", "A webhook URL carries no user name or password; use a custom header instead."
        )
    if separator and scheme.lower() not in ("http", "https"):
        raise _refused("url_not_https", "A webhook URL starts with https://.")
    try:
        target = parse_url(url)
    except HubError as error:
        raise _refused("url_invalid", f"This is not a URL we can call. {error.message}") from error
    if allow_loopback and _is_loopback(target):
        return
    if not target.is_tls:
        raise _refused("url_not_https", "A webhook URL starts with https://.")
    host = target.host
    if "_" in host:
        raise _refused(
            "url_underscore", f"The host {host} has an underscore; use a name of letters, digits and hyphens."
        )
    if _has_port(url):
        raise _refused("url_port", "A webhook URL has no port; https uses 443.")
    _check_public(target)


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse custom headers that must not be sent: framing, Host, signatures, line breaks, too many.

    Raises: HeaderRefused with `header_invalid`, `header_reserved` or `headers_too_large`; UrlRefused where a
    value holds a URL whose host breaks the rules.
    """
    if len(headers) > MAX_HEADERS:
        raise HeaderRefused(f"At most {MAX_HEADERS} custom headers.", code="headers_too_large")
    if sum(len(name) + len(value) for name, value in headers.items()) > MAX_HEADER_BYTES:
        raise HeaderRefused(
            f"Custom headers hold at most {MAX_HEADER_BYTES} bytes.", code="headers_too_large"
        )
    if len({name.lower() for name in headers}) < len(headers):
        raise HeaderRefused("A header name is given twice; its case does not matter.")
    for name, value in headers.items():
        lower = name.lower()
        if lower in _SIGNATURE_HEADERS or lower.startswith(_SIGNATURE_PREFIX):
            raise HeaderRefused(
                f"The header {name} is set by us on every delivery.",
                code="header_reserved",
                fields={name: "set by us"},
            )
        try:
            check_header(name, value)
        except InvalidHeader as error:
            reserved = "belongs to the connection" in error.message
            raise HeaderRefused(
                error.message,
                code="header_reserved" if reserved else "header_invalid",
                fields={name: error.message},
            ) from error
        _check_url_inside(name, value)


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


def _refused(code: str, message: str) -> UrlRefused:
    return UrlRefused(message, code=code, fields={"url": message})


def _is_loopback(target: Target) -> bool:
    if target.is_literal:
        return (
            refusal(target.host, AddressPolicy.PUBLIC_AND_LOOPBACK) is None
            and refusal(target.host, AddressPolicy.PUBLIC) is not None
        )
    return target.host == "localhost" or target.host.endswith(".localhost")


def _has_port(url: str) -> bool:
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    return re.search(r":[0-9]*$", authority) is not None and not authority.endswith("]")


def _check_public(target: Target) -> None:
    if target.is_literal:
        reason = refusal(target.host, AddressPolicy.PUBLIC)
        if reason is not None:
            raise _refused("url_private_address", f"{target.host} is not a public address ({reason}).")
        return
    name = target.host.removesuffix(".")
    if "." not in name or name.endswith(_PRIVATE_SUFFIXES):
        raise _refused("url_private_address", f"{name} is not a name that the internet can reach.")


def _check_url_inside(name: str, value: str) -> None:
    for match in _URL_IN_VALUE.finditer(value):
        if "_" in match[1]:
            raise UrlRefused(
                f"The header {name} holds a URL whose host has an underscore.",
                code="url_underscore",
                fields={name: "host with an underscore"},
            )
        if match[2]:
            raise UrlRefused(
                f"The header {name} holds a URL with a port.",
                code="url_port",
                fields={name: "host with a port"},
            )
