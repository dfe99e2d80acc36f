"""A small application over the real web layer and a real database, served over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import aiohttp
import msgspec
import pytest
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.handlers import BaseRouteHandler
from litestar.params import Body, FromPath, FromQuery, JSONBody
from yarl import URL

from partnerhub.identity import queries as identity_queries
from partnerhub.identity import services as identity
from partnerhub.identity.schemas import CodePurpose, Hub, SessionScope
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.errors import Conflict, Invalid, NotFound, TooMany, UpstreamFailed
from partnerhub.partners import services as partners
from partnerhub.partners.errors import LegacyTokensOff
from partnerhub.partners.schemas import Scope
from partnerhub.ui.frame import Brand, Toast
from partnerhub.ui.preferences import choose
from partnerhub.web.application import Application, Outside, build
from partnerhub.web.authentication import Browsers
from partnerhub.web.cookies import CookieJar
from partnerhub.web.credentials import Credentials
from partnerhub.web.csrf import make_token
from partnerhub.web.frame import FrameSource
from partnerhub.web.guards import requires
from partnerhub.web.hubs import HUBS
from partnerhub.web.limits import CallLimiter
from partnerhub.web.navigation import N_, Entry, Section
from partnerhub.web.pages import Page, Pages
from partnerhub.web.partner_json import PartnerJson
from partnerhub.web.principal import HubRequest, partner_of
from partnerhub.web.step_up import step_up
from partnerhub.web.tenant import Tenant
from partnerhub.web.wrapper import exact
from tests.factories import make_key, make_member, make_partner
from tests.serving import serving

FORM_KEY = b"k" * 32


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """A body with a type."""

    name: str
    count: int = 0


@dataclass
class CodeForm:
    """A form with a one-time code."""

    code: str = ""


@get("/api/v2/partners/{partner_id:str}/things", guards=[requires(scope=Scope.READ)])
async def list_things(tenant: NamedDependency[Tenant], partner_id: FromPath[str]) -> PartnerJson:
    """Count what the tenant sees."""
    async with tenant.unit() as unit:
        seen = await unit.fetch_value("select count(*) from partner")
    return PartnerJson({"partner": partner_id, "seen": seen, "actor": tenant.actor.kind, "ü": "Größe"})


@post("/api/v2/partners/{partner_id:str}/things", guards=[requires(scope=Scope.WRITE)])
async def make_thing(data: JSONBody[Wanted], partner_id: FromPath[str]) -> PartnerJson:
    """Take a typed body."""
    return PartnerJson({"id": partner_id, "name": data.name}, status_code=201)


@post("/api/v2/partners/{partner_id:str}/secret", status_code=200, guards=[requires(scope=Scope.SECURITY)])
async def make_secret(
    request: HubRequest, db: NamedDependency[Database], partner_id: FromPath[str]
) -> PartnerJson:
    """Ask for a step-up."""
    await step_up(db, request.user, purpose=CodePurpose.VIEW_SECRET, code=None)
    return PartnerJson({"id": partner_id})


FAULTS: dict[str, Exception] = {
    "invalid": Invalid("The address is wrong.", code="url_port", fields={"webhook_url": "has a port"}),
    "missing": NotFound("There is no such channel.", code="channel_not_found"),
    "conflict": Conflict("IO Signature is on.", code="io_signature_on"),
    "limited": TooMany("Slow down.", retry_after_seconds=17),
    "upstream": UpstreamFailed("Meta refused.", upstream_code=131_026, trace_id="AbC"),
    "legacy": LegacyTokensOff("Legacy tokens are off."),
    "bug": ValueError("a detail that must stay inside: hunter2"),
}


def _fail(kind: str) -> Response[bytes]:
    raise FAULTS[kind]


@get("/api/v2/fail/{kind:str}", opt={"public": True})
async def fail_partner_api(kind: FromPath[str]) -> Response[bytes]:
    """Fail on the Partner API."""
    return _fail(kind)


@post("/api/v2/token", opt={"public": True})
async def fail_token(kind: FromQuery[str]) -> Response[bytes]:
    """Fail on the token call."""
    return _fail(kind)


@get("/api/hub/v1/fail/{kind:str}", opt={"public": True})
async def fail_hub_api(kind: FromPath[str]) -> Response[bytes]:
    """Fail on the Hub API."""
    return _fail(kind)


@get(["/search", "/api/hub/v1/search"], opt={"public": True})
async def look_up(db: NamedDependency[Database], name: FromQuery[str]) -> dict[str, bool]:
    """Give what came to the database as it is."""
    async with db.system() as unit:
        return {
            "found": bool(
                await unit.fetch_value("select exists (select from partner where id = %s)", (name,))
            )
        }


@get("/fail/{kind:str}", opt={"public": True})
async def fail_page(kind: FromPath[str]) -> Response[bytes]:
    """Fail on a page."""
    return _fail(kind)


@get("/api/v2/away", opt={"public": True})
async def use_database(db: NamedDependency[Database]) -> PartnerJson:
    """Need the database."""
    async with db.system() as unit:
        return PartnerJson({"one": await unit.fetch_value("select 1")})


@get("/dashboard/things", guards=[requires(hub=Hub.PARTNER)])
async def show_things(page: NamedDependency[Page]) -> Response[str]:
    """Show a page with the frame."""
    return page.show("ui/gallery/toasts.html", part="web/failed.html") if page.is_fragment else _layout(page)


@get("/dashboard/owners", guards=[requires(hub=Hub.PARTNER, owner=True)])
async def show_owners(page: NamedDependency[Page]) -> Response[str]:
    """Show a page for owners."""
    return _layout(page)


@post("/dashboard/things", guards=[requires(hub=Hub.PARTNER)], status_code=303)
async def change_things(page: NamedDependency[Page]) -> Response[Any]:
    """Do something and lead back with a toast."""
    return page.go("/dashboard/things", toast=Toast(title="Größe changed"))


@post("/dashboard/guarded", guards=[requires(hub=Hub.PARTNER)], status_code=200)
async def guarded(
    request: HubRequest,
    db: NamedDependency[Database],
    data: Annotated[CodeForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> str:
    """Do what needs a code."""
    await step_up(db, request.user, purpose=CodePurpose.CREATE_KEY, code=data.code)
    return "done"


@get("/operator/things", guards=[requires(hub=Hub.OPERATOR)], opt={"hub": Hub.OPERATOR})
async def show_operator(page: NamedDependency[Page]) -> Response[str]:
    """Show the operator's page."""
    return _layout(page)


