"""The template environment: what it refuses, and what every template of the product must hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import TemplateError, UndefinedError
from markupsafe import Markup

import partnerhub
from partnerhub.ui import build
from partnerhub.ui.address import Address
from partnerhub.ui.frame import Balance, Brand, Frame, Hub, Link, LinkGroup, Person, Toast
from partnerhub.ui.templates import _FILTERS, UnsafeAttribute, attributes, environment, render

PACKAGE = Path(partnerhub.__file__).parent
# Every template that stands on ours; the simulator's imitation of Meta's own pages does not.
TEMPLATES = [
    path
    for path in sorted(PACKAGE.rglob("*.html"))
    if "node_modules" not in path.parts and ("ui" in path.parts or '"ui/' in path.read_text())
]
FRAME = Frame(brand=Brand(name="Acme <Hub>"), path="/numbers/1", request_id="r-1", csrf_token="token")


@pytest.fixture(autouse=True, scope="module")
def _built() -> None:
    build.build()


def written(tmp_path: Path, text: str, frame: Frame = FRAME, **values: object) -> str:
    """Render a template of a package made for the test."""
    folder = tmp_path / "templates"
    folder.mkdir(exist_ok=True)
    (folder / "page.html").write_text('{% import "ui/ui.html" as ui with context %}' + text)
    return render(environment({"shop": tmp_path}), "shop/page.html", frame=frame, **values)


def test_values_are_escaped_and_unknown_names_refused(tmp_path: Path) -> None:
    assert written(tmp_path, "{{ name }}", name="<b>") == "&lt;b&gt;"
    assert 'value="&#34;&gt;&lt;b&gt;"' in written(tmp_path, "{{ ui.text('a', 'A', value='\"><b>') }}")
    with pytest.raises(UndefinedError):
        written(tmp_path, "{{ nothing }}")


def test_a_macro_without_the_page_says_how_to_import(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "page.html").write_text(
        '{% import "ui/ui.html" as ui %}{{ ui.submit(_("Cancel")) }}{{ ui.csrf() }}'
    )
    with pytest.raises((LookupError, TemplateError)):
        render(environment({"shop": tmp_path}), "shop/page.html", frame=FRAME)


@pytest.mark.parametrize("name", ["onclick", "ONLOAD", "style", "hx-on:click", "data-hx-on:click", "srcdoc"])
def test_an_attribute_that_runs_code_or_styles_is_refused(name: str) -> None:
    with pytest.raises(UnsafeAttribute):
        attributes({name: "x"})


def test_attributes_are_written_as_html_has_them() -> None:
    assert attributes({"disabled": True, "hidden": False, "title": None, "data-x": '"<'}) == Markup(
        ' disabled data-x="&#34;&lt;"'
    )
    with pytest.raises(UnsafeAttribute):
        attributes({"hx-vals": "js:{a: 1}"})
    assert attributes({"hx-vals": '{"a": 1}'})


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_template_keeps_the_policy(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text), "no script in a page"
    assert not re.search(r"<style\b", text), "no style element in a page"
    assert not re.search(r"\sstyle\s*=", text), "no style attribute in a page"
    assert not re.search(r"<[^>]*\son[a-z]+\s*=", text), "no handler attribute in a page"
    assert "hx-on" not in text
    assert not re.search(r"hx-trigger=\"[^\"]*\[", text), "a trigger filter compiles code"
    assert not re.search(r"hx-vals=\W*js", text)
    assert "|safe" not in text.replace(" ", ""), "what is safe is said by Markup where it is made"
    assert not re.search(r"https?://(?!\S*example)\w", text), "no foreign address in a page"


def test_words_follow_the_language_of_the_frame(tmp_path: Path) -> None:
    german = Frame(brand=FRAME.brand, path="/", request_id="r", language="de", timezone="Europe/Berlin")
    text = "{{ _('Cancel') }} {{ 1284500000|money('EUR') }} {{ _('Copy %(what)s', what='<x>') }}"
    assert written(tmp_path, text, german) == "Abbrechen 1.284,50\u00a0€ &lt;x&gt; kopieren"


def test_the_frame_shows_what_it_is_given(tmp_path: Path) -> None:
    frame = Frame(
        brand=FRAME.brand,
        path="/numbers/1",
        request_id="r-1",
        csrf_token="tok'en",
        hub=Hub(name="Northwind", href="/home"),
        navigation=(
            LinkGroup(
                links=(Link(label="Home", href="/"), Link(label="Numbers", href="/numbers", count=1234))
            ),
        ),
        balance=Balance(label="Balance", text="€1.00"),
        person=Person(name="Sam Example", email="sam@acme.example", sign_out_action="/sign-out"),
        toasts=(Toast(title="Saved <now>"),),
        theme="dark",
    )
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "full.html").write_text(
        '{% extends "ui/layout.html" %}{% block title %}N{% endblock %}'
        "{% block content %}<h1>N</h1>{% endblock %}"
    )
    page = render(environment({"shop": tmp_path}), "shop/full.html", frame=frame)
    assert '<html lang="en" data-theme="dark">' in page
    assert '<meta name="color-scheme" content="dark">' in page
    assert "<title>N · Acme &lt;Hub&gt;</title>" in page
    assert 'hx-headers:inherited="{&#34;x-csrf-token&#34;:&#34;tok&#39;en&#34;}"' in page
    assert page.count('aria-current="page"') == 1
    assert "1,234" in page
    assert "Saved &lt;now&gt;" in page
    assert 'action="/sign-out"' in page


def test_one_entry_is_current_the_closest_above_the_page() -> None:
    links = [Link(label=href, href=href) for href in ("/", "/numbers", "/numbers/new", "/num")]
    for path in ("/numbers/1", "/numbers", "/numbers?q=a", "/numbers/?q=/num"):
        frame = Frame(brand=FRAME.brand, path=path, request_id="r", navigation=(LinkGroup(links=links),))
        assert [link.href for link in links if frame.current(link.href)] == ["/numbers"]


def test_an_address_is_canonical() -> None:
    address = Address("/list", {"q": "a b", "status": "", "sort": "-name"})
    assert str(address) == "/list?q=a+b&sort=-name"
    assert address.with_(sort=None, page=2) == "/list?page=2&q=a+b"
    assert address.with_(q="", sort="") == "/list"
    assert address.get("status") is None


def test_the_reference_names_every_macro_and_filter_and_no_other() -> None:
    text = (PACKAGE.parents[1] / "docs" / "reference" / "components.md").read_text()
    table = text.split("## Macros")[1].split("## Rows")[0]
    source = (PACKAGE / "ui" / "templates" / "ui.html").read_text()
    macros = set(re.findall(r"{% macro (\w+)\(", source))
    named = set(re.findall(r"`(\w+)\(", table.split("`icon(name")[0]))
    assert named == macros
    own = set(_FILTERS)
    assert {name for name in own if f"`{name}`" not in table and f"`{name}(" not in table} == set()
