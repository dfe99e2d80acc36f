"""Rendering for people: the template environment of a process, error pages, and one page of one request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from jinja2 import Environment
from litestar import Response
from litestar.datastructures import Cookie, Headers
from litestar.enums import MediaType
from litestar.response import Redirect

from partnerhub.kit import logs
from partnerhub.kit.errors import HubError
from partnerhub.ui import formats, policy
from partnerhub.ui.frame import THEME_COOKIE, TIMEZONE_COOKIE, Brand, Frame, Toast
from partnerhub.ui.languages import LANGUAGE_COOKIE, Language, negotiate
from partnerhub.ui.preferences import local_path, theme_of, time_zone_of
from partnerhub.ui.templates import catalogues_of, environment, render
from partnerhub.web.browser import STATE_KEY, Browser
from partnerhub.web.cookies import FLASH, CookieJar, cookies_of
from partnerhub.web.dialects import Answer
from partnerhub.web.errors import NotSignedIn
from partnerhub.web.failures import Failure
from partnerhub.web.hubs import HUBS
from partnerhub.web.popups import is_in_popup, way_back
from partnerhub.web.words import ERRORS, HEADINGS

_OWN = Path(__file__).parent


class Pages:
    """Templates, words and looks of one process."""

    def __init__(
        self, *, brand: Brand, jar: CookieJar, packages: Mapping[str, Path], auto_reload: bool = False
    ) -> None:
        """`packages` names the doors with templates and the folders of their Python packages."""
        folders = {"web": _OWN, **packages}
        self.brand = brand
        self.jar = jar
        # The operator's logo may live elsewhere.
        self.policy = policy.content_security_policy(image_origins=policy.origins_of([brand.logo_url]))
        self._environment = _environment(tuple(folders.items()), auto_reload=auto_reload)
        self._catalogues = catalogues_of(folders)

    def translate(self, language: Language, message: str) -> str:
        """Return words marked with `N_` in the reader's language."""
        return self._catalogues[language].gettext(message)

    def translate_many(self, language: Language, one: str, many: str, count: int) -> str:
        """Return words for a number of things in the reader's language, with `%(num)s` filled in."""
        text = self._catalogues[language].ngettext(one, many, count)
        return text % {"num": formats.number(count, language)}

    def translator(self, language: Language) -> Callable[[str], str]:
        """Return `translate` for one language."""
        return partial(self.translate, language)

    def explain(self, language: Language, code: str, message: str) -> str:
        """Return an error in the reader's words."""
        return self.translate(language, ERRORS.get(code, message))

    def bare_frame(
        self, scope: Mapping[str, Any], *, wished: str | None = None
    ) -> Frame:  # Any: ASGI's scope
        """Return the frame of a page that knows nobody: looks, language and form token.

        `wished` is a signed-in person's own language; a choice in this browser goes before it.
        """
        headers = Headers.from_scope(scope)  # type: ignore[arg-type]  # a scope, typed as the plain mapping it is
        cookies = cookies_of(scope)
        browser = (scope.get("state") or {}).get(STATE_KEY)
        # Looks and language carry no identity and keep their names with and without TLS.
        return Frame(
            brand=self.brand,
            path=scope["path"],
            request_id=logs.request_id.get(),
            language=negotiate(
                chosen=cookies.get(LANGUAGE_COOKIE),
                cookie=wished,
                accept_language=headers.get("accept-language"),
            ),
            theme=theme_of(cookies.get(THEME_COOKIE)),
            timezone=time_zone_of(cookies.get(TIMEZONE_COOKIE)),
            csrf_token=browser.form_token if isinstance(browser, Browser) else "",
            toasts=_read_flash(self.jar.read(cookies, FLASH)),
        )

    def render(self, name: str, frame: Frame, **values: object) -> str:
        """Render a template for a frame."""
        return render(self._environment, name, frame=frame, **values)

    def error(self, failure: Failure, scope: Mapping[str, Any]) -> Answer:  # Any: ASGI's scope
        """Write an error for people: the sign-in page, a page with code and request id, or a toast."""
        headers = Headers.from_scope(scope)  # type: ignore[arg-type]  # as above
        in_popup = is_in_popup(scope["path"])
        is_fragment = headers.get("hx-request") == "true"
        if isinstance(failure.cause, NotSignedIn):
            return _to_sign_in(failure.cause, scope, headers, is_fragment=is_fragment)
        frame = replace(self.bare_frame(scope), toasts=())
        heading = self.translate(frame.language, HEADINGS.get(failure.status, HEADINGS[500]))
        text = self.explain(frame.language, failure.code, failure.message)
        sent = {
            **policy.security_headers(policy=self.policy, keeps_opener=in_popup),
            **failure.headers,
            "x-error-code": failure.code,
        }
        if is_fragment:
            toast = Toast(
                title=heading, kind="error", text=text, code=failure.code, request_id=frame.request_id
            )
            body = self.render("web/failed.html", frame, toasts=(toast,))
            sent["hx-reswap"] = "none"
        elif in_popup:
            body = self.render(
                "ui/popup_error.html",
                frame,
                heading=heading,
                text=text,
                code=failure.code,
                way_back=way_back(scope, status=failure.status),
            )
        else:
            body = self.render(
                "ui/error.html", frame, status=failure.status, heading=heading, text=text, code=failure.code
            )
        return Answer(failure.status, body.encode(), "text/html", sent)


