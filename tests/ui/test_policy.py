"""The security headers of pages."""

from __future__ import annotations

import pytest

from partnerhub.ui.policy import content_security_policy, origins_of, security_headers

STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types htmx"
)


def test_the_default_is_the_strict_policy_to_the_letter() -> None:
    assert content_security_policy() == STRICT
    assert security_headers()["content-security-policy"] == STRICT


def test_origins_are_added_where_they_belong_and_nowhere_else() -> None:
    policy = content_security_policy(
        script_origins=["https://connect.facebook.net"],
        connect_origins=["https://graph.facebook.com"],
        frame_origins=["https://www.facebook.com"],
        form_action=["https://partner.example"],
    )
    parts = dict(part.split(" ", 1) for part in policy.split("; "))
    assert parts["script-src"] == "'self' https://connect.facebook.net"
    assert parts["connect-src"] == "'self' https://graph.facebook.com"
    assert parts["frame-src"] == "https://www.facebook.com"
    assert parts["form-action"] == "'self' https://partner.example"
    assert parts["style-src"] == parts["img-src"] == parts["font-src"] == "'self'"
    assert "require-trusted-types-for" not in parts, (
        "foreign scripts know nothing of our Trusted Types policy"
    )


@pytest.mark.parametrize(
    "text",
    [
        "https://a.example; script-src *",
        "https://a.example b.example",
        "https://a.example/path",
        "'unsafe-inline'",
        "*",
        "data:",
        "javascript://x",
        "https://",
        "https://a.example\nset-cookie",
        "",
    ],
)
def test_nothing_but_an_origin_gets_in(text: str) -> None:
    for place in ("script_origins", "connect_origins", "frame_origins", "image_origins", "form_action"):
        with pytest.raises(ValueError, match="is not an origin"):
            content_security_policy(**{place: [text]})


def test_the_origins_of_addresses_are_always_fit_for_a_policy() -> None:
    urls = [
        None,
        "",
        "/static/logo.svg",
        "https://CDN.acme.example/a.png",
        "https://cdn.acme.example:443/b.png",
        "http://127.0.0.1:8090/c.png",
        "https://日本.example/l.png",
        "https://a;script-src.example/l.png",
        "https://a'b.example/l.png",
        "https://x,y.example/l.png",
        "https://x y.example/l.png",
        "https://*/l.png",
        "https://ann:word@acme.example/l.png",
        "https://acme.example:70000/l.png",
        "https://[::1",
        "https://x℀.example/",
        "ftp://acme.example/l.png",
    ]
    origins = origins_of(urls)
    assert origins == ("https://cdn.acme.example", "http://127.0.0.1:8090")
    assert content_security_policy(image_origins=origins)


def test_pages_keep_to_themselves_but_a_popup_keeps_its_opener() -> None:
    headers = security_headers()
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["vary"] == "HX-Request"
    assert security_headers(keeps_opener=True)["cross-origin-opener-policy"] == "unsafe-none"
