"""Media and resumable uploads from the business's side."""

from __future__ import annotations

import hashlib

import aiohttp
import pytest

from tests.simulator.harness import APP_ID, Answer, Meta, Shop, seed_shop

PICTURE = b"\xff\xd8\xff" + b"picture" * 50


async def upload(meta: Meta, number_id: str, content: bytes, mime_type: str) -> Answer:
    """Upload a file as clients do."""
    form = aiohttp.FormData()
    form.add_field("messaging_product", "whatsapp")
    form.add_field("type", mime_type)
    form.add_field("file", content, filename="picture.jpg", content_type=mime_type)
    return await meta.post(f"/{number_id}/media", data=form)


async def test_a_file_goes_up_and_comes_down_identical(meta: Meta, shop: Shop) -> None:
    made = await upload(meta, shop.number_id, PICTURE, "image/jpeg")
    assert made.status == 200, made.body
    media_id = made.json["id"]
    assert media_id.isdigit()
    facts = (await meta.get(f"/{media_id}?phone_number_id={shop.number_id}")).json
    assert facts["mime_type"] == "image/jpeg"
    meta.version = ""
    down = await meta.get(facts["url"].removeprefix(meta.url))
    assert hashlib.sha256(down.body).hexdigest() == facts["sha256"]
    assert down.headers["Content-Type"] == "image/jpeg"
    assert (await meta.delete(f"/{media_id}")).json == {"success": True}
    assert (await meta.get(f"/{media_id}")).error["error_subcode"] == 33


async def test_an_uploaded_picture_is_sent_inside_the_window(meta: Meta, shop: Shop) -> None:
    media_id = (await upload(meta, shop.number_id, PICTURE, "image/jpeg")).json["id"]
    answer = await meta.send(shop.number_id, "4915", type="image", image={"id": media_id, "caption": "x"})
    assert answer.status in {200, 400}
    answer = await meta.send(shop.number_id, "491511234567", type="image", image={"id": media_id})
    assert answer.status == 200


async def test_wrong_types_and_sizes_are_refused(meta: Meta, shop: Shop) -> None:
    wrong = await upload(meta, shop.number_id, b"MZ", "application/x-msdownload")
    assert (wrong.status, wrong.error["code"]) == (400, 100)
    big = await upload(meta, shop.number_id, b"x" * (500 * 1024 + 1), "image/webp")
    assert (big.status, big.error["code"]) == (400, 131053)
    form = aiohttp.FormData()
    form.add_field("messaging_product", "whatsapp")
    form.add_field("note", "no file", content_type="text/plain", filename="")
    without = await meta.post(f"/{shop.number_id}/media", data=form)
    assert without.error["code"] == 100


async def test_too_many_failed_reads_block_the_number_for_an_hour(meta: Meta, shop: Shop) -> None:
    media_id = (await upload(meta, shop.number_id, PICTURE, "image/jpeg")).json["id"]
    for _ in range(6):
        assert (await meta.get(f"/{media_id}?phone_number_id=1")).error["code"] == 100
    assert (await meta.get(f"/{media_id}")).error["code"] == 80007
    await meta.admin("POST", "/clock", {"advance_seconds": 3601})
    assert (await meta.get(f"/{media_id}")).status == 200


async def test_a_resumable_upload_yields_a_handle(meta: Meta, shop: Shop) -> None:
    opened = await meta.post(
        f"/{APP_ID}/uploads?file_name=a.png&file_length={len(PICTURE)}&file_type=image/png"
    )
    session = opened.json["id"]
    assert session.startswith("upload:")
    first = await meta.post(f"/{session}", headers={"file_offset": "0"}, data=PICTURE[:100])
    assert first.json == {"id": session, "file_offset": 100}
    assert (await meta.get(f"/{session}")).json == {"id": session, "file_offset": 100}
    wrong = await meta.post(f"/{session}", headers={"file_offset": "5"}, data=PICTURE[100:])
    assert wrong.status == 400
    last = await meta.post(f"/{session}", headers={"file_offset": "100"}, data=PICTURE[100:])
    handle = last.json["h"]
    profile = {"messaging_product": "whatsapp", "about": "hi", "profile_picture_handle": handle}
    changed = await meta.post(f"/{shop.number_id}/whatsapp_business_profile", json=profile)
    assert changed.json == {"success": True}
    shown = (await meta.get(f"/{shop.number_id}/whatsapp_business_profile?fields=about")).json
    assert shown == {"data": [{"about": "hi", "messaging_product": "whatsapp"}]}


async def test_failed_reads_count_against_the_number_that_asked(meta: Meta, shop: Shop) -> None:
    other = await seed_shop(meta, phone_number="+1 555 078 3882")
    media_id = (await upload(meta, shop.number_id, PICTURE, "image/jpeg")).json["id"]
    for _ in range(3):
        assert (await meta.get(f"/{media_id}?phone_number_id={other.number_id}")).error["code"] == 100
        assert (await meta.get(f"/1234567890?phone_number_id={other.number_id}")).error["code"] == 100
    assert (await meta.get(f"/{media_id}?phone_number_id={other.number_id}")).error["code"] == 80007
    assert (await meta.get(f"/{media_id}?phone_number_id={shop.number_id}")).status == 200


async def test_only_a_numbers_own_files_of_the_right_kind_are_sent(meta: Meta, shop: Shop) -> None:
    other = await seed_shop(meta, phone_number="+1 555 078 3882")
    media_id = (await upload(meta, shop.number_id, PICTURE, "image/jpeg")).json["id"]
    foreign = await meta.send(other.number_id, "491511234567", type="image", image={"id": media_id})
    assert (foreign.status, foreign.error["code"]) == (400, 131009)
    wrong = await meta.send(shop.number_id, "491511234567", type="audio", audio={"id": media_id})
    assert (wrong.status, wrong.error["code"]) == (400, 131053)
    as_file = await meta.send(shop.number_id, "491511234567", type="document", document={"id": media_id})
    assert as_file.status == 200


@pytest.mark.parametrize("expiry", ["%C2%B2", "9" * 5_000, "-1", ""])
async def test_an_address_with_an_odd_time_has_expired(meta: Meta, expiry: str) -> None:
    meta.version = ""
    answer = await meta.get(f"/whatsapp_business/attachments/?mid=1&ext={expiry}&hash=x")
    assert answer.status == 404
