"""Cookies are read as they stand, in time that grows with their length alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import partnerhub
from partnerhub.kit.cookies import MAX_COOKIE_BYTES, read_cookies, size_of


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"a=1; b=2"], {"a": "1", "b": "2"}),
        ([b" a = 1 ;b=2=3;;c"], {"a": "1", "b": "2=3"}),
        ([b'a="quoted\\073"'], {"a": '"quoted\\073"'}),
        ([b"a=old; A=other; a=new"], {"a": "new", "A": "other"}),
        ([b"a=1", b"b=2"], {"a": "1", "b": "2"}),
        ([b"a=\xe4%20"], {"a": "ä%20"}),
        ([b""], {}),
        ([], {}),
    ],
)
def test_cookies_are_read_as_they_stand(lines: list[bytes], expected: dict[str, str]) -> None:
    assert read_cookies([(b"host", b"x=y"), *((b"cookie", line) for line in lines)]) == expected


@pytest.mark.parametrize("piece", [b'\\"', b'"', b";", b"=", b"a=\\101;"])
def test_reading_the_most_that_is_taken_costs_next_to_nothing(piece: bytes) -> None:
    headers = [(b"cookie", b'a="' + piece * (MAX_COOKIE_BYTES // len(piece)) + b'"')]
    assert size_of(headers) >= MAX_COOKIE_BYTES
    began = time.process_time()
    for _ in range(10):
        read_cookies(headers)
    assert time.process_time() - began < 0.2


def test_nobody_asks_the_framework_for_cookies() -> None:
    # Its reader is the standard library's, whose time grows with the square of the length.
    source = Path(partnerhub.__file__).parent
    asking = [file.name for file in source.rglob("*.py") if "request.cookies" in file.read_text()]
    assert asking == []
