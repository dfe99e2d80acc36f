"""From a target to an open connection: resolve, check every address, connect to a checked one, speak TLS.

The name is never resolved again after the check, so a name server that changes its answer cannot lead us
elsewhere; Host and SNI stay what the URL says.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Sequence
from time import perf_counter
from typing import Literal

from partnerhub.kit.http.addresses import AddressPolicy, refusal
from partnerhub.kit.http.connection import Connection, tls_failed
from partnerhub.kit.http.errors import ExchangeError, FailureKind, Phase, Reason
from partnerhub.kit.http.exchange import Exchange
from partnerhub.kit.http.resolver import Address, Resolver, literal
from partnerhub.kit.http.urls import Target

# RFC 8305: how long one address is given before the next is tried beside it.
_NEXT_ADDRESS_SECONDS = 0.25
_OUR_OWN = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


def verifying_context() -> ssl.SSLContext:
    """Make a TLS context as the client wants it: certificates and names verified, TLS 1.2 or later."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def check_context(context: ssl.SSLContext) -> ssl.SSLContext:
    """Refuse a context that does not verify its peer; there is no switch for that."""
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise ValueError("the TLS context must verify certificates and host names")
    if context.minimum_version < ssl.TLSVersion.TLSv1_2:
        raise ValueError("the TLS context must refuse TLS before 1.2")
    return context


async def open_connection(
    target: Target,
    policy: AddressPolicy,
    exchange: Exchange,
    *,
    resolver: Resolver,
    ssl_context: ssl.SSLContext,
    timeout_seconds: float,
) -> Connection:
    """Open a connection and note the phases on `exchange`.

    Raises: ExchangeError, always pre_delivery.
    """
    step = _Step(exchange)
    try:
        async with asyncio.timeout(timeout_seconds):
            addresses: Sequence[Address] = [literal(target.host)]
            if not target.is_literal:
                step.start("dns_us")
                addresses = await resolver.resolve(target.host)
            _check(addresses, policy, target, exchange)
            exchange.peer_address = addresses[0].ip
            step.start("connect_us")
            sock, address = await _connect_first(addresses, target.port)
            exchange.peer_address = address.ip
            step.start("tls_us" if target.is_tls else None)
            connection = await _upgrade(sock, address, target, ssl_context)
            step.start(None)
            return connection
    except TimeoutError as error:
        step.start(None)
        if exchange.peer_address:
            reason = Reason(FailureKind.TIMEOUT_CONNECT, "No connection came about in time.")
        else:
            values = {"host": target.host}
            reason = Reason(FailureKind.DNS, "The name {host} could not be resolved in time.", values)
        raise exchange.error(reason, phase=Phase.PRE_DELIVERY) from error
    except (ssl.SSLError, _HandshakeEnded) as error:
        step.start(None)
        raise exchange.error(_tls_reason(error), phase=Phase.PRE_DELIVERY) from error
    except OSError as error:
        step.start(None)
        raise _os_error(error, exchange) from error
    except ExchangeError as error:
        step.start(None)
        error.timings = exchange.timings()
        raise


class _HandshakeEnded(Exception):
    """The peer left before TLS was agreed."""


class _Step:
    """Notes how long each step took on the exchange, the one that failed included."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._name: Literal["dns_us", "connect_us", "tls_us"] | None = None
        self._started = 0.0

    def start(self, name: Literal["dns_us", "connect_us", "tls_us"] | None) -> None:
        """End the step before and begin the next, if there is one."""
        now = perf_counter()
        if self._name is not None:
            setattr(self._exchange, self._name, int((now - self._started) * 1e6))
        self._name, self._started = name, now


def _check(addresses: Sequence[Address], policy: AddressPolicy, target: Target, exchange: Exchange) -> None:
    for address in addresses:
        reason = refusal(address.ip, policy)
        if reason is not None:
            exchange.peer_address = address.ip
            blocked = Reason(
                FailureKind.BLOCKED,
                "{host} leads to {address}, which may not be called: {reason}.",
                {"host": target.host, "address": address.ip, "reason": reason},
            )
            raise exchange.error(blocked, phase=Phase.PRE_DELIVERY)


async def _connect_first(addresses: Sequence[Address], port: int) -> tuple[socket.socket, Address]:
    """Connect to the first address that answers, starting the next one when one is slow or fails."""
    if len(addresses) == 1:
        return await _connect(addresses[0], port), addresses[0]
    running: dict[asyncio.Task[socket.socket], Address] = {}
    waiting = _interleaved(addresses)
    failure: OSError | None = None
    try:
        while waiting or running:
            if waiting:
                address = waiting.pop(0)
                running[asyncio.create_task(_connect(address, port))] = address
            done, _ = await asyncio.wait(
                running,
                timeout=_NEXT_ADDRESS_SECONDS if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                address = running.pop(attempt)
                try:
                    return attempt.result(), address
                except OSError as error:
                    failure = failure or error
    finally:
        await _drop(running)
    assert failure is not None
    raise failure


async def _drop(running: dict[asyncio.Task[socket.socket], Address]) -> None:
    for attempt in running:
        attempt.cancel()
    for outcome in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(outcome, socket.socket):
            outcome.close()


def _interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Alternate the families, the resolver's first one leading."""
    leading = [a for a in addresses if a.family is addresses[0].family]
    others = [a for a in addresses if a.family is not addresses[0].family]
    mixed: list[Address] = []
    while leading or others:
        mixed += [queue.pop(0) for queue in (leading, others) if queue]
    return mixed


async def _connect(address: Address, port: int) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (address.ip, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def _upgrade(
    sock: socket.socket, address: Address, target: Target, ssl_context: ssl.SSLContext
) -> Connection:
    """Put the protocol, and TLS where the target wants it, on a connected socket."""
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_connection(
            lambda: Connection(loop, sock, address.ip),
            sock=sock,
            ssl=ssl_context if target.is_tls else None,
            server_hostname=target.host.removesuffix(".") if target.is_tls else None,
        )
    except ssl.SSLError:
        sock.close()
        raise
    except OSError as error:
        sock.close()
        if target.is_tls:
            raise _HandshakeEnded from error
        raise
    except BaseException:
        sock.close()
        raise
    return connection


def _tls_reason(error: Exception) -> Reason:
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message.removesuffix(".")
        return Reason(FailureKind.TLS, "The certificate was refused: {reason}.", {"reason": said})
    if isinstance(error, ssl.SSLError):
        return tls_failed(error)
    return Reason(FailureKind.TLS, "The connection ended during the TLS handshake.")


def _os_error(error: OSError, exchange: Exchange) -> ExchangeError:
    # The loops put their own words into `strerror`; the system's are the ones people can look up.
    words = os.strerror(error.errno) if error.errno else str(error)
    reason = Reason(FailureKind.REFUSED, "The connection could not be made: {reason}.", {"reason": words})
    if error.errno in _OUR_OWN:
        reason = Reason(FailureKind.LOCAL, "No socket for the connection: {reason}.", {"reason": words})
    return exchange.error(reason, phase=Phase.PRE_DELIVERY)
