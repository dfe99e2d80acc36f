"""The four languages: which one a request gets, and the words in it.

Each package keeps its catalogues (`<package>/locale/<language>/LC_MESSAGES/messages.po`) beside its
templates; they are compiled when a process starts. English is the source language and needs none.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Literal, get_args

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

Language = Literal["en", "de", "pt-BR", "es"]

LANGUAGES: tuple[Language, ...] = get_args(Language)
SOURCE_LANGUAGE: Language = "en"
NAMES: Mapping[Language, str] = {
    "en": "English",
    "de": "Deutsch",
    "pt-BR": "Português (Brasil)",
    "es": "Español",
}
LANGUAGE_COOKIE = "lang"
CATALOGUE = "messages"

# British English writes dates and foreign currencies without ambiguity (14 Mar 2026, US$1.00).
_LOCALES: Mapping[Language, Locale] = {
    "en": Locale("en", "GB"),
    "de": Locale("de", "DE"),
    "pt-BR": Locale("pt", "BR"),
    "es": Locale("es", "ES"),
}
_FOLDERS: Mapping[Language, str] = {"en": "en", "de": "de", "pt-BR": "pt_BR", "es": "es"}


def locale_of(language: Language) -> Locale:
    """Return the locale data numbers, money and dates are written with."""
    return _LOCALES[language]


def folder_of(language: Language) -> str:
    """Return the name a language has as a folder and as a locale: `pt_BR`."""
    return _FOLDERS[language]


def catalogue_path(folder: Path, language: Language) -> Path:
    """Return where the catalogue of one language lies in a `locale` folder."""
    return folder / _FOLDERS[language] / "LC_MESSAGES" / f"{CATALOGUE}.po"


def find_language(tag: str | None) -> Language | None:
    """Return our language for a tag such as `pt`, `de-AT` or `es_419`, or None."""
    if not tag:
        return None
    primary = re.split(r"[-_]", tag.strip().lower(), maxsplit=1)[0]
    return next((language for language in LANGUAGES if language.lower().split("-")[0] == primary), None)


def negotiate(
    *, chosen: str | None = None, cookie: str | None = None, accept_language: str | None = None
) -> Language:
    """Return the language of a request: the person's choice, else the cookie, else the browser's wish."""
    for tag in (chosen, cookie):
        if language := find_language(tag):
            return language
    for tag in _by_quality(accept_language or ""):
        if language := find_language(tag):
            return language
    return SOURCE_LANGUAGE


def _by_quality(header: str) -> list[str]:
    """Return the tags of an Accept-Language header, best first; malformed parts are left out."""
    weighed: list[tuple[float, int, str]] = []
    for place, part in enumerate(header[:500].split(",")):
        match = re.fullmatch(
            r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?))?\s*", part
        )
        if match and (quality := float(match[2] or 1)) > 0:
            weighed.append((-quality, place, match[1]))
    return [tag for _, _, tag in sorted(weighed)]


@cache
def load_catalogues(*folders: Path) -> Mapping[Language, NullTranslations]:
    """Compile the catalogues of several `locale` folders into one per language, once; later folders win."""
    return {language: _compile(language, folders) for language in LANGUAGES}


def _compile(language: Language, folders: Iterable[Path]) -> NullTranslations:
    if language == SOURCE_LANGUAGE:
        return NullTranslations()
    merged = Catalog(locale=_FOLDERS[language])
    for folder in folders:
        path = catalogue_path(folder, language)
        if not path.is_file():
            continue
        with path.open("rb") as source:
            for message in read_po(source, locale=_FOLDERS[language]):
                if message.id and message.string:
                    merged.add(message.id, message.string, context=message.context)
    compiled = io.BytesIO()
    write_mo(compiled, merged)
    compiled.seek(0)
    return GNUTranslations(compiled)
