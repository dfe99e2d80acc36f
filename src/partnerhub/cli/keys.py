"""Envelope keys: making one, and bringing everything that is sealed under the newest."""

from __future__ import annotations

import asyncio

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from partnerhub.app import sealed
from partnerhub.app.telling import console, errors
from partnerhub.cli.means import DataDir, connected, located
from partnerhub.kit.crypto import Keyring, new_key

commands = typer.Typer(no_args_is_help=True, help="Envelope keys, which seal every stored secret.")


@commands.command("new")
def make_key() -> None:
    """Print a new envelope key; put it first in PARTNERHUB_SECRET_KEYS."""
    console.print(new_key(), markup=False)


@commands.command("rotate")
def rotate_keys(data_dir: DataDir = None) -> None:
    """Seal everything that older keys sealed with the newest; may be broken off and repeated."""
    with located(data_dir) as place:
        done = asyncio.run(_rotate(place.database_url, Keyring.from_text(place.secret_keys)))
    console.print(_words(done))
    for name in done.broken:
        errors.print(f"  {name}: no key of the ring opens it", markup=False)
    if done.broken:
        count = len(done.broken)
        told = (
            "1 value does not open and stays as it is"
            if count == 1
            else (f"{count} values do not open and stay as they are")
        )
        errors.print(f"{told} (seal_broken)")
        raise typer.Exit(1)


def _words(done: sealed.Rotation) -> str:
    """Say what a rotation did."""
    match done.resealed:
        case 0 if done.broken:
            return "Nothing was sealed anew."
        case 0:
            return "Nothing to do: everything is under the newest key already."
        case 1:
            return "1 value is under the newest key now."
        case count:
            return f"{count} values are under the newest key now."


async def _rotate(url: str, keyring: Keyring) -> sealed.Rotation:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    async with connected(url) as database:
        with Bar(*columns, console=console, transient=True) as bar:
            task = bar.add_task("Looking for values under older keys", total=None)

            def show(progress: sealed.Progress) -> None:
                bar.update(
                    task,
                    description=progress.column.name,
                    completed=progress.done,
                    total=max(progress.total, progress.done),
                )

            return await sealed.rotate(database, keyring, on_progress=show)
