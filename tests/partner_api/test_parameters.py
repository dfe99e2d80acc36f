"""What callers put after the question mark and into bodies, in every encoding that was seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerhub.partner_api.parameters import (
    BodyInvalid,
    ParametersInvalid,
    read_flag,
    read_list,
    read_number,
    read_object,
    read_text,
)

FILTERS_ON_THE_WIRE = {
    "kairon, percent-encoded by requests": b"filters=%7B%22id%22:%22k9Lm2NCH%22%7D",
    "kairon 658, blank after the colon": b"sort=id&filters=%7B%22id%22:%20%22k9Lm2NCH%22%7D",
    "vozko, Go QueryEscape": b"filters=%7B%22id%22%3A%22k9Lm2NCH%22%7D",
    "Go with a blank": b"filters=%7B%22id%22%3A+%22k9Lm2NCH%22%7D",
    "WABA360Dialog.NET, lower-case hex and plus": b"filters=%7b%22id%22%3a+%22k9Lm2NCH%22%7d&limit=20",
    "raw braces and quotes": b'filters={"id":"k9Lm2NCH"}',
    "raw braces, encoded blank": b'filters={"id":%20"k9Lm2NCH"}',
    "JS, blank encoded by the library": b"limit=1&filters=%7B%22id%22:+%22k9Lm2NCH%22%7D",
}


@pytest.mark.parametrize("query", FILTERS_ON_THE_WIRE.values(), ids=FILTERS_ON_THE_WIRE)
def test_filters_are_read_in_every_encoding_seen(query: bytes) -> None:
    assert read_list(query).listing.filters == {"id": "k9Lm2NCH"}


@pytest.mark.parametrize(
    "query", [b"", b"filters=", b"filters={}", b"filters=%7B%7D", b"filters=+", b"other=1", b"%FF=%FF"]
)
def test_no_filters_are_an_empty_object(query: bytes) -> None:
    assert read_list(query).listing.filters == {}


@pytest.mark.parametrize(
    ("query", "sort"),
    [
        (b"", ("id",)),
        (b"sort=", ("id",)),
        (b"sort=-name", ("-name",)),
        (b"sort=status,-id", ("status", "-id")),
        (b"sort=status&sort=-id", ("status", "-id")),
        (b"sort=%5B%22status%22%2C%22-id%22%5D", ("status", "-id")),
        (b"sort=business_templates.name", ("business_templates.name",)),
    ],
)
def test_sort_is_read_in_every_form(query: bytes, sort: tuple[str, ...]) -> None:
    assert read_list(query).listing.sort == sort


def test_the_envelope_says_the_parameters_back() -> None:
    parameters = read_list(b'limit=20&offset=40&sort=-id&filters={"terminated_at":null}')
    assert parameters.envelope("clients", [{"id": "1CL"}], 41) == {
        "count": 1,
        "filters": {"terminated_at": None},
        "limit": 20,
        "offset": 40,
        "sort": ["-id"],
        "total": 41,
        "clients": [{"id": "1CL"}],
    }


@pytest.mark.parametrize(
    ("query", "limit"), [(b"", 1000), (b"limit=", 1000), (b"limit=0", 0), (b"limit=5000", 1000)]
)
def test_the_limit_is_a_thousand_unless_told_less(query: bytes, limit: int) -> None:
    assert read_list(query).listing.limit == limit


@pytest.mark.parametrize(
    ("query", "name"),
    [
        (b"limit=ten", "limit"),
        (b"limit=-1", "limit"),
        (b"limit=1.5", "limit"),
        (b"limit=%D9%A1", "limit"),
        (b"offset=x", "offset"),
        (b"filters={", "filters"),
        (b"filters=[]", "filters"),
        (b"filters=5", "filters"),
        (b'filters={"a":NaN}', "filters"),
        (b'filters={"a":1e999}', "filters"),
        (b'filters={"a":"%5Cud800"}', "filters"),
        (b'filters={"a":"%5Cu0000"}', "filters"),
        (b"filters=" + b"[" * 100_000, "filters"),
        (b'filters={"id":"%FF"}', "filters"),
        (b'filters={"id":"\xff"}', "filters"),
        (b"filters=%FF", "filters"),
        (b"sort=%FF", "sort"),
        (b"sort=[1]", "sort"),
        (b"sort=[", "sort"),
        (b"sort=a,b,c,d,e,f,g,h,i,j,k", "sort"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(query: bytes, name: str) -> None:
    with pytest.raises(ParametersInvalid) as caught:
        read_list(query)
    assert list(caught.value.fields) == [name]


@given(st.binary(max_size=200))
def test_any_query_string_is_read_or_refused(query: bytes) -> None:
    try:
        listing = read_list(query).listing
    except ParametersInvalid:
        return
    assert 0 <= listing.limit <= 1000
    assert listing.sort


@pytest.mark.parametrize("body", [b"", b"  \n", b"{}"])
def test_a_missing_body_is_an_empty_object(body: bytes) -> None:
    assert read_object(body) == {}


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"{", b"\xff", b'{"a":"\\ud800"}', b'{"a":NaN}'])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BodyInvalid):
        read_object(body)


def test_members_are_read_by_type_and_null_is_not_sent() -> None:
    body = {"text": "x", "number": 5, "flag": "True", "none": None}
    assert (read_text(body, "text"), read_text(body, "none"), read_text(body, "missing")) == ("x", None, None)
    assert (read_number(body, "number"), read_number(body, "none")) == (5, None)
    assert (read_flag(body, "flag", default=False), read_flag(body, "missing", default=True)) == (True, True)


@pytest.mark.parametrize("wrong", [True, 1.5, "5", [], {}])
def test_a_member_of_the_wrong_type_is_named(wrong: object) -> None:
    with pytest.raises(BodyInvalid) as caught:
        read_number({"max_channels": wrong}, "max_channels")
    assert list(caught.value.fields) == ["max_channels"]
