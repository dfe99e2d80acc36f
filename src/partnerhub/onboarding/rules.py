"""What the operator decided about onboarding, and what follows for a client's permissions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from partnerhub.onboarding.schemas import KnownNumber
from partnerhub.partners.schemas import Partner


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the operator decided about onboarding.

    `terms_url` is what clients accept together with the prices. `without_payment_method` lets Direct-Paid
    clients pass while no payment provider is set. Whether clients of Partner-Paid partners may withdraw a
    permission is told in two ways (onboarding reference 8): by default they ask their partner.
    """

    terms_url: str = ""
    without_payment_method: bool = False
    partner_paid_withdrawal: bool = False


NO_RULES: Final = Rules()
"""What holds where the operator decided nothing."""


def is_fixed(partner: Partner, number: KnownNumber, rules: Rules) -> bool:
    """Say whether the client cannot take this permission back by itself."""
    may_withdraw = partner.payment_model == "direct_paid" or rules.partner_paid_withdrawal
    return number.is_shared and not may_withdraw


def has_choice(partner: Partner, known: Iterable[KnownNumber], rules: Rules) -> bool:
    """Say whether there is a number whose permission the client can give or take."""
    return any(number.is_live and not is_fixed(partner, number, rules) for number in known)
