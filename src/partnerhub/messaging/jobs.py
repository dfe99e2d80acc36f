"""Jobs and schedules of messaging; `worker/` binds the names to these."""

from __future__ import annotations

from datetime import timedelta

from partnerhub.kit.database import Database
from partnerhub.ledger import services as ledger
from partnerhub.messaging.callbacks import ROUTE_JOB
from partnerhub.messaging.changes import forget_old, route_change, route_waiting

__all__ = ["ROUTE_JOB", "forget_old", "release_stale", "route_change", "route_waiting"]

_BATCH = 1_000


async def release_stale(
    database: Database,
    *,
    unbound_for: timedelta = timedelta(minutes=2),
    unresolved_for: timedelta = timedelta(days=30),
) -> int:
    """Give reservations back that no message took, or whose message never came to an end; return how many.

    `unbound_for` is longer than Meta takes to tell the status of a message whose answer was lost.
    """
    released = 0
    while True:
        async with database.system() as unit:
            batch = await ledger.release_stale(
                unit, unbound_for=unbound_for, unresolved_for=unresolved_for, most=_BATCH
            )
        released += batch.released
        if batch.released < _BATCH:
            return released
