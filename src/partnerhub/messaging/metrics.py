"""What messaging counts, in the process's default registry."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

from partnerhub.ledger.schemas import SettleResult

SETTLED: Final = Counter(
    "partnerhub_settled_messages_total", "What statuses did to charges, counted in messages.", ["outcome"]
)
PROBLEMS: Final = Counter("partnerhub_settle_problems_total", "Statuses that could not be settled for now.")
UNCOVERED: Final = Counter(
    "partnerhub_settle_uncovered_micros_total", "What wallets could not pay, in millionths of any currency."
)
_OUTCOMES: Final = (
    "captured",
    "free",
    "released",
    "noted",
    "ignored",
    "adopted",
    "late",
    "uncovered",
    "unpriced",
)


def count(result: SettleResult) -> None:
    """Add what one batch did."""
    for outcome in _OUTCOMES:
        if number := getattr(result, outcome):
            SETTLED.labels(outcome).inc(number)
    if result.uncovered_micros:
        UNCOVERED.inc(result.uncovered_micros)
