"""Any order of steps, told rightly: stages, permission, cancellation and time, against the real database.

A model walks beside the database. After every step the events that are new must be exactly the ones that the
step stands for; at the end the whole story of the channel must be one that a partner can follow.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.factories import make_waba

from partnerhub.channels.errors import (
    ChannelTerminated,
    ChannelUnfinished,
    PermissionMissing,
    StageRefused,
)
from partnerhub.channels.life_cycle import NEXT_HUB_STATUSES, NEXT_STAGES, HubStatus, Stage
from partnerhub.channels.queries import get_channel, list_keys
from partnerhub.channels.schemas import Channel
from partnerhub.channels.services import (
    NumberFacts,
    advance_channel,
    create_channel,
    grant_permission,
    mint_key,
    request_cancellation,
    revoke_cancellation,
    revoke_permission,
    terminate_due,
)
from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit import clock
from partnerhub.kit.database import Database, Unit

REGISTERED = {Stage.RUNNING, Stage.LIVE}
START = datetime(2026, 1, 10, tzinfo=UTC)
EVENT_OF = {
    Stage.READY: "channel_ready",
    Stage.RUNNING: "channel_running",
    Stage.LIVE: "channel_live",
}

# One letter per event; what a partner may see of one channel, in any length of life.
LETTERS = {
    "channel_created": "c",
    "channel_ready": "r",
    "channel_running": "u",
    "channel_live": "l",
    "channel_permission_granted": "g",
    "channel_permission_revoked": "v",
    "cancellation_request": "Q",
    "cancellation_revoke": "K",
    "cancellation_processed": "P",
}
STAGE_STORY = re.compile(r"c(r(u(l(Pl)*P?)?)?)?")
PERMISSION_STORY = re.compile(r"(gv)*g?")
CANCELLATION_STORY = re.compile(r"(Q(K|P[lK]?))*Q?")


class ChannelLife(RuleBasedStateMachine):
    """One channel from its creation on."""

    run: Callable[[Awaitable[Any]], Any]  # Any: whatever the awaited step returns
    database: Database

    @initialize()
    def create(self) -> None:
        self.now = START
        self.stage, self.hub, self.shared = Stage.CREATED, HubStatus.DRAFT, False
        self.cancelled_at: datetime | None = None
        self.has_key = False
        self.seen: set[str] = set()
        self.story = ""
        waba = self.run(make_waba(self.database))
        self.partner_id, self.client_id = waba.partner_id, waba.client_id

        async def first(unit: Unit) -> Channel:
            return await create_channel(
                unit,
                partner_id=waba.partner_id,
                client_id=waba.client_id,
                waba_id=waba.id,
                external_id=f"109{waba.external_id}",
                phone_number="4930000000",
                facts=NumberFacts(),
                actor=SYSTEM,
            )

        self.channel_id = self._step(first).id
        self._expect("channel_created")

    @rule(to=st.sampled_from(Stage))
    def advance(self, to: Stage) -> None:
        async def step(unit: Unit) -> Channel:
            return await advance_channel(
                unit, partner_id=self.partner_id, channel_id=self.channel_id, to=to, actor=SYSTEM
            )

        if self.hub is HubStatus.TERMINATED:
            self._refused(ChannelTerminated, step)
        elif to is self.stage:
            self._step(step)
            self._expect()
        elif to not in NEXT_STAGES[self.stage]:
            self._refused(StageRefused, step)
        else:
            self._step(step)
            self.stage = to
            if self.hub is not HubStatus.PENDING_DELETION and to is Stage.LIVE:
                self.hub = HubStatus.LIVE
            self._expect(*([EVENT_OF[to]] if to in EVENT_OF else []))

    @rule(granted=st.booleans())
    def set_permission(self, granted: bool) -> None:
        service = grant_permission if granted else revoke_permission

        async def step(unit: Unit) -> Channel:
            return await service(unit, partner_id=self.partner_id, channel_id=self.channel_id, actor=SYSTEM)

        if granted is self.shared:
            self._step(step)
            self._expect()
        elif self.hub is HubStatus.TERMINATED:
            self._refused(ChannelTerminated, step)
        elif granted and self.stage not in REGISTERED:
            self._refused(ChannelUnfinished, step)
        else:
            self._step(step)
            self._permit(granted)

    @rule(granted=st.booleans(), times=st.integers(2, 4))
    def set_permission_at_once(self, granted: bool, times: int) -> None:
        """Send one form several times at once, as an impatient person or two tabs do."""
        service = grant_permission if granted else revoke_permission

        async def one() -> None:
            async with self.database.tenant(self.partner_id) as unit:
                await service(unit, partner_id=self.partner_id, channel_id=self.channel_id, actor=SYSTEM)

        async def all_of_them() -> list[BaseException | None]:
            return await asyncio.gather(*(one() for _ in range(times)), return_exceptions=True)

        with self._time():
            ends = self.run(all_of_them())
        if granted is not self.shared and self.hub is HubStatus.TERMINATED:
            assert all(isinstance(end, ChannelTerminated) for end in ends)
            self._expect()
        elif granted and not self.shared and self.stage not in REGISTERED:
            assert all(isinstance(end, ChannelUnfinished) for end in ends)
            self._expect()
        else:
            assert ends == [None] * times
            if granted is self.shared:
                self._expect()
            else:
                self._permit(granted)

    def _permit(self, granted: bool) -> None:
        self.shared = granted
        # Whoever withdraws wants the partner's software to stop.
        self.has_key = self.has_key and granted
        self._expect("channel_permission_granted" if granted else "channel_permission_revoked")

    @rule()
    def mint(self) -> None:
        async def step(unit: Unit) -> object:
            return await mint_key(unit, partner_id=self.partner_id, channel_id=self.channel_id, actor=SYSTEM)

        if not self.shared:
            self._refused(PermissionMissing, step)
        elif self.hub is HubStatus.TERMINATED:
            self._refused(ChannelTerminated, step)
        else:
            self._step(step)
            self.has_key = True
            self._expect()

    @rule()
    def cancel(self) -> None:
        async def step(unit: Unit) -> Channel:
            return await request_cancellation(
                unit,
                partner_id=self.partner_id,
                client_id=self.client_id,
                channel_id=self.channel_id,
                actor=SYSTEM,
            )

        if self.hub is HubStatus.TERMINATED:
            self._refused(ChannelTerminated, step)
        elif self.cancelled_at is not None:
            self._step(step)
            self._expect()
        else:
            self._step(step)
            self.hub, self.cancelled_at = HubStatus.PENDING_DELETION, self.now
            self._expect("cancellation_request")

    @rule()
    def take_back(self) -> None:
        async def step(unit: Unit) -> Channel:
            return await revoke_cancellation(
                unit,
                partner_id=self.partner_id,
                client_id=self.client_id,
                channel_id=self.channel_id,
                actor=SYSTEM,
            )

        self._step(step)
        if self.cancelled_at is None:
            self._expect()
            return
        was_terminated = self.hub is HubStatus.TERMINATED
        self.hub = HubStatus.LIVE if self.stage is Stage.LIVE else HubStatus.DRAFT
        self.cancelled_at = None
        self._expect("channel_live" if was_terminated and self.stage is Stage.LIVE else "cancellation_revoke")

    @rule(days=st.integers(1, 40))
    def pass_days(self, days: int) -> None:
        self.now += timedelta(days=days)
        with self._time():
            self.run(terminate_due(self.database))
        month = self.now.replace(day=1, hour=0)
        is_due = (
            self.hub is HubStatus.PENDING_DELETION
            and self.cancelled_at is not None
            and self.cancelled_at < month
        )
        if is_due:
            self.hub, self.has_key = HubStatus.TERMINATED, False
        self._expect(*(["cancellation_processed"] if is_due else []))

    @precondition(lambda self: hasattr(self, "channel_id"))
    @invariant()
    def the_row_says_what_the_model_says(self) -> None:
        async def look(unit: Unit) -> tuple[Channel, int]:
            channel = await get_channel(unit, partner_id=self.partner_id, channel_id=self.channel_id)
            keys = await list_keys(unit, partner_id=self.partner_id, channel_id=self.channel_id)
            return channel, len(keys)

        channel, keys = self._step(look)
        assert (channel.stage, channel.hub_status) == (self.stage, self.hub.value)
        assert (channel.permission == "shared", keys == 1) == (self.shared, self.has_key)
        assert self.stage in REGISTERED or not self.shared
        assert channel.cancelled_at == self.cancelled_at
        assert (channel.terminated_at is not None) is (self.hub is HubStatus.TERMINATED)
        assert (channel.billing_started_at is not None) is (self.stage is Stage.LIVE)
        assert NEXT_STAGES[self.stage] or NEXT_HUB_STATUSES[self.hub]

    def _go_on(self) -> None:
        """Reach a live number with a key from wherever the steps have led: no state is without a way on."""
        self.take_back()
        while self.stage is not Stage.LIVE:
            self.advance(next(to for to in reversed(Stage) if to in NEXT_STAGES[self.stage]))
        self.set_permission(granted=True)
        self.mint()
        self.the_row_says_what_the_model_says()
        assert (self.stage, self.hub, self.shared, self.has_key) == (Stage.LIVE, HubStatus.LIVE, True, True)

    def teardown(self) -> None:
        if hasattr(self, "channel_id"):
            self._go_on()
        story = getattr(self, "story", "c")
        assert STAGE_STORY.fullmatch(_only(story, "crul", also="P")), story
        assert PERMISSION_STORY.fullmatch(_only(story, "gv")), story
        assert CANCELLATION_STORY.fullmatch(_cancellation(story)), story

    @contextmanager
    def _time(self) -> Iterator[None]:
        with clock.set_to(self.now):
            yield

    def _step(self, step: Callable[[Unit], Awaitable[Any]]) -> Any:  # Any: whatever the step returns
        async def committed() -> object:
            async with self.database.tenant(self.partner_id) as unit:
                return await step(unit)

        with self._time():
            return self.run(committed())

    def _refused(self, error: type[Exception], step: Callable[[Unit], Awaitable[object]]) -> None:
        with pytest.raises(error):
            self._step(step)
        self._expect()

    def _expect(self, *names: str) -> None:
        async def look(unit: Unit) -> list[dict[str, Any]]:
            return await unit.fetch_dicts(
                "select id, name, body from event where partner_id = %s", (self.partner_id,)
            )

        fresh = [row for row in self._step(look) if str(row["id"]) not in self.seen]
        assert [row["name"] for row in fresh] == list(names)
        for row in fresh:
            data = json.loads(bytes(row["body"]))["data"]
            assert (data["id"], data["hub_status"]) == (self.channel_id, self.hub.value)
            self.seen.add(str(row["id"]))
            self.story += LETTERS[row["name"]]


def _only(story: str, letters: str, also: str = "") -> str:
    """Keep the letters; of `also`, only what comes after the number was live."""
    kept = ""
    for letter in story:
        if letter in letters or (letter in also and "l" in kept):
            kept += letter
    return kept


def _cancellation(story: str) -> str:
    """Keep the cancellation's letters, with the `l` that ends one."""
    kept = ""
    for letter in story:
        if letter in "QKP" or (letter == "l" and kept.endswith("P")):
            kept += letter
    return kept


def test_every_order_of_steps_is_told_rightly(database_url: str) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        database = Database(database_url, name="machine", max_size=2)
        runner.run(database.open())

        class Machine(ChannelLife):
            pass

        Machine.run = staticmethod(runner.run)  # type: ignore[assignment]  # a bound call, not a method
        Machine.database = database
        try:
            run_state_machine_as_test(
                Machine,
                settings=settings(
                    max_examples=25,
                    stateful_step_count=20,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow],
                ),
            )
        finally:
            runner.run(database.close())
