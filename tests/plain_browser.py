"""A browser without script and without a screen: cookies, redirects and forms, over real HTTP.

Enough for what a page answers; what a page looks like and how its script behaves is for `tests.browser`.
"""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from partnerhub.ui.frame import CSRF_FIELD
from tests.identity.people import PASSWORD


@dataclass
class Visit:
    """What a browser got."""

    status: int
    path: str
    text: str
    headers: Any  # Any: aiohttp's multi-dict

    def field(self, name: str) -> str:
        """Return the value of a hidden field."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.text)
        assert found, f"no field {name}"
        return html.unescape(found[1])

    @property
    def words(self) -> str:
        """Return what a reader sees between the tags, in one line."""
        content = re.sub(r"<(script|style|head|title)\b.*?</\1>", " ", self.text, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", content)).split())

    def values(self, pattern: str) -> list[str]:
        """Return what a pattern finds in the source of the page, unescaped."""
        return [html.unescape(found) for found in re.findall(pattern, self.text)]


class Browser:
    """Keeps cookies, follows redirects, sends forms with their token."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http

    async def get(self, path: str, **headers: str) -> Visit:
        """Open a page."""
        async with self.http.get(self.url + path, headers=headers) as answer:
            return Visit(answer.status, answer.url.path_qs, await answer.text(), answer.headers)

    async def send(self, page: str, action: str, **fields: str) -> Visit:
        """Open a page and send one of its forms."""
        token = (await self.get(page)).field(CSRF_FIELD)
        return await self.post(action, **{CSRF_FIELD: token, **fields})

    async def post(self, action: str, **fields: str) -> Visit:
        """Send a form as it is."""
        async with self.http.post(self.url + action, data=fields) as answer:
            return Visit(answer.status, answer.url.path_qs, await answer.text(), answer.headers)

    async def target(self, path: str) -> str:
        """Return where a path redirects to, unfollowed and as the header writes it."""
        async with self.http.get(self.url + path, allow_redirects=False) as answer:
            assert answer.status == 303, (answer.status, await answer.text())
            return answer.headers["location"]

    async def sign_in(
        self, email: str, password: str = PASSWORD, *, prefix: str = "", wanted: str = ""
    ) -> Visit:
        """Sign in by the form."""
        form = f"{prefix}/sign-in"
        return await self.send(form, form, email=email, password=password, next=wanted)

    def plant(self, name: str, value: str) -> None:
        """Put a cookie there."""
        self.http.cookie_jar.update_cookies({name: value}, URL(self.url))

    def cookie(self, name: str) -> str:
        """Return a cookie's value, empty when there is none."""
        return next((one.value for one in self.http.cookie_jar if one.key == name), "")


@asynccontextmanager
async def browsing(url: str) -> AsyncIterator[Browser]:
    """Give a fresh browser for the hub at `url`."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(
        cookie_jar=jar, headers={"user-agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0"}
    ) as http:
        yield Browser(url, http)
