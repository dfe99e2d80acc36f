"""The pages of the onboarding popup.

Three families of links lead in; all become one run with an address of its own, so that nothing of the link
stays in the browser's history. Every page keeps `window.opener`, names Meta's origins and no others, and the
end is a navigation to the partner's page.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery
from litestar.response import Redirect
from litestar.static_files import create_static_files_router

from partnerhub.identity.errors import (
    EmailInvalid,
    PasswordWeak,
    SignInLimited,
    SignInRefused,
)
from partnerhub.identity.passwords import Passwords
from partnerhub.kit.database import Database
from partnerhub.kit.errors import HubError
from partnerhub.onboarding import queries
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.entry import read_entry
from partnerhub.onboarding.errors import (
    AccountExists,
    CookiesNeeded,
    IoSignatureRefused,
    IoSignatureUsed,
    PinNeeded,
    RunUnknown,
    StepWrong,
)
from partnerhub.onboarding.io_signature import Window
from partnerhub.onboarding.schemas import KnownNumber, Run, SignupResult, Step, UnknownBrowser
from partnerhub.onboarding.services import Connector, Visitor
from partnerhub.onboarding.services.upkeep import limit_starts
from partnerhub.partners import queries as partner_queries
from partnerhub.partners.schemas import Partner
from partnerhub.ui.frame import Brand
from partnerhub.ui.languages import LANGUAGE_COOKIE, find_language
from partnerhub.ui.policy import content_security_policy, origins_of
from partnerhub.web.cookies import CookieJar
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.principal import HubRequest

STATIC_PATH = "/onboarding/static"
_COOKIE = "onboarding"
_COOKIE_SECONDS = int(onboarding.RUN_LIFETIME.total_seconds())
_PUBLIC = {"public": True}
# Says that a browser without our cookie was just given one.
_ASKED = b"io_browser=asked"
_STEPS = (N_("Your account"), N_("Your number"), N_("Done"))


@dataclass(frozen=True, kw_only=True)
class Hosted:
    """What the pages need from the settings."""

    connector: Connector
    jar: CookieJar
    sdk_url: str
    dialog_origins: tuple[str, ...]
    config_id: str
    graph_version: str
    fallback_url: str
    window: Window

    def connecting_policy(self, *, images: Sequence[str]) -> str:
        """Return the content policy of the page that opens Meta's window."""
        sdk = origins_of([self.sdk_url])
        origins = tuple(dict.fromkeys((*sdk, *self.dialog_origins)))
        return content_security_policy(
            script_origins=sdk,
            connect_origins=origins,
            frame_origins=origins,
            image_origins=tuple(dict.fromkeys((*origins, *images))),
        )


@dataclass(frozen=True)
class Problem:
    """What a page says went wrong."""

    title: str
    text: str
    code: str
    tone: Literal["bad", "warn"] = "bad"


@dataclass(frozen=True)
class AccountForm:
    """Who signs up."""

    company: str = ""
    person: str = ""
    email: str = ""
    password: str = ""
    accepts_terms: str = ""


@dataclass(frozen=True)
class SignInForm:
    """Who signs in."""

    email: str = ""
    password: str = ""


@dataclass(frozen=True)
class SignupForm:
    """What Embedded Signup reported to the page."""

    code: str = ""
    event: str = ""
    waba_id: str = ""
    phone_number_id: str = ""
    business_id: str = ""


@dataclass(frozen=True)
class CancelledForm:
    """Where the client left Meta's window."""

    step: str = ""
    error_id: str = ""
    error_message: str = ""
    session_id: str = ""


@dataclass(frozen=True)
class PinForm:
    """The number's two-step verification PIN."""

    pin: str = ""


FormBody = RequestEncodingType.URL_ENCODED


@dataclass(frozen=True)
class Visit:
    """One request of the popup: the browser, and what handlers work with."""

    request: HubRequest
    page: Page
    db: Database
    hosted: Hosted

    @property
    def browser_token(self) -> str:
        """The secret that binds runs to this browser, empty when it has none."""
        return self.hosted.jar.read(self.request.cookies, _COOKIE)

    @property
    def ip(self) -> str:
        """Where the request comes from."""
        return self.request.client.host if self.request.client else ""

    @property
    def user_agent(self) -> str:
        """What the browser calls itself, cut to a length worth keeping."""
        return self.request.headers.get("user-agent", "")[:300]