@dataclass(frozen=True)
class Page:
    """One page for one request: its frame, and how to answer with it."""

    frame: Frame
    is_fragment: bool
    pages: Pages

    def say(self, message: str) -> str:
        """Return words marked with `N_` in the reader's language."""
        return self.pages.translate(self.frame.language, message)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """Return words for a number of things, with `%(num)s` filled in; collectors know this name."""
        return self.pages.translate_many(self.frame.language, one, many, count)

    def explain(self, error: HubError) -> str:
        """Return an error in the reader's words."""
        return self.pages.explain(self.frame.language, error.code, error.message)

    def wrong(self, error: HubError) -> dict[str, str]:
        """Return what is wrong with each input in the reader's words, every broken rule a sentence."""
        if not error.problems:
            return {name: self.say(text) for name, text in error.fields.items()}
        found: dict[str, list[str]] = {}
        for problem in error.problems:
            found.setdefault(problem.field, []).append(self.say(problem.message))
        return {name: " ".join(sentences) for name, sentences in found.items()}

    def toast(self, error: HubError, title: str) -> Toast:
        """Make the message that an action failed, with code and request id."""
        return Toast(
            title=title,
            kind="error",
            text=self.explain(error),
            code=error.code,
            request_id=self.frame.request_id,
        )

    def show(
        self,
        template: str,
        *,
        part: str | None = None,
        status: int = 200,
        toasts: Sequence[Toast] = (),
        headers: Mapping[str, str] | None = None,
        content_policy: str | None = None,
        keeps_opener: bool = False,
        cookies: Sequence[Cookie] = (),
        **values: object,
    ) -> Response[str]:
        """Answer with a page; a script that swaps a part of one gets `part`.

        A part shows `toasts` itself (`ui.toasts_beside(toasts)`).
        """
        is_part = self.is_fragment and part is not None
        frame = replace(self.frame, toasts=(*self.frame.toasts, *toasts))
        body = self.pages.render(part if is_part and part else template, frame, toasts=toasts, **values)
        sent = policy.security_headers(policy=content_policy or self.pages.policy, keeps_opener=keeps_opener)
        spent = [self.pages.jar.cleared(FLASH)] if self.frame.toasts and not is_part else []
        return Response(
            body,
            status_code=status,
            media_type=MediaType.HTML,
            headers={**sent, **(headers or {})},
            cookies=[*cookies, *spent],
        )

    def go(self, path: str, *, toast: Toast | None = None, cookies: Sequence[Cookie] = ()) -> Response[Any]:
        """Lead to another page of ours after an action, where `toast` is shown once."""
        target = local_path(path)
        sent = list(cookies)
        if toast is not None:
            sent.append(self.pages.jar.make(FLASH, _write_flash(toast), seconds=60))
        if self.is_fragment:
            return Response(
                "",
                status_code=200,
                headers={"hx-redirect": target},
                cookies=sent,
                media_type=MediaType.HTML,
            )
        return Redirect(target, status_code=303, cookies=sent)


def _to_sign_in(
    error: NotSignedIn, scope: Mapping[str, Any], headers: Headers, *, is_fragment: bool
) -> Answer:
    wanted = ""
    if is_fragment:
        wanted = _path_of(headers.get("hx-current-url", ""))
    elif scope["method"] == "GET":
        query = scope.get("query_string", b"").decode("latin-1")
        wanted = scope["path"] + (f"?{query}" if query else "")
    target = HUBS[error.hub].sign_in
    if wanted and local_path(wanted) == wanted:
        target += f"?next={quote(wanted, safe='/')}"
    sent = {"x-error-code": error.code, "cache-control": "no-store"}
    if is_fragment:
        return Answer(401, b"", "text/html", {**sent, "hx-redirect": target, "hx-reswap": "none"})
    return Answer(303, b"", "text/html", {**sent, "location": target})


@cache
def _environment(folders: tuple[tuple[str, Path], ...], *, auto_reload: bool) -> Environment:
    """Make the environment once in a process: templates stay compiled, whoever renders them."""
    return environment(dict(folders), auto_reload=auto_reload)


def _path_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""  # the browser's own header, or anything that somebody wrote into it
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _write_flash(toast: Toast) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(toast)).decode().rstrip("=")


def _read_flash(value: str) -> tuple[Toast, ...]:
    if not value:
        return ()
    try:
        return (msgspec.json.decode(base64.urlsafe_b64decode(value + "=="), type=Toast),)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return ()
