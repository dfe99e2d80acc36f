"""Direct-Paid: the client accepts prices and terms before it connects a number."""

from __future__ import annotations

from uuid import UUID

from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.database import Database
from partnerhub.kit.ids import uuid7
from partnerhub.ledger import queries as ledger
from partnerhub.onboarding import queries
from partnerhub.onboarding.errors import (
    PaymentMethodNeeded,
    PricesChanged,
    PricesMissing,
    PricesNotAccepted,
    StepWrong,
)
from partnerhub.onboarding.rules import Rules
from partnerhub.onboarding.schemas import Run, Step
from partnerhub.onboarding.services.steps import actor_of, move_to, place_at_connect
from partnerhub.partners import queries as partners


async def accept_prices(
    db: Database,
    *,
    run_id: UUID,
    browser_token: str,
    accepts: bool,
    version: str,
    rules: Rules,
    ip: str,
    user_agent: str,
) -> Run:
    """Keep that the client accepted the price list it saw (`version`) and the terms, and go on.

    Raises: RunUnknown, StepWrong, PricesNotAccepted, PricesMissing, PricesChanged, PaymentMethodNeeded.
    """
    async with db.system() as unit:
        run = await queries.get_run(unit, run_id=run_id, browser_token=browser_token, for_update=True)
        if run.client_id is None or run.step is not Step.PRICES:
            raise StepWrong("Prices are accepted at another step.")
        partner = await partners.get_partner(unit, partner_id=run.partner_id)
        listed = await ledger.get_price_list(
            unit, partner_id=partner.id, currency=partner.currency, day=clock.now().date()
        )
        if not listed.lines or listed.version is None:
            raise PricesMissing(f"No prices in {partner.currency} are set.")
        if version != str(listed.version):
            raise PricesChanged("The prices were changed a moment ago. Look at them again.")
        if not rules.without_payment_method:
            raise PaymentMethodNeeded("No payment provider is set.")
        if not accepts:
            raise PricesNotAccepted(
                "Accept prices and terms to go on.", fields={"accepts_prices": "Needed to go on."}
            )
        actor = await actor_of(unit, run, ip=ip, user_agent=user_agent)
        plan = run.parameter("plan_selection")
        await unit.execute(
            "insert into price_acceptance (id, partner_id, client_id, run_id, currency, price_version,"
            " terms_url, plan, accepted_by, ip, user_agent, accepted_at)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                uuid7(),
                run.partner_id,
                run.client_id,
                run.id,
                listed.currency,
                listed.version,
                rules.terms_url,
                plan,
                actor.id,
                ip,
                user_agent,
                clock.now(),
            ),
        )
        place = await place_at_connect(unit, run=run, client_id=run.client_id)
        await move_to(unit, run_id=run.id, place=place)
        await record_change(
            unit,
            partner_id=run.partner_id,
            actor=actor,
            action="prices.accepted",
            object_kind="client",
            object_id=run.client_id,
            before=None,
            after={
                "currency": listed.currency,
                "price_version": listed.version,
                "terms_url": rules.terms_url,
                "plan": plan,
            },
        )
        return await queries.get_run(unit, run_id=run_id, browser_token=browser_token)
