"""Sending and files: bytes in and out as they are, to Meta's hosts and nowhere else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator

import pytest
from tests.kit.http.receivers import OK, Visit, always, receiver
from tests.meta.conftest import client_of
from tests.simulator.harness import Meta, Shop

from partnerhub.kit.http import HttpClient, StreamBody
from partnerhub.meta import (
    MediaUrlRefused,
    MessageAccepted,
    MetaClient,
    MetaError,
    RetryClass,
    UploadHandle,
    UploadProgress,
)

# Written by hand, with spaces, escapes and an order that no serialiser would make.
ODD = (
    b'{ "to":"15550001111" ,"messaging_product" : "whatsapp","type":"text",\n'
    b'"text":{"preview_url":false,"body":"Gr\\u00fc\xc3\x9fe \\ud83d\\ude00"}}'
)


async def test_a_message_reaches_meta_byte_for_byte(simulator: Meta, shop: Shop, meta: MetaClient) -> None:
    answer = await meta.messages.send(shop.number_id, token=simulator.token, body=ODD)
    assert (answer.status, answer.error) == (200, None)
    assert answer.content_type.startswith("application/json")
    accepted = answer.read(MessageAccepted)
    assert accepted.messages[0].id.startswith("wamid.")
    assert accepted.contacts[0].wa_id == "15550001111"
    assert json.loads(answer.body)["messaging_product"] == "whatsapp"
    [call] = await simulator.admin("GET", "/calls?path=/messages")
    assert call["body"].encode() == ODD


async def test_a_refusal_comes_back_byte_for_byte(simulator: Meta, shop: Shop, meta: MetaClient) -> None:
    body = ODD.replace(
        b'"type":"text"', b'"type":"template","template":{"name":"none","language":{"code":"en_US"}}'
    )
    answer = await meta.messages.send(shop.number_id, token=simulator.token, body=body)
    assert (answer.status, answer.error and answer.error.upstream_code) == (404, 132001)
    assert json.loads(answer.body)["error"]["code"] == 132001


async def test_a_marketing_template_goes_by_its_own_edge(
    simulator: Meta, shop: Shop, meta: MetaClient
) -> None:
    body = json.dumps(
        {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "15550001111",
            "type": "template",
            "template": {"name": "news", "language": {"code": "en_US"}},
            "product_policy": "CLOUD_API_FALLBACK",
        }
    ).encode()
    answer = await meta.messages.send(
        shop.number_id, token=simulator.token, body=body, edge="marketing_messages"
    )
    assert answer.read(MessageAccepted).messages[0].id
    assert len(await simulator.admin("GET", "/calls?path=/marketing_messages")) == 1


async def test_a_message_of_a_customer_is_marked_as_read(
    simulator: Meta, shop: Shop, meta: MetaClient
) -> None:
    made = await simulator.admin(
        "POST",
        f"/numbers/{shop.number_id}/inbound",
        {"from": "15550001111", "text": "hi"},
    )
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": made["wamid"]}
    answer = await meta.messages.send(shop.number_id, token=simulator.token, body=json.dumps(body).encode())
    assert json.loads(answer.body) == {"success": True}


async def test_any_call_can_be_passed_on(simulator: Meta, shop: Shop, meta: MetaClient) -> None:
    answer = await meta.call(
        "GET", f"/{shop.number_id}", token=simulator.token, query={"fields": "id,username"}
    )
    assert answer.read(dict) == {"id": shop.number_id}
    answer = await meta.call(
        "POST",
        f"/{shop.number_id}/conversational_automation",
        token=simulator.token,
        body=b"enable_welcome_message=true",
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.read(dict) == {"success": True}
    refused = await meta.call("DELETE", f"/{shop.number_id}/nothing", token=simulator.token)
    assert refused.status == 400
    assert refused.error is not None


async def slices(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 5_000):
        yield content[start : start + 5_000]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_file_is_uploaded_described_downloaded_and_deleted(
    streamed: bool, simulator: Meta, shop: Shop, meta: MetaClient
) -> None:
    content = bytes(range(256)) * 200
    media_id = await meta.media.upload(
        shop.number_id,
        token=simulator.token,
        content=slices(content) if streamed else content,
        length=len(content) if streamed else None,
        content_type="image/png",
        filename="picture.png",
    )
    info = await meta.media.get(media_id, token=simulator.token, number_id=shop.number_id)
    assert (info.mime_type, info.file_size) == ("image/png", len(content))
    assert info.sha256 == hashlib.sha256(content).hexdigest()
    assert info.url is not None
    async with meta.media.download(info.url, token=simulator.token) as answer:
        assert (answer.status, answer.headers.get("content-type")) == (200, "image/png")
        assert await answer.read() == content
    await meta.media.delete(media_id, token=simulator.token, number_id=shop.number_id)
    with pytest.raises(MetaError) as caught:
        await meta.media.get(media_id, token=simulator.token)
    assert caught.value.retry_class is RetryClass.FINAL


async def test_a_form_of_a_client_is_passed_on(simulator: Meta, shop: Shop, meta: MetaClient) -> None:
    form = (
        b'--xyz\r\nContent-Disposition: form-data; name="messaging_product"\r\n\r\nwhatsapp\r\n'
        b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n'
        b"Content-Type: application/pdf\r\n\r\n%PDF-1.7\r\n--xyz--\r\n"
    )
    answer = await meta.media.upload_form(
        shop.number_id,
        token=simulator.token,
        body=StreamBody(content=slices(form), length=len(form)),
        content_type="multipart/form-data; boundary=xyz",
    )
    assert answer.read(dict)["id"].isdigit()
    answer = await meta.media.upload_form(
        shop.number_id, token=simulator.token, body=form, content_type="multipart/form-data; boundary=other"
    )
    assert answer.error is not None
    assert answer.error.upstream_code == 100


async def test_an_old_address_of_a_file_is_answered_and_not_raised(simulator: Meta, meta: MetaClient) -> None:
    url = f"{simulator.url}/whatsapp_business/attachments/?mid=1&ext=2&hash=x"
    async with meta.media.download(url, token=simulator.token) as answer:
        assert answer.status == 404
        assert await answer.read() == b"URL signature expired"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/whatsapp_business/attachments/../../me",
        "/whatsapp_business/attachments/x",
        "/v23.0/me?x=/whatsapp_business/attachments",
        "//whatsapp_business/attachments",
    ],
)
async def test_a_token_goes_to_the_path_of_files_only(path: str, http: HttpClient) -> None:
    async with receiver(always(OK)) as here:
        with pytest.raises(MediaUrlRefused):
            async with client_of(here.url(""), http).media.download(here.url(path), token="t"):
                pytest.fail("a download was opened")
        assert here.connections == 0


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1.", "127.1", "user@127.0.0.1", "evil.example"])
async def test_a_token_goes_to_the_host_of_files_only(host: str, http: HttpClient) -> None:
    async with receiver(always(OK)) as here:
        meta = client_of(here.url(""), http)
        url = f"http://{host}:{here.port}/whatsapp_business/attachments/?mid=1"
        with pytest.raises(MediaUrlRefused):
            async with meta.media.download(url, token="t"):
                pytest.fail("a download was opened")
        other = f"http://127.0.0.1:{here.port + 1}/whatsapp_business/attachments/?mid=1"
        with pytest.raises(MediaUrlRefused):
            async with meta.media.download(other, token="t"):
                pytest.fail("a download was opened")
        assert here.connections == 0


async def test_a_redirect_of_a_file_takes_the_token_nowhere(http: HttpClient) -> None:
    async with receiver(always(OK)) as elsewhere:
        moved = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % elsewhere.url().encode()
        async with receiver(always(moved)) as here:
            url = here.url("/whatsapp_business/attachments/?mid=1")
            async with client_of(here.url(""), http).media.download(url, token="t") as answer:
                assert answer.status == 302
        assert elsewhere.connections == 0


async def test_an_upload_goes_on_after_a_break(simulator: Meta, shop: Shop, meta: MetaClient) -> None:
    content = b"x" * 1000
    upload = await meta.media.open_upload(
        token=simulator.token, length=len(content), content_type="image/png", filename="logo.png"
    )
    first = await meta.media.send_upload(upload, token=simulator.token, content=content[:400])
    assert isinstance(first, UploadProgress)
    offset = (await meta.media.get_upload(upload, token=simulator.token)).file_offset
    assert offset == first.file_offset == 400
    done = await meta.media.send_upload(
        upload, token=simulator.token, content=content[offset:], offset=offset
    )
    assert isinstance(done, UploadHandle)
    await meta.numbers.update_profile(
        shop.number_id, token=simulator.token, changes={"profile_picture_handle": done.h}
    )
    profile = await meta.numbers.get_profile(shop.number_id, token=simulator.token)
    assert profile.profile_picture_url is not None


async def test_an_upload_id_with_a_signature_keeps_it(http: HttpClient) -> None:
    body = b'{"h":"4::handle"}'
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with receiver(always(raw + body)) as here:
        meta = client_of(here.url(""), http)
        done = await meta.media.send_upload("upload:MTph==?sig=ARZ-q_1", token="t", content=b"x", offset=7)
        assert done == UploadHandle(h="4::handle")
        assert here.requests[0].lines[0] == "POST /v23.0/upload:MTph==?sig=ARZ-q_1 HTTP/1.1"
        assert here.requests[0].header("file_offset") == "7"


async def test_templates_are_listed_page_by_page(simulator: Meta, shop: Shop, meta: MetaClient) -> None:
    for number in range(12):
        made = await meta.templates.create(
            shop.waba_id,
            token=simulator.token,
            template={
                "name": f"order_{number}",
                "language": "en_US",
                "category": "UTILITY",
                "components": [{"type": "BODY", "text": "Your order is on its way."}],
            },
        )
        assert (made.status, made.category) == ("PENDING", "UTILITY")
    names = [
        template.name
        async for template in meta.templates.list_all(shop.waba_id, token=simulator.token, page_size=5)
    ]
    assert sorted(names, key=str) == sorted(["news", *(f"order_{number}" for number in range(12))])
    assert len(await simulator.admin("GET", "/calls?path=/message_templates&method=GET")) == 3
    found = [
        template
        async for template in meta.templates.list_all(
            shop.waba_id, token=simulator.token, filters={"name": "order_11"}
        )
    ]
    assert [template.name for template in found] == ["order_11"]
    assert found[0].components[0]["text"] == "Your order is on its way."


async def test_a_template_is_edited_unpaused_and_deleted(
    simulator: Meta, shop: Shop, meta: MetaClient
) -> None:
    token = simulator.token
    await meta.templates.edit(
        shop.template_id, token=token, changes={"components": [{"type": "BODY", "text": "New words."}]}
    )
    template = await meta.templates.get(shop.template_id, token=token)
    assert template.components == [{"type": "BODY", "text": "New words."}]
    await simulator.admin(
        "POST", f"/templates/{shop.template_id}/decision", {"status": "PAUSED", "title": "FIRST_PAUSE"}
    )
    assert (await meta.templates.get(shop.template_id, token=token)).status == "PAUSED"
    await meta.templates.unpause(shop.template_id, token=token)
    assert (await meta.templates.get(shop.template_id, token=token)).status == "APPROVED"
    await meta.templates.delete(shop.waba_id, token=token, name="news", template_id=shop.template_id)
    with pytest.raises(MetaError) as caught:
        await meta.templates.delete(shop.waba_id, token=token, name="news")
    assert (caught.value.upstream_code, caught.value.user_title) == (100, "Message template not found")


async def test_the_next_page_is_asked_by_its_cursor(http: HttpClient) -> None:
    # The address of the next page leads elsewhere and carries a token; only the cursor may be used.
    page = (
        b'{"data":[{"id":"1"}],"paging":{"cursors":{"after":"Q%2BB=="},'
        b'"next":"https://evil.example/v23.0/1?access_token=EAA&after=zzz"}}'
    )
    last = b'{"data":[{"id":"2"}],"paging":{"cursors":{"after":"x"}}}'
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body) for body in (page, last)
    ]

    async def script(visit: Visit) -> None:
        for answer in answers:
            await visit.request()
            await visit.send(answer)

    async with receiver(script) as here:
        meta = client_of(here.url(""), http)
        found = await meta.accounts.list_owned("9", token="t")
        assert [account.id for account in found] == ["1", "2"]
        assert (
            here.requests[1]
            .lines[0]
            .endswith("/owned_whatsapp_business_accounts?after=Q%252BB%3D%3D HTTP/1.1")
        )


async def test_a_number_that_meta_writes_as_text_is_a_number(http: HttpClient) -> None:
    # As the example of Meta's OpenAPI has it; its guide shows a number.
    body = b'{"id":"2621233374848975","file_size":"303833","mime_type":"image/jpeg"}'
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with receiver(always(raw + body)) as here:
        info = await client_of(here.url(""), http).media.get("2621233374848975", token="t")
        assert (info.id, info.file_size) == ("2621233374848975", 303833)


async def test_a_profile_is_found_one_level_deeper_too(http: HttpClient) -> None:
    body = b'{"data":[{"business_profile":{"about":"We sell things."},"id":"1"}]}'
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with receiver(always(raw + body)) as here:
        profile = await client_of(here.url(""), http).numbers.get_profile("1", token="t")
        assert profile.about == "We sell things."
