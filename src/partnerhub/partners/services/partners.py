"""Making a partner, and what its name may be."""

from __future__ import annotations

import re
from typing import get_args

from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.database import Unit
from partnerhub.kit.ids import Kind, public_id
from partnerhub.ledger import services as ledger
from partnerhub.partners.errors import PartnerInvalid
from partnerhub.partners.queries import get_partner
from partnerhub.partners.schemas import Partner, PaymentModel


async def create_partner(
    unit: Unit,
    *,
    brand_name: str,
    country: str,
    currency: str,
    payment_model: PaymentModel,
    actor: Actor,
) -> Partner:
    """Make a partner with a permanent id; a Partner-Paid one gets its wallet. Needs a system unit.

    Raises: PartnerInvalid, with a reason per field.
    """
    problems = _problems(brand_name, country, currency, payment_model)
    if problems:
        raise PartnerInvalid(" ".join(problems.values()), fields=problems)
    partner_id, now = public_id(Kind.PARTNER), clock.now()
    await unit.execute(
        "insert into partner (id, brand_name, country, currency, payment_model, created_at, modified_at)"
        " values (%s, %s, %s, %s, %s, %s, %s)",
        (partner_id, brand_name.strip(), country, currency, payment_model, now, now),
    )
    if payment_model == "partner_paid":
        await ledger.open_wallet(unit, partner_id=partner_id, currency=currency)
    partner = await get_partner(unit, partner_id=partner_id)
    await record_change(
        unit,
        partner_id=partner_id,
        actor=actor,
        action="partner.created",
        object_kind="partner",
        object_id=partner_id,
        before=None,
        after={
            "brand_name": partner.brand_name,
            "country": country,
            "currency": currency,
            "payment_model": payment_model,
        },
    )
    return partner


def brand_name_problem(name: str) -> str:
    """Say what is wrong with a name that is already trimmed: it stands in pages and in mail headers."""
    if not 1 <= len(name) <= 100:
        return "The brand name has 1 to 100 characters."
    return "" if name.isprintable() else "The brand name is one line, without invisible characters."


def _problems(brand_name: str, country: str, currency: str, payment_model: str) -> dict[str, str]:
    problems = {}
    if problem := brand_name_problem(brand_name.strip()):
        problems["brand_name"] = problem
    if not re.fullmatch(r"[A-Z]{2}", country, re.ASCII):
        problems["country"] = "The country is a two-letter code such as DE."
    # Hubs are kept in these two; a partner that wants both opens two (billing reference 1).
    if currency not in {"EUR", "USD"}:
        problems["currency"] = "The currency is EUR or USD."
    if payment_model not in get_args(PaymentModel):
        problems["payment_model"] = "The payment model is partner_paid or direct_paid."
    return problems
