"""Direct-Paid clients accept today's prices before they connect a number; Partner-Paid ones see none."""

from __future__ import annotations

import asyncio

import pytest
from tests.factories import MadePartner, make_partner
from tests.ledger.stock import RATES, stock_prices
from tests.onboarding.runs import make_customer, open_run

from partnerhub.kit.database import Database
from partnerhub.onboarding.entry import Entry
from partnerhub.onboarding.errors import (
    PaymentMethodNeeded,
    PricesChanged,
    PricesMissing,
    PricesNotAccepted,
    StepWrong,
)
from partnerhub.onboarding.rules import Rules
from partnerhub.onboarding.schemas import Step


@pytest.fixture
async def partner(database: Database) -> MadePartner:
    """A Direct-Paid partner in a hub that has prices."""
    await stock_prices(database)
    return await make_partner(database, payment_model="direct_paid")


async def test_a_direct_paid_client_accepts_prices_and_terms_and_that_is_kept(
    database: Database, partner: MadePartner
) -> None:
    run = await open_run(database, partner, Entry(plan_selection="premium"))
    assert (await run.sign_up()).step is Step.PRICES
    with pytest.raises(PricesNotAccepted):
        await run.accept(accepts=False)
    version = await run.version()
    assert (await run.accept()).step is Step.CONNECT
    async with database.system() as unit:
        (kept,) = await unit.fetch_dicts("select * from price_acceptance")
        (told,) = await unit.fetch_dicts("select * from audit_entry where action = 'prices.accepted'")
    assert (str(kept["price_version"]), kept["currency"], kept["plan"], kept["terms_url"], kept["ip"]) == (
        version, "EUR", "premium", "https://hub.example/terms", "192.0.2.1",
    )  # fmt: skip
    assert (told["object_id"], told["after"]["price_version"]) == (kept["client_id"], version)


async def test_prices_accepted_by_two_forms_at_once_are_accepted_once(
    database: Database, partner: MadePartner
) -> None:
    run = await open_run(database, partner)
    await run.sign_up()
    ends = await asyncio.gather(*(run.accept() for _ in range(3)), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["Run", "StepWrong", "StepWrong"]
    async with database.system() as unit:
        assert await unit.fetch_value("select count(*) from price_acceptance") == 1


async def test_an_existing_client_is_asked_again_only_when_prices_terms_or_currency_are_others(
    database: Database, partner: MadePartner
) -> None:
    first = await open_run(database, partner)
    await first.sign_up()
    await first.accept()
    assert (await (await open_run(database, partner)).sign_in()).step is Step.CONNECT
    others = Rules(terms_url="https://hub.example/terms-2", without_payment_method=True)
    assert (await (await open_run(database, partner, rules=others)).sign_in()).step is Step.PRICES
    await stock_prices(database, rates=RATES.replace("0.1365", "0.1400").replace("2026-10-01", "2026-11-01"))
    assert (await (await open_run(database, partner)).sign_in()).step is Step.PRICES


async def test_prices_that_changed_meanwhile_are_shown_again(
    database: Database, partner: MadePartner
) -> None:
    run = await open_run(database, partner)
    await run.sign_up()
    seen = await run.version()
    await stock_prices(database, rates=RATES.replace("0.1365", "0.1400").replace("2026-10-01", "2026-11-01"))
    with pytest.raises(PricesChanged):
        await run.accept(version=seen)
    with pytest.raises(PricesChanged):
        await run.accept(version="")
    assert (await run.now()).step is Step.PRICES
    assert (await run.accept()).step is Step.CONNECT


async def test_without_a_payment_provider_the_operator_decides_who_passes(
    database: Database, partner: MadePartner
) -> None:
    stopped = await open_run(database, partner, rules=Rules())
    await stopped.sign_up()
    with pytest.raises(PaymentMethodNeeded):
        await stopped.accept()
    assert (await stopped.now()).step is Step.PRICES


async def test_nobody_accepts_prices_that_are_not_there(database: Database) -> None:
    partner = await make_partner(database, payment_model="direct_paid")
    run = await open_run(database, partner)
    await run.sign_up()
    with pytest.raises(PricesMissing):
        await run.accept()


async def test_a_partner_paid_client_sees_no_prices(database: Database) -> None:
    partner = await make_partner(database)
    run = await open_run(database, partner)
    assert (await run.sign_up()).step is Step.CONNECT
    with pytest.raises(StepWrong):
        await run.accept(version="")


async def test_whoever_only_came_for_permissions_need_not_accept_prices(
    database: Database, partner: MadePartner
) -> None:
    await make_customer(database, partner, ["shared", "missing"])
    run = await open_run(database, partner, Entry(at_permissions=True))
    assert (await run.sign_in()).step is Step.PERMISSION
    # Whoever goes on to a new number does.
    assert (await run.connect_another()).step is Step.PRICES
    assert (await run.choose_permissions()).step is Step.PERMISSION
