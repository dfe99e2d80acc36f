"""`/v1/configs/webhook` and `/waba_webhook`: where a number's callbacks go, set with the number's own key."""

from __future__ import annotations

import msgspec

from partnerhub.gateway.asgi import Reply
from partnerhub.gateway.context import MOST_JSON_BYTES, Call, Context, check_rate
from partnerhub.kit.errors import Invalid
from partnerhub.messaging.services import (
    NumberWebhook,
    WebhookOwner,
    find_webhook,
    set_webhook,
)
from partnerhub.meta.errors import UNREADABLE


class ConfigurationInvalid(Invalid):
    """The body of a configuration call is not as it should be."""

    code = "configuration_invalid"


class _Webhook(msgspec.Struct):
    url: str
    headers: dict[str, str] | None = None
    override_all: bool = False


async def read_channel_webhook(context: Context, call: Call) -> Reply:
    """Return the number's webhook with its headers in clear; the key may read what it may set."""
    return await _read(context, call, WebhookOwner.NUMBER)


async def read_waba_webhook(context: Context, call: Call) -> Reply:
    """Return the webhook that numbers without one of their own use, its header values as masks."""
    return await _read(context, call, WebhookOwner.ACCOUNT)


async def set_channel_webhook(context: Context, call: Call) -> Reply:
    """Set the number's webhook; an empty URL removes it."""
    return await _set(context, call, WebhookOwner.NUMBER)


async def set_waba_webhook(context: Context, call: Call) -> Reply:
    """Set the account's webhook; `override_all` removes those of its numbers."""
    return await _set(context, call, WebhookOwner.ACCOUNT)


async def _read(context: Context, call: Call, owner: WebhookOwner) -> Reply:
    check_rate(context.configuration_rate, call.live)
    found = await find_webhook(context.database, context.keyring, live=call.live, owner=owner)
    return _reply(found or NumberWebhook(url="", headers={}))


async def _set(context: Context, call: Call, owner: WebhookOwner) -> Reply:
    check_rate(context.configuration_rate, call.live)
    try:
        wanted = msgspec.json.decode(await call.request.body(MOST_JSON_BYTES), type=_Webhook)
    except UNREADABLE as error:
        raise ConfigurationInvalid(
            "The body takes url, and optionally headers.", fields={"body": str(error)}
        ) from error
    webhook = NumberWebhook(url=wanted.url, headers=wanted.headers or {})
    await set_webhook(
        context.database,
        context.keyring,
        live=call.live,
        owner=owner,
        webhook=webhook,
        reset_numbers=wanted.override_all,
        allow_loopback=context.config.allow_loopback,
        actor=call.actor,
    )
    return _reply(webhook)


def _reply(webhook: NumberWebhook) -> Reply:
    return Reply(200, msgspec.json.encode({"url": webhook.url, "headers": dict(webhook.headers)}))