async def provide_visit(
    request: HubRequest,
    page: NamedDependency[Page],
    db: NamedDependency[Database],
    hosted: NamedDependency[Hosted],
) -> Visit:
    """Bundle what every handler of the popup needs."""
    return Visit(request, page, db, hosted)


# --- the way in ----------------------------------------------------------------------------------------


@get(
    [
        "/dashboard/app/{link_partner:str}",
        "/dashboard/app/{link_partner:str}/permissions",
        "/onboarding/{link_partner:str}",
    ],
    opt=_PUBLIC,
)
async def enter(
    link_partner: FromPath[str],
    visit: NamedDependency[Visit],
) -> Response[Any]:
    """Start a run and lead to its clean address."""
    query = visit.request.scope["query_string"]
    try:
        # In a commit of its own: links that are refused count too.
        async with visit.db.system() as unit:
            await limit_starts(unit, partner_id=link_partner, ip=visit.ip)
        opened = await onboarding.open_link(
            visit.db,
            partner_id=link_partner,
            entry=read_entry(query),
            visitor=Visitor(
                browser_token=visit.browser_token or None, was_asked=query.startswith(_ASKED), ip=visit.ip
            ),
            keyring=visit.hosted.connector.keyring,
            window=visit.hosted.window,
        )
    except HubError as error:
        return _stopped(visit, error)
    match opened:
        case UnknownBrowser():
            # The marker goes before the link's own query: what is appended may end up in its last value.
            path, rest = visit.request.scope["path"], quote(query, safe=string.punctuation)
            target = f"{path}?{_ASKED.decode()}&{rest}"
        case _:
            target = f"/onboarding/run/{opened.run_id}"
    return Response(
        b"",
        status_code=303,
        cookies=[visit.hosted.jar.make(_COOKIE, opened.browser_token, seconds=_COOKIE_SECONDS)],
        headers={"location": target, "cache-control": "no-store", "referrer-policy": "no-referrer"},
    )


# --- the run -------------------------------------------------------------------------------------------


@get("/onboarding/run/{run_id:uuid}", opt=_PUBLIC)
async def show_run(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    mode: FromQuery[str] = "",
    pin: FromQuery[str] = "",
) -> Response[Any]:
    """Show the step at which the run stands; back button and reload end here, too.

    `pin=refused` says that Meta did not take the PIN that was just entered.
    """
    view = await _open(visit, run_id)
    if isinstance(view, Response):
        return view
    match view.run.step:
        case Step.ACCOUNT:
            wanted = mode or ("sign_in" if view.run.parameters.get("shows_login") else "sign_up")
            return _account(view, sign_in=wanted == "sign_in")
        case Step.CONNECT:
            return await _connect(view, _kept_problem(view))
        case Step.REGISTER:
            return await _register(view, _kept_problem(view), is_pin_refused=pin == "refused")
        case Step.DONE:
            return view.show(
                "hosted/done.html",
                step=3,
                values={
                    "go_on": f"/onboarding/run/{run_id}/finish",
                    "connect_script": f"{STATIC_PATH}/connect.js",
                    "numbers": await _numbers(view),
                },
            )


@post("/onboarding/run/{run_id:uuid}/account", opt=_PUBLIC, status_code=303)
async def sign_up(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    passwords: NamedDependency[Passwords],
    data: Annotated[AccountForm, Body(media_type=FormBody)],
) -> Response[Any]:
    """Make the account; a wrong field comes back with its reason."""
    view = await _open(visit, run_id)
    if isinstance(view, Response):
        return view
    try:
        await onboarding.sign_up_client(
            visit.db,
            run_id=run_id,
            browser_token=visit.browser_token,
            company=data.company,
            person=data.person,
            email=data.email,
            password=data.password,
            accepts_terms=bool(data.accepts_terms),
            locale=visit.page.frame.language,
            ip=visit.ip,
            user_agent=visit.user_agent,
            passwords=passwords,
        )
    except StepWrong:
        pass
    except HubError as error:
        return _account(view, sign_in=False, form=data, error=error)
    return _to_run(run_id)


