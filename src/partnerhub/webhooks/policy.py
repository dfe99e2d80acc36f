"""The numbers and rules of delivery: time limits, retries, leases, the breaker.

All of it is plain functions and constants, so that the schedule can be read and tested in one place.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Final

from partnerhub.kit.http import Timeouts
from partnerhub.webhooks.schemas import OwnerKind

# Source for number webhooks: receivers have 5 s to answer, retries go on for 7 days (product documentation,
# "design a stable webhook receiving endpoint"). Partner events have no documented limit; 10 s is what other
# providers grant.
NUMBER_TIMEOUT_SECONDS: Final = 5.0
PARTNER_TIMEOUT_SECONDS: Final = 10.0
GIVE_UP_AFTER: Final = timedelta(days=7)

# A lease outlives the longest exchange; with the poll it keeps the promise that an event whose sender died
# goes out again within 30 seconds.
LEASE_SECONDS: Final = 15.0
EXTEND_EVERY_SECONDS: Final = 4.0
POLL_CAP_SECONDS: Final = 8.0

RETRY_CAP_SECONDS: Final = 7200.0
RETRY_AFTER_CAP_SECONDS: Final = 3600.0
OUR_FAULT_DELAY_SECONDS: Final = 2.0

# How much of an answer is read (more ends the connection) and how much of it is kept.
MAX_ANSWER_BYTES: Final = 64 * 1024
KEPT_ANSWER_BYTES: Final = 8 * 1024

# The breaker opens after this many failures in a row, if they are of several deliveries: one event that a
# receiver cannot digest must not stop the others.
OPEN_AFTER_FAILURES: Final = 10
REOPEN_AFTER_FAILURES: Final = 3
OPEN_AFTER_DELIVERIES: Final = 3
PROBE_CAP_SECONDS: Final = 60.0

_dice = random.SystemRandom()


def _timeouts(seconds: float) -> Timeouts:
    return Timeouts(connect_seconds=seconds, first_byte_seconds=seconds, total_seconds=seconds)


_NUMBER = _timeouts(NUMBER_TIMEOUT_SECONDS)
_PARTNER = _timeouts(PARTNER_TIMEOUT_SECONDS)


def timeouts_for(owner_kind: OwnerKind) -> Timeouts:
    """Return the limits of the whole exchange: 10 s for partner events, 5 s for number webhooks."""
    return _PARTNER if owner_kind is OwnerKind.PARTNER else _NUMBER


def retry_delay_seconds(step: int, *, retry_after: float | None = None) -> float:
    """Choose how long to wait before the next attempt, after `step` failed ones (1, 2, …).

    Exponential with full jitter: anything up to 2, 4, 8, 16 … s (so 1, 2, 4, 8 … on average), capped at two
    hours. `retry_after` of the receiver is a lower bound, itself capped at one hour.
    """
    delay = _dice.uniform(0, min(2.0 ** min(step, 32), RETRY_CAP_SECONDS))
    return max(delay, min(retry_after or 0.0, RETRY_AFTER_CAP_SECONDS))


def probe_delay_seconds(failures: int, *, retry_after: float | None = None) -> float:
    """Choose when a parked endpoint is tried next: after 1, 2, 4 … 60 s, ±20 %, or when the receiver says."""
    delay = min(2.0 ** min(failures, 16), PROBE_CAP_SECONDS) * _dice.uniform(0.8, 1.2)
    return max(delay, min(retry_after or 0.0, RETRY_AFTER_CAP_SECONDS))
