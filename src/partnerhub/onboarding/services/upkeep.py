"""How many runs one visitor may begin, and which ones are thrown away again.

A link is public: whoever opens it writes a row. What a run led to (client, account, numbers) and the audit
log stay; the run itself is only of use while somebody may come back to it or ask about it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from partnerhub.identity.services import Limit, count_hits
from partnerhub.kit import clock
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.errors import TooMany
from partnerhub.kit.peers import source_of
from partnerhub.onboarding.schemas import Step

# Generous to an office behind one address, in which an agency connects its clients.
_STARTS: Final = ((60, 600), (300, 86_400))
_STARTS_OF_ALL: Final = (300, 3_600)

ABANDONED_AFTER: Final = timedelta(days=7)
FINISHED_AFTER: Final = timedelta(days=90)
_BATCH: Final = 1_000


class OnboardingLimited(TooMany):
    """Too many sign-ups were begun from this address."""

    code = "onboarding_limited"


async def limit_starts(unit: Unit, *, partner_id: str, ip: str) -> None:
    """Count one opened link of a partner from an address, in a system unit. Raises: OnboardingLimited."""
    source = source_of(ip)
    if not source:
        return
    # Whatever stands in the link: PostgreSQL holds no zero character.
    partner = partner_id.replace("\x00", "")[:40]
    pair = f"onboarding:{partner}@{source}"
    limits = [Limit(pair, hits, seconds) for hits, seconds in _STARTS]
    wait = await count_hits(unit, limits=[*limits, Limit(f"onboarding@{source}", *_STARTS_OF_ALL)])
    if wait:
        raise OnboardingLimited("Too many attempts. Wait before you try again.", retry_after_seconds=wait)


async def tidy_runs(database: Database) -> int:
    """Delete runs that nobody finished a week after their end, others after 90 days; return how many.

    Claims of processes that were killed go, too. The worker runs it every day as `onboarding.tidy_runs`.
    """
    now = clock.now()
    async with database.system() as unit:
        await unit.execute("delete from onboarding_claim where ends_at < %s", (now,))
    dropped = 0
    while True:
        async with database.system() as unit:
            batch = await unit.execute(
                "delete from onboarding_run where id in (select id from onboarding_run"
                " where expires_at < case step when %s then %s::timestamptz else %s end"
                " order by expires_at limit %s for update skip locked)",
                (Step.DONE.value, now - FINISHED_AFTER, now - ABANDONED_AFTER, _BATCH),
            )
        dropped += batch
        if batch < _BATCH:
            return dropped
