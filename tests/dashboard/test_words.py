"""What is recorded of a number has words on its page."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import partnerhub
from partnerhub.dashboard.words import ACTIONS

SOURCE = Path(partnerhub.__file__).parent


def texts(tree: ast.AST, keyword: str) -> Iterator[str]:
    """Yield every text that is given for a keyword."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call):
            for given in call.keywords:
                if given.arg == keyword:
                    for part in ast.walk(given.value):
                        if isinstance(part, ast.Constant) and isinstance(part.value, str):
                            yield part.value


def test_every_action_on_a_number_has_words() -> None:
    found = set()
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        if "channel" in texts(tree, "object_kind"):
            found |= {text for text in texts(tree, "action") if "." in text.strip(".")}
    assert found >= {"channel.created", "permission.granted", "webhook.set"}
    assert sorted(found - set(ACTIONS)) == []
