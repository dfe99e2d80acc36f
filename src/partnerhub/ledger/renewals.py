"""What happens when a wallet falls below its threshold: a job, by name, in the commit that did it."""

from __future__ import annotations

from partnerhub.kit import jobs
from partnerhub.kit.database import Unit


async def ask_for_renewal(unit: Unit, *, partner_id: str, currency: str) -> None:
    """Ask `billing` to look at the partner's wallet; one waiting request for each partner is enough."""
    await jobs.defer(
        unit, "billing.renew", key=f"billing.renew:{partner_id}", partner_id=partner_id, currency=currency
    )
