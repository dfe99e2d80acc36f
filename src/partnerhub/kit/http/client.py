"""The client: one call is one exchange, from the URL to the whole answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from time import perf_counter
from types import TracebackType
from typing import Self

from partnerhub.kit.boundary import refuse_network
from partnerhub.kit.http.addresses import AddressPolicy
from partnerhub.kit.http.answers import Answer, Headers, Limits, Timeouts, Timings
from partnerhub.kit.http.calls import Body, Call, prepare, send_stream
from partnerhub.kit.http.connection import Connection
from partnerhub.kit.http.connector import check_context, open_connection, verifying_context
from partnerhub.kit.http.errors import ExchangeError, FailureKind, Phase, Reason
from partnerhub.kit.http.exchange import BodyReader, Exchange
from partnerhub.kit.http.heads import HeaderLines
from partnerhub.kit.http.pool import Pool, PoolState, closed_error
from partnerhub.kit.http.resolver import Resolver, SystemResolver
from partnerhub.kit.http.urls import parse_url


class StreamedAnswer:
    """The head of an answer whose body is still coming; iterate over it to read.

    The bytes are as sent, never decompressed. Iterating raises ExchangeError when the body breaks off, takes
    too long or is larger than allowed.
    """

    def __init__(self, head: Answer, exchange: Exchange, reader: BodyReader) -> None:
        self.status = head.status
        self.reason = head.reason
        self.headers: Headers = head.headers
        self.peer_address = head.peer_address
        self._exchange = exchange
        self._reader = reader

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._reader.pieces()

    async def read(self) -> bytes:
        """Read the rest of the body."""
        return b"".join([piece async for piece in self])

    @property
    def timings(self) -> Timings:
        """The phases up to now."""
        return self._exchange.timings()


class HttpClient:
    """A guarded HTTP/1.1 client with its own connection pool; make one per process and purpose.

    It belongs to the event loop it is first used on. Use it as `async with`, or call `close`.
    """

    def __init__(
        self,
        *,
        policy: AddressPolicy = AddressPolicy.PUBLIC,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        ssl_context: ssl.SSLContext | None = None,
        resolver: Resolver | None = None,
        user_agent: str = "partnerhub",
    ) -> None:
        self._policy = policy
        self._limits = limits or Limits()
        self._timeouts = timeouts or Timeouts()
        self._ssl_context = check_context(ssl_context) if ssl_context is not None else _shared_context()
        self._resolver = resolver if resolver is not None else SystemResolver()
        self._owns_resolver = resolver is None
        self._user_agent = user_agent
        self._pool = Pool(self._limits)
        self._closed = False
        self._background: set[asyncio.Task[Answer]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Drop every connection; running exchanges fail."""
        self._closed = True
        await self._pool.close()
        if self._owns_resolver and isinstance(self._resolver, SystemResolver):
            await self._resolver.close()

    def state(self) -> PoolState:
        """Count connections, for metrics."""
        return self._pool.state()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: HeaderLines = (),
        body: Body = b"",
        timeouts: Timeouts | None = None,
        max_body_bytes: int | None = None,
        policy: AddressPolicy | None = None,
        repeatable: bool = False,
    ) -> Answer:
        """Send a request and return the whole answer, whatever its status.

        `repeatable` allows one more try when a kept connection turns out to be closed before any byte of an
        answer came: the peer may then see the request twice. Never for a `StreamBody`.

        Raises: ExchangeError; InvalidUrl and InvalidHeader before anything is sent;
        NetworkInsideTransaction.
        """
        call = self._prepare(
            method,
            url,
            headers=headers,
            body=body,
            timeouts=timeouts,
            max_body_bytes=max_body_bytes,
            policy=policy,
        )
        exchange = call.new_exchange()
        connection = await self._send(call, exchange, fresh=False)
        try:
            return await _outcome(connection, exchange)
        except ExchangeError as error:
            if not (repeatable and call.may_repeat and _was_stale(error, exchange)):
                raise
        self._pool.drop_idle(call.origin)
        exchange = call.new_exchange(after=exchange)
        connection = await self._send(call, exchange, fresh=True)
        return await _outcome(connection, exchange)

    def start(
        self,
        method: str,
        url: str,
        *,
        headers: HeaderLines = (),
        body: Body = b"",
        timeouts: Timeouts | None = None,
        max_body_bytes: int | None = None,
        policy: AddressPolicy | None = None,
        repeatable: bool = False,
    ) -> asyncio.Future[Answer]:
        """Start a request now and return a future of its answer; cancelling it drops the exchange.

        For thousands of exchanges at once: where a kept connection is free the request is written before this
        returns, and no task is made. Same arguments and errors as `request`; what `request` raises before
        anything is sent is raised here directly.
        """
        call = self._prepare(
            method,
            url,
            headers=headers,
            body=body,
            timeouts=timeouts,
            max_body_bytes=max_body_bytes,
            policy=policy,
        )
        if not repeatable and call.stream is None:
            connection = self._pool.take_idle(call.origin)
            if connection is not None:
                exchange = call.new_exchange()
                connection.begin(exchange, call.head, call.plain_body)
                exchange.future.add_done_callback(_dropper(connection, exchange))
                return exchange.future
        task = asyncio.get_running_loop().create_task(
            self.request(
                method,
                url,
                headers=headers,
                body=body,
                timeouts=timeouts,
                max_body_bytes=max_body_bytes,
                policy=policy,
                repeatable=repeatable,
            )
        )
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: HeaderLines = (),
        body: Body = b"",
        timeouts: Timeouts | None = None,
        max_body_bytes: int | None = None,
        policy: AddressPolicy | None = None,
    ) -> AsyncIterator[StreamedAnswer]:
        """Send a request and enter with the head of its answer; the body is read inside the block.

        What is not read by then is dropped with the connection.

        Raises: as `request`.
        """
        call = self._prepare(
            method,
            url,
            headers=headers,
            body=body,
            timeouts=timeouts,
            max_body_bytes=max_body_bytes,
            policy=policy,
        )
        exchange = call.new_exchange()
        exchange.reader = reader = BodyReader()
        connection = await self._send(call, exchange, fresh=False)
        try:
            head = await _outcome(connection, exchange)
            yield StreamedAnswer(head, exchange, reader)
        finally:
            connection.abandon(exchange)

    def _prepare(
        self,
        method: str,
        url: str,
        *,
        headers: HeaderLines,
        body: Body,
        timeouts: Timeouts | None,
        max_body_bytes: int | None,
        policy: AddressPolicy | None,
    ) -> Call:
        refuse_network()
        if self._closed:
            raise closed_error()
        return prepare(
            method,
            parse_url(url),
            headers=headers,
            body=body,
            user_agent=self._user_agent,
            policy=policy or self._policy,
            timeouts=timeouts or self._timeouts,
            max_header_bytes=self._limits.max_header_bytes,
            max_body_bytes=self._limits.max_body_bytes if max_body_bytes is None else max_body_bytes,
        )

    async def _send(self, call: Call, exchange: Exchange, *, fresh: bool) -> Connection:
        """Put the request on a connection: an idle one unless `fresh`, else a new one."""
        connection = None if fresh else self._pool.take_idle(call.origin)
        if connection is None:
            connection = await self._new_connection(call, exchange, fresh=fresh)
        if call.stream is None:
            connection.begin(exchange, call.head, call.plain_body)
        else:
            connection.begin_streaming(exchange, call.head)
            sender = asyncio.get_running_loop().create_task(
                send_stream(connection, exchange, call.stream()),
            )
            exchange.future.add_done_callback(lambda _: sender.cancel())
        return connection

    async def _new_connection(self, call: Call, exchange: Exchange, *, fresh: bool) -> Connection:
        pool, origin = self._pool, call.origin
        while not pool.reserve(origin):
            try:
                async with asyncio.timeout(exchange.total_deadline - perf_counter()):
                    given = await pool.wait(origin)
            except TimeoutError as error:
                raise exchange.error(
                    Reason(FailureKind.TIMEOUT_TOTAL, "No connection came free in time."),
                    phase=Phase.PRE_DELIVERY,
                ) from error
            if given is None:
                break
            if given.is_usable and not fresh:
                return given
            given.close()
        left = exchange.total_deadline - perf_counter()
        try:
            connection = await open_connection(
                call.target,
                origin.policy,
                exchange,
                resolver=self._resolver,
                ssl_context=self._ssl_context,
                timeout_seconds=min(call.timeouts.connect_seconds, left),
            )
        except BaseException:
            pool.give_up(origin)
            raise
        pool.adopt(connection, origin)
        if self._closed:
            connection.close()
            raise closed_error()
        if not connection.is_usable:
            connection.close()
            raise exchange.error(
                Reason(FailureKind.CLOSED, "The connection was closed at once."), phase=Phase.PRE_DELIVERY
            )
        return connection


async def _outcome(connection: Connection, exchange: Exchange) -> Answer:
    try:
        return await exchange.future
    except asyncio.CancelledError:
        connection.abandon(exchange)
        raise


def _dropper(connection: Connection, exchange: Exchange) -> Callable[[asyncio.Future[Answer]], None]:
    def drop(future: asyncio.Future[Answer]) -> None:
        if future.cancelled():
            connection.abandon(exchange)

    return drop


@cache
def _shared_context() -> ssl.SSLContext:
    """Read the system's certificates once for all clients of the process."""
    return verifying_context()


def _was_stale(error: ExchangeError, exchange: Exchange) -> bool:
    """Say whether a kept connection ended under the request before a byte of an answer."""
    return (
        exchange.reused
        and not exchange.first_byte_at
        and error.kind in (FailureKind.CLOSED, FailureKind.RESET, FailureKind.TLS)
    )
