"""A run of the popup as its browser has it, for tests of the steps without pages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.factories import MadeChannel, MadeClient, MadePartner, make_channel, make_waba
from tests.identity.people import CHEAP, PASSWORD

from partnerhub.kit.database import Database
from partnerhub.kit.ids import token
from partnerhub.ledger.queries import find_price_version
from partnerhub.onboarding import queries
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.entry import Entry
from partnerhub.onboarding.rules import Rules
from partnerhub.onboarding.schemas import Run
from partnerhub.partners.queries import get_partner
from partnerhub.partners.schemas import Partner

PASSING = Rules(terms_url="https://hub.example/terms", without_payment_method=True)


@dataclass(frozen=True)
class MadeRun:
    """One run and the rules under which it goes on."""

    database: Database
    id: UUID
    partner_id: str
    browser: str
    rules: Rules = PASSING
    ip: str = "192.0.2.1"

    @property
    def _person(self) -> dict[str, Any]:  # Any: two keyword arguments
        return {"ip": self.ip, "user_agent": "test"}

    async def now(self) -> Run:
        """Return the run as its row says."""
        async with self.database.system() as unit:
            return await queries.get_run(unit, run_id=self.id, browser_token=self.browser)

    async def partner(self) -> Partner:
        """Return the run's partner."""
        async with self.database.system() as unit:
            return await get_partner(unit, partner_id=self.partner_id)

    async def sign_up(self, email: str = "ann@acme.example") -> Run:
        """Send the sign-up form."""
        return await onboarding.sign_up_client(
            self.database,
            run_id=self.id,
            browser_token=self.browser,
            company="Acme",
            person="Ann",
            email=email,
            password=PASSWORD,
            accepts_terms=True,
            locale="en",
            passwords=CHEAP,
            rules=self.rules,
            **self._person,
        )

    async def sign_in(self, email: str = "ann@acme.example") -> Run:
        """Send the sign-in form."""
        return await onboarding.sign_in_client(
            self.database,
            run_id=self.id,
            browser_token=self.browser,
            email=email,
            password=PASSWORD,
            passwords=CHEAP,
            rules=self.rules,
            **self._person,
        )

    async def version(self) -> str:
        """Return the version of the prices as they are now."""
        async with self.database.system() as unit:
            return str(await find_price_version(unit))

    async def accept(self, *, version: str | None = None, accepts: bool = True) -> Run:
        """Send the form of the price page."""
        return await onboarding.accept_prices(
            self.database,
            run_id=self.id,
            browser_token=self.browser,
            accepts=accepts,
            version=await self.version() if version is None else version,
            rules=self.rules,
            **self._person,
        )

    async def decide(self, *, shown: Collection[str], shared: Collection[str]) -> Run:
        """Send the form of the permission page."""
        return await onboarding.decide_permissions(
            self.database,
            run_id=self.id,
            browser_token=self.browser,
            shown=shown,
            shared=shared,
            rules=self.rules,
            **self._person,
        )

    async def connect_another(self) -> Run:
        """Press the button that leads to Meta's window again."""
        return await onboarding.go_back_to_connect(
            self.database, run_id=self.id, browser_token=self.browser, rules=self.rules
        )

    async def choose_permissions(self) -> Run:
        """Press the button that leads to the permission page."""
        return await onboarding.choose_permissions(
            self.database, run_id=self.id, browser_token=self.browser, rules=self.rules
        )

    async def shows(self) -> list[tuple[str, bool, bool]]:
        """Return what the permission page shows: channel, whether it is shared, whether that is fixed."""
        run, partner = await self.now(), await self.partner()
        async with self.database.system() as unit:
            listed = await queries.list_sharable(unit, run=run, partner=partner, rules=self.rules)
        return [(one.number.channel_id, one.number.is_shared, one.is_fixed) for one in listed]


async def open_run(
    database: Database,
    partner: MadePartner,
    entry: Entry | None = None,
    *,
    rules: Rules = PASSING,
    ip: str = "192.0.2.1",
) -> MadeRun:
    """Open one of the partner's links in a fresh browser."""
    browser = token()
    async with database.system() as unit:
        started = await onboarding.start_run(
            unit, partner_id=partner.id, entry=entry or Entry(), browser_token=browser
        )
    return MadeRun(database, started.run_id, partner.id, browser, rules, ip)


async def make_customer(
    database: Database, partner: MadePartner, permissions: Collection[str], email: str = "ann@acme.example"
) -> list[MadeChannel]:
    """Make an account with one number for each permission, as if it had been here before."""
    run = await (await open_run(database, partner)).sign_up(email)
    assert run.client_id
    waba = await make_waba(database, client=MadeClient(run.client_id, partner.id))
    return [await make_channel(database, waba=waba, permission=permission) for permission in permissions]
