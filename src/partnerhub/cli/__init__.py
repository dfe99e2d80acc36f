"""The command line of the operator: run, serve, migrate, and everything that needs no page.

One module per kind of work; each brings its commands, `main` puts them together.
"""

from __future__ import annotations

import typer

from partnerhub.app.telling import told
from partnerhub.cli import keys, people, prices, services, upkeep, wallets

cli = typer.Typer(
    name="partnerhub", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
for part in (services.commands, upkeep.commands):
    cli.add_typer(part)
for name, group in (
    ("operator", people.operator),
    ("partner", people.partner),
    ("user", people.user),
    ("wallet", wallets.commands),
    ("rates", prices.commands),
    ("keys", keys.commands),
):
    cli.add_typer(group, name=name)


def main() -> None:
    """Run the command line."""
    with told(TimeoutError):
        cli()
