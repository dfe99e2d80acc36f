"""Connections kept for reuse, and who may open another.

Bounded per origin and in all. Everything is synchronous bookkeeping on one event loop, so the numbers are
exact between two awaits. Waiting callers are served first come, first served within an origin; origins that
wait for the common bound take turns, so one busy receiver cannot starve the rest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import NamedTuple

from partnerhub.kit.http.addresses import AddressPolicy
from partnerhub.kit.http.answers import Limits
from partnerhub.kit.http.connection import Connection
from partnerhub.kit.http.errors import STOPPED, ExchangeError, Phase


class Origin(NamedTuple):
    """What connections may be shared for: the same peer under the same address policy."""

    is_tls: bool
    host: str
    port: int
    policy: AddressPolicy


class PoolState(NamedTuple):
    """Counts for metrics."""

    open: int
    idle: int
    waiting: int


class _Lane:
    """The connections of one origin. `open` counts the idle, the busy and those being opened."""

    __slots__ = ("idle", "open", "origin", "waiters")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.open = 0
        self.idle: list[Connection] = []
        self.waiters: deque[asyncio.Future[Connection | None]] = deque()


class Pool:
    """All connections of one client."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lanes: dict[Origin, _Lane] = {}
        self._starved: dict[_Lane, None] = {}  # lanes that wait for the common bound, in turn
        self._open = 0
        self._closed = False
        self._sweeper: asyncio.TimerHandle | None = None
        self._alive: set[Connection] = set()

    def state(self) -> PoolState:
        """Count the connections and the callers that wait for one."""
        lanes = self._lanes.values()
        waiting = sum(not waiter.done() for lane in lanes for waiter in lane.waiters)
        return PoolState(self._open, sum(len(lane.idle) for lane in lanes), waiting)

    def take_idle(self, origin: Origin) -> Connection | None:
        """Take the connection used last, if one is there and still good."""
        lane = self._lanes.get(origin)
        if lane is None or not lane.idle:
            return None
        now = perf_counter()
        while lane.idle:
            connection = lane.idle.pop()
            if now - connection.idle_since < self._life(connection) and connection.is_fresh_at(now):
                return connection
            connection.close()
        return None

    def _life(self, connection: Connection) -> float:
        """Leave a second between our end of an idle connection and the one the server announced."""
        hint = connection.keep_alive_hint
        keep = self._limits.keep_alive_seconds
        return keep if hint is None else min(keep, max(hint - 1.0, 0.5 * hint))

    def reserve(self, origin: Origin) -> bool:
        """Take the right to open one more connection now; it ends with `adopt` or `give_up`."""
        if self._closed:
            raise closed_error()
        lane = self._lanes.get(origin) or self._lanes.setdefault(origin, _Lane(origin))
        if lane.open >= self._limits.max_connections_per_host:
            return False
        if self._open >= self._limits.max_connections and not self._evict():
            return False
        lane.open += 1
        self._open += 1
        return True

    async def wait(self, origin: Origin) -> Connection | None:
        """Wait in line for a connection, or for None: the right to open one, as `reserve` gives it."""
        lane = self._lanes.get(origin) or self._lanes.setdefault(origin, _Lane(origin))
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        lane.waiters.append(waiter)
        if lane.open < self._limits.max_connections_per_host:
            self._starved[lane] = None
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                given = waiter.result()
                if given is None:
                    self.give_up(origin)
                else:
                    self._take_back(given, origin)
            elif waiter in lane.waiters:
                lane.waiters.remove(waiter)
                self._drop_if_empty(lane)
            raise

    def adopt(self, connection: Connection, origin: Origin) -> None:
        """Count a new connection under the right that was reserved for it."""
        connection.on_idle = lambda idle: self._take_back(idle, origin)
        connection.on_gone = lambda gone: self._forget(gone, origin)
        self._alive.add(connection)
        connection.lost.add_done_callback(lambda _: self._alive.discard(connection))

    def give_up(self, origin: Origin) -> None:
        """Return the right to open a connection."""
        lane = self._lanes[origin]
        lane.open -= 1
        self._open -= 1
        self._grant(lane)

    def drop_idle(self, origin: Origin) -> None:
        """Close the idle connections of an origin whose peer was seen to close one under our hands."""
        lane = self._lanes.get(origin)
        for connection in list(lane.idle) if lane else []:
            connection.close()

    def _take_back(self, connection: Connection, origin: Origin) -> None:
        lane = self._lanes[origin]
        if self._closed or self._starved.keys() - {lane}:
            connection.close()  # its place goes to the origin whose turn it is
            return
        while lane.waiters:
            waiter = lane.waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        lane.idle.append(connection)
        if self._sweeper is None:
            self._plan_sweep()

    def _forget(self, connection: Connection, origin: Origin) -> None:
        lane = self._lanes[origin]
        if connection in lane.idle:
            lane.idle.remove(connection)
        self.give_up(origin)

    def _grant(self, lane: _Lane) -> None:
        """Hand a freed place to who waits for it."""
        if lane.waiters:
            self._starved.setdefault(lane, None)
        while self._starved and self._open < self._limits.max_connections:
            chosen = next(iter(self._starved))
            del self._starved[chosen]
            while chosen.waiters and chosen.open < self._limits.max_connections_per_host:
                waiter = chosen.waiters.popleft()
                if waiter.done():
                    continue
                chosen.open += 1
                self._open += 1
                waiter.set_result(None)
                if chosen.waiters and chosen.open < self._limits.max_connections_per_host:
                    self._starved[chosen] = None
                break
        self._drop_if_empty(lane)

    def _drop_if_empty(self, lane: _Lane) -> None:
        if lane.open == 0 and not lane.waiters:
            self._lanes.pop(lane.origin, None)
            self._starved.pop(lane, None)

    def _evict(self) -> bool:
        """Close the idle connection that was used longest ago, to make room for another origin."""
        oldest = min(
            (lane.idle[0] for lane in self._lanes.values() if lane.idle),
            key=lambda connection: connection.idle_since,
            default=None,
        )
        if oldest is None:
            return False
        oldest.close()
        return self._open < self._limits.max_connections

    def _plan_sweep(self) -> None:
        delay = max(self._limits.keep_alive_seconds / 2, 0.5)
        self._sweeper = asyncio.get_running_loop().call_later(delay, self._sweep)

    def _sweep(self) -> None:
        """Close what lay idle too long."""
        self._sweeper = None
        now = perf_counter()
        for lane in list(self._lanes.values()):
            for connection in list(lane.idle):
                if now - connection.idle_since >= self._life(connection):
                    connection.close()
        if any(lane.idle for lane in self._lanes.values()):
            self._plan_sweep()

    async def close(self) -> None:
        """Refuse who waits, drop every connection and wait until each is gone."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for lane in list(self._lanes.values()):
            while lane.waiters:
                waiter = lane.waiters.popleft()
                if not waiter.done():
                    waiter.set_exception(closed_error())
        self._starved.clear()
        alive = list(self._alive)
        for connection in alive:
            connection.close()
        await asyncio.gather(*(connection.lost for connection in alive))


def closed_error() -> ExchangeError:
    """Make the error of a client that was closed."""
    return ExchangeError(STOPPED, phase=Phase.PRE_DELIVERY)
