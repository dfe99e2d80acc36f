"""Sends messages while processes are killed with -9 and the database restarts, then counts what was lost.

`python -m tests.e2e.kills --messages 10000 --rate 200` prints accepted, delivered, duplicates, adopted, open.
The receiver is a process of its own; what Meta had our 200 for is asked of the simulator, what reached the
receiver of the receiver, and the money of the ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from partnerhub.kit.clock import now
from partnerhub.kit.database import Database
from partnerhub.ledger.queries import check_books
from tests.e2e.installation import Installation, data_folder, running

_SETTLE_WITHIN_SECONDS = 240.0
_LATEST_REDELIVERY_SECONDS = 30.0


@dataclass
class Report:
    """What a run came to. `lost`, `charged_twice`, `open` and `books` (what a recount finds) must be 0."""

    messages: int = 0
    answered_200: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    accepted_by_meta: int = 0
    events_acknowledged: int = 0
    delivered: int = 0
    lost: int = 0
    duplicates: int = 0
    adopted: int = 0
    late: int = 0
    charged: int = 0
    charged_twice: int = 0
    open: int = 0
    books: int = 0
    worst_redelivery_seconds: float = 0.0
    posted_matches: bool = False


class Run:
    """One run against one installation."""

    def __init__(
        self, hub: Installation, receiver_url: str, *, messages: int, rate: float, pause_seconds: float
    ) -> None:
        self.hub = hub
        self.receiver_url = receiver_url
        self.messages = messages
        self.rate = rate
        self.pause_seconds = pause_seconds
        self.report = Report(messages=messages)
        self.simulator = hub["simulator_url"]

    async def go(self) -> Report:
        """Send under fire, wait until everything has settled, count."""
        timeout = aiohttp.ClientTimeout(total=70)
        connector = aiohttp.TCPConnector(limit=400)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
            await self._prepare(http)
            sending = asyncio.create_task(self._send_all(http))
            killing = asyncio.create_task(self._kill_in_turn(http))
            await sending
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)
            await self._post(http, f"{self.simulator}/simulator/callbacks/resume")
            await self._wait_until_settled(http)
            await self._count(http)
        return self.report

    async def _prepare(self, http: aiohttp.ClientSession) -> None:
        async with http.post(
            f"{self.hub['gateway_url']}/v1/configs/webhook",
            headers={"D360-API-KEY": self.hub["channel_api_key"]},
            json={"url": f"{self.receiver_url}/hook"},
        ) as answer:
            assert answer.status == 200, await answer.text()

    async def _send_all(self, http: aiohttp.ClientSession) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        tasks = set()
        for number in range(self.messages):
            await asyncio.sleep(max(0.0, started + number / self.rate - loop.time()))
            task = asyncio.create_task(self._send_one(http, number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.wait(tasks)

    async def _send_one(self, http: aiohttp.ClientSession, number: int) -> None:
        body = {
            "messaging_product": "whatsapp",
            # Few recipients, so that several open messages to one of them are usual.
            "to": f"49151{number % 3000:08d}",
            "type": "template",
            "template": {
                "name": self.hub["template_name"],
                "language": {"code": self.hub["template_language"]},
            },
        }
        try:
            async with http.post(
                f"{self.hub['gateway_url']}/messages",
                headers={"D360-API-KEY": self.hub["channel_api_key"]},
                json=body,
            ) as answer:
                await answer.read()
                if answer.status == 200:
                    self.report.answered_200 += 1
                else:
                    self.report.refused[str(answer.status)] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            # A client that gets no answer does not know, and neither do we: the ledger must.
            self.report.refused[type(error).__name__] += 1

    async def _kill_in_turn(self, http: aiohttp.ClientSession) -> None:
        """Kill one after the other; the database goes once, about the middle."""
        restart_at = max(1, int(self.messages / self.rate / self.pause_seconds / 2))
        victims = itertools.cycle(("gateway", "worker", "callbacks"))
        for turn in itertools.count():
            await asyncio.sleep(self.pause_seconds)
            if turn == restart_at:
                self._restart_database()
                continue
            victim = next(victims)
            self.report.kills[victim] += 1
            if victim == "callbacks":
                await self._post(
                    http,
                    f"{self.simulator}/simulator/faults",
                    {"action": "drop", "on": "callback", "times": 50},
                )
            else:
                self.hub.kill(victim)

    def _restart_database(self) -> None:
        self.report.kills["postgres"] += 1
        self.hub.kill("postgres")

    async def _wait_until_settled(self, http: aiohttp.ClientSession) -> None:
        """Wait until Meta owes nothing, the receiver has it all, and no reservation is open."""
        deadline = time.monotonic() + _SETTLE_WITHIN_SECONDS
        while time.monotonic() < deadline:
            counts = await self._get(http, f"{self.simulator}/simulator/counts")
            pending = self._one(
                "select (select count(*) from delivery where state = 'pending')"
                " + (select count(*) from message_status where settled_at is null)"
                " + (select count(*) from charge where state = 'reserved')"
            )
            if counts["owed"] == 0 and pending == 0:
                return
            await asyncio.sleep(2)

    async def _count(self, http: aiohttp.ClientSession) -> None:
        report = self.report
        acknowledged: set[tuple[str, str]] = set()
        after = 0
        while page := await self._get(
            http, f"{self.simulator}/simulator/events?is_acked=true&kind=status&limit=5000&after={after}"
        ):
            acknowledged |= {(event["id"], event["what"]) for event in page}
            after = max(event["callback"] for event in page)
        received: dict[str, Any] = await self._get(http, f"{self.receiver_url}/seen")  # Any: JSON
        seen = {(one[0], one[1]): one[2] for one in received["statuses"]}
        report.events_acknowledged = len(acknowledged)
        report.accepted_by_meta = len({wamid for wamid, _ in acknowledged})
        report.delivered = len(acknowledged & seen.keys())
        report.lost = len(acknowledged - seen.keys())
        report.duplicates = sum(count - 1 for count in seen.values())
        report.open = self._one("select count(*) from charge where state = 'reserved'")
        report.charged = self._one("select count(*) from charge where state = 'captured'")
        # Whoever asked Meta died before it could note the answer: a status found the reservation.
        report.adopted = self._one(
            "select count(*) from charge where call = 'open' and wamid is not null and not is_late"
        )
        report.late = self._one("select count(*) from charge where is_late")
        report.charged_twice = self._one(
            "select coalesce(sum(n - 1), 0) from (select count(*) n from charge"
            " where state = 'captured' and wamid is not null"
            " group by wamid, participant having count(*) > 1) twice"
        )
        report.books = await self._differences()
        report.worst_redelivery_seconds = round(
            float(
                self._one(
                    "select coalesce(max(extract(epoch from finished_at - created_at)), 0) from delivery"
                    " where state = 'delivered'"
                )
            ),
            1,
        )
        report.posted_matches = bool(
            self._one(
                "select (select coalesce(sum(posted), 0) from ledger_balance) ="
                f" {5_000_000_000} - (select coalesce(sum(price_micros), 0) from charge"
                " where state = 'captured')"
            )
        )

    async def _differences(self) -> int:
        """Recompute every wallet, batch and charge as the nightly job does; return what differs."""
        database = Database(self.hub.environment["DATABASE_URL"], name="kills", max_size=1)
        await database.open()
        try:
            async with database.system() as unit:
                return len(await check_books(unit))
        finally:
            await database.close()

    def _one(self, query: str) -> Any:  # Any: one SQL value
        deadline = time.monotonic() + 30
        while True:
            try:
                with psycopg.connect(self.hub.database_url, connect_timeout=3) as connection:
                    row = connection.execute(query.encode()).fetchone()
                    return int(row[0]) if row and isinstance(row[0], Decimal) else row and row[0]
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    async def _post(self, http: aiohttp.ClientSession, url: str, body: object = None) -> None:
        async with http.post(url, json=body) as answer:
            assert answer.status < 300, await answer.text()

    async def _get(self, http: aiohttp.ClientSession, url: str) -> Any:  # Any: JSON
        async with http.get(url) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


async def run(*, messages: int, rate: float, folder: Path, pause_seconds: float = 5.0) -> Report:
    """Run it on an installation and a receiver of its own, with a kill after every pause."""
    receiver = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.e2e.receiver"), stdout=asyncio.subprocess.PIPE
    )
    assert receiver.stdout is not None
    url = (await receiver.stdout.readline()).decode().strip()
    try:
        with running(folder) as hub:
            return await Run(hub, url, messages=messages, rate=rate, pause_seconds=pause_seconds).go()
    finally:
        receiver.send_signal(signal.SIGTERM)
        await receiver.wait()


def main() -> None:
    """Run from the command line and print the report."""
    reader = argparse.ArgumentParser()
    reader.add_argument("--messages", type=int, default=10_000)
    reader.add_argument("--rate", type=float, default=200.0)
    arguments = reader.parse_args()
    random.seed(1)
    with data_folder() as folder:
        started = now()
        report = asyncio.run(run(messages=arguments.messages, rate=arguments.rate, folder=folder / "data"))
        print(json.dumps({**vars(report), "seconds": int((now() - started).total_seconds())}, indent=1))


if __name__ == "__main__":
    main()