@get("/visit", opt={"visitor": True})
async def visit(request: HubRequest) -> dict[str, str | None]:
    """Be open, and know a person."""
    return {"partner": partner_of(request.user)}


@get("/open", opt={"public": True})
async def show_open(page: NamedDependency[Page]) -> Response[str]:
    """Show a page for everybody."""
    return page.show("ui/gallery/sign_in.html", failed=False)


@post("/open", opt={"public": True}, status_code=200)
async def take_open(request: HubRequest) -> dict[str, object]:
    """Take a form from anybody."""
    return {"got": (await request.form()).get("word"), "ip": request.client.host if request.client else None}


@post("/upload", opt={"public": True, "exclude_from_csrf": True}, status_code=200)
async def upload(request: HubRequest) -> dict[str, int]:
    """Count bytes."""
    return {"bytes": len(await request.body())}


def _layout(page: Page) -> Response[str]:
    return page.show("ui/gallery/list.html", **_EMPTY_LIST)


class _NoAddress:
    path = "/dashboard/things"

    def get(self, _name: str) -> None:
        """Have no parameters."""


_EMPTY_LIST: dict[str, Any] = {"address": _NoAddress(), "accounts": [], "total": 0}

HANDLERS: list[BaseRouteHandler | Router] = [
    list_things,
    make_thing,
    make_secret,
    fail_partner_api,
    fail_token,
    fail_hub_api,
    fail_page,
    look_up,
    use_database,
    show_things,
    show_owners,
    change_things,
    guarded,
    show_operator,
    visit,
    show_open,
    take_open,
    upload,
    choose,
]


