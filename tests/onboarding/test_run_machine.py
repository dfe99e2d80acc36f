"""Any order of steps of the popup: no run without a way on, each permission told once when it changes.

The steps run against the real database and the simulator as Meta. After every step the partner's news of
permissions must be exactly the changes that the numbers' rows show; from wherever the steps have led, the run
is brought to its end.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import date, timedelta
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
from tests.factories import MadePartner, make_partner
from tests.ledger.stock import stock_prices
from tests.meta.conftest import client_of
from tests.onboarding.runs import PASSING, MadeRun, open_run
from tests.simulator import harness
from tests.simulator.harness import Meta

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.errors import HubError
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.entry import Entry
from partnerhub.onboarding.errors import ClientMayNotAdd, RunOver, StepWrong
from partnerhub.onboarding.schemas import Run, SignupResult, StartedRun, Step
from partnerhub.onboarding.services import Connector

NEWS = {"channel_permission_granted": "shared", "channel_permission_revoked": "missing"}
# Where a form may lead, whatever else happens.
NEXT = {
    Step.ACCOUNT: {Step.ACCOUNT, Step.PRICES, Step.CONNECT, Step.REGISTER, Step.PERMISSION},
    Step.PRICES: {Step.PRICES, Step.CONNECT, Step.REGISTER, Step.PERMISSION},
    Step.CONNECT: {Step.CONNECT, Step.REGISTER, Step.PERMISSION, Step.DONE},
    Step.REGISTER: {Step.REGISTER, Step.CONNECT, Step.PERMISSION, Step.DONE},
    Step.PERMISSION: {Step.PERMISSION, Step.PRICES, Step.CONNECT, Step.DONE},
    Step.DONE: {Step.DONE},
}
_numbers = itertools.count(1)
_clients = itertools.count(1)
_imports = itertools.count(1)


class PopupLife(RuleBasedStateMachine):
    """One client in one browser, with one run after the other."""

    run: Callable[[Awaitable[Any]], Any]  # Any: whatever the awaited step returns
    connector: Connector
    meta: Meta

    @property
    def database(self) -> Database:
        """Where everything is kept."""
        return self.connector.db

    @initialize(is_direct=st.booleans(), may_withdraw=st.booleans())
    def begin(self, is_direct: bool, may_withdraw: bool) -> None:
        self.decided = replace(PASSING, partner_paid_withdrawal=may_withdraw)
        # Everybody from an address of their own: sign-ups from one are limited.
        self.ip = str(ipaddress.ip_address("10.0.0.0") + next(_clients))
        self.partner: MadePartner = self.run(
            make_partner(self.database, payment_model="direct_paid" if is_direct else "partner_paid")
        )
        self.email = f"ann-{self.ip}@acme.example"
        self.permissions: dict[str, str] = {}
        self.seen = 0
        self.has_account = False
        self.reopen(at_permissions=False)

    @rule(at_permissions=st.booleans())
    def reopen(self, at_permissions: bool) -> None:
        """Open the link again, as after a window that was closed."""
        entry = Entry(at_permissions=at_permissions)
        self.made: MadeRun = self.run(
            open_run(self.database, self.partner, entry, rules=self.decided, ip=self.ip)
        )
        self.step = Step.ACCOUNT

    @rule()
    def come_in(self) -> None:
        self._send(self.made.sign_in(self.email) if self.has_account else self.made.sign_up(self.email))
        self.has_account = self.has_account or self.step is not Step.ACCOUNT

    @rule()
    def leave(self) -> None:
        """Let somebody else sit down before the browser; here the client comes back to it by signing in."""
        try:
            begun = self.run(self._begin_anew())
        except StepWrong:
            assert self.step in (Step.ACCOUNT, Step.DONE)
            return
        with pytest.raises(RunOver):
            self.run(self.made.now())
        self.made = replace(self.made, id=begun.run_id, browser=begun.browser_token)
        self.step = Step.ACCOUNT

    @rule(is_current=st.booleans(), accepts=st.booleans())
    def accept(self, is_current: bool, accepts: bool) -> None:
        self._send(self.made.accept(version=None if is_current else "", accepts=accepts))

    @rule(is_good=st.booleans(), is_refused=st.booleans())
    def connect(self, is_good: bool, is_refused: bool) -> None:
        """Come back from Meta's window, with a number or with a code that is used up.

        Where it `is_refused`, Meta does not register the number, and it stays unfinished.
        """
        result = self.run(self._share()) if is_good else _USED_UP
        if is_refused:
            self.run(self.meta.admin("POST", "/faults", _REFUSAL))
        self._send(self._complete(result))
        self.run(self.meta.admin("DELETE", "/faults"))

    @rule()
    def take_up(self) -> None:
        self._send(self._complete(None))

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """Press the button beside a number, from whatever page of before."""
        if self.permissions:
            self._send(self._complete(None, data.draw(st.sampled_from(sorted(self.permissions)))))

    @rule()
    def connect_another(self) -> None:
        self._send(self.made.connect_another())

    @rule()
    def choose(self) -> None:
        self._send(self.made.choose_permissions())

    @rule()
    def take_known(self) -> None:
        self._send(
            onboarding.choose_known_numbers(
                self.database, run_id=self.made.id, browser_token=self.made.browser
            )
        )

    @rule(data=st.data())
    def decide(self, data: st.DataObject) -> None:
        ids = sorted(self.permissions)
        shown = data.draw(st.lists(st.sampled_from(ids), unique=True)) if ids else []
        shared = data.draw(st.lists(st.sampled_from(ids), unique=True)) if ids else []
        times = data.draw(st.integers(1, 3))
        self._send(*(self.made.decide(shown=shown, shared=shared) for _ in range(times)))

    @rule(allowed=st.booleans())
    def let_clients_add(self, allowed: bool) -> None:
        async def change() -> None:
            async with self.database.system() as unit:
                await unit.execute(
                    "update partner set allow_client_to_add_phone_no = %s where id = %s",
                    (allowed, self.partner.id),
                )

        self.run(change())

    @rule()
    def change_prices(self) -> None:
        """Import a price for another day: what was accepted is not today's list any more."""
        place = next(_imports)
        day = date(2026, 12, 1) + timedelta(days=place)
        line = f"{day},EUR,Germany,marketing,0.{1000 + place}"
        self.run(stock_prices(self.database, rates=f"effective_date,currency,market,category,rate\n{line}\n"))

    @precondition(lambda self: hasattr(self, "made"))
    @invariant()
    def the_partner_was_told_what_changed(self) -> None:
        rows, news = self.run(self._look())
        self.live = {row["id"] for row in rows if row["account_mode"] == "live"}
        assert all(row["id"] in self.live for row in rows if row["permission"] == "shared")
        after = {row["id"]: row["permission"] for row in rows}
        changed = {
            channel_id: permission
            for channel_id, permission in after.items()
            if permission != self.permissions.get(channel_id, "missing")
        }
        fresh = [
            (json.loads(bytes(row["body"]))["data"]["id"], NEWS[row["name"]]) for row in news[self.seen :]
        ]
        assert sorted(fresh) == sorted(changed.items())
        self.permissions, self.seen = after, len(news)

    def teardown(self) -> None:
        if not hasattr(self, "made"):
            return
        for _ in range(8):
            if self.step is Step.DONE:
                break
            self._go_on()
            self.the_partner_was_told_what_changed()
        assert self.step is Step.DONE
        run: Run = self.run(self.made.now())
        assert set(run.channel_ids) == {one for one in run.channel_ids if self.permissions[one] == "shared"}
        assert set(run.channel_ids) <= self.live
        assert all(self.permissions[one] == "missing" for one in run.revoked_ids)

    def _go_on(self) -> None:
        """Do what the page of this step offers first."""
        match self.step:
            case Step.ACCOUNT:
                self.come_in()
            case Step.PRICES:
                self.accept(is_current=True, accepts=True)
            case Step.CONNECT:
                if self.run(self._may_add()):
                    self.connect(is_good=True, is_refused=False)
                else:
                    # The page offers no window then: what is shared, the permission to share it, or the
                    # end of what stopped.
                    self.take_known()
                    if self.step is Step.CONNECT:
                        self.choose()
                    if self.step is Step.CONNECT:
                        unfinished = sorted(self.permissions.keys() - self.live)
                        self._send(self._complete(None, unfinished[0]))
            case Step.REGISTER:
                self.take_up()
            case Step.PERMISSION:
                everything = list(self.permissions)
                self._send(self.made.decide(shown=everything, shared=everything))
            case Step.DONE:
                pass

    def _send(self, *forms: Awaitable[Run]) -> None:
        """Send forms at once; each is done or refused by an error that a page can show."""

        async def all_of_them() -> list[Run | BaseException]:
            return list(await asyncio.gather(*forms, return_exceptions=True))

        before = self.step
        for end in self.run(all_of_them()):
            assert isinstance(end, Run | HubError), end
        self.step = self.run(self.made.now()).step
        assert self.step in NEXT[before]

    async def _begin_anew(self) -> StartedRun:
        async with self.database.system() as unit:
            return await onboarding.begin_anew(unit, run_id=self.made.id, browser_token=self.made.browser)

    async def _look(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        async with self.database.system() as unit:
            rows = await unit.fetch_dicts(
                "select id, permission, account_mode from channel where partner_id = %s", (self.partner.id,)
            )
            news = await unit.fetch_dicts(
                "select name, body from event where partner_id = %s and name = any(%s)"
                " order by created_at, id",
                (self.partner.id, list(NEWS)),
            )
        return rows, news

    async def _may_add(self) -> bool:
        run, partner = await self.made.now(), await self.made.partner()
        async with self.database.system() as unit:
            try:
                await onboarding.check_may_add(unit, partner=partner, client_id=run.client_id or "")
            except ClientMayNotAdd:
                return False
        return True

    async def _share(self) -> SignupResult:
        body = {"app_id": harness.APP_ID, "number": {"phone_number": f"+49 30 77{next(_numbers):06d}"}}
        done = await self.meta.admin("POST", "/signups", body)
        told = done["message"]["data"]
        return SignupResult(
            code=done["code"],
            event="FINISH",
            waba_id=told["waba_id"],
            phone_number_id=told["phone_number_id"],
        )

    async def _complete(self, result: SignupResult | None, channel_id: str = "") -> Run:
        try:
            return await onboarding.complete_signup(
                self.connector,
                run_id=self.made.id,
                browser_token=self.made.browser,
                result=result,
                channel_id=channel_id,
            )
        except StepWrong:
            return await self.made.now()


_REFUSAL = {"action": "error", "code": 131000, "path": "/*/register", "times": 1}
_USED_UP = SignupResult(code="used-up", event="FINISH", waba_id="", phone_number_id="")


@pytest.mark.slow
def test_every_order_of_steps_has_a_way_on_and_tells_each_change_once(
    database_url: str, keyring: Keyring
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()
        database = Database(database_url, name="machine", max_size=4)

        async def start() -> tuple[Meta, HttpClient]:
            await database.open()
            stack.push_async_callback(database.close)
            await stock_prices(database)
            meta = await stack.enter_async_context(harness.running(harness.CONFIG))
            return meta, await stack.enter_async_context(HttpClient(policy=AddressPolicy.TRUSTED))

        meta, http = runner.run(start())

        class Machine(PopupLife):
            pass

        Machine.run = staticmethod(runner.run)  # type: ignore[assignment]  # a bound call, not a method
        Machine.meta = meta
        Machine.connector = Connector(
            db=database,
            meta=client_of(meta.url, http),
            keyring=keyring,
            app_id=harness.APP_ID,
            system_token=harness.SYSTEM_TOKEN,
        )
        try:
            run_state_machine_as_test(
                Machine,
                settings=settings(
                    max_examples=12,
                    stateful_step_count=15,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow],
                ),
            )
        finally:
            runner.run(stack.aclose())
