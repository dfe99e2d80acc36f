"""A sample partner site: what an integration has to do, and nothing more.

It shows the hub's connect button, which opens the onboarding popup and reports `client` and `channels`, mints
a key, sets the number's webhook, creates and sends a template, shows the balance, and receives both kinds of
webhook, checking each signature by the documented recipe. It speaks to the hub over HTTP only, like any
partner would; the one thing no partner has is the link to the customer's phone in the simulator.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import msgspec
import uvicorn
from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath, QueryParameter
from litestar.static_files import create_static_files_router

from partnerhub.demo.installation import write_private

FILES = Path(__file__).parent / "site_files"
KEPT_EVENTS = 500


class SiteConfig(msgspec.Struct, frozen=True):
    """What the partner was given: addresses, its id, its key, its platform secret.

    `number_file` is where the site keeps the key of the number it connected last: keys are shown once.
    """

    partner_id: str
    partner_api_key: str
    platform_secret: str
    hub_url: str
    gateway_url: str
    site_url: str
    template_name: str
    template_language: str
    phone_url: str
    number_file: str


class Number(msgspec.Struct, frozen=True):
    """The number that was connected last, and what opens the Messaging API for it."""

    channel_id: str
    waba_id: str
    address: str
    api_key: str


class State(msgspec.Struct, frozen=True):
    """What the page shows beside the events; `template` is empty where the account has none of that name."""

    balance: str
    channel: str
    template: str


@dataclass
class Received:
    """One webhook that arrived: which door, what, and whether the signature is right."""

    number: int
    door: str
    is_signed: bool
    body: Any  # Any: whatever JSON arrived


class Site:
    """The running site: events received, and the number connected last."""

    def __init__(self, config: SiteConfig) -> None:
        self.config = config
        self.events: deque[Received] = deque(maxlen=KEPT_EVENTS)
        self._count = 0
        file = Path(config.number_file)
        self.number = msgspec.json.decode(file.read_bytes(), type=Number) if file.exists() else None

    def receive(self, door: str, body: bytes, signature: str) -> None:
        """Check the signature over the raw bytes and keep the event."""
        expected = hmac.new(self.config.platform_secret.encode(), body, hashlib.sha256).hexdigest()
        self._count += 1
        try:
            content = msgspec.json.decode(body)
        except msgspec.DecodeError:
            content = {"unreadable": body[:200].decode("utf-8", "replace")}
        self.events.appendleft(
            Received(self._count, door, hmac.compare_digest(expected, signature.lower()), content)
        )

    async def connect(self, channel_id: str) -> Number:
        """Mint the channel's key, set its webhook, and create the template that the page sends."""
        config = self.config
        partner = f"{config.hub_url}/api/v2/partners/{config.partner_id}"
        headers = {"X-API-Key": config.partner_api_key}
        async with aiohttp.ClientSession() as http:
            minted = await _call(
                http, "POST", f"{partner}/channels/{channel_id}/api_keys", headers=headers, json={}
            )
            channel = await _call(http, "GET", f"{partner}/channels/{channel_id}", headers=headers)
            number = Number(
                channel_id=channel_id,
                waba_id=str(channel["waba_account"]["id"]),
                address=str(minted["address"]),
                api_key=str(minted["api_key"]),
            )
            # A key cannot be read back: it is kept before anything else can fail.
            write_private(Path(config.number_file), msgspec.to_builtins(number))
            self.number = number
            await _call(
                http,
                "POST",
                f"{number.address}/v1/configs/webhook",
                headers={"D360-API-KEY": number.api_key},
                json={"url": f"{config.site_url}/receiver/number"},
            )
            if not await self._template_status(http, number):
                await _call(
                    http,
                    "POST",
                    f"{partner}/waba_accounts/{number.waba_id}/waba_templates",
                    headers=headers,
                    json=_template(config),
                )
        return number

    async def send(self, to: str) -> dict[str, Any]:  # Any: Meta's answer
        """Send the template from the number that was connected last."""
        if (number := self.number) is None:
            raise HTTPException("Connect a number first.", status_code=409)
        message = {
            "messaging_product": "whatsapp",
            "to": to,
            "type": "template",
            "template": {
                "name": self.config.template_name,
                "language": {"code": self.config.template_language},
            },
        }
        async with aiohttp.ClientSession() as http:
            sent = await _call(
                http,
                "POST",
                f"{number.address}/messages",
                headers={"D360-API-KEY": number.api_key},
                json=message,
            )
        return dict(sent)

    async def state(self) -> State:
        """Ask the hub for the balance, and for what became of the template."""
        config, number = self.config, self.number
        async with aiohttp.ClientSession() as http:
            balances = await _call(
                http,
                "GET",
                f"{config.hub_url}/api/v2/partners/{config.partner_id}/balance",
                headers={"X-API-Key": config.partner_api_key},
            )
            template = await self._template_status(http, number) if number else ""
        balance = " · ".join(f"{one['total']:.2f} {one['currency'].upper()}" for one in balances)
        return State(balance=balance, channel=number.channel_id if number else "", template=template)

    async def _template_status(self, http: aiohttp.ClientSession, number: Number) -> str:
        config = self.config
        listed = await _call(
            http,
            "GET",
            f"{config.hub_url}/api/v2/partners/{config.partner_id}/waba_accounts/{number.waba_id}/waba_templates",
            headers={"X-API-Key": config.partner_api_key},
            params={"filters": json.dumps({"name": config.template_name})},
        )
        found = [
            one["status"] for one in listed["waba_templates"] if one["language"] == config.template_language
        ]
        return str(found[0]) if found else ""


