"""Request heads: checked header lines in, bytes out.

Nothing a caller passes can end a line or change how the message is framed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from partnerhub.kit.http.errors import InvalidHeader
from partnerhub.kit.http.urls import Target

HeaderLines = Mapping[str, str] | Iterable[tuple[str, str]]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    },
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_BAD_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

_NO_BODY_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def check_header(name: str, value: str) -> None:
    """Refuse a header line that a request must not carry; for checking settings before they are stored.

    Raises: InvalidHeader.
    """
    _lower_name(name)
    _check_value(name, value)


@lru_cache(maxsize=4096)
def _lower_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise InvalidHeader("A header name has a letter that is not allowed in it.")
    lower = name.lower()
    if lower in RESERVED or lower.startswith("proxy-"):
        raise InvalidHeader(f"The header {name} belongs to the connection and cannot be set.")
    return lower


def _check_value(name: str, value: str) -> None:
    if _BAD_VALUE.search(value):
        raise InvalidHeader(
            f"The value of the header {name} has a line break or another forbidden letter in it."
        )


def encode_head(
    method: str,
    target: Target,
    headers: HeaderLines,
    *,
    user_agent: str,
    length: int | None,
    chunked: bool = False,
) -> bytes:
    """Write the request line and header lines; `length` is the body's, left out for a method without one.

    Raises: InvalidHeader; ValueError for an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}")
    lines = [f"{method} {target.path} HTTP/1.1\r\nHost: {target.authority}\r\nAccept-Encoding: identity\r\n"]
    has_agent = has_accept = False
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        lower = _lower_name(name)
        if _BAD_VALUE.search(value):
            _check_value(name, value)
        has_agent = has_agent or lower == "user-agent"
        has_accept = has_accept or lower == "accept"
        lines.append(f"{name}: {value}\r\n")
    if not has_agent:
        lines.append(f"User-Agent: {user_agent}\r\n")
    if not has_accept:
        lines.append("Accept: */*\r\n")
    if chunked:
        lines.append("Transfer-Encoding: chunked\r\n\r\n")
    elif length or method not in _NO_BODY_METHODS:
        lines.append(f"Content-Length: {length or 0}\r\n\r\n")
    else:
        lines.append("\r\n")
    return "".join(lines).encode("latin-1")
