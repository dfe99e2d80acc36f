"""The steps of the onboarding popup, as a browser without script takes them."""

from __future__ import annotations

from typing import Any

from yarl import URL

from partnerhub.ui.frame import CSRF_FIELD
from tests.factories import MadePartner
from tests.hub_stage import HubStage
from tests.identity.people import PASSWORD
from tests.plain_browser import Browser, Visit
from tests.simulator import harness

ACCOUNT = {
    "company": "Fjord Travel",
    "person": "Ann Fjord",
    "email": "ann@fjord.example",
    "password": PASSWORD,
    "accepts_terms": "on",
}


def run_of(page: Visit) -> str:
    """Return the address of the run that a page is of."""
    return "/".join(URL(page.path).path.split("/")[:4])


async def send(browser: Browser, page: Visit, action: str, /, **fields: str) -> Visit:
    """Send a form of a run's page."""
    return await browser.post(f"{run_of(page)}/{action}", **{CSRF_FIELD: page.field(CSRF_FIELD), **fields})


async def at_connect(browser: Browser, partner: MadePartner, query: str = "") -> Visit:
    """Sign up and stand before Meta's window."""
    page = await send(browser, await browser.get(f"/onboarding/{partner.id}{query}"), "account", **ACCOUNT)
    assert "Connect your number" in page.words, page.words
    return page


async def share(stage: HubStage, **number: Any) -> dict[str, str]:  # Any: JSON of the simulator
    """Finish Embedded Signup at Meta and return what its window tells the page."""
    made = await stage.meta.admin(
        "POST",
        "/signups",
        {
            "app_id": harness.APP_ID,
            "business": {"name": "Fjord Travel"},
            "number": {"phone_number": "+49 30 5551 9001", "display_name": "Fjord Travel", **number},
        },
    )
    return {"code": made["code"], "event": made["message"]["event"], **made["message"]["data"]}
