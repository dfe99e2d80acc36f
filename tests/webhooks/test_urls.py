"""Which URLs and headers a webhook may have: one code per rule."""

from __future__ import annotations

import time

import pytest

from partnerhub.kit.errors import HubError
from partnerhub.webhooks.errors import HeaderRefused, UrlRefused
from partnerhub.webhooks.urls import (
    _MESSAGES,
    INVALID_EXAMPLES,
    MAX_HEADER_BYTES,
    VALID_EXAMPLES,
    Example,
    check_headers,
    check_url,
    find_header_problems,
    find_problems,
    mask,
)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.acme.example/whatsapp?tenant=7",
        "https://acme.example",
        "https://a-b.acme.example/under_score/in:path",
        "https://8.8.8.8/hook",
        "https://[2606:4700::1111]/hook",
    ],
)
def test_a_public_https_url_is_taken(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://acme.example/hook", "url_not_https"),
        ("ftp://acme.example/hook", "url_not_https"),
        ("acme.example/hook", "url_invalid"),
        ("https://", "url_invalid"),
        ("https://acme.example/a b", "url_invalid"),
        ("https://acme.example\\@evil.example/", "url_invalid"),
        ("https://127.1/hook", "url_invalid"),
        ("https://2130706433/hook", "url_invalid"),
        ("https://user:secret@acme.example/hook", "url_credentials"),
        ("https://my_host.acme.example/hook", "url_underscore"),
        ("https://acme.example:8443/hook", "url_port"),
        ("https://acme.example:443/hook", "url_port"),
        ("https://[2606:4700::1111]:443/hook", "url_port"),
        ("https://10.0.0.8/hook", "url_private_address"),
        ("https://169.254.169.254/latest/meta-data", "url_private_address"),
        ("https://[::1]/hook", "url_private_address"),
        ("https://[::ffff:10.0.0.1]/hook", "url_private_address"),
        ("https://127.0.0.1/hook", "url_private_address"),
        ("https://localhost/hook", "url_private_address"),
        ("https://intranet/hook", "url_private_address"),
        ("https://db.internal/hook", "url_private_address"),
        ("https://printer.local./hook", "url_private_address"),
        ("https://acme.example/" + "x" * 2100, "url_too_long"),
        ("https://acme.example/hook#part", "url_fragment"),
        ("https://acme.example/hook#", "url_fragment"),
        ("https://münchen.example/", "url_invalid"),
        ("", "url_invalid"),
        ("://acme.example/", "url_invalid"),
        (" https://acme.example/", "url_not_https"),
        ("https://acme.example:99999/", "url_invalid"),
    ],
)
def test_a_url_that_breaks_a_rule_is_refused_with_the_code_of_the_rule(url: str, code: str) -> None:
    with pytest.raises(UrlRefused) as refused:
        check_url(url)
    assert refused.value.code == code
    assert refused.value.fields.keys() == {"url"}


def test_every_rule_that_a_url_breaks_is_named_at_once_with_a_sentence_of_its_own() -> None:
    url = "http://ann:secret@my_host.internal:8080/hook#top"
    found = find_problems(url)
    assert [problem.code for problem in found] == [
        "url_credentials",
        "url_fragment",
        "url_not_https",
        "url_underscore",
        "url_port",
        "url_private_address",
    ]
    assert len({problem.message for problem in found}) == len(found)
    with pytest.raises(UrlRefused) as refused:
        check_url(url)
    assert list(refused.value.problems) == found
    assert refused.value.fields == {"url": " ".join(problem.message for problem in found)}
    assert refused.value.code == "url_credentials"
    assert "secret" not in refused.value.message
    # What cannot be read is not judged any further.
    assert [problem.code for problem in find_problems("ftp://2130706433:21")] == [
        "url_not_https",
        "url_invalid",
    ]


@pytest.mark.parametrize("example", [*VALID_EXAMPLES, *INVALID_EXAMPLES], ids=lambda one: one.url)
def test_every_example_that_people_are_shown_is_what_it_says(example: Example) -> None:
    found = [problem.code for problem in find_problems(example.url)]
    assert found == ([example.code] if example.code else [])


def test_every_rule_that_a_person_can_break_by_mistake_has_an_example() -> None:
    shown = {example.code for example in INVALID_EXAMPLES}
    assert shown == set(_MESSAGES) - {"url_too_long"}


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/hook", "http://localhost:9000/", "https://[::1]:9000/"]
)
def test_development_may_call_this_machine_and_nothing_else(url: str) -> None:
    check_url(url, allow_loopback=True)
    with pytest.raises(UrlRefused):
        check_url(url)
    with pytest.raises(UrlRefused) as refused:
        check_url("http://10.0.0.8:9000/", allow_loopback=True)
    assert refused.value.code == "url_not_https"


