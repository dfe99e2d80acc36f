"""Composition: settings become the processes of an installation.

Each service is an ASGI application with the resources it stands on; `serve()` runs one in this process until
SIGTERM or SIGINT, then drains: the server stops accepting, requests in hand finish, what waits is written.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Literal

import uvicorn
import uvloop

from partnerhub.channels.access import MetaAccess
from partnerhub.gateway.app import Gateway, GatewayConfig, Style, create_gateway
from partnerhub.kit import logs
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.kit.mail import MailServer, Security
from partnerhub.ledger.gate import Gate
from partnerhub.messaging.services import RouteBook
from partnerhub.messaging.settle import Settler
from partnerhub.meta import MetaClient
from partnerhub.settings import Settings
from partnerhub.webhooks.sender import Sender
from partnerhub.worker.app import Worker
from partnerhub.worker.registry import Means

Service = Literal["hub", "gateway", "worker"]
Application = Callable[..., Awaitable[None]]

_DRAIN_SECONDS = 15


def keyring_of(settings: Settings) -> Keyring:
    """Return the installation's envelope keys."""
    return Keyring.from_text(settings.secret_keys)


def mail_server_of(settings: Settings) -> MailServer:
    """Return where mail is handed over."""
    return MailServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        sender=settings.mail_from,
        sender_name=settings.brand_name,
        username=settings.smtp_user,
        password=settings.smtp_password,
        security=Security(settings.smtp_tls),
    )


def outbound_policy(settings: Settings) -> AddressPolicy:
    """Return which addresses webhooks may reach: public ones, and loopback in development."""
    return AddressPolicy.PUBLIC_AND_LOOPBACK if settings.development else AddressPolicy.PUBLIC


@asynccontextmanager
async def open_database(settings: Settings, *, name: str) -> AsyncIterator[Database]:
    """Open the process's pool."""
    database = Database(settings.database_url, name=name, max_size=settings.database_connections)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_sender(
    settings: Settings, database: Database, keyring: Keyring, *, name: str, claims: bool
) -> AsyncIterator[Sender]:
    """Start the process's delivery sender."""
    async with HttpClient(policy=outbound_policy(settings)) as http:
        sender = Sender(database, http, keyring, name=name, claims=claims)
        await sender.start()
        try:
            yield sender
        finally:
            await sender.close()


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """Build the gateway with its gate, its client to Meta and its sender."""
    keyring = keyring_of(settings)
    name = f"gateway {socket.gethostname()}"
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings, name="gateway"))
        gate = Gate(database, block_free_at_zero=settings.block_free_at_zero)
        await gate.start()
        stack.push_async_callback(gate.close)
        sender = await stack.enter_async_context(
            open_sender(settings, database, keyring, name=name, claims=True)
        )
        # The operator configured Meta's addresses; nobody else can choose where this client goes.
        to_meta = await stack.enter_async_context(HttpClient(policy=AddressPolicy.TRUSTED))
        yield create_gateway(
            database=database,
            keyring=keyring,
            http=to_meta,
            gate=gate,
            sender=sender,
            config=GatewayConfig(
                graph_url=settings.meta_graph_url,
                graph_version=settings.meta_graph_version,
                media_url=settings.meta_media_url,
                gateway_url=settings.gateway_url,
                app_id=settings.meta_app_id,
                app_secrets=settings.meta_app_secrets,
                verify_token=settings.meta_verify_token,
                system_token=settings.meta_system_token,
                error_style=Style(settings.error_style),
                rewrite_media_urls=settings.rewrite_media_urls,
                allow_loopback=settings.development,
                block_free_at_zero=settings.block_free_at_zero,
                metrics_token=settings.metrics_token,
            ),
        )


def meta_client(settings: Settings, http: HttpClient) -> MetaClient:
    """Return the client of Meta's Graph API."""
    return MetaClient(
        http,
        app_id=settings.meta_app_id,
        app_secret=settings.meta_app_secrets[0],
        base_url=settings.meta_graph_url,
        version=settings.meta_graph_version,
        media_origins=(settings.meta_media_url,),
    )


@asynccontextmanager
async def open_worker(settings: Settings) -> AsyncIterator[Worker]:
    """Build the worker with its sender and its settler."""
    keyring = keyring_of(settings)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings, name="worker"))
        sender = await stack.enter_async_context(
            open_sender(settings, database, keyring, name=f"worker {socket.gethostname()}", claims=True)
        )
        to_meta = await stack.enter_async_context(HttpClient(policy=AddressPolicy.TRUSTED))
        yield Worker(
            means=Means(
                database=database,
                mail_server=mail_server_of(settings),
                meta=MetaAccess(
                    meta=meta_client(settings, to_meta),
                    keyring=keyring,
                    system_token=settings.meta_system_token,
                ),
                routes=RouteBook(database, keyring, system_token=settings.meta_system_token),
                hub_url=settings.hub_url,
            ),
            sender=sender,
            settler=Settler(database),
            metrics_token=settings.metrics_token,
        )


class _Server(uvicorn.Server):
    """Ends with 0 after a signal: a clean stop is no accident to report to the parent."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """Bind a port that several processes of one service share."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, port))
    sock.set_inheritable(True)
    return sock


async def run_application(application: Application, *, host: str, port: int) -> None:
    """Serve an application until a signal; returns when its lifespan has ended."""
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,  # ours to judge: web.wrapper knows the trusted networks
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        backlog=2_048,
    )
    await _Server(config).serve(sockets=[listen(host, port)])


async def _serve(settings: Settings, service: Service) -> None:
    match service:
        case "gateway":
            async with open_gateway(settings) as gateway:
                await run_application(gateway, host=settings.gateway_host, port=settings.gateway_port)
        case "worker":
            async with open_worker(settings) as worker:
                await run_application(worker, host=settings.worker_host, port=settings.worker_port)


def serve(settings: Settings, service: Service) -> None:
    """Run one service in this process until SIGTERM or SIGINT."""
    logs.configure(process=service, level=settings.log_level, readable=settings.readable_logs)
    uvloop.run(_serve(settings, service))
