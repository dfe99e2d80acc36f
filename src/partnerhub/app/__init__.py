"""Composition: settings become the processes of an installation.

One module per service, because a process that is started again must not load what it never uses. What they
share stands here; `serving` runs one of them until a signal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.kit.mail import MailServer, Security
from partnerhub.meta import MetaClient
from partnerhub.settings import Settings
from partnerhub.webhooks.sender import Sender


def keyring_of(settings: Settings) -> Keyring:
    """Return the installation's envelope keys."""
    return Keyring.from_text(settings.secret_keys)


def mail_server_of(settings: Settings) -> MailServer:
    """Return where mail is handed over."""
    return MailServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        sender=settings.mail_from,
        sender_name=settings.brand_name,
        username=settings.smtp_user,
        password=settings.smtp_password,
        security=Security(settings.smtp_tls),
    )


def outbound_policy(settings: Settings) -> AddressPolicy:
    """Return which addresses webhooks may reach: public ones, and loopback in development."""
    return AddressPolicy.PUBLIC_AND_LOOPBACK if settings.development else AddressPolicy.PUBLIC


@asynccontextmanager
async def open_database(settings: Settings, *, name: str) -> AsyncIterator[Database]:
    """Open the process's pool."""
    database = Database(settings.database_url, name=name, max_size=settings.database_connections)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_sender(
    settings: Settings, database: Database, keyring: Keyring, *, name: str, claims: bool
) -> AsyncIterator[Sender]:
    """Start the process's delivery sender."""
    async with HttpClient(policy=outbound_policy(settings)) as http:
        sender = Sender(database, http, keyring, name=name, claims=claims)
        await sender.start()
        try:
            yield sender
        finally:
            await sender.close()


def meta_client(settings: Settings, http: HttpClient) -> MetaClient:
    """Return the client of Meta's Graph API."""
    return MetaClient(
        http,
        app_id=settings.meta_app_id,
        app_secret=settings.meta_app_secrets[0],
        base_url=settings.meta_graph_url,
        version=settings.meta_graph_version,
        media_origins=(settings.meta_media_url,),
    )
