"""Pictures of every page: `make screenshots` writes them to `docs/screenshots`.

Starts the hub with sample data on a database of its own, in memory. Words after the command are parts of
names: `make screenshots ARGS="delivery popup-done"` takes only those.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
from playwright.async_api import Browser
from psycopg import sql

from partnerhub.kit import logs
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.postgres import EmbeddedPostgres
from partnerhub.migrations import run as migrations
from partnerhub.ui.build import build
from tests.browser import LOOKS, Look, chromium
from tests.factories import make_partner
from tests.hub_sample import Sample, make_sample
from tests.hub_stage import HubStage, staged
from tests.hub_tours import Stop, popup_look, tour_dashboard, tour_popup
from tests.pictures import make_small

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"


def main() -> None:
    """Take the pictures."""
    logs.configure(process="screenshots", level="warning", readable=True)
    build()
    with _cluster() as databases:
        asyncio.run(take(databases, sys.argv[1:]))


async def take(databases: Mapping[Look, str], wanted: list[str], folder: Path = FOLDER) -> None:
    """Write the pictures whose names contain one of the wanted words, or all.

    Each look has a hub and a database of its own: a tour asks for as many codes as one person may in an hour.
    """
    total = 0
    async with chromium() as browser:
        for look, database_url in databases.items():
            async with (
                _running(database_url) as stage,
                aclosing(_everything(stage, await make_sample(stage), browser, look)) as stops,
            ):
                async for name, stop in stops:
                    if wanted and not any(word in name for word in wanted):
                        continue
                    picture = await _shoot(browser, stop)
                    await asyncio.to_thread(_write, folder / f"{name}.png", picture)
                    total += len(picture)
                    print(f"{len(picture) / 1000:7.1f} kB  {name}.png", flush=True)
    print(f"{total / 1_000_000:.1f} MB in {folder}")


async def _everything(
    stage: HubStage, sample: Sample, browser: Browser, look: Look
) -> AsyncGenerator[tuple[str, Stop], None]:
    async with aclosing(tour_dashboard(stage, sample, browser, look)) as stops:
        async for stop in stops:
            yield f"{stop.name}-{look}", stop
    # A partner of its own: what the tour of the hub switches on, such as IO Signature, is not in the way.
    partner = await make_partner(
        stage.database, brand_name="Acme Chat", redirect_url=stage.receiver.url("/connected")
    )
    async with aclosing(tour_popup(stage, partner, browser, look)) as stops:
        async for stop in stops:
            yield f"{stop.name}-{popup_look(look)}", stop


async def _shoot(browser: Browser, stop: Stop) -> bytes:
    # What sticks to the window would else stand in the middle of the page.
    await stop.page.evaluate("scrollTo(0, 0)")
    await stop.page.evaluate("document.fonts.ready.then(() => true)")
    picture = await stop.page.screenshot(full_page=stop.is_whole, caret="initial", animations="allow")
    helper = await browser.new_page()
    try:
        return await make_small(helper, picture)
    finally:
        await helper.close()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@asynccontextmanager
async def _running(database_url: str) -> AsyncIterator[HubStage]:
    database = Database(database_url, name="screenshots", max_size=8)
    await database.open()
    try:
        async with staged(database, Keyring([bytes(range(32))])) as stage:
            yield stage
    finally:
        await database.close()


@contextmanager
def _cluster() -> Iterator[Mapping[Look, str]]:
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made below it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        folder = Path(made)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder / "postgres", durable=False).running() as server:
            databases = {look: f"look_{number}" for number, look in enumerate(LOOKS)}
            with psycopg.connect(server.url(), autocommit=True) as connection:
                for name in databases.values():
                    connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            urls = {look: server.url(database=name) for look, name in databases.items()}
            for url in urls.values():
                migrations.upgrade(url)
            yield urls


if __name__ == "__main__":
    main()
