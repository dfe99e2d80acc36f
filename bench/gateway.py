"""Requests per second through the gateway and how long they take, beside nginx `proxy_pass` in the same run.

The upstream is a raw server that answers as Meta does, in a process of its own; nginx and the gateway stand
in front of it in turn, one worker process each, while the same closed loop of keep-alive connections asks.
Two ways through the gateway are measured: a read receipt, which passes through with a key check from memory,
and a paid template, which is reserved, bound and written down in group commits on a PostgreSQL with fsync
on. Where nginx is missing, the reference is a bare ASGI echo under the same server. Rounds are interleaved,
so that the ratio holds where the figures move with the machine.

    python -m bench.gateway --seconds 2 --rounds 3 --connections 16
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import uvicorn
import uvloop

from partnerhub.app.connections import BoundedProtocol
from partnerhub.gateway.app import GatewayConfig, create_gateway
from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit import logs
from partnerhub.kit.crypto import Keyring, fingerprint
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.kit.ids import uuid7
from partnerhub.kit.money import Micros
from partnerhub.kit.postgres import EmbeddedPostgres
from partnerhub.ledger import services as ledger
from partnerhub.ledger.gate import Gate
from partnerhub.migrations import run as migrations
from partnerhub.webhooks.sender import Sender

_PARTNER, _KEY, _NUMBER = "benchAPA", "the-channel-key-of-the-bench", "109000000000001"
_KEYS = [bytes(32)]
_RECEIPT = b'{"messaging_product":"whatsapp","status":"read","message_id":"wamid.x"}'
_TEMPLATE = (
    b'{"messaging_product":"whatsapp","recipient_type":"individual","to":"49151########","type":"template",'
    b'"template":{"name":"news","language":{"code":"en_US"},"components":[]}}'
)
_START_SECONDS = 30.0


@dataclass(frozen=True)
class Round:
    """One round of one target."""

    per_second: float
    p50_ms: float
    p99_ms: float


class Upstream(asyncio.Protocol):
    """Answers every request as Meta answers an accepted message; parses no more than it must."""

    served = 0

    def __init__(self) -> None:
        self._held = bytearray()
        self._wanted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._held += data
        while True:
            if not self._wanted:
                end = self._held.find(b"\r\n\r\n")
                if end < 0:
                    return
                head = bytes(self._held[:end]).lower()
                start = head.index(b"content-length:") + 15
                self._wanted = end + 4 + int(head[start:].split(b"\r\n", 1)[0])
            if len(self._held) < self._wanted:
                return
            is_receipt = b'"status"' in self._held[: self._wanted]
            del self._held[: self._wanted]
            self._wanted = 0
            self._transport.write(_HEAD % (len(_YES), _YES) if is_receipt else _accepted())


_YES = b'{"success":true}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


def _accepted() -> bytes:
    Upstream.served += 1
    body = (
        b'{"messaging_product":"whatsapp","contacts":[{"input":"4915112345678","wa_id":"4915112345678"}],'
        b'"messages":[{"id":"wamid.%016x%08x","message_status":"accepted"}]}'
        % (time.time_ns(), Upstream.served)
    )
    return _HEAD % (len(body), body)


def serve_upstream(port: int) -> None:
    """Serve the upstream until the process is ended."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(serve())


def serve_echo(port: int, upstream: int) -> None:  # noqa: ARG001 - as the other targets
    """Serve a bare ASGI application that reads the body and answers as the upstream would."""

    async def echo(scope: Any, receive: Any, send: Any) -> None:  # Any: ASGI's own untyped protocol
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_YES))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _YES})

    uvloop.run(_uvicorn(echo, port, lifespan="off"))


