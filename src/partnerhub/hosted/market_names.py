"""Names of Meta's markets in the reader's language: countries by locale data, regions by our own words."""

from __future__ import annotations

from functools import cache

from babel import Locale

from partnerhub.ui.languages import locale_of
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page

# Meta's rate cards are in English; these are the markets that are no country.
_REGIONS = frozenset(
    {
        N_("North America"),
        N_("Rest of Africa"),
        N_("Rest of Asia Pacific"),
        N_("Rest of Central & Eastern Europe"),
        N_("Rest of Latin America"),
        N_("Rest of Middle East"),
        N_("Rest of Western Europe"),
        N_("Other"),
    }
)
# Countries that the cards call otherwise than the locale data do.
_OTHER_NAMES = {"Turkey": "TR", "Hong Kong": "HK", "Ivory Coast": "CI"}


def market_name(market: str, page: Page) -> str:
    """Return a market's name in the page's language, or as the rate card writes it."""
    if market in _REGIONS:
        return page.say(market)
    code = _codes().get(market)
    return str(locale_of(page.frame.language).territories.get(code, market)) if code else market


@cache
def _codes() -> dict[str, str]:
    names = {str(name): str(code) for code, name in Locale("en").territories.items() if len(str(code)) == 2}
    return {**names, **_OTHER_NAMES}
