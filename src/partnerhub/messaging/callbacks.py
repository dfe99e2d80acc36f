"""Meta's callbacks in: split, routed, and committed before Meta hears its 200.

In one commit, shared with other callbacks that arrive meanwhile: a delivery for every number concerned, a row
for every status (the settle loop reads them), and a row with a job for every change that another package
owns. What we cannot read or place is kept too, with the reason: Meta would send it again for days, and it
would be no clearer then.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import msgspec

from partnerhub.kit import jobs, logs
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.ids import uuid7
from partnerhub.messaging.batches import MicroBatcher
from partnerhub.messaging.envelopes import (
    Change,
    Malformed,
    StatusUpdate,
    digest_of,
    digest_text,
    read_envelope,
)
from partnerhub.messaging.routes import LiveRoute, RouteBook
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import OwnerKind, Piece
from partnerhub.webhooks.sender import Sender

ROUTE_JOB: Final = "messaging.route_change"

# What the number's own webhook gets in the commit. Groups and calls belong to a number as messages do.
NUMBER_FIELDS: Final = frozenset(
    {
        "messages",
        "calls",
        "smb_message_echoes",
        "message_echoes",
        "smb_app_state_sync",
        "group_lifecycle_update",
        "group_participants_update",
        "group_settings_update",
        "group_status_update",
    }
)
# Goes to the number's webhook and, by a job, to the partner's as well (source: coexistence, destinations).
ALSO_ROUTED: Final = frozenset({"smb_app_state_sync"})

_log = logs.get(__name__)


class _StatusRow(msgspec.Struct):
    partner_id: str
    channel_id: str
    wamid: str
    participant: str
    recipient: str
    status: str
    at: str
    pricing: msgspec.Raw | None
    error_code: int | None
    currency: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A change that is kept for a job, as an envelope of its own; `error` says why nobody can take it yet."""

    id: UUID
    field: str
    entry_id: str
    phone_number_id: str
    body: bytes
    digest: bytes | None
    error: str | None


