"""Group commit: what arrives while a commit is under way goes into the next one.

A batch starts as soon as none is running, after one turn of the loop in which other requests that were ready
may join; so an idle process answers at once and a busy one fills its commits. Where nobody waits for the
answer alone, a batch may linger for company instead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from partnerhub.kit.errors import HubError
from partnerhub.messaging.errors import QueueFull

T = TypeVar("T")
R = TypeVar("R")


class MicroBatcher(Generic[T, R]):
    """Collects items and hands them to `flush` in order of arrival, one batch at a time.

    `flush` returns one result per item. When it fails on a batch for a reason of the items' own (not a
    `HubError`), every item is tried by itself, so that one bad item takes nobody with it.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        max_items: int = 200,
        max_weight: int = 8 * 1024 * 1024,
        max_waiting: int = 10_000,
        linger_seconds: float = 0.0,
    ) -> None:
        self._linger = linger_seconds
        self._flush = flush
        self._max_items = max_items
        self._max_weight = max_weight
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[T, int, asyncio.Future[R]]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many items wait for a commit."""
        return len(self._waiting)

    async def submit(self, item: T, *, weight: int = 1) -> R:
        """Wait until the item's batch is through and return its result.

        A caller that goes away takes nothing back: the item is written all the same.
        Raises: QueueFull, before the item was taken.
        """
        if self._closed or len(self._waiting) >= self._max_waiting:
            raise QueueFull("Too many writes are waiting for the database.")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, weight, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await future

    async def close(self) -> None:
        """Take nothing more and write what waits."""
        self._closed = True
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(self._linger)
                await self._run(self._next())
        finally:
            self._worker = None

    def _next(self) -> list[tuple[T, asyncio.Future[R]]]:
        batch: list[tuple[T, asyncio.Future[R]]] = []
        room = self._max_weight
        while self._waiting and len(batch) < self._max_items:
            item, weight, future = self._waiting[0]
            if batch and weight > room:
                break
            room -= weight
            self._waiting.popleft()
            batch.append((item, future))
        return batch

    async def _run(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._flush([item for item, _ in batch])
        except HubError as error:
            for _, future in batch:
                _refuse(future, error)
        except Exception as error:  # noqa: BLE001 - whatever the items cause is theirs to hear
            if len(batch) == 1:
                _refuse(batch[0][1], error)
                return
            for single in batch:
                await self._run([single])
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _refuse(future: asyncio.Future[R], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
