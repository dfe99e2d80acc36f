"""The schedule of the delivery engine; `worker/` binds its name to this."""

from __future__ import annotations

from partnerhub.kit.database import Database
from partnerhub.kit.logs import get
from partnerhub.webhooks import claims

_BATCH = 1_000

_log = get(__name__)


async def expire_overdue(database: Database) -> int:
    """Give up what no sender came by for in time, as `failed` with `expired`; return how many.

    Senders end what they try themselves. This is for an installation whose senders stood still for longer
    than claims look back: such rows would be pending until their day is dropped, and nobody would hear of it.
    """
    expired = 0
    while True:
        async with database.system() as unit:
            await claims.plan(unit)
            batch = await claims.expire(unit, limit=_BATCH)
        expired += batch
        if batch < _BATCH:
            break
    if expired:
        _log.error("webhook_deliveries_expired", deliveries=expired)
    return expired