@dataclass(slots=True)
class _Post:
    """One callback, ready to be written."""

    pieces: list[Piece] = field(default_factory=list)
    statuses: list[_StatusRow] = field(default_factory=list)
    changes: list[StoredChange] = field(default_factory=list)

    def weight(self) -> int:
        """Return about how many bytes the commit grows by."""
        return sum(len(piece.body) for piece in self.pieces) + sum(
            len(change.body) for change in self.changes
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """What one callback held: for metrics and tests."""

    deliveries: int
    statuses: int
    stored: int


class Callbacks:
    """Takes callbacks in one process."""

    def __init__(
        self,
        database: Database,
        routes: RouteBook,
        *,
        sender: Sender,
        max_waiting: int = 2_000,
    ) -> None:
        """`sender` gets the deliveries of each commit for their first attempt, as far as it has room."""
        self._database = database
        self._routes = routes
        self._sender = sender
        self._batcher: MicroBatcher[_Post, Taken] = MicroBatcher(
            self._write, max_items=100, max_waiting=max_waiting
        )

    @property
    def waiting(self) -> int:
        """How many callbacks wait for a commit."""
        return self._batcher.waiting

    async def take(self, text: bytes) -> Taken:
        """Return once everything in the callback is committed; its signature was verified by the caller.

        Raises: QueueFull, DatabaseAway; then nothing is promised and Meta sends it again.
        """
        try:
            envelope = read_envelope(text)
        except Malformed as error:
            _log.warning("callback_malformed", reason=str(error)[:200], size=len(text))
            post = _Post(changes=[_stored("", "", "", text, digest_text(text), error="malformed")])
            return await self._batcher.submit(post, weight=post.weight())
        post = _Post()
        numbers: dict[str, list[Change]] = {}
        for change in envelope.changes:
            if change.field in NUMBER_FIELDS and change.phone_number_id:
                numbers.setdefault(change.phone_number_id, []).append(change)
            if change.field not in NUMBER_FIELDS or not change.phone_number_id or change.field in ALSO_ROUTED:
                post.changes.append(_of_change(change, envelope.assemble([change]), error=None))
        for phone_number_id, changes in numbers.items():
            live = await self._routes.by_phone(phone_number_id)
            if live is None:
                _log.warning("callback_of_unknown_number", phone_number_id=phone_number_id)
                post.changes.extend(
                    _of_change(change, envelope.assemble([change]), error="unknown_number")
                    for change in changes
                )
            else:
                post.pieces.append(piece_for(live, changes, envelope.assemble(changes)))
                post.statuses.extend(status_rows(live, changes))
                unreadable = [change for change in changes if change.unreadable]
                post.changes.extend(
                    _of_change(change, envelope.assemble([change]), error="unreadable_status")
                    for change in unreadable
                )
        return await self._batcher.submit(post, weight=post.weight())

    async def close(self) -> None:
        """Write what waits."""
        await self._batcher.close()

    async def _write(self, posts: Sequence[_Post]) -> list[Taken]:
        pieces = [piece for post in posts for piece in post.pieces]
        async with self._database.system() as unit:
            handovers = await webhooks.accept_bodies(unit, pieces, room=self._sender)
            await insert_statuses(unit, [row for post in posts for row in post.statuses])
            await insert_changes(unit, [change for post in posts for change in post.changes])
        self._sender.hand_over(handovers)
        return [
            Taken(deliveries=len(post.pieces), statuses=len(post.statuses), stored=len(post.changes))
            for post in posts
        ]


def piece_for(live: LiveRoute, changes: Sequence[Change], body: bytes) -> Piece:
    """Return the delivery of these changes to the number's webhook, or its WABA's."""
    route = live.route
    return Piece(
        partner_id=route.partner_id,
        owner_kind=OwnerKind.CHANNEL,
        owner_id=route.channel_id,
        name=changes[0].field,
        body=body,
        # Without content that names it, a repeat cannot be told from a second event: both are delivered.
        digest=digest_of(changes) or os.urandom(16),
        endpoint_id=live.endpoint_id,
        fallback_owner_id=route.waba_id,
    )


def _of_change(change: Change, body: bytes, *, error: str | None) -> StoredChange:
    return _stored(change.field, change.entry_id, change.phone_number_id, body, change.digest, error=error)


def _stored(
    field_name: str,
    entry_id: str,
    phone_number_id: str,
    body: bytes,
    digest: bytes | None,
    *,
    error: str | None,
) -> StoredChange:
    return StoredChange(
        id=uuid7(),
        field=field_name,
        entry_id=entry_id,
        phone_number_id=phone_number_id,
        body=body,
        digest=digest,
        error=error,
    )


def status_rows(live: LiveRoute, changes: Iterable[Change]) -> list[_StatusRow]:
    return [_row(live, status) for change in changes for status in change.statuses]


def _row(live: LiveRoute, status: StatusUpdate) -> _StatusRow:
    return _StatusRow(
        partner_id=live.route.partner_id,
        channel_id=live.route.channel_id,
        wamid=status.wamid,
        participant=status.participant,
        recipient=status.recipient,
        status=status.status,
        at=status.at.isoformat(),
        pricing=None if status.pricing is None else msgspec.Raw(status.pricing),
        error_code=status.error_code,
        currency=live.route.currency,
        time_zone=live.route.time_zone,
    )


async def insert_statuses(unit: Unit, rows: Sequence[_StatusRow]) -> None:
    """Add statuses for the settle loop; a repeat is added again and settles to nothing new."""
    if not rows:
        return
    await unit.execute(
        """
        insert into message_status (partner_id, channel_id, wamid, participant, recipient, status, at,
                                    pricing, error_code, currency, time_zone)
        select partner_id, channel_id, wamid, participant, recipient, status, at, pricing, error_code,
               currency, time_zone
        from jsonb_to_recordset(%s::jsonb) as told (
          partner_id text, channel_id text, wamid text, participant text, recipient text, status text,
          at timestamptz, pricing jsonb, error_code integer, currency text, time_zone text)
        """,
        (msgspec.json.encode(rows).decode(),),
    )


async def insert_changes(unit: Unit, changes: Sequence[StoredChange]) -> None:
    """Keep changes for their jobs; one that was kept before is dropped."""
    for change in changes:
        digest = change.digest
        if digest is not None and not await unit.execute(
            "insert into callback_seen (digest) values (%s) on conflict do nothing",
            # Beside the piece that carries the same change, which has the plain digest.
            (b"change:" + digest,),
        ):
            continue
        await unit.execute(
            "insert into meta_change (id, field, entry_id, phone_number_id, body, error)"
            " values (%s, %s, %s, %s, %s, %s)",
            (change.id, change.field, change.entry_id, change.phone_number_id, change.body, change.error),
        )
        if change.error is None:
            await jobs.defer(unit, ROUTE_JOB, change_id=str(change.id))
