"""A public client of Meta's API, unmodified: its host is the gateway, its token a channel key."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from pywa_async import types
from pywa_async.client import WhatsApp
from pywa_async.errors import ExpiredAccessToken, RateLimitHit, WhatsAppError

from partnerhub.webhooks import services as webhooks
from tests.gateway.stage import CUSTOMER, PARTNER, Stage
from tests.ledger.stock import states
from tests.simulator.harness import until

SECRET = "a-platform-secret-of-the-partner"


class ToGateway(httpx.AsyncHTTPTransport):
    """Resolve Graph's and the media host to the gateway, as a hosts file would."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._target = urlsplit(url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http", host=self._target.hostname, port=self._target.port)
        return await super().handle_async_request(request)


@asynccontextmanager
async def pywa(stage: Stage, token: str) -> AsyncIterator[WhatsApp]:
    """Give a client of the staged number."""
    async with httpx.AsyncClient(transport=ToGateway(stage.client.url)) as session:
        yield WhatsApp(
            phone_id=stage.shop.number_id, token=token, session=session, waba_id=stage.shop.waba_id
        )


async def test_pywa_sends_uploads_downloads_and_reads(stage: Stage) -> None:
    async with stage.database.tenant(PARTNER) as unit:
        await webhooks.add_signing_key(
            unit, partner_id=PARTNER, secret=SECRET, overlap_hours=0, keyring=stage.keyring
        )
    received = await stage.meta.admin(
        "POST", f"/numbers/{stage.shop.number_id}/inbound", {"from": CUSTOMER, "text": "hi"}
    )
    async with pywa(stage, stage.client.key) as client:
        text = await client.send_message(to=CUSTOMER, text="Hello")
        template = await client.send_template(
            to=CUSTOMER, name="news", language=types.templates.TemplateLanguage.ENGLISH_US, params=[]
        )
        image = await client.send_image(to=CUSTOMER, image=b"\xff\xd8\xffpicture", mime_type="image/jpeg")
        assert len({text.id, template.id, image.id}) == 3
        assert await client.mark_message_as_read(message_id=received["wamid"])
        media = await client.upload_media(media=b"\xff\xd8\xffmore", mime_type="image/jpeg")
        url = await client.get_media_url(media_id=media.id)
        assert await client.get_media_bytes(url=url.url) == b"\xff\xd8\xffmore"
        profile = await client.get_business_profile()
        assert profile is not None
        assert [one.name for one in await client.get_templates()] == ["news"]
    # Three statuses for each message, and the customer's own; the signature by the documented recipe.
    await stage.receiver.wait_for(10, within=20)
    for got in stage.receiver.got:
        expected = hmac.new(SECRET.encode(), got.body, hashlib.sha256).hexdigest()
        assert hmac.compare_digest(got.headers["x-360dialog-signature"], expected)
        assert json.loads(got.body)["object"] == "whatsapp_business_account"

    async def is_settled() -> bool:
        found = await states(stage.database)
        return len(found) == 3 and "reserved" not in found

    await until(is_settled, timeout_seconds=10)
    assert sorted(await states(stage.database)) == ["captured", "free", "free"]


async def test_pywa_understands_refusals_of_meta_and_of_the_gateway(stage: Stage) -> None:
    async with pywa(stage, stage.client.key) as client:
        await stage.fault("error", path="/*/messages", code=130429, times=1)
        with pytest.raises(RateLimitHit):
            await client.send_message(to=CUSTOMER, text="Hello")
    async with pywa(stage, "not-a-key") as client:
        with pytest.raises(ExpiredAccessToken):
            await client.send_message(to=CUSTOMER, text="Hello")
    async with pywa(stage, stage.client.key) as client:
        with pytest.raises(WhatsAppError) as missing:
            await client.get_media_url(media_id=stage.shop.template_id)
        assert missing.value.code == 100
