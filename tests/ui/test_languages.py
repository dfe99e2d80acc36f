"""Which language a request gets, and that every word exists in all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerhub.ui import messages
from partnerhub.ui.languages import LANGUAGES, catalogue_path, find_language, load_catalogues, negotiate


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en", "en"),
        ("en-US", "en"),
        ("de", "de"),
        ("de-AT", "de"),
        ("pt", "pt-BR"),
        ("pt-BR", "pt-BR"),
        ("pt_PT", "pt-BR"),
        ("ES-419", "es"),
        ("fr", None),
        ("", None),
        (None, None),
        ("d", None),
    ],
)
def test_a_tag_finds_its_language(tag: str | None, language: str | None) -> None:
    assert find_language(tag) == language


def test_the_persons_choice_comes_before_the_cookie_and_the_browser() -> None:
    assert negotiate(chosen="es", cookie="de", accept_language="pt") == "es"
    assert negotiate(chosen="xx", cookie="de", accept_language="pt") == "de"
    assert negotiate(accept_language="fr, pt;q=0.8, de;q=0.9") == "de"
    assert negotiate(accept_language="de;q=0, es;q=0.1") == "es"
    assert negotiate(accept_language="fr") == "en"
    assert negotiate() == "en"


@given(st.text(max_size=200))
def test_no_header_breaks_the_choice(header: str) -> None:
    assert negotiate(accept_language=header) in LANGUAGES


@pytest.mark.parametrize("package", messages.packages(), ids=lambda folder: folder.name)
def test_every_word_of_every_page_is_translated(package: Path) -> None:
    problems = [str(problem) for problem in messages.find_problems([package])]
    assert problems == [], f"run: python -m partnerhub.ui.messages {package.name}"


def test_the_check_sees_what_is_missing_stale_and_broken(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    (package / "templates").mkdir(parents=True)
    page = package / "templates" / "page.html"
    page.write_text(
        "{{ _('Basket of %(name)s', name=n) }} {{ ngettext('%(num)s item', '%(num)s items', 2) }}"
    )
    messages.update([package])
    found = {(problem.language, problem.what) for problem in messages.find_problems([package])}
    assert found == {(language, "not translated") for language in LANGUAGES if language != "en"}

    path = catalogue_path(package / "locale", "de")
    text = path.read_text()
    text = text.replace('"Basket of %(name)s"\nmsgstr ""', '"Basket of %(name)s"\nmsgstr "Korb von %(nam)s"')
    text = text.replace('msgstr[0] ""\nmsgstr[1] ""', 'msgstr[0] "%(num)s Stück"\nmsgstr[1] "%(num)s Stück"')
    path.write_text(text)
    german = [problem for problem in messages.find_problems([package]) if problem.language == "de"]
    assert [problem.message for problem in german] == ["Basket of %(name)s"]
    assert german[0].what != "not translated"

    page.write_text("{{ ngettext('%(num)s item', '%(num)s items', 2) }}")
    german = [problem for problem in messages.find_problems([package]) if problem.language == "de"]
    assert [(problem.message, problem.what) for problem in german] == [
        ("Basket of %(name)s", "no longer used")
    ]
    messages.update([package])
    assert [problem for problem in messages.find_problems([package]) if problem.language == "de"] == []
    assert (
        load_catalogues(package / "locale")["de"].ngettext("%(num)s item", "%(num)s items", 2)
        == "%(num)s Stück"
    )


def test_words_of_the_ui_are_not_asked_for_again(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "page.html").write_text("{{ _('Cancel') }}")
    messages.update([package])
    assert not (package / "locale").exists()
    assert list(messages.find_problems([package])) == []
