"""What every command stands on: which installation is meant, and its database."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer

from partnerhub import settings as settings_module
from partnerhub.demo import installation
from partnerhub.demo.installation import Opened
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit.database import Database

ACTOR = Actor(kind=ActorKind.OPERATOR, id="command-line", name=f"command line ({getpass.getuser()})")

DataDir = Annotated[
    Path | None,
    typer.Option(help="Data folder of an installation that `partnerhub run` made; else the settings count."),
]

PartnerId = Annotated[str, typer.Argument(help="The partner's id, such as f167CmPA.")]


@contextmanager
def located(data_dir: Path | None, *, make: bool = False) -> Iterator[Opened]:
    """Give where the database is: of the settings, or of a data folder, whose server is started if need be.

    Raises: SettingsWrong, InstallationMissing, DatabaseUnavailable.
    """
    if data_dir is None:
        settings = settings_module.load()
        yield Opened(settings.database_url, settings.secret_keys)
        return
    with installation.opened(data_dir, make=make) as found:
        yield found


def running_settings(data_dir: Path | None) -> settings_module.Settings:
    """Return every setting: of the environment, or of the installation that runs in a data folder.

    Raises: SettingsWrong, InstallationMissing.
    """
    if data_dir is None:
        return settings_module.load()
    return settings_module.load({**os.environ, **installation.running_environment(data_dir)})


@asynccontextmanager
async def opened(data_dir: Path | None) -> AsyncIterator[Database]:
    """Give the open database. Raises: as `located`; OperationalError with the server's own reason."""
    with located(data_dir) as place:
        async with connected(place.database_url) as database:
            yield database


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Database]:
    """Give a small pool; where the database is away, say why at once.

    Raises: OperationalError.
    """
    # By itself, a pool tries for a while and then only says that it did.
    await (await psycopg.AsyncConnection.connect(url, connect_timeout=5)).close()
    database = Database(url, name="command line", max_size=2)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def complete(work: Coroutine[Any, Any, None]) -> None:
    """Run a command's work to its end."""
    asyncio.run(work)
