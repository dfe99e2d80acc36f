"""A public client, unmodified, with nothing but its host pointed here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
from pywa import utils
from pywa_async import types
from pywa_async.client import WhatsApp
from pywa_async.errors import ReEngagementMessage

from tests.simulator.harness import APP_SECRET, SYSTEM_TOKEN, Meta, Receiver, Shop, subscribe, until

CUSTOMER = "4915112345678"


class ToSimulator(httpx.AsyncHTTPTransport):
    """Resolve Graph's host to the simulator, as a hosts file would."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._target = urlsplit(url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http", host=self._target.hostname, port=self._target.port)
        return await super().handle_async_request(request)


@pytest.fixture
async def client(meta: Meta, shop: Shop) -> AsyncIterator[WhatsApp]:
    """A pywa client of the seeded number."""
    async with httpx.AsyncClient(transport=ToSimulator(meta.url)) as session:
        yield WhatsApp(phone_id=shop.number_id, token=SYSTEM_TOKEN, session=session, waba_id=shop.waba_id)


async def test_pywa_sends_uploads_reads_and_verifies(
    meta: Meta, shop: Shop, receiver: Receiver, client: WhatsApp
) -> None:
    await subscribe(meta, receiver, "messages")
    body = {"from": CUSTOMER, "text": "hi"}
    received = await meta.admin("POST", f"/numbers/{shop.number_id}/inbound", body)
    text = await client.send_message(to=CUSTOMER, text="Hello")
    assert text.id.startswith("wamid.")
    template = await client.send_template(
        to=CUSTOMER, name="news", language=types.templates.TemplateLanguage.ENGLISH_US, params=[]
    )
    assert template.id != text.id
    image = await client.send_image(to=CUSTOMER, image=b"\xff\xd8\xffpicture", mime_type="image/jpeg")
    assert image.id
    assert await client.mark_message_as_read(message_id=received["wamid"])
    await until(lambda: len(receiver.statuses) == 9)
    assert utils.webhook_updates_validator(APP_SECRET, receiver.bodies[0], receiver.signatures[0])
    number = await client.get_business_phone_number()
    assert number.id == shop.number_id
    templates = await client.get_templates()
    assert [one.name for one in templates] == ["news"]
    profile = await client.get_business_profile()
    assert profile is not None


async def test_pywa_understands_our_errors(client: WhatsApp, meta: Meta) -> None:
    await meta.admin("PATCH", "/rules", {"service_window": "sync"})
    with pytest.raises(ReEngagementMessage):
        await client.send_message(to="4930123456", text="Hello")
