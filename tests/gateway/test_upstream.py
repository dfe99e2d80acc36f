"""Whatever Meta's side answers, a client hears an answer that says so, never that we broke."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from tests.gateway.stage import CUSTOMER, Stage, staged
from tests.kit.http.receivers import Visit, receiver

JSON_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"7",
    b'"\xff"',
    b'{"error":null}',
    b'{"error":"text"}',
    b'{"error":{"code":"x","message":"\xff"}}',
    b'{"error":{"code":1e400,"error_data":7}}',
    b'{"error":{"code":190,"message":7}}',
    b'{"error":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    b"[" * 50_000,
    b'{"id":"1","status":7,"category":[]}',
    b'{"id":"1","status":"\\u0000","category":"\\u0000"}',
    b'{"id":{},"url":[],"mime_type":"x"}',
    b'{"id":"1","url":7,"mime_type":"\xff"}',
    b'{"messages":[{"id":"\\u0000"}]}',
    b'{"messages":[{"id":"\xff"}],"contacts":7}',
    b'{"messages":[{"id":"wamid.x"}],"contacts":[{"wa_id":"\\ud83d"}]}',
    b'{"data":7,"paging":{"next":"http://[","cursors":[]}}',
    b'{"paging":{"next":"\xff"}}',
    b"<html>Bad gateway</html>",
]
HEADS = [
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
    b"HTTP/1.1 201 Created\r\nContent-Type: \xe4\xff\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n",
    b'HTTP/1.1 400 Bad Request\r\nRetry-After: x\r\nX-Business-Use-Case-Usage: {"1":[{"a":\xff}]}\r\n',
    b"HTTP/1.1 404 Not Found\r\nX-Fb-Trace-Id: a\tb\xff\r\n",
    b"HTTP/1.1 999 Beyond\r\n",
]
RAW = [
    b"HTTP/1.1 500 Broken\r\nContent-Length: 1\r\n\r\n\xff",
    b"HTTP/1.1 500 Broken\r\nContent-Length: 25\r\n\r\n" + b'{"error":{"message":"\xff"}}',
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-Fb-Trace-Id: a\x01b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: a\x7fb\r\nContent-Length: 0\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
    b"",
]
CALLS: list[tuple[str, str, object]] = [
    ("POST", "/messages", {"to": CUSTOMER, "type": "text", "text": {"body": "a"}}),
    ("POST", "/messages", {"to": CUSTOMER, "type": "reaction", "reaction": {}}),
    ("POST", "/messages", {"status": "read", "message_id": "wamid.x"}),
    ("POST", "/marketing_messages", {"to": CUSTOMER, "type": "template", "template": {"name": "news"}}),
    (
        "POST",
        "/v1/configs/templates",
        {"name": "a", "language": "de", "category": "UTILITY", "components": []},
    ),
    ("DELETE", "/v1/configs/templates/other", None),
    ("GET", "/7", None),
    ("DELETE", "/7", None),
    ("GET", "/block_users", None),
    ("GET", "/whatsapp_business_profile", None),
    ("GET", "/groups/Y2FwaV9ncm91cDox", None),
    ("POST", "/uploads?file_length=1", None),
    ("GET", "/upload:x", None),
    ("GET", "/whatsapp_business/attachments/?mid=1", None),
]


@dataclass
class Upstream:
    """What stands where Meta should, and what it says next."""

    stage: Stage
    says: bytes = b""


@pytest.fixture
async def upstream(database: Database, keyring: Keyring) -> AsyncIterator[Upstream]:
    """Run a gateway whose Graph says what the test wants."""
    here: Upstream

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(here.says)
        visit.writer.close()

    async with (
        receiver(script) as graph,
        staged(
            database,
            keyring,
            graph_url=graph.url(""),
            media_url=graph.url(""),
            configurations_per_second=1e6,
        ) as stage,
    ):
        here = Upstream(stage)
        yield here


async def _ask(upstream: Upstream, says: bytes) -> list[str]:
    """Make every call while upstream says this; return what went wrong."""
    upstream.says = says
    return [
        f"{problem} for {says[:160]!r}"
        for problem in await asyncio.gather(*(_problem(upstream, call, says) for call in CALLS))
        if problem
    ]


async def _problem(upstream: Upstream, call: tuple[str, str, object], says: bytes) -> str:
    method, path, body = call
    try:
        answer = await upstream.stage.client.call(method, path, json=body)
    except aiohttp.ClientPayloadError:
        return ""  # a download that broke off upstream breaks off here
    is_ours = answer.status == 500 and not says.startswith(b"HTTP/1.1 500")
    if is_ours or b"internal server error" in answer.body:
        return f"{method} {path}: {answer.status} {answer.body[:80]!r}"
    if answer.body.startswith(b'{"detail"'):
        json.loads(answer.body)
    return ""


@pytest.mark.parametrize("head", HEADS)
async def test_no_answer_of_metas_side_breaks_us(upstream: Upstream, head: bytes) -> None:
    found = []
    for body in JSON_BODIES:
        found += await _ask(upstream, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert not found


async def test_no_head_of_metas_side_breaks_us(upstream: Upstream) -> None:
    found = []
    for raw in RAW:
        found += await _ask(upstream, raw)
    assert not found
