"""The bare prototype that deliveries are measured against: an insert, then a POST, and nothing else.

What one would write on an afternoon with the usual parts: psycopg with one commit for each event, aiohttp for
the POST, the hex signature. No retry, no lease, no log, no fairness: an event whose process dies is lost.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable, Coroutine

import aiohttp
import psycopg_pool
from bench.sink import event_body

_TABLE = (
    "create table if not exists bare_event "
    "(id bigint generated always as identity primary key, created_at timestamptz default now(), body bytea)"
)


async def run(database_url: str, url: str, *, seconds: float, in_flight: int, rate: float | None) -> int:
    """Store and send events for a while; return how many.

    `in_flight` loops at full speed, or, with `rate`, that many events a second at even distances.
    """
    pool = psycopg_pool.AsyncConnectionPool(
        database_url, min_size=8, max_size=8, open=False, kwargs={"autocommit": True}
    )
    await pool.open(wait=True)
    async with pool.connection() as connection:
        await connection.execute(_TABLE)
    connector = aiohttp.TCPConnector(limit=in_flight)
    sent = 0

    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def one() -> None:
            nonlocal sent
            body = event_body()
            async with pool.connection() as connection:
                await connection.execute("insert into bare_event (body) values (%s)", (body,))
            headers = {
                "Content-Type": "application/json",
                "x-360dialog-signature": hmac.digest(b"secret", body, hashlib.sha256).hex(),
            }
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.read()
            sent += 1

        async def loop(until: float) -> None:
            while time.monotonic() < until:
                await one()

        if rate is None:
            until = time.monotonic() + seconds
            await asyncio.gather(*(loop(until) for _ in range(in_flight)))
        else:
            await at_rate(one, rate=rate, seconds=seconds)
    await pool.close()
    return sent


async def at_rate(one: Callable[[], Coroutine[None, None, None]], *, rate: float, seconds: float) -> None:
    """Start `one` at even distances, whether or not earlier ones have ended (an open loop)."""
    running: set[asyncio.Task[None]] = set()
    started = time.monotonic()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(started + number / rate - time.monotonic(), 0))
        task = asyncio.create_task(one())
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