async def _uvicorn(application: Any, port: int, *, lifespan: str = "on") -> None:  # Any: an ASGI application
    config = uvicorn.Config(
        application,
        host="127.0.0.1",
        port=port,
        http=BoundedProtocol,
        ws="none",
        lifespan=cast("Any", lifespan),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    await uvicorn.Server(config).serve()


def serve_gateway(port: int, upstream: int, database_url: str) -> None:
    """Serve the gateway as its process does."""
    logs.configure(process="gateway", level="error")

    async def serve() -> None:
        keyring = Keyring(_KEYS)
        async with AsyncExitStack() as stack:
            database = Database(database_url, name="gateway", max_size=8)
            await database.open()
            stack.push_async_callback(database.close)
            gate = Gate(database)
            await gate.start()
            stack.push_async_callback(gate.close)
            outward = await stack.enter_async_context(HttpClient())
            sender = Sender(database, outward, keyring, name="bench")
            await sender.start()
            stack.push_async_callback(sender.close)
            to_meta = await stack.enter_async_context(HttpClient(policy=AddressPolicy.TRUSTED))
            here = f"http://127.0.0.1:{upstream}"
            config = GatewayConfig(
                graph_url=here,
                graph_version="v25.0",
                media_url=here,
                gateway_url=f"http://127.0.0.1:{port}",
                app_id="1",
                app_secrets=("s",),
                verify_token="v",
                system_token="t",
                messages_per_second=1e9,
            )
            gateway = create_gateway(
                database=database, keyring=keyring, http=to_meta, gate=gate, sender=sender, config=config
            )
            await _uvicorn(gateway, port)

    uvloop.run(serve())


async def seed(database_url: str) -> None:
    """Make a live number with a key, a price and more money than the bench can spend."""
    database = Database(database_url, name="seed")
    await database.open()
    async with database.system() as unit:
        await unit.execute("insert into partner (id, brand_name) values (%s, 'Acme')", (_PARTNER,))
        await unit.execute(
            "insert into client (id, partner_id, name) values ('benchACL', %s, 'Client')", (_PARTNER,)
        )
        await unit.execute(
            "insert into waba (id, partner_id, client_id, external_id, time_zone)"
            " values ('benchAWA', %s, 'benchACL', '104', 'Europe/Berlin')",
            (_PARTNER,),
        )
        await unit.execute(
            "insert into channel (id, partner_id, client_id, waba_id, external_id, phone_number, status,"
            " account_mode, hub_status, integration_state, permission) values"
            " ('benchACH', %s, 'benchACL', 'benchAWA', %s, '4930111', 'ready', 'live', 'live', 'running',"
            " 'shared')",
            (_PARTNER, _NUMBER),
        )
        await unit.execute(
            "insert into channel_key (partner_id, channel_id, key_hash, prefix, created_by)"
            " values (%s, 'benchACH', %s, 'the', 'system')",
            (_PARTNER, fingerprint(_KEY)),
        )
        await unit.execute(
            "insert into template (id, partner_id, waba_id, external_id, name, language, category)"
            " values ('benchAWT', %s, 'benchAWA', '1', 'news', 'en_US', 'MARKETING')",
            (_PARTNER,),
        )
        markets = "effective_date,prefix,market,country\n2025-07-01,49,Germany,DE\n"
        rates = "effective_date,currency,market,category,rate\n2025-07-01,EUR,Germany,marketing,0.1365\n"
        await ledger.import_markets(unit, content=markets, source="bench", actor=SYSTEM)
        await ledger.import_rates(unit, content=rates, source="bench", actor=SYSTEM)
        await ledger.top_up(
            unit,
            partner_id=_PARTNER,
            currency="EUR",
            amount_micros=Micros(10**15),
            key=str(uuid7()),
            actor=SYSTEM,
        )
    await database.close()


@contextmanager
def nginx(port: int, upstream: int) -> Iterator[None]:
    """Run nginx with one worker in front of the upstream."""
    folder = Path(tempfile.mkdtemp(prefix="partnerhub-bench-nginx-"))
    folder.chmod(0o755)
    (folder / "nginx.conf").write_text(
        f"""
        worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log crit;
        events {{ worker_connections 1024; }}
        http {{
          access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
          fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
          keepalive_requests 10000000;
          upstream meta {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 10000000; }}
          server {{
            listen 127.0.0.1:{port};
            location / {{ proxy_pass http://meta; proxy_http_version 1.1; proxy_set_header Connection ""; }}
          }}
        }}
        """
    )
    process = subprocess.Popen(
        [_NGINX or "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


_NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


class Asker(asyncio.Protocol):
    """One keep-alive connection that asks, waits for the whole answer, and asks again."""

    asked = 0

    def __init__(self, request: bytes, until: float, times: list[float], refused: list[bytes]) -> None:
        self._before, self._mark, self._after = request.partition(b"########")
        self._until = until
        self._times = times
        self._refused = refused
        self._held = bytearray()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        self._asked_at = time.perf_counter()
        if self._mark:
            # Every message goes to somebody else, as a campaign does.
            Asker.asked += 1
            self._transport.write(b"%b%08d%b" % (self._before, Asker.asked, self._after))
        else:
            self._transport.write(self._before)

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._held[:end]).lower()
        start = head.index(b"content-length:") + 15
        whole = end + 4 + int(head[start:].split(b"\r\n", 1)[0])
        if len(self._held) < whole:
            return
        now = time.perf_counter()
        self._times.append(now - self._asked_at)
        if not head.startswith(b"http/1.1 200"):
            self._refused.append(bytes(self._held))
        del self._held[:whole]
        if now < self._until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        if not self.done.done():
            self.done.set_result(None)


async def ask(port: int, path: str, body: bytes, *, connections: int, seconds: float) -> Round:
    """Ask in a closed loop and return what came of it; an answer other than 200 ends the bench."""
    request = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nD360-API-KEY: {_KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    times: list[float] = []
    refused: list[bytes] = []
    started = time.perf_counter()
    loop = asyncio.get_running_loop()
    askers = []
    for _ in range(connections):
        _, asker = await loop.create_connection(
            lambda: Asker(request, started + seconds, times, refused), "127.0.0.1", port
        )
        askers.append(asker)
    await asyncio.gather(*(asker.done for asker in askers))
    wall = time.perf_counter() - started
    if refused:
        raise SystemExit(f"{len(refused)} requests were refused: {refused[0]!r}")
    times.sort()
    return Round(len(times) / wall, times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3)


def free_port() -> int:
    """Find a free port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nobody listens on {port}")


@contextmanager
def child(target: Any, *arguments: Any) -> Iterator[None]:  # Any: a function and what it takes
    """Run a server in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments, daemon=True)
    process.start()
    wait_for(arguments[0])
    try:
        yield
    finally:
        process.terminate()
        process.join(10)


def measure(database_url: str, *, seconds: float, rounds: int, connections: int) -> dict[str, list[Round]]:
    """Run every target in turn, `rounds` times."""
    upstream, reference, gateway = free_port(), free_port(), free_port()
    found: dict[str, list[Round]] = {"reference": [], "read receipt": [], "paid template": []}
    front = nginx(reference, upstream) if _NGINX else child(serve_echo, reference, upstream)
    with child(serve_upstream, upstream), front, child(serve_gateway, gateway, upstream, database_url):
        wait_for(reference)
        targets = (
            ("reference", reference, f"/v25.0/{_NUMBER}/messages", _RECEIPT),
            ("read receipt", gateway, "/messages", _RECEIPT),
            ("paid template", gateway, "/messages", _TEMPLATE),
        )
        for _name, port, path, body in targets:
            uvloop.run(ask(port, path, body, connections=connections, seconds=0.5))
        for _ in range(rounds):
            for name, port, path, body in targets:
                found[name].append(
                    uvloop.run(ask(port, path, body, connections=connections, seconds=seconds))
                )
    return found


def report(found: Mapping[str, Sequence[Round]]) -> None:
    """Print medians and ratios to the reference of the same run."""
    name_of = {"reference": "nginx proxy_pass" if _NGINX else "bare ASGI echo"}
    base = statistics.median(each.per_second for each in found["reference"])
    print(f"{'':18} {'per second':>12} {'ratio':>8} {'p50 ms':>8} {'p99 ms':>8}")
    for name, rounds in found.items():
        per_second = statistics.median(each.per_second for each in rounds)
        p50 = statistics.median(each.p50_ms for each in rounds)
        p99 = statistics.median(each.p99_ms for each in rounds)
        print(
            f"{name_of.get(name, name):18} {per_second:12.0f} {per_second / base:8.2f} {p50:8.2f} {p99:8.2f}"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="partnerhub-bench-"))
    folder.chmod(0o755)
    try:
        with EmbeddedPostgres(folder, durable=True).running() as server:
            url = server.url()
            migrations.upgrade(url)
            uvloop.run(seed(url))
            report(
                measure(url, seconds=options.seconds, rounds=options.rounds, connections=options.connections)
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
