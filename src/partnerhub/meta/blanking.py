"""Taking the access token out of what Meta answers, before it goes on to a client.

Meta repeats the token in error texts, and in the addresses of further pages that accepted lists carry.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Final
from urllib.parse import quote

_BLANK: Final = b"[token]"
# Meta's tokens have a hundred characters and more; what is this short would be found in words that are none.
_SHORTEST: Final = 8


def without_token(body: bytes, token: str) -> bytes:
    """Return the body with `[token]` in place of the token, as it is or as a URL writes it."""
    for written in _spellings(token):
        if written in body:
            body = body.replace(written, _BLANK)
    return body


async def stream_without_token(pieces: AsyncIterable[bytes], token: str) -> AsyncIterator[bytes]:
    """Yield a body with the token blanked out; its length, which was announced, stays as it is."""
    spellings = _spellings(token)
    longest = max(map(len, spellings), default=1)
    held = b""
    async for piece in pieces:
        held += piece
        for written in spellings:
            if written in held:
                held = held.replace(written, _BLANK[: len(written)].ljust(len(written)))
        # The end may be the beginning of a token.
        settled = len(held) - longest + 1
        if settled > 0:
            yield held[:settled]
            held = held[settled:]
    if held:
        yield held


def _spellings(token: str) -> set[bytes]:
    return {token.encode(), quote(token, safe="").encode()} if len(token) >= _SHORTEST else set()
