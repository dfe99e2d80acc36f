"""Onboarding links as buttons and hand-written pages really send them."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerhub.onboarding.entry import Entry, can_come_back, is_allowed_redirect, read_entry, redirect_with


@pytest.mark.parametrize(
    "raw", ["+4930123", "%2B4930123", " 4930123", '"4930123"', "%224930123%22", "49-30 123"]
)
def test_a_number_becomes_digits(raw: str) -> None:
    assert read_entry(f"number={raw}").number == "4930123"


def test_an_encoded_plus_in_an_address_stays_a_plus() -> None:
    assert read_entry("email=a%2Bb%40c.example").email == "a+b@c.example"
    assert read_entry("email=a+b@c.example").email == "a+b@c.example"


def test_empty_values_count_as_absent() -> None:
    assert read_entry("number=&email=&name=&state=&redirect_url=&next=&plan_selection=") == Entry()


def test_a_raw_redirect_keeps_its_own_parameters() -> None:
    entry = read_entry("email=a@b.example&redirect_url=https://x.example/cb?a=1&b=2&state=s")
    assert (entry.redirect_url, entry.state) == ("https://x.example/cb?a=1&b=2", "s")


def test_an_encoded_redirect_is_decoded_once() -> None:
    inner = "https://x.example/cb?next=%2Fhome&a=1"
    assert read_entry(f"redirect_url={quote(inner, safe='')}").redirect_url == inner


def test_unknown_parameters_are_ignored() -> None:
    assert read_entry("utm_source=x&hello=1") == Entry()


def test_state_may_be_json_and_comes_back_as_it_was() -> None:
    state = json.dumps({"id": 7, "name": "Ä & b=c"})
    entry = read_entry("state=" + quote(state, safe=""))
    assert entry.state == state
    there = redirect_with(
        "https://x.example/cb", client_id="aCL", channel_ids=["bCH"], revoked_ids=[], state=entry.state
    )
    assert parse_qs(urlsplit(there).query)["state"] == [state]


def test_the_list_of_channels_is_literal() -> None:
    there = redirect_with(
        "https://x.example/cb", client_id="aCL", channel_ids=["bCH", "cCH"], revoked_ids=["dCH"], state=""
    )
    assert there == "https://x.example/cb?client=aCL&channels=[bCH,cCH]&revoked=[dCH]"


def test_an_existing_query_is_extended_and_never_gets_a_second_question_mark() -> None:
    there = redirect_with(
        "https://x.example/cb?a=1#top", client_id="aCL", channel_ids=[], revoked_ids=[], state="s"
    )
    assert there == "https://x.example/cb?a=1&client=aCL&channels=[]&state=s#top"


def test_a_repeated_parameter_is_told() -> None:
    entry = read_entry("io_timestamp=1&io_timestamp=2")
    assert (entry.io_timestamp, entry.repeated) == ("1", frozenset({"io_timestamp"}))


@pytest.mark.parametrize(
    "url",
    [
        "https://partner.example.evil.example/cb",
        "https://partner.example@evil.example/",
        "https://evil.example\\@partner.example/",
        "http://partner.example/cb",
        "https://partner.example:444/",
        "javascript:alert(1)",
        "//partner.example/",
        "https://partner.example:x/",
        "",
    ],
)
def test_only_the_partners_own_origin_is_a_way_back(url: str) -> None:
    assert not is_allowed_redirect(
        url, configured="https://partner.example/return", extra_origins=frozenset()
    )


def test_the_partners_origin_and_listed_ones_are_taken() -> None:
    listed = ["https://app.example", "https://other.example:444/"]
    assert not is_allowed_redirect("https://other.example/", configured=None, extra_origins=listed)
    for url in ("https://partner.example/other?x=1", "https://PARTNER.example:443/", "https://app.example/"):
        assert is_allowed_redirect(url, configured="https://partner.example/return", extra_origins=listed)


@given(st.binary(max_size=300))
def test_any_query_is_read(query: bytes) -> None:
    entry = read_entry(query)
    assert entry.number.isascii()


@pytest.mark.parametrize(
    ("given_url", "kept"),
    [
        (
            "https://x.example/caf\u00e9?a=\u20ac#\u4e2d",
            "https://x.example/caf%C3%A9?a=%E2%82%AC&{}#%E4%B8%AD",
        ),
        ("https://x.example/a%20b?c=%E2%82%AC&d=[1]", "https://x.example/a%20b?c=%E2%82%AC&d=[1]&{}"),
    ],
)
def test_a_redirect_fits_into_a_header_and_is_never_escaped_twice(given_url: str, kept: str) -> None:
    there = redirect_with(given_url, client_id="aCL", channel_ids=["bCH", "cCH"], revoked_ids=[], state="")
    assert there == kept.format("client=aCL&channels=[bCH,cCH]")
    assert there.isascii()


@pytest.mark.parametrize(
    ("query", "redirect_url"),
    [
        (
            "redirect_url=https://x.example/cb?tenant=5&email=a@b.c&foo=bar",
            "https://x.example/cb?tenant=5&foo=bar",
        ),
        ("redirect_url=%22https://x.example/cb%22", "https://x.example/cb"),
        ('redirect_url="https://x.example/cb?a=1&b=2"', "https://x.example/cb?a=1&b=2"),
        ("redirect_url=%22https://x.example/cb?a=1&b=2%22&number=49", "https://x.example/cb?a=1&b=2"),
        ('redirect_url="https://x.example/cb?a=1&lang=de"', "https://x.example/cb?a=1"),
        ("redirect_url=%22https%3A%2F%2Fx.example%2Fcb%22", "https://x.example/cb"),
        ("redirect_url=https://x.example/cb?q=%22a%22", "https://x.example/cb?q=%22a%22"),
        ("redirect_url=https%3A%2F%2Fx.example%2Fcb%3Fa%3D1&foo=bar", "https://x.example/cb?a=1"),
    ],
)
def test_a_redirect_survives_how_links_really_write_it(query: str, redirect_url: str) -> None:
    assert read_entry(query).redirect_url == redirect_url


@pytest.mark.parametrize("state", ["x" * 4000, "Ä" * 4000, '"{}"', " a ", "a+b%20c"])
def test_a_state_is_taken_as_it_is(state: str) -> None:
    assert read_entry("state=" + quote(state, safe="")).state == state
    assert can_come_back(state)


@pytest.mark.parametrize("raw", ["x" * 4001, "a%00b", "a%FFb"])
def test_a_state_that_could_not_come_back_is_told_from_others(raw: str) -> None:
    assert not can_come_back(read_entry(f"state={raw}").state)
