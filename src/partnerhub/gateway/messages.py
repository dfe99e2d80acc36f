"""`POST /messages` and `/marketing_messages`: sends, read receipts, typing indicators."""

from __future__ import annotations

from typing import Final

import msgspec

from partnerhub.gateway.asgi import Reply
from partnerhub.gateway.context import MOST_JSON_BYTES, Call, Context, check_number, check_rate
from partnerhub.gateway.dialects import Dialect, missing_payment
from partnerhub.gateway.forwarding import reply_of
from partnerhub.gateway.metrics import SENDS
from partnerhub.kit.errors import Invalid, Unavailable
from partnerhub.ledger.errors import PaymentMissing
from partnerhub.messaging.services import SendResult
from partnerhub.meta.errors import UNREADABLE

# What the counter calls a send that ended with an error of ours.
_FAILED: Final = "failed"


async def send_message(context: Context, call: Call) -> Reply:
    """Send through Meta's ordinary endpoint."""
    return reply_of((await _send(context, call, is_marketing=False)).answer)


async def send_marketing_message(context: Context, call: Call) -> Reply:
    """Send through Meta's endpoint for marketing, whose errors this API wraps once more."""
    reply = reply_of((await _send(context, call, is_marketing=True)).answer)
    if reply.status >= 400 and call.dialect is not Dialect.GRAPH and _is_json(reply.body):
        reply.body = msgspec.json.encode({"detail": msgspec.Raw(reply.body)})
        reply.content_type = b"application/json"
    return reply


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except UNREADABLE:
        return False
    return True


async def _send(context: Context, call: Call, *, is_marketing: bool) -> SendResult:
    check_number(call.live)
    check_rate(context.message_rate, call.live)
    body = await call.request.body(MOST_JSON_BYTES)
    edge = "marketing_messages" if is_marketing else "messages"
    try:
        result = await context.sends.send(
            call.live, body, edge="marketing_messages" if is_marketing else "messages"
        )
    except PaymentMissing as error:
        SENDS.labels("unpaid", edge).inc()
        raise missing_payment() from error
    except (Invalid, Unavailable):
        SENDS.labels("not_taken", edge).inc()
        raise
    except Exception:
        SENDS.labels(_FAILED, edge).inc()
        raise
    SENDS.labels(result.outcome, edge).inc()
    return result
