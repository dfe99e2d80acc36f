"""Dated prices and markets."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from partnerhub.app.telling import console
from partnerhub.cli.means import ACTOR, DataDir, complete, opened
from partnerhub.kit import money
from partnerhub.ledger import services as ledger
from partnerhub.ledger.schemas import ImportResult

commands = typer.Typer(no_args_is_help=True, help="Prices and markets.")

_SHOWN_CHANGES = 20


@commands.command("import")
def import_rates(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV file.")],
    *,
    markets: Annotated[bool, typer.Option("--markets", help="The file maps prefixes to markets.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="The day from which it holds, for a file without a column of dates: 2026-10-01.",
        ),
    ] = None,
    currency: Annotated[str | None, typer.Option(help="For a file without a currency column.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Import a rate card or a table of markets, all of it or nothing."""

    async def work() -> None:
        content = await asyncio.to_thread(file.read_bytes)
        day = since.date() if since else None
        async with opened(data_dir) as database, database.system() as unit:
            if markets:
                result = await ledger.import_markets(
                    unit, content=content, source=file.name, actor=ACTOR, since=day, dry_run=dry_run
                )
            else:
                result = await ledger.import_rates(
                    unit,
                    content=content,
                    source=file.name,
                    actor=ACTOR,
                    since=day,
                    currency=currency,
                    dry_run=dry_run,
                )
        for line in _lines(result):
            console.print(line, markup=False)

    complete(work())


def _lines(result: ImportResult) -> list[str]:
    """Say what an import did, or would do."""
    changes = [
        f"  line {one.line}: {one.currency} {one.market} {one.category} from {one.since}: "
        f"{'none' if one.before is None else money.to_decimal(one.before)} → {money.to_decimal(one.after)}"
        for one in result.rates
    ] + [
        f"  line {one.line}: +{one.prefix} from {one.since}: {one.before or 'none'} → {one.after}"
        for one in result.markets
    ]
    told = [
        f"{result.line_count} prices or prefixes read, {len(changes)} changed, {result.unchanged} as before."
    ]
    told += changes[:_SHOWN_CHANGES]
    if len(changes) > _SHOWN_CHANGES:
        told.append(f"  … and {len(changes) - _SHOWN_CHANGES} more.")
    told += [f"  not in the file, keeps its rate: {name}" for name in result.missing]
    if result.is_dry_run:
        told.append("Nothing was written (dry run).")
    return told
