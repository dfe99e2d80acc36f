"""A small world for messaging tests: channels with webhooks, callbacks as Meta writes them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.messaging.callbacks import Callbacks
from partnerhub.messaging.routes import RouteBook
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import OwnerKind
from partnerhub.webhooks.sender import Sender
from tests import factories

Json = dict[str, Any]  # Any: JSON as Meta writes it


@dataclass
class Desk:
    """What takes callbacks, without the door in front of it."""

    database: Database
    callbacks: Callbacks
    routes: RouteBook

    async def bodies(self) -> list[bytes]:
        """Return the body of every event, oldest first."""
        async with self.database.system() as unit:
            rows = await unit.fetch_dicts("select body from event order by created_at, id")
        return [bytes(row["body"]) for row in rows]

    async def deliveries(self) -> list[Json]:
        """Return every delivery with its owner, oldest first."""
        async with self.database.system() as unit:
            return await unit.fetch_dicts(
                "select owner_kind, owner_id, name from delivery order by created_at, id"
            )

    async def statuses(self) -> list[Json]:
        """Return every status that waits for the settle loop, oldest first."""
        async with self.database.system() as unit:
            return await unit.fetch_dicts("select * from message_status order by id")

    async def changes(self) -> list[Json]:
        """Return every stored change, oldest first."""
        async with self.database.system() as unit:
            return await unit.fetch_dicts("select * from meta_change order by received_at, id")

    async def jobs(self) -> list[Json]:
        """Return name and arguments of every waiting job."""
        async with self.database.pool.connection() as connection:
            rows = await connection.execute("select task_name, args from procrastinate_jobs order by id")
            return [{"name": name, **args} async for name, args in rows]


@asynccontextmanager
async def desk_for(database: Database, keyring: Keyring) -> AsyncIterator[Desk]:
    """Give a desk whose sender does not run, so that deliveries stay where they were put."""
    async with HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK) as http:
        routes = RouteBook(database, keyring, system_token="the-system-token")
        sender = Sender(database, http, keyring, name="idle")
        callbacks = Callbacks(database, routes, sender=sender)
        yield Desk(database, callbacks, routes)
        await callbacks.close()


async def make_number(
    database: Database,
    keyring: Keyring,
    *,
    waba: factories.MadeWaba | None = None,
    webhook: str | None = "https://client.example/hook",
    waba_webhook: str | None = None,
) -> factories.MadeChannel:
    """Make a live channel; its webhook and its account's are set where given."""
    waba = waba or await factories.make_waba(database)
    channel = await factories.make_channel(database, waba=waba)
    owners = [(OwnerKind.CHANNEL, channel.id, webhook), (OwnerKind.WABA, waba.id, waba_webhook)]
    async with database.tenant(channel.partner_id) as unit:
        for kind, ident, url in owners:
            if url is not None:
                await webhooks.set_endpoint(
                    unit,
                    partner_id=channel.partner_id,
                    owner_kind=kind,
                    owner_id=ident,
                    url=url,
                    headers={},
                    keyring=keyring,
                )
    return channel


def value(phone_number_id: str, **members: object) -> Json:
    """Write the value of a message field."""
    metadata = {"display_phone_number": "4930111", "phone_number_id": phone_number_id}
    return {"messaging_product": "whatsapp", "metadata": metadata, **members}


def status(wamid: str, name: str = "delivered", **members: object) -> Json:
    """Write a status."""
    return {
        "id": wamid,
        "status": name,
        "timestamp": "1763600000",
        "recipient_id": "4915112345678",
        **members,
    }


def change(of: Json, field: str = "messages") -> Json:
    """Write a change."""
    return {"field": field, "value": of}


def post(changes: Sequence[Json], *, entry_id: str = "104000000000001", **entry: object) -> bytes:
    """Write a callback of one entry."""
    return json.dumps(
        {
            "object": "whatsapp_business_account",
            "entry": [{"id": entry_id, **entry, "changes": list(changes)}],
        }
    ).encode()
