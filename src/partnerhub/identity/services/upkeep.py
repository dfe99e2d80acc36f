"""What this package throws away: counting rows, spent codes and dead sessions."""

from __future__ import annotations

from datetime import timedelta

from partnerhub.identity.services.codes import drop_old_codes
from partnerhub.identity.services.limits import drop_old_windows
from partnerhub.identity.services.sessions import drop_old_sessions
from partnerhub.kit.database import Database


async def tidy(db: Database) -> None:
    """Delete what no rule and no page looks at any more; the worker runs it every hour as `identity.tidy`."""
    async with db.system() as unit:
        await drop_old_windows(unit, older_than=timedelta(days=2))
        await drop_old_codes(unit, older_than=timedelta(days=2))
        await drop_old_sessions(unit, older_than=timedelta(days=30))
