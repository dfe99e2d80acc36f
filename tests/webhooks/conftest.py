"""Fixtures of the webhook tests: a client that may call loopback, senders, receivers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.webhooks.receivers import Receiver, Script, accept, receiver
from tests.webhooks.steps import MakeReceiver, MakeSender

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.webhooks.sender import Sender
from partnerhub.webhooks.stock import Caps


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    """Give a client that may call receivers on this machine."""
    async with HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK) as client:
        yield client


@pytest.fixture
async def make_sender(database: Database, http: HttpClient, keyring: Keyring) -> AsyncIterator[MakeSender]:
    """Give a maker of running senders."""
    made: list[Sender] = []

    async def make(
        name: str = "one", *, caps: Caps | None = None, claims: bool = True, poll_seconds: float = 0.2
    ) -> Sender:
        sender = Sender(
            database, http, keyring, name=name, caps=caps, claims=claims, poll_seconds=poll_seconds
        )
        await sender.start()
        made.append(sender)
        return sender

    yield make
    for sender in made:
        await sender.close(timeout_seconds=2)


@pytest.fixture
async def make_receiver() -> AsyncIterator[MakeReceiver]:
    """Give a maker of running receivers."""
    open_ones = []

    async def make(script: Script = accept, *, port: int = 0) -> Receiver:
        context = receiver(script, port=port)
        here = await context.__aenter__()
        open_ones.append(context)
        return here

    yield make
    for context in open_ones:
        await context.__aexit__(None, None, None)
