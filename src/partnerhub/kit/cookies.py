"""Reading the Cookie header of a request, in one pass over text that anybody may have written.

The standard library's reader undoes quoting in time that grows with the square of the length; no cookie of
ours is quoted.
"""

from __future__ import annotations

from collections.abc import Iterable

MAX_COOKIE_BYTES = 8 * 1024
"""What a browser may send in all; ours take less than a quarter of it."""


def size_of(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Return how many bytes of cookies a request carries."""
    return sum(len(value) for name, value in headers if name == b"cookie")


def read_cookies(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the cookies of raw headers, named in lower case: values as they stand, the last of a name."""
    text = b";".join(value for name, value in headers if name == b"cookie").decode("latin-1")
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip(): value.strip() for name, separator, value in pairs if separator}
