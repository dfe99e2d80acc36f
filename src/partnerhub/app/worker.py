"""The worker as a process: `python -m partnerhub.app.worker`."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from partnerhub.app import keyring_of, mail_server_of, meta_client, open_database, open_sender
from partnerhub.app.serving import run_application, run_process
from partnerhub.channels.access import MetaAccess
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.messaging.services import RouteBook
from partnerhub.messaging.settle import Settler
from partnerhub.settings import Settings
from partnerhub.worker.app import Worker
from partnerhub.worker.registry import Means


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


async def main(settings: Settings) -> None:
    """Run the worker until a signal."""
    async with open_worker(settings) as worker:
        await run_application(worker, host=settings.worker_host, port=settings.worker_port)


if __name__ == "__main__":
    run_process("worker", main)
