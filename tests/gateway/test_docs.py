"""The reference page names every path, method and error code of the gateway."""

from __future__ import annotations

import re
from pathlib import Path

from partnerhub.gateway import app, asgi, callback, configurations, dialects, media, passthrough, templates
from partnerhub.gateway.table import list_routes
from partnerhub.kit.errors import HubError
from partnerhub.messaging import errors

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "messaging-api.md").read_text()


def test_every_route_is_on_the_page_and_every_path_of_the_page_is_a_route() -> None:
    documented = {
        (method.strip(), path)
        for methods, paths in re.findall(r"^\| ([A-Z, ]+) \| (`/[^|]+) \|", PAGE, re.MULTILINE)
        for method in methods.split(",")
        for path in re.findall(r"`(/[^`]*)`", paths.partition("`/metrics`")[0])
    }
    served = {(route.method, route.path) for route in list_routes()}
    assert documented - served == set()
    assert served - documented == set()


def test_every_error_code_is_on_the_page() -> None:
    modules = (app, asgi, callback, configurations, dialects, media, passthrough, templates, errors)
    codes = {
        each.code
        for module in modules
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, HubError) and each.__module__ == module.__name__
    }
    made = (
        dialects.invalid_key(),
        dialects.disabled(),
        dialects.rate_limited(),
        dialects.missing_payment(),
        dialects.blocked(),
        dialects.not_available(),
        dialects.unknown_object("1"),
        app.MethodWrong(("GET",)),
    )
    codes |= {each.code for each in made}
    codes -= {"refused"}  # never by itself
    assert {code for code in codes if f"`{code}`" not in PAGE} == set()
