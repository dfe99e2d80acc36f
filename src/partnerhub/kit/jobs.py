"""Jobs by name, in the business commit.

A package defers a job with its own unit of work, so the job exists exactly when the change does. Names
meet handlers only in `worker/`. Procrastinate is the queue; it lives in the schema `jobs`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import procrastinate
from procrastinate import exceptions
from procrastinate.jobs import JobDeferrer

from partnerhub.kit.database import Database, Unit

Handler = Callable[..., Awaitable[None]]
Argument = str | int | bool | None

_deferring = procrastinate.App(connector=procrastinate.PsycopgConnector())


async def defer(
    unit: Unit,
    name: str,
    *,
    key: str | None = None,
    lock: str | None = None,
    at: datetime | None = None,
    **arguments: Argument,
) -> bool:
    """Put a job into the unit's transaction; it starts after the commit.

    `key` keeps at most one such job waiting: a second one is dropped and False returned. Jobs with the same
    `lock` run one after the other. Arguments are ids and flags, never content or secrets.
    """
    deferrer: JobDeferrer = _deferring.configure_task(
        name, connection=unit.connection, queueing_lock=key, lock=lock, schedule_at=at
    )
    if key is None:
        await deferrer.defer_async(**arguments)
        return True
    try:
        # Without its own savepoint, a refused duplicate would silently roll the whole commit back.
        async with unit.connection.transaction():
            await deferrer.defer_async(**arguments)
    except exceptions.AlreadyEnqueued:
        return False
    return True


class Queue:
    """The consuming side: handlers by name, schedules, and the loop that runs them."""

    def __init__(self, database: Database) -> None:
        """Jobs run on the process's own pool; LISTEN takes a connection of its own."""
        self._database = database
        self._app = procrastinate.App(connector=procrastinate.PsycopgConnector(configure=_search_jobs))
        self.names: set[str] = set()

    def register(self, name: str, handler: Handler, *, attempts: int = 10, cron: str | None = None) -> None:
        """Bind a name to its handler; `cron` (UTC) also starts it on schedule.

        A failing job is tried again up to `attempts` times, after 2, 4, 8 … seconds.
        """
        retry = procrastinate.RetryStrategy(max_attempts=attempts, exponential_wait=2)
        self.names.add(name)
        if cron is None:
            self._app.task(name=name, retry=retry)(handler)
        else:

            async def scheduled(timestamp: int) -> None:  # noqa: ARG001 - the queue passes its tick
                await handler()

            scheduled.__qualname__ = handler.__qualname__
            self._app.periodic(cron=cron)(
                self._app.task(name=name, retry=retry, pass_context=False)(scheduled)
            )

    async def run(self, *, concurrency: int = 8) -> None:
        """Work until cancelled; a job in hand is finished first."""
        async with self._app.open_async(pool=self._database.pool):
            await self._app.run_worker_async(
                concurrency=concurrency,
                install_signal_handlers=False,
                delete_jobs="successful",
                shutdown_graceful_timeout=10,
                fetch_job_polling_interval=2,
            )

    async def counts(self) -> Mapping[str, int]:
        """Return how many jobs wait, run and have failed for good."""
        async with self._database.pool.connection() as connection:
            rows = await connection.execute(
                "select status::text, count(*) from procrastinate_jobs group by 1"
            )
            return {str(status): int(count) async for status, count in rows}


async def _search_jobs(connection: Any) -> None:  # Any: procrastinate hands its own connection over
    await connection.execute("set search_path = public, jobs")
