"""Where a request comes from: what trusted proxies say of it, and what counts as one sender."""

from __future__ import annotations

import ipaddress
from collections.abc import MutableMapping, Sequence
from typing import Any


class TrustedProxies:
    """Tells the client's own address and scheme from what trusted proxies say."""

    def __init__(self, networks: Sequence[str]) -> None:
        """`networks` are CIDR blocks; from any other peer forwarding headers are ignored."""
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def apply(self, scope: MutableMapping[str, Any]) -> None:  # Any: ASGI's scope
        """Rewrite `client` and `scheme` where the peer is trusted."""
        peer = scope["client"][0] if scope.get("client") else ""
        if not self._networks or not self._trusts(peer):
            return
        # A proxy may add a line of its own below what the client sent: all lines are one list, the nearest
        # proxy's word is its end.
        if schemes := _listed(scope, b"x-forwarded-proto"):
            scope["scheme"] = "https" if schemes[-1].lower() == "https" else "http"
        for hop in reversed(_listed(scope, b"x-forwarded-for")):
            if not _is_address(hop):
                break
            scope["client"] = (hop, 0)
            if not self._trusts(hop):
                break

    def _trusts(self, host: str) -> bool:
        # A Unix socket has no peer address; only a local proxy can be at its other end.
        if not host:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def source_of(ip: str) -> str:
    """Return what counts as one sender: an address, or the /64 that one line has of IPv6; or nothing."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)


def _listed(scope: MutableMapping[str, Any], name: bytes) -> list[str]:  # Any: ASGI's scope
    text = b",".join(value for key, value in scope["headers"] if key == name).decode("latin-1")
    return [part.strip() for part in text.split(",") if part.strip()]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
