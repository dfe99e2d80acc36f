"""What the HTTP client says of a failure is said in the reader's language, every sentence of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import partnerhub
from partnerhub.dashboard.reasons import SENTENCES, SILENT, tell_reason
from partnerhub.kit.http import FailureKind, Reason
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
    return load_catalogues(Path(partnerhub.__file__).parent / "dashboard" / "locale")["de"].gettext(message)


def sentences() -> Iterator[str]:
    """Yield every sentence that the client's code may end an exchange with; it must stand there in full."""
    for path in CLIENT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name("Reason"), args=[_, ast.Name("sentence"), *_]):
                    pass  # inside of the two below
                case ast.Call(func=ast.Name("Reason"), args=[_, said, *_]):
                    yield ast.literal_eval(said)
                case ast.Call(func=ast.Name("_malformed" | "_unresolved"), args=[said]):
                    yield ast.literal_eval(said)


def test_every_sentence_of_the_client_is_told_in_the_readers_language() -> None:
    found = set(sentences())
    assert found >= SAYS_NO_MORE
    assert found - SAYS_NO_MORE == set(SENTENCES)
    assert [sentence for sentence in SENTENCES if german(sentence) == sentence] == []


def test_silent_kinds_tell_nothing_more() -> None:
    assert {tell_reason(Reason(kind, "The connection was reset."), german) for kind in SILENT} == {""}
    assert tell_reason(None, german) == ""


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            Reason(
                FailureKind.DNS,
                "The name {host} could not be resolved: {reason}.",
                {"host": "nowhere.example", "reason": "Name or service not known"},
            ),
            "Der Name nowhere.example ließ sich nicht auflösen: der Name ist nicht bekannt.",
        ),
        (
            Reason(
                FailureKind.TLS,
                "The certificate was refused: {reason}.",
                {"reason": "Hostname mismatch, certificate is not valid for 'a.example'"},
            ),
            "Das Zertifikat wurde abgelehnt: es ist nicht für a.example ausgestellt.",
        ),
        (
            Reason(
                FailureKind.TLS,
                "The certificate was refused: {reason}.",
                {"reason": "certificate has expired"},
            ),
            "Das Zertifikat wurde abgelehnt: es ist abgelaufen.",
        ),
        (
            Reason(
                FailureKind.BLOCKED,
                "{host} leads to {address}, which may not be called: {reason}.",
                {"host": "a.example", "address": "10.0.0.1", "reason": "private"},
            ),
            "a.example führt zu 10.0.0.1, und das darf nicht aufgerufen werden: eine private Adresse.",
        ),
        (
            Reason(
                FailureKind.REFUSED,
                "The connection could not be made: {reason}.",
                {"reason": "Connection refused"},
            ),
            "Die Verbindung kam nicht zustande: der Host hat sie abgelehnt.",
        ),
        # What is rare stands as it is, braces included.
        (
            Reason(FailureKind.TLS, "TLS failed: {reason}.", {"reason": "NO_{CIPHERS}"}),
            "TLS ist gescheitert: NO_{CIPHERS}.",
        ),
    ],
)
def test_the_facts_are_told(reason: Reason, words: str) -> None:
    assert tell_reason(reason, german) == words
