"""Which bytes are an answer, and which are refused: the receiver zoo, framing."""

from __future__ import annotations

import gzip

import pytest
from tests.kit.http.receivers import OK, Visit, always, once, receiver

from partnerhub.kit.http import AddressPolicy, ExchangeError, FailureKind, HttpClient, Limits, Phase


def client(limits: Limits | None = None) -> HttpClient:
    return HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK, limits=limits)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: "

ACCEPTED = {
    "length": (OK, 200, b"ok", True),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", True),
    "chunked": (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", 200, b"ok", True),
    "chunked in capitals": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        200,
        b"ok",
        True,
    ),
    "chunk extension and trailer": (CHUNKED + b"2;a=b\r\nok\r\n0\r\nX-T: 1\r\n\r\n", 200, b"ok", True),
    "until close": (b"HTTP/1.1 200 OK\r\n\r\nto the end", 200, b"to the end", False),
    "until close, empty": (b"HTTP/1.1 200 OK\r\n\r\n", 200, b"", False),
    "1.0": (b"HTTP/1.0 200 OK\r\n\r\nok", 200, b"ok", False),
    "1.0 kept": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        200,
        b"ok",
        True,
    ),
    "close asked": (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        200,
        b"ok",
        False,
    ),
    "empty lines first": (b"\r\n\r\n" + OK, 200, b"ok", True),
    "100 first": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok", True),
    "many 1xx first": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 20 + OK, 200, b"ok", True),
    "unknown 1xx first": (b"HTTP/1.1 150 Odd\r\n\r\n" + OK, 200, b"ok", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "204 with a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", 204, b"", True),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 200\r\n\r\n", 304, b"", True),
    "redirect": (
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
        302,
        b"",
        True,
    ),
    "client error": (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", 410, b"", True),
    "server error": (b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 503, b"", True),
    "unknown status": (b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", 999, b"", True),
    "upgrade offered": (
        b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nok",
        200,
        b"ok",
        True,
    ),
    "a second answer unasked": (OK + b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", 200, b"ok", False),
    "garbage after": (OK + b"!!!! garbage", 200, b"ok", False),
    "data after close": (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nokmore",
        200,
        b"ok",
        False,
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("bytewise", [False, True])
async def test_an_answer_is_read_as_framed(name: str, bytewise: bool) -> None:
    raw, status, body, kept = ACCEPTED[name]

    async def script(visit: Visit) -> None:
        await visit.request()
        await (visit.send_bytewise(raw) if bytewise else visit.send(raw))
        if not kept:
            visit.writer.close()
        await visit.gone()

    async with receiver(script) as here, client() as http:
        answer = await http.request("POST", here.url(), body=b"{}")
        assert (answer.status, answer.body, answer.body_truncated) == (status, body, False)
        if kept or not bytewise:  # a byte that comes later than the answer ends the idle connection instead
            assert http.state().idle == (1 if kept else 0)
        assert here.connections == 1


REFUSED = {
    "obs-fold": b"HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\nContent-Length: 2\r\n\r\nok",
    "folded length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n 3\r\n\r\nok",
    "two lengths": LENGTH + b"2\r\nContent-Length: 3\r\n\r\nok",
    "the same length twice": LENGTH + b"2\r\nContent-Length: 2\r\n\r\nok",
    "length list": LENGTH + b"2, 2\r\n\r\nok",
    "negative length": LENGTH + b"-2\r\n\r\nok",
    "signed length": LENGTH + b"+2\r\n\r\nok",
    "length overflow": LENGTH + b"99999999999999999999999\r\n\r\nok",
    "empty length": LENGTH + b"\r\n\r\nok",
    "length after coding": CHUNKED[:-2] + b"Content-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "coding after length": LENGTH + b"2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "gzip coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "gzip and chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    "identity coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
    "coding twice": CHUNKED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "coding behind a tab": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    "coding before a space": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    "coding in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "negative chunk": CHUNKED + b"-2\r\nok\r\n0\r\n\r\n",
    "chunk overflow": CHUNKED + b"fffffffffffffffff\r\nok\r\n0\r\n\r\n",
    "chunk lines without CR": CHUNKED + b"2\nok\n0\n\n",
    "chunk longer than said": CHUNKED + b"2\r\nokay\r\n0\r\n\r\n",
    "lines without CR": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "no status": b"HTTP/1.1 \r\nContent-Length: 2\r\n\r\nok",
    "short status": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "long status": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 000": b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 099": b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "RTSP": b"RTSP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "ICE": b"ICE/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "ICY": b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "no head": b"<html>hello</html>",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "interim head with a length": b"HTTP/1.1 150 Odd\r\nContent-Length: 3\r\n\r\nabc" + OK,
    "interim head with a coding": b"HTTP/1.1 103 Odd\r\nTransfer-Encoding: chunked\r\n\r\n" + OK,
    "101": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nblah",
    "101 bare": b"HTTP/1.1 101 Switching\r\n\r\nblah",
    "NUL in a header": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok",
    "CR in a header": b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok",
    "space in a name": b"HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 2\r\n\r\nok",
    "no name": b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 2\r\n\r\nok",
    "no colon": b"HTTP/1.1 200 OK\r\nabc\r\nContent-Length: 2\r\n\r\nok",
    "space before a name": b"HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("bytewise", [False, True])
async def test_an_answer_that_is_not_clean_is_malformed(name: str, bytewise: bool) -> None:
    raw = REFUSED[name]

    async def script(visit: Visit) -> None:
        await visit.request()
        await (visit.send_bytewise(raw) if bytewise else visit.send(raw))
        await visit.gone()

    async with receiver(script) as here, client() as http:
        with pytest.raises(ExchangeError) as caught:
            await http.request("POST", here.url(), body=b"{}")
        assert (caught.value.kind, caught.value.phase) == (FailureKind.MALFORMED, Phase.ATTEMPT)
        assert http.state() == (0, 0, 0)


CUT_SHORT = {
    "in the status line": b"HTTP/1.1 2",
    "in the head": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
    "in the body": LENGTH + b"20\r\n\r\nok",
    "between chunks": CHUNKED + b"2\r\nok\r\n",
    "before the last line": CHUNKED + b"2\r\nok\r\n0\r\n",
    "after 100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "at once": b"",
}


@pytest.mark.parametrize("name", CUT_SHORT)
async def test_an_answer_that_ends_early_is_closed(name: str) -> None:
    async with receiver(once(CUT_SHORT[name])) as here, client() as http:
        with pytest.raises(ExchangeError) as caught:
            await http.request("POST", here.url(), body=b"{}")
        assert (caught.value.kind, caught.value.phase) == (FailureKind.CLOSED, Phase.ATTEMPT)


async def test_what_arrived_of_a_broken_body_is_kept_with_the_error() -> None:
    async with receiver(once(LENGTH + b"20\r\n\r\nhalf")) as here, client() as http:
        with pytest.raises(ExchangeError) as caught:
            await http.request("GET", here.url())
        partial = caught.value.answer
        assert partial is not None
        assert (partial.status, partial.body, partial.body_truncated) == (200, b"half", True)
        assert caught.value.peer_address == "127.0.0.1"
        assert caught.value.timings.first_byte_us > 0


async def test_header_lines_keep_their_order_and_repetitions() -> None:
    lines = b"Set-Cookie: a=1\r\nX-Umlaut: \xfc\r\nset-cookie: b=2\r\nContent-Length: 0\r\n\r\n"
    raw = b"HTTP/1.1 200 OK\r\n" + lines
    async with receiver(always(raw)) as here, client() as http:
        headers = (await http.request("GET", here.url())).headers
        assert headers.get_all("SET-COOKIE") == ["a=1", "b=2"]
        assert headers.get("x-umlaut") == "ü"
        assert headers.get("x-missing", "none") == "none"
        assert [name for name, _ in headers] == ["set-cookie", "x-umlaut", "set-cookie", "content-length"]


async def test_an_interim_head_leaves_no_trace_in_the_answer() -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK
    async with receiver(always(raw)) as here, client() as http:
        answer = await http.request("GET", here.url())
        assert (answer.status, answer.reason) == (200, "OK")
        assert answer.headers.items() == [("content-length", "2")]


async def test_head_has_no_body_whatever_its_length_says() -> None:
    async with receiver(always(LENGTH + b"500\r\n\r\n")) as here, client() as http:
        for _ in range(2):
            answer = await http.request("HEAD", here.url())
            assert (answer.status, answer.body) == (200, b"")
            assert answer.headers.get("content-length") == "500"
        assert here.connections == 2


async def test_compressed_bodies_are_left_alone() -> None:
    bomb = gzip.compress(b"\0" * 5_000_000)
    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    async with receiver(always(raw + bomb)) as here, client() as http:
        answer = await http.request("GET", here.url())
        assert answer.body == bomb
        assert here.requests[0].header("accept-encoding") == "identity"


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 300000\r\n\r\n", b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n493e0\r\n"],
)
async def test_a_body_is_read_to_its_limit_and_no_further(framing: bytes) -> None:
    sent = 0

    async def script(visit: Visit) -> None:
        nonlocal sent
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\n" + framing)
        while sent < 300_000:
            await visit.send(b"x" * 1000)
            sent += 1000
        await visit.gone()

    async with receiver(script) as here, client() as http:
        answer = await http.request("GET", here.url(), max_body_bytes=1234)
        assert (answer.body, answer.body_truncated) == (b"x" * 1234, True)
        assert http.state() == (0, 0, 0)


async def test_a_body_of_exactly_the_limit_is_whole_and_the_connection_is_kept() -> None:
    async with receiver(always(LENGTH + b"5\r\n\r\nhello")) as here, client() as http:
        answer = await http.request("GET", here.url(), max_body_bytes=5)
        assert (answer.body, answer.body_truncated) == (b"hello", False)
        assert http.state().idle == 1


HUGE_HEADS = {
    "one long line": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 40_000 + b"\r\n\r\n",
    "many lines": b"HTTP/1.1 200 OK\r\n" + b"X-Many: x\r\n" * 4_000 + b"\r\n",
    "a long reason": b"HTTP/1.1 200 " + b"x" * 40_000 + b"\r\n\r\n",
    "a line without end": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 40_000,
    "interim heads without end": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2_000,
    "trailers without end": CHUNKED + b"2\r\nok\r\n0\r\n" + b"X-Trailer: x\r\n" * 4_000,
}


@pytest.mark.parametrize("name", HUGE_HEADS)
async def test_a_head_beyond_its_limit_is_too_large(name: str) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(HUGE_HEADS[name])
        await visit.gone()

    async with receiver(script) as here, client() as http:
        with pytest.raises(ExchangeError) as caught:
            await http.request("GET", here.url())
        assert (caught.value.kind, caught.value.phase) == (FailureKind.TOO_LARGE, Phase.ATTEMPT)


async def test_an_answer_that_is_mostly_framing_is_too_large() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(CHUNKED)
        while not visit.writer.is_closing():
            await visit.send(b"1;" + b"e" * 4_000 + b"\r\nx\r\n")

    async with receiver(script) as here, client() as http:
        with pytest.raises(ExchangeError) as caught:
            await http.request("GET", here.url())
        assert caught.value.kind is FailureKind.TOO_LARGE


async def test_bytes_nobody_asked_for_end_an_idle_connection() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        if visit.number == 1:
            await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        await visit.gone()

    async with receiver(script) as here, client() as http:
        bodies = [(await http.request("GET", here.url())).body for _ in range(2)]
        assert bodies == [b"ok", b"ok"]
        assert here.connections == 2
