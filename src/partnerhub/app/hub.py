"""The hub as a process: pages, Partner API, onboarding popup. `python -m partnerhub.app.hub`."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from litestar import Router
from litestar.handlers import BaseRouteHandler

from partnerhub import dashboard, hosted
from partnerhub.app import keyring_of, meta_client, open_database, outbound_policy
from partnerhub.app.serving import run_application, run_process
from partnerhub.channels.access import MetaAccess
from partnerhub.dashboard import search
from partnerhub.dashboard.account import account_routes
from partnerhub.dashboard.means import MessagingAddress
from partnerhub.dashboard.menu import ACTIONS, MENU, screens
from partnerhub.dashboard.sign_in import sign_in_routes
from partnerhub.dashboard.snippets import ButtonScript
from partnerhub.hosted import pages as hosted_pages
from partnerhub.hosted.button import button_routes, newest_button
from partnerhub.hub_api.means import HubApi
from partnerhub.hub_api.router import routers as hub_api_routers
from partnerhub.identity.passwords import STANDARD, Passwords
from partnerhub.identity.schemas import Hub
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.onboarding.io_signature import Window
from partnerhub.onboarding.rules import Rules
from partnerhub.onboarding.services import Connector
from partnerhub.partner_api.means import PartnerApi
from partnerhub.partner_api.router import routers as partner_api_routers
from partnerhub.partners.services import TokenKeys
from partnerhub.settings import Settings
from partnerhub.ui.frame import Brand
from partnerhub.ui.gallery import gallery
from partnerhub.ui.preferences import choose
from partnerhub.ui.static_files import static_files
from partnerhub.web.application import Application, Outside, build
from partnerhub.web.authentication import Browsers
from partnerhub.web.cookies import CookieJar
from partnerhub.web.credentials import Credentials
from partnerhub.web.frame import FrameSource
from partnerhub.web.health import Metrics, health_routes
from partnerhub.web.limits import CallLimiter
from partnerhub.web.pages import Pages


def create_hub(
    settings: Settings,
    *,
    database: Database,
    keyring: Keyring,
    to_meta: HttpClient,
    outbound: HttpClient,
    passwords: Passwords = STANDARD,
) -> Application:
    """Build the hub; the caller opens and closes what it hands in.

    `to_meta` may reach the configured Graph API, `outbound` what strangers configured.
    """
    jar = CookieJar(is_secure=settings.is_secure)
    pages = Pages(
        brand=brand_of(settings),
        jar=jar,
        packages={"dashboard": _folder(dashboard), "hosted": _folder(hosted)},
        auto_reload=settings.development,
    )
    meta = meta_client(settings, to_meta)
    token_keys = TokenKeys(keyring)
    access = MetaAccess(meta=meta, keyring=keyring, system_token=settings.meta_system_token)
    handlers: list[BaseRouteHandler | Router] = [
        health_routes(),
        static_files(),
        choose,
        *sign_in_routes(),
        *account_routes(),
        *screens(),
        hosted_pages.router(),
        button_routes(),
        *partner_api_routers(),
        *hub_api_routers(),
        *([gallery()] if settings.development else []),
    ]
    return build(
        handlers,
        db=database,
        credentials=Credentials(database, token_keys=token_keys),
        browsers=Browsers(jar, form_key_of(settings), (settings.hub_url,)),
        frames=FrameSource(
            database, pages, {Hub.PARTNER: MENU}, {Hub.PARTNER: ACTIONS}, {Hub.PARTNER: search.PATH}
        ),
        outside=Outside(
            public_url=settings.hub_url,
            is_secure=settings.is_secure,
            trusted_proxies=settings.trusted_proxies,
        ),
        limiter=CallLimiter.per_minute(settings.api_calls_per_minute),
        dependencies={
            "passwords": passwords,
            "keyring": keyring,
            "outbound": outbound,
            "messaging": MessagingAddress(settings.gateway_url, settings.development),
            "metrics_access": Metrics(settings.metrics_token),
            "button_script": ButtonScript(newest_button().path, newest_button().integrity),
            "hub_api": HubApi(keyring=keyring, outbound=outbound, allow_loopback=settings.development),
            "partner_api": PartnerApi(
                keyring=keyring,
                token_keys=token_keys,
                access=access,
                messaging_url=settings.gateway_url,
                allow_loopback=settings.development,
                passwords=passwords,
            ),
            "hosted": hosted_pages.Hosted(
                connector=Connector(
                    db=database,
                    meta=meta,
                    keyring=keyring,
                    app_id=settings.meta_app_id,
                    system_token=settings.meta_system_token,
                    credit_line_id=settings.meta_credit_line_id,
                ),
                jar=jar,
                sdk_url=settings.meta_sdk_url,
                dialog_origins=settings.meta_dialog_origins,
                config_id=settings.meta_config_id,
                graph_version=settings.meta_graph_version,
                rules=Rules(
                    terms_url=settings.terms_url,
                    without_payment_method=settings.onboarding_without_payment_method,
                    partner_paid_withdrawal=settings.partner_paid_withdrawal,
                ),
                window=Window(
                    back=timedelta(seconds=settings.io_signature_age_seconds),
                    forward=timedelta(seconds=settings.io_signature_ahead_seconds),
                ),
            ),
        },
    )


def brand_of(settings: Settings) -> Brand:
    """Return the operator's name, logo and the pages that every visitor may want."""
    return Brand(
        name=settings.brand_name,
        logo_url=settings.brand_logo_url or None,
        support_url=f"mailto:{settings.support_email}" if settings.support_email else None,
        imprint_url=settings.imprint_url or None,
        privacy_url=settings.privacy_url or None,
        terms_url=settings.terms_url or None,
    )


def form_key_of(settings: Settings) -> bytes:
    """Derive the key of form tokens from the newest envelope key, so that every process agrees on it."""
    newest = settings.secret_keys.partition(",")[0].strip()
    return hmac.new(newest.encode(), b"form tokens", hashlib.sha256).digest()


def _folder(package: object) -> Path:
    return Path(str(getattr(package, "__file__", ""))).parent


@asynccontextmanager
async def open_hub(settings: Settings) -> AsyncIterator[Application]:
    """Build the hub with the resources it stands on."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings, name="hub"))
        to_meta = await stack.enter_async_context(HttpClient(policy=AddressPolicy.TRUSTED))
        outbound = await stack.enter_async_context(HttpClient(policy=outbound_policy(settings)))
        yield create_hub(
            settings, database=database, keyring=keyring_of(settings), to_meta=to_meta, outbound=outbound
        )


async def main(settings: Settings) -> None:
    """Serve the hub until a signal."""
    async with open_hub(settings) as hub:
        await run_application(hub.wrapper, host=settings.hub_host, port=settings.hub_port)


if __name__ == "__main__":
    run_process("hub", main)
