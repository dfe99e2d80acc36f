"""The real hub over real HTTP, with a simulator as Meta and a receiver as the partner's software.

`staged` runs all of it on this loop; a `HubStage` makes people, signs their browsers in and opens pages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser

from partnerhub.app.hub import create_hub
from partnerhub.app.operations import ANY_SETTINGS
from partnerhub.identity import queries as identity_queries
from partnerhub.identity import services as identity
from partnerhub.identity.schemas import Hub, SessionScope
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.settings import Settings
from partnerhub.web.cookies import CookieJar
from partnerhub.web.hubs import HUBS
from partnerhub.webhooks.sender import Sender
from tests import plain_browser
from tests.browser import LOOKS, Look, Visit, visit
from tests.factories import MadeMember, MadePartner, make_member, make_partner
from tests.identity.people import CHEAP, PASSWORD
from tests.serving import free_listener, serving
from tests.simulator import harness
from tests.simulator.harness import Meta
from tests.webhooks.receivers import Receiver, receiver

HOME = "/dashboard/partner/accounts"
INTEGRATION = "/dashboard/partner/integration"
DELIVERIES = "/dashboard/partner/deliveries"
CONNECT = "/dashboard/partner/connect"


@dataclass(frozen=True)
class HubStage:
    """What runs, and how to come in."""

    url: str
    settings: Settings
    database: Database
    keyring: Keyring
    meta: Meta
    receiver: Receiver

    async def person(
        self,
        *,
        partner: MadePartner | None = None,
        brand_name: str = "Acme Chat",
        role: Literal["owner", "member"] = "owner",
        **fields: Any,  # Any: further columns, see `make_member`
    ) -> MadeMember:
        """Make somebody who can sign in with `PASSWORD`, and their partner unless it is given."""
        return await make_member(
            self.database,
            partner=partner
            or await make_partner(
                self.database, brand_name=brand_name, redirect_url=self.receiver.url("/connected")
            ),
            role=role,
            password_hash=await CHEAP.hash(PASSWORD),
            **{"name": "Acme Operations", **fields},
        )

    async def cookies(self, member: MadeMember) -> list[dict[str, object]]:
        """Sign a member in and return the cookies as a browser keeps them."""
        async with self.database.system() as unit:
            user = await identity_queries.get_user(unit, user_id=member.user_id)
            signed_in = await identity.start_session(
                unit,
                user=user,
                hub=Hub.PARTNER,
                scope=SessionScope(member.partner_id),
                ip="127.0.0.1",
                user_agent="Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0",
            )
        return [
            {
                "name": CookieJar(is_secure=False).name(HUBS[Hub.PARTNER].cookie),
                "value": signed_in.token,
                "domain": urlsplit(self.url).hostname,
                "path": "/",
                "expires": -1,
                "httpOnly": True,
                "secure": False,
                "sameSite": "Lax",
            }
        ]

    @asynccontextmanager
    async def visit(
        self,
        browser: Browser,
        path: str,
        *,
        member: MadeMember | None = None,
        look: Look = LOOKS[0],
        script: bool = True,
        language: str = "en-GB",
        tolerated: Sequence[str] = (),
        **options: Any,  # Any: of Playwright's new_context
    ) -> AsyncIterator[Visit]:
        """Open a page of the hub in a fresh browser, signed in as `member`."""
        if member is not None:
            options["storage_state"] = {"cookies": await self.cookies(member), "origins": []}
        async with visit(
            browser,
            self.url + path,
            look=look,
            script=script,
            language=language,
            tolerated=tolerated,
            **options,
        ) as opened:
            yield opened

    @asynccontextmanager
    async def browse(self, member: MadeMember | None = None) -> AsyncIterator[plain_browser.Browser]:
        """Give a browser without script and screen, signed in as `member`."""
        async with plain_browser.browsing(self.url) as found:
            for cookie in await self.cookies(member) if member else ():
                found.plant(str(cookie["name"]), str(cookie["value"]))
            yield found

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[Sender]:
        """Deliver what waits, as the worker does."""
        async with HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK) as http:
            sender = Sender(self.database, http, self.keyring, name="worker", poll_seconds=0.1)
            await sender.start()
            try:
                yield sender
            finally:
                await sender.close(timeout_seconds=2)


def settings_for(hub_url: str, meta: Meta, **changes: Any) -> Settings:  # Any: fields of the settings
    """Return development settings that point at the simulator."""
    values = {
        "hub_url": hub_url,
        "gateway_url": "https://messaging.hub.example",
        "meta_app_id": harness.APP_ID,
        "meta_app_secrets": (harness.APP_SECRET,),
        "meta_system_token": harness.SYSTEM_TOKEN,
        "meta_graph_url": meta.url,
        "meta_sdk_url": f"{meta.url}/en_US/sdk.js",
        "meta_dialog_origins": (meta.url,),
        "onboarding_without_payment_method": True,
    }
    return replace(ANY_SETTINGS, **{**values, **changes})


@asynccontextmanager
async def staged(
    database: Database, keyring: Keyring, **changes: Any
) -> AsyncIterator[HubStage]:  # Any: fields of the settings
    """Run hub, simulator and receiver; `changes` are of the hub's settings."""
    async with AsyncExitStack() as stack:
        meta = await stack.enter_async_context(harness.running(harness.CONFIG))
        software = await stack.enter_async_context(receiver())
        listener, url = free_listener()
        stack.enter_context(listener)
        settings = settings_for(url, meta, **changes)
        to_meta = await stack.enter_async_context(HttpClient(policy=AddressPolicy.TRUSTED))
        outbound = await stack.enter_async_context(HttpClient(policy=AddressPolicy.PUBLIC_AND_LOOPBACK))
        hub = create_hub(
            settings,
            database=database,
            keyring=keyring,
            to_meta=to_meta,
            outbound=outbound,
            passwords=CHEAP,
        )
        await stack.enter_async_context(serving(hub.wrapper, listener=listener))
        yield HubStage(url, settings, database, keyring, meta, software)
