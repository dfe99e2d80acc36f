"""Every way an exchange fails has its phase and kind: the receiver zoo, behaviour."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from time import perf_counter

import pytest
from tests.kit.http.receivers import OK, Names, Visit, always, receiver, silent

from partnerhub.kit.boundary import NetworkInsideTransaction, in_transaction
from partnerhub.kit.http import (
    AddressPolicy,
    ExchangeError,
    FailureKind,
    HttpClient,
    Phase,
    Timeouts,
)


def client(timeouts: Timeouts | None = None) -> HttpClient:
    return HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK, timeouts=timeouts)


async def failure(http: HttpClient, url: str, body: bytes = b"{}") -> ExchangeError:
    with pytest.raises(ExchangeError) as caught:
        await http.request("POST", url, body=body)
    return caught.value


async def test_nobody_listening_is_refused_before_delivery() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with client() as http:
        error = await failure(http, f"http://127.0.0.1:{port}/")
        assert (error.phase, error.kind) == (Phase.PRE_DELIVERY, FailureKind.REFUSED)
        assert error.peer_address == "127.0.0.1"
        assert error.status == 502
        assert http.state() == (0, 0, 0)


async def test_a_peer_that_takes_no_connection_is_a_connect_timeout() -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        # Fill the backlog; the kernel then drops further SYNs.
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        async with client(Timeouts(connect_seconds=0.2)) as http:
            error = await failure(http, f"http://127.0.0.1:{full.getsockname()[1]}/")
    assert (error.phase, error.kind) == (Phase.PRE_DELIVERY, FailureKind.TIMEOUT_CONNECT)
    assert error.status == 504


async def test_silence_is_a_first_byte_timeout() -> None:
    async with receiver(silent) as here, client(Timeouts(first_byte_seconds=0.1)) as http:
        error = await failure(http, here.url())
        assert (error.phase, error.kind) == (Phase.ATTEMPT, FailureKind.TIMEOUT_FIRST_BYTE)
        assert error.timings.first_byte_us >= 99_000
        assert http.state() == (0, 0, 0)


async def test_silence_up_to_the_total_deadline_is_a_first_byte_timeout_too() -> None:
    timeouts = Timeouts(first_byte_seconds=0.2, total_seconds=0.2)
    async with receiver(silent) as here, client(timeouts) as http:
        error = await failure(http, here.url())
        assert (error.phase, error.kind) == (Phase.ATTEMPT, FailureKind.TIMEOUT_FIRST_BYTE)


async def test_a_dripping_answer_ends_at_the_total_deadline() -> None:
    async def drip(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not visit.writer.is_closing():
            await visit.send(b"x")
            await asyncio.sleep(0.01)

    timeouts = Timeouts(total_seconds=0.4)
    async with receiver(drip) as here, client(timeouts) as http:
        started = perf_counter()
        error = await failure(http, here.url())
        assert (error.phase, error.kind) == (Phase.ATTEMPT, FailureKind.TIMEOUT_TOTAL)
        assert 0.35 < perf_counter() - started < 10
        assert error.answer is not None
        assert 1 <= len(error.answer.body) < 100


async def test_a_dripping_head_ends_at_the_total_deadline() -> None:
    async def drip(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\n")
        while not visit.writer.is_closing():
            await visit.send(b"X: y\r\n")
            await asyncio.sleep(0.01)

    async with receiver(drip) as here, client(Timeouts(total_seconds=0.3)) as http:
        error = await failure(http, here.url())
        assert (error.kind, error.answer) == (FailureKind.TIMEOUT_TOTAL, None)


async def test_a_slow_but_timely_answer_is_fine() -> None:
    async def slow(visit: Visit) -> None:
        await visit.request()
        await asyncio.sleep(0.1)
        await visit.send(OK[:-1])
        await asyncio.sleep(0.6)
        await visit.send(OK[-1:])
        await visit.gone()

    timeouts = Timeouts(first_byte_seconds=0.5, total_seconds=10)
    async with receiver(slow) as here, client(timeouts) as http:
        answer = await http.request("POST", here.url(), body=b"{}")
        assert answer.body == b"ok"
        assert answer.timings.first_byte_us >= 99_000
        assert answer.timings.body_us >= 599_000
        assert answer.timings.total_us >= answer.timings.first_byte_us + answer.timings.body_us


async def test_each_exchange_on_a_kept_connection_has_its_own_deadline() -> None:
    async def slow_second(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.request()
        await visit.gone()

    async with receiver(slow_second) as here, client() as http:
        await http.request("POST", here.url(), timeouts=Timeouts(first_byte_seconds=20))
        started = perf_counter()
        with pytest.raises(ExchangeError) as caught:
            await http.request("POST", here.url(), timeouts=Timeouts(first_byte_seconds=0.1))
        assert caught.value.kind is FailureKind.TIMEOUT_FIRST_BYTE
        assert caught.value.timings.reused
        assert perf_counter() - started < 10


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"]
)
async def test_a_reset_after_the_request_is_an_attempt(sent: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        if sent:
            await visit.send(sent)
            await asyncio.sleep(0.02)
        visit.reset()

    async with receiver(script) as here, client() as http:
        error = await failure(http, here.url())
        assert (error.phase, error.kind) == (Phase.ATTEMPT, FailureKind.RESET)


async def test_a_reset_while_the_request_is_written_is_an_attempt() -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.readexactly(10)
        visit.reset()

    async with receiver(script) as here, client() as http:
        error = await failure(http, here.url(), b"x" * 8_000_000)
        assert error.phase is Phase.ATTEMPT
        assert error.kind in (FailureKind.RESET, FailureKind.CLOSED)


async def test_an_answer_that_comes_before_the_body_was_sent_is_the_answer() -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.readexactly(10)
        await visit.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await visit.gone()

    async with receiver(script) as here, client() as http:
        answer = await http.request("POST", here.url(), body=b"x" * 8_000_000)
        assert (answer.status, answer.body) == (413, b"no")
        assert http.state() == (0, 0, 0)


async def test_the_next_address_is_tried_when_one_fails() -> None:
    names = Names(both=["::1", "127.0.0.1"])
    async with receiver(always(OK)) as here:
        async with HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK, resolver=names) as http:
            answer = await http.request("GET", here.url(host="both.example"))
        assert answer.peer_address == "127.0.0.1"
        assert here.requests[0].header("host") == f"both.example:{here.port}"


async def test_the_next_address_is_tried_beside_one_that_is_slow() -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.2", 0), backlog=0))
        port = full.getsockname()[1]
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", port)
        names = Names(two=["127.0.0.2", "127.0.0.1"])
        async with HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK, resolver=names) as http:
            answer = await http.request("GET", f"http://two.example:{port}/")
        assert answer.peer_address == "127.0.0.1"
        assert 250_000 <= answer.timings.connect_us < 5_000_000
        server.close()


async def test_every_address_failing_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    names = Names(two=["127.0.0.2", "127.0.0.1"])
    async with HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK, resolver=names) as http:
        error = await failure(http, f"http://two.example:{port}/")
        assert (error.phase, error.kind) == (Phase.PRE_DELIVERY, FailureKind.REFUSED)


async def test_ipv6_loopback_works() -> None:
    async with receiver(always(OK), address="::1") as here, client() as http:
        answer = await http.request("GET", here.url())
        assert answer.peer_address == "::1"
        assert here.requests[0].header("host") == f"[::1]:{here.port}"


async def test_a_cancelled_call_takes_its_connection_along() -> None:
    async with receiver(silent) as here, client() as http:
        call = asyncio.create_task(http.request("POST", here.url(), body=b"{}"))
        await here.seen(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert http.state() == (0, 0, 0)


async def test_a_cancelled_future_takes_its_connection_along() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.request()
        await visit.gone()

    async with receiver(script) as here, client() as http:
        await http.request("GET", here.url())
        future = http.start("GET", here.url())
        await here.seen(2)
        future.cancel()
        await asyncio.sleep(0)
        assert http.state() == (0, 0, 0)


async def test_closing_the_client_fails_what_runs_and_refuses_what_comes() -> None:
    async with receiver(silent) as here, client() as http:
        running = asyncio.create_task(failure(http, here.url()))
        await here.seen(1)
        await http.close()
        assert (await running).phase is Phase.ATTEMPT
        error = await failure(http, here.url())
        assert (error.phase, error.kind) == (Phase.PRE_DELIVERY, FailureKind.LOCAL)


async def test_no_call_leaves_while_a_transaction_is_open() -> None:
    async with receiver(always(OK)) as here, client() as http:
        mark = in_transaction.set(True)
        try:
            with pytest.raises(NetworkInsideTransaction):
                await http.request("GET", here.url())
            with pytest.raises(NetworkInsideTransaction):
                http.start("GET", here.url())
            with pytest.raises(NetworkInsideTransaction):
                async with http.stream("GET", here.url()):
                    pytest.fail("a stream was opened")
        finally:
            in_transaction.reset(mark)
        assert here.connections == 0
        assert (await http.request("GET", here.url())).status == 200


async def test_the_phases_of_a_fresh_exchange_add_up() -> None:
    names = Names(here=["127.0.0.1"])
    async with receiver(always(OK)) as here:
        async with HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK, resolver=names) as http:
            first = (await http.request("GET", here.url(host="here.example"))).timings
            second = (await http.request("GET", here.url(host="here.example"))).timings
        assert (first.reused, second.reused) == (False, True)
        assert first.connect_us > 0
        assert (second.dns_us, second.connect_us, second.tls_us) == (0, 0, 0)
        parts = first.dns_us + first.connect_us + first.tls_us + first.first_byte_us + first.body_us
        assert parts <= first.total_us
        assert names.asked == ["here.example"]
