"""Taking events in: one partner event at a time, or a batch of bodies as received.

Event and delivery are rows of the caller's transaction: what was committed is delivered, what was rolled back
never happened.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid4

import msgspec

from partnerhub.kit.database import Query, Unit
from partnerhub.webhooks import moments, sql
from partnerhub.webhooks.policy import LEASE_SECONDS
from partnerhub.webhooks.schemas import Handover, OwnerKind, Piece
from partnerhub.webhooks.turns import CHANNEL


class Room(Protocol):
    """A sender of this process, as far as inserting for it needs to know."""

    @property
    def lease(self) -> UUID:
        """The token that rows leased to it carry."""

    def room(self, endpoint_id: UUID) -> int:
        """Say how many more deliveries to this endpoint it takes."""

    def overflow(self, endpoints: Collection[UUID]) -> Collection[UUID]:
        """Hear which endpoints got more than that; return those that other senders should hear of now."""


@dataclass(frozen=True)
class _Made:
    id: UUID
    endpoint_id: UUID
    state: str
    is_leased: bool


async def publish(
    unit: Unit,
    *,
    partner_id: str,
    owner_kind: OwnerKind,
    owner_id: str,
    name: str,
    data: Mapping[str, Any],  # Any: the data object of a partner event, as its publisher shapes it
) -> UUID:
    """Record a partner event and its delivery in this transaction; return the event's id.

    The body is `{"id", "event", "data"}`, stored once and sent byte for byte on every attempt. It is recorded
    without an endpoint too, and can be replayed later. Senders are woken by the commit.
    """
    event_id, event_at = moments.new()
    body = msgspec.json.encode({"id": str(event_id), "event": name, "data": data})
    piece = Piece(
        partner_id=partner_id, owner_kind=owner_kind, owner_id=owner_id, name=name, body=body, digest=b""
    )
    delivery = moments.new()
    made = await _insert(
        unit, sql.PUBLISH, _columns([piece], [(event_id, event_at)], [delivery], [False]), lease=uuid4()
    )
    await _tell(unit, _waiting(made))
    return event_id


async def accept_bodies(unit: Unit, pieces: Sequence[Piece], *, room: Room | None = None) -> list[Handover]:
    """Record a batch of events as received, each once, with a delivery for every one that has an endpoint.

    One round trip. A piece whose digest was taken before, in this batch or ever, makes no second event. With
    `room` (the process's own sender) deliveries are leased to it as far as it has room; hand the returned
    rows to its `hand_over` after the commit, and not at all after a rollback. The rest waits for any sender.
    """
    # Sorted, so that two batches with the same digests cannot wait for each other.
    unique = sorted({piece.digest: piece for piece in reversed(pieces)}.values(), key=lambda p: p.digest)
    if not unique:
        return []
    events = [moments.new() for _ in unique]
    deliveries = [moments.new() for _ in unique]
    leased = _share(unique, room)
    lease = room.lease if room is not None else uuid4()
    until = time.monotonic() + LEASE_SECONDS
    made = await _insert(unit, sql.ACCEPT, _columns(unique, events, deliveries, leased), lease=lease)
    waiting = _waiting(made)
    if waiting:
        await _tell(unit, waiting if room is None else room.overflow(waiting))
    handed = {row.id for row in made if row.is_leased}
    return [
        Handover(
            id=delivery_id,
            created_at=delivery_at,
            event_id=event_id,
            partner_id=piece.partner_id,
            endpoint_id=piece.endpoint_id,
            owner_kind=piece.owner_kind,
            body=piece.body,
            lease=lease,
            lease_until=until,
        )
        for piece, (event_id, _), (delivery_id, delivery_at) in zip(unique, events, deliveries, strict=True)
        if delivery_id in handed and piece.endpoint_id is not None
    ]


def _share(pieces: Sequence[Piece], room: Room | None) -> list[bool]:
    """Choose which pieces this process's sender takes itself."""
    if room is None:
        return [False] * len(pieces)
    left: dict[UUID, int] = {}
    chosen = []
    for piece in pieces:
        endpoint_id = piece.endpoint_id
        if endpoint_id is None:
            chosen.append(False)
            continue
        free = left[endpoint_id] if endpoint_id in left else room.room(endpoint_id)
        chosen.append(free > 0)
        left[endpoint_id] = free - 1
    return chosen


def _columns(
    pieces: Sequence[Piece],
    events: Sequence[tuple[UUID, object]],
    deliveries: Sequence[tuple[UUID, object]],
    leased: Sequence[bool],
) -> dict[str, list[object]]:
    return {
        "event_ids": [ident for ident, _ in events],
        "event_ats": [at for _, at in events],
        "delivery_ids": [ident for ident, _ in deliveries],
        "delivery_ats": [at for _, at in deliveries],
        "partner_ids": [piece.partner_id for piece in pieces],
        "owner_kinds": [str(piece.owner_kind) for piece in pieces],
        "owner_ids": [piece.owner_id for piece in pieces],
        "fallback_ids": [piece.fallback_owner_id for piece in pieces],
        "endpoint_ids": [piece.endpoint_id for piece in pieces],
        "names": [piece.name for piece in pieces],
        "bodies": [piece.body for piece in pieces],
        "digests": [piece.digest for piece in pieces],
        "leased": list(leased),
    }


async def _insert(
    unit: Unit, query: Query, columns: Mapping[str, list[object]], *, lease: UUID
) -> list[_Made]:
    return await unit.fetch_all(_Made, query, {**columns, "lease": lease, "lease_seconds": LEASE_SECONDS})


def _waiting(made: Sequence[_Made]) -> set[UUID]:
    return {row.endpoint_id for row in made if row.state == "pending" and not row.is_leased}


async def _tell(unit: Unit, endpoints: Collection[UUID]) -> None:
    for endpoint_id in endpoints:
        await unit.notify(CHANNEL, f"due {endpoint_id}")
