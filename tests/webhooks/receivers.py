"""Real receivers: an aiohttp server that records what it got and answers as its script says."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True)
class Got:
    """One request as it arrived; `at` is monotonic."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    def is_signed_with(self, secret: str) -> bool:
        """Check the signature as the documented recipe does."""
        expected = hmac.new(secret.encode(), self.body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, self.headers.get("x-360dialog-signature", ""))


Script = Callable[["Receiver", Got], Awaitable[web.StreamResponse | None]]


async def accept(_receiver: Receiver, _got: Got) -> web.Response:
    """Answer 200."""
    return web.Response(text="ok")


def answer(status: int, *, headers: dict[str, str] | None = None, text: str = "") -> Script:
    """Answer the same every time."""

    async def script(_receiver: Receiver, _got: Got) -> web.Response:
        return web.Response(status=status, headers=headers, text=text)

    return script


def after(seconds: float) -> Script:
    """Answer 200, slowly."""

    async def script(_receiver: Receiver, _got: Got) -> web.Response:
        await asyncio.sleep(seconds)
        return web.Response(text="ok")

    return script


@dataclass
class Receiver:
    """A running receiver; change `script` and it behaves differently from the next request on."""

    script: Script = accept
    port: int = 0
    got: list[Got] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def ids(self) -> Counter[str]:
        """How often each event arrived."""
        return Counter(got.event_id for got in self.got)

    async def wait_for(self, number: int, *, within: float = 10.0) -> list[Got]:
        """Wait until so many requests have arrived."""
        await self.wait_until(lambda: len(self.got) >= number, within=within)
        return self.got

    async def wait_until(self, is_so: Callable[[], bool], *, within: float = 10.0) -> None:
        """Wait until something holds that only a request can change."""
        async with asyncio.timeout(within):
            while not is_so():
                self._news.clear()
                await self._news.wait()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record a request and answer by script; None from the script drops the connection."""
        body = await request.read()
        got = Got(request.path_qs, {k.lower(): v for k, v in request.headers.items()}, body, time.monotonic())
        self.got.append(got)
        self._news.set()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            response = await self.script(self, got)
        finally:
            self.under_way -= 1
        if response is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return response


@asynccontextmanager
async def receiver(script: Script = accept, *, port: int = 0) -> AsyncIterator[Receiver]:
    """Run a receiver on a free loopback port."""
    here = Receiver(script)
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", here.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    here.port = runner.addresses[0][1]
    try:
        yield here
    finally:
        await runner.cleanup()
