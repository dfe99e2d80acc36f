"""The simulator's admin API, as far as these tests turn its knobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp


class Simulator:
    """Meta's side of a running installation."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._base = f"{url}/simulator"

    async def get(self, path: str) -> Any:  # Any: JSON
        """Ask a question."""
        async with self._http.get(self._base + path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def post(self, path: str, body: object = None) -> Any:  # Any: JSON
        """Turn a knob."""
        async with self._http.post(self._base + path, json=body) as answer:
            assert answer.status in {200, 201}, await answer.text()
            return await answer.json()

    @asynccontextmanager
    async def standing_still(self) -> AsyncIterator[None]:
        """Stop Meta's clock for a block: what is accepted stays as it is until the clock is moved."""
        await self.post("/clock", {"is_frozen": True})
        try:
            yield
        finally:
            await self.post("/clock", {"is_frozen": False, "shift_seconds": 0})

    async def advance(self, seconds: float) -> None:
        """Move Meta's clock; what becomes due happens."""
        await self.post("/clock", {"advance_seconds": seconds})


@asynccontextmanager
async def simulator_of(url: str) -> AsyncIterator[Simulator]:
    """Open a connection to the simulator at `url`."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        yield Simulator(http, url)
