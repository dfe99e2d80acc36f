"""What the pages of the popup share: a request and its run, how a step is shown, how a run stops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from litestar import Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.response import Redirect

from partnerhub.kit.database import Database
from partnerhub.kit.errors import HubError
from partnerhub.onboarding import queries
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.errors import (
    CookiesNeeded,
    IoSignatureRefused,
    IoSignatureUsed,
    RunOver,
    RunUnknown,
)
from partnerhub.onboarding.io_signature import Window
from partnerhub.onboarding.rules import Rules
from partnerhub.onboarding.schemas import KnownNumber, Run, Step
from partnerhub.onboarding.services import Connector
from partnerhub.partners import queries as partner_queries
from partnerhub.partners.errors import PartnerUnknown
from partnerhub.partners.schemas import Partner
from partnerhub.ui.frame import Brand
from partnerhub.ui.languages import LANGUAGE_COOKIE, find_language
from partnerhub.ui.policy import content_security_policy, origins_of
from partnerhub.web.cookies import CookieJar, cookies_of
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.principal import HubRequest

STATIC_PATH = "/onboarding/static"
COOKIE = "onboarding"
"""Tells one browser from another; two tabs that begin at once overwrite it, so each run has its own, too."""
RUN_COOKIE = "onboarding-{run_id}"
COOKIE_SECONDS = int(onboarding.RUN_LIFETIME.total_seconds())
PUBLIC = {"public": True, "form_cookies": (RUN_COOKIE, COOKIE)}
"""For the pages of a run: its forms belong to the run, not to who is signed in to a hub in this browser."""
WITHOUT_FORMS = {"public": True, "form_cookies": ()}
# Every cookie comes with every request. Older runs go on with the browser's own, unless tabs collided.
_RUN_COOKIES_KEPT = 8
FormBody = RequestEncodingType.URL_ENCODED
_ACCOUNT, _PRICES, _NUMBER = N_("Your account"), N_("Prices"), N_("Your number")
_PERMISSION, _DONE = N_("Permission"), N_("Done")


@dataclass(frozen=True, kw_only=True)
class Hosted:
    """What the pages need from the settings."""

    connector: Connector
    jar: CookieJar
    sdk_url: str
    dialog_origins: tuple[str, ...]
    config_id: str
    graph_version: str
    window: Window
    rules: Rules

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
class Visit:
    """One request of the popup: the browser, and what handlers work with."""

    request: HubRequest
    page: Page
    db: Database
    hosted: Hosted

    @property
    def browser_token(self) -> str:
        """The secret that binds the run of this address, or new ones, to this browser; empty without one."""
        jar, cookies = self.hosted.jar, cookies_of(self.request.scope)
        run_id = self.request.path_params.get("run_id")
        own = jar.read(cookies, RUN_COOKIE.format(run_id=run_id)) if run_id else ""
        return own or jar.read(cookies, COOKIE)

    @property
    def run_tokens(self) -> list[str]:
        """The secrets of the runs that this browser began."""
        cookies = cookies_of(self.request.scope)
        return [cookies[name] for name in self._run_cookies]

    def cookies_of_run(self, run_id: UUID, token: str) -> list[Cookie]:
        """Make the run's own cookie, and remove those of the oldest runs."""
        jar, own = self.hosted.jar, RUN_COOKIE.format(run_id=run_id)
        others = [name for name in self._run_cookies if name != jar.name(own)]
        surplus = [name.removeprefix(jar.name("")) for name in others[_RUN_COOKIES_KEPT - 1 :]]
        return [jar.make(own, token, seconds=COOKIE_SECONDS), *map(jar.cleared, surplus)]

    @property
    def _run_cookies(self) -> list[str]:
        # Run ids are made in the order of time.
        prefix = self.hosted.jar.name(RUN_COOKIE.format(run_id=""))
        return sorted(
            (name for name in cookies_of(self.request.scope) if name.startswith(prefix)), reverse=True
        )

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


@dataclass(frozen=True)
class View:
    """One request of a run: how it stands, whose link it came by, and the page to answer with.

    `email` is of whoever signed up or in, empty before.
    """

    run: Run
    partner: Partner
    page: Page
    visit: Visit
    email: str = ""

    @property
    def rules(self) -> Rules:
        """What the operator decided about onboarding."""
        return self.visit.hosted.rules

    @property
    def images(self) -> tuple[str, ...]:
        """Where the logos lie that are not ours to serve."""
        return origins_of([self.page.frame.brand.logo_url, self.partner.logo_url])

    def show(
        self,
        template: str,
        *,
        failed: bool = False,
        status: int = 200,
        part: str | None = None,
        headers: Mapping[str, str] | None = None,
        content_policy: str | None = None,
        values: Mapping[str, object],
    ) -> Response[Any]:
        """Show the page of the run's step; a script that swaps a piece of it gets `part`."""
        steps = [
            {"label": self.page.say(label), "state": "failed" if failed and state == "current" else state}
            for label, state in steps_of(self.run, self.partner)
        ]
        return self.page.show(
            template,
            part=part,
            status=status,
            headers=headers,
            keeps_opener=True,
            content_policy=content_policy or content_security_policy(image_origins=self.images),
            **{
                "run": self.run,
                "email": self.email,
                "partner_name": self.partner.brand_name,
                "takes_numbers": not self.partner.blocked_new_submission,
                "steps": steps,
                **values,
            },  # type: ignore[arg-type]  # a template's values, none of them a parameter above
        )


