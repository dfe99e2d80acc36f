"""Every page and state of both tours in a real browser: accessible in each look, never too wide.

What the console, the content policy or an uncaught error says fails the tour, too (`tests.browser.visit`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest
from playwright.async_api import Browser, Page

from tests.browser import COLOUR_RULES, LOOKS, Look, assert_accessible, assert_fits
from tests.factories import make_partner
from tests.hub_sample import make_sample
from tests.hub_stage import HubStage
from tests.hub_tours import POPUP_HEIGHT, Stop, popup_look, tour_dashboard, tour_popup

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Colours would pass over to the other theme's, children after their parents; until then they are neither.
_NO_PASSING = """() => {
  if (document.adoptedStyleSheets.length) return;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("*, ::before, ::after, ::backdrop { transition: none !important }");
  document.adoptedStyleSheets.push(sheet);
}"""


async def test_every_dashboard_page_is_accessible_in_every_look(stage: HubStage, browser: Browser) -> None:
    sample = await make_sample(stage)
    await look_at_all(tour_dashboard(stage, sample, browser, LOOKS[0]), LOOKS, height=900)


async def test_every_popup_page_is_accessible_in_every_look(stage: HubStage, browser: Browser) -> None:
    partner = await make_partner(stage.database, redirect_url=stage.receiver.url("/connected"))
    looks = [popup_look(look) for look in LOOKS]
    await look_at_all(tour_popup(stage, partner, browser, LOOKS[0]), looks, height=POPUP_HEIGHT)


async def look_at_all(tour: AsyncGenerator[Stop, None], looks: Sequence[Look], *, height: int) -> None:
    """Look at each stop in each look, and name everything that is wrong with any of them."""
    wrong: list[str] = []
    async with aclosing(tour) as stops:
        async for stop in stops:
            await stop.page.evaluate(_NO_PASSING)
            for look in looks:
                # Nobody has chosen a theme, so a page follows the browser's, without being loaded anew.
                await stop.page.emulate_media(color_scheme=look.theme, reduced_motion="reduce")
                await stop.page.set_viewport_size({"width": look.width, "height": height})
                wrong += await complaints(stop.page, look, f"{stop.name}-{look}")
            await stop.page.emulate_media(color_scheme=looks[0].theme, reduced_motion="reduce")
            await stop.page.set_viewport_size({"width": looks[0].width, "height": height})
    assert not wrong, "\n\n".join(wrong)


async def complaints(page: Page, look: Look, name: str) -> list[str]:
    """Return what is wrong with one look of a page; dark differs from light by its colours only."""
    is_first = look.theme == LOOKS[0].theme
    checks = [assert_accessible(page, rules=() if is_first else COLOUR_RULES)]
    if is_first:
        checks += [assert_fits(page, width) for width in {look.width, min(look.width, 320)}]
    found = []
    for check in checks:
        try:
            await check
        except AssertionError as error:
            found.append(f"{name}: {error}")
    return found
