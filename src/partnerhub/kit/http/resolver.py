"""Names to addresses without blocking the loop, with a short memory.

Look-ups run on threads of their own, a bounded number at a time, so that a name server that hangs cannot take
the threads of the rest of the process (and, as daemons, cannot hold up its end). While a name server is slow
or away, an address that was good a few minutes ago is used again: the address guard checks it like a new one.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from partnerhub.kit.http.errors import STOPPED, ExchangeError, FailureKind, Phase, Reason

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Address(NamedTuple):
    """One address to connect to; `ip` is a literal."""

    family: socket.AddressFamily
    ip: str


class Resolver(Protocol):
    """What the client needs from a resolver; a test or a fixed installation may bring its own."""

    async def resolve(self, host: str) -> Sequence[Address]:
        """Return at least one address or raise ExchangeError (dns)."""


def literal(host: str) -> Address:
    """Return the address a literal host names."""
    return Address(socket.AF_INET6 if ":" in host else socket.AF_INET, host)


def system_addresses(host: str) -> list[Address]:
    """Ask `getaddrinfo`; blocks.

    Raises: OSError, UnicodeError.
    """
    return [
        Address(socket.AddressFamily(family), str(sockaddr[0]))
        for family, _type, _protocol, _name, sockaddr in socket.getaddrinfo(
            host, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
        if family in _FAMILIES
    ]


class _Entry(NamedTuple):
    addresses: tuple[Address, ...]
    looked_up_at: float


class SystemResolver:
    """The operating system's resolver, cached; `look_up` blocks and runs on a thread."""

    def __init__(
        self,
        *,
        look_up: Callable[[str], Sequence[Address]] = system_addresses,
        fresh_seconds: float = 10.0,
        stale_seconds: float = 300.0,
        patience_seconds: float = 1.0,
        max_lookups: int = 32,
        max_names: int = 4096,
    ) -> None:
        self._system = look_up
        self._fresh = fresh_seconds
        self._stale = stale_seconds
        self._patience = patience_seconds
        self._max_names = max_names
        self._turns = asyncio.Semaphore(max_lookups)
        self._known: dict[str, _Entry] = {}
        self._running: dict[str, asyncio.Task[tuple[Address, ...]]] = {}

    async def resolve(self, host: str) -> Sequence[Address]:
        """Return the addresses of `host` in the system's order of preference.

        Raises: ExchangeError (dns).
        """
        entry = self._known.get(host)
        age = time.monotonic() - entry.looked_up_at if entry else 0.0
        if entry and age < self._fresh:
            return entry.addresses
        lookup = self._running.get(host)
        if lookup is None:
            lookup = self._running[host] = asyncio.create_task(self._look_up(host))
            lookup.add_done_callback(lambda done: self._finish(host, done))
        if entry is None or age > self._stale:
            return await _outcome(lookup)
        try:
            async with asyncio.timeout(self._patience):
                return await _outcome(lookup)
        except (ExchangeError, TimeoutError):
            return entry.addresses

    def _finish(self, host: str, lookup: asyncio.Task[tuple[Address, ...]]) -> None:
        del self._running[host]
        if lookup.cancelled() or lookup.exception() is not None:
            return
        if len(self._known) >= self._max_names:
            del self._known[next(iter(self._known))]
        self._known.pop(host, None)
        self._known[host] = _Entry(lookup.result(), time.monotonic())

    async def _look_up(self, host: str) -> tuple[Address, ...]:
        async with self._turns:
            try:
                found = await _in_thread(self._system, host)
            except (OSError, UnicodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not a valid name"
                raise _unresolved(
                    "The name {host} could not be resolved: {reason}.", host=host, reason=str(reason)
                ) from error
        addresses = tuple(dict.fromkeys(found))
        if not addresses:
            raise _unresolved("The name {host} has no address.", host=host)
        return addresses

    async def close(self) -> None:
        """Forget everything and stop waiting for look-ups; their threads end by themselves."""
        running = list(self._running.values())
        for lookup in running:
            lookup.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._known.clear()


def _unresolved(sentence: str, **values: str) -> ExchangeError:
    return ExchangeError(Reason(FailureKind.DNS, sentence, values), phase=Phase.PRE_DELIVERY)


async def _outcome(lookup: asyncio.Task[tuple[Address, ...]]) -> tuple[Address, ...]:
    """Wait for a look-up that others may share; leaving does not end it."""
    try:
        return await asyncio.shield(lookup)
    except asyncio.CancelledError as error:
        if not lookup.cancelled():
            raise
        raise ExchangeError(STOPPED, phase=Phase.PRE_DELIVERY) from error


async def _in_thread(look_up: Callable[[str], Sequence[Address]], host: str) -> Sequence[Address]:
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Sequence[Address]] = loop.create_future()

    def deliver(found: Sequence[Address], error: Exception | None) -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(found)

    def work() -> None:
        found: Sequence[Address] = ()
        failure: Exception | None = None
        try:
            found = look_up(host)
        except (OSError, UnicodeError) as error:
            failure = error
        # The loop may have ended meanwhile; then nobody waits for this.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(deliver, found, failure)

    threading.Thread(target=work, name=f"resolve {host}", daemon=True).start()
    return await outcome
