"""Reserves per second on one hot wallet: the gate against a transaction for each reserve.

Starts a durable PostgreSQL of its own (fsync on), runs both sides in turn with the same callers, and prints
their figures and ratio. The naive side is what a first version would do: lock the wallet row, look, insert
the charge, update the balance, commit; one pooled connection for each. It stays under twenty seconds.

With `--offered`, the gate alone takes that many reserves a second, whether or not it keeps up: what counts
then is how long they wait, and that none is refused.

    python -m bench.reserves
    python -m bench.reserves --offered 5000 --seconds 60
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import uvloop

from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit.database import Database
from partnerhub.kit.ids import uuid7
from partnerhub.kit.money import parse
from partnerhub.kit.postgres import EmbeddedPostgres
from partnerhub.ledger import queries, services
from partnerhub.ledger.gate import Gate
from partnerhub.ledger.schemas import Category, ReserveOrder
from partnerhub.migrations import run as migrations

PARTNER = "hotPA"
CALLERS = 250  # messages under way at once, on either side
NAIVE_CONNECTIONS = 8
SECONDS = 1.5  # a turn
TURNS = 2
Reserve = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Figures:
    """What one side did."""

    count: int
    seconds: float
    waits: Sequence[float]

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    def percentile(self, share: float) -> float:
        """Return the wait in milliseconds that this share stays under."""
        return sorted(self.waits)[min(int(len(self.waits) * share), len(self.waits) - 1)] * 1000

    def line(self, name: str) -> str:
        return (
            f"{name:<28} {self.per_second:>9,.0f} reserves/s   p50 {self.percentile(0.5):>7.1f} ms"
            f"   p99 {self.percentile(0.99):>7.1f} ms"
        )


def an_order(number: int) -> ReserveOrder:
    """Make an order to one of a thousand recipients."""
    return ReserveOrder(
        partner_id=PARTNER,
        key=uuid7(),
        reference="hotCH",
        recipient=f"49151{number % 1000:07}",
        category=Category.MARKETING,
        currency="EUR",
        time_zone="Europe/Berlin",
    )


async def measure(reserve: Reserve) -> Figures:
    """Keep the callers busy for one turn."""
    waits: list[float] = []
    begun = time.perf_counter()

    async def call() -> None:
        while (now := time.perf_counter()) - begun < SECONDS:
            await reserve()
            waits.append(time.perf_counter() - now)

    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return Figures(len(waits), time.perf_counter() - begun, waits)


async def offer(reserve: Reserve, *, per_second: int, seconds: float) -> Figures:
    """Start so many reserves a second, without waiting for the ones before."""
    waits: list[float] = []
    begun = time.perf_counter()

    async def call(due: float) -> None:
        await reserve()
        waits.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        for number in range(int(per_second * seconds)):
            due = begun + number / per_second
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            elif number % 100 == 0:
                await asyncio.sleep(0)  # behind: let what has come be taken all the same
            group.create_task(call(due))
    return Figures(len(waits), time.perf_counter() - begun, waits)


def together(turns: Sequence[Figures]) -> Figures:
    """Add the turns of one side up."""
    return Figures(
        sum(turn.count for turn in turns),
        sum(turn.seconds for turn in turns),
        [wait for turn in turns for wait in turn.waits],
    )


async def naive_reserve(database: Database) -> None:
    """Reserve in a transaction of its own, with the wallet locked while it thinks."""
    async with database.system() as unit:
        wallet = await unit.fetch_dicts(
            "select account_id, posted - held as available from ledger_balance"
            " where partner_id = %s and currency = 'EUR' for update",
            (PARTNER,),
        )
        assert wallet[0]["available"] >= 136_500
        await unit.execute(
            "insert into charge (partner_id, key, account_id, reference, recipient, category, currency,"
            " state, max_micros, reserved_at)"
            " values (%s, %s, %s, 'naiveCH', '49151', 'marketing', 'EUR', 'reserved', 136500, now())",
            (PARTNER, uuid7(), wallet[0]["account_id"]),
        )
        await unit.execute(
            "update ledger_balance set held = held + 136500, version = version + 1 where account_id = %s",
            (wallet[0]["account_id"],),
        )


async def prepare(database: Database) -> None:
    """Import one rate and put money into the wallet."""
    async with database.system() as unit:
        await services.import_markets(
            unit,
            content="effective_date,prefix,market\n2025-07-01,49,Germany\n",
            source="bench",
            actor=SYSTEM,
        )
        await services.import_rates(
            unit,
            content="effective_date,currency,market,category,rate\n2025-07-01,EUR,Germany,marketing,0.1365\n",
            source="bench",
            actor=SYSTEM,
        )
        await services.top_up(
            unit,
            partner_id=PARTNER,
            currency="EUR",
            amount_micros=parse("100000000"),
            key="bench",
            actor=SYSTEM,
        )


async def compare(url: str, offered: int, seconds: float) -> int:
    """Run both sides in turn, or offer a fixed load, and print what came of it."""
    database = Database(url, name="bench", min_size=NAIVE_CONNECTIONS, max_size=NAIVE_CONNECTIONS)
    await database.open()
    await prepare(database)
    gate = Gate(database, patience_seconds=30)
    await gate.start()
    numbers = iter(range(10**9))

    async def by_gate() -> None:
        await gate.reserve(an_order(next(numbers)))

    async def naively() -> None:
        await naive_reserve(database)

    await asyncio.gather(*(by_gate() for _ in range(500)))  # warm: plans, caches, connections
    sides: list[Figures] = []
    if offered:
        sides.append(await offer(by_gate, per_second=offered, seconds=seconds))
        print(sides[0].line(f"gate, {offered:,}/s offered"))
    else:
        gated, naive = [], []
        for _ in range(TURNS):
            gated.append(await measure(by_gate))
            naive.append(await measure(naively))
        sides += [together(gated), together(naive)]
        print(sides[0].line("gate (one commit per batch)"))
        print(sides[1].line("naive (SELECT … FOR UPDATE)"))
        print(f"ratio {sides[0].per_second / sides[1].per_second:.1f}")
    await gate.close()
    async with database.tenant(PARTNER) as unit:
        held = (await queries.get_balance(unit, partner_id=PARTNER))[0].held
    await database.close()
    expected = (sum(side.count for side in sides) + 500) * 136_500
    print(f"held {held:,} micros, expected {expected:,}: {'equal' if held == expected else 'DIFFERENT'}")
    return 0 if held == expected else 1


def main() -> int:
    """Run the benchmark; the exit code says whether the sums agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--offered", type=int, default=0, metavar="PER_SECOND")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="partnerhub-bench-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "postgres").running() as server:
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute("create role bench login createrole createdb password 'only-on-loopback'")
                connection.execute("create database bench owner bench")
            url = server.url(user="bench", password="only-on-loopback", database="bench")
            migrations.upgrade(url)
            return uvloop.run(compare(url, options.offered, options.seconds))


if __name__ == "__main__":
    sys.exit(main())
