"""Recipients in one writing, and the digits that say in which country they are."""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers

# A business-scoped user id: country, dot, letters and digits; parent ids have one more part.
# Source: Meta, business-scoped user ids, 2026.
_BSUID = re.compile(r"([A-Za-z]{2})\.(?:[A-Za-z0-9]+\.)?[A-Za-z0-9]{1,128}")
_E164_DIGITS = 15


def normalise(recipient: str) -> str:
    """Return a phone number as its digits, anything else as it is.

    Meta takes `+49 151 …` in a send and reports `49151…` in a status; both must mean the same recipient.
    """
    text = recipient.strip()
    if re.fullmatch(r"[+\d\s().\-/]+", text):
        digits = re.sub(r"\D", "", text).lstrip("0")
        if digits:
            return digits
    return text


def digits_of(recipient: str) -> str | None:
    """Return digits whose prefix stands for the recipient's country, or None where nothing tells it.

    For a phone number those are its own; for a BSUID an example number of its country, so that one table
    of prefixes serves both.
    """
    text = normalise(recipient)
    if text.isascii() and text.isdigit():
        return text if len(text) <= _E164_DIGITS else None
    match = _BSUID.fullmatch(text)
    return _example_digits(match.group(1).upper()) if match else None


@lru_cache(maxsize=512)
def _example_digits(country: str) -> str | None:
    number = phonenumbers.example_number(country)
    return None if number is None else f"{number.country_code}{number.national_number}"
