"""A whole hot path on loopback: simulator, gateway, sender, settle loop, a receiver, a funded wallet."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import uvicorn

from partnerhub.app.connections import BoundedProtocol
from partnerhub.gateway.app import Gateway, GatewayConfig, create_gateway
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.ledger.gate import Gate
from partnerhub.messaging.settle import Settler
from partnerhub.simulator import Rules, SimulatorConfig
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import OwnerKind
from partnerhub.webhooks.sender import Sender
from tests import factories
from tests.ledger.stock import BERLIN, fund, stock_prices
from tests.simulator import harness
from tests.simulator.harness import Answer, Meta, Shop, seed_shop
from tests.webhooks.receivers import Receiver, receiver

PARTNER = "onePA"
CUSTOMER = "4915112345678"
Json = dict[str, Any]  # Any: JSON as clients send and read it

RULES = Rules(
    sent_after_seconds=0.0,
    delivered_after_seconds=0.02,
    read_after_seconds=0.05,
    read_probability=1.0,
    template_review_seconds=0.01,
    pair_rate=False,
)


@dataclass
class Client:
    """A client of the Messaging API, as an integration would be one."""

    url: str
    session: aiohttp.ClientSession
    key: str

    async def call(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> Answer:
        """Call the gateway; with `headers` the key is not added."""
        sent = {"D360-API-KEY": self.key} if headers is None else headers
        async with self.session.request(method, self.url + path, headers=sent, **options) as answer:
            lower = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, lower, await answer.read())

    async def send(self, to: str = CUSTOMER, *, path: str = "/messages", **message: Any) -> Answer:
        """Send a text, or what `message` says."""
        body: Json = {"messaging_product": "whatsapp", "to": to, **message}
        if "type" not in message:
            body |= {"type": "text", "text": {"body": "hello"}}
        return await self.call("POST", path, json=body)

    async def send_template(
        self, to: str = CUSTOMER, *, name: str = "news", language: str = "en_US"
    ) -> Answer:
        """Send a template without parameters."""
        return await self.send(to, type="template", template={"name": name, "language": {"code": language}})


@dataclass
class Stage:
    """What runs, and how to look at it."""

    meta: Meta
    shop: Shop
    client: Client
    gateway: Gateway
    receiver: Receiver
    settler: Settler
    database: Database
    keyring: Keyring
    channel: factories.MadeChannel
    waba: factories.MadeWaba
    config: GatewayConfig

    async def fault(self, action: str, **matcher: Any) -> None:
        """Put a fault in force at Meta."""
        await self.meta.admin("POST", "/faults", {"action": action, **matcher})

    async def is_message(self, wamid: str, status: str) -> bool:
        """Say whether the message's row has come to this status."""
        async with self.database.tenant(PARTNER) as unit:
            return bool(
                await unit.fetch_value(
                    "select count(*) from message where wamid = %s and status = %s", (wamid, status)
                )
            )

    async def messages_at_meta(self) -> list[Json]:
        """Return what Meta accepted, whether or not we heard of it."""
        found: list[Json] = await self.meta.admin("GET", "/messages", direction="out")
        return found

    async def calls_to_meta(self, edge: str) -> list[Json]:
        """Return the recorded calls of one edge, newest first."""
        found: list[Json] = await self.meta.admin("GET", f"/calls?path={edge}")
        return found


def free_socket() -> socket.socket:
    """Bind a free port."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(512)
    return sock


def port_of(sock: socket.socket) -> int:
    """Return the port of a bound socket."""
    port: int = sock.getsockname()[1]
    return port


@asynccontextmanager
async def serving(
    application: Callable[..., Any], sock: socket.socket
) -> AsyncIterator[str]:  # Any: an ASGI application
    """Serve an application on this loop, as its process would."""
    server = uvicorn.Server(
        uvicorn.Config(
            application, http=BoundedProtocol, lifespan="on", log_config=None, access_log=False, ws="none"
        )
    )
    task = asyncio.create_task(server.serve(sockets=[sock]))
    await harness.until(lambda: server.started or task.done())
    try:
        yield f"http://127.0.0.1:{port_of(sock)}"
    finally:
        server.should_exit = True
        await task


def config_for(meta: Meta, gateway_url: str, **changes: Any) -> GatewayConfig:  # Any: fields of the config
    """Return a gateway's values that point at the simulator."""
    values: Json = {
        "graph_url": meta.url,
        "graph_version": "v25.0",
        "media_url": meta.url,
        "gateway_url": gateway_url,
        "app_id": harness.APP_ID,
        "app_secrets": ("an-older-secret", harness.APP_SECRET),
        "verify_token": harness.VERIFY_TOKEN,
        "system_token": harness.SYSTEM_TOKEN,
        "allow_loopback": True,
    }
    return GatewayConfig(**{**values, **changes})


