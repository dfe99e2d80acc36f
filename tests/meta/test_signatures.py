"""The signature of Meta's callbacks: what verifies, and that nothing else does."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.http.receivers import Request, Visit, receiver
from tests.simulator.harness import Meta, Shop

from partnerhub.meta import MetaClient, appsecret_proof, is_signed, sign_callback

SECRET = "the-app-secret"
BODY = b'{"object":"whatsapp_business_account","entry":[{"text":"Gr\\u00fc\xc3\x9fe \\ud83d\\ude00"}]}'
GOOD = "sha256=" + hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()


def test_a_signature_is_the_documented_one() -> None:
    assert sign_callback(BODY, SECRET) == GOOD
    assert is_signed(BODY, GOOD, [SECRET])
    assert appsecret_proof("token", SECRET) == hmac.new(SECRET.encode(), b"token", "sha256").hexdigest()


def test_one_of_several_secrets_is_enough() -> None:
    assert is_signed(BODY, GOOD, ["newer", SECRET])
    assert is_signed(BODY, GOOD, [SECRET, "older"])
    assert not is_signed(BODY, GOOD, ["newer", "older"])
    assert not is_signed(BODY, GOOD, [])


def changed_headers() -> Iterator[str | None]:
    yield from (None, "", "sha256=", GOOD.removeprefix("sha256="), GOOD.upper(), "sha256=" + GOOD[7:].upper())
    yield from (f" {GOOD}", f"{GOOD} ", f"{GOOD}\n", GOOD + "0", GOOD[:-1], GOOD + "," + GOOD)
    yield from (
        GOOD.replace("sha256=", "sha1="),
        GOOD.replace("=", ":"),
        "sha256=" + "é" * 64,
        "\ud800" + GOOD,
    )
    for position in range(7, len(GOOD)):
        other = "0" if GOOD[position] != "0" else "1"
        yield GOOD[:position] + other + GOOD[position + 1 :]


@pytest.mark.parametrize("header", list(changed_headers()))
def test_a_changed_signature_is_refused(header: str | None) -> None:
    assert not is_signed(BODY, header, [SECRET])


def changed_bodies() -> Iterator[bytes]:
    for position in range(len(BODY)):
        for bit in range(8):
            yield BODY[:position] + bytes([BODY[position] ^ (1 << bit)]) + BODY[position + 1 :]
    yield from (BODY + b" ", b" " + BODY, BODY[:-1], b"", BODY.replace(b":", b": "), BODY + BODY)
    yield BODY.decode().encode("utf-16")


def test_a_changed_body_is_refused() -> None:
    assert not any(is_signed(body, GOOD, [SECRET]) for body in changed_bodies())


@given(st.text())
def test_another_secret_is_refused(secret: str) -> None:
    try:
        secret.encode()
    except UnicodeEncodeError:
        return
    assert is_signed(BODY, GOOD, [secret]) == (secret == SECRET)


@given(st.binary(), st.text(st.characters(codec="utf-8")))
def test_what_is_signed_verifies(body: bytes, secret: str) -> None:
    assert is_signed(body, sign_callback(body, secret), [secret])


async def test_a_callback_of_the_simulator_verifies(simulator: Meta, shop: Shop, meta: MetaClient) -> None:
    callbacks: asyncio.Queue[Request] = asyncio.Queue()

    async def script(visit: Visit) -> None:
        while True:
            request = await visit.request()
            challenge = parse_qs(urlsplit(request.lines[0].split()[1]).query).get("hub.challenge", [""])[0]
            await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(challenge))
            await visit.send(challenge.encode())
            if request.body:
                callbacks.put_nowait(request)

    async with receiver(script) as here:
        await meta.app.subscribe(callback_url=here.url(), verify_token="any", fields=["messages"])
        await meta.accounts.subscribe_app(shop.waba_id, token=simulator.token)
        await simulator.admin(
            "POST", f"/numbers/{shop.number_id}/inbound", {"from": "15550001111", "text": "Grüße 😀"}
        )
        async with asyncio.timeout(5):
            request = await callbacks.get()
    assert is_signed(request.body, request.header("x-hub-signature-256"), [SECRET])
    assert not is_signed(request.body + b" ", request.header("x-hub-signature-256"), [SECRET])
