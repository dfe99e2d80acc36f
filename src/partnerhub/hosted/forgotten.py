"""A forgotten password, inside the popup: ask for a link, set a new password by it, go on with the sign-up.

The mail is often read elsewhere: in another tab, which has no opener, or in another browser, which has no
run. So the last page leads back to the window in which the client began.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import Body, FromPath, FromQuery
from litestar.response import Redirect

from partnerhub.hosted.view import PUBLIC, FormBody, Visit, open_run
from partnerhub.identity import services as identity
from partnerhub.identity.errors import LinkExpired, PasswordWeak
from partnerhub.identity.passwords import Passwords
from partnerhub.identity.schemas import Hub, User
from partnerhub.identity.services.resets import RESET_LIFE
from partnerhub.kit.errors import TooMany
from partnerhub.web.cookies import RESET, RESET_LENGTH, cookies_of
from partnerhub.web.hubs import HUBS

# Whoever has the mail may set the password, also in a browser that has no run.
_BY_LINK = {"public": True, "form_cookies": (RESET,)}


@dataclass(frozen=True)
class ForgottenForm:
    """Whose password is forgotten."""

    email: str = ""


@dataclass(frozen=True)
class NewPasswordForm:
    """The password from now on."""

    password: str = ""


@get("/onboarding/run/{run_id:uuid}/forgot-password", opt=PUBLIC)
async def show_forgotten(run_id: FromPath[UUID], visit: NamedDependency[Visit]) -> Response[Any]:
    """Ask for the e-mail."""
    view = await open_run(visit, run_id)
    if isinstance(view, Response):
        return view
    return view.show("hosted/forgot_password.html", values={"sent_to": "", "error": ""})


@post("/onboarding/run/{run_id:uuid}/forgot-password", opt=PUBLIC, status_code=200)
async def ask_for_link(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    public_url: NamedDependency[str],
    data: Annotated[ForgottenForm, Body(media_type=FormBody)],
) -> Response[Any]:
    """Say that a mail comes if the account exists, whether it does or not."""
    view = await open_run(visit, run_id)
    if isinstance(view, Response):
        return view
    try:
        await identity.request_password_reset(
            visit.db,
            email=data.email,
            ip=visit.ip,
            link_base=f"{public_url}/onboarding/run/{run_id}/reset-password",
        )
    except TooMany as error:
        return view.show(
            "hosted/forgot_password.html",
            status=error.status,
            headers={"retry-after": str(error.retry_after_seconds)},
            values={"sent_to": "", "error": view.page.explain(error)},
        )
    return view.show("hosted/forgot_password.html", values={"sent_to": data.email.strip(), "error": ""})


@get("/onboarding/run/{run_id:uuid}/reset-password", opt=_BY_LINK)
async def show_reset(
    run_id: FromPath[UUID], visit: NamedDependency[Visit], token: FromQuery[str] = ""
) -> Response[Any]:
    """Take the token out of the address, then show the form for the new password."""
    jar = visit.hosted.jar
    if token:
        # Kept out of history, logs and Referer from here on.
        cookie = jar.make(RESET, token[:RESET_LENGTH], seconds=int(RESET_LIFE.total_seconds()))
        return Redirect(
            f"/onboarding/run/{run_id}/reset-password",
            status_code=303,
            headers={"cache-control": "no-store", "referrer-policy": "no-referrer"},
            cookies=[cookie],
        )
    try:
        user = await identity.check_reset_link(
            visit.db, link_token=jar.read(cookies_of(visit.request.scope), RESET)
        )
    except LinkExpired as error:
        return _expired(visit, run_id, error)
    return _reset_page(visit, run_id, user=user)


@post("/onboarding/run/{run_id:uuid}/reset-password", opt=_BY_LINK, status_code=200)
async def reset_password(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    passwords: NamedDependency[Passwords],
    public_url: NamedDependency[str],
    data: Annotated[NewPasswordForm, Body(media_type=FormBody)],
) -> Response[Any]:
    """Set the password and lead back to the sign-up."""
    jar = visit.hosted.jar
    link_token = jar.read(cookies_of(visit.request.scope), RESET)
    try:
        await identity.reset_password(
            visit.db,
            link_token=link_token,
            password=data.password,
            ip=visit.ip,
            user_agent=visit.user_agent,
            link_base=public_url + HUBS[Hub.CLIENT].forgot_password,
            passwords=passwords,
        )
    except LinkExpired as error:
        return _expired(visit, run_id, error)
    except PasswordWeak as error:
        user = await identity.check_reset_link(visit.db, link_token=link_token)
        return _reset_page(visit, run_id, user=user, status=422, error=visit.page.explain(error))
    is_here = not isinstance(await open_run(visit, run_id), Response)
    return _reset_page(visit, run_id, is_set=True, is_here=is_here, cookies=[jar.cleared(RESET)])


def _expired(visit: Visit, run_id: UUID, error: LinkExpired) -> Response[Any]:
    return _reset_page(visit, run_id, status=error.status, expired=visit.page.explain(error))


def _reset_page(
    visit: Visit,
    run_id: UUID,
    *,
    status: int = 200,
    user: User | None = None,
    error: str = "",
    expired: str = "",
    is_set: bool = False,
    is_here: bool = False,
    cookies: list[Cookie] | None = None,
) -> Response[Any]:
    return visit.page.show(
        "hosted/reset_password.html",
        status=status,
        keeps_opener=True,
        cookies=cookies or (),
        run_address=f"/onboarding/run/{run_id}",
        user=user,
        error=error,
        expired=expired,
        is_set=is_set,
        is_here=is_here,
    )
