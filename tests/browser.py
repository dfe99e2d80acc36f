"""A real Chromium for tests of pages, and what every page must hold.

`visit` opens a page and, when its block ends, refuses whatever the page complained of: a breach of the
content policy, an uncaught error, an error in the console. To use the `browser` fixture, import it in a
folder's `conftest.py`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    CDPSession,
    ConsoleMessage,
    Page,
    async_playwright,
)

from tests.browser_needed import find_chromium

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
AXE_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
COLOUR_RULES = ("color-contrast", "link-in-text-block")
# A status of 4xx is an answer like any other; Chromium still reports it as an error of the console.
_EXPECTED = ("Failed to load resource: the server responded with a status of",)
_REPORT_BREACHES = """
document.addEventListener("securitypolicyviolation", (event) =>
  window.reportBreach(`${event.effectiveDirective}: ${event.blockedURI} ${event.sample}`));
"""


@dataclass(frozen=True)
class Look:
    """One of the ways a page is looked at."""

    theme: Literal["light", "dark"]
    width: int

    def __str__(self) -> str:
        """Return the name used in test ids and file names."""
        return f"{self.theme}-{self.width}"


LOOKS = (Look("light", 1280), Look("dark", 1280), Look("light", 390), Look("dark", 390))
every_look = pytest.mark.parametrize("look", LOOKS, ids=str)


@dataclass(frozen=True)
class Visit:
    """An open page, and what it complained of so far."""

    page: Page
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)


@asynccontextmanager
async def chromium(extra: Sequence[str] = (), *, whole: bool = False) -> AsyncIterator[Browser]:
    """Start Chromium for one block; `extra` are further command-line switches.

    A `whole` one is as people have it: it blocks windows that nobody asked for.
    """
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=find_chromium(whole=whole),
            args=[*ARGUMENTS, *extra],
            chromium_sandbox=False,
            ignore_default_args=["--disable-popup-blocking"] if whole else None,
        )
        try:
            yield running
        finally:
            await running.close()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Give a Chromium of the test's own."""
    async with chromium() as running:
        yield running


@asynccontextmanager
async def visit(
    browser: Browser,
    url: str,
    *,
    look: Look = LOOKS[0],
    script: bool = True,
    language: str = "en-GB",
    tolerated: Sequence[str] = (),
    **options: Any,  # of Playwright's new_context
) -> AsyncIterator[Visit]:
    """Open `url` in a fresh context; at the end, refuse complaints that do not contain a `tolerated` text."""
    context = await browser.new_context(
        viewport={"width": look.width, "height": 900 if look.width > 600 else 844},
        color_scheme=look.theme,
        java_script_enabled=script,
        locale=language,
        reduced_motion="reduce",
        **options,
    )
    try:
        opened = Visit(await context.new_page(), context)
        await _listen(opened)
        await opened.page.goto(url)
        yield opened
        refused = [text for text in opened.complaints if not any(part in text for part in tolerated)]
        assert not refused, "The page complained:\n" + "\n".join(refused)
    finally:
        await context.close()


async def _listen(opened: Visit) -> None:
    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_EXPECTED):
            opened.complaints.append(f"console: {message.text}")

    context, page = opened.context, opened.page
    await context.expose_function("reportBreach", lambda text: opened.complaints.append(f"policy: {text}"))
    await context.add_init_script(_REPORT_BREACHES)
    page.on("console", on_console)
    page.on("pageerror", lambda error: opened.complaints.append(f"error: {error}"))
    page.on("request", lambda request: opened.requested.append(request.url))


async def axe_violations(page: Page, *, rules: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return what axe finds on the page as it is now: WCAG 2.0 to 2.2 A and AA, and best practice.

    `rules` asks for these only.
    """
    only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": AXE_TAGS}
    run = f"axe.run(document, {json.dumps({'runOnly': only, 'resultTypes': ['violations']})})"
    # Runtime.evaluate may compile code where the page's policy would not let the page do so.
    session = await page.context.new_cdp_session(page)
    try:
        answer = await _evaluate(session, f"globalThis.axe && {run}.then((found) => found.violations)")
        if answer["result"]["type"] == "undefined":
            source = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
            await _evaluate(session, f"{source};0")
            answer = await _evaluate(session, f"{run}.then((found) => found.violations)")
    finally:
        await session.detach()
    found: list[dict[str, Any]] = answer["result"]["value"]
    return found


async def _evaluate(session: CDPSession, expression: str) -> dict[str, Any]:
    answer: dict[str, Any] = await session.send(
        "Runtime.evaluate",
        {
            "expression": expression,
            "awaitPromise": True,
            "returnByValue": True,
            "allowUnsafeEvalBlockedByCSP": True,
        },
    )
    assert "exceptionDetails" not in answer, answer
    return answer


async def assert_accessible(page: Page, *, rules: Sequence[str] = ()) -> None:
    """Refuse a page on which axe finds anything, or on which two elements share an id."""
    ids: list[str] = await page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    twice = {one for one in ids if ids.count(one) > 1}
    assert not twice, f"ids used twice on {page.url}: {sorted(twice)}"
    found = await axe_violations(page, rules=rules)
    lines = [
        f"{one['id']}: {one['help']}\n    {node['html'][:300]}\n    {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
    ]
    assert not lines, f"axe on {page.url}:\n" + "\n".join(lines)


async def assert_fits(page: Page, width: int = 320) -> None:
    """Refuse a page that scrolls sideways at `width`."""
    before = page.viewport_size
    await page.set_viewport_size({"width": width, "height": 700})
    wide = await page.evaluate(
        """[document.documentElement.scrollWidth - document.documentElement.clientWidth,
        [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right >
          document.documentElement.clientWidth + 1).slice(0, 5).map((e) => e.outerHTML.slice(0, 160))]"""
    )
    if before is not None:
        await page.set_viewport_size(before)
    assert wide[0] <= 0, f"{page.url} is {wide[0]} px too wide at {width} px: {wide[1]}"


async def screenshot(page: Page, path: Path, *, full_page: bool = True) -> Path:
    """Write a picture of the page; fonts are waited for, and no style attribute is left behind."""
    await page.evaluate("document.fonts.ready.then(() => true)")
    path.parent.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=path, full_page=full_page, caret="initial", animations="allow")
    return path
