"""What the pages of the popup share: a request and its run, how a step is shown, how a run stops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from litestar import Response
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
    RunUnknown,
)
from partnerhub.onboarding.io_signature import Window
from partnerhub.onboarding.schemas import KnownNumber, Run
from partnerhub.onboarding.services import Connector
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
COOKIE = "onboarding"
COOKIE_SECONDS = int(onboarding.RUN_LIFETIME.total_seconds())
PUBLIC = {"public": True}
FormBody = RequestEncodingType.URL_ENCODED
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
class Visit:
    """One request of the popup: the browser, and what handlers work with."""

    request: HubRequest
    page: Page
    db: Database
    hosted: Hosted

    @property
    def browser_token(self) -> str:
        """The secret that binds runs to this browser, empty when it has none."""
        return self.hosted.jar.read(self.request.cookies, COOKIE)

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


async def open_run(visit: Visit, run_id: UUID) -> View | Response[Any]:
    try:
        async with visit.db.system() as unit:
            run = await queries.get_run(unit, run_id=run_id, browser_token=visit.browser_token)
            partner = await partner_queries.get_partner(unit, partner_id=run.partner_id)
    except RunUnknown as error:
        return stopped(visit, error)
    frame = replace(visit.page.frame, partner_brand=Brand(name=partner.brand_name, logo_url=partner.logo_url))
    # The link may wish for a language; what the person chose here goes before it.
    wished = find_language(run.parameter("locale"))
    if wished and LANGUAGE_COOKIE not in visit.request.cookies:
        frame = replace(frame, language=wished)
    return View(run, partner, replace(visit.page, frame=frame), visit)


async def numbers_of(view: View) -> list[KnownNumber]:
    """Return the numbers that this run brought or chose."""
    async with view.visit.db.system() as unit:
        known = await queries.list_known_numbers(unit, client_id=view.run.client_id or "")
    return [number for number in known if number.channel_id in view.run.channel_ids]


def kept_problem(view: View) -> Problem | None:
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


def stopped(visit: Visit, error: HubError) -> Response[Any]:
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


def to_run(run_id: UUID, query: str = "") -> Response[Any]:
    return Redirect(f"/onboarding/run/{run_id}{query}", status_code=303)
