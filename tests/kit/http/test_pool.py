"""Connections: reuse, bounds, fairness, and the race with a peer that closes."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import threading
from collections.abc import Sequence

import pytest
from tests.kit.http.receivers import OK, Names, Script, Visit, always, receiver, until

from partnerhub.kit.http import (
    Address,
    AddressPolicy,
    ExchangeError,
    FailureKind,
    HttpClient,
    Limits,
    Phase,
    Timeouts,
)


def client(limits: Limits | None = None) -> HttpClient:
    return HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK, limits=limits)


async def test_one_connection_serves_one_call_after_another() -> None:
    async with receiver(always(OK)) as here, client() as http:
        for _ in range(20):
            assert (await http.request("POST", here.url(), body=b"{}")).status == 200
        assert here.connections == 1
        assert http.state() == (1, 1, 0)


async def test_concurrent_calls_are_bounded_per_host_and_all_answered() -> None:
    async with receiver(always(OK)) as here, client(Limits(max_connections_per_host=3)) as http:
        answers = await asyncio.gather(*(http.request("POST", here.url(), body=b"{}") for _ in range(60)))
        assert {answer.status for answer in answers} == {200}
        assert here.connections == 3
        assert http.state() == (3, 3, 0)


async def test_started_calls_are_bounded_and_all_answered() -> None:
    async with receiver(always(OK)) as here, client(Limits(max_connections_per_host=3)) as http:
        await http.request("GET", here.url())
        futures = [http.start("POST", here.url(), body=b"{}") for _ in range(60)]
        assert here.connections == 1
        assert {(await future).status for future in futures} == {200}
        assert here.connections == 3


def held(gate: asyncio.Event) -> Script:
    """Answer each request once the gate opens."""

    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            await gate.wait()
            await visit.send(OK)

    return script


async def test_waiting_for_a_connection_ends_at_the_total_deadline() -> None:
    gate = asyncio.Event()
    async with receiver(held(gate)) as here, client(Limits(max_connections_per_host=1)) as http:
        first = asyncio.create_task(http.request("GET", here.url()))
        await here.seen(1)
        with pytest.raises(ExchangeError) as caught:
            await http.request("GET", here.url(), timeouts=Timeouts(total_seconds=0.1))
        assert (caught.value.phase, caught.value.kind) == (Phase.PRE_DELIVERY, FailureKind.TIMEOUT_TOTAL)
        gate.set()
        assert (await first).status == 200
        assert http.state() == (1, 1, 0)


async def test_a_cancelled_wait_loses_no_connection() -> None:
    gate = asyncio.Event()
    async with receiver(held(gate)) as here, client(Limits(max_connections_per_host=1)) as http:
        first = asyncio.create_task(http.request("GET", here.url()))
        await here.seen(1)
        waiting = [asyncio.create_task(http.request("GET", here.url())) for _ in range(3)]
        await until(lambda: http.state().waiting == 3)
        waiting[0].cancel()
        gate.set()
        await first
        waiting[1].cancel()  # it may hold the connection by now
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert not isinstance(results[2], BaseException)
        assert http.state().waiting == 0
        assert http.state().open <= 1
        assert (await http.request("GET", here.url())).status == 200


async def test_the_common_bound_evicts_what_lies_idle() -> None:
    async with (
        receiver(always(OK)) as one,
        receiver(always(OK)) as two,
        client(Limits(max_connections=1)) as http,
    ):
        for here in (one, two, one):
            assert (await http.request("GET", here.url())).status == 200
        assert (one.connections, two.connections) == (2, 1)
        assert http.state() == (1, 1, 0)


async def test_a_busy_host_does_not_starve_another_at_the_common_bound() -> None:
    answers = asyncio.Semaphore(0)
    order: list[str] = []

    async def on_demand(visit: Visit) -> None:
        while True:
            await visit.request()
            await answers.acquire()
            await visit.send(OK)

    async with (
        receiver(on_demand) as busy,
        receiver(always(OK)) as quiet,
        client(Limits(max_connections=2, max_connections_per_host=2)) as http,
    ):

        async def call(name: str, url: str) -> None:
            await http.request("GET", url)
            order.append(name)

        calls = [asyncio.create_task(call("busy", busy.url())) for _ in range(60)]
        await until(lambda: http.state().waiting == 58)
        calls.append(asyncio.create_task(call("quiet", quiet.url())))
        await until(lambda: http.state().waiting == 59)
        # Its turn comes with the first connections that are free, however many others wait.
        answers.release()
        answers.release()
        await until(lambda: "quiet" in order)
        for _ in range(60):
            answers.release()
        await asyncio.gather(*calls)
        assert http.state().open <= 2


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    gone = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.gone()
        gone.set()

    async with receiver(script) as here, client(Limits(keep_alive_seconds=0.2)) as http:
        await http.request("GET", here.url())
        assert http.state().idle == 1
        async with asyncio.timeout(3):
            await gone.wait()
        assert http.state() == (0, 0, 0)


async def test_a_servers_keep_alive_time_is_respected() -> None:
    raw = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0, max=5\r\nContent-Length: 0\r\n\r\n"
    async with receiver(always(raw)) as here, client() as http:
        for _ in range(2):
            await http.request("GET", here.url())
        assert here.connections == 2


def closing_after(count: int, *, answer: bytes = OK) -> Script:
    """Answer `count` requests on a connection, read one more, and close without a word."""

    async def script(visit: Visit) -> None:
        for _ in range(count):
            await visit.request()
            await visit.send(answer)
        await visit.request()

    return script


async def test_a_kept_connection_that_closes_under_the_request_is_an_attempt() -> None:
    async with receiver(closing_after(1)) as here, client() as http:
        await http.request("POST", here.url(), body=b"{}")
        with pytest.raises(ExchangeError) as caught:
            await http.request("POST", here.url(), body=b"{}")
        assert caught.value.phase is Phase.ATTEMPT
        assert caught.value.kind in (FailureKind.CLOSED, FailureKind.RESET)
        assert caught.value.timings.reused
        assert len(here.requests) == 2


async def test_a_repeatable_request_is_sent_once_more_on_a_fresh_connection() -> None:
    async with receiver(closing_after(1)) as here, client() as http:
        await http.request("POST", here.url(), body=b"1")
        answer = await http.request("POST", here.url(), body=b"2", repeatable=True)
        assert answer.status == 200
        assert not answer.timings.reused
        assert [request.body for request in here.requests] == [b"1", b"2", b"2"]
        assert here.connections == 2


async def test_a_repeatable_request_is_not_sent_a_third_time() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        if visit.number == 1:
            await visit.send(OK)
            await visit.request()

    async with receiver(script) as here, client() as http:
        await http.request("POST", here.url(), body=b"1")
        with pytest.raises(ExchangeError) as caught:
            await http.request("POST", here.url(), body=b"2", repeatable=True)
        assert caught.value.phase is Phase.ATTEMPT
        assert [request.body for request in here.requests] == [b"1", b"2", b"2"]


async def test_a_repeatable_request_is_not_repeated_once_an_answer_began() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.request()
        await visit.send(b"HTTP/1.1 200")

    async with receiver(script) as here, client() as http:
        await http.request("POST", here.url(), body=b"1")
        with pytest.raises(ExchangeError):
            await http.request("POST", here.url(), body=b"2", repeatable=True)
        assert len(here.requests) == 2


async def test_a_fresh_connection_that_closes_is_not_retried() -> None:
    async with receiver(closing_after(0)) as here, client() as http:
        with pytest.raises(ExchangeError):
            await http.request("POST", here.url(), body=b"1", repeatable=True)
        assert len(here.requests) == 1


@pytest.mark.parametrize("idle_seconds", [0.0, 0.1])
async def test_a_connection_closed_while_idle_is_not_used(idle_seconds: float) -> None:
    closed: list[asyncio.Event] = [asyncio.Event() for _ in range(2)]

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        visit.writer.close()
        await visit.writer.wait_closed()
        closed[visit.number - 1].set()

    async with receiver(script) as here, client() as http:
        for number in range(2):
            answer = await http.request("POST", here.url(), body=b"{}")
            assert not answer.timings.reused
            await closed[number].wait()
            await asyncio.sleep(idle_seconds)


async def test_a_connection_whose_end_the_loop_has_not_seen_is_not_used() -> None:
    # The peer is a thread that closes while the loop is held up, as by a long callback.
    leave, left = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            first, _ = listening.accept()
            first.recv(10_000)
            first.sendall(OK)
            leave.wait(5)
            first.close()
            left.set()
            second, _ = listening.accept()
            second.recv(10_000)
            second.sendall(OK)
            second.close()

        peer = threading.Thread(target=serve)
        peer.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        async with client() as http:
            await http.request("POST", url, body=b"{}")
            await asyncio.sleep(0.06)
            leave.set()
            left.wait(5)
            answer = await http.request("POST", url, body=b"{}")
            assert (answer.status, answer.timings.reused) == (200, False)
        peer.join()


async def test_a_client_closed_while_it_connects_keeps_no_connection() -> None:
    class Slow(Names):
        async def resolve(self, host: str) -> Sequence[Address]:
            await gate.wait()
            return await super().resolve(host)

    gate = asyncio.Event()
    async with receiver(always(OK)) as here:
        http = HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK, resolver=Slow(slow=["127.0.0.1"]))
        call = asyncio.create_task(http.request("GET", here.url(host="slow.example")))
        await asyncio.sleep(0.02)
        await http.close()
        gate.set()
        with pytest.raises(ExchangeError) as caught:
            await call
        assert (caught.value.phase, caught.value.kind) == (Phase.PRE_DELIVERY, FailureKind.LOCAL)
        assert http.state() == (0, 0, 0)
        assert not here.requests


async def test_running_out_of_sockets_is_our_own_fault() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with receiver(always(OK)) as here, client() as http:
        highest = max(int(number) for number in os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers only
        spare = [os.open(os.devnull, os.O_RDONLY) for _ in range(highest)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 1, hard))
        try:
            with pytest.raises(ExchangeError) as caught:
                await http.request("GET", here.url())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for number in spare:
                os.close(number)
        assert (caught.value.phase, caught.value.kind) == (Phase.PRE_DELIVERY, FailureKind.LOCAL)
        assert (await http.request("GET", here.url())).status == 200


async def test_a_race_of_closing_peers_loses_nothing_when_repeatable() -> None:
    async def script(visit: Visit) -> None:
        for _ in range(3):
            await visit.request()
            await visit.send(OK)

    async with receiver(script) as here, client(Limits(max_connections_per_host=8)) as http:
        for _ in range(20):
            answers = await asyncio.gather(
                *(http.request("POST", here.url(), body=b"{}", repeatable=True) for _ in range(16)),
                return_exceptions=True,
            )
            # The one retry may meet another closing connection only if it is fresh, which it never is here.
            assert [getattr(answer, "status", answer) for answer in answers] == [200] * 16
        assert http.state().waiting == 0


async def test_thousands_of_started_calls_come_back() -> None:
    async with receiver(always(OK)) as here, client(Limits(max_connections_per_host=32)) as http:
        futures = [http.start("POST", here.url(), body=b"%d" % number) for number in range(3000)]
        answers = await asyncio.gather(*futures)
        assert len(answers) == 3000
        assert {request.body for request in here.requests} == {b"%d" % number for number in range(3000)}
        assert here.connections <= 32