@post("/onboarding/run/{run_id:uuid}/sign-in", opt=_PUBLIC, status_code=303)
async def sign_in(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    passwords: NamedDependency[Passwords],
    data: Annotated[SignInForm, Body(media_type=FormBody)],
) -> Response[Any]:
    """Let an existing account in."""
    view = await _open(visit, run_id)
    if isinstance(view, Response):
        return view
    try:
        await onboarding.sign_in_client(
            visit.db,
            run_id=run_id,
            browser_token=visit.browser_token,
            email=data.email,
            password=data.password,
            ip=visit.ip,
            user_agent=visit.user_agent,
            passwords=passwords,
        )
    except StepWrong:
        pass
    except HubError as error:
        return _account(view, sign_in=True, form=AccountForm(email=data.email), error=error)
    return _to_run(run_id)


@post("/onboarding/run/{run_id:uuid}/signup", opt=_PUBLIC, status_code=303)
async def complete(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    data: Annotated[SignupForm, Body(media_type=FormBody)],
) -> Response[Any]:
    """Take Embedded Signup's result and bring the number to running."""
    result = SignupResult(
        code=data.code,
        event=data.event,
        waba_id=data.waba_id,
        phone_number_id=data.phone_number_id,
        business_id=data.business_id,
    )
    return await _carry_on(visit, run_id, result=result)


@post("/onboarding/run/{run_id:uuid}/register", opt=_PUBLIC, status_code=303)
async def register(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    data: Annotated[PinForm, Body(media_type=FormBody)],
) -> Response[Any]:
    """Take up a registration that stopped, with the PIN where it was asked for."""
    digits = "".join(character for character in data.pin if character in "0123456789")
    return await _carry_on(visit, run_id, pin=digits)


@post("/onboarding/run/{run_id:uuid}/cancelled", opt=_PUBLIC, status_code=200)
async def cancelled(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    data: Annotated[CancelledForm, Body(media_type=FormBody)],
) -> dict[str, bool]:
    """Keep where the client left Meta's window."""
    await onboarding.note_cancelled(
        visit.db,
        run_id=run_id,
        browser_token=visit.browser_token,
        step=data.step,
        error_id=data.error_id,
        message=data.error_message,
    )
    return {"success": True}


@post("/onboarding/run/{run_id:uuid}/known", opt=_PUBLIC, status_code=303)
async def take_known(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
) -> Response[Any]:
    """Go back to the partner with the numbers that are shared already."""
    try:
        await onboarding.choose_known_numbers(visit.db, run_id=run_id, browser_token=visit.browser_token)
    except StepWrong:
        return _to_run(run_id)
    except HubError as error:
        return _stopped(visit, error)
    return _to_run(run_id)


@post("/onboarding/run/{run_id:uuid}/again", opt=_PUBLIC, status_code=303)
async def connect_again(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
) -> Response[Any]:
    """Go back to the connection."""
    try:
        await onboarding.go_back_to_connect(visit.db, run_id=run_id, browser_token=visit.browser_token)
    except StepWrong:
        return _to_run(run_id)
    except HubError as error:
        return _stopped(visit, error)
    return _to_run(run_id)


@get("/onboarding/run/{run_id:uuid}/finish", opt=_PUBLIC)
async def finish(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
) -> Response[Any]:
    """Navigate the popup to the partner's page."""
    view = await _open(visit, run_id)
    if isinstance(view, Response):
        return view
    try:
        target = onboarding.finish_run(view.run, fallback_url=visit.hosted.fallback_url)
    except StepWrong:
        return _to_run(run_id)
    # The target is written as it is: encoding its brackets would break clients that cut them by position.
    return Response(
        b"",
        status_code=303,
        headers={"location": target, "cache-control": "no-store", "referrer-policy": "no-referrer"},
    )


