"""A webhook receiver in a process of its own that remembers each status and how often it came."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter

import msgspec
import uvloop
from aiohttp import web


class Receiver:
    """What came."""

    def __init__(self) -> None:
        self.statuses: Counter[tuple[str, str]] = Counter()

    async def hook(self, request: web.Request) -> web.Response:
        """Take a webhook of a number."""
        body = msgspec.json.decode(await request.read())
        for entry in body.get("entry", []):
            for change in entry.get("changes", []):
                for status in change.get("value", {}).get("statuses", []):
                    self.statuses[status["id"], status["status"]] += 1
        return web.Response(text="ok")

    async def seen(self, _request: web.Request) -> web.Response:
        """Tell what came, and how often."""
        found = [[wamid, status, count] for (wamid, status), count in self.statuses.items()]
        return web.Response(body=msgspec.json.encode({"statuses": found}), content_type="application/json")


async def main() -> None:
    """Listen on a free port, print the address, serve until SIGTERM."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.hook)
    app.router.add_get("/seen", receiver.seen)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = runner.addresses[0]
    print(f"http://localhost:{address[1]}", flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main())
