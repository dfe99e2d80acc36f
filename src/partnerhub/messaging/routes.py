"""Where a key or a number leads, from memory.

An answer from memory is given only while the watch hears (see `watch`); a silent process asks the database
for every request. Tokens are decrypted once, on the way into this memory, and live nowhere else.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID

from partnerhub.channels import queries as channels
from partnerhub.channels.schemas import Route
from partnerhub.kit.crypto import Keyring, fingerprint
from partnerhub.kit.database import Database, DatabaseAway, Unit
from partnerhub.messaging.watch import Watch
from partnerhub.webhooks import queries as webhooks
from partnerhub.webhooks.schemas import OwnerKind

K = TypeVar("K")
V = TypeVar("V")

_MOST_ROUTES: Final = 50_000
_MOST_UNKNOWN_KEYS: Final = 10_000
_LOOKUPS_AT_ONCE: Final = 4
_PATIENCE_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class LiveRoute:
    """A route with the access token that opens Meta for it.

    `endpoint_id` is the webhook that the number's callbacks go to now; known for routes by number only.
    """

    route: Route
    token: str = field(repr=False)
    endpoint_id: UUID | None = None


class RouteBook:
    """Remembers routes by the hash of a channel key and by Meta's phone number id."""

    def __init__(self, database: Database, keyring: Keyring, *, system_token: str) -> None:
        """`system_token` serves WABA accounts that have no token of their own."""
        self._database = database
        self._keyring = keyring
        self._system_token = system_token
        self._by_key: OrderedDict[bytes, LiveRoute] = OrderedDict()
        self._unknown: OrderedDict[bytes, None] = OrderedDict()
        self._by_phone: OrderedDict[str, LiveRoute] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[LiveRoute | None]] = {}
        self._turns = asyncio.Semaphore(_LOOKUPS_AT_ONCE)
        self._generation = 0
        self._watch: Watch | None = None
        self.hits = 0
        self.misses = 0

    def trust(self, watch: Watch) -> None:
        """Answer from memory while this watch hears; without one, never."""
        self._watch = watch

    def forget(self, changed: str) -> None:
        """Drop what is remembered of a channel, or of every channel of a partner.

        A key that was unknown may be known now.
        """
        self._doubt()
        for key, found in list(self._by_key.items()):
            if changed in {found.route.channel_id, found.route.partner_id}:
                del self._by_key[key]
        for phone, live in list(self._by_phone.items()):
            if changed in {live.route.channel_id, live.route.partner_id}:
                del self._by_phone[phone]

    def forget_all(self) -> None:
        """Drop everything that is remembered."""
        self._doubt()
        self._by_key.clear()
        self._by_phone.clear()

    def knows(self, key: str) -> bool:
        """Say whether an answer for this key is remembered, whichever it is."""
        digest = fingerprint(key)
        return digest in self._by_key or digest in self._unknown

    async def by_key(self, key: str) -> LiveRoute | None:
        """Return the route of a channel key, or None for a key that is unknown or revoked.

        Raises: DatabaseAway.
        """
        digest = fingerprint(key)
        is_live = self._watch is not None and self._watch.is_live
        if is_live and (known := self._by_key.get(digest)) is not None:
            self.hits += 1
            return known
        if is_live and digest in self._unknown:
            self.hits += 1
            return None
        self.misses += 1
        if not is_live:
            # Not shared with others: an answer that somebody else asked for earlier may be older.
            return await self._load_key(digest)
        lookup = self._running.get(digest)
        if lookup is None:
            lookup = self._running[digest] = asyncio.create_task(self._load_key(digest))
            lookup.add_done_callback(lambda done: self._end(digest, done))
        return await asyncio.shield(lookup)

    async def by_phone(self, phone_number_id: str) -> LiveRoute | None:
        """Return the route of a number, or None for a number that is not ours.

        Raises: DatabaseAway.
        """
        if self._watch is not None and self._watch.is_live and phone_number_id in self._by_phone:
            return self._by_phone[phone_number_id]
        generation = self._generation
        async with _patience(), self._database.system() as unit:
            route = await channels.find_route_by_phone(unit, external_id=phone_number_id)
            endpoint_id = None if route is None else await self._endpoint_of(unit, route)
        if route is None:
            return None
        live = self._opened(route, endpoint_id)
        if generation == self._generation:
            self._by_phone[phone_number_id] = live
            _trim(self._by_phone, _MOST_ROUTES)
        return live

    async def _load_key(self, digest: bytes) -> LiveRoute | None:
        generation = self._generation
        async with _patience(), self._turns, self._database.system() as unit:
            route = await channels.find_route_by_key(unit, key_hash=digest)
        live = None if route is None else self._opened(route)
        # Something was said while we read: what we read may be from before.
        if generation != self._generation:
            return live
        if live is None:
            self._unknown[digest] = None
            _trim(self._unknown, _MOST_UNKNOWN_KEYS)
        else:
            self._by_key[digest] = live
            _trim(self._by_key, _MOST_ROUTES)
        return live

    def _doubt(self) -> None:
        """Keep nothing of look-ups that run now, nor let anybody join them."""
        self._generation += 1
        self._running.clear()
        self._unknown.clear()

    def _end(self, digest: bytes, lookup: asyncio.Task[LiveRoute | None]) -> None:
        if self._running.get(digest) is lookup:
            del self._running[digest]

    async def _endpoint_of(self, unit: Unit, route: Route) -> UUID | None:
        owners = ((OwnerKind.CHANNEL, route.channel_id), (OwnerKind.WABA, route.waba_id))
        for kind, ident in owners:
            found = await webhooks.find_endpoint(unit, owner_kind=kind, owner_id=ident, keyring=self._keyring)
            if found is not None:
                return found.id
        return None

    def _opened(self, route: Route, endpoint_id: UUID | None = None) -> LiveRoute:
        token = channels.open_access(self._keyring, waba_id=route.waba_id, access_sealed=route.access_sealed)
        return LiveRoute(route=route, token=token or self._system_token, endpoint_id=endpoint_id)


@asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    """Bound a look-up: who waits longer would only wait in line with everybody else.

    Raises: DatabaseAway.
    """
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            yield
    except TimeoutError as error:
        raise DatabaseAway("The database does not answer.") from error


def _trim(memory: OrderedDict[K, V], most: int) -> None:
    """Drop the oldest entries; they are looked up again when they are needed."""
    while len(memory) > most:
        memory.popitem(last=False)
