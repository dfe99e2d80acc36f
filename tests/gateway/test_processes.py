"""Gateways as processes of their own: revocation on each of them, and leaving in good order."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from partnerhub.channels import services as channels
from partnerhub.identity.schemas import SYSTEM
from tests.gateway.stage import PARTNER, Client, Stage
from tests.simulator import harness
from tests.simulator.harness import until


def free_port() -> int:
    """Find a port that nobody uses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@asynccontextmanager
async def process(stage: Stage, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a gateway with settings of its own, on the stage's database and simulator."""
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": stage.database.url,
        "PARTNERHUB_SECRET_KEYS": base64.b64encode(bytes(range(32))).decode(),
        "PARTNERHUB_HUB_URL": "http://127.0.0.1:8082",
        "PARTNERHUB_GATEWAY_URL": f"http://127.0.0.1:{port}",
        "PARTNERHUB_DEVELOPMENT": "true",
        "PARTNERHUB_GATEWAY_PORT": str(port),
        "PARTNERHUB_META_GRAPH_URL": stage.meta.url,
        "PARTNERHUB_META_GRAPH_VERSION": "v25.0",
        "PARTNERHUB_META_MEDIA_URL": stage.meta.url,
        "PARTNERHUB_META_APP_ID": harness.APP_ID,
        "PARTNERHUB_META_APP_SECRETS": harness.APP_SECRET,
        "PARTNERHUB_META_SYSTEM_TOKEN": harness.SYSTEM_TOKEN,
        "PARTNERHUB_META_CONFIG_ID": "1",
        "PARTNERHUB_META_VERIFY_TOKEN": harness.VERIFY_TOKEN,
        "PARTNERHUB_SMTP_HOST": "127.0.0.1",
        "PARTNERHUB_SMTP_TLS": "none",
        "PARTNERHUB_MAIL_FROM": "hub@acme.example",
    }
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "partnerhub.app.gateway", env=environment
    )
    client = Client(f"http://127.0.0.1:{port}", stage.client.session, stage.client.key)

    async def is_up() -> bool:
        assert started.returncode is None, "the gateway ended at once"
        try:
            return (await client.call("GET", "/readyz", headers={})).status == 200
        except OSError:
            return False

    try:
        await until(is_up, timeout_seconds=30)
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


async def test_a_revoked_key_dies_within_a_second_on_every_process(stage: Stage) -> None:
    ports = (free_port(), free_port())
    async with process(stage, ports[0]), process(stage, ports[1]):
        clients = [
            Client(f"http://127.0.0.1:{port}", stage.client.session, stage.client.key) for port in ports
        ]
        for client in clients:
            assert (await client.send()).status == 200

        async def refused_after(client: Client) -> float:
            async def is_refused() -> bool:
                return (await client.send()).status == 401

            await until(is_refused)
            return monotonic() - revoked_at

        # The new key takes the old one's place in one commit.
        async with stage.database.tenant(PARTNER) as unit:
            minted = await channels.mint_key(
                unit, partner_id=PARTNER, channel_id=stage.channel.id, actor=SYSTEM
            )
        revoked_at = monotonic()
        delays = await asyncio.gather(*(refused_after(client) for client in clients))
        assert max(delays) < 1.0
        for port in ports:
            renewed = Client(f"http://127.0.0.1:{port}", stage.client.session, minted.secret)
            assert (await renewed.send()).status == 200


async def test_a_gateway_that_is_told_to_stop_finishes_what_it_began(stage: Stage) -> None:
    port = free_port()
    async with process(stage, port) as gateway:
        client = Client(f"http://127.0.0.1:{port}", stage.client.session, stage.client.key)
        assert (await client.send()).status == 200
        await stage.fault("latency", path="/*/messages", seconds=1.0, times=1)
        sending = asyncio.create_task(client.send_template())
        await asyncio.sleep(0.3)
        gateway.send_signal(signal.SIGTERM)
        answer = await sending
        assert answer.status == 200, answer.body
        async with asyncio.timeout(20):
            assert await gateway.wait() == 0
        wamid = answer.json["messages"][0]["id"]
        async with stage.database.tenant(PARTNER) as unit:
            assert await unit.fetch_value("select count(*) from message where wamid = %s", (wamid,)) == 1
            assert await unit.fetch_value("select state from charge where wamid = %s", (wamid,)) is not None
