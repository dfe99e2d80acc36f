"""The middleware that knows who calls: keys and tokens on API paths, session cookies on pages.

Neither is ever looked at on the other's paths, so no foreign form can use a key and no key opens a page.
Forms on pages are checked here too, before any handler sees them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from litestar import Request
from litestar.datastructures import Headers
from litestar.enums import RequestEncodingType, ScopeType
from litestar.middleware import ASGIMiddleware

from partnerhub.identity.schemas import Hub
from partnerhub.partners.schemas import PartnerKey, TokenHolder
from partnerhub.ui.frame import CSRF_FIELD, CSRF_HEADER
from partnerhub.web import csrf
from partnerhub.web.browser import STATE_KEY, Browser
from partnerhub.web.cookies import VISITOR, CookieJar, cookies_of
from partnerhub.web.credentials import Credentials
from partnerhub.web.errors import CrossSite
from partnerhub.web.hubs import HUBS, is_machine_path
from partnerhub.web.limits import CallLimiter
from partnerhub.web.principal import Anonymous, Principal

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

_FORMS = {RequestEncodingType.URL_ENCODED, RequestEncodingType.MULTI_PART}


@dataclass(frozen=True)
class Browsers:
    """How this installation knows its own pages: cookie flags, the form tokens' key, its origins."""

    jar: CookieJar
    form_key: bytes
    origins: Collection[str]


class Authentication(ASGIMiddleware):
    """Sets the request's user, or refuses."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, credentials: Credentials, *, browsers: Browsers, limiter: CallLimiter) -> None:
        self._credentials = credentials
        self._browsers = browsers
        self._limiter = limiter

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Find the principal, check forms, go on."""
        headers = Headers.from_scope(scope)
        if is_machine_path(scope["path"]):
            scope["user"] = await self._machine(scope, headers)
            await next_app(scope, receive, send)
            return
        browser = self._browser(scope)
        scope["state"][STATE_KEY] = browser
        opt = scope["route_handler"].opt
        # HTTP only, by `scopes` above.
        method = scope["method"]  # type: ignore[typeddict-item]  # of HTTP only
        if method not in csrf.SAFE_METHODS and not opt.get("exclude_from_csrf"):
            await self._check_form(scope, receive, headers, browser)
        scope["user"] = (
            Anonymous()
            if opt.get("public")
            else await self._credentials.find_person(browser.session_token, hub=browser.hub)
        )

        async def send_with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start" and (cookies := browser.new_cookies()):
                added = [(b"set-cookie", cookie.to_header(header="").encode()) for cookie in cookies]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await next_app(scope, receive, send_with_cookies)

    async def _machine(self, scope: Scope, headers: Headers) -> Principal:
        if scope["route_handler"].opt.get("public"):
            return Anonymous()
        principal = await self._credentials.find_machine(headers)
        match principal:
            case PartnerKey():
                self._limiter.hit(str(principal.id))
            case TokenHolder():
                self._limiter.hit(f"{principal.partner_id}/{principal.user_id}")
            case _:
                pass
        return principal

    def _browser(self, scope: Scope) -> Browser:
        jar, cookies = self._browsers.jar, cookies_of(scope)
        opt = scope["route_handler"].opt
        hub = Hub(opt.get("hub", Hub.PARTNER))
        names = opt.get("form_cookies")
        return Browser(
            jar=jar,
            key=self._browsers.form_key,
            hub=hub,
            session_token=jar.read(cookies, HUBS[hub].cookie),
            visitor=jar.read(cookies, VISITOR),
            form_cookie=None if names is None else _first(jar, cookies, names, scope["path_params"]),
        )

    async def _check_form(self, scope: Scope, receive: Receive, headers: Headers, browser: Browser) -> None:
        if not csrf.is_same_origin(headers, origins=self._browsers.origins):
            raise CrossSite("This form was sent from another site.")
        given = headers.get(CSRF_HEADER, "")
        if not given:
            request: Request[Any, Any, Any] = Request(scope, receive)  # Any: only its form is read
            if request.content_type[0] in _FORMS:
                value = (await request.form()).get(CSRF_FIELD, "")
                given = value if isinstance(value, str) else ""
        if not browser.holds(given):
            raise CrossSite("This page is from an earlier session. Load it again and repeat what you did.")


def _first(
    jar: CookieJar, cookies: Mapping[str, str], names: Sequence[str], parameters: Mapping[str, object]
) -> str:
    """Return what the first of these cookies that the browser holds says; names may hold path parameters."""
    values = (jar.read(cookies, name.format(**parameters)) for name in names)
    return next(filter(None, values), "")