def create_site(config: SiteConfig) -> Litestar:
    """Build the site's application."""
    site = Site(config)

    @get("/", media_type="text/html", sync_to_thread=False)
    def page() -> Response[bytes]:
        content = (FILES / "index.html").read_text()
        values = {
            "partner_id": config.partner_id,
            "hub_url": config.hub_url,
            "site_url": config.site_url,
            "phone_url": config.phone_url,
        }
        for name, value in values.items():
            content = content.replace("{{ " + name + " }}", value)
        policy = (
            f"default-src 'none'; script-src 'self' {config.hub_url}; style-src 'self'; connect-src 'self';"
            " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return Response(content.encode(), headers={"content-security-policy": policy}, media_type="text/html")

    @get(["/terms", "/privacy"], media_type="text/html", sync_to_thread=False)
    def legal(request: Request[Any, Any, Any]) -> Response[bytes]:
        # What an operator's own pages are in production.
        content = (FILES / f"{request.url.path.strip('/')}.html").read_bytes()
        policy = (
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        return Response(content, headers={"content-security-policy": policy}, media_type="text/html")

    @post("/receiver/{door:str}", status_code=200)
    async def receive(door: FromPath[str], request: Request[Any, Any, Any]) -> dict[str, bool]:
        site.receive(door, await request.body(), request.headers.get("x-360dialog-signature", ""))
        return {"received": True}

    @post("/receiver", status_code=200)
    async def receive_plain(request: Request[Any, Any, Any]) -> dict[str, bool]:
        site.receive("number", await request.body(), request.headers.get("x-360dialog-signature", ""))
        return {"received": True}

    @get(["/receiver", "/api/events"], sync_to_thread=False)
    def events(after: Annotated[int, QueryParameter()] = 0) -> list[Received]:
        return [event for event in site.events if event.number > after]

    @get("/api/state")
    async def state() -> State:
        return await site.state()

    @post("/api/connect", status_code=200)
    async def connect(request: Request[Any, Any, Any]) -> dict[str, str]:
        number = await site.connect(str((await request.json())["channel"]))
        return {"channel": number.channel_id, "key": f"{number.api_key[:6]}…"}

    @post("/api/send", status_code=200)
    async def send(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return await site.send(str((await request.json())["to"]))

    return Litestar(
        [
            page,
            legal,
            receive,
            receive_plain,
            events,
            state,
            connect,
            send,
            create_static_files_router(path="/files", directories=[FILES]),
        ],
        openapi_config=None,
        logging_config=None,
    )


def _template(config: SiteConfig) -> dict[str, Any]:  # Any: as Meta writes components
    return {
        "name": config.template_name,
        "language": config.template_language,
        "category": "MARKETING",
        "components": [{"type": "BODY", "text": "Everything for the rain, now at 20 % off in all shops."}],
    }


async def _call(
    http: aiohttp.ClientSession, method: str, url: str, **options: Any
) -> Any:  # Any: aiohttp's options; the answer's JSON
    async with http.request(method, url, **options) as answer:
        content = await answer.json(content_type=None)
        if answer.status >= 400:
            raise HTTPException(_reason(content), status_code=502)
        return content


def _reason(content: Any) -> str:  # Any: an error in the dialect of the API that was called
    """Return what an error says to people; the two APIs say it in different places."""
    if isinstance(content, dict):
        match content:
            case {"error": {"error_data": {"details": str(text)}}} | {"error": {"message": str(text)}}:
                return text
            case {"meta": {"developer_message": str(text)}}:
                return text
            case _:
                pass
    return json.dumps(content)


def run(config: SiteConfig, port: int) -> None:
    """Serve the site until a signal."""
    server = uvicorn.Server(
        uvicorn.Config(
            create_site(config),
            host="127.0.0.1",
            port=port,
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=2,
        )
    )
    asyncio.run(server.serve())