@asynccontextmanager
async def running_gateway(
    database: Database, keyring: Keyring, config: GatewayConfig, sock: socket.socket
) -> AsyncIterator[Gateway]:
    """Run a gateway with its gate, sender and clients, as a process has them."""
    async with AsyncExitStack() as stack:
        gate = Gate(database)
        await gate.start()
        stack.push_async_callback(gate.close)
        outward = await stack.enter_async_context(HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK))
        sender = Sender(database, outward, keyring, name="gateway", poll_seconds=0.2)
        await sender.start()
        stack.push_async_callback(sender.close)
        to_meta = await stack.enter_async_context(HttpClient(policy=AddressPolicy.TRUSTED))
        gateway = create_gateway(
            database=database, keyring=keyring, http=to_meta, gate=gate, sender=sender, config=config
        )
        await stack.enter_async_context(serving(gateway, sock))
        yield gateway


@asynccontextmanager
async def staged(
    database: Database,
    keyring: Keyring,
    *,
    rules: Rules = RULES,
    balance: str = "100",
    with_webhook: bool = True,
    number: Json | None = None,
    **config: Any,
) -> AsyncIterator[Stage]:  # Any: fields of the gateway's config
    """Run everything; `number` changes the simulated number, `config` the gateway's values."""
    simulator = SimulatorConfig(
        app_id=harness.APP_ID,
        app_secret=harness.APP_SECRET,
        system_user_token=harness.SYSTEM_TOKEN,
        callback_retry_seconds=(0.05, 0.1),
        callback_retry_after_seconds=0.2,
        seed=7,
        rules=rules,
    )
    async with AsyncExitStack() as stack:
        meta = await stack.enter_async_context(harness.running(simulator))
        shop = await seed_shop(meta, **{"throughput": "HIGH", "window_always_open": True, **(number or {})})
        partner = await factories.make_partner(database, id=PARTNER)
        client = await factories.make_client(database, partner=partner)
        waba = await factories.make_waba(
            database,
            client=client,
            external_id=shop.waba_id,
            time_zone=BERLIN,
            access_token=harness.SYSTEM_TOKEN,
            keyring=keyring,
        )
        channel = await factories.make_channel(
            database, waba=waba, external_id=shop.number_id, phone_number=shop.digits
        )
        key = await factories.make_channel_key(database, channel=channel)
        await factories.make_template(database, waba=waba, name="news", language="en_US")
        await stock_prices(database)
        if balance:
            await fund(database, balance)
        heard = await stack.enter_async_context(receiver())
        if with_webhook:
            async with database.tenant(PARTNER) as unit:
                await webhooks.set_endpoint(
                    unit,
                    partner_id=PARTNER,
                    owner_kind=OwnerKind.CHANNEL,
                    owner_id=channel.id,
                    url=heard.url(),
                    headers={"X-Check": "yes"},
                    keyring=keyring,
                    allow_loopback=True,
                )
        sock = free_socket()
        settings = config_for(meta, f"http://127.0.0.1:{port_of(sock)}", **config)
        gateway = await stack.enter_async_context(running_gateway(database, keyring, settings, sock))
        await _subscribe(meta, settings.gateway_url)
        settler = Settler(database, grace_seconds=0.3, poll_seconds=0.02)
        await settler.start()
        stack.push_async_callback(settler.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Stage(
            meta=meta,
            shop=shop,
            client=Client(settings.gateway_url, session, key.secret),
            gateway=gateway,
            receiver=heard,
            settler=settler,
            database=database,
            keyring=keyring,
            channel=channel,
            waba=waba,
            config=settings,
        )


async def _subscribe(meta: Meta, gateway_url: str) -> None:
    answer = await meta.post(
        f"/{harness.APP_ID}/subscriptions",
        token=f"{harness.APP_ID}|{harness.APP_SECRET}",
        params={
            "object": "whatsapp_business_account",
            "callback_url": f"{gateway_url}/meta/webhook",
            "verify_token": harness.VERIFY_TOKEN,
            "fields": "messages,message_template_status_update,template_category_update,account_update,"
            "phone_number_quality_update,phone_number_name_update,message_template_quality_update",
        },
    )
    assert answer.status == 200, answer.body
