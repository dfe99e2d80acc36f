"""Links are public: how often one address may open them, and how long their runs are kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests import factories

from partnerhub.kit.clock import moved_by
from partnerhub.kit.database import Database
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.entry import Entry
from partnerhub.onboarding.services.upkeep import OnboardingLimited, limit_starts, tidy_runs


async def open_links(database: Database, count: int, *, ip: str, partner_id: str = "onePA") -> None:
    """Open a partner's link so often from an address."""
    for _ in range(count):
        async with database.system() as unit:
            await limit_starts(unit, partner_id=partner_id, ip=ip)


async def test_one_address_begins_only_so_many_runs_with_a_partner(database: Database) -> None:
    await open_links(database, 60, ip="192.0.2.1")
    for _ in range(2):
        with pytest.raises(OnboardingLimited) as refused:
            await open_links(database, 1, ip="192.0.2.1")
        assert 0 < refused.value.retry_after_seconds <= 600
    # Neither another address nor another partner's link is meant, if it is one at all.
    await open_links(database, 1, ip="192.0.2.1", partner_id="\x00PA")
    await open_links(database, 1, ip="192.0.2.2")
    await open_links(database, 1, ip="192.0.2.1", partner_id="twoPA")
    with moved_by(timedelta(seconds=600)):
        await open_links(database, 1, ip="192.0.2.1")


async def test_the_addresses_of_one_line_count_as_one(database: Database) -> None:
    await open_links(database, 30, ip="2001:db8:1:2::1")
    await open_links(database, 30, ip="2001:db8:1:2:aaaa::9")
    with pytest.raises(OnboardingLimited):
        await open_links(database, 1, ip="2001:db8:1:2:bbbb::1")
    await open_links(database, 1, ip="2001:db8:1:3::1")


async def test_going_through_partners_is_limited_too(database: Database) -> None:
    for number in range(6):
        await open_links(database, 50, ip="192.0.2.1", partner_id=f"n{number}PA")
    with pytest.raises(OnboardingLimited):
        await open_links(database, 1, ip="192.0.2.1", partner_id="newPA")


async def test_runs_go_by_their_age_and_what_came_of_them(database: Database) -> None:
    partner = await factories.make_partner(database)
    for days, step in ((0, "account"), (7, "connect"), (9, "account"), (9, "done"), (92, "done")):
        with moved_by(timedelta(days=-days)):
            async with database.system() as unit:
                started = await onboarding.start_run(unit, partner_id=partner.id, entry=Entry())
                await unit.execute(
                    "update onboarding_run set step = %s where id = %s", (step, started.run_id)
                )
    assert await tidy_runs(database) == 2
    assert await tidy_runs(database) == 0
    async with database.system() as unit:
        rows = await unit.fetch_dicts("select step from onboarding_run order by created_at desc")
    assert [row["step"] for row in rows] == ["account", "connect", "done"]
