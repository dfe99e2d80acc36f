"""A short run of `tests.e2e.kills`: nothing acknowledged is lost, nobody pays twice, nothing stays open."""

from __future__ import annotations

import json

import pytest

from tests.e2e.installation import data_folder
from tests.e2e.kills import run

MESSAGES = 1_500


@pytest.mark.xdist_group("installation")
@pytest.mark.slow
@pytest.mark.timeout(540)
async def test_kills_lose_nothing_and_charge_nobody_twice() -> None:
    with data_folder() as folder:
        report = await run(messages=MESSAGES, rate=100.0, pause_seconds=3.0, folder=folder / "data")
    print(json.dumps(vars(report), indent=1))
    # Each of them really was hit, and the clients really were answered.
    assert set(report.kills) == {"gateway", "worker", "callbacks", "postgres"}
    assert report.answered_200 > MESSAGES / 2
    assert report.accepted_by_meta >= report.answered_200
    assert (report.lost, report.charged_twice, report.open, report.books) == (0, 0, 0, 0)
    assert report.delivered == report.events_acknowledged
    assert report.posted_matches
