"""Theme, language and time zone: chosen by a plain form, kept in a cookie each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated
from urllib.parse import quote, unquote
from zoneinfo import available_timezones

from litestar import Response, post
from litestar.datastructures import Cookie
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from partnerhub.ui.frame import PREFERENCES_PATH, THEME_COOKIE, THEMES, TIMEZONE_COOKIE, Theme
from partnerhub.ui.languages import LANGUAGE_COOKIE, Language, find_language

_YEAR_SECONDS = 365 * 86_400


@dataclass(frozen=True)
class Choice:
    """The fields of the form; what is absent stays as it is."""

    theme: str | None = None
    language: str | None = None
    timezone: str | None = None
    next: str = "/"


def theme_of(cookie: str | None) -> Theme:
    """Return the theme a cookie asks for; anything unknown is the system's."""
    return next((theme for theme in THEMES if theme == cookie), "system")


@cache
def time_zones() -> tuple[str, ...]:
    """Return the time zones to choose from, by name: UTC, then Africa/Abidjan and so on."""
    places = {name for name in available_timezones() if "/" in name and not name.startswith("Etc/")}
    return ("UTC", *sorted(places))


def time_zone_of(cookie: str | None) -> str:
    """Return the time zone a cookie asks for; anything unknown is UTC."""
    name = unquote(cookie or "")
    return name if name and name in time_zones() else "UTC"


def local_path(target: str) -> str:
    """Return `target` when it is a path on this origin, else `/`, so that no form sends people elsewhere."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if plain and "\\" not in target else "/"


# Without a form token: error pages offer it where no session or visitor is known, and all it does is paint.
@post(PREFERENCES_PATH, status_code=303, opt={"public": True, "exclude_from_csrf": True})
async def choose(
    data: Annotated[Choice, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[None]:
    """Store the choice and go back to the page it was made on."""
    cookies = []
    if data.theme is not None:
        cookies.append(_cookie(THEME_COOKIE, theme_of(data.theme)))
    if language := find_language(data.language):
        cookies.append(language_cookie(language))
    if data.timezone is not None:
        # A slash does not stand in a cookie without quotes.
        cookies.append(_cookie(TIMEZONE_COOKIE, quote(time_zone_of(data.timezone), safe="")))
    return Redirect(local_path(data.next), status_code=303, cookies=cookies)


def language_cookie(language: Language) -> Cookie:
    """Make the cookie that keeps a chosen language."""
    return _cookie(LANGUAGE_COOKIE, language)


def _cookie(name: str, value: str) -> Cookie:
    # Read by the server only; carries no identity, so it needs no Secure flag in development.
    return Cookie(key=name, value=value, max_age=_YEAR_SECONDS, path="/", httponly=True, samesite="lax")
