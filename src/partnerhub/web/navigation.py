"""Entries of the hubs' menus, as their doors declare them: words to translate, addresses, who sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from partnerhub.ui.frame import Link, LinkGroup
from partnerhub.web.principal import SignedInUser

Translate = Callable[[str], str]


def N_(message: str) -> str:  # noqa: N802 - the name that collectors of words look for
    """Mark words for translation where they are declared; they are translated where they are shown."""
    return message


@dataclass(frozen=True)
class Entry:
    """One page in a menu; `label` is marked with `N_`, `keys` is its shortcut (`g n`)."""

    label: str
    href: str
    icon: str
    keys: str | None = None
    is_for_owners: bool = False


@dataclass(frozen=True)
class Section:
    """Entries under an optional heading, marked with `N_`."""

    entries: Sequence[Entry]
    label: str | None = None


Menu = Sequence[Section]


def link_groups(menu: Menu, *, person: SignedInUser, translate: Translate) -> tuple[LinkGroup, ...]:
    """Return what this person sees of a menu, in their language; a section without entries is left out."""
    groups = []
    for section in menu:
        links = tuple(
            Link(label=translate(entry.label), href=entry.href, icon=entry.icon, keys=entry.keys)
            for entry in section.entries
            if person.is_owner or not entry.is_for_owners
        )
        if links:
            groups.append(LinkGroup(links=links, label=translate(section.label) if section.label else None))
    return tuple(groups)
