"""The documentation is true: generated pages match the source, links lead somewhere, what is named exists.

What one page alone promises (every route, every rule, every recipe) is tested beside the code it speaks of.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer.main
from typer.core import TyperGroup

from partnerhub import settings
from partnerhub.channels.life_cycle import PartnerEvent
from partnerhub.cli import cli
from partnerhub.webhooks.signing import HEADER, PREVIOUS_HEADER
from tests import reference
from tests.partner_api.contract import check

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
DEPLOYED = sorted(path for path in (ROOT / "deploy").iterdir() if path.is_file())
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

_FENCE = re.compile(r"^(`{3,})(\w*)\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"(?<!!)\[(?:[^\]]|\](?!\())*?\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
# Places and people behind the making of the project are nobody's business; hosts of registries change.
_FORBIDDEN = re.compile(
    r"/(?:work|root|home|tmp|dev/shm)/|pypi\.org|pythonhosted|registry\.npmjs|npmjs\.com|\bassistants?\b|co-authored",
    re.IGNORECASE,
)


@cache
def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return _COMMENT.sub("", _FENCE.sub("", page.read_text("utf-8")))


def code(page: Path) -> Iterator[tuple[str, str]]:
    """Yield every piece of code with the language of its block; inline code has the language `inline`."""
    text = page.read_text("utf-8")
    for block in _FENCE.finditer(text):
        yield block[2], block[3]
    for span in re.findall(r"`([^`\n]+)`", prose(page)):
        yield "inline", span


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return what a link may name behind `#`: headings as GitHub turns them into anchors."""
    found: dict[str, int] = {}
    names = []
    for heading in _HEADING.findall(prose(page)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count = found.get(name, 0)
        found[name] = count + 1
        names.append(f"{name}-{count}" if count else name)
    return frozenset(names)


# --- pages read off the source -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", reference.NAMES)
def test_a_generated_page_is_what_the_source_says(name: str) -> None:
    page = (reference.REFERENCE / name).read_text("utf-8")
    assert page == reference.pages()[name], f"{name} is out of date: run `python -m tests.reference`"


def test_no_word_for_an_error_code_outlives_the_code() -> None:
    classes = {one.code for one in reference.error_classes()}
    assert set(reference.CODE_WORDS) - set(reference.literal_codes()) - classes == set()


# --- links -------------------------------------------------------------------------------------------------


@every_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def test_the_index_names_every_page() -> None:
    index = DOCS / "README.md"
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in _LINK.findall(prose(index))}
    # Each decision is listed by the index of its own folder.
    pages = {page for page in DOCS.rglob("*.md") if page.parent.name != "decisions"} - {index}
    assert sorted(str(page.relative_to(DOCS)) for page in pages - linked) == []
    decisions = DOCS / "decisions"
    listed = _LINK.findall(prose(decisions / "README.md"))
    assert sorted(page.name for page in decisions.glob("0*.md") if page.name not in listed) == []


# --- names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [*PAGES, *DEPLOYED], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = {settings.environment_name(name) for name in settings.Settings.__dataclass_fields__}
    named = set(re.findall(r"\bPARTNERHUB_[A-Z][A-Z_]*[A-Z]\b", page.read_text("utf-8")))
    assert sorted(named - known - {"PARTNERHUB_CONFIG"}) == []


@every_page
def test_every_command_that_is_named_exists(page: Path) -> None:
    assert [f"{line}: {problem}" for line in _command_lines(page) if (problem := _problem_of(line))] == []


def _command_lines(page: Path) -> Iterator[str]:
    """Yield calls of the command line; `hub` is what the how-tos call it on a server."""
    for language, text in code(page):
        if language not in {"inline", "sh"}:
            continue
        for line in text.replace("\\\n", " ").splitlines():
            if called := re.match(r"(?:\$ )?(?:\S*/)?(?:partnerhub|hub) ([a-z].*)", line):
                yield called[1]


def _problem_of(line: str) -> str | None:
    command: Any = typer.main.get_command(cli)  # Any: typer brings a click of its own
    words = shlex.split(line, comments=True)
    while isinstance(command, TyperGroup) and words:
        name = words.pop(0)
        if name not in command.commands:
            return f"no command “{name}”"
        command = command.commands[name]
    known = {option for one in getattr(command, "params", ()) for option in one.opts} | {"--help"}
    wrong = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    return f"no option {wrong}" if wrong else None


@every_page
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for language, text in code(page)
        if language in {"inline", "sh"}
        for target in re.findall(r"^(?:\$ )?make ([a-z]+)", text, re.MULTILINE)
    }
    assert sorted(named - targets) == []


