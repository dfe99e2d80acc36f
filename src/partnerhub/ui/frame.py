"""What a page's frame shows, as frozen values: filled once per request by a door, read by the layouts.

Nothing here knows what a partner or a balance is: a door says the words, the frame shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from partnerhub.ui.languages import Language

Theme = Literal["system", "light", "dark"]
Tone = Literal["good", "bad", "warn", "info", "neutral"]
ToastKind = Literal["success", "error", "info"]

THEMES: tuple[Theme, ...] = ("system", "light", "dark")
THEME_COOKIE = "theme"
TIMEZONE_COOKIE = "timezone"
CSRF_FIELD = "_csrf"
CSRF_HEADER = "x-csrf-token"
PREFERENCES_PATH = "/preferences"


@dataclass(frozen=True, kw_only=True)
class Brand:
    """The operator's name and logo; without a logo a neutral mark stands beside the name."""

    name: str
    logo_url: str | None = None
    support_url: str | None = None
    imprint_url: str | None = None
    privacy_url: str | None = None
    terms_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Link:
    """One entry of a navigation or menu; `keys` is its shortcut, such as `g n`.

    `press` names a button of the frame (its `data-press`) that the palette presses instead of going anywhere.
    """

    label: str
    href: str = ""
    icon: str | None = None
    count: int | None = None
    keys: str | None = None
    press: str | None = None


@dataclass(frozen=True, kw_only=True)
class LinkGroup:
    """Entries under an optional heading."""

    links: Sequence[Link]
    label: str | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """A hub one may switch to; `value` is what the switch is told."""

    label: str
    value: str
    is_current: bool = False


@dataclass(frozen=True, kw_only=True)
class Hub:
    """The hub one is in, and where one may switch to: `switch` takes a place's value as `field`."""

    name: str
    href: str = "/"
    kind: str | None = None
    places: Sequence[Place] = ()
    switch: str = ""
    field: str = "place"
    all_places: Link | None = None


@dataclass(frozen=True, kw_only=True)
class Balance:
    """The balance slot: an amount already written for people, and where it leads."""

    label: str
    text: str
    href: str | None = None
    tone: Tone = "neutral"


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who is signed in, and the entries of the menu that are theirs."""

    name: str
    email: str
    sign_out_action: str
    role: str | None = None
    links: Sequence[Link] = ()


@dataclass(frozen=True, kw_only=True)
class Banner:
    """A permanent line above everything, such as the sandbox mark."""

    text: str
    tone: Literal["warn", "info", "bad"] = "warn"
    href: str | None = None
    link_label: str | None = None


@dataclass(frozen=True, kw_only=True)
class Toast:
    """A message shown once; an error names its code and request."""

    title: str
    kind: ToastKind = "success"
    text: str | None = None
    code: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Everything the layouts need beside the page's own content; `path` may carry its query."""

    brand: Brand
    path: str
    request_id: str
    language: Language = "en"
    theme: Theme = "system"
    timezone: str = "UTC"
    csrf_token: str = ""
    hub: Hub | None = None
    navigation: Sequence[LinkGroup] = ()
    footer_links: Sequence[Link] = ()
    balance: Balance | None = None
    person: Person | None = None
    banner: Banner | None = None
    toasts: Sequence[Toast] = ()
    palette: Sequence[LinkGroup] = ()
    palette_search_url: str | None = None
    shortcuts: bool = True
    preferences_action: str = PREFERENCES_PATH
    partner_brand: Brand | None = None

    def current(self, href: str) -> bool:
        """Tell whether an entry is where the person is: of all entries, the closest at or above the path."""
        entries = [link.href for group in self.navigation for link in group.links]
        entries += [link.href for link in self.footer_links]
        above = [entry for entry in entries if self._is_at_or_below(entry)]
        return bool(above) and href == max(above, key=len)

    def _is_at_or_below(self, href: str) -> bool:
        target = href.split("?", 1)[0].rstrip("/")
        here = self.path.split("?", 1)[0].rstrip("/")
        return here == target or (target != "" and here.startswith(f"{target}/"))
