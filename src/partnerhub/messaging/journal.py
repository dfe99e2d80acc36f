"""The rows of sent messages, written in group commits."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from partnerhub.kit.database import Database
from partnerhub.messaging.batches import MicroBatcher


class SentMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a send: never its content. `id` is the key of its reservation, where it has one.

    Without a `wamid` nobody knows whether Meta took it; the settle loop may find out.
    """

    id: UUID
    partner_id: str
    channel_id: str
    wamid: str | None
    recipient: str
    type: str
    category: str
    template: str | None
    status: str


class Journal:
    """Writes sent messages of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Its caller waits for the ledger's commit at the same time, which takes longer than this.
        self._batcher: MicroBatcher[SentMessage, None] = MicroBatcher(
            self._write, max_items=500, linger_seconds=0.004
        )

    async def record(self, message: SentMessage) -> None:
        """Return once the row is committed.

        Raises: QueueFull, DatabaseAway.
        """
        await self._batcher.submit(message)

    async def close(self) -> None:
        """Write what waits."""
        await self._batcher.close()

    async def _write(self, messages: Sequence[SentMessage]) -> list[None]:
        async with self._database.system() as unit:
            await unit.execute(
                """
                insert into message (id, created_at, partner_id, channel_id, wamid, recipient, type, category,
                                     template, status, modified_at)
                select id, now(), partner_id, channel_id, wamid, recipient, type, category, template, status,
                       now()
                from jsonb_to_recordset(%s::jsonb) as sent (
                  id uuid, partner_id text, channel_id text, wamid text, recipient text, type text,
                  category text, template text, status text)
                """,
                (msgspec.json.encode(messages).decode(),),
            )
        return [None] * len(messages)
