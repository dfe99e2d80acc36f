"""Testing the two URLs now, saved or not: limited, audited, the same for pages and APIs.

Flows: they read, call, and write what was tested into the audit log; no transaction is open meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping

from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import hit_limit, record_change
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import HttpClient
from partnerhub.partners.errors import TestUrlMissing
from partnerhub.partners.queries import get_partner
from partnerhub.partners.redirects import RedirectResult, open_page
from partnerhub.webhooks import queries as webhook_queries
from partnerhub.webhooks.schemas import OwnerKind, TestResult
from partnerhub.webhooks.services import test_endpoint
from partnerhub.webhooks.urls import check_url, origin_of

# Enough for somebody who sets a server up, too few to use the hub for calling others.
_MOST_TESTS = 30
_WINDOW_SECONDS = 300


async def try_webhook_url(
    db: Database,
    http: HttpClient,
    *,
    partner_id: str,
    url: str | None = None,
    actor: Actor,
    keyring: Keyring,
    allow_loopback: bool = False,
) -> TestResult:
    """Send a signed test event to `url`, by default the saved one, and say what came of it.

    The saved custom headers go along to the host that they were saved for, and to no other.
    Raises: TestUrlMissing, UrlRefused; TooMany.
    """
    async with db.tenant(partner_id) as unit:
        saved = await webhook_queries.find_endpoint(
            unit, owner_kind=OwnerKind.PARTNER, owner_id=partner_id, keyring=keyring, reveal=True
        )
    url = _chosen(url, saved.url if saved else None, allow_loopback=allow_loopback)
    await _count(db, partner_id)
    # What a firewall is waiting for is a secret.
    is_same_host = saved is not None and origin_of(saved.url) == origin_of(url)
    result = await test_endpoint(
        db,
        http,
        partner_id=partner_id,
        owner_kind=OwnerKind.PARTNER,
        url=url,
        headers=saved.headers if saved and is_same_host else {},
        keyring=keyring,
        allow_loopback=allow_loopback,
    )
    told = {"url": url, "code": result.code, "status": result.status}
    await _record(db, partner_id, actor, action="webhook.tested", after=told)
    return result


async def try_redirect_url(
    db: Database,
    http: HttpClient,
    *,
    partner_id: str,
    url: str | None = None,
    actor: Actor,
    allow_loopback: bool = False,
) -> RedirectResult:
    """Open `url`, by default the saved one, as a client's browser would, and say what came of it.

    Raises: TestUrlMissing, UrlRefused; TooMany.
    """
    async with db.tenant(partner_id) as unit:
        partner = await get_partner(unit, partner_id=partner_id)
    url = _chosen(url, partner.redirect_url, allow_loopback=allow_loopback)
    await _count(db, partner_id)
    result = await open_page(http, url=url, allow_loopback=allow_loopback)
    told = {"url": url, "code": result.code, "status": result.last.status}
    await _record(db, partner_id, actor, action="redirect_url.tested", after=told)
    return result


def _chosen(url: str | None, saved: str | None, *, allow_loopback: bool) -> str:
    chosen = (url or "").strip() or saved
    if not chosen:
        raise TestUrlMissing("No URL is saved yet, and none was given to test.")
    check_url(chosen, allow_loopback=allow_loopback)
    return chosen


async def _count(db: Database, partner_id: str) -> None:
    async with db.system() as unit:
        await hit_limit(unit, key=f"url_test/{partner_id}", limit=_MOST_TESTS, window_seconds=_WINDOW_SECONDS)


async def _record(
    db: Database, partner_id: str, actor: Actor, *, action: str, after: Mapping[str, object]
) -> None:
    async with db.tenant(partner_id) as unit:
        await record_change(
            unit,
            partner_id=partner_id,
            actor=actor,
            action=action,
            object_kind="partner",
            object_id=partner_id,
            before=None,
            after=after,
        )
