"""Webhook bodies in Meta's shapes, and who gets which.

Building the value of each kind of event, wrapping it in the envelope, choosing the subscribed apps and the
address (number before WABA before app). Delivery is in `callbacks`.
"""

from __future__ import annotations

import json

import msgspec

from partnerhub.simulator.model import (
    OVERRIDABLE_FIELDS,
    App,
    Json,
    Message,
    Number,
    User,
    Waba,
)
from partnerhub.simulator.world import World

Event = tuple[str, str, str]
"""What a callback tells: (`status`, wamid, status), (`message`, wamid, type) or (`field`, id, event)."""


def encode(document: Json) -> bytes:
    """Encode a webhook body as Meta does: compact, non-ASCII as lower-case \\uXXXX."""
    body = msgspec.json.encode(document)
    return body if body.isascii() else json.dumps(document, separators=(",", ":")).encode()


def envelope(entry_id: str, field: str, value: Json, *, time: int | None = None) -> Json:
    """Wrap one change."""
    entry: Json = {"id": entry_id}
    if time is not None:
        entry["time"] = time
    entry["changes"] = [{"value": value, "field": field}]
    return {"object": "whatsapp_business_account", "entry": [entry]}


def metadata(number: Number) -> Json:
    """Return the two keys that name the business number in message webhooks."""
    return {"display_phone_number": number.digits, "phone_number_id": number.id}


def contact(world: World, user: User) -> Json:
    """Return the `contacts[]` entry of a customer."""
    profile: Json = {"name": user.name}
    if user.username:
        profile["username"] = user.username
    found: Json = {"profile": profile}
    if world.rules.with_wa_id and not user.hides_phone:
        found["wa_id"] = user.id
    if world.rules.with_user_id or user.hides_phone:
        found["user_id"] = user.user_id
    return found


def status_value(
    world: World, number: Number, message: Message, status: str, *, errors: list[Json] | None = None
) -> Json:
    """Build the `messages` value of one status; pricing rides on `sent` and the first of the later ones."""
    user = world.user(message.wa_id)
    state = message.state
    entry: Json = {"id": message.wamid, "status": status, "timestamp": str(int(world.clock.time()))}
    if world.rules.with_wa_id and not user.hides_phone:
        entry["recipient_id"] = message.wa_id
    if world.rules.with_user_id or user.hides_phone:
        entry["recipient_user_id"] = user.user_id
    if state.opaque is not None:
        entry["biz_opaque_callback_data"] = state.opaque
    value: Json = {"messaging_product": "whatsapp", "metadata": metadata(number)}
    if status == "failed":
        entry["errors"] = errors or []
    else:
        if world.rules.with_user_id:
            value["contacts"] = [contact(world, user)]
        if status == "sent" or message.status in {"accepted", "sent"}:
            if state.conversation is not None:
                entry["conversation"] = state.conversation
            if state.pricing is not None:
                entry["pricing"] = state.pricing
    value["statuses"] = [entry]
    return value


def inbound_value(world: World, number: Number, user: User, message: Json) -> Json:
    """Build the `messages` value of one received message; system messages carry no contact."""
    value: Json = {"messaging_product": "whatsapp", "metadata": metadata(number)}
    if message.get("type") != "system":
        value["contacts"] = [contact(world, user)]
    value["messages"] = [message]
    return value


def subscribers(world: World, waba: Waba | None, number: Number | None, field: str) -> list[App]:
    """Return the apps that get a copy of a change; partner events (no WABA) go to every app."""
    found = []
    for app in world.table(App).values():
        if waba is not None and app.id not in waba.subscriptions:
            continue
        if app.subscription is not None:
            if field in app.subscription.fields:
                found.append(app)
        elif waba is not None and address(
            world, app_id=app.id, waba_id=waba.id, number_id=number.id if number else None, field=field
        ):
            found.append(app)
    return found


def address(world: World, *, app_id: str, waba_id: str, number_id: str | None, field: str) -> str | None:
    """Return where a change goes now: the number's, the WABA's or the app's address; None when nowhere."""
    app = world.table(App).get(app_id)
    if app is None:
        return None
    waba = world.table(Waba).get(waba_id)
    if waba is not None and field in OVERRIDABLE_FIELDS:
        number = world.table(Number).get(number_id) if number_id else None
        if number is not None and number.override_callback_uri:
            return number.override_callback_uri
        own = waba.subscriptions.get(app_id)
        if own is not None and own.override_callback_uri:
            return own.override_callback_uri
    return app.subscription.callback_url if app.subscription is not None else None
