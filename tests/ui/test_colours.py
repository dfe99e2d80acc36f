"""Colours that must be told apart: edges of controls in both themes, and states in forced colours."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from partnerhub.ui.build import SOURCES
from tests.browser import visit

TOKENS = dict(
    re.findall(r"--([\w-]+): light-dark\((#\w{6}, #\w{6})\);", (SOURCES / "css" / "tokens.css").read_text())
)


def _contrast(one: str, other: str) -> float:
    lights = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lights[0] + 0.05) / (lights[1] + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("edge", ["input", "track"])
@pytest.mark.parametrize("ground", ["background", "card", "popover", "muted"])
@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_the_edge_of_a_control_is_seen_on_every_ground(edge: str, ground: str, theme: int) -> None:
    colours = [TOKENS[name].split(", ")[theme] for name in (edge, ground)]
    assert _contrast(*colours) >= 3


async def test_forced_colours_leave_every_state_told(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url, forced_colors="active") as opened:
        page = opened.page
        for selector, side in (
            (".tag", "border-top-style"),
            (".stats > *", "border-top-style"),
            (".nav-link[aria-current]", "outline-style"),
            (".segments > [aria-pressed=true]", "outline-style"),
        ):
            await expect(page.locator(selector).first).to_have_css(side, "solid")
        colour = "(e) => getComputedStyle(e).borderBottomColor"
        tabs = page.locator(".tabs a")
        assert await tabs.first.evaluate(colour) != await tabs.last.evaluate(colour)
