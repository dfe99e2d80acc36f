"""The ledger's errors that more than one of its modules raises; the rest live beside their function."""

from __future__ import annotations

from collections.abc import Mapping

from partnerhub.kit.errors import Conflict, Invalid, Unavailable


class PaymentMissing(Invalid):
    """The highest possible price of a send is more than what is available."""

    code = "payment_missing"


class RateMissing(Unavailable):
    """No rate is known in the currency, so no price can be promised; the operator imports one."""

    code = "rate_missing"


class GateBusy(Unavailable):
    """The gate cannot promise money now: its queue is full, it is closing, or the database is away."""

    code = "gate_busy"


class KeyReused(Conflict):
    """The command key was used before, for something else."""

    code = "key_reused"


class PriceRuleInvalid(Invalid):
    """A price rule that cannot hold; `fields` says what is wrong with it."""

    code = "price_rule_invalid"


class RatesRefused(Invalid):
    """The price file cannot be taken; nothing of it was written. `fields` maps `line N` to what is wrong."""

    code = "rates_refused"

    @classmethod
    def of_lines(
        cls, faults: Mapping[str, str], *, one: str = "cannot be taken", many: str = "cannot be taken"
    ) -> RatesRefused:
        """Return the error of a file's faulty lines; `one` and `many` end the sentence about them."""
        told = f"1 line {one}" if len(faults) == 1 else f"{len(faults)} lines {many}"
        return cls(f"{told}; nothing was imported.", fields=faults)
