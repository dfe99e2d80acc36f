"""URLs read strictly into what a connection needs.

Anything a resolver or another parser could understand differently (short or decimal IPv4 forms, zones, user
info, backslashes, control characters) is refused here rather than interpreted.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote

import msgspec

from partnerhub.kit.http.errors import ExchangeError, FailureKind, InvalidUrl, Phase, Reason

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][^#]*)?(?:\#.*)?",
    re.IGNORECASE | re.ASCII,
)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
# A last label of this form makes browsers and inet_aton read the whole host as a number.
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes: `host` without brackets, `authority` as the Host header carries it."""

    is_tls: bool
    host: str
    port: int
    authority: str
    path: str
    is_literal: bool


@lru_cache(maxsize=4096)
def parse_url(url: str) -> Target:
    """Read an absolute http or https URL; a fragment is dropped, other letters are percent-encoded.

    Raises: InvalidUrl; ExchangeError (blocked) for a host that is an address in a disguised form.
    """
    if _FORBIDDEN.search(url):
        raise InvalidUrl("The URL has a space, a control character or a backslash in it.")
    match = _URL.fullmatch(url)
    if match is None:
        raise InvalidUrl("The URL is not of the form https://host/path, without a user name in it.")
    is_tls = match["scheme"].lower() == "https"
    host, is_literal = _read_host(match["host"].lower())
    default_port = 443 if is_tls else 80
    port = int(match["port"]) if match["port"] else default_port
    if not 0 < port < 65536:
        raise InvalidUrl("The port of the URL is not between 1 and 65535.")
    shown = f"[{host}]" if ":" in host else host
    path = match["path"] or "/"
    if path.startswith("?"):
        path = "/" + path
    if not path.isascii():
        path = quote(path, safe="/?%:@!$&'()*+,;=~[]^`{}|\"<>")
    return Target(
        is_tls=is_tls,
        host=host,
        port=port,
        authority=shown if port == default_port else f"{shown}:{port}",
        path=path,
        is_literal=is_literal,
    )


def _read_host(host: str) -> tuple[str, bool]:
    """Return the host in its one spelling, and whether it is an address."""
    if host.startswith("["):
        try:
            return str(IPv6Address(host[1:-1])), True
        except AddressValueError as error:
            raise InvalidUrl("The host of the URL is not an IPv6 address.") from error
    try:
        return str(IPv4Address(host)), True
    except AddressValueError:
        pass
    labels = host.removesuffix(".").split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        raise ExchangeError(
            Reason(
                FailureKind.BLOCKED, "The host is a number or a shortened address; write an address in full."
            ),
            phase=Phase.PRE_DELIVERY,
        )
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidUrl("The host of the URL is not a valid name.")
    return host, False
