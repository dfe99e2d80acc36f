"""The tables of the life cycle: what may follow what, and which words a channel shows meanwhile."""

from __future__ import annotations

import itertools

import pytest

from partnerhub.channels.life_cycle import (
    NEXT_HUB_STATUSES,
    NEXT_STAGES,
    STAGE_EVENTS,
    HubStatus,
    Stage,
    StageRefused,
    check_hub_status,
    check_stage,
    stage_of,
    words_of,
)


@pytest.mark.parametrize("stage", list(Stage))
def test_the_words_of_a_stage_read_back_as_the_stage(stage: Stage) -> None:
    status, integration_state, account_mode = words_of(stage)
    assert stage_of(status=status, integration_state=integration_state, account_mode=account_mode) is stage


@pytest.mark.parametrize("stage", [Stage.READY, Stage.RUNNING, Stage.LIVE])
def test_a_number_that_came_far_says_ready(stage: Stage) -> None:
    """A real client waits for this word in events of live numbers."""
    assert words_of(stage)[0] == "ready"


@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(Stage, Stage)))
def test_a_stage_that_the_table_does_not_list_is_refused(current: Stage, wanted: Stage) -> None:
    if wanted in NEXT_STAGES[current]:
        check_stage(current, wanted)
    else:
        with pytest.raises(StageRefused, match=f"{current} cannot become {wanted}"):
            check_stage(current, wanted)


@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(HubStatus, HubStatus)))
def test_a_hub_status_that_the_table_does_not_list_is_refused(current: HubStatus, wanted: HubStatus) -> None:
    if wanted in NEXT_HUB_STATUSES[current]:
        check_hub_status(current, wanted)
    else:
        with pytest.raises(StageRefused):
            check_hub_status(current, wanted)


def test_every_stage_leads_to_live_and_no_stage_with_an_event_can_be_passed_over() -> None:
    def paths(stage: Stage) -> list[list[Stage]]:
        return (
            [[stage]]
            if stage is Stage.LIVE
            else [[stage, *rest] for after in NEXT_STAGES[stage] for rest in paths(after)]
        )

    told = [STAGE_EVENTS[stage] for stage in (Stage.CREATED, Stage.READY, Stage.RUNNING, Stage.LIVE)]
    for path in paths(Stage.CREATED):
        assert [STAGE_EVENTS[stage] for stage in path if stage in STAGE_EVENTS] == told


def test_every_hub_status_has_a_way_on() -> None:
    assert all(NEXT_HUB_STATUSES[status] for status in HubStatus)
