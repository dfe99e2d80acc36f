"""Where a number's callbacks go: its own webhook, or that of its account for numbers without one.

The delivery engine knows no numbers, so this is the one place where an owner of its endpoints becomes a
number or an account, and where gateways are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import record_change
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database, Unit
from partnerhub.messaging.routes import LiveRoute
from partnerhub.webhooks import queries as webhook_queries
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import OwnerKind


class WebhookOwner(StrEnum):
    """Whose webhook: one number's, or that of all numbers of its account."""

    NUMBER = "number"
    ACCOUNT = "account"


@dataclass(frozen=True)
class NumberWebhook:
    """A URL and the headers that go with every delivery."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


async def find_webhook(
    database: Database, keyring: Keyring, *, live: LiveRoute, owner: WebhookOwner
) -> NumberWebhook | None:
    """Return the webhook that was set for this owner itself.

    An account's header values are masked: any key of any of its numbers reads them.
    """
    kind, ident = _owner(live, owner)
    async with database.tenant(live.route.partner_id) as unit:
        found = await webhook_queries.find_endpoint(
            unit, owner_kind=kind, owner_id=ident, keyring=keyring, reveal=owner is WebhookOwner.NUMBER
        )
    return None if found is None else NumberWebhook(url=found.url, headers=found.headers)


async def set_webhook(
    database: Database,
    keyring: Keyring,
    *,
    live: LiveRoute,
    owner: WebhookOwner,
    webhook: NumberWebhook,
    actor: Actor,
    reset_numbers: bool = False,
    allow_loopback: bool = False,
) -> None:
    """Set the owner's webhook, replacing an earlier one; an empty URL removes it.

    `reset_numbers` also removes the webhooks of the account's numbers, so that all use the account's.
    Raises: UrlRefused, HeaderRefused.
    """
    route = live.route
    kind, ident = _owner(live, owner)
    async with database.tenant(route.partner_id) as unit:
        concerned = [route.channel_id]
        if owner is WebhookOwner.ACCOUNT:
            concerned = await _numbers_of(unit, route.waba_id)
        if webhook.url:
            await webhooks.set_endpoint(
                unit,
                partner_id=route.partner_id,
                owner_kind=kind,
                owner_id=ident,
                url=webhook.url,
                headers=webhook.headers,
                keyring=keyring,
                allow_loopback=allow_loopback,
            )
        else:
            await webhooks.remove_endpoint(unit, owner_kind=kind, owner_id=ident)
        if owner is WebhookOwner.ACCOUNT and reset_numbers:
            for channel_id in concerned:
                await webhooks.remove_endpoint(unit, owner_kind=OwnerKind.CHANNEL, owner_id=channel_id)
        for channel_id in concerned:
            await unit.notify("routes", channel_id)
        await record_change(
            unit,
            partner_id=route.partner_id,
            actor=actor,
            action="webhook.set" if webhook.url else "webhook.removed",
            object_kind="channel" if owner is WebhookOwner.NUMBER else "waba",
            object_id=ident,
            before=None,
            after={
                "url": webhook.url,
                "header_names": sorted(webhook.headers),
                "reset_numbers": reset_numbers,
            },
        )


def _owner(live: LiveRoute, owner: WebhookOwner) -> tuple[OwnerKind, str]:
    if owner is WebhookOwner.NUMBER:
        return OwnerKind.CHANNEL, live.route.channel_id
    return OwnerKind.WABA, live.route.waba_id


async def _numbers_of(unit: Unit, waba_id: str) -> list[str]:
    rows = await unit.fetch_dicts("select id from channel where waba_id = %s order by id", (waba_id,))
    return [str(row["id"]) for row in rows]
