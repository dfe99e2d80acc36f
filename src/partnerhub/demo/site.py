"""A sample partner site: what an integration has to do, and nothing more.

It shows a connect button that opens the onboarding popup, reads `client` and `channels` from the redirect,
mints a key, sets the number's webhook, sends a template, and receives both kinds of webhook, checking
each signature by the documented recipe. It speaks to the hub over HTTP only, like any partner would.
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
from litestar.params import QueryParameter
from litestar.static_files import create_static_files_router

FILES = Path(__file__).parent / "site_files"
KEPT_EVENTS = 500


class SiteConfig(msgspec.Struct, frozen=True):
    """What the partner was given: addresses, its id, its key, its platform secret."""

    partner_id: str
    partner_api_key: str
    platform_secret: str
    hub_url: str
    gateway_url: str
    site_url: str
    template_name: str
    template_language: str


@dataclass
class Received:
    """One webhook that arrived: which door, what, and whether the signature is right."""

    number: int
    door: str
    is_signed: bool
    body: Any  # Any: whatever JSON arrived


class Site:
    """The state of the running site: events received and keys minted."""

    def __init__(self, config: SiteConfig) -> None:
        self.config = config
        self.events: deque[Received] = deque(maxlen=KEPT_EVENTS)
        self.keys: dict[str, tuple[str, str]] = {}
        self._count = 0

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


def create_site(config: SiteConfig) -> Litestar:
    """Build the site's application."""
    site = Site(config)

    @get("/", media_type="text/html", sync_to_thread=False)
    def page() -> Response[bytes]:
        content = (FILES / "index.html").read_text()
        values = {"partner_id": config.partner_id, "hub_url": config.hub_url}
        for name, value in values.items():
            content = content.replace("{{ " + name + " }}", value)
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'"
        )
        return Response(content.encode(), headers={"content-security-policy": policy}, media_type="text/html")

    @post("/receiver/{door:str}", status_code=200)
    async def receive(door: str, request: Request[Any, Any, Any]) -> dict[str, bool]:
        site.receive(door, await request.body(), request.headers.get("x-360dialog-signature", ""))
        return {"received": True}

    @post("/receiver", status_code=200)
    async def receive_plain(request: Request[Any, Any, Any]) -> dict[str, bool]:
        site.receive("number", await request.body(), request.headers.get("x-360dialog-signature", ""))
        return {"received": True}

    @get(["/receiver", "/api/events"], sync_to_thread=False)
    def events(after: Annotated[int, QueryParameter()] = 0) -> list[Received]:
        return [event for event in site.events if event.number > after]

    @post("/api/connect", status_code=200)
    async def connect(request: Request[Any, Any, Any]) -> dict[str, str]:
        wanted = await request.json()
        channel_id = str(wanted["channel"])
        async with aiohttp.ClientSession() as http:
            minted = await _call(
                http,
                f"{config.hub_url}/api/v2/partners/{config.partner_id}/channels/{channel_id}/api_keys",
                {"X-API-Key": config.partner_api_key},
                {},
            )
            site.keys[channel_id] = (str(minted["address"]), str(minted["api_key"]))
            await _ensure_template(http, config, channel_id)
            await _call(
                http,
                f"{minted['address']}/v1/configs/webhook",
                {"D360-API-KEY": str(minted["api_key"])},
                {"url": f"{config.site_url}/receiver/number"},
            )
        return {"channel": channel_id, "key": f"{str(minted['api_key'])[:6]}…"}

    @post("/api/send", status_code=200)
    async def send(request: Request[Any, Any, Any]) -> dict[str, Any]:
        wanted = await request.json()
        if (key := site.keys.get(str(wanted["channel"]))) is None:
            raise HTTPException("Connect this number first.", status_code=409)
        message = {
            "messaging_product": "whatsapp",
            "to": str(wanted["to"]),
            "type": "template",
            "template": {
                "name": config.template_name,
                "language": {"code": config.template_language},
            },
        }
        async with aiohttp.ClientSession() as http:
            return await _call(http, f"{key[0]}/messages", {"D360-API-KEY": key[1]}, message)

    return Litestar(
        [
            page,
            receive,
            receive_plain,
            events,
            connect,
            send,
            create_static_files_router(path="/files", directories=[FILES]),
        ],
        openapi_config=None,
    )


async def _ensure_template(http: aiohttp.ClientSession, config: SiteConfig, channel_id: str) -> None:
    """Create the template that the page sends, where the number's account does not have it yet."""
    partner = f"{config.hub_url}/api/v2/partners/{config.partner_id}"
    headers = {"X-API-Key": config.partner_api_key}
    async with http.get(f"{partner}/channels/{channel_id}", headers=headers) as answer:
        waba_id = (await answer.json())["waba_account"]["id"]
    template = {
        "name": config.template_name,
        "language": config.template_language,
        "category": "MARKETING",
        "components": [{"type": "BODY", "text": "Everything for the rain, now at 20 % off in all shops."}],
    }
    async with http.post(
        f"{partner}/waba_accounts/{waba_id}/waba_templates", headers=headers, json=template
    ) as answer:
        # One with this name is there already: just as well.
        if answer.status != 201 and "already in use" not in await answer.text():
            raise HTTPException(await answer.text(), status_code=502)


async def _call(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str], body: dict[str, Any]
) -> dict[str, Any]:
    async with http.post(url, headers=headers, json=body) as answer:
        content = await answer.json(content_type=None)
        if answer.status >= 400:
            raise HTTPException(json.dumps(content), status_code=502)
        return dict(content)


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
