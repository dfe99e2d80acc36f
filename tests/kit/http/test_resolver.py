"""Names: what is remembered, for how long, and what happens while a name server is slow."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from tests.kit.http.receivers import until

from partnerhub.kit.http import Address, ExchangeError, FailureKind, Phase, SystemResolver
from partnerhub.kit.http.resolver import system_addresses


class NameServer:
    """Blocking look-ups as the system's are, with a switch for each way they go wrong."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failing = False
        self.hanging = threading.Event()
        self.hanging.set()

    def __call__(self, host: str) -> list[Address]:
        self.asked.append(host)
        self.hanging.wait(5)
        if self.failing:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [Address(socket.AF_INET, f"192.0.2.{len(self.asked)}")]


async def test_a_name_is_looked_up_once_while_it_is_fresh() -> None:
    names = NameServer()
    resolver = SystemResolver(look_up=names)
    answers = await asyncio.gather(*(resolver.resolve("a.example") for _ in range(20)))
    assert {tuple(answer) for answer in answers} == {(Address(socket.AF_INET, "192.0.2.1"),)}
    await resolver.resolve("a.example")
    await resolver.resolve("b.example")
    assert names.asked == ["a.example", "b.example"]


async def test_a_name_is_looked_up_again_when_it_is_old() -> None:
    names = NameServer()
    resolver = SystemResolver(look_up=names, fresh_seconds=0)
    first, second = await resolver.resolve("a.example"), await resolver.resolve("a.example")
    assert (first[0].ip, second[0].ip) == ("192.0.2.1", "192.0.2.2")


async def test_a_name_that_does_not_exist_is_a_dns_failure() -> None:
    names = NameServer()
    names.failing = True
    resolver = SystemResolver(look_up=names)
    with pytest.raises(ExchangeError) as caught:
        await resolver.resolve("a.example")
    assert (caught.value.phase, caught.value.kind) == (Phase.PRE_DELIVERY, FailureKind.DNS)
    assert "a.example" in str(caught.value)
    names.failing = False
    assert await resolver.resolve("a.example")


@pytest.mark.parametrize("trouble", ["failing", "hanging"])
async def test_an_old_address_is_used_while_the_name_server_is_in_trouble(trouble: str) -> None:
    names = NameServer()
    resolver = SystemResolver(look_up=names, fresh_seconds=0, patience_seconds=0.05)
    first = await resolver.resolve("a.example")
    if trouble == "failing":
        names.failing = True
    else:
        names.hanging.clear()
    assert await resolver.resolve("a.example") == first
    names.hanging.set()
    await resolver.close()


async def test_an_address_that_is_too_old_is_not_used() -> None:
    names = NameServer()
    resolver = SystemResolver(look_up=names, fresh_seconds=0, stale_seconds=0)
    await resolver.resolve("a.example")
    names.failing = True
    with pytest.raises(ExchangeError):
        await resolver.resolve("a.example")


async def test_look_ups_run_beside_the_loop_and_no_more_than_allowed() -> None:
    names = NameServer()
    names.hanging.clear()
    resolver = SystemResolver(look_up=names, max_lookups=3)
    calls = [asyncio.create_task(resolver.resolve(f"{number}.example")) for number in range(10)]
    await until(lambda: len(names.asked) >= 3)
    await asyncio.sleep(0.05)
    assert len(names.asked) == 3
    names.hanging.set()
    await asyncio.gather(*calls)
    assert len(names.asked) == 10


async def test_leaving_a_look_up_does_not_end_it_for_others() -> None:
    names = NameServer()
    names.hanging.clear()
    resolver = SystemResolver(look_up=names)
    impatient, patient = (asyncio.create_task(resolver.resolve("a.example")) for _ in range(2))
    await until(lambda: bool(names.asked))
    impatient.cancel()
    names.hanging.set()
    assert await patient
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_closing_ends_the_wait_for_a_look_up_that_hangs() -> None:
    names = NameServer()
    names.hanging.clear()
    resolver = SystemResolver(look_up=names)
    call = asyncio.create_task(resolver.resolve("a.example"))
    await until(lambda: bool(names.asked))
    started = time.monotonic()
    await resolver.close()
    with pytest.raises(ExchangeError) as caught:
        await call
    assert caught.value.kind is FailureKind.LOCAL
    assert time.monotonic() - started < 4
    names.hanging.set()


async def test_the_memory_is_bounded() -> None:
    names = NameServer()
    resolver = SystemResolver(look_up=names, max_names=2)
    for host in ("a.example", "b.example", "c.example", "c.example", "a.example"):
        await resolver.resolve(host)
    assert names.asked == ["a.example", "b.example", "c.example", "a.example"]


def test_the_system_knows_this_machine() -> None:
    assert {address.ip for address in system_addresses("localhost")} & {"127.0.0.1", "::1"}
