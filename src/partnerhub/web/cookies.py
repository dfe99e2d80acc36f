"""Our cookies: names, flags, and the headers that set and clear them.

Over TLS names begin with `__Host-`, which browsers accept only with Secure, without a domain and for the
whole host, so no neighbour can plant one. SameSite=Lax lets the popup and the redirects that begin on a
partner's site carry the session, and no form of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litestar.datastructures import Cookie

from partnerhub.identity.schemas import SESSION_LIFE, Hub
from partnerhub.web.hubs import HUBS

VISITOR = "visitor"
FLASH = "flash"
RESET = "reset"
# What a link carries is half as long; a longer text, cut, is no link either, and fits into a cookie.
RESET_LENGTH = 200

SCOPE_KEY = "partnerhub.cookies"


@dataclass(frozen=True)
class CookieJar:
    """Makes and reads cookies for this installation; `is_secure` is false only in development without TLS."""

    is_secure: bool

    def name(self, name: str) -> str:
        """Return the full name of a cookie."""
        return f"__Host-{name}" if self.is_secure else name

    def make(self, name: str, value: str, *, seconds: int | None = None) -> Cookie:
        """Make a cookie out of reach for scripts; without `seconds` it lives as long as the browser."""
        return Cookie(
            key=self.name(name),
            value=value,
            max_age=seconds,
            path="/",
            secure=self.is_secure,
            httponly=True,
            samesite="lax",
        )

    def session(self, hub: Hub, token: str) -> Cookie:
        """Make the cookie of a session."""
        return self.make(HUBS[hub].cookie, token, seconds=int(SESSION_LIFE.total_seconds()))

    def cleared(self, name: str) -> Cookie:
        """Make the cookie that removes one."""
        return self.make(name, "", seconds=0)

    def read(self, cookies: Mapping[str, str], name: str) -> str:
        """Return a cookie's value, or an empty text."""
        return cookies.get(self.name(name), "")


def cookies_of(scope: Mapping[str, Any]) -> Mapping[str, str]:  # Any: ASGI's scope
    """Return the cookies of a request as the wrapper read them, once; none where it refused to."""
    found: Mapping[str, str] = scope.get(SCOPE_KEY, {})
    return found
