"""Ingest to delivered: events per second and the age of an event at the receiver, beside a bare prototype.

Real PostgreSQL with fsync on, 2 kB bodies, a receiver in a process of its own, everything on this machine.
The engine accepts in group commits as the gateway does, hands over to its sender in memory, signs both ways,
sends, and logs every attempt; the prototype (`deliveries_bare`) inserts and posts. Rounds are interleaved, so
that the ratio holds where the figures move with the machine.

    python -m bench.deliveries --seconds 1.5 --rounds 2
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import uvloop
from bench import deliveries_bare
from bench.sink import Sink, event_body, sink

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.kit.postgres import EmbeddedPostgres
from partnerhub.messaging.batches import MicroBatcher
from partnerhub.migrations import run as migrations
from partnerhub.webhooks import services
from partnerhub.webhooks.schemas import Endpoint, OwnerKind, Piece
from partnerhub.webhooks.sender import Sender

_PARTNER = "benchAPA"
_RATE = 300.0  # events a second in the latency rounds: far from saturation for both


@dataclass(frozen=True)
class Round:
    """One round: throughput, or the latency at a fixed rate."""

    per_second: float
    p50_ms: float
    p99_ms: float


class Ingest:
    """Accepts events in group commits, as the gateway does."""

    def __init__(self, database: Database, sender: Sender, endpoint: Endpoint) -> None:
        self._database = database
        self._sender = sender
        self._endpoint = endpoint
        self._batcher: MicroBatcher[bytes, None] = MicroBatcher(self._write, max_items=100)

    async def accept(self, body: bytes) -> None:
        """Return once the event is committed."""
        await self._batcher.submit(body)

    async def close(self) -> None:
        """Write what waits."""
        await self._batcher.close()

    async def _write(self, bodies: Sequence[bytes]) -> list[None]:
        pieces = [
            Piece(
                partner_id=_PARTNER,
                owner_kind=self._endpoint.owner_kind,
                owner_id=self._endpoint.owner_id,
                name="messages",
                body=body,
                digest=uuid4().bytes,
                endpoint_id=self._endpoint.id,
            )
            for body in bodies
        ]
        async with self._database.system() as unit:
            rows = await services.accept_bodies(unit, pieces, room=self._sender)
        self._sender.hand_over(rows)
        return [None] * len(bodies)


async def engine(database_url: str, here: Sink, *, seconds: float, rate: float | None) -> Round:
    """Run the engine for a while, until everything accepted was delivered."""
    keyring = Keyring([bytes(32)])
    database = Database(database_url, name="bench", max_size=4)
    await database.open()
    async with database.tenant(_PARTNER) as unit:
        endpoint = await services.set_endpoint(
            unit,
            partner_id=_PARTNER,
            owner_kind=OwnerKind.CHANNEL,
            owner_id="benchCH",
            url=here.url,
            headers={"Authorization": "Bearer bench"},
            keyring=keyring,
            allow_loopback=True,
        )
        await services.add_signing_key(
            unit, partner_id=_PARTNER, secret="bench", overlap_hours=0, keyring=keyring
        )
    http = HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK)
    sender = Sender(database, http, keyring, name="bench")
    await sender.start()
    ingest = Ingest(database, sender, endpoint)
    await asyncio.gather(*(ingest.accept(event_body()) for _ in range(200)))
    await _delivered(sender, 200)
    await asyncio.to_thread(here.take)
    accepted = 0

    async def one() -> None:
        nonlocal accepted
        await ingest.accept(event_body())
        accepted += 1

    async def loop(until: float) -> None:
        while time.monotonic() < until:
            # A closed loop over the whole way: no more than a bounded backlog between commit and receiver.
            if accepted - (sender.state().counts.delivered - 200) > 1000:
                await asyncio.sleep(0.002)
            else:
                await one()

    started = time.monotonic()
    if rate is None:
        await asyncio.gather(*(loop(started + seconds) for _ in range(256)))
    else:
        await deliveries_bare.at_rate(one, rate=rate, seconds=seconds)
    await _delivered(sender, 200 + accepted)
    wall = time.monotonic() - started
    ages = await asyncio.to_thread(here.take)
    await ingest.close()
    await sender.close()
    await http.close()
    await database.close()
    if len(ages) != accepted:
        raise SystemExit(f"accepted {accepted} events, the receiver got {len(ages)}")
    return _round(ages, wall)


async def bare(database_url: str, here: Sink, *, seconds: float, rate: float | None) -> Round:
    """Run the prototype for a while."""
    here.take()
    started = time.monotonic()
    await deliveries_bare.run(database_url, here.url, seconds=seconds, in_flight=64, rate=rate)
    return _round(await asyncio.to_thread(here.take), time.monotonic() - started)


async def _delivered(sender: Sender, number: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        state = sender.state()
        if state.counts.delivered >= number and not state.unwritten:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"not everything was delivered: {state}")
        await asyncio.sleep(0.002)


def _round(ages: list[int], wall: float) -> Round:
    return Round(
        len(ages) / wall, ages[len(ages) // 2] / 1e6, ages[min(len(ages) * 99 // 100, len(ages) - 1)] / 1e6
    )


def main() -> None:
    """Run interleaved rounds and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="partnerhub-bench-"))
    folder.chmod(0o755)
    runs = {"engine": engine, "bare": bare}
    fast: dict[str, list[Round]] = {name: [] for name in runs}
    slow: dict[str, list[Round]] = {name: [] for name in runs}
    try:
        with sink() as here, EmbeddedPostgres(folder, durable=True).running() as server:
            migrations.upgrade(server.url())
            for _ in range(arguments.rounds):
                for name, run in runs.items():
                    for kept, rate in ((fast, None), (slow, _RATE)):
                        result = uvloop.run(run(server.url(), here, seconds=arguments.seconds, rate=rate))
                        kept[name].append(result)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"2 kB events, fsync on, medians of {arguments.rounds} rounds of {arguments.seconds:g} s")
    speed = {}
    for name in runs:
        speed[name] = statistics.median(result.per_second for result in fast[name])
        p50 = statistics.median(result.p50_ms for result in slow[name])
        p99 = statistics.median(result.p99_ms for result in slow[name])
        print(
            f"{name:7} {speed[name]:8.0f} events/s delivered;"
            f" at {_RATE:g}/s: accepted to received p50 {p50:6.1f} ms  p99 {p99:6.1f} ms"
        )
    print(f"ratio to the bare prototype: {speed['engine'] / speed['bare']:.2f}")


if __name__ == "__main__":
    main()
