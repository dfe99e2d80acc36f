"""Coming in and going out: sign-in, sign-out, forgotten and new passwords, switching the partner.

The same pages serve the three hubs; each hub has its own addresses, session cookie and rule of who belongs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Redirect

from partnerhub.channels import queries as channel_queries
from partnerhub.dashboard.forms import Form
from partnerhub.identity import services as identity
from partnerhub.identity.errors import (
    HashingBusy,
    LinkExpired,
    NoPlace,
    PasswordWeak,
    SignInLimited,
    SignInRefused,
)
from partnerhub.identity.passwords import Passwords
from partnerhub.identity.schemas import Hub, SessionScope, User
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.errors import HubError, TooMany
from partnerhub.partners import queries as partner_queries
from partnerhub.ui.frame import Toast
from partnerhub.ui.preferences import local_path
from partnerhub.web.authentication import Browsers
from partnerhub.web.cookies import RESET, RESET_LENGTH, cookies_of
from partnerhub.web.guards import requires
from partnerhub.web.hubs import HUBS, HubFacts
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.places import go_to_place
from partnerhub.web.principal import HubRequest, SignedInUser, actor_of

_RESET_SECONDS = 1_800


@dataclass(frozen=True)
class SignInForm:
    """Who wants in, and where to go then."""

    email: str = ""
    password: str = ""
    next: str = ""


@dataclass(frozen=True)
class ForgottenForm:
    """Whose password is forgotten."""

    email: str = ""


@dataclass(frozen=True)
class NewPasswordForm:
    """The password from now on."""

    password: str = ""


@dataclass(frozen=True)
class SwitchForm:
    """Which partner to look at."""

    partner_id: str = ""


def hub_of(request: HubRequest) -> Hub:
    """Return the hub whose pages the route belongs to."""
    return Hub(request.route_handler.opt["hub"])


def facts_of(request: HubRequest) -> HubFacts:
    """Return the addresses of the hub whose pages the route belongs to."""
    return HUBS[hub_of(request)]


@get("/")
async def show_start() -> Redirect:
    """Lead to the Partner Hub."""
    return Redirect(HUBS[Hub.PARTNER].home, status_code=303)


@get("/sign-in")
async def show_sign_in(
    request: HubRequest,
    page: NamedDependency[Page],
    next: FromQuery[str] = "",  # noqa: A002 - the parameter's name
) -> Response[Any]:
    """Show the form; who is signed in already goes on."""
    if isinstance(request.user, SignedInUser):
        return page.go(_target(next, facts_of(request)))
    return _sign_in_page(request, page, SignInForm(next=next))


@post("/sign-in", status_code=303)
async def sign_in(
    *,
    request: HubRequest,
    page: NamedDependency[Page],
    db: NamedDependency[Database],
    browsers: NamedDependency[Browsers],
    passwords: NamedDependency[Passwords],
    data: Form[SignInForm],
) -> Response[Any]:
    """Start a session under a new token; an older one of this browser ends."""
    hub = hub_of(request)
    try:
        signed_in = await identity.sign_in(
            db,
            email=data.email,
            password=data.password,
            ip=_ip(request),
            user_agent=request.headers.get("user-agent", ""),
            hub=hub,
            choose_scope=_SCOPES[hub],
            passwords=passwords,
        )
    except (SignInRefused, SignInLimited, NoPlace, HashingBusy) as error:
        return _sign_in_page(request, page, data, error=error)
    await _end_current(request, db)
    return page.go(_target(data.next, HUBS[hub]), cookies=[browsers.jar.session(hub, signed_in.token)])


@post("/sign-out", status_code=303)
async def sign_out(
    request: HubRequest,
    page: NamedDependency[Page],
    db: NamedDependency[Database],
    browsers: NamedDependency[Browsers],
) -> Response[Any]:
    """End this session; repeatable."""
    await _end_current(request, db)
    facts = facts_of(request)
    toast = Toast(title=page.say(N_("You are signed out")))
    return page.go(facts.sign_in, toast=toast, cookies=[browsers.jar.cleared(facts.cookie)])


@get("/forgot-password")
async def show_forgotten(request: HubRequest, page: NamedDependency[Page]) -> Response[str]:
    """Ask for the e-mail."""
    return page.show("dashboard/forgot_password.html", facts=facts_of(request), sent_to="", error="")


@post("/forgot-password", status_code=200)
async def ask_for_link(
    request: HubRequest,
    page: NamedDependency[Page],
    db: NamedDependency[Database],
    public_url: NamedDependency[str],
    data: Form[ForgottenForm],
) -> Response[str]:
    """Say that a mail comes if the account exists, whether it does or not."""
    facts = facts_of(request)
    try:
        await identity.request_password_reset(
            db, email=data.email, ip=_ip(request), link_base=public_url + facts.reset_password
        )
    except TooMany as error:
        return page.show(
            "dashboard/forgot_password.html",
            status=error.status,
            headers={"retry-after": str(error.retry_after_seconds)},
            facts=facts,
            sent_to="",
            error=page.explain(error),
        )
    return page.show("dashboard/forgot_password.html", facts=facts, sent_to=data.email.strip(), error="")


@get("/reset-password")
async def show_reset(
    request: HubRequest,
    page: NamedDependency[Page],
    db: NamedDependency[Database],
    browsers: NamedDependency[Browsers],
    token: FromQuery[str] = "",
) -> Response[Any]:
    """Take the token out of the address, then show the form for the new password."""
    facts = facts_of(request)
    if token:
        # Kept out of history, logs and Referer from here on.
        cookie = browsers.jar.make(RESET, token[:RESET_LENGTH], seconds=_RESET_SECONDS)
        return page.go(facts.reset_password, cookies=[cookie])
    try:
        user = await identity.check_reset_link(
            db, link_token=browsers.jar.read(cookies_of(request.scope), RESET)
        )
    except LinkExpired as error:
        return page.show(
            "dashboard/link_expired.html", status=error.status, facts=facts, text=page.explain(error)
        )
    return page.show("dashboard/reset_password.html", facts=facts, user=user, error="")


@post("/reset-password", status_code=303)
async def reset_password(
    *,
    request: HubRequest,
    page: NamedDependency[Page],
    db: NamedDependency[Database],
    browsers: NamedDependency[Browsers],
    passwords: NamedDependency[Passwords],
    public_url: NamedDependency[str],
    data: Form[NewPasswordForm],
) -> Response[Any]:
    """Set the password, end every session, and lead to sign-in."""
    facts = facts_of(request)
    link_token = browsers.jar.read(cookies_of(request.scope), RESET)
    try:
        await identity.reset_password(
            db,
            link_token=link_token,
            password=data.password,
            ip=_ip(request),
            user_agent=request.headers.get("user-agent", ""),
            link_base=public_url + facts.forgot_password,
            passwords=passwords,
        )
    except LinkExpired as error:
        return page.show(
            "dashboard/link_expired.html", status=error.status, facts=facts, text=page.explain(error)
        )
    except PasswordWeak as error:
        user = await identity.check_reset_link(db, link_token=link_token)
        return page.show(
            "dashboard/reset_password.html", status=422, facts=facts, user=user, error=page.explain(error)
        )
    toast = Toast(title=page.say(N_("Your new password is set")), text=page.say(N_("Sign in with it now.")))
    return page.go(facts.sign_in, toast=toast, cookies=[browsers.jar.cleared(RESET)])


@get("/switch", guards=[requires(hub=Hub.PARTNER)])
async def show_switch(request: HubRequest, page: NamedDependency[Page]) -> Response[str]:
    """List the partners the person belongs to."""
    return page.show(
        "dashboard/switch.html",
        places=_person(request).places,
        current=_person(request).partner_id,
        facts=facts_of(request),
    )


@post("/switch", status_code=303, guards=[requires(hub=Hub.PARTNER)])
async def switch(
    request: HubRequest,
    page: NamedDependency[Page],
    db: NamedDependency[Database],
    browsers: NamedDependency[Browsers],
    data: Form[SwitchForm],
) -> Response[Any]:
    """Look at another of the person's partners, under a new token."""
    token = await go_to_place(db, _person(request), partner_id=data.partner_id)
    return page.go(facts_of(request).home, cookies=[browsers.jar.session(Hub.PARTNER, token)])


