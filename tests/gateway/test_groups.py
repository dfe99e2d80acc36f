"""A key reaches the groups of its own number, whatever else the token behind it opens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from tests.gateway.stage import Stage, free_socket, serving, staged

OWN = [f"Y2FwaV9ncm91cDoxNzA1NTU1MDEz{number:04d}" for number in range(1_500)]
OTHERS = "Y2FwaV9ncm91cDoxNjA1NTU1MDEzOToxMjAz"


@dataclass
class Groups:
    """Meta's groups, as one token of the operator sees all of them."""

    own: list[str] = field(default_factory=lambda: list(OWN))
    calls: list[tuple[str, str]] = field(default_factory=list)
    refusal: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # Any: ASGI
        if scope["type"] != "http":
            while (message := await receive())["type"].startswith("lifespan"):
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        path = scope["path"].removeprefix("/v25.0")
        self.calls.append((scope["method"], path))
        query = parse_qs(scope["query_string"].decode())
        status, answer = 200, {"id": path.strip("/"), "subject": "secret plans", "success": True}
        if self.refusal:
            status, answer = self.refusal, {"error": {"message": "(#4) later", "code": 4}}
        elif path.endswith("/groups"):
            answer = self._page(int(query["limit"][0]), int(query.get("after", ["0"])[0]))
        body = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _page(self, limit: int, start: int) -> dict[str, Any]:  # Any: JSON
        end = start + limit
        paging = {"cursors": {"before": str(start), "after": str(end)}} if end < len(self.own) else {}
        return {"data": {"groups": [{"id": one} for one in self.own[start:end]]}, "paging": paging}

    def lists(self) -> int:
        """Count how often a list was read."""
        return sum(path.endswith("/groups") for _, path in self.calls)


@asynccontextmanager
async def with_groups(database: Database, keyring: Keyring) -> AsyncIterator[tuple[Stage, Groups]]:
    """Run a gateway whose Meta has groups."""
    groups = Groups()
    async with (
        serving(groups, free_socket()) as url,
        staged(database, keyring, with_webhook=False, graph_url=url) as stage,
    ):
        yield stage, groups


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""),
        ("POST", ""),
        ("DELETE", ""),
        ("GET", "/invite_link"),
        ("GET", "/join_requests"),
        ("POST", "/participants"),
    ],
)
async def test_a_group_of_another_number_is_not_found_on_any_path(
    database: Database, keyring: Keyring, method: str, rest: str
) -> None:
    async with with_groups(database, keyring) as (stage, groups):
        for prefix in ("/groups/", "/v25.0/"):
            answer = await stage.client.call(method, prefix + OTHERS + rest)
            assert answer.status == 404, answer.body
            assert b"secret plans" not in answer.body
        assert not [path for _, path in groups.calls if OTHERS in path]


async def test_the_numbers_own_groups_pass_and_are_looked_up_once(
    database: Database, keyring: Keyring
) -> None:
    async with with_groups(database, keyring) as (stage, groups):
        for group in (OWN[-1], OWN[0], OWN[-1]):
            answer = await stage.client.call("GET", f"/groups/{group}")
            assert (answer.status, answer.json["subject"]) == (200, "secret plans")
        assert groups.lists() == 2  # two pages, read once


async def test_a_new_group_is_found_although_the_list_was_just_read(
    database: Database, keyring: Keyring
) -> None:
    async with with_groups(database, keyring) as (stage, groups):
        assert (await stage.client.call("GET", f"/groups/{OTHERS}")).status == 404
        groups.own.append(OTHERS)
        assert (await stage.client.call("GET", f"/groups/{OTHERS}")).status == 200


async def test_where_meta_does_not_tell_its_refusal_is_the_answer(
    database: Database, keyring: Keyring
) -> None:
    async with with_groups(database, keyring) as (stage, groups):
        groups.refusal = 400
        answer = await stage.client.call("GET", f"/groups/{OWN[0]}")
        assert (answer.status, answer.error["code"]) == (400, 4)
        assert groups.lists() == len(groups.calls)
