"""Hearing of changes that make what this process remembers wrong, and knowing whether it hears at all.

A revoked key must stop working within a second on every process. Notifications alone do not promise that: a
connection can be dead without saying so. So the same connection that listens is made to answer a query every
300 ms; when it has been silent for longer than `SILENCE_SECONDS`, nothing remembered may be trusted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Final

import psycopg

from partnerhub.kit import logs
from partnerhub.kit.database import Database
from partnerhub.kit.tasks import stop

PING_SECONDS: Final = 0.3
SILENCE_SECONDS: Final = 0.9
_ANSWER_SECONDS: Final = 1.0
_RECONNECT_SECONDS: Final = 0.25

_log = logs.get(__name__)


class Watch:
    """Listens on channels of the database and forgets on their word.

    `handlers` get the payload of their channel. `on_gap` is called when it hears again after a silence, and
    at first: notifications may have been missed, so everything remembered must go.
    """

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, Callable[[str], None]],
        *,
        on_gap: Callable[[], None],
    ) -> None:
        self._database = database
        self._handlers = dict(handlers)
        self._on_gap = on_gap
        self._proven_at = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()
        self.connections = 0

    @property
    def is_live(self) -> bool:
        """Say whether a notification sent a second ago would have arrived."""
        return monotonic() - self._proven_at < SILENCE_SECONDS

    async def start(self) -> None:
        """Listen until `close`; returns once it hears, or after a second without the database."""
        self._task = asyncio.create_task(self._run())
        with suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._heard.wait()

    async def close(self) -> None:
        """Stop listening."""
        self._proven_at = float("-inf")
        if self._task is not None:
            await stop(self._task)

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError, TimeoutError) as error:
                if self._proven_at > float("-inf"):
                    _log.warning("watch_silent", reason=type(error).__name__)
            self._proven_at = float("-inf")
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self) -> None:
        async with self._database.listen(*self._handlers) as connection:
            self.connections += 1
            while True:
                asked_at = monotonic()
                async with asyncio.timeout(_ANSWER_SECONDS):
                    # Answered only after the notifications that were waiting for this session.
                    await connection.execute("select 1")
                async for notification in connection.notifies(timeout=0):
                    self._handle(notification)
                if not self.is_live:
                    self._on_gap()
                self._proven_at = asked_at
                self._heard.set()
                async for notification in connection.notifies(timeout=PING_SECONDS):
                    self._handle(notification)

    def _handle(self, notification: psycopg.Notify) -> None:
        if handler := self._handlers.get(notification.channel):
            handler(notification.payload)