async def _choose_partner(unit: Unit, user: User) -> SessionScope:
    places = await partner_queries.list_memberships(unit, user_id=user.id)
    if not places:
        raise NoPlace("This account belongs to no partner.")
    return SessionScope(partner_id=places[0].partner_id)


async def _choose_client(unit: Unit, user: User) -> SessionScope:
    clients = await channel_queries.list_clients_of_user(unit, user_id=user.id)
    if not clients:
        raise NoPlace("This account belongs to no client.")
    return SessionScope(partner_id=clients[0].partner_id, client_id=clients[0].id)


async def _choose_nothing(_unit: Unit, _user: User) -> SessionScope:
    return SessionScope()


_SCOPES: dict[Hub, identity.ScopeChooser] = {
    Hub.PARTNER: _choose_partner,
    Hub.CLIENT: _choose_client,
    Hub.OPERATOR: _choose_nothing,
}


def _sign_in_page(
    request: HubRequest, page: Page, form: SignInForm, *, error: HubError | None = None
) -> Response[str]:
    headers = {}
    if isinstance(error, TooMany):
        headers["retry-after"] = str(error.retry_after_seconds)
    return page.show(
        "dashboard/sign_in.html",
        status=error.status if error else 200,
        headers=headers,
        hub=hub_of(request).value,
        facts=facts_of(request),
        email=form.email,
        next=form.next,
        error=page.explain(error) if error else "",
        code=error.code if error else "",
    )


async def _end_current(request: HubRequest, db: Database) -> None:
    if isinstance(request.user, SignedInUser):
        session = request.user.session
        await identity.sign_out(db, session_id=session.id, user_id=session.user_id, actor=actor_of(request))


def _person(request: HubRequest) -> SignedInUser:
    if not isinstance(request.user, SignedInUser):
        raise TypeError("The guard lets only people in.")
    return request.user


def _target(wanted: str, facts: HubFacts) -> str:
    return wanted if wanted and local_path(wanted) == wanted else facts.home


def _ip(request: HubRequest) -> str:
    return request.client.host if request.client else ""


def sign_in_routes() -> list[Router]:
    """Return the routes of every hub."""
    routers = []
    for hub, facts in HUBS.items():
        handlers = [
            show_sign_in,
            sign_in,
            sign_out,
            show_forgotten,
            ask_for_link,
            show_reset,
            reset_password,
        ]
        routers.append(
            Router(facts.prefix or "/", route_handlers=handlers, opt={"hub": hub, "visitor": True})
        )
    return [
        *routers,
        Router("/", route_handlers=[show_switch, switch], opt={"hub": Hub.PARTNER}),
        Router("/", route_handlers=[show_start], opt={"public": True}),
    ]
