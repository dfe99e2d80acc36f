"""Each service as a process of its own: health, metrics for whom they are, leaving in good order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psycopg
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from psycopg import sql

from partnerhub.kit import mail
from partnerhub.kit.database import Database
from tests.conftest import clone_database
from tests.processes import Service, running
from tests.simulator.harness import until

SERVICES = ("hub", "gateway", "worker")


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_says_how_it_is_and_keeps_its_metrics_for_the_token(
    name: str, database_url: str
) -> None:
    async with running(name, database_url, metrics_token="only-for-prometheus") as service:
        assert await service.get("/healthz") == (200, "ok\n")
        assert await service.get("/readyz") == (200, "ok\n")
        assert (await service.get("/metrics"))[0] == 403
        assert (await service.get("/metrics", Authorization="Bearer something"))[0] == 403
        status, text = await service.get("/metrics", Authorization="Bearer only-for-prometheus")
        assert status == 200
        assert "# TYPE" in text
        service.process.send_signal(signal.SIGTERM)
        assert await service.ended() == 0


@pytest.mark.parametrize("name", SERVICES)
async def test_metrics_without_a_token_are_for_this_machine_alone(name: str, database_url: str) -> None:
    async with running(name, database_url) as service:
        assert (await service.get("/metrics"))[0] == 200
        # A proxy on this machine hands on what came from elsewhere, and says so.
        assert (await service.get("/metrics", **{"X-Forwarded-For": "203.0.113.7"}))[0] == 403


@pytest.mark.parametrize(
    ("name", "path", "status"), [("hub", "/api/v2/token", 401), ("gateway", "/meta/webhook", 403)]
)
async def test_a_request_in_hand_is_answered_after_sigterm(
    name: str, path: str, status: int, database_url: str
) -> None:
    body = b'{"username": "nobody@acme.example", "password": "not the one"}'
    async with running(name, database_url) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"X-Hub-Signature-256: sha256={'0' * 64}\r\n"  # without one, a callback's body is not asked for
            f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode()
            + body[:10]
        )
        # The server asks for the rest: from now on it has the request in hand.
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        service.process.send_signal(signal.SIGTERM)
        await until(lambda: refuses(service), timeout_seconds=10)
        writer.write(body[10:])
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
        writer.close()
        assert await service.ended() == 0


async def refuses(service: Service) -> bool:
    """Say whether the service takes no new connections."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    except OSError:
        return True
    writer.close()
    return False


@dataclass
class SlowMailServer:
    """A real SMTP server that keeps a mail until it may be taken."""

    port: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    may_take: asyncio.Event = field(default_factory=asyncio.Event)
    taken: list[str] = field(default_factory=list)

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        self.reached.set()
        await self.may_take.wait()
        self.taken += envelope.rcpt_tos
        return "250 OK"


@asynccontextmanager
async def slow_mail_server() -> AsyncIterator[SlowMailServer]:
    """Run the slow server."""
    found = SlowMailServer()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(found, hostname="slow.example"), "127.0.0.1", 0
    )
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()


async def test_a_worker_finishes_its_job_after_sigterm(database: Database) -> None:
    async with (
        slow_mail_server() as server,
        running("worker", database.url, smtp_port=server.port) as worker,
    ):
        async with database.system() as unit:
            mail_id = await mail.queue(unit, to="owner@acme.example", subject="Hello", text="There.")
        async with asyncio.timeout(20):
            await server.reached.wait()
        worker.process.send_signal(signal.SIGTERM)
        await until(lambda: refuses(worker), timeout_seconds=10)
        server.may_take.set()
        assert await worker.ended() == 0
        assert server.taken == ["owner@acme.example"]
        async with database.system() as unit:
            assert await unit.fetch_value("select sent_at is not null from mail where id = %s", (mail_id,))
        async with database.pool.connection() as connection:
            left = await connection.execute("select count(*) from jobs.procrastinate_jobs")
            assert await left.fetchone() == (0,)


async def test_a_worker_without_its_database_is_alive_and_not_ready_until_it_is_back() -> None:
    url = clone_database("readiness")
    name = url.rpartition("/")[2]
    async with running("worker", url) as worker:
        _let_connect(url, name, is_allowed=False)
        await until(lambda: answers(worker, 503), timeout_seconds=15)
        assert (await worker.get("/healthz"))[0] == 200
        _let_connect(url, name, is_allowed=True)
        await until(lambda: answers(worker, 200), timeout_seconds=30)


async def answers(service: Service, status: int) -> bool:
    """Say whether the readiness page has this status."""
    return (await service.get("/readyz"))[0] == status


def _let_connect(url: str, name: str, *, is_allowed: bool) -> None:
    """Open or shut one database, and end the connections there are."""
    with psycopg.connect(url.rpartition("/")[0] + "/postgres", autocommit=True) as connection:
        connection.execute(
            sql.SQL("alter database {} allow_connections {}").format(
                sql.Identifier(name), sql.Literal(is_allowed)
            )
        )
        if not is_allowed:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,)
            )
