"""What goes on the wire: heads, bodies, streams, forms; and what may not."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from email.parser import BytesParser
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.http.receivers import OK, Visit, always, receiver

from partnerhub.kit.http import (
    AddressPolicy,
    ExchangeError,
    FailureKind,
    FilePart,
    HttpClient,
    InvalidHeader,
    Phase,
    StreamBody,
    Timeouts,
    check_header,
    multipart,
)


def client(timeouts: Timeouts | None = None) -> HttpClient:
    return HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK, timeouts=timeouts, user_agent="test/1")


async def test_the_head_says_what_it_must() -> None:
    async with receiver(always(OK)) as here, client() as http:
        await http.request(
            "POST",
            here.url("/a/b?c=d"),
            headers={"Content-Type": "application/json", "X-Note": "ü\t;"},
            body=b"{}",
        )
        assert here.requests[0].lines == [
            "POST /a/b?c=d HTTP/1.1",
            f"Host: 127.0.0.1:{here.port}",
            "Accept-Encoding: identity",
            "Content-Type: application/json",
            "X-Note: ü\t;",
            "User-Agent: test/1",
            "Accept: */*",
            "Content-Length: 2",
        ]


async def test_a_caller_may_name_its_agent_and_what_it_accepts() -> None:
    async with receiver(always(OK)) as here, client() as http:
        await http.request(
            "GET", here.url(), headers=[("user-agent", "other"), ("ACCEPT", "a/b"), ("A", "1"), ("A", "2")]
        )
        assert here.requests[0].lines[3:] == ["user-agent: other", "ACCEPT: a/b", "A: 1", "A: 2"]


@pytest.mark.parametrize(
    ("method", "length"),
    [
        ("GET", None),
        ("HEAD", None),
        ("OPTIONS", None),
        ("POST", "0"),
        ("PUT", "0"),
        ("PATCH", "0"),
        ("DELETE", "0"),
    ],
)
async def test_an_empty_body_is_framed_by_its_method(method: str, length: str | None) -> None:
    async with receiver(always(b"HTTP/1.1 204 No Content\r\n\r\n")) as here, client() as http:
        await http.request(method, here.url())
        assert here.requests[0].header("content-length") == length


async def test_an_unknown_method_is_a_mistake() -> None:
    async with client() as http:
        for method in ("get", "CONNECT", "TRACE", "GET / HTTP/1.1\r\nX:", ""):
            with pytest.raises(ValueError, match="unknown method"):
                await http.request(method, "http://127.0.0.1:1/")


RESERVED = [
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Upgrade",
    "Expect",
    "Accept-Encoding",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Proxy-Anything",
]


@pytest.mark.parametrize(
    "name", [*RESERVED, *(name.lower() for name in RESERVED), "", "a b", "a:", "a\r\nb", "ä", "(x)"]
)
async def test_a_header_name_that_is_not_the_callers_is_refused(name: str) -> None:
    with pytest.raises(InvalidHeader):
        check_header(name, "x")
    async with receiver(always(OK)) as here, client() as http:
        with pytest.raises(InvalidHeader) as caught:
            await http.request("GET", here.url(), headers={name: "x"})
        assert caught.value.code == "invalid_header"
        assert here.connections == 0


@given(st.text(max_size=20), st.sampled_from("\r\n\x00\x0b\x0c\x7f\x85…"), st.text(max_size=20))
def test_a_header_value_cannot_end_its_line(before: str, bad: str, after: str) -> None:
    if bad == "\x85":  # a letter of Latin-1, harmless in bytes
        check_header("X-A", bad)
        return
    with pytest.raises(InvalidHeader):
        check_header("X-A", before + bad + after)


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        await asyncio.sleep(0)
        yield piece


async def test_a_stream_of_known_length_is_sent_with_it() -> None:
    async with receiver(always(OK)) as here, client() as http:
        body = StreamBody(content=pieces(b"ab", b"", b"cde"), length=5)
        await http.request("POST", here.url(), body=body)
        assert (here.requests[0].header("content-length"), here.requests[0].body) == ("5", b"abcde")
        assert http.state().idle == 1


async def test_a_stream_of_unknown_length_is_chunked() -> None:
    async with receiver(always(OK)) as here, client() as http:
        await http.request("POST", here.url(), body=StreamBody(content=pieces(b"ab", b"", b"c" * 1000)))
        request = here.requests[0]
        assert request.header("transfer-encoding") == "chunked"
        assert request.header("content-length") is None
        assert request.body == b"ab" + b"c" * 1000
        assert http.state().idle == 1


@pytest.mark.parametrize("content", [(b"abc",), (b"abc", b"def")])
async def test_a_stream_that_breaks_its_length_ends_the_exchange(content: tuple[bytes, ...]) -> None:
    async with receiver(always(OK)) as here, client() as http:
        with pytest.raises(ValueError, match="the body"):
            await http.request("POST", here.url(), body=StreamBody(content=pieces(*content), length=4))
        assert http.state() == (0, 0, 0)
    assert not here.requests


async def test_what_the_producer_raises_reaches_the_caller() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"ab"
        raise LookupError("gone")

    async with receiver(always(OK)) as here, client() as http:
        with pytest.raises(LookupError, match="gone"):
            await http.request("POST", here.url(), body=StreamBody(content=broken(), length=4))
        assert http.state() == (0, 0, 0)


async def test_a_producer_that_stalls_ends_at_the_total_deadline() -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b"ab"
        await asyncio.Event().wait()

    timeouts = Timeouts(first_byte_seconds=0.01, total_seconds=0.5)
    async with receiver(always(OK)) as here, client(timeouts) as http:
        with pytest.raises(ExchangeError) as caught:
            await http.request("POST", here.url(), body=StreamBody(content=stalled(), length=4))
        assert (caught.value.phase, caught.value.kind) == (Phase.ATTEMPT, FailureKind.TIMEOUT_TOTAL)


async def test_a_slow_peer_slows_the_producer_down() -> None:
    produced = 0
    gate = asyncio.Event()

    async def produce() -> AsyncIterator[bytes]:
        nonlocal produced
        for _ in range(1000):
            produced += 1
            yield b"x" * 65536

    async def script(visit: Visit) -> None:
        await gate.wait()
        await visit.request()
        await visit.send(OK)

    async with receiver(script) as here, client() as http:
        call = asyncio.create_task(
            http.request("POST", here.url(), body=StreamBody(content=produce(), length=65_536_000))
        )
        await asyncio.sleep(0.2)
        assert 0 < produced < 500
        gate.set()
        assert (await call).status == 200
        assert produced == 1000


async def test_a_large_body_does_not_count_as_waiting_for_the_answer() -> None:
    async def script(visit: Visit) -> None:
        await asyncio.sleep(1.0)
        await visit.request()
        await visit.send(OK)
        await visit.gone()

    timeouts = Timeouts(first_byte_seconds=0.8, total_seconds=20)
    async with receiver(script) as here, client(timeouts) as http:
        body = b"x" * 30_000_000
        assert (await http.request("POST", here.url(), body=body)).status == 200
        assert here.requests[0].body == body


async def test_a_form_is_read_back_as_it_was_written() -> None:
    picture = bytes(range(256)) * 100
    body, content_type = multipart(
        {"messaging_product": "whatsapp", "te\r\nst": "value"},
        [
            FilePart(name="file", filename='a"b\r\nc.png', content_type="image/png", content=picture),
            FilePart(
                name="other",
                filename="ü.txt",
                content_type="text/plain",
                content=pieces(b"1", b"2"),
                length=2,
            ),
        ],
    )
    async with receiver(always(OK)) as here, client() as http:
        await http.request("POST", here.url(), headers={"Content-Type": content_type}, body=body)
        request = here.requests[0]
        assert int(request.header("content-length") or 0) == body.length == len(request.body)
        form = BytesParser(policy=HTTP).parsebytes(
            b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + request.body
        )
        parts = list(form.iter_parts())
        names = [part.get_param("name", header="content-disposition") for part in parts]
        assert names == ["messaging_product", "te%0D%0Ast", "file", "other"]
        assert [part.get_payload(decode=True) for part in parts[1:]] == [b"value", picture, b"12"]
        assert parts[2].get_filename() == "a%22b%0D%0Ac.png"
        assert parts[2].get_content_type() == "image/png"


async def test_a_form_with_a_part_of_unknown_length_is_chunked() -> None:
    body, content_type = multipart(
        {}, [FilePart(name="f", filename="f", content_type="a/b", content=pieces(b"12", b"3"))]
    )
    assert body.length is None
    async with receiver(always(OK)) as here, client() as http:
        await http.request("POST", here.url(), headers={"Content-Type": content_type}, body=body)
        assert b"\r\n\r\n123\r\n--" in here.requests[0].body


def test_a_content_type_with_a_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="line break"):
        multipart({}, [FilePart(name="f", filename="f", content_type="a/b\r\nX: y", content=b"")])


async def download(visit: Visit) -> None:
    await visit.request()
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 40000000\r\n\r\n")
    for index in range(4000):
        visit.receiver.failures = []
        await visit.send(bytes([index % 256]) * 10_000)
    await visit.gone()


async def test_a_streamed_answer_gives_its_head_first_and_then_its_body() -> None:
    expected = hashlib.sha256(b"".join(bytes([index % 256]) * 10_000 for index in range(4000))).digest()
    async with receiver(download) as here, client() as http:
        async with http.stream("GET", here.url(), max_body_bytes=40_000_000) as answer:
            assert (answer.status, answer.headers.get("content-type")) == (200, "image/png")
            digest = hashlib.sha256()
            async for piece in answer:
                digest.update(piece)
        assert digest.digest() == expected
        assert answer.timings.body_us > 0
        assert http.state().idle == 1


async def test_a_reader_that_pauses_pauses_the_peer() -> None:
    sent = 0

    async def script(visit: Visit) -> None:
        nonlocal sent
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n")
        while sent < 40_000_000:
            await visit.send(b"x" * 100_000)
            sent += 100_000
        await visit.gone()

    async with receiver(script) as here, client() as http:
        async with http.stream("GET", here.url(), max_body_bytes=40_000_000) as answer:
            await asyncio.sleep(0.3)
            assert sent < 20_000_000  # what the kernel's buffers hold, and little more
            assert len(await answer.read()) == 40_000_000
        # A connection that was paused at its end must read again for the next call.
        assert http.state().idle == 1


async def test_a_connection_paused_at_the_end_of_a_body_is_good_for_the_next_call() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
    async with receiver(always(raw)) as here, client() as http:
        for _ in range(3):
            async with http.stream("GET", here.url()) as answer:
                await asyncio.sleep(0.05)
                assert len(await answer.read()) == 300_000
        assert here.connections == 1


async def test_leaving_a_stream_early_drops_its_connection() -> None:
    async with receiver(download) as here, client() as http:
        async with http.stream("GET", here.url(), max_body_bytes=40_000_000) as answer:
            async for _ in answer:
                break
        assert http.state() == (0, 0, 0)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf", FailureKind.CLOSED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n", FailureKind.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\nhalf" + b"x" * 1000, FailureKind.TOO_LARGE),
    ],
)
async def test_a_stream_that_breaks_off_raises_while_it_is_read(raw: bytes, kind: FailureKind) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(raw)

    async with receiver(script) as here, client() as http:
        async with http.stream("GET", here.url(), max_body_bytes=1000) as answer:
            assert answer.status == 200
            with pytest.raises(ExchangeError) as caught:
                await answer.read()
        assert caught.value.kind is kind
        assert http.state() == (0, 0, 0)


async def test_a_stream_that_takes_too_long_raises_while_it_is_read() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf")
        await visit.gone()

    async with receiver(script) as here, client(Timeouts(total_seconds=0.6)) as http:
        async with http.stream("GET", here.url()) as answer:
            with pytest.raises(ExchangeError) as caught:
                await answer.read()
        assert caught.value.kind is FailureKind.TIMEOUT_TOTAL
