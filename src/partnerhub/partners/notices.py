"""Mails to a partner's owners about what stopped working."""

from __future__ import annotations

from uuid import UUID

from partnerhub.kit import mail
from partnerhub.kit.database import Database, Unit
from partnerhub.partners import queries

_REASONS = {"gone": "Its receiver answered 410 Gone, which asks us to send no more."}


async def warn_of_endpoint(db: Database, *, endpoint_id: str, reason: str, hub_url: str) -> int:
    """Mail every owner that a webhook was paused; returns how many were told.

    Runs as the job `webhooks.endpoint_notice`; an endpoint that is gone or works again tells nobody.
    """
    async with db.system() as unit:
        rows = await unit.fetch_dicts(
            "select partner_id, url, owner_kind, owner_id from endpoint where id = %s and not enabled",
            (UUID(endpoint_id),),
        )
        if not rows:
            return 0
        row = rows[0]
        return await mail_owners(
            unit,
            partner_id=row["partner_id"],
            subject="A webhook is paused",
            text=(
                f"Deliveries to {row['url']} are paused ({row['owner_kind']} {row['owner_id']}).\n"
                f"{_REASONS.get(reason, reason)}\n\n"
                "Nothing is lost for seven days. Set the URL again to go on:\n"
                f"{hub_url}/dashboard/partner/integration\n"
            ),
        )


async def mail_owners(unit: Unit, *, partner_id: str, subject: str, text: str) -> int:
    """Queue a mail to every owner in the unit's commit; returns how many."""
    partner = await queries.get_partner(unit, partner_id=partner_id)
    owners = [
        member for member in await queries.list_members(unit, partner_id=partner_id) if member.role == "owner"
    ]
    for owner in owners:
        await mail.queue(
            unit,
            partner_id=partner_id,
            to=owner.email,
            subject=_one_line(f"{partner.brand_name}: {subject}"),
            text=text,
        )
    return len(owners)


def _one_line(text: str) -> str:
    """Return a text as a mail's subject can have it: a name that was saved earlier may hold a line break."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
