"""What this request's browser holds: its session, or a visitor's mark, and the form token bound to it.

A route with cookies of its own for its forms (`opt={"form_cookies": …}`) has their tokens bound to those and
to nothing else: who signs in or out in another tab leaves its pages as they are.
"""

from __future__ import annotations

from litestar.datastructures import Cookie

from partnerhub.identity.schemas import Hub
from partnerhub.kit.ids import token
from partnerhub.web import csrf
from partnerhub.web.cookies import VISITOR, CookieJar

STATE_KEY = "browser"


class Browser:
    """Made by the authentication of pages, one for each request."""

    def __init__(
        self,
        *,
        jar: CookieJar,
        key: bytes,
        hub: Hub,
        session_token: str,
        visitor: str,
        form_cookie: str | None = None,
    ) -> None:
        """`form_cookie` is what the route's own cookie holds, None where it has no cookies of its own."""
        self.hub = hub
        self.session_token = session_token
        self._jar = jar
        self._key = key
        self._visitor = visitor
        self._form_cookie = form_cookie
        self._is_new = False

    @property
    def form_token(self) -> str:
        """Return the token for forms; a visitor without any cookie gets a mark with this answer.

        It is empty where the route has cookies of its own and the browser holds none of them.
        """
        if self._form_cookie is None and not self.session_token and not self._visitor:
            self._visitor = token()
            self._is_new = True
        return csrf.make_token(self._key, bound_to=self._bound_to) if self._bound_to else ""

    def holds(self, form_token: str) -> bool:
        """Say whether a form token is this browser's."""
        return csrf.is_token(self._key, form_token, bound_to=self._bound_to)

    def new_cookies(self) -> list[Cookie]:
        """Return the cookies that this answer has to set."""
        return [self._jar.make(VISITOR, self._visitor)] if self._is_new else []

    @property
    def _bound_to(self) -> str:
        return self.session_token or self._visitor if self._form_cookie is None else self._form_cookie
