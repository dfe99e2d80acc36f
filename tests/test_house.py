"""The import rules bite: each contract is broken on purpose, absolutely and relatively, and must say so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lint(tree: Path) -> tuple[int, str]:
    """Run the project's own contracts on a copy of its source."""
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "lint-imports"),
            "--config",
            str(ROOT / ".importlinter"),
            "--no-cache",
        ],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a copy of the source that may be spoilt."""
    shutil.copytree(
        ROOT / "src" / "partnerhub",
        tmp_path / "partnerhub",
        ignore=shutil.ignore_patterns("__pycache__", "node_modules", "static", "locale"),
    )
    return tmp_path


def test_the_source_as_it_is_keeps_every_contract(tree: Path) -> None:
    code, output = lint(tree)
    assert code == 0, output


@pytest.mark.parametrize(
    ("contract", "module", "line"),
    [
        ("Imports run downwards only", "kit/clock.py", "import partnerhub.identity.schemas"),
        ("Imports run downwards only", "kit/clock.py", "from ..identity import schemas"),
        ("Imports run downwards only", "webhooks/filters.py", "from partnerhub.partners import queries"),
        ("Imports run downwards only", "webhooks/filters.py", "from ..partners import queries"),
        ("Imports run downwards only", "dashboard/sign_in.py", "import partnerhub.hosted"),
        ("Imports run downwards only", "channels/queries.py", "from partnerhub import settings"),
        ("Hot SQL stays inside its package", "gateway/app.py", "from partnerhub.webhooks import sql"),
        ("The Graph client knows no database and no framework", "meta/client.py", "import psycopg"),
        ("The Graph client knows no database and no framework", "meta/client.py", "import litestar"),
        ("SQLAlchemy runs migrations and nothing else", "ledger/queries.py", "import sqlalchemy"),
        ("The domain knows no web framework", "partners/queries.py", "from litestar import get"),
        ("Settings import nothing of ours", "settings.py", "from partnerhub.kit import clock"),
        ("Settings import nothing of ours", "settings.py", "from .kit import clock"),
        ("The simulator is a Meta of its own", "simulator/core.py", "from partnerhub.meta import client"),
    ],
)
def test_a_planted_violation_is_found(tree: Path, contract: str, module: str, line: str) -> None:
    spoilt = tree / "partnerhub" / module
    spoilt.write_text(spoilt.read_text() + f"\n{line}\n")
    code, output = lint(tree)
    assert code != 0
    assert f"{contract} BROKEN" in output, output


def test_a_new_package_must_find_its_layer(tree: Path) -> None:
    (tree / "partnerhub" / "attic").mkdir()
    (tree / "partnerhub" / "attic" / "__init__.py").write_text("")
    code, output = lint(tree)
    assert code != 0
    assert "attic" in output
