"""The main job, by hand in a real browser against real processes.

A client onboards a number in a popup on the partner's site; the partner hears of it by signed webhooks, mints
a key, sends a message with it; Meta's statuses and the customer's answer come back; the balance pays.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser import visit
from tests.e2e.installation import Installation
from tests.e2e.popup import PATIENCE_MS, Business, closed, connect, sign_up
from tests.e2e.simulator import simulator_of

pytestmark = [pytest.mark.xdist_group("installation"), pytest.mark.slow]

CUSTOMER = "4915112345678"
RATE_MICROS = 122_800  # marketing to Germany in the sample rates: 0.1228 EUR
LIFE = [
    "client_created",
    "channel_created",
    "channel_ready",
    "channel_running",
    "channel_live",
    "channel_permission_granted",
]
FJORD = Business("Fjord Travel", "ops@fjord.example", "+49 30 5551 9001")


@dataclass(frozen=True)
class Money:
    """The partner's wallet as its row says, in micros."""

    posted: int
    held: int

    @property
    def available(self) -> int:
        """What can be spent."""
        return self.posted - self.held


class Watch:
    """Looks at a running demo from outside: its wallet, its API, what its sample site received."""

    def __init__(self, demo: Installation, http: aiohttp.ClientSession) -> None:
        self.demo = demo
        self.http = http

    def money(self) -> Money:
        """Read the wallet, and check it against the sum of all its transfers."""
        ((posted, held, booked),) = self.demo.rows(
            "select b.posted, b.held, (select sum(case when credit_account = b.account_id then amount_micros"
            " when debit_account = b.account_id then -amount_micros else 0 end) from ledger_transfer)"
            " from ledger_balance b where partner_id = %s",
            self.demo["partner_id"],
        )
        # Holding is a transfer of its own: what is booked on the wallet is what is available.
        assert booked == posted - held
        return Money(posted, held)

    async def balance(self) -> list[dict[str, Any]]:  # Any: JSON
        """Ask the Partner API for the balance."""
        url = f"{self.demo['hub_url']}/api/v2/partners/{self.demo['partner_id']}/balance"
        async with self.http.get(url, headers={"X-API-Key": self.demo["partner_api_key"]}) as answer:
            assert answer.status == 200
            return list(await answer.json())

    async def events(self, door: str) -> list[dict[str, Any]]:  # Any: JSON
        """Return what came to a door of the sample site, oldest first; all of it must be signed."""
        async with self.http.get(self.demo["receiver_url"]) as answer:
            received = [one for one in await answer.json() if one["door"] == door]
        assert all(one["is_signed"] for one in received)
        return [one["body"] for one in reversed(received)]

    async def statuses(self, wamid: str) -> list[str]:
        """Return the statuses of a message that came to the number's webhook."""
        values = [_value(body) for body in await self.events("number")]
        return [one["status"] for value in values for one in value.get("statuses", []) if one["id"] == wamid]


