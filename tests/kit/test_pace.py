"""A body's time: what counts, what does not, and when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from partnerhub.kit.pace import BodyTooSlow, Message, Pace, Receive, paced


def client(*pieces: tuple[float, bytes]) -> Receive:
    """Make a client that sends each piece after so many seconds, and hangs up after the last."""
    left = list(pieces)

    async def receive() -> Message:
        if not left:
            await asyncio.sleep(0.2)
            return {"type": "http.disconnect"}
        seconds, piece = left.pop(0)
        await asyncio.sleep(seconds)
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    return receive


async def read(receive: Receive, *, busy_seconds: float = 0) -> bytes:
    """Read a body, with something else to do after each piece."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message["body"])
        if not message["more_body"]:
            return body
        await asyncio.sleep(busy_seconds)


@pytest.mark.parametrize(
    "pieces",
    [[(0.2, b"x"), (0.0, b"x")], [(0.04, b"x")] * 6],
    ids=["one long pause", "many short ones"],
)
async def test_a_body_that_does_not_come_in_time_is_refused(pieces: Sequence[tuple[float, bytes]]) -> None:
    with pytest.raises(BodyTooSlow):
        await read(paced(client(*pieces), Pace(0.1)))
    assert await read(paced(client(*pieces), Pace(5))) == b"x" * len(pieces)


async def test_a_body_that_keeps_the_rate_may_take_longer() -> None:
    pieces = [(0.04, b"x" * 100)] * 6
    assert len(await read(paced(client(*pieces), Pace(0.1, bytes_per_second=1_000)))) == 600
    with pytest.raises(BodyTooSlow):
        await read(paced(client(*pieces), Pace(0.1, bytes_per_second=1_000_000)))


async def test_our_own_time_is_not_the_clients() -> None:
    pieces = [(0.0, b"x")] * 5
    assert await read(paced(client(*pieces), Pace(0.1)), busy_seconds=0.05) == b"xxxxx"


async def test_after_the_body_the_client_may_stay_as_long_as_it_likes() -> None:
    receive = paced(client((0.0, b"x")), Pace(0.05))
    assert await read(receive) == b"x"
    assert (await receive())["type"] == "http.disconnect"
