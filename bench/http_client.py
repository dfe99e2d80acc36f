"""Requests per second of our HTTP client beside aiohttp, against a raw echo in a process of its own.

Rounds of the two are interleaved in the same run, so that the ratio holds where the figures move with the
machine. The CPU time of the client process is what counts: the echo and everything else share the cores.

    python bench/http_client.py --seconds 2 --rounds 3 --in-flight 50
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import NamedTuple, cast

import aiohttp
import uvloop

from partnerhub.kit.http import AddressPolicy, Answer, HttpClient, Limits

_BODY = b'{"object":"whatsapp_business_account","entry":[' + b"x" * 1950 + b"]}"
_HEADERS = {
    "Content-Type": "application/json",
    "webhook-id": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
    "webhook-timestamp": "1674087231",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    "x-360dialog-signature": "8" * 64,
}
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Echo(asyncio.Protocol):
    """Answers 200 once a request of Content-Length has come whole; parses no more than it must."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._wanted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._held += data
        while True:
            if not self._wanted:
                end = self._held.find(b"\r\n\r\n")
                if end < 0:
                    return
                head = bytes(self._held[:end]).lower()
                start = head.index(b"content-length:") + 15
                self._wanted = end + 4 + int(head[start:].split(b"\r\n", 1)[0])
            if len(self._held) < self._wanted:
                return
            del self._held[: self._wanted]
            self._wanted = 0
            self._transport.write(_ANSWER)


def serve(sock: socket.socket) -> None:
    """Run the echo until the process is ended."""

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, sock=sock)
        await server.serve_forever()

    uvloop.run(forever())


class Result(NamedTuple):
    """One round: requests by wall clock, and by CPU time of this process."""

    per_second: float
    per_core_second: float
    p50_ms: float
    p99_ms: float


async def measure(send: Callable[[], Awaitable[object]], *, seconds: float, in_flight: int) -> Result:
    """Send from `in_flight` loops for a while."""
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    async def worker() -> None:
        while (started := time.perf_counter()) < until:
            await send()
            latencies.append(time.perf_counter() - started)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    latencies.sort()
    count = len(latencies)
    return Result(count / wall, count / cpu, latencies[count // 2] * 1e3, latencies[count * 99 // 100] * 1e3)


async def ours(url: str, *, seconds: float, in_flight: int) -> Result:
    """Measure `HttpClient.request`."""
    limits = Limits(max_connections_per_host=in_flight)
    async with HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK, limits=limits) as client:

        def send() -> Coroutine[object, object, Answer]:
            return client.request("POST", url, headers=_HEADERS, body=_BODY)

        await asyncio.gather(*(send() for _ in range(in_flight)))
        return await measure(send, seconds=seconds, in_flight=in_flight)


async def ours_started(url: str, *, seconds: float, in_flight: int) -> Result:
    """Measure `HttpClient.start`, which makes no task for a request."""
    limits = Limits(max_connections_per_host=in_flight)
    async with HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK, limits=limits) as client:

        def send() -> asyncio.Future[Answer]:
            return client.start("POST", url, headers=_HEADERS, body=_BODY)

        await asyncio.gather(*(send() for _ in range(in_flight)))
        return await measure(send, seconds=seconds, in_flight=in_flight)


async def theirs(url: str, *, seconds: float, in_flight: int) -> Result:
    """Measure aiohttp as one would use it for deliveries."""
    connector = aiohttp.TCPConnector(limit=in_flight)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:

        async def send() -> None:
            async with session.post(url, headers=_HEADERS, data=_BODY, allow_redirects=False) as answer:
                await answer.content.read(65536)

        await asyncio.gather(*(send() for _ in range(in_flight)))
        return await measure(send, seconds=seconds, in_flight=in_flight)


def main() -> None:
    """Run interleaved rounds and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=50)
    arguments = parser.parse_args()

    sock = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{sock.getsockname()[1]}/hooks/whatsapp"
    echo = multiprocessing.get_context("fork").Process(target=serve, args=(sock,), daemon=True)
    echo.start()
    results: dict[str, list[Result]] = {"request": [], "start": [], "aiohttp": []}
    runs = {"request": ours, "start": ours_started, "aiohttp": theirs}
    try:
        for _ in range(arguments.rounds):
            for name, run in runs.items():
                result = uvloop.run(run(url, seconds=arguments.seconds, in_flight=arguments.in_flight))
                results[name].append(result)
    finally:
        echo.terminate()
        echo.join()

    print(f"{arguments.in_flight} in flight, {len(_BODY)} byte bodies, medians of {arguments.rounds} rounds")
    per_core = {}
    for name, rounds in results.items():
        wall, core, p50, p99 = (statistics.median(column) for column in zip(*rounds, strict=True))
        per_core[name] = core
        print(f"{name:8} {wall:9.0f}/s  {core:9.0f}/s and core  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms")
    print(f"ratio to aiohttp, per core: request {per_core['request'] / per_core['aiohttp']:.2f}, ", end="")
    print(f"start {per_core['start'] / per_core['aiohttp']:.2f}")


if __name__ == "__main__":
    main()
