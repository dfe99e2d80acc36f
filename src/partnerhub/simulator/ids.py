"""Identifiers in the shapes Meta uses, drawn from a seedable source."""

from __future__ import annotations

import base64
import random
import string

_TRACE_ALPHABET = string.ascii_letters + string.digits + "_-"


class Ids:
    """Makes ids; two instances with the same seed make the same ones in the same order."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def numeric(self, digits: int = 15) -> str:
        """Make a numeric id as Graph gives to numbers, WABAs, templates and media."""
        first = self.random.randint(1, 9)
        return f"{first}{self.random.randrange(10 ** (digits - 1)):0{digits - 1}d}"

    def wamid(self, phone: str, *, inbound: bool = False) -> str:
        """Make a message id; like Meta's it is base64 of a small binary record with the phone inside."""
        digits = phone.encode("ascii", "replace")[:20]
        serial = b"%018X" % self.random.getrandbits(72)
        kind = b"\x12" if inbound else b"\x11"
        record = (
            b"\x1c\x18"
            + bytes([len(digits)])
            + digits
            + b"\x15\x02\x00"
            + kind
            + b"\x18\x12"
            + serial
            + b"\x00"
        )
        return "wamid." + base64.b64encode(record).decode().rstrip("=")

    def trace(self) -> str:
        """Make a trace id as in `fbtrace_id`."""
        return "A" + "".join(self.random.choices(_TRACE_ALPHABET, k=22))

    def word(self, length: int = 32) -> str:
        """Make an alphanumeric token body."""
        return "".join(self.random.choices(string.ascii_letters + string.digits, k=length))

    def code(self) -> str:
        """Make a six-digit verification code."""
        return f"{self.random.randrange(10**6):06d}"
