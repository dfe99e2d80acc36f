"""A running simulator, a client of it, and a real receiver for its callbacks, all over HTTP on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from aiohttp import web

from partnerhub.simulator import Rules, SimulatorConfig
from partnerhub.simulator.server import make_server

APP_ID = "900000000000001"
APP_SECRET = "the-app-secret"
SYSTEM_TOKEN = "EAAsystem"
VERIFY_TOKEN = "please"

FAST = Rules(
    sent_after_seconds=0.0,
    delivered_after_seconds=0.01,
    read_after_seconds=0.02,
    read_probability=1.0,
    template_review_seconds=0.01,
)

CONFIG = SimulatorConfig(
    app_id=APP_ID,
    app_secret=APP_SECRET,
    system_user_token=SYSTEM_TOKEN,
    callback_retry_seconds=(0.02, 0.02),
    callback_retry_after_seconds=0.05,
    seed=7,
    rules=FAST,
)

Json = dict[str, Any]


@dataclass
class Answer:
    """One HTTP answer, read."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> Json:
        """Return the error of Graph's envelope."""
        found: Json = self.json["error"]
        return found


@dataclass
class Meta:
    """A client of one running simulator."""

    url: str
    session: aiohttp.ClientSession
    token: str = SYSTEM_TOKEN
    version: str = "v25.0"

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> Answer:
        """Call Graph with a bearer token; `token` empty sends none."""
        sent = dict(headers or {})
        bearer = self.token if token is None else token
        if bearer:
            sent["Authorization"] = f"Bearer {bearer}"
        prefix = f"/{self.version}" if self.version else ""
        async with self.session.request(method, self.url + prefix + path, headers=sent, **kwargs) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.read())

    async def get(self, path: str, **kwargs: Any) -> Answer:
        """GET from Graph."""
        return await self.call("GET", path, **kwargs)

    async def post(self, path: str, **kwargs: Any) -> Answer:
        """POST to Graph."""
        return await self.call("POST", path, **kwargs)

    async def delete(self, path: str, **kwargs: Any) -> Answer:
        """DELETE at Graph."""
        return await self.call("DELETE", path, **kwargs)

    async def admin(self, method: str, where: str, body: Any = None, **query: str) -> Any:
        """Call the admin API and return its JSON; anything but 200 is a failure of the test."""
        async with self.session.request(
            method, f"{self.url}/simulator{where}", json=body, params=query
        ) as answer:
            text = await answer.text()
            assert answer.status == 200, f"{answer.status} {text}"
            return json.loads(text)

    @asynccontextmanager
    async def standing_still(self) -> AsyncIterator[None]:
        """Stop virtual time for a block: it moves by `advance_seconds` only, however long a page takes."""
        await self.admin("POST", "/clock", {"is_frozen": True})
        try:
            yield
        finally:
            await self.admin("POST", "/clock", {"is_frozen": False})

    async def send(self, number_id: str, to: str, **message: Any) -> Answer:
        """Send a message; a text when nothing else is said."""
        body = {"messaging_product": "whatsapp", "to": to, **message}
        if "type" not in message:
            body |= {"type": "text", "text": {"body": "hello"}}
        return await self.post(f"/{number_id}/messages", json=body)

    async def send_template(self, number_id: str, to: str, name: str = "news", **more: Any) -> Answer:
        """Send a template without parameters."""
        return await self.send(
            number_id, to, type="template", template={"name": name, "language": {"code": "en_US"}}, **more
        )


