"""Which URLs and headers a webhook may have: one code per rule."""

from __future__ import annotations

import pytest

from partnerhub.kit.errors import HubError
from partnerhub.webhooks.errors import HeaderRefused, UrlRefused
from partnerhub.webhooks.urls import check_headers, check_url, mask


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
    ],
)
def test_a_url_that_breaks_a_rule_is_refused_with_the_code_of_the_rule(url: str, code: str) -> None:
    with pytest.raises(UrlRefused) as refused:
        check_url(url)
    assert refused.value.code == code
    assert refused.value.fields.keys() == {"url"}


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
    ],
)
def test_a_header_that_must_not_be_sent_is_refused(headers: dict[str, str], code: str) -> None:
    with pytest.raises(HubError) as refused:
        check_headers(headers)
    assert isinstance(refused.value, HeaderRefused | UrlRefused)
    assert refused.value.code == code


def test_ordinary_headers_are_taken_tokens_with_underscores_too() -> None:
    check_headers(
        {
            "Authorization": "Basic dXNlcjpwYXNz",
            "Content-Type": "application/vnd.acme+json",
            "X-Partner-Auth": "tok_live_8:9_zz",
            "User-Agent": "acme/1",
            "X-Site": "https://acme.example/a_b:c",
        }
    )


def test_a_secret_shows_its_last_four_characters_and_a_short_one_none() -> None:
    assert mask("Bearer abcdef1234") == "••••1234"
    assert mask("hunter2") == "••••"
    assert mask("") == "••••"
