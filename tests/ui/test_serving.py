"""Static files and preferences over HTTP."""

from __future__ import annotations

import gzip
import http.client
from urllib.parse import urlencode, urlsplit

import pytest

from partnerhub.ui.assets import asset, read_manifest
from partnerhub.ui.preferences import local_path


def call(
    origin: str, method: str, path: str, *, body: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes, list[str]]:
    """Make one request; return status, headers, body and the cookies set."""
    connection = http.client.HTTPConnection(urlsplit(origin).netloc, timeout=5)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, fields, answer.read(), answer.headers.get_all("set-cookie") or []
    finally:
        connection.close()


def test_assets_are_kept_for_ever_and_compressed_on_request(origin: str) -> None:
    status, headers, body, _ = call(origin, "GET", asset("app.css"))
    assert status == 200
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["content-type"] == "text/css; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert "content-encoding" not in headers
    _, headers, packed, _ = call(origin, "GET", asset("app.css"), accept_encoding="gzip, br")
    assert headers["content-encoding"] == "gzip"
    assert headers["vary"] == "accept-encoding"
    assert gzip.decompress(packed) == body
    status, headers, nothing, _ = call(origin, "HEAD", asset("app.css"))
    assert (status, nothing, int(headers["content-length"])) == (200, b"", len(body))


def test_fonts_are_not_compressed_twice(origin: str) -> None:
    _, headers, _, _ = call(origin, "GET", asset("inter-latin-wght-normal.woff2"), accept_encoding="gzip")
    assert headers["content-type"] == "font/woff2"
    assert "content-encoding" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/manifest.json",
        "/static/none.css",
        "/static/../pyproject.toml",
        "/static/%2e%2e/app.py",
    ],
)
def test_nothing_else_is_served(origin: str, path: str) -> None:
    assert call(origin, "GET", path)[0] == 404


def test_only_reading_is_allowed(origin: str) -> None:
    assert call(origin, "POST", f"/static/{read_manifest().files['app.js']}")[0] == 405


def test_a_choice_is_kept_and_leads_back(origin: str) -> None:
    body = urlencode(
        {"theme": "dark", "language": "pt", "timezone": "Europe/Berlin", "next": "/gallery/list?q=a"}
    )
    status, headers, _, cookies = call(
        origin, "POST", "/preferences", body=body, content_type="application/x-www-form-urlencoded"
    )
    assert (status, headers["location"]) == (303, "/gallery/list?q=a")
    assert any(one.startswith("theme=dark;") for one in cookies)
    assert any(one.startswith("lang=pt-BR;") for one in cookies)
    assert any(one.startswith("timezone=Europe%2FBerlin;") for one in cookies)
    assert all("HttpOnly" in one and "samesite=lax" in one.lower() for one in cookies)


def test_a_wrong_choice_changes_nothing_unknown(origin: str) -> None:
    body = urlencode({"theme": "pink", "language": "xx", "next": "https://evil.example/"})
    status, headers, _, cookies = call(
        origin, "POST", "/preferences", body=body, content_type="application/x-www-form-urlencoded"
    )
    assert (status, headers["location"]) == (303, "/")
    assert [one.split(";")[0] for one in cookies] == ["theme=system"]


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil",
        "evil",
        "",
        "/a\r\nset-cookie: x",
        "/a\\b",
    ],
)
def test_no_form_sends_people_elsewhere(target: str) -> None:
    assert local_path(target) == "/"
    assert local_path("/a?b=c#d") == "/a?b=c#d"
