"""How the hot statements run: by index, whatever the planner believes, and fast with a large backlog."""

from __future__ import annotations

import re
import time
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from partnerhub.kit.database import Database, Unit
from partnerhub.webhooks import claims, queries, sql
from partnerhub.webhooks.schemas import DeliveryState

_OF_BATCHES = {
    "claim": sql.CLAIM,
    "unpark": sql.UNPARK,
    "probe": sql.PROBE,
    "park": sql.PARK,
    "sweep_parked": sql.SWEEP_PARKED,
    "finish": sql.FINISH,
    "extend": sql.EXTEND,
}


@pytest.mark.parametrize("name", _OF_BATCHES)
async def test_a_batch_finds_its_rows_by_index_even_when_the_tables_look_empty(
    database: Database, name: str
) -> None:
    query = _OF_BATCHES[name]
    numbers = {key: f"${n}" for n, key in enumerate(dict.fromkeys(re.findall(r"%\((\w+)\)[sb]", query)), 1)}
    for key, number in numbers.items():
        query = re.sub(rf"%\({key}\)[sb]", number, query)
    async with database.pool.connection() as connection:
        await connection.execute("set local role hub_system")
        await connection.execute(sql.PLAN)
        cursor = await connection.execute(b"explain (generic_plan, costs off) " + query.encode())
        lines = [str(line).strip() for (line,) in await cursor.fetchall()]
        await connection.rollback()
    assert not [line for line in lines if re.search(r"Seq Scan on (delivery|event|attempt)_", line)]
    for line, following in pairwise(lines):
        if re.search(r"Index (Only )?Scan using (delivery|event)_\d+", line):
            assert following.startswith("Index Cond:"), (line, following)
        if re.search(r"using (delivery|event)_\d+_pkey", line):
            assert re.search(r"\bid = ", following), following


async def _fill(unit: Unit, *, endpoints: int, rows: int) -> list[UUID]:
    """Queue retries of many endpoints, most of them due some time in the next hours."""
    ids = [uuid4() for _ in range(endpoints)]
    for number, ident in enumerate(ids):
        await unit.execute(
            "insert into endpoint (id, partner_id, owner_kind, owner_id, url)"
            " values (%s, 'p', 'channel', %s, 'https://acme.example/')",
            (ident, f"n{number}"),
        )
    await unit.execute(
        """
        with made as (
          insert into event (id, created_at, partner_id, owner_kind, owner_id, name, body)
          select gen_random_uuid(), now() - n * interval '1 millisecond', 'p', 'channel',
                 'n' || n %% %(endpoints)s, 'messages', '{}'
          from generate_series(1, %(rows)s) n returning id, created_at, owner_id
        )
        insert into delivery (id, created_at, event_id, event_at, endpoint_id, due_at, rank, attempts, state,
                              partner_id, owner_kind, owner_id, name)
        select gen_random_uuid(), made.created_at, made.id, made.created_at, endpoint.id,
               now() + (random() * 7200 - 60) * interval '1 second', 1, 3, 'pending', 'p', 'channel',
               made.owner_id, 'messages'
        from made join endpoint on endpoint.owner_id = made.owner_id
        """,
        {"endpoints": endpoints, "rows": rows},
    )
    return ids


async def _claim(database: Database, endpoints: list[UUID]) -> tuple[int, float]:
    """Claim from some endpoints; return how many rows and how long it took."""
    started = time.perf_counter()
    async with database.system() as unit:
        async with unit.connection.pipeline():
            await claims.plan(unit)
            fresh = await claims.claim(unit, dict.fromkeys(endpoints, 8), rank=0, lease=uuid4())
            again = await claims.claim(unit, dict.fromkeys(endpoints, 8), rank=1, lease=uuid4())
        rows = [*await fresh.fetchall(), *await again.fetchall()]
    return len(rows), time.perf_counter() - started


async def test_a_claim_takes_no_longer_with_twenty_times_the_backlog(database: Database) -> None:
    """The ratio within one run; a claim that looked at what is not due would grow with the backlog."""
    times = []
    for rows in (1_000, 20_000):
        async with database.system() as unit:
            await unit.execute("delete from endpoint")
            endpoints = await _fill(unit, endpoints=50, rows=rows)
        # Over and over from endpoints that have nothing due any more: only the search is timed.
        await _claim(database, endpoints)
        await _drain(database, endpoints)
        best = min([(await _claim(database, endpoints))[1] for _ in range(15)])
        times.append(best)
    print(f"empty claim over 50 endpoints: {times[0] * 1e3:.2f} ms, then {times[1] * 1e3:.2f} ms")
    assert times[1] < 3 * times[0]


async def _drain(database: Database, endpoints: list[UUID]) -> None:
    """Take everything that is due."""
    while (await _claim(database, endpoints))[0]:
        pass


async def test_looking_for_work_costs_one_look_for_each_endpoint_not_for_each_row(database: Database) -> None:
    async with database.system() as unit:
        endpoints = await _fill(unit, endpoints=20, rows=5_000)
        await claims.plan(unit)
        cursor = await unit.connection.execute(
            "explain (analyze, costs off, format json) " + sql.SCAN_PENDING
        )
        (explained,) = await cursor.fetchall()
        found = await (await claims.scan_pending(unit)).fetchall()
    assert {row[0] for row in found} == set(endpoints)
    read = sum(_rows_of_index_scans(explained[0][0]["Plan"]))
    assert read <= 2 * 20 * 12  # a row of each day's partition at most, for each endpoint and rank


def _rows_of_index_scans(node: dict[str, Any]) -> list[float]:  # Any: a plan as PostgreSQL prints it
    here = [node["Actual Rows"] * node["Actual Loops"]] if "Index" in node["Node Type"] else []
    return here + [rows for child in node.get("Plans", []) for rows in _rows_of_index_scans(child)]


async def test_a_page_of_the_log_reads_its_own_rows_however_long_the_log_is(database: Database) -> None:
    async with database.system() as unit:
        await _fill(unit, endpoints=20, rows=20_000)
        await unit.execute(
            "insert into attempt (delivery_id, created_at, partner_id, endpoint_id, dns_us, connect_us,"
            " tls_us, first_byte_us, body_us, total_us, number, status, reused, is_probe, is_fenced,"
            " body_truncated, url, sender) select id, created_at, partner_id, endpoint_id, 0, 0, 0, 0, 0, 7,"
            " 1, 200, true, false, false, false, '', '' from delivery"
        )
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
        await connection.execute("analyze event, delivery, attempt")
    async with database.tenant("p") as unit:
        page = await queries.list_deliveries(unit, partner_id="p")
        for most, reading in (
            (2 * 50, partial(queries.list_glimpses, deliveries=page.items)),
            (2 * 51, partial(queries.list_deliveries, partner_id="p", containing="{")),
            # The bodies of so many, and how far that was.
            (3 * 20_000 + 50, partial(queries.list_deliveries, partner_id="p", containing="absent")),
            (1, partial(queries.count_deliveries, partner_id="p", states=[DeliveryState.FAILED])),
        ):
            before, started = await _rows_read(unit), time.perf_counter()
            await reading(unit)
            print(f"{reading.func.__name__}: {(time.perf_counter() - started) * 1e3:.1f} ms")
            assert await _rows_read(unit) - before <= most, reading


async def _rows_read(unit: Unit) -> int:
    """Count the rows that this transaction has read from the log so far, by any kind of scan."""
    return int(
        await unit.fetch_value(
            "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_all_tables"
            " where relname ~ '^(event|delivery|attempt)_'"
        )
    )
