"""Who works on a run or a number at this moment: one request at a time.

Between two calls to Meta no transaction is open, so no lock of the database can keep a second request out. A
claim is a row with an end: a process that is killed loses it by time alone, and whoever lost it finds out at
the next `hold`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from partnerhub.kit import clock
from partnerhub.kit.database import Database, Unit
from partnerhub.onboarding.errors import StillWorking

CLAIM_LIFETIME: Final = timedelta(seconds=90)
"""Longer than any one call to Meta takes (30 seconds)."""


def run_claim(run_id: UUID) -> str:
    """Return what the claim to a run is called."""
    return f"run:{run_id}"


def channel_claim(channel_id: str) -> str:
    """Return what the claim to a number's registration is called."""
    return f"channel:{channel_id}"


async def hold(unit: Unit, *, name: str, partner_id: str, holder: UUID) -> None:
    """Take the claim, or keep it for its whole lifetime from now on. Raises: StillWorking."""
    now = clock.now()
    held = await unit.execute(
        "insert into onboarding_claim as claim (name, partner_id, holder, ends_at) values (%s, %s, %s, %s)"
        " on conflict (name) do update set holder = excluded.holder, ends_at = excluded.ends_at"
        " where claim.holder = excluded.holder or claim.ends_at <= %s",
        (name, partner_id, holder, now + CLAIM_LIFETIME, now),
    )
    if not held:
        raise StillWorking("Another request is at work on this number.")


async def let_go(db: Database, *, holder: UUID) -> None:
    """Give back all that was claimed."""
    async with db.system() as unit:
        await unit.execute("delete from onboarding_claim where holder = %s", (holder,))