def steps_of(run: Run, partner: Partner) -> list[tuple[str, str]]:
    """Return what stands above the page: the steps of this run's kind and how far each is."""
    account = (_ACCOUNT, (Step.ACCOUNT,))
    number = (_NUMBER, (Step.CONNECT, Step.REGISTER))
    permission = (_PERMISSION, (Step.PERMISSION,))
    came_for_permissions = run.step is Step.DONE and run.parameters.get("at_permissions")
    track: tuple[tuple[str, tuple[Step, ...]], ...]
    if run.waba_id is None and (run.step is Step.PERMISSION or came_for_permissions):
        track = (account, permission)
    elif partner.payment_model == "partner_paid":
        track = (account, number, (_DONE, (Step.DONE,)))
    else:
        track = (account, (_PRICES, (Step.PRICES,)), number, permission)
    # The last page is where a run is done, not where something is left to do.
    here = next(
        (place for place, (_, steps) in enumerate(track) if run.step in steps and run.step is not Step.DONE),
        len(track),
    )
    states = ["done"] * here + ["current"] + ["todo"] * len(track)
    return [(label, state) for (label, _), state in zip(track, states, strict=False)]


async def open_run(visit: Visit, run_id: UUID) -> View | Response[Any]:
    """Return the run if it is this browser's, else the page that says why not."""
    try:
        async with visit.db.system() as unit:
            run = await queries.get_run(unit, run_id=run_id, browser_token=visit.browser_token)
            partner = await partner_queries.get_partner(unit, partner_id=run.partner_id)
            email = await queries.find_email(unit, run=run)
    except RunOver as error:
        return await stopped(visit, error, partner_id=error.partner_id)
    except IoSignatureRefused as error:
        await onboarding.note_refused(visit.db, partner_id=error.partner_id, refused=error, ip=visit.ip)
        return await stopped(visit, error, partner_id=error.partner_id)
    except RunUnknown as error:
        return await stopped(visit, error)
    page = page_of(visit, partner, wished=run.parameter("locale"))
    # Whoever chooses a language on the answer to a form comes back to the step: a form has no page.
    page = replace(page, frame=replace(page.frame, path=f"/onboarding/run/{run_id}"))
    return View(run, partner, page, visit, email)


def page_of(visit: Visit, partner: Partner, *, wished: str) -> Page:
    """Return the request's page with the partner's brand beside ours, in the language that a link wishes."""
    # A logo saved before its address was checked may be none that a browser could be allowed to load.
    logo_url = partner.logo_url if origins_of([partner.logo_url]) else None
    frame = replace(visit.page.frame, partner_brand=Brand(name=partner.brand_name, logo_url=logo_url))
    # What the person chose here goes before the link.
    language = find_language(wished)
    if language and LANGUAGE_COOKIE not in cookies_of(visit.request.scope):
        frame = replace(frame, language=language)
    return replace(visit.page, frame=frame)


async def numbers_of(view: View) -> list[KnownNumber]:
    """Return the numbers that this run brought or chose."""
    async with view.visit.db.system() as unit:
        known = await queries.list_known_numbers(unit, client_id=view.run.client_id or "")
    return [number for number in known if number.channel_id in view.run.channel_ids]


def kept_problem(view: View) -> Problem | None:
    """Return what stopped the run where it stands."""
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


async def stopped(visit: Visit, error: HubError, *, partner_id: str = "", wished: str = "") -> Response[Any]:
    """Show that it does not go on, under the partner's brand where the partner is known."""
    page, images = visit.page, [visit.page.frame.brand.logo_url]
    if partner_id:
        try:
            async with visit.db.system() as unit:
                partner = await partner_queries.get_partner(unit, partner_id=partner_id)
        except PartnerUnknown:
            pass
        else:
            page = page_of(visit, partner, wished=wished)
            images.append(partner.logo_url)
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
        content_policy=content_security_policy(image_origins=origins_of(images)),
        headers={"x-error-code": error.code},
        heading=page.say(heading),
        text=page.explain(error),
        advice=page.say(advice),
        code=error.code,
    )


def to_run(run_id: UUID, query: str = "") -> Response[Any]:
    """Lead to the run's own page, so that a reload sends nothing again."""
    return Redirect(f"/onboarding/run/{run_id}{query}", status_code=303)
