"""A person's own account: password, the browsers they are signed in with, and one-time codes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from partnerhub.dashboard.forms import Form
from partnerhub.dashboard.sign_in import facts_of, hub_of
from partnerhub.identity import services as identity
from partnerhub.identity.errors import CodeLimited, PasswordWeak, PasswordWrong, SignInLimited
from partnerhub.identity.passwords import Passwords
from partnerhub.identity.schemas import CodePurpose, SessionRow
from partnerhub.kit import clock
from partnerhub.kit.database import Database
from partnerhub.kit.errors import HubError, Invalid, NotFound
from partnerhub.ui.frame import Toast
from partnerhub.ui.preferences import local_path, time_zones
from partnerhub.web.authentication import Browsers
from partnerhub.web.guards import requires
from partnerhub.web.hubs import HUBS
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.principal import HubRequest, SignedInUser, actor_of
from partnerhub.web.step_up import send_code


class SessionUnknown(NotFound):
    """The person has no such live session."""

    code = "session_not_found"


class PurposeUnknown(Invalid):
    """There is nothing by this name that a code confirms."""

    code = "code_purpose_unknown"


@dataclass(frozen=True)
class PasswordForm:
    """The change of a password."""

    current_password: str = ""
    password: str = ""


@dataclass(frozen=True)
class CodeRequestForm:
    """What a code is wanted for, and the page to go back to without script."""

    purpose: str = ""
    next: str = ""


@dataclass(frozen=True)
class Device:
    """A sign-in as its owner reads it."""

    session: SessionRow
    browser: str
    system: str
    is_current: bool


@get("/account")
async def show_account(
    request: HubRequest, page: NamedDependency[Page], db: NamedDependency[Database]
) -> Response[str]:
    """Show the person, the password form and the sessions."""
    return await _account_page(request, page, db)


@post("/account/password", status_code=303)
async def change_password(
    *,
    request: HubRequest,
    page: NamedDependency[Page],
    db: NamedDependency[Database],
    browsers: NamedDependency[Browsers],
    passwords: NamedDependency[Passwords],
    public_url: NamedDependency[str],
    data: Form[PasswordForm],
) -> Response[Any]:
    """Replace the password; other sessions end and this one gets a new token."""
    session, facts, hub = _session(request), facts_of(request), hub_of(request)
    try:
        token = await identity.change_password(
            db,
            user_id=session.user_id,
            current=data.current_password,
            new=data.password,
            keep=session.id,
            actor=actor_of(request),
            link_base=public_url + facts.forgot_password,
            passwords=passwords,
        )
    except (PasswordWrong, PasswordWeak, SignInLimited) as error:
        return await _account_page(request, page, db, error=error)
    toast = Toast(
        title=page.say(N_("Your password is changed")), text=page.say(N_("Every other sign-in was ended."))
    )
    return page.go(facts.account, toast=toast, cookies=[browsers.jar.session(hub, token)])


@post("/account/sessions/{session_id:uuid}/end", status_code=303)
async def end_session(
    request: HubRequest,
    page: NamedDependency[Page],
    db: NamedDependency[Database],
    session_id: FromPath[UUID],
) -> Response[Any]:
    """Sign one browser out."""
    ended = await identity.sign_out(
        db, session_id=session_id, user_id=_session(request).user_id, actor=actor_of(request)
    )
    if not ended:
        raise SessionUnknown("This sign-in has ended already.")
    return page.go(facts_of(request).account, toast=Toast(title=page.say(N_("The browser is signed out"))))


@post("/account/sessions/end-others", status_code=303)
async def end_other_sessions(
    request: HubRequest, page: NamedDependency[Page], db: NamedDependency[Database]
) -> Response[Any]:
    """Sign every other browser out."""
    session = _session(request)
    await identity.sign_out_elsewhere(db, user_id=session.user_id, keep=session.id, actor=actor_of(request))
    toast = Toast(title=page.say(N_("Every other browser is signed out")))
    return page.go(facts_of(request).account, toast=toast)


@post("/codes", status_code=200)
async def request_code(
    request: HubRequest,
    page: NamedDependency[Page],
    db: NamedDependency[Database],
    data: Form[CodeRequestForm],
) -> Response[Any]:
    """Mail a code for one purpose; the answer is a message beside the page that asked."""
    try:
        purpose = CodePurpose(data.purpose)
    except ValueError as error:
        raise PurposeUnknown("There is nothing by this name that a code confirms.") from error
    status = 200
    try:
        await send_code(db, request.user, purpose=purpose, language=page.frame.language)
        toast = Toast(
            title=page.say(N_("The code is on its way")),
            text=page.say(N_("Look into your mail: {email}. It works for ten minutes.")).format(
                email=_session(request).email
            ),
        )
    except CodeLimited as error:
        status, toast = error.status, page.toast(error, page.say(N_("No code was sent")))
    if page.is_fragment:
        return page.show(
            "dashboard/toasts.html",
            part="dashboard/toasts.html",
            status=status,
            headers={"hx-reswap": "none"},
            toasts=(toast,),
        )
    return page.go(local_path(data.next), toast=toast)


async def _account_page(
    request: HubRequest, page: Page, db: Database, *, error: HubError | None = None
) -> Response[str]:
    session = _session(request)
    rows = await identity.read_sessions(db, user_id=session.user_id)
    devices = [_device(row, is_current=row.id == session.id) for row in rows]
    wrong = {name: page.explain(error) for name in error.fields} if error else {}
    return page.show(
        "dashboard/account.html",
        status=422 if error else 200,
        facts=facts_of(request),
        person=session,
        devices=devices,
        time_zones=[(name, name.replace("_", " ")) for name in time_zones()],
        now=clock.now(),
        others=sum(not device.is_current for device in devices),
        wrong=wrong,
        error="" if error is None or wrong else page.explain(error),
    )


def _session(request: HubRequest) -> SessionRow:
    if not isinstance(request.user, SignedInUser):
        raise TypeError("The guard lets only people in.")
    return request.user.session


_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def _device(row: SessionRow, *, is_current: bool) -> Device:
    browser = next((name for mark, name in _BROWSERS if mark in row.user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in row.user_agent), "")
    unknown = re.split(r"[/ ]", row.user_agent, maxsplit=1)[0][:40]
    return Device(session=row, browser=browser or unknown, system=system, is_current=is_current)


def account_routes() -> list[Router]:
    """Return the routes of every hub."""
    handlers = [show_account, change_password, end_session, end_other_sessions, request_code]
    return [
        Router(facts.prefix or "/", route_handlers=handlers, opt={"hub": hub}, guards=[requires(hub=hub)])
        for hub, facts in HUBS.items()
    ]
