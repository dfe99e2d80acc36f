"""When which endpoint has work in the table: what a sender heard, remembers and found by looking.

Only a hint: a claim asks the database. So an entry that is wrong costs one empty claim, and a missing one is
found by the next scan.
"""

from __future__ import annotations

import heapq
from uuid import UUID


class Agenda:
    """Endpoints whose rows are due, in turn, and those whose rows will be. Times are monotonic."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, UUID]] = []
        self._planned: dict[UUID, float] = {}
        self._ready: dict[UUID, None] = {}

    def plan(self, endpoint_id: UUID, at: float) -> None:
        """Note that a row of this endpoint is due at `at`; the earliest note counts."""
        if endpoint_id in self._ready or self._planned.get(endpoint_id, at + 1) <= at:
            return
        self._planned[endpoint_id] = at
        heapq.heappush(self._heap, (at, endpoint_id))

    def ready(self, now: float) -> list[UUID]:
        """Return the endpoints that are due, whose turn is first first."""
        while self._heap and self._heap[0][0] <= now:
            at, endpoint_id = heapq.heappop(self._heap)
            if self._planned.get(endpoint_id) == at:
                del self._planned[endpoint_id]
                self._ready[endpoint_id] = None
        return list(self._ready)

    def served(self, endpoint_id: UUID, *, is_empty: bool) -> None:
        """Take an endpoint off the list, or put it at the end while more of it is due."""
        self._ready.pop(endpoint_id, None)
        if not is_empty:
            self._ready[endpoint_id] = None

    @property
    def has_ready(self) -> bool:
        """Say whether an endpoint waits for a claim."""
        return bool(self._ready)

    @property
    def next_at(self) -> float | None:
        """When something becomes due that is not yet."""
        return self._heap[0][0] if self._heap else None
