"""Group commit: shared where it can be, alone where it must be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from partnerhub.kit.database import DatabaseAway
from partnerhub.messaging.batches import MicroBatcher
from partnerhub.messaging.errors import QueueFull


class Sink:
    """Remembers batches; the number 13 cannot be written, and a closed gate holds a batch up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_away = False

    async def flush(self, items: Sequence[int]) -> list[int]:
        await self.gate.wait()
        if self.is_away:
            raise DatabaseAway("away")
        if 13 in items:
            raise ValueError("thirteen")
        self.batches.append(list(items))
        return [item * 10 for item in items]


async def test_what_is_ready_at_once_shares_a_batch_in_order() -> None:
    sink = Sink()
    batcher = MicroBatcher(sink.flush)
    assert await asyncio.gather(*(batcher.submit(number) for number in range(5))) == [0, 10, 20, 30, 40]
    assert sink.batches == [[0, 1, 2, 3, 4]]


async def test_what_arrives_during_a_batch_waits_for_the_next() -> None:
    sink = Sink()
    batcher = MicroBatcher(sink.flush)
    sink.gate.clear()
    first = asyncio.create_task(batcher.submit(1))
    for _ in range(3):
        await asyncio.sleep(0)
    rest = [asyncio.create_task(batcher.submit(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    sink.gate.set()
    assert await asyncio.gather(first, *rest) == [10, 20, 30]
    assert sink.batches == [[1], [2, 3]]


async def test_a_batch_is_bounded_by_items_and_by_weight() -> None:
    sink = Sink()
    batcher = MicroBatcher(sink.flush, max_items=3, max_weight=100)
    weights = [60, 50, 10, 10, 10, 10, 200, 1]
    await asyncio.gather(*(batcher.submit(n, weight=weight) for n, weight in enumerate(weights)))
    assert sink.batches == [[0], [1, 2, 3], [4, 5], [6], [7]]


async def test_one_bad_item_takes_nobody_with_it() -> None:
    sink = Sink()
    batcher = MicroBatcher(sink.flush)
    answers = await asyncio.gather(*(batcher.submit(number) for number in (1, 13, 2)), return_exceptions=True)
    assert (answers[0], answers[2]) == (10, 20)
    assert isinstance(answers[1], ValueError)


async def test_without_the_database_every_item_hears_so_at_once() -> None:
    sink = Sink()
    sink.is_away = True
    batcher = MicroBatcher(sink.flush)
    answers = await asyncio.gather(*(batcher.submit(n) for n in (1, 2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [DatabaseAway, DatabaseAway]
    sink.is_away = False
    assert await batcher.submit(3) == 30


async def test_a_full_queue_refuses_before_it_takes() -> None:
    sink = Sink()
    sink.gate.clear()
    batcher = MicroBatcher(sink.flush, max_items=1, max_waiting=2)
    waiting = [asyncio.create_task(batcher.submit(1))]
    for _ in range(3):
        await asyncio.sleep(0)
    waiting += [asyncio.create_task(batcher.submit(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await batcher.submit(4)
    sink.gate.set()
    assert await asyncio.gather(*waiting) == [10, 20, 30]


async def test_a_caller_that_leaves_takes_nothing_back() -> None:
    sink = Sink()
    sink.gate.clear()
    batcher = MicroBatcher(sink.flush)
    leaving = asyncio.create_task(batcher.submit(1))
    for _ in range(3):
        await asyncio.sleep(0)
    leaving.cancel()
    sink.gate.set()
    await batcher.close()
    assert sink.batches == [[1]]
    with pytest.raises(QueueFull):
        await batcher.submit(2)
