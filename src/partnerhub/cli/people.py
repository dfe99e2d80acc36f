"""Operators, partners and their people."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from partnerhub.app.telling import console
from partnerhub.cli import partner_keys, price_rules
from partnerhub.cli.means import ACTOR, DataDir, PartnerId, complete, opened
from partnerhub.identity import services as identity
from partnerhub.identity.queries import find_user_by_email
from partnerhub.partners import queries as partner_queries
from partnerhub.partners import services as partners

operator = typer.Typer(no_args_is_help=True, help="People who run this installation.")
partner = typer.Typer(no_args_is_help=True, help="Partners.")
user = typer.Typer(no_args_is_help=True, help="People of a partner.")
partner.add_typer(partner_keys.commands, name="key")
partner.add_typer(price_rules.commands, name="price-rule")


@operator.command("create")
def create_operator(
    email: Annotated[str, typer.Argument(help="The operator's e-mail address.")],
    name: Annotated[str, typer.Option(help="The operator's name.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Create an operator; the password is asked for, or read from standard input."""

    async def work() -> None:
        password = _ask_password()
        async with opened(data_dir) as database, database.system() as unit:
            made = await identity.create_user(
                unit, email=email, name=name or email, password=password, is_operator=True
            )
        console.print(f"Operator {made.email} has the id {made.id}.", markup=False)

    complete(work())


@partner.command("create")
def create_partner(
    brand_name: Annotated[str, typer.Argument(help="The name clients see.")],
    country: Annotated[str, typer.Option(help="Two letters, such as DE.")],
    currency: Annotated[str, typer.Option(help="EUR or USD.")] = "EUR",
    payment_model: Annotated[str, typer.Option(help="partner_paid or direct_paid.")] = "partner_paid",
    data_dir: DataDir = None,
) -> None:
    """Create a partner with an empty wallet."""

    async def work() -> None:
        async with opened(data_dir) as database, database.system() as unit:
            made = await partners.create_partner(
                unit,
                brand_name=brand_name,
                country=country,
                currency=currency,
                payment_model=payment_model,  # type: ignore[arg-type]  # checked by the service
                actor=ACTOR,
            )
        console.print(f"Partner {made.brand_name} has the id {made.id}.", markup=False)

    complete(work())


@user.command("create")
def create_user(
    partner_id: PartnerId,
    email: Annotated[str, typer.Argument(help="The person's e-mail address.")],
    role: Annotated[str, typer.Option(help="owner or member.")] = "owner",
    name: Annotated[str, typer.Option(help="The person's name.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Add a person to a partner; a new one's password is asked for, or read from standard input."""

    async def work() -> None:
        async with opened(data_dir) as database:
            async with database.system() as unit:
                await partner_queries.get_partner(unit, partner_id=partner_id)
                known = await find_user_by_email(unit, email=email)
                places = await partner_queries.list_memberships(unit, user_id=known.id) if known else []
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
                    actor=ACTOR,
                )
                if known and not places:
                    # Anybody can sign up as a client with this e-mail; only its owner may become a member.
                    await identity.void_password(unit, user_id=known.id)
        console.print(f"{person.email} is {role} of {partner_id}.", markup=False)
        if known and not places:
            console.print(
                "The account was made in a sign-up that nobody confirmed: its password is void."
                " The person sets a new one by “Forgot password”."
            )

    complete(work())


def _ask_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Once more: "):
        raise typer.BadParameter("The two entries differ.")
    return password
