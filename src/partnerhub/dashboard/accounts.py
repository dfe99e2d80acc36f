"""WhatsApp accounts: the partner's numbers, one of them in detail, and its API key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from partnerhub.channels import queries as channels
from partnerhub.channels.life_cycle import Stage
from partnerhub.channels.schemas import Channel, ChannelKey, Listing, MintedKey
from partnerhub.channels.services import mint_key
from partnerhub.dashboard import words
from partnerhub.dashboard.means import MessagingAddress, connect_link, permission_link
from partnerhub.identity import queries as identity
from partnerhub.identity.schemas import AuditEntry, Hub
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.errors import HubError
from partnerhub.partners import queries as partners
from partnerhub.ui.address import Address
from partnerhub.ui.frame import Tone
from partnerhub.web.guards import requires
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.tenant import Tenant
from partnerhub.webhooks import queries as webhooks
from partnerhub.webhooks.schemas import Endpoint, Health, OpenDeliveries, OwnerKind

PATH = "/dashboard/partner/accounts"
PAGE_SIZE = 25
HISTORY_LENGTH = 8

FILTERS: dict[str, dict[str, object]] = {
    "live": {"hub_status": "live"},
    "needs_action": {"availability_status": "error"},
    "draft": {"hub_status": "draft"},
    "pending_deletion": {"hub_status": "pending_deletion"},
    "terminated": {"hub_status": "terminated"},
}
WEBHOOKS = (*(str(health) for health in Health), "none")
"""How the webhook of a number may stand, as the address says it."""
_ORDER = {"name": "setup_info.phone_name", "client": "client.name", "created": "created_at"}
_PHONE = re.compile(r"\+?[0-9][0-9 ()./-]*")


@dataclass(frozen=True)
class Row:
    """One number as the list shows it."""

    id: str
    name: str
    client: str
    number: str
    status: str
    tone: Tone
    level: int
    quality: str
    limit: int | None
    is_unlimited: bool
    webhook: str
    webhook_tone: Tone


@dataclass(frozen=True)
class Step:
    """Something that happened to a number, in the reader's words."""

    entry: AuditEntry
    title: str
    icon: str
    tone: Tone


@dataclass(frozen=True)
class Detail:
    """One number with everything its page shows."""

    row: Row
    channel: Channel
    meta_state: str
    throughput: str
    keys: Sequence[ChannelKey]
    endpoint: Endpoint | None
    is_of_account: bool
    open: OpenDeliveries
    history: Sequence[Step]
    minted: MintedKey | None
    address: str
    takes_links: bool

    @property
    def is_registered(self) -> bool:
        """Say whether the client is through with the sign-up."""
        return self.channel.stage in {Stage.RUNNING, Stage.LIVE}

    @property
    def may_send(self) -> bool:
        """Say whether a key is of use: the number is registered, shared and not terminated."""
        return self.is_registered and self.channel.permission == "shared" and not self.channel.is_terminated


@get(PATH)
async def list_accounts(
    *,
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    public_url: NamedDependency[str],
    q: FromQuery[str] = "",
    status: FromQuery[str] = "",
    webhook: FromQuery[str] = "",
    sort: FromQuery[str] = "",
    number: Annotated[int, QueryParameter(name="page", ge=1, le=100_000)] = 1,
) -> Response[Any]:
    """Show the numbers; filters, order and page live in the address."""
    address = Address(
        PATH,
        {
            "q": q,
            "status": status,
            "webhook": webhook,
            "sort": sort,
            "page": str(number) if number > 1 else "",
        },
    )
    async with tenant.unit() as unit:
        found = await channels.list_channels(
            unit, partner_id=tenant.partner_id, listing=_listing(address, number)
        )
        owners = {one.id for one in found.rows} | {one.waba_id for one in found.rows}
        health = await webhooks.list_health(unit, owner_ids=owners)
    first = (number - 1) * PAGE_SIZE + 1
    last = first + len(found.rows) - 1
    return page.show(
        "dashboard/accounts.html",
        part="dashboard/accounts_part.html",
        headers={"hx-push-url": str(address)} if page.is_fragment else None,
        rows=[_row(page, one, health.get(one.id) or health.get(one.waba_id)) for one in found.rows],
        total=found.total,
        webhooks=[(health or "none", page.say(word)) for health, (word, _tone) in words.HEALTH.items()],
        address=address,
        connect_link=connect_link(public_url, tenant.partner_id),
        first=first,
        last=last,
        previous=address.with_(page=number - 1 if number > 2 else None) if number > 1 else None,
        next=address.with_(page=number + 1) if last < found.total else None,
    )


@get(PATH + "/{channel_id:str}")
async def show_account(
    *,
    channel_id: FromPath[str],
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
    messaging: NamedDependency[MessagingAddress],
    public_url: NamedDependency[str],
) -> Response[Any]:
    """Show one number."""
    detail = await _detail(page, tenant, keyring, messaging, channel_id)
    return page.show(
        "dashboard/account_detail.html",
        detail=detail,
        problem=None,
        links=_links(public_url, tenant.partner_id, detail),
    )


@get(PATH + "/{channel_id:str}/api-key")
async def ask_for_key(
    channel_id: FromPath[str],
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
    messaging: NamedDependency[MessagingAddress],
) -> Response[Any]:
    """Ask before the current key is replaced; the page of the dialog, for people without script."""
    detail = await _detail(page, tenant, keyring, messaging, channel_id)
    return page.show("dashboard/account_new_key.html", detail=detail)