@dataclass
class Receiver:
    """A webhook receiver that checks signatures and remembers what it got."""

    url: str
    secret: str = APP_SECRET
    bodies: list[bytes] = field(default_factory=list)
    changes: list[Json] = field(default_factory=list)
    """Every change of every accepted callback."""
    signatures: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """Statuses to answer next; 200 once used up."""
    verify_token: str = VERIFY_TOKEN

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a challenge or take a callback."""
        if request.method == "GET":
            if request.query.get("hub.verify_token") != self.verify_token:
                return web.Response(status=403)
            return web.Response(text=request.query["hub.challenge"])
        body = await request.read()
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.bodies.append(body)
            self.signatures.append(request.headers.get("X-Hub-Signature-256", ""))
            self.changes += [change for entry in json.loads(body)["entry"] for change in entry["changes"]]
        return web.Response(status=status, text="ok")

    @property
    def signatures_ok(self) -> list[bool]:
        """Return whether each accepted callback was signed with the app's secret."""
        return [
            hmac.compare_digest(
                "sha256=" + hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest(), signature
            )
            for body, signature in zip(self.bodies, self.signatures, strict=True)
        ]

    def values(self, name: str) -> list[Json]:
        """Return the values of one field."""
        return [change["value"] for change in self.changes if change["field"] == name]

    @property
    def statuses(self) -> list[Json]:
        """Return every status object."""
        return [status for value in self.values("messages") for status in value.get("statuses", [])]

    @property
    def messages(self) -> list[Json]:
        """Return every inbound message object."""
        return [message for value in self.values("messages") for message in value.get("messages", [])]


async def until(
    condition: Callable[[], bool | Awaitable[bool]], timeout_seconds: float = 5.0, *, every: float = 0.01
) -> None:
    """Wait for a condition that a real process outside will make true."""
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    while True:
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        assert asyncio.get_running_loop().time() < deadline, "the condition did not become true in time"
        await asyncio.sleep(every)


@asynccontextmanager
async def running(config: SimulatorConfig) -> AsyncIterator[Meta]:
    """Serve a simulator on a free port with uvicorn, in this loop."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        port = listener.getsockname()[1]
        server = make_server(replace(config, public_url=f"http://127.0.0.1:{port}"), port=port)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started or task.done())
        async with aiohttp.ClientSession() as session:
            try:
                yield Meta(f"http://127.0.0.1:{port}", session)
            finally:
                server.should_exit = True
                await task


@contextmanager
def in_thread(config: SimulatorConfig) -> Iterator[str]:
    """Serve a simulator on a free port from a thread, for tests that share it or block; give its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        port = listener.getsockname()[1]
        server = make_server(replace(config, public_url=f"http://127.0.0.1:{port}"), port=port)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(10)


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Serve a webhook receiver on a free port."""
    found = Receiver("")
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", found.handle)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    found.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}/webhook"
    try:
        yield found
    finally:
        await runner.cleanup()


@dataclass
class Shop:
    """A seeded business with one number."""

    waba_id: str
    business_id: str
    number_id: str
    digits: str
    template_id: str


async def seed_shop(meta: Meta, **number: Any) -> Shop:
    """Seed a WABA with a number and the template `news`."""
    made = await meta.admin(
        "POST",
        "/seed",
        {
            "business": {"name": "Acme", "messaging_limit": "TIER_2K"},
            "waba": {"name": "Acme WABA"},
            "numbers": [{"phone_number": "+1 555 078 3881", "verified_name": "Acme", **number}],
            "templates": [{"name": "news", "text": "Our autumn news are out.", "category": "MARKETING"}],
        },
    )
    return Shop(
        waba_id=made["waba_id"],
        business_id=made["business_id"],
        number_id=made["numbers"][0]["id"],
        digits=made["numbers"][0]["digits"],
        template_id=made["templates"][0]["id"],
    )


async def try_to_subscribe(meta: Meta, receiver: Receiver, fields: str) -> Answer:
    """Ask Graph to point the app's webhook at the receiver."""
    return await meta.post(
        f"/{APP_ID}/subscriptions",
        token=f"{APP_ID}|{APP_SECRET}",
        params={
            "object": "whatsapp_business_account",
            "callback_url": receiver.url,
            "verify_token": VERIFY_TOKEN,
            "fields": fields,
        },
    )


async def subscribe(meta: Meta, receiver: Receiver, fields: str = "") -> None:
    """Point the app's webhook at the receiver, for every field unless told otherwise."""
    names = fields or (
        "messages,message_template_status_update,template_category_update,account_update,security,"
        "phone_number_quality_update,phone_number_name_update,message_template_quality_update"
    )
    answer = await try_to_subscribe(meta, receiver, names)
    assert answer.status == 200, answer.body
