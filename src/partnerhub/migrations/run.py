"""Brings a database to the newest revision."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from partnerhub.migrations import roles

FOLDER = Path(__file__).parent


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["url"] = url
    return config


def upgrade(url: str) -> None:
    """Create the roles where they are missing and run every new migration.

    Raises: DatabaseTooOld, RolesMissing.
    """
    roles.ensure(url)
    command.upgrade(_config(url), "head")


def newest() -> str:
    """Return the revision this release needs."""
    head = ScriptDirectory.from_config(_config("")).get_current_head()
    if head is None:
        raise RuntimeError("No migration was shipped.")
    return head


def knows(revision: str) -> bool:
    """Say whether this release has the revision in its history."""
    return any(
        script.revision == revision for script in ScriptDirectory.from_config(_config("")).walk_revisions()
    )


def files() -> list[Path]:
    """Return every file that makes the schema; their hash names the tests' template database."""
    return sorted([*FOLDER.glob("versions/*.py"), *FOLDER.glob("sql/**/*.sql"), FOLDER / "roles.py"])
