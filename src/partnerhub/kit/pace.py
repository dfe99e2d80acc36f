"""How slowly a request's body may come, so that nobody holds a place by sending a byte now and then.

Works on ASGI's `receive`, which both doors and no framework have in common.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from partnerhub.kit.errors import Unavailable

Message = MutableMapping[str, Any]  # Any: ASGI's own shape
Receive = Callable[[], Awaitable[Message]]

# Integrations are servers: a megabit a second is little for them, and 100 MB then take a quarter of an hour.
UPLOAD_BYTES_PER_SECOND: Final = 128 * 1024


class BodyTooSlow(Unavailable):
    """The request's body did not come in time; nothing was done with what did come."""

    code = "body_too_slow"
    status = 408


@dataclass(frozen=True, slots=True)
class Pace:
    """The time a body has: `seconds`, and with `bytes_per_second` more for each byte that came.

    What counts is waiting for the client. While we are busy ourselves, or wait for whom we pass a body on to,
    its time stands still.
    """

    seconds: float
    bytes_per_second: float | None = None

    def allowed(self, received: int) -> float:
        """Return how long we may have waited once so many bytes are here."""
        return self.seconds + (received / self.bytes_per_second if self.bytes_per_second else 0.0)


def paced(receive: Receive, pace: Pace) -> Receive:
    """Return a `receive` that keeps the pace until the body is complete. It raises: BodyTooSlow."""
    received = 0
    waited = 0.0
    is_complete = False

    async def receive_in_time() -> Message:
        nonlocal received, waited, is_complete
        if is_complete:
            return await receive()  # what follows is the client hanging up, some time
        now = asyncio.get_running_loop().time
        began = now()
        try:
            async with asyncio.timeout_at(began + pace.allowed(received) - waited):
                message = await receive()
        except TimeoutError as error:
            raise BodyTooSlow("The body of the request came too slowly.") from error
        waited += now() - began
        received += len(message.get("body", b""))
        is_complete = message["type"] != "http.request" or not message.get("more_body")
        return message

    return receive_in_time
