"""What the partner was told: the bodies of its events as they would be sent."""

from __future__ import annotations

import json
from typing import Any

from partnerhub.kit.database import Database


async def told(database: Database, partner_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (name, data) of the partner's events, oldest first."""
    async with database.system() as unit:
        rows = await unit.fetch_dicts(
            "select name, body from event where partner_id = %s and owner_kind = 'partner'"
            " order by created_at, id",
            (partner_id,),
        )
    events = [(row["name"], json.loads(bytes(row["body"]))) for row in rows]
    assert all(body["event"] == name and body["id"] for name, body in events)
    return [(name, body["data"]) for name, body in events]


async def told_names(database: Database, partner_id: str) -> list[str]:
    """Return the names of the partner's events, oldest first."""
    return [name for name, _ in await told(database, partner_id)]