def test_development_frees_from_https_and_ports_and_from_nothing_else() -> None:
    found = find_problems("http://ann:secret@localhost:9000/#top", allow_loopback=True)
    assert [problem.code for problem in found] == ["url_credentials", "url_fragment"]
    assert [one.code for one in find_problems("ftp://localhost/", allow_loopback=True)] == [
        "url_not_https",
        "url_private_address",
    ]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "acme.example"}, "header_reserved"),
        ({"content-length": "5"}, "header_reserved"),
        ({"Connection": "close"}, "header_reserved"),
        ({"Transfer-Encoding": "chunked"}, "header_reserved"),
        ({"X-360Dialog-Signature": "x"}, "header_reserved"),
        ({"x-360dialog-signature-previous": "x"}, "header_reserved"),
        ({"Webhook-Signature": "v1,x"}, "header_reserved"),
        ({"webhook-id": "x"}, "header_reserved"),
        ({"bad name": "x"}, "header_invalid"),
        ({"": "x"}, "header_invalid"),
        ({"x-key": "a\r\nHost: evil.example"}, "header_invalid"),
        ({"x-key": "a\x00b"}, "header_invalid"),
        ({"x-key": "≠"}, "header_invalid"),
        ({"x-key": "a", "X-Key": "b"}, "header_invalid"),
        ({f"x-{number}": "v" for number in range(21)}, "headers_too_large"),
        ({"x-key": "v" * 9000}, "headers_too_large"),
        ({"x-callback": "https://my_host.acme.example/x"}, "url_underscore"),
        ({"x-callback": "see https://acme.example:8080/x"}, "url_port"),
        ({"x-callback": "ws://u:p@acme.example,wss://[2001:db8::1]:8443"}, "url_port"),
        ({"X-Host": "my_host.acme.example:8443"}, "url_underscore"),
        ({"X-Forwarded-Host": "acme.example, hooks.acme.example:443"}, "url_port"),
        ({"X-Original-Host": "my_host"}, "url_underscore"),
        ({"x-host": "[2001:db8::1]:8080"}, "url_port"),
        ({"X-Cookie-Domain": "my_host.acme.example"}, "url_underscore"),
        ({"X-Upstream": "hooks.acme.example:8443"}, "url_port"),
        ({"X-Upstream": " My_Host.Acme.example:1 "}, "url_underscore"),
    ],
)
def test_a_header_that_must_not_be_sent_is_refused(headers: dict[str, str], code: str) -> None:
    with pytest.raises(HubError) as refused:
        check_headers(headers)
    assert isinstance(refused.value, HeaderRefused | UrlRefused)
    assert refused.value.code == code


def test_every_rule_that_headers_break_is_named_at_once() -> None:
    with pytest.raises(HeaderRefused) as refused:
        check_headers(
            {
                "Host": "acme.example",
                "X-Key": "a\nb",
                "X-Back": "https://my_host.acme.example:8080/x",
                "X-Fine": "https://acme.example/x",
            }
        )
    assert [(problem.field, problem.code) for problem in refused.value.problems] == [
        ("Host", "header_reserved"),
        ("X-Key", "header_invalid"),
        ("X-Back", "url_underscore"),
        ("X-Back", "url_port"),
    ]


@pytest.mark.parametrize("piece", ["a", "a.", "://", "://[", "x://@", "x://a:1@"])
def test_a_long_value_is_looked_at_in_next_to_no_time(piece: str) -> None:
    longest = piece * (MAX_HEADER_BYTES // len(piece) - 1)
    began = time.process_time()
    for value in (longest, "_" + longest, longest + "://a_b"):
        find_header_problems({"x": value})
    assert time.process_time() - began < 0.1


def test_of_headers_that_are_too_large_nothing_else_is_looked_at() -> None:
    problems = find_header_problems({"x-key": "https://my_host.acme.example:8080" * 30_000})
    assert [problem.code for problem in problems] == ["headers_too_large"]


def test_ordinary_headers_are_taken_tokens_with_underscores_too() -> None:
    check_headers(
        {
            "Authorization": "Basic dXNlcjpwYXNz",
            "Content-Type": "application/vnd.acme+json",
            "X-Partner-Auth": "tok_live_8:9_zz",
            "User-Agent": "acme/1",
            "X-Site": "https://acme.example/a_b:c",
            "X-Host": "hooks.acme.example",
            "X-Forwarded-Host": "a.example, https://acme.example/a_b:1, [2001:db8::1]",
            "X-Tenant": "eu_west.prod",
            "X-Version": "api_v2.1:3",
            "X-Api-Key": "live_key.secret:8443",
            "X-Trace": "eyJhbGciOi_.eyJzdWIi_x.c2lnbmF0dXJl",
            "X-Route": "node_a:8443",
            "X-When": "2026-11-29T10:15:00",
        }
    )


def test_a_secret_shows_its_last_four_characters_and_a_short_one_none() -> None:
    assert mask("Bearer abcdef1234") == "••••1234"
    assert mask("hunter2") == "••••"
    assert mask("") == "••••"
