"""WhatsApp accounts: the partner's numbers, one of them in detail, and its API key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from partnerhub.channels import queries as channels
from partnerhub.channels.life_cycle import Stage
from partnerhub.channels.schemas import Channel, ChannelKey, Listing, MintedKey
from partnerhub.channels.services import mint_key
from partnerhub.dashboard.means import MessagingAddress
from partnerhub.identity.schemas import Hub
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.errors import HubError
from partnerhub.ui.address import Address
from partnerhub.ui.frame import Tone
from partnerhub.web.guards import requires
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.tenant import Tenant
from partnerhub.webhooks import queries as webhooks
from partnerhub.webhooks.schemas import Endpoint, OwnerKind

PATH = "/dashboard/partner/accounts"
PAGE_SIZE = 25

STAGES: dict[Stage, tuple[str, Tone]] = {
    Stage.CREATED: (N_("Created"), "neutral"),
    Stage.UNVERIFIED: (N_("In review"), "info"),
    Stage.VERIFIED: (N_("Verified"), "info"),
    Stage.READY: (N_("Ready"), "info"),
    Stage.RUNNING: (N_("Running"), "good"),
    Stage.LIVE: (N_("Live"), "good"),
}
QUALITIES: dict[str | None, tuple[int, str]] = {
    "GREEN": (3, N_("High")),
    "YELLOW": (2, N_("Medium")),
    "RED": (1, N_("Low")),
}
LIMITS = {
    "TIER_50": "50", "TIER_250": "250", "TIER_1K": "1,000", "TIER_2K": "2,000", "TIER_10K": "10,000",
    "TIER_100K": "100,000",
}  # fmt: skip


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
    limit: str


@dataclass(frozen=True)
class Detail:
    """One number with everything its page shows."""

    row: Row
    channel: Channel
    keys: list[ChannelKey]
    endpoint: Endpoint | None
    minted: MintedKey | None
    address: str


@get(PATH)
async def list_accounts(
    *,
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    q: FromQuery[str] = "",
    status: FromQuery[str] = "",
    sort: FromQuery[str] = "",
    number: Annotated[int, QueryParameter(name="page", ge=1, le=100_000)] = 1,
) -> Response[Any]:
    """Show the numbers; filters, order and page live in the address."""
    address = Address(
        PATH, {"q": q, "status": status, "sort": sort, "page": str(number) if number > 1 else ""}
    )
    filters: dict[str, object] = {}
    if q.strip():
        filters["q"] = q.strip()
    if status in {"live", "pending_deletion", "terminated", "draft"}:
        filters["hub_status"] = status
    order = {"name": "setup_info.phone_name", "client": "client.name", "created": "created_at"}
    field = order.get(sort.removeprefix("-"), "created_at")
    direction = "-" if sort.startswith("-") or not sort else ""
    async with tenant.unit() as unit:
        found = await channels.list_channels(
            unit,
            partner_id=tenant.partner_id,
            listing=Listing(
                limit=PAGE_SIZE,
                offset=(number - 1) * PAGE_SIZE,
                sort=(f"{direction}{field}", "id"),
                filters=filters,
            ),
        )
    first = (number - 1) * PAGE_SIZE + 1
    return page.show(
        "dashboard/accounts.html",
        part="dashboard/accounts_part.html",
        headers={"hx-push-url": str(address)} if page.is_fragment else None,
        rows=[_row(page, channel) for channel in found.rows],
        total=found.total,
        address=address,
        first=first,
        last=first + len(found.rows) - 1,
        previous=address.with_(page=number - 1 if number > 2 else None) if number > 1 else None,
        next=address.with_(page=number + 1) if first + len(found.rows) - 1 < found.total else None,
    )


@get(PATH + "/{channel_id:str}")
async def show_account(
    channel_id: FromPath[str],
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
    messaging: NamedDependency[MessagingAddress],
) -> Response[Any]:
    """Show one number."""
    detail = await _detail(page, tenant, keyring, messaging, channel_id)
    return page.show("dashboard/account_detail.html", detail=detail, problem=None)


@post(PATH + "/{channel_id:str}/api-key", status_code=200)
async def make_key(
    channel_id: FromPath[str],
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
    messaging: NamedDependency[MessagingAddress],
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
        problem=None if problem is None else page.toast(problem, page.say(N_("No key was created"))),
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
    async with tenant.unit() as unit:
        channel = await channels.get_channel(unit, partner_id=tenant.partner_id, channel_id=channel_id)
        keys = await channels.list_keys(unit, partner_id=tenant.partner_id, channel_id=channel_id)
        endpoint = await webhooks.find_endpoint(
            unit, owner_kind=OwnerKind.CHANNEL, owner_id=channel_id, keyring=keyring
        ) or await webhooks.find_endpoint(
            unit, owner_kind=OwnerKind.WABA, owner_id=channel.waba_id, keyring=keyring
        )
    return Detail(_row(page, channel), channel, keys, endpoint, minted, messaging.url)


def _row(page: Page, channel: Channel) -> Row:
    word, tone = STAGES[channel.stage]
    if channel.is_terminated:
        word, tone = N_("Terminated"), "neutral"
    elif channel.cancelled_at is not None:
        word, tone = N_("Ends this month"), "warn"
    elif channel.error:
        word, tone = N_("Needs action"), "bad"
    level, quality = QUALITIES.get(channel.current_quality_rating, (0, N_("Not rated")))
    limit = channel.current_limit or ""
    return Row(
        id=channel.id,
        name=channel.phone_name or f"+{channel.phone_number}",
        client=channel.client.name,
        number=f"+{channel.phone_number}",
        status=page.say(word),
        tone=tone,
        level=level,
        quality=page.say(quality),
        limit=page.say(N_("Unlimited")) if limit == "TIER_UNLIMITED" else LIMITS.get(limit, "–"),
    )


def router() -> Router:
    """Return the routes of this screen."""
    return Router(
        "/",
        route_handlers=[list_accounts, show_account, make_key],
        guards=[requires(hub=Hub.PARTNER)],
        opt={"hub": Hub.PARTNER},
    )
