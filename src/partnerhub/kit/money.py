"""Amounts of money: integers in millionths of the currency unit.

One unit of micros is 10⁻⁶ of the currency's main unit (1 EUR = 1_000_000). No float ever holds an amount;
`Decimal` appears only where text is read or written.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import NewType

from partnerhub.kit.errors import Invalid

Micros = NewType("Micros", int)

MICROS_PER_UNIT = 1_000_000
# ISO 4217 minor units that differ from two.
_EXPONENTS = {"CLP": 0, "JPY": 0, "KRW": 0, "VND": 0, "PYG": 0, "BHD": 3, "KWD": 3, "OMR": 3, "TND": 3}


class InvalidAmount(Invalid):
    """The text is not an amount with at most six decimals."""

    code = "invalid_amount"


def parse(text: str) -> Micros:
    """Read a decimal amount such as `12.50`; at most six decimals.

    Raises: InvalidAmount.
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation as error:
        raise InvalidAmount(f"“{text}” is not an amount.") from error
    scaled = value * MICROS_PER_UNIT
    if not value.is_finite() or scaled != scaled.to_integral_value() or abs(scaled) > 2**62:
        raise InvalidAmount(f"“{text}” is not an amount with at most six decimals.")
    return Micros(int(scaled))


def to_decimal(amount: Micros) -> Decimal:
    """Return the exact amount in main units."""
    return Decimal(amount) / MICROS_PER_UNIT


def exponent(currency: str) -> int:
    """Return how many decimals people write for this currency (ISO 4217)."""
    return _EXPONENTS.get(currency.upper(), 2)


def spendable(amount: Micros, currency: str) -> Decimal:
    """Return the amount rounded down to what people write, so that nobody sees money that is not there."""
    return to_decimal(amount).quantize(Decimal(1).scaleb(-exponent(currency)), rounding=ROUND_FLOOR)
