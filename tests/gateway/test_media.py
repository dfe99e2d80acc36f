"""Media through the gateway: the same bytes up and down, and nothing but media."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from tests.gateway.stage import CUSTOMER, Stage, staged
from tests.kit.http.receivers import always
from tests.kit.http.receivers import receiver as http_receiver
from tests.simulator.harness import SYSTEM_TOKEN, Answer
from tests.slow_bodies import post_slowly

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400


def form(content: bytes = PNG, kind: str = "image/png") -> aiohttp.FormData:
    """Write an upload as clients do."""
    data = aiohttp.FormData()
    data.add_field("messaging_product", "whatsapp")
    data.add_field("type", kind)
    data.add_field("file", io.BytesIO(content), filename="a.png", content_type=kind)
    return data


async def upload(stage: Stage, path: str = "/media", **options: Any) -> Answer:  # Any: options of the call
    """Upload a picture."""
    return await stage.client.call("POST", path, data=form(), **options)


async def test_a_picture_goes_up_is_described_comes_down_and_is_deleted(stage: Stage) -> None:
    up = await upload(stage)
    assert up.status == 200, up.body
    media_id = up.json["id"]
    for path in (f"/{media_id}", f"/{media_id}/", f"/v1/media/{media_id}", f"/v25.0/{media_id}"):
        described = await stage.client.call("GET", path)
        assert described.status == 200, described.body
        assert described.json["id"] == media_id
        assert described.json["mime_type"] == "image/png"
        assert described.json["sha256"] == hashlib.sha256(PNG).hexdigest()
        assert isinstance(described.json["file_size"], int)
    # The client puts the gateway's host in place of Meta's and keeps the rest.
    url = urlsplit(described.json["url"])
    down = await stage.client.call("GET", f"{url.path}?{url.query}")
    assert (down.status, down.body) == (200, PNG)
    assert down.headers["content-type"] == "image/png"
    assert "sandbox" in down.headers["content-security-policy"]
    gone = await stage.client.call("DELETE", f"/{media_id}")
    assert (gone.status, gone.json) == (200, {"success": True})
    assert (await stage.client.call("GET", f"/{media_id}")).status == 404


async def test_an_upload_passes_on_each_path_and_a_sent_picture_uses_it(stage: Stage) -> None:
    bearer = {"Authorization": f"Bearer {stage.client.key}"}
    for answer in (
        await upload(stage, "/v1/media"),
        await upload(stage, f"/v23.0/{stage.shop.number_id}/media", headers=bearer),
    ):
        assert answer.status == 200, answer.body
    sent = await stage.client.send(type="image", image={"id": answer.json["id"], "caption": "hi"})
    assert sent.status == 200, sent.body


async def test_a_large_upload_is_streamed_and_metas_refusal_comes_back(stage: Stage) -> None:
    answer = await stage.client.call("POST", "/media", data=form(b"x" * (6 * 1024 * 1024)))
    assert answer.status == 400
    assert answer.error["type"] == "OAuthException"
    as_json = await stage.client.call("POST", "/media", json={"file": "x"})
    assert (as_json.status, as_json.error["type"]) == (400, "GatewayException")


async def test_an_upload_that_is_announced_too_large_is_refused_at_once(stage: Stage) -> None:
    url = urlsplit(stage.client.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(
        f"POST /media HTTP/1.1\r\nHost: x\r\nD360-API-KEY: {stage.client.key}\r\n"
        "Content-Length: 999999999\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n".encode()
    )
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()
    await writer.wait_closed()


async def test_an_incoming_picture_can_be_fetched(stage: Stage) -> None:
    await stage.meta.admin(
        "POST", f"/numbers/{stage.shop.number_id}/inbound", {"from": CUSTOMER, "type": "image"}
    )
    [got] = await stage.receiver.wait_for(1)
    told = json.loads(got.body)["entry"][0]["changes"][0]["value"]["messages"][0]["image"]
    url = urlsplit(told["url"])
    down = await stage.client.call("GET", f"{url.path}?{url.query}")
    assert down.status == 200
    # In webhooks Meta writes the sum in base64, on Graph in hexadecimal.
    assert base64.b64encode(hashlib.sha256(down.body).digest()).decode() == told["sha256"]


async def test_an_id_that_is_no_medium_of_the_number_is_not_found(stage: Stage) -> None:
    other = await stage.meta.admin(
        "PUT", f"/wabas/{stage.shop.waba_id}/numbers", {"phone_number": "+1 555 078 3882"}
    )
    bearer = {"Authorization": f"Bearer {stage.client.key}"}
    for ident in (other["id"], stage.shop.waba_id, stage.shop.template_id, "104999999999999"):
        for prefix in ("/", "/v25.0/"):
            for method in ("GET", "DELETE"):
                answer = await stage.client.call(method, prefix + ident, headers=bearer)
                assert answer.status == 404, (method, prefix + ident, answer.body)
                assert answer.error["code"] == (100 if prefix == "/v25.0/" else 404)
    # Nothing was deleted on the way.
    for ident in (other["id"], stage.shop.waba_id, stage.shop.template_id):
        assert (await stage.meta.get(f"/{ident}", token=SYSTEM_TOKEN)).status == 200
    # The key's own number is its to read, by plain names of fields only.
    own = await stage.client.call("GET", f"/v25.0/{stage.shop.number_id}?fields=id,display_phone_number")
    assert own.json["id"] == stage.shop.number_id
    deep = await stage.client.call(
        "GET", f"/v25.0/{stage.shop.number_id}?fields=whatsapp_business_account{{id,phone_numbers}}"
    )
    assert deep.status == 400


async def test_a_download_leads_to_metas_media_host_and_nowhere_else(stage: Stage) -> None:
    for query in ("mid=1&ext=1&hash=x", "url=http://127.0.0.1:9/", "mid=../../x"):
        answer = await stage.client.call("GET", f"/whatsapp_business/attachments/?{query}")
        assert answer.status >= 400
    keyless = await stage.client.call("GET", "/whatsapp_business/attachments/?mid=1", headers={})
    assert keyless.status == 401


async def test_what_the_media_host_says_instead_of_a_file_shows_no_token(
    database: Database, keyring: Keyring
) -> None:
    body = b'{"error":"Bad token %b"}' % SYSTEM_TOKEN.encode()
    head = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
        body
    )
    async with (
        http_receiver(always(head + body)) as host,
        staged(database, keyring, media_url=host.url("")) as stage,
    ):
        answer = await stage.client.call("GET", "/whatsapp_business/attachments/?mid=1&ext=1&hash=x")
    assert answer.status == 404
    assert b"Bad token [token]" in answer.body
    assert SYSTEM_TOKEN.encode() not in answer.body


async def test_addresses_can_be_rewritten_for_clients_that_do_not(
    database: Database, keyring: Keyring
) -> None:
    async with staged(database, keyring, rewrite_media_urls=True) as stage:
        media_id = (await upload(stage)).json["id"]
        described = await stage.client.call("GET", f"/{media_id}")
        assert described.json["url"].startswith(stage.config.gateway_url + "/whatsapp_business/attachments/")
        async with stage.client.session.get(
            described.json["url"], headers={"D360-API-KEY": stage.client.key}
        ) as answer:
            assert await answer.read() == PNG


async def test_a_resumable_upload_gives_a_handle(stage: Stage) -> None:
    opened = await stage.client.call(
        "POST", f"/uploads?file_name=a.png&file_length={len(PNG)}&file_type=image/png"
    )
    assert opened.status == 200, opened.body
    session = opened.json["id"]
    assert session.startswith("upload:")
    state = await stage.client.call("GET", f"/{session}")
    assert state.json["file_offset"] == 0
    sent = await stage.client.call(
        "POST",
        f"/{session}",
        headers={"D360-API-KEY": stage.client.key, "file_offset": "0"},
        data=io.BytesIO(PNG),
    )
    assert sent.status == 200, sent.body
    assert sent.json["h"]
    assert (await stage.client.call("POST", "/1234567890", data=b"x")).status == 400
    foreign = await stage.client.call("POST", "/v25.0/123456/uploads?file_length=1&file_type=image/png")
    assert foreign.status == 404


async def test_an_upload_may_take_its_time_but_not_stand_still(database: Database, keyring: Keyring) -> None:
    async with staged(database, keyring, body_seconds=0.3) as stage:
        head = (
            b'--x\r\nContent-Disposition: form-data; name="messaging_product"\r\n\r\nwhatsapp\r\n'
            b'--x\r\nContent-Disposition: form-data; name="type"\r\n\r\nimage/png\r\n'
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
            b"Content-Type: image/png\r\n\r\n"
        )
        steady = [head + PNG, *[bytes(100_000)] * 4, b"\r\n--x--\r\n"]
        headers = {"D360-API-KEY": stage.client.key, "Content-Type": "multipart/form-data; boundary=x"}
        url = stage.client.url + "/media"
        size = sum(map(len, steady))
        # Half a second and more for 500 KB: longer than a plain body has, and faster than the lowest rate.
        took = await post_slowly(
            url,
            pieces=steady,
            pause_seconds=0.15,
            length=size,
            headers={**headers, "Connection": "close"},
        )
        assert took.status == 200, took.body
        drip = [head, *[b"x"] * 100]
        slow = await post_slowly(url, pieces=drip, pause_seconds=0.05, length=size, headers=headers)
        assert slow.status == 408, slow.body
        assert json.loads(slow.body)["error"]["error_data"]["details"].endswith("(body_too_slow)")
        # Nothing is left behind that would keep others out.
        assert (await upload(stage)).status == 200
