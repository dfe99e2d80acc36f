"""What an exchange returns, and the bounds it runs under: values only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Deadlines of one exchange, in seconds.

    `connect` covers name resolution, TCP and TLS; `first_byte` runs from the last byte of the request to the
    first of the answer; `total` covers everything, waiting for a free connection and the body included.
    """

    connect_seconds: float = 5.0
    first_byte_seconds: float = 15.0
    total_seconds: float = 30.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one client. Byte limits hold for one exchange, connection limits for all of them."""

    max_connections: int = 1024
    max_connections_per_host: int = 64
    keep_alive_seconds: float = 15.0
    max_header_bytes: int = 32 * 1024
    max_body_bytes: int = 1024 * 1024


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """How long each phase took, in microseconds; 0 for a phase that did not happen.

    `first_byte_us` runs from the request to the first byte of the answer, `body_us` from there to its end.
    What `total_us` has beyond the sum is waiting for a free connection.
    """

    dns_us: int = 0
    connect_us: int = 0
    tls_us: int = 0
    first_byte_us: int = 0
    body_us: int = 0
    total_us: int = 0
    reused: bool = False


class Headers:
    """Header lines in the order received; a name may come several times and its case does not matter."""

    __slots__ = ("raw",)

    def __init__(self, raw: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self.raw = raw

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value under `name`."""
        wanted = name.lower().encode("latin-1")
        for key, value in self.raw:
            if key.lower() == wanted:
                return value.decode("latin-1")
        return default

    def get_all(self, name: str) -> list[str]:
        """Return every value under `name`, in order."""
        wanted = name.lower().encode("latin-1")
        return [value.decode("latin-1") for key, value in self.raw if key.lower() == wanted]

    def items(self) -> list[tuple[str, str]]:
        """Return all lines as text, names in lower case."""
        return [(key.decode("latin-1").lower(), value.decode("latin-1")) for key, value in self.raw]

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items())

    def __len__(self) -> int:
        return len(self.raw)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.items() == other.items()

    def __hash__(self) -> int:
        return hash(tuple(self.items()))

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One whole answer. 3xx is an answer like any other: nothing is followed.

    `body` holds the bytes as they came, never decompressed; when `body_truncated` it is the first
    `max_body_bytes` of them (or, inside an `ExchangeError`, what had arrived).
    """

    status: int
    reason: str
    headers: Headers
    body: bytes
    body_truncated: bool
    timings: Timings
    peer_address: str
