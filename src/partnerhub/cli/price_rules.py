"""What partners pay on top of Meta's rates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from partnerhub.app.telling import console
from partnerhub.cli.means import ACTOR, DataDir, complete, opened
from partnerhub.kit import money
from partnerhub.kit.money import InvalidAmount, Micros
from partnerhub.ledger import services as ledger
from partnerhub.ledger.schemas import PriceRule, RuleOp
from partnerhub.ledger.snapshots import load_prices
from partnerhub.partners import queries as partner_queries

commands = typer.Typer(no_args_is_help=True, help="What partners pay on top of Meta's rates.")

_EVERYBODY = "all"
_DAY = {"formats": ["%Y-%m-%d"], "metavar": "DATE"}

Whose = Annotated[str, typer.Argument(help="A partner's id, or `all` for every partner.")]


@commands.command("add")
def add_price_rule(
    partner_id: Whose,
    op: Annotated[
        RuleOp,
        typer.Argument(help="percent and fixed are added to the rate; it is lifted to floor, cut to ceil."),
    ],
    value: Annotated[str, typer.Argument(help="Percent such as 12.5, or main units such as 0.004.")],
    *,
    since: Annotated[datetime, typer.Option(help="The first day, such as 2026-12-01.", **_DAY)],
    until: Annotated[datetime | None, typer.Option(help="The first day without it.", **_DAY)] = None,
    currency: Annotated[str | None, typer.Option(help="Only for this one; all but percent need it.")] = None,
    market: Annotated[str | None, typer.Option(help="Only for this market, such as Germany.")] = None,
    category: Annotated[str | None, typer.Option(help="Only for this category, such as marketing.")] = None,
    priority: Annotated[int, typer.Option(help="Rules are applied one after another, lowest first.")] = 100,
    data_dir: DataDir = None,
) -> None:
    """Add a price rule; messages priced from its first day on follow it."""

    async def work() -> None:
        rule = PriceRule(
            op=op,
            value=_value(op, value),
            priority=priority,
            since=since.date(),
            until=until.date() if until else None,
            partner_id=None if partner_id == _EVERYBODY else partner_id,
            currency=currency.upper() if currency else None,
            market=market,
            category=category,
        )
        async with opened(data_dir) as database, database.system() as unit:
            if rule.partner_id:
                await partner_queries.get_partner(unit, partner_id=rule.partner_id)
            made = await ledger.add_price_rule(unit, rule=rule, actor=ACTOR)
        console.print(f"Price rule {made} holds from {rule.since}.", markup=False)

    complete(work())


@commands.command("list")
def list_price_rules(partner_id: Whose = _EVERYBODY, data_dir: DataDir = None) -> None:
    """List the price rules, in the order in which they are applied."""

    async def work() -> None:
        async with opened(data_dir) as database, database.system() as unit:
            if partner_id != _EVERYBODY:
                await partner_queries.get_partner(unit, partner_id=partner_id)
            rules = (await load_prices(unit)).price_rules
        for rule in rules:
            if partner_id in {_EVERYBODY, rule.partner_id} or rule.partner_id is None:
                console.print(_shown(rule), markup=False)

    complete(work())


def _value(op: RuleOp, text: str) -> int:
    """Read what a rule adds: millionths of the rate, or micros. Raises: InvalidAmount."""
    amount = money.parse(text.removesuffix("%"))
    if op is not RuleOp.PERCENT:
        return amount
    if amount % 100:
        raise InvalidAmount(f"“{text}” is not a percentage with at most four decimals.")
    return amount // 100


def _shown(rule: PriceRule) -> str:
    """Say a rule in a line."""
    amount = f"{money.to_decimal(Micros(rule.value * (100 if rule.op is RuleOp.PERCENT else 1))):f}"
    unit = "%" if rule.op is RuleOp.PERCENT else str(rule.currency)
    only = [part for part in (rule.market, rule.category) if part]
    if rule.op is RuleOp.PERCENT and rule.currency:
        only.append(rule.currency)
    return (
        f"{rule.partner_id or _EVERYBODY}: {rule.op.value} {amount} {unit}"
        f"{' for ' + ', '.join(only) if only else ''}, from {rule.since}"
        f"{f' until {rule.until}' if rule.until else ''}, priority {rule.priority}"
    )
