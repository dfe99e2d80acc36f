"""Whom the client may call: a generated corpus of addresses and their disguises."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.http.receivers import OK, always, receiver

from partnerhub.kit.http import (
    Address,
    AddressPolicy,
    ExchangeError,
    FailureKind,
    HttpClient,
    InvalidUrl,
    Phase,
    parse_url,
    refusal,
)

# Written from the IANA registries, apart from the list in the code.
FORBIDDEN_V4 = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
]
FORBIDDEN_V6 = [
    "::/127",
    "::ffff:0:0/96",
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:2::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "4000::/3",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "157.240.0.1",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "2a03:2880:f003::1",
    "2003::1",
    "2400:cb00::1",
    "3ffe::1",
]
METADATA = [
    "169.254.169.254",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fe80::a9fe:a9fe",
]


def edges(network: str) -> Iterator[str]:
    """Yield the first, second, middle and last address of a network."""
    whole = ipaddress.ip_network(network)
    count = whole.num_addresses
    for index in sorted({0, 1 % count, count // 2, count - 1}):
        yield str(whole[index])


EDGES = [address for network in (*FORBIDDEN_V4, *FORBIDDEN_V6) for address in edges(network)]


@pytest.mark.parametrize("address", [*EDGES, *METADATA])
def test_a_special_address_is_never_public(address: str) -> None:
    assert refusal(address, AddressPolicy.PUBLIC) is not None


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public_up_to_the_edges(address: str) -> None:
    assert refusal(address, AddressPolicy.PUBLIC) is None
    assert refusal(address, AddressPolicy.PUBLIC_AND_LOOPBACK) is None


@given(st.sampled_from([*FORBIDDEN_V4, *FORBIDDEN_V6]), st.integers(min_value=0))
def test_no_address_of_a_special_network_is_public(network: str, number: int) -> None:
    whole = ipaddress.ip_network(network)
    assert refusal(str(whole[number % whole.num_addresses]), AddressPolicy.PUBLIC) is not None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_one_is_never_public(inner: ipaddress.IPv4Address) -> None:
    number = int(inner)
    carriers = [
        (0xFFFF << 32) | number,  # mapped
        (0xFFFF << 48) | number,  # translated
        number,  # compatible
        (0x64FF9B << 96) | number,  # NAT64
        (0x64FF9B0001 << 80) | number,  # local NAT64
        (0x2002 << 112) | (number << 80),  # 6to4
        (0x20010000 << 96) | (number ^ 0xFFFFFFFF),  # Teredo
        (0x2606_4700 << 96) | (0x5EFE << 32) | number,  # ISATAP
        (0x2606_4700 << 96) | (0x0200_5EFE << 32) | number,
    ]
    for carrier in carriers:
        address = str(ipaddress.IPv6Address(carrier))
        assert refusal(address, AddressPolicy.PUBLIC) is not None, address
        if carrier != 1:
            assert refusal(address, AddressPolicy.PUBLIC_AND_LOOPBACK) is not None, address


def test_development_adds_loopback_and_nothing_else() -> None:
    allowed = [a for a in (*EDGES, *METADATA) if refusal(a, AddressPolicy.PUBLIC_AND_LOOPBACK) is None]
    assert sorted(set(allowed)) == ["127.0.0.0", "127.0.0.1", "127.128.0.0", "127.255.255.255", "::1"]


def test_trusted_upstreams_are_not_questioned() -> None:
    assert all(refusal(a, AddressPolicy.TRUSTED) is None for a in (*EDGES, *METADATA))


def disguises() -> list[str]:
    """Spell loopback, a private address and the metadata address in every way a parser may read."""
    spellings: list[str] = []
    for dotted in ("127.0.0.1", "10.0.0.1", "169.254.169.254"):
        a, b, c, d = (int(part) for part in dotted.split("."))
        number = int(ipaddress.IPv4Address(dotted))
        spellings += [
            str(number),
            hex(number),
            f"0{number:o}",
            f"{a}.{(b << 16) | (c << 8) | d}",
            f"{a}.{b}.{(c << 8) | d}",
            f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
            f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
            f"{a:#x}{b:02x}{c:02x}{d:02x}",
            f"{dotted}.",
            f"0{dotted}",
            f"00000{dotted}",
            f"[::ffff:{dotted}]",
            f"[::{dotted}]",
            f"[64:ff9b::{dotted}]",
            f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::]",
            f"[0:0:0:0:0:ffff:{a:02x}{b:02x}:{c:02x}{d:02x}]",
        ]
    return [*spellings, "0", "127.1", "127.0.1", "0x7f.1", "[::]", "[::1]", "0.0.0.0"]  # noqa: S104 - called, not bound


@pytest.mark.parametrize("host", disguises())
async def test_a_literal_in_disguise_is_not_called(host: str) -> None:
    async with HttpClient() as http:
        with pytest.raises(ExchangeError) as caught:
            await http.request("GET", f"http://{host}/")
        assert (caught.value.kind, caught.value.phase) == (FailureKind.BLOCKED, Phase.PRE_DELIVERY)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://example.com@127.0.0.1/",
        "http://exa mple.com/",
        "http://example.com/a b",
        "http://example.com/\r\nX: y",
        "http://example.com/\t",
        "http://example.com\\@127.0.0.1/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:-1/",
        "http://example.com:80:80/",
        "http://exämple.com/",
        "http://１２７.0.0.1/",
        "http://127。0。0。1/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://[::1]x/",
        "http://[12345::]/",
        "http://-bad.example/",
        "http://bad-.example/",
        "http://a..b/",
        "http://.example/",
        f"http://{'a' * 64}.example/",
        f"http://{'a.' * 130}example/",
    ],
)
def test_a_url_that_could_mean_two_things_is_invalid(url: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse_url(url)
    assert caught.value.code == "invalid_url"


def test_a_url_is_read_in_its_one_spelling() -> None:
    target = parse_url("HTTPS://Hooks.Example.COM:443/Päth/%20?q=ü&a=[1]#part")
    assert (target.is_tls, target.host, target.port) == (True, "hooks.example.com", 443)
    assert target.authority == "hooks.example.com"
    assert target.path == "/P%C3%A4th/%20?q=%C3%BC&a=[1]"
    assert parse_url("http://a.example?x=1").path == "/?x=1"
    assert parse_url("http://a_b.example:8080").authority == "a_b.example:8080"
    assert parse_url("http://[2606:4700:0:0::1111]:81/").authority == "[2606:4700::1111]:81"
    assert parse_url("http://127.0.0.1/").is_literal


class Changing:
    """A resolver whose answer changes with every question, as a rebinding name server's does."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)

    async def resolve(self, host: str) -> Sequence[Address]:  # noqa: ARG002 - one name only
        ips = self.answers.pop(0)
        return [Address(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip) for ip in ips]


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1"])
async def test_a_name_that_leads_inside_is_not_called(address: str) -> None:
    async with receiver(always(OK)) as here, HttpClient(resolver=Changing([address])) as http:
        with pytest.raises(ExchangeError) as caught:
            await http.request("GET", here.url(host="inside.example"))
        assert (caught.value.kind, caught.value.phase) == (FailureKind.BLOCKED, Phase.PRE_DELIVERY)
        assert caught.value.peer_address == address
        assert here.connections == 0


