"""The address that Meta calls: the handshake, and callbacks verified on the bytes that came.

The answer to a callback leaves after the commit. Until then Meta keeps its copy, so refusing one when there
is too much to do loses nothing.
"""

from __future__ import annotations

import hmac
from typing import Final

from partnerhub.gateway.asgi import Reply, Request
from partnerhub.gateway.context import Context
from partnerhub.gateway.metrics import CALLBACK_PARTS
from partnerhub.kit.errors import Forbidden
from partnerhub.meta.signatures import is_signature, is_signed

# Meta sends 3 MB at most; the rest is for what we do not know of yet.
MOST_CALLBACK_BYTES: Final = 4 * 1024 * 1024
_MOST_CHALLENGE: Final = 1024
_TEXT: Final = b"text/plain; charset=utf-8"


class SignatureWrong(Forbidden):
    """The callback carries no signature of one of our app secrets."""

    code = "signature_wrong"


class VerifyTokenWrong(Forbidden):
    """The handshake does not carry our verify token."""

    code = "verify_token_wrong"


async def verify(context: Context, request: Request) -> Reply:
    """Answer the handshake with its challenge. Raises: VerifyTokenWrong."""
    given = request.parameter("hub.verify_token").encode()
    is_ours = hmac.compare_digest(given, context.config.verify_token.encode())
    if request.parameter("hub.mode") != "subscribe" or not is_ours:
        raise VerifyTokenWrong("The verify token is wrong.")
    challenge = request.parameter("hub.challenge")[:_MOST_CHALLENGE]
    return Reply(200, challenge.encode(), _TEXT)


async def read(context: Context, request: Request) -> bytes:
    """Return the body of a callback that Meta signed; without a signature nothing is read.

    Raises: SignatureWrong, BodyTooLarge, BodyTooSlow, ClientGone.
    """
    signature = request.header(b"x-hub-signature-256")
    wrong = SignatureWrong("The signature is missing or wrong.")
    if not is_signature(signature):
        raise wrong
    body = await request.body(MOST_CALLBACK_BYTES)
    # While secrets rotate, any of them may have signed.
    if not is_signed(body, signature, context.config.app_secrets):
        raise wrong
    return body


async def take(context: Context, body: bytes) -> Reply:
    """Commit a callback and say so. Raises: Unavailable."""
    taken = await context.callbacks.take(body)
    CALLBACK_PARTS.labels("delivery").inc(taken.deliveries)
    CALLBACK_PARTS.labels("status").inc(taken.statuses)
    CALLBACK_PARTS.labels("stored").inc(taken.stored)
    return Reply(200, b"EVENT_RECEIVED", _TEXT)