async def until(holds: Callable[[], Awaitable[bool]], *, within_seconds: float = 30.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + within_seconds
    while not await holds():
        assert time.monotonic() < deadline, f"Not within {within_seconds} seconds."
        await asyncio.sleep(0.1)


def _value(body: dict[str, Any]) -> dict[str, Any]:
    ((change,),) = [entry["changes"] for entry in body["entry"]]
    return dict(change["value"])


async def test_the_sample_accounts_show_what_meta_knows_of_them(demo: Installation) -> None:
    url = f"{demo['hub_url']}/api/v2/partners/{demo['partner_id']}/channels"
    async with (
        aiohttp.ClientSession(headers={"X-API-Key": demo["partner_api_key"]}) as http,
        http.get(url, params={"filters": f'{{"id": "{demo["channel_id"]}"}}'}) as answer,
    ):
        (channel,) = (await answer.json())["partner_channels"]
    waba = channel["waba_account"]
    assert (waba["name"], waba["timezone_id"]) == ("Acme Outdoor", 47)
    assert re.fullmatch(r"[0-9a-f]{8}(_[0-9a-f]{4}){3}_[0-9a-f]{12}", waba["namespace"])


async def test_a_client_onboards_and_a_message_is_sent_answered_and_paid(
    demo: Installation, browser: Browser
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        visit(browser, demo["site_url"]) as opened,
        simulator_of(demo["simulator_url"]) as meta,
    ):
        watch, page = Watch(demo, http), opened.page
        client_id, channel_id = await _onboard(page)
        await _hears_of_it(watch, client_id, channel_id)
        await _holds_a_key(watch, channel_id)

        await expect(page.locator("#template")).to_contain_text("is approved", timeout=PATIENCE_MS)
        before = watch.money()
        async with meta.standing_still():
            await page.get_by_label("To", exact=True).fill(CUSTOMER)
            await page.get_by_role("button", name="Send").click()
            await expect(page.locator("#sent")).to_contain_text("Accepted as wamid.", timeout=PATIENCE_MS)
            wamid = (await page.locator("#sent").inner_text()).removeprefix("Accepted as ")

            # Accepted by Meta: held, so no longer available, and not yet paid.
            assert watch.money() == Money(before.posted, before.held + RATE_MICROS)
            cents = (before.available - RATE_MICROS) // 10_000
            assert await watch.balance() == [{"currency": "eur", "total": cents / 100}]

            # Sent changes nothing.
            await meta.advance(0.2)
            await until(lambda: _is_settled(watch, wamid, "sent"))
            assert await watch.statuses(wamid) == ["sent"]
            assert watch.money() == Money(before.posted, before.held + RATE_MICROS)

            # Delivered pays, exactly what was held.
            await meta.advance(0.5)
            await until(lambda: _is_settled(watch, wamid, "delivered"))
            assert watch.money() == Money(before.posted - RATE_MICROS, before.held)
        await until(lambda: _are(watch, wamid, ["sent", "delivered"]))
        assert demo.rows("select state, price_micros, participant from charge where wamid = %s", wamid) == [
            ("captured", RATE_MICROS, "")
        ]

        await _answers(page, watch)
        # What comes in costs nothing.
        assert watch.money() == Money(before.posted - RATE_MICROS, before.held)
        await expect(page.locator("#balance")).to_have_text(f"{cents / 100:.2f} EUR")


async def _onboard(page: Page) -> tuple[str, str]:
    """Click the way through the popup; return client and channel as the redirect brought them."""
    async with page.expect_popup() as opening:
        await page.get_by_role("button", name="Connect WhatsApp").click()
    popup = await opening.value
    await sign_up(popup, FJORD)
    await connect(popup, FJORD)
    await closed(popup)
    await expect(page.locator("#connected")).to_contain_text("webhook set", timeout=PATIENCE_MS)
    _, client_id, _, _, channel_id, *_ = (await page.locator("#connected").inner_text()).split()
    assert client_id.endswith("CL")
    assert channel_id.endswith("CH")
    return client_id, channel_id


async def _hears_of_it(watch: Watch, client_id: str, channel_id: str) -> None:
    """See each event of the number's life exactly once, and published in the order of that life."""

    async def told() -> list[dict[str, Any]]:
        return [
            event
            for event in await watch.events("partner")
            if event["data"].get("id") == channel_id or event["data"].get("client", {}).get("id") == client_id
        ]

    async def is_complete() -> bool:
        return {event["event"] for event in await told()} >= set(LIFE)

    await until(is_complete)
    ids: dict[str, set[str]] = {}
    for event in await told():
        ids.setdefault(event["event"], set()).add(event["id"])
    # More attempts carry the same id; a second id would be a second event.
    assert all(len(ids[name]) == 1 for name in LIFE), ids
    # The ids are ordered by time, whatever order the network chose.
    moments = [UUID(next(iter(ids[name]))).int >> 80 for name in LIFE]
    assert moments == sorted(moments)


async def _holds_a_key(watch: Watch, channel_id: str) -> None:
    """See one key minted, and the number live and permitted."""
    base = f"{watch.demo['hub_url']}/api/v2/partners/{watch.demo['partner_id']}/channels/{channel_id}"
    headers = {"X-API-Key": watch.demo["partner_api_key"]}
    async with watch.http.get(f"{base}/api_keys", headers=headers) as answer:
        assert len((await answer.json())["api_keys"]) == 1
    async with watch.http.get(base, headers=headers) as answer:
        channel = await answer.json()
    assert (channel["account_mode"], channel["integration"]["state"]) == ("live", "running")


async def _is_settled(watch: Watch, wamid: str, status: str) -> bool:
    query = "select 1 from message_status where wamid = %s and status = %s and settled_at is not null"
    return bool(watch.demo.rows(query, wamid, status)) and status in await watch.statuses(wamid)


async def _are(watch: Watch, wamid: str, statuses: list[str]) -> bool:
    # Read may follow: the simulated customer looks at some messages.
    return (await watch.statuses(wamid))[:2] == statuses


async def _answers(page: Page, watch: Watch) -> None:
    """Answer as the customer on the phone page, and see the answer arrive at the partner's site."""
    async with page.context.expect_page() as opening:
        await page.get_by_role("link", name="open the customer's phone").click()
    phone = await opening.value
    await phone.get_by_test_id("chats").get_by_role("link", name=FJORD.name).click()
    await expect(phone.get_by_test_id("bubble-theirs")).to_contain_text("now at 20 % off")
    await phone.get_by_test_id("text").fill("Yes, please send me the list.")
    await phone.get_by_test_id("send").click()

    async def has_come() -> bool:
        values = [_value(body) for body in await watch.events("number")]
        return [
            (one["from"], one["text"]["body"]) for value in values for one in value.get("messages", [])
        ] == [(CUSTOMER, "Yes, please send me the list.")]

    await until(has_come)
    await expect(page.get_by_text("message text")).to_be_visible(timeout=PATIENCE_MS)
    await phone.close()
