"""What this request's browser holds: its session, or a visitor's mark, and the form token bound to it."""

from __future__ import annotations

from litestar.datastructures import Cookie

from partnerhub.identity.schemas import Hub
from partnerhub.kit.ids import token
from partnerhub.web import csrf
from partnerhub.web.cookies import VISITOR, CookieJar

STATE_KEY = "browser"


class Browser:
    """Made by the authentication of pages, one for each request."""

    def __init__(self, *, jar: CookieJar, key: bytes, hub: Hub, session_token: str, visitor: str) -> None:
        self.hub = hub
        self.session_token = session_token
        self._jar = jar
        self._key = key
        self._visitor = visitor
        self._is_new = False

    @property
    def form_token(self) -> str:
        """Return the token for forms; a visitor without any cookie gets a mark with this answer."""
        if not self.session_token and not self._visitor:
            self._visitor = token()
            self._is_new = True
        return csrf.make_token(self._key, bound_to=self.session_token or self._visitor)

    def holds(self, form_token: str) -> bool:
        """Say whether a form token is this browser's."""
        return csrf.is_token(self._key, form_token, bound_to=self.session_token or self._visitor)

    def new_cookies(self) -> list[Cookie]:
        """Return the cookies that this answer has to set."""
        return [self._jar.make(VISITOR, self._visitor)] if self._is_new else []
