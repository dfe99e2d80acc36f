"""Which network addresses may be called.

`ipaddress.is_global` alone is not enough: on Python 3.11 it holds for NAT64, 6to4 and multicast. So an
address is public only when it is outside the explicit list below **and** `is_global`; IPv6 must also lie in
the one block that is assigned as global unicast. Addresses that carry another one inside are refused as a
form, whatever they carry.
Source: IANA special-purpose address registries (IPv4, IPv6), read 2026-11.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address


class AddressPolicy(Enum):
    """Whom a client may call."""

    PUBLIC = "public"
    PUBLIC_AND_LOOPBACK = "public_and_loopback"  # development: receivers on this machine
    TRUSTED = "trusted"  # an address the operator configured, such as Meta's base URL


_V4_REFUSED = tuple(
    (IPv4Network(network), meaning)
    for network, meaning in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local or cloud metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "IETF protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved or broadcast"),
    )
)

_V6_REFUSED = tuple(
    (IPv6Network(network), meaning)
    for network, meaning in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("::ffff:0:0:0/96", "IPv4-translated"),
        ("::/96", "IPv4-compatible"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("100::/64", "discard"),
        ("2001::/23", "IETF protocol assignments, Teredo or benchmarking"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_V6_GLOBAL_UNICAST = IPv6Network("2000::/3")
# The interface identifiers of ISATAP (RFC 5214) carry an IPv4 address of the receiver's own site.
_ISATAP_MARKS = (0x0000_5EFE, 0x0200_5EFE)


@lru_cache(maxsize=8192)
def refusal(address: str, policy: AddressPolicy) -> str | None:
    """Return why `address` (a literal, no name) must not be called under `policy`, or None when it may be."""
    if policy is AddressPolicy.TRUSTED:
        return None
    if "%" in address:
        return "an address with a zone"
    parsed = ip_address(address)
    if policy is AddressPolicy.PUBLIC_AND_LOOPBACK and parsed.is_loopback and not _carries_another(parsed):
        return None
    return _v4_refusal(parsed) if isinstance(parsed, IPv4Address) else _v6_refusal(parsed)


def _carries_another(address: IPv4Address | IPv6Address) -> bool:
    return isinstance(address, IPv6Address) and address.ipv4_mapped is not None


def _v4_refusal(address: IPv4Address) -> str | None:
    for network, meaning in _V4_REFUSED:
        if address in network:
            return meaning
    return None if address.is_global else "not a public address"


def _v6_refusal(address: IPv6Address) -> str | None:
    for network, meaning in _V6_REFUSED:
        if address in network:
            return meaning
    if address not in _V6_GLOBAL_UNICAST:
        return "not global unicast"
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP_MARKS:
        return "ISATAP"
    return None if address.is_global else "not a public address"
