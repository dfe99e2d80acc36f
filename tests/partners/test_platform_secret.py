"""The platform secret from its making to its end: sealed for its row, signing for as long as it should."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from tests.factories import make_partner
from tests.processes import SECRET_KEYS, environment
from tests.webhooks.receivers import Got, Receiver, receiver

from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring, SealBroken
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.partners.schemas import SettingsChange
from partnerhub.partners.services import (
    generate_platform_secret,
    reveal_platform_secret,
    update_settings,
)
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import OwnerKind
from partnerhub.webhooks.sender import Sender

ACTOR = Actor(ActorKind.USER, "Zx9Yw8U", "Ann", ip="192.0.2.1")
OTHER_KEY = base64.b64encode(bytes(range(32, 64))).decode()
PLAIN, PREVIOUS = "x-360dialog-signature", "x-360dialog-signature-previous"


@dataclass(frozen=True)
class Desk:
    """A partner at work: settings, secrets, events."""

    database: Database
    keyring: Keyring
    partner_id: str
    receiver: Receiver

    async def set(self, change: SettingsChange) -> None:
        async with self.database.tenant(self.partner_id) as unit:
            await update_settings(
                unit,
                partner_id=self.partner_id,
                change=change,
                actor=ACTOR,
                keyring=self.keyring,
                allow_loopback=True,
            )

    async def generate(self) -> str:
        async with self.database.tenant(self.partner_id) as unit:
            return await generate_platform_secret(
                unit, partner_id=self.partner_id, actor=ACTOR, keyring=self.keyring
            )

    async def reveal(self, keyring: Keyring | None = None) -> str:
        async with self.database.tenant(self.partner_id) as unit:
            return await reveal_platform_secret(
                unit, partner_id=self.partner_id, actor=ACTOR, keyring=keyring or self.keyring
            )

    @asynccontextmanager
    async def sending(self, keyring: Keyring | None = None) -> AsyncIterator[None]:
        """Run a sender."""
        async with HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK) as http:
            sender = Sender(self.database, http, keyring or self.keyring, name="worker", poll_seconds=0.1)
            await sender.start()
            try:
                yield
            finally:
                await sender.close(timeout_seconds=2)

    async def event(self) -> Got:
        """Let something happen and return how it was told."""
        before = len(self.receiver.got)
        async with self.database.tenant(self.partner_id) as unit:
            await webhooks.publish(
                unit,
                partner_id=self.partner_id,
                owner_kind=OwnerKind.PARTNER,
                owner_id=self.partner_id,
                name="channel_live",
                data={"id": "tlbN64CH"},
            )
        return (await self.receiver.wait_for(before + 1))[before]


@pytest.fixture
async def desk(database: Database, keyring: Keyring) -> AsyncIterator[Desk]:
    """Make a partner whose software listens."""
    partner = await make_partner(database)
    async with receiver() as here:
        found = Desk(database, keyring, partner.id, here)
        await found.set(SettingsChange(webhook_url=here.url("/events")))
        yield found


def signature(got: Got, secret: str) -> str:
    return hmac.new(secret.encode(), got.body, hashlib.sha256).hexdigest()


async def test_every_event_is_signed_from_the_moment_there_is_a_secret(desk: Desk) -> None:
    async with desk.sending():
        assert PLAIN not in (await desk.event()).headers
        secret = await desk.generate()
        got = await desk.event()
    assert got.headers[PLAIN] == signature(got, secret)
    assert PREVIOUS not in got.headers


async def test_the_old_secret_signs_beside_the_new_one_for_the_partners_own_hours(desk: Desk) -> None:
    await desk.set(SettingsChange(secret_overlap_hours=5))
    first = await desk.generate()
    began = clock.now()
    async with desk.sending():
        await desk.event()
        second = await desk.generate()
        got = await desk.event()
        assert (got.headers[PLAIN], got.headers[PREVIOUS]) == (signature(got, second), signature(got, first))
        async with desk.database.tenant(desk.partner_id) as unit:
            end: datetime = await unit.fetch_value(
                "select retires_at from signing_key where retires_at is not null"
            )
        assert timedelta(hours=5) <= end - began < timedelta(hours=5, minutes=1)
        with clock.moved_by(timedelta(hours=4, minutes=58)):
            assert PREVIOUS in (await desk.event()).headers
        with clock.moved_by(timedelta(hours=5, minutes=1)):
            got = await desk.event()
            assert PREVIOUS not in got.headers
            assert got.headers[PLAIN] == signature(got, second)


async def test_without_an_overlap_the_old_secret_ends_at_once_even_one_that_overlapped(desk: Desk) -> None:
    await desk.generate()
    await desk.generate()
    await desk.set(SettingsChange(secret_overlap_hours=0))
    third = await desk.generate()
    async with desk.sending():
        got = await desk.event()
    assert got.headers[PLAIN] == signature(got, third)
    assert PREVIOUS not in got.headers
    assert " " not in got.headers["webhook-signature"]


async def test_a_later_and_longer_overlap_keeps_no_older_secret_alive(
    desk: Desk,
) -> None:
    await desk.generate()
    await desk.set(SettingsChange(secret_overlap_hours=2))
    await desk.generate()
    await desk.set(SettingsChange(secret_overlap_hours=48))
    await desk.generate()
    async with desk.database.tenant(desk.partner_id) as unit:
        rows = await unit.fetch_dicts(
            "select retires_at from signing_key where retires_at is not null order by created_at"
        )
    hours = [round((row["retires_at"] - clock.now()) / timedelta(hours=1)) for row in rows]
    assert hours == [2, 48]


async def test_the_secret_opens_in_its_own_row_only(desk: Desk) -> None:
    secret = await desk.generate()
    async with desk.database.tenant(desk.partner_id) as unit:
        stored = bytes(await unit.fetch_value("select secret_sealed from signing_key"))
    assert secret.encode() not in stored
    other = Desk(desk.database, desk.keyring, (await make_partner(desk.database)).id, desk.receiver)
    await other.generate()
    async with desk.database.system() as unit:
        await unit.execute(
            "update signing_key set secret_sealed = %s where partner_id = %s", (stored, other.partner_id)
        )
    with pytest.raises(SealBroken):
        await other.reveal()
    assert await desk.reveal() == secret


async def test_after_keys_rotate_secrets_are_shown_and_sign_without_the_old_envelope_key(
    desk: Desk, database_url: str
) -> None:
    first, second = await desk.generate(), await desk.generate()
    old, new = Keyring.from_text(SECRET_KEYS), Keyring.from_text(OTHER_KEY)
    assert await desk.reveal(old) == second
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "partnerhub.cli", "keys", "rotate"),
        env=environment(database_url, secret_keys=f"{OTHER_KEY},{SECRET_KEYS}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, wrong = await process.communicate()
    assert process.returncode == 0, wrong.decode()
    assert said.decode().strip() == "2 values are under the newest key now."
    assert await desk.reveal(new) == second
    with pytest.raises(SealBroken):
        await desk.reveal(old)
    async with desk.sending(new):
        got = await desk.event()
    assert (got.headers[PLAIN], got.headers[PREVIOUS]) == (signature(got, second), signature(got, first))
