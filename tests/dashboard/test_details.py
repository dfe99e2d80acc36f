"""What the HTTP client says of a failure is said in the reader's language, every sentence of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import partnerhub
from partnerhub.dashboard.details import SILENT, tell_detail
from partnerhub.kit.http import FailureKind
from partnerhub.ui.languages import load_catalogues

CLIENT = Path(partnerhub.__file__).parent / "kit" / "http"
# Of the kinds whose meaning says it all.
SAYS_NO_MORE = {
    "The connection was closed at once.",
    "No byte of an answer came in time.",
    "No connection came about in time.",
    "No connection came free in time.",
    "The connection was closed before the answer was complete.",
    "The connection was reset.",
    "The whole exchange took too long.",
}


def german(message: str) -> str:
    """Translate as a page does."""
    return load_catalogues([Path(partnerhub.__file__).parent / "dashboard" / "locale"])["de"].gettext(message)


def sentences() -> Iterator[str]:
    """Yield every sentence that the client's code may end an exchange with, its values filled with `x`."""
    for path in CLIENT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name("_malformed"), args=[said]):
                    yield f"The answer {_text(said)}."
                case ast.Call(func=ast.Name("ExchangeError"), args=[said, *_]):
                    yield _text(said)
                case ast.Call(args=[ast.Attribute(ast.Name("FailureKind")), said, *_]):
                    yield _text(said)
                case ast.Tuple([ast.Attribute(ast.Name("FailureKind")), said]):
                    yield _text(said)
                case ast.FunctionDef(name="_tls_message"):
                    yield from (_text(one.value) for one in ast.walk(node) if isinstance(one, ast.Return))


def _text(said: ast.expr | None) -> str:
    parts = said.values if isinstance(said, ast.JoinedStr) else [said]
    return "".join(
        part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "x"
        for part in parts
    )


def test_every_sentence_of_the_client_is_told_in_the_readers_language() -> None:
    # A sentence that only passes on what was said elsewhere is no word of its own.
    found = {text for text in sentences() if " " in text} - {"The answer x."}
    assert len(found) > 20
    told = {text: tell_detail("malformed", text, german) for text in found}
    assert {text for text, words in told.items() if not words} == SAYS_NO_MORE
    assert [text for text, words in told.items() if words == text] == []


@pytest.mark.parametrize(
    ("code", "detail", "words"),
    [
        (
            "dns",
            "The name nowhere.example could not be resolved: Name or service not known.",
            "Der Name nowhere.example ließ sich nicht auflösen: der Name ist nicht bekannt.",
        ),
        (
            "tls",
            "The certificate was refused: Hostname mismatch, certificate is not valid for 'a.example'..",
            "Das Zertifikat wurde abgelehnt: es ist nicht für a.example ausgestellt.",
        ),
        (
            "tls",
            "The certificate was refused: certificate has expired.",
            "Das Zertifikat wurde abgelehnt: es ist abgelaufen.",
        ),
        (
            "blocked",
            "a.example leads to 10.0.0.1, which may not be called: private.",
            "a.example führt zu 10.0.0.1, und das darf nicht aufgerufen werden: eine private Adresse.",
        ),
        (
            "refused",
            "The connection could not be made: Connection refused.",
            "Die Verbindung kam nicht zustande: der Host hat sie abgelehnt.",
        ),
        # What is rare stands as it is.
        ("tls", "TLS failed: NO_CIPHERS_AVAILABLE.", "TLS ist gescheitert: NO_CIPHERS_AVAILABLE."),
        ("closed", "The connection was closed before the answer was complete.", ""),
    ],
)
def test_the_facts_are_told(code: str, detail: str, words: str) -> None:
    assert tell_detail(code, detail, german) == words


def test_silent_kinds_are_kinds() -> None:
    assert set(FailureKind) > SILENT
