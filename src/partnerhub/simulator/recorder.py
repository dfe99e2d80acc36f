"""What was asked of Graph: the last calls in full, and counts of all of them."""

from __future__ import annotations

from collections import Counter, deque

import msgspec


class RecordedCall(msgspec.Struct, kw_only=True, frozen=True):
    """One Graph call as seen from Meta's side; tokens are shown by their owner and last four characters."""

    at: float
    method: str
    path: str
    version: str
    query: dict[str, str]
    body: str
    token: str
    status: int
    error_code: int | None
    milliseconds: float
    number_id: str | None
    user_agent: str


class Recorder:
    """A ring of recorded calls and a count by method, edge and status."""

    def __init__(self, size: int) -> None:
        self.calls: deque[RecordedCall] = deque(maxlen=size)
        self.counts: Counter[tuple[str, str, int]] = Counter()

    def clear(self) -> None:
        """Forget everything recorded."""
        self.calls.clear()
        self.counts.clear()
