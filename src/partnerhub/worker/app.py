"""The worker as a process: its loops, and a small page for the machines around it."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import psycopg
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from partnerhub.kit import logs
from partnerhub.kit.database import DatabaseAway
from partnerhub.kit.jobs import Queue
from partnerhub.kit.tasks import stop
from partnerhub.messaging.settle import Settler
from partnerhub.webhooks.sender import Sender
from partnerhub.worker.registry import Means, keep_days, register_all

Scope = MutableMapping[str, Any]  # Any: ASGI's own shape
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_JOBS: Final = Gauge("partnerhub_worker_jobs", "Jobs by state.", ["state"])
_IN_FLIGHT: Final = Gauge("partnerhub_worker_deliveries_in_flight", "Deliveries under way.")
_UNWRITTEN: Final = Gauge("partnerhub_worker_deliveries_unwritten", "Outcomes that wait to be written.")

# A second cancellation would break off the jobs in hand, which the queue grants ten seconds.
_JOBS_GRACE_SECONDS: Final = 15.0

log = logs.get(__name__)


class Worker:
    """One worker process; call it as an ASGI application for its health and metrics."""

    def __init__(self, *, means: Means, sender: Sender, settler: Settler, metrics_token: str) -> None:
        """The caller starts and closes `sender`; the rest begins and ends with the lifespan."""
        self._means = means
        self._sender = sender
        self._settler = settler
        self._metrics_token = metrics_token
        self._queue = Queue(means.database)
        register_all(self._queue, means)
        self._jobs: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the loops; at the end the job in hand and the batch in hand are finished."""
        await keep_days(self._means.database)
        await self._settler.start()
        self._jobs = asyncio.create_task(self._run_jobs(), name="jobs")
        try:
            yield
        finally:
            await stop(self._jobs, again_after_seconds=_JOBS_GRACE_SECONDS)
            await self._settler.close()

    async def _run_jobs(self) -> None:
        while True:
            try:
                await self._queue.run()
            except (psycopg.OperationalError, DatabaseAway) as error:
                log.warning("jobs wait for the database", reason=str(error).strip())
            except Exception:
                log.exception("the job loop broke and starts again")
            await asyncio.sleep(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            status, kind, body = await self._answer(scope)
            headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            while True:
                message = await receive()
                if message["type"] == "lifespan.startup":
                    await stack.enter_async_context(self.running())
                    await send({"type": "lifespan.startup.complete"})
                elif message["type"] == "lifespan.shutdown":
                    await stack.aclose()
                    await send({"type": "lifespan.shutdown.complete"})
                    return

    async def _answer(self, scope: Scope) -> tuple[int, bytes, bytes]:
        text = b"text/plain; charset=utf-8"
        match scope["path"]:
            case "/healthz":
                return 200, text, b"ok\n"
            case "/readyz":
                return (200, text, b"ok\n") if await self.is_ready() else (503, text, b"not ready\n")
            case "/metrics":
                if not self._may_see_metrics(scope):
                    return 403, text, b"forbidden\n"
                await self._update_gauges()
                return 200, CONTENT_TYPE_LATEST.encode(), generate_latest()
            case _:
                return 404, text, b"not found\n"

    async def is_ready(self) -> bool:
        """Say whether the loops run and the database answers."""
        if self._jobs is None or self._jobs.done():
            return False
        try:
            async with asyncio.timeout(1), self._means.database.pool.connection(timeout=1) as connection:
                await connection.execute("select 1")
        except Exception:  # noqa: BLE001 - whatever the reason, it is not ready
            return False
        return True

    def _may_see_metrics(self, scope: Scope) -> bool:
        headers = dict(scope["headers"])
        if not self._metrics_token:
            peer = (scope.get("client") or ("", 0))[0]
            return b"x-forwarded-for" not in headers and peer in {"127.0.0.1", "::1"}
        given = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        return hmac.compare_digest(given, self._metrics_token.encode())

    async def _update_gauges(self) -> None:
        state = self._sender.state()
        _IN_FLIGHT.set(state.in_flight)
        _UNWRITTEN.set(state.unwritten)
        for name, count in (await self._queue.counts()).items():
            _JOBS.labels(name).set(count)
