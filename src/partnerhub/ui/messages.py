"""Collect the words of templates and code into the catalogues: `python -m partnerhub.ui.messages`.

Each package that shows words keeps its own catalogues; words that `ui` already translates are not repeated.
Name packages to touch only those. With `--check` nothing is written: missing, stale and broken translations
are listed and the exit code is 1.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_file
from babel.messages.pofile import read_po, write_po

from partnerhub.ui.languages import LANGUAGES, SOURCE_LANGUAGE, Language, catalogue_path, folder_of

PACKAGE = Path(__file__).parent.parent
_OWN = "ui"
_METHODS = ((".html", "jinja2.ext:babel_extract"), (".py", "python"))
_OPTIONS = {
    "extensions": "jinja2.ext.i18n,jinja2.ext.do,jinja2.ext.loopcontrols",
    "newstyle_gettext": "true",
    "silent": "false",
    "trimmed": "true",
}
_SKIPPED = {"node_modules", "static", "locale", "gallery"}
# A fixed date: catalogues change when words do, never because a day has passed.
_HEADER_DATE = datetime(2026, 11, 20, tzinfo=UTC)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a catalogue."""

    package: str
    language: Language
    message: str
    what: str

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.package} {self.language}: {self.what}: {self.message!r}"


def main() -> None:
    """Update the catalogues, or check them."""
    checking = "--check" in sys.argv[1:]
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if not checking:
        update(packages(names))
    problems = list(find_problems(packages(names)))
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    sys.exit(1 if problems and checking else 0)


def packages(names: Collection[str] = ()) -> list[Path]:
    """Return the folders of the packages named, or of all."""
    found = sorted(path for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] not in "_.")
    return [path for path in found if not names or path.name in names]


def extract(folder: Path) -> Catalog:
    """Collect the words of one package."""
    catalogue = Catalog(project="partnerhub")
    for path in sorted(folder.rglob("*")):
        method = dict(_METHODS).get(path.suffix)
        if method is None or _SKIPPED & set(path.relative_to(folder).parts) or path.stem == "gallery":
            continue
        found = extract_from_file(method, path, keywords=DEFAULT_KEYWORDS, options=_OPTIONS)
        for _line, words, comments, context in found:
            place = (path.relative_to(folder.parent).as_posix(), 0)
            catalogue.add(words, locations=[place], auto_comments=comments, context=context)
    return catalogue


def update(folders: Iterable[Path]) -> None:
    """Write the catalogues anew: known translations stay, new words are empty, old words leave."""
    shared = extract(PACKAGE / _OWN)
    for folder in folders:
        template = _without(extract(folder), shared) if folder.name != _OWN else shared
        for language in LANGUAGES:
            if language != SOURCE_LANGUAGE:
                _write(folder / "locale", language, template)


def find_problems(folders: Iterable[Path]) -> Iterator[Problem]:
    """Yield every missing, stale or broken translation of these packages."""
    shared = extract(PACKAGE / _OWN)
    for folder in folders:
        template = _without(extract(folder), shared) if folder.name != _OWN else shared
        for language in LANGUAGES:
            if language != SOURCE_LANGUAGE:
                yield from _compare(folder, language, template)


def _compare(folder: Path, language: Language, template: Catalog) -> Iterator[Problem]:
    known = _read(folder / "locale", language)
    wanted = {_key(message) for message in template if message.id}
    for message in template:
        if not message.id:
            continue
        translated = known.get(message.id, message.context)
        name = str(message.id)
        if translated is None or not _is_complete(translated):
            yield Problem(folder.name, language, name, "not translated")
            continue
        for error in translated.check(known):
            yield Problem(folder.name, language, name, str(error))
    for message in known:
        if message.id and _key(message) not in wanted:
            yield Problem(folder.name, language, str(message.id), "no longer used")


def _is_complete(message: Message) -> bool:
    strings = message.string if isinstance(message.string, (list, tuple)) else (message.string,)
    return not message.fuzzy and all(strings)


def _key(message: Message) -> tuple[str, str | None]:
    first = message.id if isinstance(message.id, str) else message.id[0]
    return (first, message.context)


def _without(catalogue: Catalog, shared: Catalog) -> Catalog:
    kept = Catalog(project="partnerhub")
    for message in catalogue:
        if message.id and shared.get(message.id, message.context) is None:
            kept.add(
                message.id,
                locations=message.locations,
                auto_comments=message.auto_comments,
                context=message.context,
            )
    return kept


def _read(folder: Path, language: Language) -> Catalog:
    path = catalogue_path(folder, language)
    if not path.is_file():
        return Catalog(locale=folder_of(language))
    with path.open("rb") as source:
        return read_po(source, locale=folder_of(language))


def _write(folder: Path, language: Language, template: Catalog) -> None:
    path = catalogue_path(folder, language)
    if not any(message.id for message in template):
        path.unlink(missing_ok=True)
        return
    known = _read(folder, language)
    fresh = Catalog(
        locale=folder_of(language),
        project="Partner Hub",
        header_comment="# Words of Partner Hub; written by `python -m partnerhub.ui.messages`.",
        creation_date=_HEADER_DATE,
        revision_date=_HEADER_DATE,
        version="1",
        msgid_bugs_address="-",
        last_translator="Partner Hub",
        language_team="Partner Hub",
        fuzzy=False,
    )
    for message in template:
        if message.id:
            old = known.get(message.id, message.context)
            # One that has become countable, or no longer is, must be translated anew.
            is_same = old is not None and old.pluralizable == message.pluralizable
            fresh.add(
                message.id,
                old.string if old is not None and is_same else None,
                locations=message.locations,
                auto_comments=message.auto_comments,
                context=message.context,
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        write_po(target, fresh, width=110, sort_output=True, include_lineno=False, ignore_obsolete=True)


if __name__ == "__main__":
    main()
