"""Services of an installation as processes of their own, on a test's database and free loopback ports."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from partnerhub.demo.installation import free_port
from partnerhub.settings import environment_name

READY_WITHIN_SECONDS = 60.0
SECRET_KEYS = base64.b64encode(bytes(range(32))).decode()


def environment(database_url: str, **settings: object) -> dict[str, str]:
    """Return a whole environment with valid settings of development; `settings` change single ones."""
    values: Mapping[str, object] = {
        "database_url": database_url,
        "secret_keys": SECRET_KEYS,
        "hub_url": "http://127.0.0.1:8082",
        "gateway_url": "http://127.0.0.1:8081",
        "development": "true",
        "meta_graph_url": "http://127.0.0.1:9",
        "meta_app_id": "900000000000001",
        "meta_app_secrets": "the-app-secret",
        "meta_system_token": "the-system-token",
        "meta_config_id": "1",
        "meta_verify_token": "the-verify-token",
        "smtp_host": "127.0.0.1",
        "smtp_tls": "none",
        "mail_from": "hub@acme.example",
        **settings,
    }
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        **{environment_name(name): str(value) for name, value in values.items()},
    }


@dataclass(frozen=True)
class Service:
    """A running service."""

    name: str
    port: int
    process: asyncio.subprocess.Process

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Ask for a page and return status and body."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(self.url + path, headers=headers, allow_redirects=False) as answer,
        ):
            return answer.status, await answer.text()

    async def ended(self) -> int:
        """Wait for the process and return its exit code."""
        async with asyncio.timeout(30):
            return await self.process.wait()


@asynccontextmanager
async def running(name: str, database_url: str, **settings: object) -> AsyncIterator[Service]:
    """Run a service (`hub`, `gateway`, `worker`) until it is ready; killed at the end if it still runs."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"partnerhub.app.{name}"),
        env=environment(database_url, **{f"{name}_port": port, "log_level": "warning", **settings}),
    )
    service = Service(name, port, process)
    try:
        await _ready(service)
        yield service
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ready(service: Service) -> None:
    deadline = asyncio.get_running_loop().time() + READY_WITHIN_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        assert service.process.returncode is None, f"the {service.name} ended at once"
        try:
            if (await service.get("/readyz"))[0] == 200:
                return
        except OSError:
            pass
        await asyncio.sleep(0.1)
    raise TimeoutError(f"The {service.name} was not ready in time.")
