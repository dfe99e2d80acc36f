"""One webhook over HTTP: signing, sending, breaking it on request; and the challenge of a new address."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
import time as monotonic

import aiohttp
import msgspec
from yarl import URL

from partnerhub.simulator.config import SimulatorConfig
from partnerhub.simulator.errors import GraphError

ANSWER_BYTES = 300


class Attempt(msgspec.Struct, kw_only=True, frozen=True):
    """How one attempt ended: a status, or an error."""

    milliseconds: float
    status: int | None = None
    error: str | None = None
    answer: str = ""


def signature(secret: str, body: bytes) -> str:
    """Return the value of `X-Hub-Signature-256` for the raw body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Sender:
    """The client side: kept-alive connections, no redirects, no cookies."""

    def __init__(self, config: SimulatorConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None
        ca_file = config.callback_ca_file
        self._tls = ssl.create_default_context(cafile=str(ca_file) if ca_file is not None else None)

    def open(self) -> None:
        """Make the session; needs a running loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=self._config.callback_timeout_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent",),
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, body: bytes, signed: str) -> Attempt:
        """Send one callback."""
        assert self._session is not None
        started = monotonic.perf_counter()
        try:
            async with self._session.post(
                URL(url, encoded=True),
                data=body,
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": "facebookexternalua",
                    "X-Hub-Signature-256": signed,
                },
                allow_redirects=False,
            ) as response:
                answer = await response.content.read(ANSWER_BYTES)
                return Attempt(
                    milliseconds=_since(started),
                    status=response.status,
                    answer=answer.decode("utf-8", "replace"),
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            return Attempt(milliseconds=_since(started), error=_words(problem))

    async def cut_off(self, url: str, body: bytes, signed: str) -> Attempt:
        """Send the head and half of the body, then break the connection."""
        target = URL(url, encoded=True)
        started = monotonic.perf_counter()
        try:
            _, writer = await asyncio.open_connection(
                target.host, target.port, ssl=self._tls if target.scheme == "https" else None
            )
            head = (
                f"POST {target.raw_path_qs} HTTP/1.1\r\nHost: {target.authority}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                f"X-Hub-Signature-256: {signed}\r\n\r\n"
            )
            writer.write(head.encode() + body[: len(body) // 2])
            await writer.drain()
            writer.transport.abort()
        except OSError as problem:
            return Attempt(milliseconds=_since(started), error=_words(problem))
        return Attempt(milliseconds=_since(started), error="connection cut off by a fault")

    async def challenge(self, url: str, *, verify_token: str, challenge: str) -> None:
        """Ask a callback address to echo a challenge, as Graph does before it accepts the address.

        Raises: GraphError 2200 when it answers anything else.
        """
        assert self._session is not None
        query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": verify_token}
        try:
            async with self._session.get(URL(url).update_query(query), allow_redirects=False) as response:
                answer = await response.content.read(1_024)
                outcome = f"HTTP Status Code = {response.status}; HTTP Message = {response.reason}"
                matches = response.status == 200 and answer.strip() == challenge.encode()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            outcome, matches = f"curl_errno = 7; curl_error = {type(problem).__name__}", False
        if not matches:
            raise GraphError(
                2200,
                message=f"(#2200) Callback verification failed with the following errors: {outcome}",
            )


def _since(started: float) -> float:
    return round((monotonic.perf_counter() - started) * 1_000, 3)


def _words(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"[:ANSWER_BYTES]
