"""The shared factories write rows that the schema accepts, parents included."""

from __future__ import annotations

from partnerhub.kit.database import Database
from tests.factories import make_channel_key, make_key, make_member, make_template


async def test_each_factory_makes_its_row_and_what_it_hangs_on(database: Database) -> None:
    await make_member(database)
    await make_key(database)
    await make_channel_key(database)
    await make_template(database)
    async with database.system() as unit:
        counts = {
            table: await unit.fetch_value(f"select count(*) from {table}")
            for table in ("partner", "member", "partner_key", "client", "waba", "channel", "template")
        }
    assert counts == {
        "partner": 4,
        "member": 1,
        "partner_key": 1,
        "client": 2,
        "waba": 2,
        "channel": 1,
        "template": 1,
    }
