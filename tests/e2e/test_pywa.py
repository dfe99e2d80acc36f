"""A public client of Meta's API, unmodified: first against the simulator, then against the running gateway.

The client is told nothing of either: its host is resolved elsewhere, as a hosts file would. What comes back
by webhook is checked by the recipe that the receiver's side documents, and read by the client itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest
from aiohttp import web
from pywa_async.client import WhatsApp
from pywa_async.handlers import MessageHandler, MessageStatusHandler
from pywa_async.types.message import Message
from pywa_async.types.message_status import MessageStatus
from pywa_async.types.templates import TemplateLanguage

from tests.e2e.front import serving
from tests.e2e.installation import Installation
from tests.e2e.simulator import Simulator, simulator_of
from tests.simulator.harness import until

pytestmark = [pytest.mark.xdist_group("installation"), pytest.mark.slow]

RECIPE = Path(__file__).parents[2] / "docs" / "how-to" / "verify-webhook-signatures.md"
CUSTOMER = "4915155500077"
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
Check = Callable[[bytes, dict[str, str]], Awaitable[bool]]


class Elsewhere(httpx.AsyncHTTPTransport):
    """Resolves every host to one address."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._target = urlsplit(url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request there."""
        request.url = request.url.copy_with(scheme="http", host=self._target.hostname, port=self._target.port)
        return await super().handle_async_request(request)


@dataclass
class Inbox:
    """A webhook receiver that hands what it takes to the client's own reader."""

    url: str
    refused: int = 0
    statuses: list[tuple[str, str]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def has(self, statuses: Sequence[tuple[str, str]], texts: Sequence[tuple[str, str]]) -> None:
        """Wait until these statuses and texts have come."""
        async with asyncio.timeout(30):
            while not (set(statuses) <= set(self.statuses) and set(texts) <= set(self.texts)):
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def inbox(client: WhatsApp, check: Check) -> AsyncIterator[Inbox]:
    """Listen; a body that the check refuses is answered 401 and so never counts as delivered."""

    async def challenge(request: web.Request) -> web.Response:
        text, status = await client.webhook_challenge_handler(
            request.query.get("hub.verify_token"), request.query.get("hub.challenge")
        )
        return web.Response(text=text, status=status)

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        if not await check(body, {name.lower(): value for name, value in request.headers.items()}):
            made.refused += 1
            return web.Response(status=401)
        text, status = await client.webhook_update_handler(body)
        return web.Response(text=text, status=status)

    app = web.Application()
    app.router.add_get("/hook", challenge)
    app.router.add_post("/hook", take)
    async with serving(app) as port:
        made = Inbox(f"http://localhost:{port}/hook")

        # The asynchronous client borrows its handlers' types from the other one.
        async def note_status(_: Any, status: MessageStatus[Any]) -> None:  # Any: see above; no tracker
            made.statuses.append((status.id, status.status.value))
            made.news.set()

        async def note_message(_: Any, message: Message) -> None:  # Any: see above
            made.texts.append((message.from_user.wa_id or "", message.text or ""))
            made.news.set()

        client.add_handlers(MessageStatusHandler(note_status), MessageHandler(note_message))
        yield made


@asynccontextmanager
async def client_of(url: str, **options: Any) -> AsyncIterator[WhatsApp]:  # Any: the client's own options
    """Open a client whose every request goes to `url`."""
    async with httpx.AsyncClient(transport=Elsewhere(url)) as session:
        yield WhatsApp(session=session, verify_token="only-here", **options)


def documented_check(secret: str) -> Check:
    """Return the Python function that the documentation gives to receivers."""
    (code,) = re.findall(r"```python\n(.*?)```", RECIPE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(RECIPE), "exec"), names)  # noqa: S102 - the documentation is what is tested

    async def check(body: bytes, headers: dict[str, str]) -> bool:
        return bool(names["is_from_partner_hub"](body, headers, secret))

    return check


def own_check(client: WhatsApp) -> Check:
    """Return the check that the client makes of Meta's own signature."""

    async def check(body: bytes, headers: dict[str, str]) -> bool:
        return await client.webhook_update_validator(body, headers.get("x-hub-signature-256")) is None

    return check


