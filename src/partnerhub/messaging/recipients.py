"""One spelling for a person, whoever wrote the number.

A client writes `+52 1 55…`, Meta's status says `5255…`: three countries carry a digit in the international
form that networks add or drop. A reservation and the status that settles it must meet, so both sides are
brought to the form without that digit. Ids that are no phone numbers (business-scoped user ids, groups) are
left alone; a hub never requires digits.
Source: national numbering plans of Mexico (until 2019), Argentina (mobile 9) and Brazil (ninth digit).
"""

from __future__ import annotations

import re

_PUNCTUATION = re.compile(r"[+\s().\-]")
_LONGEST = 128


def canonical(recipient: str) -> str:
    """Return the recipient as digits in one spelling, or unchanged when it is no phone number."""
    digits = _PUNCTUATION.sub("", recipient)
    if not digits.isdigit() or not digits.isascii():
        return recipient.replace("\x00", "")[:_LONGEST]
    if digits.startswith("521") and len(digits) == 13:
        return "52" + digits[3:]
    if digits.startswith("549") and len(digits) == 13:
        return "54" + digits[3:]
    if digits.startswith("55") and len(digits) == 13 and digits[4] == "9":
        return digits[:4] + digits[5:]
    return digits[:_LONGEST]
