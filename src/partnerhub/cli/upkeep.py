"""What keeps an installation well: its schema, its keys, its backups, and the doctor."""

from __future__ import annotations

import typer

from partnerhub.app.telling import console
from partnerhub.cli.means import DataDir, located
from partnerhub.migrations import run as migrations

commands = typer.Typer()


@commands.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the schema of this release; repeatable."""
    with located(data_dir) as place, console.status("Migrating …"):
        migrations.upgrade(place.database_url)
    console.print(f"The database is at revision {migrations.newest()}.")
