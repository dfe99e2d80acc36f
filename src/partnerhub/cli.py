"""The command line of the operator: run, serve, migrate, and everything that needs no page."""

from __future__ import annotations

import asyncio
import getpass
import os
import secrets
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from partnerhub import app as application
from partnerhub import settings as settings_module
from partnerhub.demo import run as demo
from partnerhub.demo.supervisor import ChildFailed, python
from partnerhub.identity import services as identity
from partnerhub.identity.queries import find_user_by_email
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit import money
from partnerhub.kit.database import Database
from partnerhub.kit.errors import HubError
from partnerhub.ledger import queries as ledger_queries
from partnerhub.ledger import services as ledger
from partnerhub.migrations import run as migrations
from partnerhub.partners import queries as partner_queries
from partnerhub.partners import services as partners

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

cli = typer.Typer(
    name="partnerhub", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
operator = typer.Typer(no_args_is_help=True, help="People who run this installation.")
partner = typer.Typer(no_args_is_help=True, help="Partners.")
user = typer.Typer(no_args_is_help=True, help="People of a partner.")
wallet = typer.Typer(no_args_is_help=True, help="Prepaid balances.")
rates = typer.Typer(no_args_is_help=True, help="Prices and markets.")
for name, group in {
    "operator": operator,
    "partner": partner,
    "user": user,
    "wallet": wallet,
    "rates": rates,
}.items():
    cli.add_typer(group, name=name)


class Service(StrEnum):
    """The services of an installation."""

    HUB = "hub"
    GATEWAY = "gateway"
    WORKER = "worker"


_ACTOR = Actor(kind=ActorKind.OPERATOR, id="command-line", name=f"command line ({getpass.getuser()})")


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    async with application.open_database(settings_module.load(), name="command line") as database:
        yield database


def _complete(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@cli.command()
def run(
    *,
    with_demo: Annotated[
        bool, typer.Option("--demo", help="With sample data, simulator and mailbox.")
    ] = False,
    hub_port: Annotated[int, typer.Option(help="Port of the hub; 0 for any free one.")] = 8082,
    gateway_port: Annotated[int, typer.Option(help="Port of the gateway; 0 for any free one.")] = 8081,
    simulator_port: Annotated[int, typer.Option(help="Port of the simulator; 0 for any free one.")] = 8090,
    data_dir: Annotated[Path, typer.Option(help="Where state is kept.")] = Path(".partnerhub"),
) -> None:
    """Run everything on this machine and keep it running."""
    demo.run(
        demo.Options(
            folder=data_dir,
            is_demo=with_demo,
            hub_port=hub_port,
            gateway_port=gateway_port,
            simulator_port=simulator_port,
        )
    )


@cli.command()
def serve(service: Annotated[Service, typer.Argument(help="hub, gateway or worker")]) -> None:
    """Run one service of an installation in this process."""
    # A fresh interpreter loads what the service needs and nothing of the command line.
    command = python("-m", f"partnerhub.app.{service.value}")
    os.execv(command[0], command)  # noqa: S606 - our own interpreter, no shell


@cli.command()
def migrate() -> None:
    """Bring the database to the schema of this release."""
    with console.status("Migrating …"):
        migrations.upgrade(settings_module.load().database_url)
    console.print(f"The database is at revision {migrations.newest()}.")


@operator.command("create")
def create_operator(
    email: Annotated[str, typer.Argument(help="The operator's e-mail address.")],
    name: Annotated[str, typer.Option(help="The operator's name.")] = "",
) -> None:
    """Create an operator; the password is asked for."""

    async def work() -> None:
        password = _ask_password()
        async with _database() as database, database.system() as unit:
            made = await identity.create_user(
                unit, email=email, name=name or email, password=password, is_operator=True
            )
        console.print(f"Operator {made.email} has the id {made.id}.")

    _complete(work())


@partner.command("create")
def create_partner(
    brand_name: Annotated[str, typer.Argument(help="The name clients see.")],
    country: Annotated[str, typer.Option(help="Two letters, such as DE.")],
    currency: Annotated[str, typer.Option(help="EUR or USD.")] = "EUR",
    payment_model: Annotated[str, typer.Option(help="partner_paid or direct_paid.")] = "partner_paid",
) -> None:
    """Create a partner with an empty wallet."""

    async def work() -> None:
        async with _database() as database, database.system() as unit:
            made = await partners.create_partner(
                unit,
                brand_name=brand_name,
                country=country,
                currency=currency,
                payment_model=payment_model,  # type: ignore[arg-type]  # checked by the service
                actor=_ACTOR,
            )
        console.print(f"Partner {made.brand_name} has the id {made.id}.")

    _complete(work())


@partner.command("key")
def create_partner_key(
    partner_id: str,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "Command line",
    scopes: Annotated[str, typer.Option(help="read, write, security; separated by commas.")] = "read,write",
) -> None:
    """Create a Partner API key; it is shown once."""

    async def work() -> None:
        wanted = [part.strip() for part in scopes.split(",")]
        async with _database() as database, database.system() as unit:
            await partner_queries.get_partner(unit, partner_id=partner_id)
            _, secret = await partners.create_key(
                unit, partner_id=partner_id, name=name, scopes=wanted, actor=_ACTOR
            )
        console.print(secret)

    _complete(work())


@user.command("create")
def create_user(
    partner_id: str,
    email: str,
    role: Annotated[str, typer.Option(help="owner or member.")] = "owner",
    name: Annotated[str, typer.Option(help="The person's name.")] = "",
) -> None:
    """Add a person to a partner; a new one's password is asked for."""

    async def work() -> None:
        async with _database() as database:
            async with database.system() as unit:
                await partner_queries.get_partner(unit, partner_id=partner_id)
                known = await find_user_by_email(unit, email=email)
            password = None if known else _ask_password()
            async with database.system() as unit:
                person = known or await identity.create_user(
                    unit, email=email, name=name or email, password=password
                )
                await partners.add_member(
                    unit,
                    partner_id=partner_id,
                    user_id=person.id,
                    role=role,  # type: ignore[arg-type]  # checked by the service
                    actor=_ACTOR,
                )
        console.print(f"{person.email} is {role} of {partner_id}.")

    _complete(work())


@wallet.command("top-up")
def top_up(
    partner_id: str,
    amount: Annotated[str, typer.Argument(help="In main units, such as 250 or 99.50.")],
    note: Annotated[str, typer.Option(help="What the journal says, such as the transfer's reference.")] = "",
    key: Annotated[str, typer.Option(help="Repeats with the same key move nothing.")] = "",
) -> None:
    """Book money that arrived by bank transfer."""

    async def work() -> None:
        micros = money.parse(amount)
        async with _database() as database, database.system() as unit:
            found = await partner_queries.get_partner(unit, partner_id=partner_id)
            done = await ledger.top_up(
                unit,
                partner_id=partner_id,
                currency=found.currency,
                amount_micros=micros,
                key=key or f"command line {secrets.token_hex(8)}",
                actor=_ACTOR,
                note=note,
            )
        console.print(f"Available: {money.to_decimal(done.balance.available)} {done.balance.currency}.")

    _complete(work())


@wallet.command("show")
def show_wallet(partner_id: str) -> None:
    """Show what a partner has, what is held for messages on their way, and what is available."""

    async def work() -> None:
        async with _database() as database, database.tenant(partner_id) as unit:
            balances = await ledger_queries.get_balance(unit, partner_id=partner_id)
        table = Table("posted", "held", "available", "currency")
        for balance in balances:
            figures = (balance.posted, balance.held, balance.available)
            table.add_row(*(str(money.to_decimal(figure)) for figure in figures), balance.currency)
        console.print(table)

    _complete(work())


@rates.command("import")
def import_rates(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    *,
    markets: Annotated[bool, typer.Option("--markets", help="The file maps prefixes to markets.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    currency: Annotated[str | None, typer.Option(help="For a file without a currency column.")] = None,
) -> None:
    """Import a rate card or a table of markets, all of it or nothing."""

    async def work() -> None:
        content = await asyncio.to_thread(file.read_bytes)
        async with _database() as database, database.system() as unit:
            if markets:
                result = await ledger.import_markets(
                    unit, content=content, source=file.name, actor=_ACTOR, dry_run=dry_run
                )
            else:
                result = await ledger.import_rates(
                    unit,
                    content=content,
                    source=file.name,
                    actor=_ACTOR,
                    currency=currency,
                    dry_run=dry_run,
                )
        console.print(result)

    _complete(work())


def _ask_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Once more: "):
        raise typer.BadParameter("The two entries differ.")
    return password


def main() -> None:
    """Run the command line; what can go wrong is told in a line with its code."""
    try:
        cli()
    except settings_module.SettingsWrong as error:
        errors.print("[bold]The settings cannot be used:[/bold]")
        for problem in error.problems:
            errors.print(f"  {problem}", markup=False)
        sys.exit(2)
    except HubError as error:
        errors.print(f"{error.message} ({error.code})", markup=False)
        for field, problem in error.fields.items():
            errors.print(f"  {field}: {problem}", markup=False)
        sys.exit(1)
    except (ChildFailed, TimeoutError) as error:
        errors.print(str(error), markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
