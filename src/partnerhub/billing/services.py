"""What this package does about a wallet."""

from __future__ import annotations

from partnerhub.kit import money
from partnerhub.kit.database import Database
from partnerhub.ledger import queries as ledger
from partnerhub.partners.notices import mail_owners


async def warn_of_low_balance(db: Database, *, partner_id: str, currency: str, hub_url: str) -> int:
    """Mail every owner that the balance fell below its threshold; returns how many were told.

    Runs as the job `billing.renew`, once for each crossing.
    """
    async with db.system() as unit:
        balances = await ledger.get_balance(unit, partner_id=partner_id)
        balance = next((one for one in balances if one.currency == currency), None)
        if balance is None:
            return 0
        available = money.spendable(balance.available, currency)
        return await mail_owners(
            unit,
            partner_id=partner_id,
            subject=f"{available} {currency} left",
            text=(
                f"The prepaid balance is down to {available} {currency}.\n"
                "Messages stop when it is used up. Top it up in time:\n\n"
                f"{hub_url}/dashboard\n"
            ),
        )