async def hot_ping(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer past the framework."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"pong"})


async def hot_crash(_scope: Any, _receive: Any, _send: Any) -> None:
    """Break past the framework."""
    raise ValueError("hunter2")


@dataclass
class Site:
    """The running application and what a test needs to call it as somebody."""

    url: str
    http: aiohttp.ClientSession
    db: Database
    is_secure: bool

    async def session(
        self, user_id: str, partner_id: str | None, *, hub: Hub = Hub.PARTNER
    ) -> dict[str, str]:
        """Sign a user in and return the cookie."""
        async with self.db.system() as unit:
            user = await identity_queries.get_user(unit, user_id=user_id)
            signed_in = await identity.start_session(
                unit, user=user, hub=hub, scope=SessionScope(partner_id), ip="", user_agent=""
            )
        return {CookieJar(self.is_secure).name(HUBS[hub].cookie): signed_in.token}

    async def owner(self, *, role: str = "owner", brand_name: str = "Acme Chat") -> dict[str, str]:
        """Return the cookie of a new partner's person."""
        member = await make_member(
            self.db, partner=await make_partner(self.db, brand_name=brand_name), role=role, name="Ada Example"
        )
        return await self.session(member.user_id, member.partner_id)

    async def key(self, *scopes: str) -> tuple[str, dict[str, str]]:
        """Return a new partner's id and the header of its key."""
        made = await make_key(self.db, scopes=scopes)
        return made.partner_id, {"X-API-Key": made.secret}


def form_token(cookies: dict[str, str]) -> str:
    """Return the token that a page of this browser would carry."""
    return make_token(FORM_KEY, bound_to=next(iter(cookies.values())))


@cache
def _pages(is_secure: bool) -> Pages:
    # Reading templates and words takes longer than most tests.
    return Pages(brand=Brand(name="Partner Hub"), jar=CookieJar(is_secure), packages={})


def make_application(
    database: Database,
    keyring: Keyring,
    *,
    is_secure: bool = False,
    trusted_proxies: tuple[str, ...] = (),
    limiter: CallLimiter | None = None,
    handlers: list[BaseRouteHandler | Router] | None = None,
    body_seconds: float = 20.0,
) -> Application:
    """Build the small application."""
    pages = _pages(is_secure)
    jar = pages.jar

    menu = (
        Section((Entry(N_("Things"), "/dashboard/things", "phone"),)),
        Section((Entry(N_("Keys"), "/dashboard/owners", "key-round", is_for_owners=True),), N_("Build")),
    )
    return build(
        HANDLERS if handlers is None else handlers,
        db=database,
        credentials=Credentials(database, token_keys=partners.TokenKeys(keyring)),
        browsers=Browsers(jar, FORM_KEY, ("http://hub.example",)),
        frames=FrameSource(database, pages, {Hub.PARTNER: menu}),
        outside=Outside(
            public_url="http://hub.example",
            is_secure=is_secure,
            trusted_proxies=trusted_proxies,
            max_body_bytes=1_000,
            larger_bodies={"/upload": 5_000},
            body_seconds=body_seconds,
        ),
        limiter=limiter,
        hot=exact({("GET", "/hot"): hot_ping, ("GET", "/hot/crash"): hot_crash}),
        hot_operations=("GET /hot", "GET /hot/crash"),
    )


@pytest.fixture
async def site(database: Database, keyring: Keyring) -> AsyncIterator[Site]:
    """The application as in development: plain HTTP on loopback."""
    async with running(database, make_application(database, keyring)) as found:
        yield found


@asynccontextmanager
async def running(
    database: Database, application: Application, *, is_secure: bool = False
) -> AsyncIterator[Site]:
    """Serve an application."""
    async with (
        serving(application.wrapper) as url,
        aiohttp.ClientSession(URL(url), cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        yield Site(url, http, database, is_secure)
