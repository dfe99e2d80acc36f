"""Steps that webhook tests share: set a URL, accept pieces, wait for states, let time come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID, uuid4

from tests.webhooks.receivers import Receiver, Script, accept

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.webhooks import queries, services
from partnerhub.webhooks.schemas import DeliveryDetail, Endpoint, OwnerKind, Piece
from partnerhub.webhooks.sender import Sender
from partnerhub.webhooks.stock import Caps

PARTNER = "acmeAAPA"
SECRET = "test-platform-secret"


class MakeSender(Protocol):
    """Starts a sender; it is closed at the end of the test."""

    async def __call__(
        self, name: str = "one", *, caps: Caps | None = None, claims: bool = True, poll_seconds: float = 0.2
    ) -> Sender: ...


class MakeReceiver(Protocol):
    """Starts a receiver; it is stopped at the end of the test."""

    async def __call__(self, script: Script = accept, *, port: int = 0) -> Receiver: ...


async def set_url(
    database: Database,
    keyring: Keyring,
    url: str,
    *,
    owner_kind: OwnerKind = OwnerKind.CHANNEL,
    owner_id: str = "numberCH",
    partner_id: str = PARTNER,
    headers: Mapping[str, str] | None = None,
) -> Endpoint:
    """Set an owner's URL."""
    async with database.tenant(partner_id) as unit:
        return await services.set_endpoint(
            unit,
            partner_id=partner_id,
            owner_kind=owner_kind,
            owner_id=owner_id,
            url=url,
            headers=headers or {},
            keyring=keyring,
            allow_loopback=True,
        )


def piece(
    endpoint: Endpoint | None = None,
    *,
    body: bytes | None = None,
    digest: bytes | None = None,
    name: str = "messages",
    owner_id: str = "numberCH",
    partner_id: str = PARTNER,
    endpoint_id: UUID | None = None,
    fallback_owner_id: str | None = None,
) -> Piece:
    """Make a piece for an endpoint's owner; each has a digest of its own unless one is given."""
    return Piece(
        partner_id=partner_id,
        owner_kind=endpoint.owner_kind if endpoint else OwnerKind.CHANNEL,
        owner_id=endpoint.owner_id if endpoint else owner_id,
        name=name,
        body=body or b'{"object":"whatsapp_business_account","entry":[]}',
        digest=digest or uuid4().bytes,
        endpoint_id=endpoint.id if endpoint else endpoint_id,
        fallback_owner_id=fallback_owner_id,
    )


async def add_key(database: Database, keyring: Keyring, secret: str, *, overlap_hours: int = 24) -> None:
    """Give the partner a new platform secret."""
    async with database.tenant(PARTNER) as unit:
        await services.add_signing_key(
            unit, partner_id=PARTNER, secret=secret, overlap_hours=overlap_hours, keyring=keyring
        )


async def publish(database: Database, *, name: str, data: Mapping[str, object]) -> UUID:
    """Publish an event of the partner."""
    async with database.tenant(PARTNER) as unit:
        return await services.publish(
            unit,
            partner_id=PARTNER,
            owner_kind=OwnerKind.PARTNER,
            owner_id=PARTNER,
            name=name,
            data=data,
        )


async def details(database: Database) -> list[DeliveryDetail]:
    """Return every delivery of the partner with its attempts, newest first."""
    async with database.tenant(PARTNER) as unit:
        page = await queries.list_deliveries(unit, partner_id=PARTNER, limit=200)
        return [
            await queries.get_delivery(unit, partner_id=PARTNER, delivery_id=line.id) for line in page.items
        ]


async def accept_pieces(database: Database, *pieces: Piece, sender: Sender | None = None) -> int:
    """Accept a batch as the gateway does; return how many the sender got in hand."""
    async with database.system() as unit:
        handed = await services.accept_bodies(unit, pieces, room=sender)
    if sender is not None:
        sender.hand_over(handed)
    return len(handed)


async def states(database: Database) -> dict[str, int]:
    """Count deliveries by state."""
    async with database.system() as unit:
        rows = await unit.fetch_dicts("select state, count(*) as n from delivery group by 1")
    return {row["state"]: row["n"] for row in rows}


async def until(is_so: Callable[[], Awaitable[bool]], *, within: float = 10.0) -> None:
    """Look again and again until something in the database holds."""
    async with asyncio.timeout(within):
        while not await is_so():  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.02)


async def until_states(database: Database, *, within: float = 10.0, **wanted: int) -> None:
    """Wait until the deliveries stand exactly so."""
    seen: dict[str, int] = {}

    async def look() -> bool:
        nonlocal seen
        seen = await states(database)
        return seen == wanted

    try:
        await until(look, within=within)
    except TimeoutError:
        raise AssertionError(f"deliveries stand {seen}, not {wanted}") from None


async def make_due(database: Database, *, delivery_id: UUID | None = None) -> None:
    """Let the time of every waiting delivery (or one) come, and tell the senders."""
    async with database.system() as unit:
        await unit.execute(
            "update delivery set due_at = now() where state = 'pending' and lease is null"
            " and (%(id)s::uuid is null or id = %(id)s)",
            {"id": delivery_id},
        )
        rows = await unit.fetch_dicts("select distinct endpoint_id from delivery where state = 'pending'")
        for row in rows:
            await unit.notify("deliveries", f"due {row['endpoint_id']}")


@asynccontextmanager
async def opened(url: str, *, name: str = "other") -> AsyncIterator[Database]:
    """Open another pool, as another process has."""
    pool = Database(url, name=name, max_size=4)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()