@pytest.mark.parametrize("page", [*PAGES, *DEPLOYED], ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_speaks_of_where_it_was_made(page: Path) -> None:
    assert _FORBIDDEN.findall(page.read_text("utf-8")) == []


_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
SEED_COVERAGE = DOCS / "reference" / "seed-coverage.md"


def defined_in(file: str) -> set[str]:
    """Return the tests that a file defines."""
    path = ROOT / file
    return set(re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE))


@every_page
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = set(_TEST.findall(page.read_text("utf-8")))
    files = {file for file, _ in named if not (ROOT / file).is_file()}
    assert sorted(files) == []
    assert sorted(f"{file}::{name}" for file, name in named if name not in defined_in(file)) == []


def test_each_promise_of_the_integration_page_names_its_proof_and_what_breaks_it() -> None:
    promises, seen_red = SEED_COVERAGE.read_text("utf-8").split("## Seen red")
    rows = re.findall(r"^\| (?!promise|---)(.*) \|$", promises, re.MULTILINE)
    assert len(rows) == len(set(rows))
    # One for each sentence about the product in the public description.
    assert len(rows) == 38
    for row in rows:
        promise, proof, breaks = row.split(" | ")
        assert promise
        assert breaks
        assert all(_TEST.fullmatch(one) for one in proof.split("<br>")), row
    file = "tests/app/test_seed_integration.py"
    named = {name for where, name in _TEST.findall(promises) if where == file}
    assert defined_in(file) - named == set()
    # Seen red were tests that stand for a promise.
    assert len(_TEST.findall(seen_red)) >= 5
    assert set(_TEST.findall(seen_red)) <= set(_TEST.findall(promises))


# --- partner events ----------------------------------------------------------------------------------------

EVENTS = (DOCS / "reference" / "events.md").read_text("utf-8")


def example(section: str) -> dict[str, Any]:  # Any: JSON
    """Return the JSON example of a section of the page of events."""
    (found,) = re.findall(rf"^## {section}\n.*?^```json\n(.*?)^```", EVENTS, re.MULTILINE | re.DOTALL)
    return dict(json.loads(found))


def test_every_partner_event_and_every_signature_is_on_the_page() -> None:
    names = [*PartnerEvent, HEADER, PREVIOUS_HEADER, "webhook-id", "webhook-timestamp", "webhook-signature"]
    assert [name for name in names if f"`{name}`" not in EVENTS] == []


def test_the_examples_of_events_have_the_members_of_the_api() -> None:
    partner = "/api/v2/partners/f167CmPA"
    channel, client = example("channel"), example("client")
    assert channel.pop("phone_number") == channel["setup_info"]["phone_number"]
    assert channel.pop("phone_name") == channel["setup_info"]["phone_name"]
    check("GET", f"{partner}/channels/{channel['id']}", 200, channel)
    assert client.pop("client_id") == client["client"]["id"]
    check("GET", f"{partner}/clients/{client['client']['id']}", 200, client.pop("client"))
    assert client == {}


# --- architecture ------------------------------------------------------------------------------------------


def test_every_layer_of_the_import_rules_is_drawn_in_its_order() -> None:
    rules = (ROOT / ".importlinter").read_text()
    (listed,) = re.findall(r"^layers =\n((?:    .*\n)+)", rules, re.MULTILINE)
    # A layer in brackets may be missing; those of one line stand side by side.
    layers = [
        [name for name in re.findall(r"\S+", line) if name[0] not in "(|"] for line in listed.splitlines()
    ]
    (drawing,) = [text for language, text in code(DOCS / "explanation" / "architecture.md") if not language]
    lines = [" ".join(re.findall(r"^ ([a-z_ ·]+?)(?:  |$)", line)) for line in drawing.splitlines()]
    drawn = [name for line in lines for name in line.split(" · ") if name]
    assert {name for layer in layers for name in layer} - set(drawn) == set()
    places = [max(drawn.index(name) for name in layer) for layer in layers if layer]
    assert places == sorted(places)


# --- deploy ------------------------------------------------------------------------------------------------


def test_the_example_proxy_logs_no_query_string() -> None:
    text = (ROOT / "deploy" / "nginx.conf.example").read_text()
    (logged,) = re.findall(r"^log_format partnerhub (.*?);$", text, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"\$\{?(\w+)", logged)).isdisjoint(
        {"request", "request_uri", "args", "http_referer"}
    )
    servers = text.count("\nserver {")
    assert len(re.findall(r"^    access_log (?:\S+ partnerhub|off);$", text, re.MULTILINE)) == servers
