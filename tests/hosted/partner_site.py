"""A partner's site with the connect button on it, on a port of its own, under a strict policy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

from aiohttp import web
from playwright.async_api import Page

from partnerhub.hosted.button import newest_button
from tests.e2e.front import serving

PAGE = """<!doctype html><html lang="en"><head><title>A partner's page</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{scripts}</head><body><main><h1>Acme Chat</h1>{body}</main></body></html>"""
# What was heard, by whom; and the callback.
LISTEN = """
const NAMES = ["connect-callback", "connect-open", "connect-closed", "connect-blocked", "connect-failed"];
window.heard = [];
const listen = (target, where, name) =>
  target.addEventListener(name, (event) => heard.push([name, where, event.detail]));
addEventListener("DOMContentLoaded", () => {
  const button = document.querySelector("partnerhub-connect");
  for (const name of NAMES) {
    listen(window, "window", name);
    listen(document, "document", name);
    if (button) listen(button, "element", name);
  }
  listen(window, "window", "dialog-connect-callback");
  if (button) button.callback = (answer) => heard.push(["callback", "", answer]);
});
"""
OPEN_AT_ONCE = 'addEventListener("load", () => document.querySelector("partnerhub-connect").open());'
TELL = 'parent.postMessage("?client=evilCL&channels=[evilCH]", "*"); document.title = "told";'


@dataclass(frozen=True)
class Site:
    """Where the pages are; each takes the attributes of the button from the test."""

    url: str
    pages: dict[str, str]

    def at(self, path: str) -> str:
        """Return the address of a page."""
        return f"{self.url}{path}"


async def heard(page: Page) -> list[Any]:  # Any: [name, where, detail]
    """Return what listeners and callback were told, in order."""
    found: list[Any] = await page.evaluate("heard")
    return found


def button(**attributes: str) -> str:
    """Write the element."""
    given = " ".join(f'{name.replace("_", "-")}="{escape(value)}"' for name, value in attributes.items())
    return f"<partnerhub-connect {given}></partnerhub-connect>"


@asynccontextmanager
async def partner_site(
    hub_url: str, *, frames: str = "", signer: Callable[[], Awaitable[web.Response]] | None = None
) -> AsyncIterator[Site]:
    """Serve the site; what `pages` names is answered with the button script, pinned by its hash.

    `signer` answers at `/sign`.
    """
    pages: dict[str, str] = {}
    script = newest_button()
    pinned = f'integrity="{script.integrity}" crossorigin="anonymous"'
    tag = f'<script src="{hub_url}{script.path}" {pinned}></script>'
    policy = (
        f"default-src 'none'; script-src 'self' {hub_url}; img-src data:; base-uri 'none';"
        " form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    if frames:
        policy += f"; frame-src {frames}"
    if signer:
        policy += "; connect-src 'self'"

    async def page(request: web.Request) -> web.Response:
        body = pages.get(request.path)
        if body is None:
            raise web.HTTPNotFound
        scripts = tag + '<script src="/listen.js"></script>'
        if request.path == "/blocked":
            scripts += '<script src="/open.js"></script>'
        if request.path == "/twice":
            scripts += f'<script src="{hub_url}/connect/partnerhub-connect.js"></script>'
        if request.path in {"/plain", "/told"}:
            scripts = '<script src="/tell.js"></script>' if request.path == "/told" else ""
        return web.Response(
            text=PAGE.format(scripts=scripts, body=body),
            content_type="text/html",
            headers={"content-security-policy": policy},
        )

    def script_of(text: str) -> Any:  # Any: aiohttp's handler
        async def answer(_request: web.Request) -> web.Response:
            return web.Response(text=text, content_type="text/javascript")

        return answer

    async def sign(_request: web.Request) -> web.Response:
        if signer is None:
            raise web.HTTPNotFound
        return await signer()

    app = web.Application()
    app.router.add_get("/sign", sign)
    for path, text in {"/listen.js": LISTEN, "/open.js": OPEN_AT_ONCE, "/tell.js": TELL}.items():
        app.router.add_get(path, script_of(text))
    app.router.add_get("/{name}", page)
    async with serving(app) as port:
        yield Site(f"http://127.0.0.1:{port}", pages)
