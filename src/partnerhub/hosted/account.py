"""Who the client is: the forms that sign up and sign in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import Body, FromPath

from partnerhub.hosted.view import (
    PUBLIC,
    FormBody,
    Problem,
    View,
    Visit,
    open_run,
    to_run,
)
from partnerhub.identity.errors import (
    EmailInvalid,
    PasswordWeak,
    SignInLimited,
    SignInRefused,
)
from partnerhub.identity.passwords import Passwords
from partnerhub.kit.errors import HubError
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.errors import (
    AccountExists,
    StepWrong,
)
from partnerhub.web.navigation import N_


@dataclass(frozen=True)
class AccountForm:
    """Who signs up; `is_signed_in` sends the company alone, for the person that the run knows already."""

    is_signed_in: str = ""
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


@post("/onboarding/run/{run_id:uuid}/account", opt=PUBLIC, status_code=303)
async def sign_up(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    passwords: NamedDependency[Passwords],
    data: Annotated[AccountForm, Body(media_type=FormBody)],
) -> Response[Any]:
    """Make the account; a wrong field comes back with its reason."""
    view = await open_run(visit, run_id)
    if isinstance(view, Response):
        return view
    if data.is_signed_in:
        return await _add_client(view, data)
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
            rules=visit.hosted.rules,
        )
    except StepWrong:
        pass
    except HubError as error:
        return show_account(view, sign_in=False, form=data, error=error)
    return to_run(run_id)


async def _add_client(view: View, form: AccountForm) -> Response[Any]:
    visit = view.visit
    try:
        await onboarding.add_client(
            visit.db,
            run_id=view.run.id,
            browser_token=visit.browser_token,
            company=form.company,
            accepts_terms=bool(form.accepts_terms),
            ip=visit.ip,
            user_agent=visit.user_agent,
            rules=visit.hosted.rules,
        )
    except StepWrong:
        pass
    except HubError as error:
        return show_account(view, sign_in=False, form=form, error=error)
    return to_run(view.run.id)


@post("/onboarding/run/{run_id:uuid}/sign-in", opt=PUBLIC, status_code=303)
async def sign_in(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    passwords: NamedDependency[Passwords],
    data: Annotated[SignInForm, Body(media_type=FormBody)],
) -> Response[Any]:
    """Let an existing account in."""
    view = await open_run(visit, run_id)
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
            rules=visit.hosted.rules,
        )
    except StepWrong:
        pass
    except HubError as error:
        return show_account(view, sign_in=True, form=AccountForm(email=data.email), error=error)
    return to_run(run_id)


def show_account(
    view: View, *, sign_in: bool, form: AccountForm | None = None, error: HubError | None = None
) -> Response[Any]:
    """Show one of the forms: sign-up, sign-in, or the company of a person who has signed in."""
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
            errors |= view.page.wrong(error)
        case _:
            problem = Problem(say(N_("That did not work")), view.page.explain(error), error.code)
    return view.show(
        "hosted/account.html",
        status=_status_of_form(error),
        values={
            "mode": _mode(view, form, sign_in=sign_in or isinstance(error, AccountExists)),
            "values": values,
            "errors": errors,
            "problem": problem,
        },
    )


def _mode(view: View, form: AccountForm | None, *, sign_in: bool) -> str:
    # Whoever signed in may still ask for another form by its address.
    is_known = view.run.user_id is not None and "mode" not in view.visit.request.query_params
    if form.is_signed_in if form else is_known:
        return "company"
    return "sign_in" if sign_in else "sign_up"


def _status_of_form(error: HubError | None) -> int:
    """Return the status of a form that comes back: 422 where a field is wrong, else the error's own."""
    if error is None:
        return 200
    return 422 if error.status == 400 else error.status
