"""A process that accepts events and delivers them, to be killed: `python -m tests.webhooks.sender_process`.

It does what the gateway does: commits pieces in batches with its own lease, and hands them to its sender. It
says what it has committed, line by line, on standard output.
"""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID

import uvloop

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.webhooks import services
from partnerhub.webhooks.schemas import OwnerKind, Piece
from partnerhub.webhooks.sender import Sender


async def main(url: str, name: str, endpoint_id: str, number: int) -> None:
    """Accept `number` events in batches of ten, then stay alive."""
    database = Database(url, name=name, max_size=3)
    await database.open()
    http = HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK)
    sender = Sender(database, http, Keyring([bytes(range(32))]), name=name)
    await sender.start()
    for first in range(0, number, 10):
        pieces = [
            Piece(
                partner_id="acmeAAPA",
                owner_kind=OwnerKind.CHANNEL,
                owner_id="numberCH",
                name="messages",
                body=f"{name}-{index}".encode(),
                digest=f"{name}-{index}".encode(),
                endpoint_id=UUID(endpoint_id),
            )
            for index in range(first, first + 10)
        ]
        async with database.system() as unit:
            rows = await services.accept_bodies(unit, pieces, room=sender)
        for piece in pieces:
            print(piece.body.decode(), flush=True)
        sender.hand_over(rows)
        await asyncio.sleep(0)
    print("all", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