# --- what they share -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _View:
    run: Run
    partner: Partner
    page: Page
    visit: Visit

    @property
    def images(self) -> tuple[str, ...]:
        """Where the logos lie that are not ours to serve."""
        return origins_of([self.page.frame.brand.logo_url, self.partner.logo_url])

    def show(
        self,
        template: str,
        *,
        step: int,
        failed: bool = False,
        status: int = 200,
        content_policy: str | None = None,
        values: Mapping[str, object],
    ) -> Response[Any]:
        """Show a page of the run; `step` is how many of the three are done."""
        states = ["done"] * step + ["failed" if failed else "current"] + ["todo"] * 2
        steps = [
            {"label": self.page.say(label), "state": state}
            for label, state in zip(_STEPS, states, strict=False)
        ]
        return self.page.show(
            template,
            part=None,
            status=status,
            keeps_opener=True,
            content_policy=content_policy or content_security_policy(image_origins=self.images),
            **{"run": self.run, "partner_name": self.partner.brand_name, "steps": steps, **values},  # type: ignore[arg-type]  # a template's values, none of them a parameter above
        )


async def _open(visit: Visit, run_id: UUID) -> _View | Response[Any]:
    try:
        async with visit.db.system() as unit:
            run = await queries.get_run(unit, run_id=run_id, browser_token=visit.browser_token)
            partner = await partner_queries.get_partner(unit, partner_id=run.partner_id)
    except RunUnknown as error:
        return _stopped(visit, error)
    frame = replace(visit.page.frame, partner_brand=Brand(name=partner.brand_name, logo_url=partner.logo_url))
    # The link may wish for a language; what the person chose here goes before it.
    wished = find_language(run.parameter("locale"))
    if wished and LANGUAGE_COOKIE not in visit.request.cookies:
        frame = replace(frame, language=wished)
    return _View(run, partner, replace(visit.page, frame=frame), visit)


async def _carry_on(
    visit: Visit, run_id: UUID, *, result: SignupResult | None = None, pin: str = ""
) -> Response[Any]:
    view = await _open(visit, run_id)
    if isinstance(view, Response):
        return view
    # Whatever comes of it, the run keeps it and its own page shows it, so that a reload sends nothing twice.
    try:
        await onboarding.complete_signup(
            visit.hosted.connector,
            run_id=run_id,
            browser_token=visit.browser_token,
            result=result,
            pin=pin,
            ip=visit.ip,
            user_agent=visit.user_agent,
        )
    except PinNeeded:
        return _to_run(run_id, "?pin=refused" if pin else "")
    except HubError:
        pass
    return _to_run(run_id)


def _account(
    view: _View, *, sign_in: bool, form: AccountForm | None = None, error: HubError | None = None
) -> Response[Any]:
    run, say = view.run, view.page.say
    values = form or AccountForm(
        company=run.parameter("name"), person="", email=run.parameter("email"), password=""
    )
    errors = dict.fromkeys(("company", "person", "email", "password", "accepts_terms"), "")
    problem = None
    match error:
        case None:
            pass
        case EmailInvalid():
            errors["email"] = view.page.explain(error)
        case PasswordWeak():
            errors["password"] = view.page.explain(error)
        case SignInRefused() | SignInLimited():
            problem = Problem(say(N_("Not signed in")), view.page.explain(error), error.code)
        case AccountExists():
            problem = Problem(
                say(N_("You have an account already")), view.page.explain(error), error.code, "warn"
            )
        case _ if error.fields:
            errors |= {{"name": "company"}.get(name, name): say(text) for name, text in error.fields.items()}
        case _:
            problem = Problem(say(N_("That did not work")), view.page.explain(error), error.code)
    return view.show(
        "hosted/account.html",
        step=0,
        status=_status_of_form(error),
        values={
            "mode": "sign_in" if sign_in or isinstance(error, AccountExists) else "sign_up",
            "values": values,
            "errors": errors,
            "problem": problem,
        },
    )


def _status_of_form(error: HubError | None) -> int:
    """Return the status of a form that comes back: 422 where a field is wrong, else the error's own."""
    if error is None:
        return 200
    return 422 if error.status == 400 else error.status


