"""The doctor finds what is broken, by a stable code and in words, and says no secret."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP
from psycopg.rows import tuple_row

from partnerhub import settings as settings_module
from partnerhub.app import callback
from partnerhub.app.doctor import Finding, Level, examine
from partnerhub.channels.access import seal_access
from partnerhub.kit import clock, jobs, mail
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.postgres import EmbeddedPostgres
from partnerhub.migrations import run as migrations
from tests.conftest import clone_database
from tests.gateway.stage import Stage, staged
from tests.processes import SECRET_KEYS, environment
from tests.simulator import harness
from tests.test_backup import new_database

OTHER_KEY = base64.b64encode(bytes(range(32, 64))).decode()


class _NoMail:
    """Handles nothing: the doctor signs in and leaves."""


@dataclass
class Patient:
    """An installation that runs: gateway, simulator, mail server, database; a worker was just heard of."""

    stage: Stage
    smtp_port: int

    def settings(self, **changes: object) -> settings_module.Settings:
        """Return its settings with some of them changed."""
        # The gateway has the same health page, so it can stand for the hub too.
        values: dict[str, object] = {
            "database_url": self.stage.database.url,
            "hub_url": self.stage.config.gateway_url,
            "gateway_url": self.stage.config.gateway_url,
            "meta_graph_url": self.stage.meta.url,
            "meta_graph_version": "v25.0",
            "meta_app_id": harness.APP_ID,
            "meta_app_secrets": harness.APP_SECRET,
            "meta_system_token": harness.SYSTEM_TOKEN,
            "meta_verify_token": harness.VERIFY_TOKEN,
            "smtp_port": self.smtp_port,
            **changes,
        }
        return settings_module.load(environment(str(values.pop("database_url")), **values))

    async def findings(self, **changes: object) -> dict[str, Finding]:
        """Run the doctor."""
        return await look(self.settings(**changes))


async def look(settings: settings_module.Settings) -> dict[str, Finding]:
    """Run the doctor, and hold every word against the secrets of the settings."""
    found = [finding async for finding in examine(settings)]
    for item in fields(settings):
        if item.metadata["secret"]:
            value = getattr(settings, item.name)
            for secret in [value] if isinstance(value, str) else value:
                assert not secret or all(secret not in finding.words for finding in found)
    return {finding.code: finding for finding in found}


def troubles(found: Mapping[str, Finding]) -> dict[str, Level]:
    """Return what is not as it should be; that this is development is known."""
    return {
        code: finding.level
        for code, finding in found.items()
        if finding.level is not Level.OK and code != "settings_development"
    }


@pytest.fixture
async def patient(database: Database, keyring: Keyring) -> AsyncIterator[Patient]:
    """Give an installation in good health."""
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(_NoMail(), hostname="mail.example"), "127.0.0.1", 0
    )
    async with staged(database, keyring, with_webhook=False, balance="10") as stage:
        found = Patient(stage, server.sockets[0].getsockname()[1])
        await callback.subscribe(found.settings())
        await as_owner(
            database,
            "insert into jobs.procrastinate_workers default values",
        )
        try:
            yield found
        finally:
            await as_owner(database, "delete from jobs.procrastinate_workers")
            server.close()
            await server.wait_closed()


async def as_owner(database: Database, *statements: str) -> None:
    """Change what no service may."""
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute("set local role hub_owner")
        for statement in statements:
            async with connection.cursor(row_factory=tuple_row) as cursor:
                await cursor.execute(statement.encode())


async def test_a_healthy_installation_is_told_so(patient: Patient) -> None:
    found = await patient.findings()
    assert troubles(found) == {}
    assert set(found) == {
        "settings", "settings_development",
        "database_reachable", "database_version", "clock_database", "database_roles", "database_schema",
        "database_days", "ledger_books", "jobs_worker", "jobs_late", "jobs_failed", "mail_waiting",
        "keys_open", "keys_older",
        "meta_app", "clock_meta", "meta_token", "meta_scopes", "meta_credit_line", "meta_callback",
        "meta_fields",
        "callback_handshake", "public_hub", "public_hub_metrics", "public_gateway", "public_gateway_metrics",
        "mail_server",
    }  # fmt: skip


async def test_terms_and_privacy_notice_are_opened_as_clients_do(patient: Patient) -> None:
    hub = patient.settings().hub_url
    found = await patient.findings(terms_url=f"{hub}/healthz", privacy_url=f"{hub}/privacy-notice")
    assert (found["terms_page"].level, found["privacy_page"].level) == (Level.OK, Level.FAILED)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"meta_app_secrets": "not-the-secret"}, {"meta_app", "meta_token", "meta_callback", "clock_meta"}),
        ({"meta_verify_token": "not-the-token"}, {"callback_handshake"}),
        ({"meta_system_token": "EAAnobody-knows-it"}, {"meta_token"}),
        ({"meta_credit_line_id": "109000000000000"}, {"meta_credit_line"}),
        ({"smtp_port": 9}, {"mail_server"}),
        ({"hub_url": "http://127.0.0.1:9"}, {"public_hub"}),
        (
            {"meta_graph_url": "http://127.0.0.1:9"},
            {"meta_app", "clock_meta", "meta_token", "meta_callback"},
        ),
        ({"gateway_url": "http://127.0.0.1:9"}, {"meta_callback", "callback_handshake", "public_gateway"}),
        ({"secret_keys": OTHER_KEY}, {"keys_open"}),
        (
            {"database_url": "postgresql://hub:not-the-password@127.0.0.1:9/hub"},
            {"database_reachable"},
        ),
        # The driver takes a bracket as it is where others read the beginning of an address.
        (
            {"database_url": "postgresql://hub:not-the-[password@127.0.0.1:9/hub"},
            {"database_reachable"},
        ),
    ],
)
async def test_a_wrong_setting_is_found_and_hides_nothing_else(
    patient: Patient, changes: dict[str, object], expected: set[str]
) -> None:
    found = await patient.findings(**changes)
    failed = {code for code, level in troubles(found).items() if level is Level.FAILED}
    # Meta refuses the whole app for a wrong secret: what else it then says is its own choice.
    assert failed == expected or ("meta_app" in failed and failed <= expected)
    assert "mail_server" in found


async def test_what_meta_was_told_is_compared_with_what_is_needed(patient: Patient) -> None:
    needed = ",".join(callback.NEEDED_FIELDS)
    meta = patient.stage.meta

    async def subscribed(url: str, names: str) -> dict[str, Finding]:
        await meta.delete(
            f"/{harness.APP_ID}/subscriptions",
            token=f"{harness.APP_ID}|{harness.APP_SECRET}",
            params={"object": "whatsapp_business_account"},
        )
        if url:
            answer = await meta.post(
                f"/{harness.APP_ID}/subscriptions",
                token=f"{harness.APP_ID}|{harness.APP_SECRET}",
                params={
                    "object": "whatsapp_business_account",
                    "callback_url": url,
                    "verify_token": harness.VERIFY_TOKEN,
                    "fields": names,
                },
            )
            assert answer.status == 200, answer.body
        return await patient.findings()

    ours = callback.callback_url(patient.settings())
    found = await subscribed(ours, needed)
    assert troubles(found) == {"meta_fields": Level.WARNING}
    assert "calls" in found["meta_fields"].words
    found = await subscribed(ours, "messages")
    assert troubles(found) == {"meta_fields": Level.FAILED}
    async with harness.listening() as elsewhere:
        found = await subscribed(elsewhere.url, needed)
        assert troubles(found) == {"meta_callback": Level.FAILED}
        assert elsewhere.url in found["meta_callback"].words
    found = await subscribed("", "")
    assert troubles(found) == {"meta_callback": Level.FAILED}
    assert "no callback" in found["meta_callback"].words


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ({"scopes": ["whatsapp_business_messaging"]}, {"meta_scopes": Level.FAILED}),
        ({"is_valid": False}, {"meta_token": Level.FAILED}),
        ({"expires_in_seconds": 86_400}, {"meta_token": Level.WARNING}),
        ({"expires_in_seconds": 86_400 * 60}, {}),
    ],
)
async def test_what_the_system_token_may_is_asked_of_meta(
    patient: Patient, token: dict[str, object], expected: dict[str, Level]
) -> None:
    both = ["whatsapp_business_management", "whatsapp_business_messaging"]
    await patient.stage.meta.admin(
        "PUT", "/tokens", {"id": "EAAof-the-test", "type": "SYSTEM_USER", "scopes": both, **token}
    )
    assert troubles(await patient.findings(meta_system_token="EAAof-the-test")) == expected


async def test_values_under_older_keys_are_told(patient: Patient) -> None:
    found = await patient.findings(secret_keys=f"{OTHER_KEY},{SECRET_KEYS}")
    assert troubles(found) == {"keys_older": Level.WARNING}
    waba = patient.stage.waba.id
    moved = seal_access(patient.stage.keyring, waba_id="otherWA", access_token="moved here")
    async with patient.stage.database.system() as unit:
        await unit.execute("update waba set access_sealed = %s where id = %s", (moved, waba))
    found = await patient.findings()
    assert troubles(found) == {"keys_open": Level.FAILED}
    assert waba in found["keys_open"].words


async def test_books_that_do_not_add_up_are_told_with_their_figures(patient: Patient) -> None:
    await as_owner(patient.stage.database, "update ledger_balance set posted = posted + 1")
    found = await patient.findings()
    assert troubles(found) == {"ledger_books": Level.FAILED}
    assert "10000001 instead of 10000000" in found["ledger_books"].words


async def test_jobs_and_mails_that_are_left_over_are_told(patient: Patient) -> None:
    database = patient.stage.database
    async with database.system() as unit:
        await jobs.defer(unit, "a.late_job", thing_id="1")
        await jobs.defer(unit, "a.lost_job", thing_id="2")
        await mail.queue(unit, to="owner@acme.example", subject="Waiting", text="Since long.")
    await as_owner(
        database,
        "update jobs.procrastinate_events set at = at - interval '10 minutes'",
        "update jobs.procrastinate_jobs set status = 'failed' where task_name = 'a.lost_job'",
        "update jobs.procrastinate_workers set last_heartbeat = now() - interval '1 minute'",
        "update mail set created_at = now() - interval '10 minutes', last_error = 'refused'",
    )
    found = await patient.findings()
    assert troubles(found) == {
        "jobs_worker": Level.FAILED,
        "jobs_late": Level.WARNING,
        "jobs_failed": Level.WARNING,
        "mail_waiting": Level.WARNING,
    }
    assert "a.late_job (1)" in found["jobs_late"].words
    assert "a.lost_job (1)" in found["jobs_failed"].words
    assert "refused" in found["mail_waiting"].words


@pytest.mark.parametrize(("seconds", "level"), [(5, Level.WARNING), (-5, Level.WARNING), (60, Level.FAILED)])
async def test_a_clock_that_is_wrong_is_told(patient: Patient, seconds: int, level: Level) -> None:
    with clock.moved_by(timedelta(seconds=seconds)):
        found = await patient.findings()
    assert troubles(found) == {"clock_database": level, "clock_meta": level}


async def test_a_database_that_is_not_ours_or_not_at_hand_is_told(patient: Patient) -> None:
    found = await patient.findings(database_url=new_database("doctor_empty"))
    assert troubles(found) == {"database_schema": Level.FAILED}
    assert "partnerhub migrate" in found["database_schema"].words

    url = clone_database("doctor_newer")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set role hub_owner")
        connection.execute("update alembic_version set version_num = '9999'")
    found = await patient.findings(database_url=url)
    assert troubles(found) == {"database_schema": Level.FAILED}
    assert "newer release" in found["database_schema"].words


async def test_days_without_room_are_told(patient: Patient) -> None:
    url = clone_database("doctor_days")
    days = {0: Level.FAILED, 3: Level.WARNING}
    for ahead, level in reversed(days.items()):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("set role hub_owner")
            day = (clock.now() + timedelta(days=ahead)).strftime("%Y%m%d")
            connection.execute(f"drop table event_{day}".encode())
        found = await patient.findings(database_url=url)
        assert found["database_days"].level is level
        assert "event" in found["database_days"].words


def test_roles_and_rights_of_the_login_are_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with EmbeddedPostgres(tmp_path / "cluster", durable=False).running() as server:
        settings = settings_module.load(environment(server.url()))
        before = asyncio.run(look(settings))
        assert before["database_roles"].level is Level.FAILED
        assert "hub_owner" in before["database_roles"].words
        assert "database_schema" not in before, "what cannot be asked is not asked"
        migrations.upgrade(server.url())
        after = asyncio.run(look(settings))
        assert after["database_roles"].level is Level.WARNING
        assert "superuser" in after["database_roles"].words
    with EmbeddedPostgres(tmp_path / "older", version=16, durable=False).running() as server:
        migrations.upgrade(server.url())
        found = asyncio.run(look(settings_module.load(environment(server.url()))))
        assert found["database_version"] == Finding(Level.OK, "database_version", "PostgreSQL 16.")


@asynccontextmanager
async def public_server(metrics_status: int) -> AsyncIterator[str]:
    """Serve what a proxy would lead to, at an address that is not this machine's usual one."""

    async def answer(request: web.Request) -> web.Response:
        return (
            web.Response(text="ok\n") if request.path == "/healthz" else web.Response(status=metrics_status)
        )

    app = web.Application()
    app.router.add_route("GET", "/{tail:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.2", 0).start()
    try:
        yield f"http://127.0.0.2:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("status", "level"), [(200, Level.FAILED), (404, Level.OK), (403, Level.OK)])
async def test_metrics_that_everybody_may_see_are_told(patient: Patient, status: int, level: Level) -> None:
    async with public_server(status) as url:
        found = await patient.findings(hub_url=url)
    assert found["public_hub"].level is Level.OK
    assert found["public_hub_metrics"].level is level


async def test_a_server_that_repeats_a_secret_is_not_believed_to_keep_it(patient: Patient) -> None:
    async def repeat(request: web.Request) -> web.Response:
        said = await request.text() + request.headers.get("Authorization", "") + str(request.url)
        return web.json_response({"error": {"message": f"You said {said}", "code": 190}}, status=400)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", repeat)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        found = await patient.findings(meta_graph_url=f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
    assert "You said" in found["meta_app"].words
    assert "[removed]" in found["meta_app"].words