async def send_everything(client: WhatsApp, template: str, received: str) -> list[str]:
    """Send a text, a template and an image, and mark a message as read; return the wamids."""
    text = await client.send_message(to=CUSTOMER, text="Your table is booked.")
    marketing = await client.send_template(
        to=CUSTOMER, name=template, language=TemplateLanguage.ENGLISH_US, params=[]
    )
    image = await client.send_image(
        to=CUSTOMER, image=PICTURE, mime_type="image/png", caption="The way to us"
    )
    assert await client.mark_message_as_read(message_id=received)
    wamids = [str(one.id) for one in (text, marketing, image)]
    assert len(set(wamids)) == 3
    return wamids


def _all_told(wamids: Sequence[str]) -> list[tuple[str, str]]:
    return [(wamid, status) for wamid in wamids for status in ("sent", "delivered")]


async def _write(meta: Simulator, number_id: str, text: str) -> str:
    made = await meta.post(f"/numbers/{number_id}/inbound", {"from": CUSTOMER, "text": text})
    return str(made["wamid"])


async def _bubbles(meta: Simulator, number_id: str) -> list[dict[str, Any]]:
    return list((await meta.get(f"/phones/{CUSTOMER}?number_id={number_id}"))["bubbles"])


async def test_pywa_works_with_the_simulator_as_it_does_with_meta(demo: Installation) -> None:
    async with simulator_of(demo["simulator_url"]) as meta:
        # An account of its own, which the hub knows nothing of: its callbacks go to the client's receiver.
        shop = await meta.post(
            "/seed",
            {
                "business": {"name": "Juniper"},
                "waba": {"name": "Juniper", "is_subscribed": True, "is_funded": True},
                "numbers": [{"phone_number": "4930555100077", "verified_name": "Juniper"}],
                "templates": [{"name": "news", "language": "en_US", "category": "MARKETING", "text": "News"}],
                "token": {"scopes": ["whatsapp_business_management", "whatsapp_business_messaging"]},
            },
        )
        number_id = shop["numbers"][0]["id"]
        async with (
            client_of(
                demo["simulator_url"],
                phone_id=number_id,
                waba_id=shop["waba_id"],
                token=shop["token"],
                app_secret=demo.environment["PARTNERHUB_META_APP_SECRETS"],
            ) as client,
            inbox(client, own_check(client)) as received,
        ):
            assert await client.override_waba_callback_url(received.url, "only-here")
            wamids = await send_everything(client, "news", await _write(meta, number_id, "Hello?"))
            await _write(meta, number_id, "Thank you!")
            await received.has(_all_told(wamids), [(CUSTOMER, "Hello?"), (CUSTOMER, "Thank you!")])
        assert received.refused == 0


async def test_pywa_works_with_the_gateway_as_it_does_with_meta(demo: Installation) -> None:
    number_id, hook = demo["phone_number_id"], f"{demo['gateway_url']}/v1/configs/webhook"
    headers = {"D360-API-KEY": demo["channel_api_key"]}
    async with (
        aiohttp.ClientSession(raise_for_status=True) as http,
        simulator_of(demo["simulator_url"]) as meta,
        client_of(
            demo["gateway_url"],
            phone_id=number_id,
            waba_id=demo["waba_external_id"],
            token=demo["channel_api_key"],
            validate_updates=False,  # the receiver checks by the hub's own recipe
        ) as client,
        inbox(client, documented_check(demo["platform_secret"])) as received,
    ):
        async with http.get(hook, headers=headers) as answer:
            before = await answer.json()
        await (await http.post(hook, headers=headers, json={"url": received.url})).read()
        try:
            hello = await _write(meta, number_id, "Hello?")
            wamids = await send_everything(client, demo["template_name"], hello)
            await _write(meta, number_id, "Thank you!")
            await received.has(_all_told(wamids), [(CUSTOMER, "Hello?"), (CUSTOMER, "Thank you!")])
        finally:
            await (await http.post(hook, headers=headers, json=before)).read()
        assert received.refused == 0
        # The customer sees all of it, and that the first message was read.
        bubbles = await _bubbles(meta, number_id)
    assert [one["wamid"] for one in bubbles if not one["is_mine"]] == wamids
    assert [one["status"] for one in bubbles if one["wamid"] == hello] == ["read"]
    # The wallet paid for the template; text and image answer the customer within the window.
    paid = {wamids[0]: ("free", 0), wamids[1]: ("captured", 122_800), wamids[2]: ("free", 0)}
    await until(lambda: _charges(demo, wamids) == paid, timeout_seconds=30, every=0.1)


def _charges(demo: Installation, wamids: list[str]) -> dict[str, tuple[str, int]]:
    rows = demo.rows("select wamid, state, price_micros from charge where wamid = any(%s)", wamids)
    return {wamid: (state, price) for wamid, state, price in rows}
