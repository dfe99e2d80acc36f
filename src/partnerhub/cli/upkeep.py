"""What keeps an installation well: its schema, its callback at Meta, its backups, and the doctor."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from partnerhub.app import backup as backups
from partnerhub.app import callback
from partnerhub.app import doctor as doctor_module
from partnerhub.app.doctor import Finding, Level
from partnerhub.app.telling import console, errors
from partnerhub.cli.means import DataDir, located, running_settings
from partnerhub.kit.crypto import Keyring
from partnerhub.migrations import run as migrations
from partnerhub.settings import SettingsWrong

commands = typer.Typer()

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILED: "bold red"}

BackupFile = Annotated[Path, typer.Argument(dir_okay=False, help="The backup's file.")]


@commands.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the schema of this release; repeatable."""
    with located(data_dir) as place, console.status("Migrating …"):
        migrations.upgrade(place.database_url)
    console.print(f"The database is at revision {migrations.newest()}.")


@commands.command()
def doctor(data_dir: DataDir = None) -> None:
    """Look at everything the installation stands on; leaves with 1 when something does not work."""
    if not asyncio.run(_examine(data_dir)):
        raise typer.Exit(1)


@commands.command()
def subscribe(data_dir: DataDir = None) -> None:
    """Point the callback of your app at Meta to this gateway, which must be running."""
    settings = running_settings(data_dir)
    with console.status("Meta asks the gateway …"):
        asyncio.run(callback.subscribe(settings))
    console.print(f"Meta calls {callback.callback_url(settings)} from now on.", markup=False)


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


async def _examine(data_dir: Path | None) -> bool:
    """Print what the doctor finds as it is found; say whether everything works."""
    levels: Counter[Level] = Counter()

    def show(finding: Finding) -> None:
        levels[finding.level] += 1
        style = _STYLES[finding.level]
        console.print(f"[{style}]{finding.level:<8}[/{style}] {finding.code:<24} {escape(finding.words)}")

    try:
        settings = running_settings(data_dir)
    except SettingsWrong as error:
        for finding in doctor_module.look_at_settings(error):
            show(finding)
    else:
        with console.status("Looking …") as status:
            async for finding in doctor_module.examine(
                settings, before=lambda what: status.update(f"Looking at {what} …")
            ):
                show(finding)
    counted = ", ".join(f"{levels[level]} {level}" for level in Level)
    console.print(f"{levels.total()} checks: {counted}.")
    return not levels[Level.FAILED]


@contextmanager
def _tables() -> Iterator[backups.Tell]:
    """Show a bar that counts tables."""
    columns = (TextColumn("Tables"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell
