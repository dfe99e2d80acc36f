"""The gateway as a process: `python -m partnerhub.app.gateway`."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from partnerhub.app import keyring_of, open_database, open_sender
from partnerhub.app.serving import run_application, run_process
from partnerhub.gateway.app import Gateway, GatewayConfig, Style, create_gateway
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.ledger.gate import Gate
from partnerhub.settings import Settings


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
                trusted_proxies=settings.trusted_proxies,
            ),
        )


async def main(settings: Settings) -> None:
    """Serve the gateway until a signal."""
    async with open_gateway(settings) as gateway:
        await run_application(gateway, host=settings.gateway_host, port=settings.gateway_port)


if __name__ == "__main__":
    run_process("gateway", main)
