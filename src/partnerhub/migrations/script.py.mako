"""${message}."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Run the SQL files of this revision in name order."""
    for script in sorted((Path(__file__).parent.parent / "sql" / revision).glob("*.sql")):
        op.get_bind().connection.driver_connection.execute(script.read_text())