async def test_one_address_inside_blocks_the_name() -> None:
    async with HttpClient(resolver=Changing(["8.8.8.8", "10.0.0.1"])) as http:
        with pytest.raises(ExchangeError) as caught:
            await http.request("GET", "http://mixed.example/")
        assert caught.value.kind is FailureKind.BLOCKED
        assert caught.value.peer_address == "10.0.0.1"


async def test_the_checked_address_is_the_one_called() -> None:
    # The second answer would lead elsewhere; the name must be asked exactly once for one connection.
    changing = Changing(["127.0.0.1"], ["169.254.169.254"])
    async with (
        receiver(always(OK)) as here,
        HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK, resolver=changing) as http,
    ):
        answer = await http.request("GET", here.url(host="rebind.example"))
        assert answer.peer_address == "127.0.0.1"
        assert len(changing.answers) == 1
        # The kept connection still leads to the address that was checked.
        assert (await http.request("GET", here.url(host="rebind.example"))).timings.reused


async def test_a_connection_is_not_shared_with_a_stricter_policy() -> None:
    async with receiver(always(OK)) as here, HttpClient() as http:
        await http.request("GET", here.url(), policy=AddressPolicy.TRUSTED)
        with pytest.raises(ExchangeError) as caught:
            await http.request("GET", here.url())
        assert caught.value.kind is FailureKind.BLOCKED


async def test_a_redirect_inside_is_an_answer_and_not_followed() -> None:
    async with receiver(always(OK)) as inside:
        moved = b"HTTP/1.1 307 Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % inside.url().encode()
        async with (
            receiver(always(moved)) as here,
            HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK) as http,
        ):
            answer = await http.request("POST", here.url(), body=b"{}")
        assert (answer.status, answer.headers.get("location")) == (307, inside.url())
        assert inside.connections == 0
