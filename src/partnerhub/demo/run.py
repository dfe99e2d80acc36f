"""`partnerhub run`: everything of an installation on this machine, with sample data when asked.

The order is that of what stands on what: database, migrations, (mailbox, simulator), gateway, hub, worker,
(sample data, sample site). `demo.json` is written once all of it is ready and removed at start and stop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec
from rich.console import Console

from partnerhub import settings as settings_module
from partnerhub.app.serving import listen, taking_over
from partnerhub.demo import installation, seed
from partnerhub.demo.processes import MailboxProcess, SimulatorProcess, SiteProcess
from partnerhub.demo.site import SiteConfig
from partnerhub.demo.supervisor import Child, Supervisor, python
from partnerhub.kit.postgres import EmbeddedPostgres
from partnerhub.migrations import run as migrations

_READY_WITHIN_SECONDS = 30.0


@dataclass(frozen=True)
class Options:
    """What `partnerhub run` was asked for; a port of 0 means any free one."""

    folder: Path
    is_demo: bool
    hub_port: int = 8082
    gateway_port: int = 8081
    simulator_port: int = 8090


class _Run:
    def __init__(self, options: Options, console: Console) -> None:
        self.options = options
        self.console = console
        self.folder = options.folder.absolute()
        self.secrets = installation.read_secrets(self.folder)
        self.supervisor = Supervisor(self.folder)
        self.worker_port = installation.free_port()
        self.ports = {
            name: port or installation.free_port()
            for name, port in (
                ("hub", options.hub_port),
                ("gateway", options.gateway_port),
                ("simulator", options.simulator_port),
                ("smtp", 0),
                ("mailbox", 0),
                ("site", 0),
            )
        }

    def url(self, name: str) -> str:
        return f"http://localhost:{self.ports[name]}"

    async def start(self) -> None:
        values: dict[str, object] = {
            "secret_keys": self.secrets.secret_keys,
            "hub_port": self.ports["hub"],
            "gateway_port": self.ports["gateway"],
            "worker_port": self.worker_port,
        }
        values["database_url"] = await self._start_database()
        if self.options.is_demo:
            values |= self._demo_values()
        environment = installation.environment_of(values)
        # Every problem of the settings is told here, once, and not by three processes at the same time.
        settings = settings_module.load({**os.environ, **environment})
        installation.write_environment(self.folder, {**os.environ, **environment})
        await self._start_services(settings, environment)
        if self.options.is_demo:
            await self._start_sample(settings)
        else:
            self._tell({"Partner Hub": settings.hub_url, "Gateway": settings.gateway_url})

    async def _start_services(self, settings: settings_module.Settings, environment: dict[str, str]) -> None:
        """Start everything that needs the database and nothing of each other, at the same time.

        Raises: ChildFailed, PortTaken, TimeoutError.
        """
        starts = [
            self._start_service(service, listener, environment)
            for service, listener, count in (
                ("gateway", listen(settings.gateway_host, settings.gateway_port), settings.processes),
                ("hub", listen(settings.hub_host, settings.hub_port), settings.processes),
                ("worker", listen(settings.worker_host, settings.worker_port), 1),
            )
            for _ in range(count)
        ]
        if self.options.is_demo:
            starts += [self._start_mailbox(), self._start_simulator()]
        await asyncio.gather(*starts)

    async def _start_service(
        self, service: str, listener: socket.socket, environment: dict[str, str]
    ) -> None:
        await self.supervisor.start(
            Child(
                service=service,
                command=python("-m", f"partnerhub.app.{service}", taking_over(listener)),
                environment=environment,
                grace_seconds=20.0,
                listener=listener,
                ready=_answers(f"{_reached_at(listener)}/readyz"),
            )
        )

    async def _start_mailbox(self) -> None:
        await self._start_own(
            "mailbox",
            MailboxProcess(
                smtp_port=self.ports["smtp"],
                http_port=self.ports["mailbox"],
                folder=str(self.folder / "mailbox"),
            ),
            ready=f"{self.url('mailbox')}/api/messages",
        )

    async def _start_simulator(self) -> None:
        listen("127.0.0.1", self.ports["simulator"]).close()  # taken? better told here than by its log
        await self._start_own(
            "simulator",
            SimulatorProcess(
                port=self.ports["simulator"],
                app_id=installation.META_APP_ID,
                app_secret=self.secrets.meta_app_secret,
                system_user_token=self.secrets.meta_system_token,
                data_file=str(self.folder / "simulator.sqlite"),
            ),
            ready=f"{self.url('simulator')}/healthz",
        )

    async def _start_database(self) -> str:
        outside = os.environ.get("DATABASE_URL", "")
        if outside:
            await asyncio.to_thread(migrations.upgrade, outside)
            return outside
        server = EmbeddedPostgres(self.folder / "postgres")
        await asyncio.to_thread(server.prepare)
        await asyncio.to_thread(server.wait_until_gone)
        if server.account.uid is not None:
            self.console.print(f"PostgreSQL refuses to run as root; it runs as “{server.account.name}”.")
        await self.supervisor.start(
            Child(
                service="postgres",
                command=server.command(),
                stop_signal=signal.SIGINT,  # fast shutdown; SIGTERM would wait for its clients
                grace_seconds=20.0,
                run_as=server.account.as_arguments(),
                log_file=server.folder / "server.log",
                ready=lambda: asyncio.to_thread(server.wait_until_ready),
                before_restart=lambda: asyncio.to_thread(server.wait_until_gone),
            )
        )
        url = await asyncio.to_thread(installation.prepare_database, server, self.secrets.database_password)
        await asyncio.to_thread(migrations.upgrade, url)
        return url

    def _demo_values(self) -> dict[str, object]:
        simulator = self.url("simulator")
        return {
            "development": "true",
            "hub_url": self.url("hub"),
            "gateway_url": self.url("gateway"),
            "meta_graph_url": simulator,
            "meta_sdk_url": f"{simulator}/en_US/sdk.js",
            "meta_dialog_origins": simulator,
            "meta_media_url": simulator,
            "meta_app_id": installation.META_APP_ID,
            "meta_app_secrets": self.secrets.meta_app_secret,
            "meta_system_token": self.secrets.meta_system_token,
            "meta_config_id": installation.SIGNUP_CONFIG_ID,
            "meta_verify_token": self.secrets.meta_verify_token,
            "smtp_host": "127.0.0.1",
            "smtp_port": self.ports["smtp"],
            "smtp_tls": "none",
            "mail_from": "hub@localhost.localdomain",
            "mailbox_url": self.url("mailbox"),
            "terms_url": f"{self.url('site')}/terms",
            "privacy_url": f"{self.url('site')}/privacy",
            "readable_logs": "true",
            "log_level": "warning",
        }

    async def _start_own(self, name: str, start: msgspec.Struct, *, ready: str) -> None:
        file = self.folder / f"{name}.json"
        installation.write_private(file, msgspec.to_builtins(start))
        await self.supervisor.start(
            Child(
                service=name,
                command=python("-m", "partnerhub.demo.processes", name, str(file)),
                ready=_answers(ready),
            )
        )

    async def _start_site(self, config: SiteConfig) -> None:
        await self._start_own(
            "site",
            SiteProcess(port=self.ports["site"], config=config),
            ready=f"{self.url('site')}/receiver",
        )

    async def _start_sample(self, settings: settings_module.Settings) -> None:
        sample = await seed.ensure(
            settings,
            folder=self.folder,
            simulator_url=self.url("simulator"),
            site_url=self.url("site"),
            start_site=self._start_site,
        )
        installation.write_private(
            self.folder / "demo.json",
            {
                "hub_url": self.url("hub"),
                "gateway_url": self.url("gateway"),
                "simulator_url": self.url("simulator"),
                "mailbox_url": self.url("mailbox"),
                "receiver_url": f"{self.url('site')}/receiver",
                "site_url": self.url("site"),
                **msgspec.to_builtins(sample),
            },
        )
        self._tell(
            {
                "Sample partner site": self.url("site"),
                "Partner Hub": self.url("hub"),
                "  e-mail": sample.user_email,
                "  password": sample.user_password,
                "Gateway": self.url("gateway"),
                "Customers' phones": f"{self.url('simulator')}/phone",
                "Mailbox": self.url("mailbox"),
                "Partner id": sample.partner_id,
                "  Partner API key": sample.partner_api_key,
                "All of this": str(self.folder / "demo.json"),
            }
        )

    def _tell(self, lines: dict[str, str]) -> None:
        # Plain lines, one value each: what is copied from here must not be wrapped or cut.
        width = max(map(len, lines)) + 2
        for name, value in lines.items():
            self.console.print(f"{name:<{width}}{value}", markup=False)
        self.console.print("Running. Ctrl-C stops everything.")


async def _run(options: Options, console: Console) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    run = _Run(options, console)
    try:
        with console.status("Starting …"):
            starting = asyncio.create_task(run.start())
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
            await starting
        await stop.wait()
    except asyncio.CancelledError:
        pass
    finally:
        for name in ("demo.json", installation.SETTINGS):
            (run.folder / name).unlink(missing_ok=True)
        console.print("Stopping …")
        await run.supervisor.stop()


def run(options: Options) -> None:
    """Run everything until Ctrl-C or SIGTERM.

    Raises: AlreadyRunning, DatabaseUnavailable, RolesMissing, SettingsWrong, PortTaken, ChildFailed.
    """
    console = Console(stderr=False, highlight=False, soft_wrap=True)
    with ExitStack() as stack:
        stack.enter_context(installation.locked(options.folder.absolute()))
        for name in ("demo.json", installation.SETTINGS):
            (options.folder / name).unlink(missing_ok=True)
        asyncio.run(_run(options, console))


def _reached_at(listener: socket.socket) -> str:
    """Return the URL at which this machine reaches what serves on the socket."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _answers(url: str) -> Callable[[], Awaitable[None]]:
    """Return a check that ends when the address answers 200."""

    async def wait() -> None:
        deadline = asyncio.get_running_loop().time() + _READY_WITHIN_SECONDS
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as http:
            while asyncio.get_running_loop().time() < deadline:
                try:
                    async with http.get(url) as answer:
                        if answer.status == 200:
                            return
                except (aiohttp.ClientError, TimeoutError):
                    pass
                await asyncio.sleep(0.05)
        raise TimeoutError(f"{url} did not answer within {_READY_WITHIN_SECONDS:.0f} seconds.")

    return wait
