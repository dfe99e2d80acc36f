"""Keys of the Partner API."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from partnerhub.app.telling import console
from partnerhub.cli.means import ACTOR, DataDir, PartnerId, complete, opened
from partnerhub.partners import queries as partner_queries
from partnerhub.partners import services as partners

commands = typer.Typer(no_args_is_help=True, help="Keys of the Partner API.")


@commands.command("create")
def create_partner_key(
    partner_id: PartnerId,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "Command line",
    scopes: Annotated[str, typer.Option(help="read, write, security; separated by commas.")] = "read,write",
    data_dir: DataDir = None,
) -> None:
    """Create a Partner API key; it is shown once."""

    async def work() -> None:
        wanted = [part.strip() for part in scopes.split(",")]
        async with opened(data_dir) as database, database.system() as unit:
            await partner_queries.get_partner(unit, partner_id=partner_id)
            _, secret = await partners.create_key(
                unit, partner_id=partner_id, name=name, scopes=wanted, actor=ACTOR
            )
        console.print(secret, markup=False)

    complete(work())


@commands.command("list")
def list_partner_keys(partner_id: PartnerId, data_dir: DataDir = None) -> None:
    """List a partner's keys, by what they are for and how they begin."""

    async def work() -> None:
        async with opened(data_dir) as database, database.system() as unit:
            await partner_queries.get_partner(unit, partner_id=partner_id)
            keys = await partner_queries.list_keys(unit, partner_id=partner_id)
        # Lines and no table: in a pipe, a table would cut the ids.
        for key in keys:
            used = f"last used {key.last_used_at:%Y-%m-%d}" if key.last_used_at else "never used"
            words = f"{key.prefix}…, {','.join(sorted(key.scopes))}, made {key.created_at:%Y-%m-%d}, {used}"
            console.print(f"{key.id}  {key.name} ({words})", markup=False)

    complete(work())


@commands.command("revoke")
def revoke_partner_key(
    partner_id: PartnerId,
    key_id: Annotated[UUID, typer.Argument(help="The key's id, as `partner key list` shows it.")],
    data_dir: DataDir = None,
) -> None:
    """Make a Partner API key useless from now on."""

    async def work() -> None:
        async with opened(data_dir) as database, database.system() as unit:
            await partner_queries.get_partner(unit, partner_id=partner_id)
            await partners.revoke_key(unit, partner_id=partner_id, key_id=key_id, actor=ACTOR)
        console.print(f"The key {key_id} opens nothing any more.", markup=False)

    complete(work())
