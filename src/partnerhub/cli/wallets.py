"""Prepaid balances."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer
from rich.table import Table

from partnerhub.app.telling import console
from partnerhub.cli.means import ACTOR, DataDir, PartnerId, complete, opened
from partnerhub.kit import money
from partnerhub.ledger import queries as ledger_queries
from partnerhub.ledger import services as ledger
from partnerhub.partners import queries as partner_queries

commands = typer.Typer(no_args_is_help=True, help="Prepaid balances.")


@commands.command("top-up")
def top_up(
    partner_id: PartnerId,
    amount: Annotated[str, typer.Argument(help="In main units, such as 250 or 99.50.")],
    note: Annotated[str, typer.Option(help="What the journal says, such as the transfer's reference.")] = "",
    key: Annotated[str, typer.Option(help="Repeats with the same key move nothing.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Book money that arrived by bank transfer."""

    async def work() -> None:
        micros = money.parse(amount)
        async with opened(data_dir) as database, database.system() as unit:
            found = await partner_queries.get_partner(unit, partner_id=partner_id)
            done = await ledger.top_up(
                unit,
                partner_id=partner_id,
                currency=found.currency,
                amount_micros=micros,
                key=key or f"command line {secrets.token_hex(8)}",
                actor=ACTOR,
                note=note,
            )
        console.print(f"Available: {money.to_decimal(done.balance.available)} {done.balance.currency}.")

    complete(work())


@commands.command("show")
def show_wallet(partner_id: PartnerId, data_dir: DataDir = None) -> None:
    """Show what a partner has, what is held for messages on their way, and what is available."""

    async def work() -> None:
        async with opened(data_dir) as database:
            async with database.system() as unit:
                await partner_queries.get_partner(unit, partner_id=partner_id)
            async with database.tenant(partner_id) as unit:
                balances = await ledger_queries.get_balance(unit, partner_id=partner_id)
        table = Table("posted", "held", "available", "currency")
        for balance in balances:
            figures = (balance.posted, balance.held, balance.available)
            table.add_row(*(str(money.to_decimal(figure)) for figure in figures), balance.currency)
        console.print(table)

    complete(work())