async def _connect(view: _View, problem: Problem | None) -> Response[Any]:
    run, hosted = view.run, view.visit.hosted
    async with view.visit.db.system() as unit:
        known = await queries.list_known_numbers(
            unit, client_id=run.client_id or "", number=run.parameter("number")
        )
    setup: dict[str, Any] = {}  # Any: Meta's own nested shape
    if name := run.parameter("name"):
        setup["business"] = {
            "name": name,
            **({"email": run.parameter("email")} if run.parameter("email") else {}),
        }
    if preverified := run.parameter("preverified_phone_number_id"):
        setup["preVerifiedPhone"] = {"ids": [preverified]}
    if view.partner.solution_id:
        setup["solutionID"] = view.partner.solution_id
    return view.show(
        "hosted/connect.html",
        step=1,
        failed=problem is not None and problem.tone == "bad",
        content_policy=hosted.connecting_policy(images=view.images),
        values={
            "connect_script": f"{STATIC_PATH}/connect.js",
            "known": known,
            "problem": problem,
            "connect": {
                "app_id": hosted.connector.app_id,
                "config_id": hosted.config_id,
                "version": hosted.graph_version,
                "sdk_url": hosted.sdk_url,
                "origins": list(hosted.dialog_origins),
                "cancelled_url": f"/onboarding/run/{run.id}/cancelled",
                "extras": {"setup": setup, "featureType": "", "sessionInfoVersion": "3", "version": "v4"},
            },
        },
    )


async def _register(view: _View, problem: Problem | None, *, is_pin_refused: bool) -> Response[Any]:
    needs_pin = view.run.error_code == PinNeeded.code
    refused = N_("Meta did not take this PIN. After a few wrong ones it locks the number for a while.")
    return view.show(
        "hosted/register.html",
        step=1,
        failed=problem is not None and not needs_pin,
        values={
            # That a PIN is asked for is no accident: the page itself says so.
            "problem": None if needs_pin else problem,
            "needs_pin": needs_pin,
            "errors": {"pin": view.page.say(refused) if needs_pin and is_pin_refused else ""},
            "numbers": await _numbers(view),
        },
    )


async def _numbers(view: _View) -> list[KnownNumber]:
    """Return the numbers that this run brought or chose."""
    async with view.visit.db.system() as unit:
        known = await queries.list_known_numbers(unit, client_id=view.run.client_id or "")
    return [number for number in known if number.channel_id in view.run.channel_ids]


def _kept_problem(view: _View) -> Problem | None:
    run, say = view.run, view.page.say
    if run.error_code is None:
        return None
    error = HubError(run.error_message or "", code=run.error_code)
    if run.error_code == "signup_cancelled":
        return Problem(
            say(N_("Meta's window was closed")),
            say(N_("Nothing was changed. Open it again whenever you are ready.")),
            run.error_code,
            "warn",
        )
    return Problem(say(N_("The connection stopped")), view.page.explain(error), run.error_code)


def _stopped(visit: Visit, error: HubError) -> Response[Any]:
    page = visit.page
    heading = N_("This link does not work")
    advice = N_("Start again from the page that opened this window, or send its owner these details.")
    match error:
        case RunUnknown():
            heading = N_("This sign-up is over")
        case IoSignatureRefused():
            heading = N_("This link does not let you in")
            if isinstance(error, IoSignatureUsed):
                heading = N_("This link is used already")
            advice = N_(
                "Close this window, load the page that opened it again and start from there: it makes you a"
                " fresh link. If that does not help, send its owner these details."
            )
        case CookiesNeeded():
            heading = N_("Your browser keeps no cookies here")
            advice = N_("Allow cookies for this page, and start again from the page that opened this window.")
        case _:
            pass
    return page.show(
        "hosted/stopped.html",
        status=error.status,
        keeps_opener=True,
        headers={"x-error-code": error.code},
        heading=page.say(heading),
        text=page.explain(error),
        advice=page.say(advice),
        code=error.code,
        close_script=f"{STATIC_PATH}/connect.js",
    )


def _to_run(run_id: UUID, query: str = "") -> Response[Any]:
    return Redirect(f"/onboarding/run/{run_id}{query}", status_code=303)


def router() -> Router:
    """Return the routes of the popup."""
    files = create_static_files_router(
        path=STATIC_PATH, directories=[Path(__file__).parent / "static"], opt={**_PUBLIC}
    )
    return Router(
        "/",
        route_handlers=[
            enter,
            show_run,
            sign_up,
            sign_in,
            complete,
            register,
            cancelled,
            take_known,
            connect_again,
            finish,
            files,
        ],
        dependencies={"visit": Provide(provide_visit)},
    )