@post(PATH + "/{channel_id:str}/api-key", status_code=200)
async def make_key(
    *,
    channel_id: FromPath[str],
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
    messaging: NamedDependency[MessagingAddress],
    public_url: NamedDependency[str],
) -> Response[Any]:
    """Mint a key and show it this once; every earlier one stops working."""
    minted: MintedKey | None = None
    problem: HubError | None = None
    try:
        async with tenant.unit() as unit:
            minted = await mint_key(
                unit, partner_id=tenant.partner_id, channel_id=channel_id, actor=tenant.actor
            )
    except HubError as error:
        if error.status == 404:
            raise
        problem = error
    detail = await _detail(page, tenant, keyring, messaging, channel_id, minted=minted)
    return page.show(
        "dashboard/account_detail.html",
        status=200 if problem is None else problem.status,
        detail=detail,
        links=_links(public_url, tenant.partner_id, detail),
        problem=None if problem is None else page.toast(problem, page.say(N_("No key was created"))),
    )


def _listing(address: Address, number: int) -> Listing:
    filters = dict(FILTERS.get(address.get("status") or "", {}))
    if (webhook := address.get("webhook")) in WEBHOOKS:
        filters["webhook_health"] = webhook
    sort = address.get("sort") or ""
    text = (address.get("q") or "").strip()
    if _PHONE.fullmatch(text):
        # Written with blanks and signs as people do; stored are the digits.
        text = re.sub(r"\D", "", text)
    if text:
        filters["q"] = text
    field = _ORDER.get(sort.removeprefix("-"), "created_at")
    direction = "-" if sort.startswith("-") or not sort else ""
    return Listing(
        limit=PAGE_SIZE,
        offset=(number - 1) * PAGE_SIZE,
        sort=(f"{direction}{field}", "id"),
        filters=filters,
    )


async def _detail(
    page: Page,
    tenant: Tenant,
    keyring: Keyring,
    messaging: MessagingAddress,
    channel_id: str,
    *,
    minted: MintedKey | None = None,
) -> Detail:
    partner_id = tenant.partner_id
    async with tenant.unit() as unit:
        channel = await channels.get_channel(unit, partner_id=partner_id, channel_id=channel_id)
        keys = await channels.list_keys(unit, partner_id=partner_id, channel_id=channel_id)
        own = await webhooks.find_endpoint(
            unit, owner_kind=OwnerKind.CHANNEL, owner_id=channel_id, keyring=keyring
        )
        partner = await partners.get_partner(unit, partner_id=partner_id)
        endpoint = own or await webhooks.find_endpoint(
            unit, owner_kind=OwnerKind.WABA, owner_id=channel.waba_id, keyring=keyring
        )
        waiting = (
            await webhooks.count_open(unit, partner_id=partner_id, endpoint_id=endpoint.id)
            if endpoint
            else OpenDeliveries()
        )
        entries = await identity.list_audit(
            unit, partner_id=partner_id, object_kind="channel", object_id=channel_id, limit=HISTORY_LENGTH
        )
    return Detail(
        row=_row(page, channel, endpoint.health if endpoint else None),
        channel=channel,
        meta_state=page.say(words.META_STATES.get(channel.meta_status, channel.meta_status or "–")),
        throughput=page.say(words.THROUGHPUTS.get(channel.throughput, channel.throughput or "–")),
        keys=keys,
        endpoint=endpoint,
        is_of_account=own is None,
        open=waiting,
        history=[_step(page, entry) for entry in entries],
        minted=minted,
        address=messaging.url,
        # A link that somebody sends carries no signature.
        takes_links=not partner.io_signature_enabled,
    )


def _links(public_url: str, partner_id: str, detail: Detail) -> dict[str, str]:
    """Return what the partner sends to the client: to finish the sign-up, and to share the number."""
    number = detail.channel.phone_number
    return {
        "finish": f"{connect_link(public_url, partner_id)}?number={number}&next=login",
        "permission": f"{permission_link(public_url, partner_id)}?number={number}",
    }


def _row(page: Page, channel: Channel, health: Health | None) -> Row:
    word, tone = words.STAGES[channel.stage]
    if channel.is_terminated:
        word, tone = words.TERMINATED
    elif channel.cancelled_at is not None:
        word, tone = words.ENDS
    elif channel.error:
        word, tone = words.NEEDS_ACTION
    level, quality = words.QUALITIES.get(channel.current_quality_rating, words.NOT_RATED)
    webhook, webhook_tone = words.HEALTH[health]
    return Row(
        id=channel.id,
        name=channel.phone_name or f"+{channel.phone_number}",
        client=channel.client.name,
        number=channel.phone_number,
        status=page.say(word),
        tone=tone,
        level=level,
        quality=page.say(quality),
        limit=words.LIMITS.get(channel.current_limit),
        is_unlimited=channel.current_limit == "TIER_UNLIMITED",
        webhook=page.say(webhook),
        webhook_tone=webhook_tone,
    )


def _step(page: Page, entry: AuditEntry) -> Step:
    title, icon, tone = words.ACTIONS.get(entry.action, (entry.action, "activity", "neutral"))
    stage = str((entry.after or {}).get("stage", ""))
    if stage in set(Stage):
        stage = page.say(words.STAGES[Stage(stage)][0])
    return Step(entry, page.say(title).format(stage=stage), icon, tone)


def router() -> Router:
    """Return the routes of this screen."""
    return Router(
        "/",
        route_handlers=[list_accounts, show_account, ask_for_key, make_key],
        guards=[requires(hub=Hub.PARTNER)],
        opt={"hub": Hub.PARTNER},
    )
