"""What counts as one sender: an address, or the network that one line has."""

from __future__ import annotations

import pytest

from partnerhub.kit.peers import source_of


@pytest.mark.parametrize(
    ("ip", "source"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_an_address_counts_as_its_line(ip: str, source: str) -> None:
    assert source_of(ip) == source
