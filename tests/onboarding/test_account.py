"""Who the client is: sign-up over real rows, with what forms may carry."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import pytest
from tests import factories
from tests.identity.people import CHEAP, PASSWORD

from partnerhub.kit.database import Database
from partnerhub.kit.errors import TooMany
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.entry import Entry
from partnerhub.onboarding.errors import AccountExists
from partnerhub.onboarding.schemas import Run, Step


@dataclass(frozen=True)
class Popup:
    """A run as its browser has it."""

    database: Database
    run_id: UUID
    browser_token: str

    async def sign_up(self, email: str, *, company: str = "Acme", ip: str = "192.0.2.1") -> Run:
        """Send the form."""
        return await onboarding.sign_up_client(
            self.database,
            run_id=self.run_id,
            browser_token=self.browser_token,
            company=company,
            person="Ann",
            email=email,
            password=PASSWORD,
            accepts_terms=True,
            locale="en",
            ip=ip,
            user_agent="test",
            passwords=CHEAP,
        )


@pytest.fixture
async def popup(database: Database) -> Popup:
    """Open a link."""
    partner = await factories.make_partner(database)
    async with database.system() as unit:
        started = await onboarding.start_run(unit, partner_id=partner.id, entry=Entry())
    return Popup(database, started.run_id, started.browser_token)


async def test_zero_characters_of_a_form_are_left_out(popup: Popup) -> None:
    run = await popup.sign_up("ann@acme.example", company="Ac\x00me")
    assert run.step is Step.CONNECT
    async with popup.database.system() as unit:
        assert await unit.fetch_value("select name from client where id = %s", (run.client_id,)) == "Acme"
    await onboarding.note_cancelled(
        popup.database,
        run_id=popup.run_id,
        browser_token=popup.browser_token,
        step="PHONE\x00",
        error_id="",
        message="",
    )
    async with popup.database.system() as unit:
        assert await unit.fetch_value("select error_message from onboarding_run") == "PHONE"


async def test_nobody_may_ask_often_who_has_an_account(popup: Popup) -> None:
    await factories.make_member(popup.database, email="boss@acme.example")
    for _ in range(60):
        with pytest.raises(AccountExists):
            await popup.sign_up("boss@acme.example")
    with pytest.raises(TooMany):
        await popup.sign_up("boss@acme.example")
    with pytest.raises(AccountExists):
        await popup.sign_up("boss@acme.example", ip="192.0.2.2")
