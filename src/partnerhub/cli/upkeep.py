"""What keeps an installation well: its schema, its backups, and the doctor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from partnerhub.app import backup as backups
from partnerhub.app.telling import console, errors
from partnerhub.cli.means import DataDir, located
from partnerhub.kit.crypto import Keyring
from partnerhub.migrations import run as migrations

commands = typer.Typer()

BackupFile = Annotated[Path, typer.Argument(dir_okay=False, help="The backup's file.")]


@commands.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the schema of this release; repeatable."""
    with located(data_dir) as place, console.status("Migrating …"):
        migrations.upgrade(place.database_url)
    console.print(f"The database is at revision {migrations.newest()}.")


@commands.command()
def backup(file: BackupFile, data_dir: DataDir = None) -> None:
    """Write the whole database to a new file; services go on meanwhile."""
    with located(data_dir) as place, _tables() as tell:
        made = backups.back_up(place.database_url, file, tell=tell)
    size = f"{made.size_bytes / 1e6:.1f} MB"
    console.print(f"{file}: {made.tables} tables, {size}, revision {made.revision}.", markup=False)
    keys = "PARTNERHUB_SECRET_KEYS" if data_dir is None else f"{data_dir / 'installation.json'}"
    console.print(f"The keys that open its secrets are not in it: keep {keys} somewhere else.", markup=False)


@commands.command()
def restore(file: BackupFile, data_dir: DataDir = None) -> None:
    """Bring a backup into an empty database, and check what came."""
    with located(data_dir, make=True) as place:
        with _tables() as tell:
            found = backups.restore(place.database_url, file, tell=tell)
        console.print(f"{found.tables} tables restored; the database is at revision {migrations.newest()}.")
        with console.status("Checking …"):
            problems = asyncio.run(backups.check(place.database_url, Keyring.from_text(place.secret_keys)))
    for problem in problems:
        errors.print(problem, markup=False)
    if problems:
        raise typer.Exit(1)
    console.print("The books add up, and every secret opens.")


@contextmanager
def _tables() -> Iterator[backups.Tell]:
    """Show a bar that counts tables."""
    columns = (TextColumn("Tables"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell
