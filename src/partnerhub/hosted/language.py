"""Another language in the middle of the first form: what was typed stays, the password aside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import Body, FromPath

from partnerhub.hosted.account import AccountForm, show_account
from partnerhub.hosted.view import PUBLIC, FormBody, Visit, open_run, to_run
from partnerhub.onboarding.schemas import Step
from partnerhub.ui.languages import find_language
from partnerhub.ui.preferences import language_cookie


@dataclass(frozen=True)
class LanguageForm:
    """The chosen language, and what the form of the account holds so far."""

    language: str = ""
    mode: str = ""
    is_signed_in: str = ""
    company: str = ""
    person: str = ""
    email: str = ""
    accepts_terms: str = ""


@post("/onboarding/run/{run_id:uuid}/language", opt=PUBLIC, status_code=303)
async def change_language(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    data: Annotated[LanguageForm, Body(media_type=FormBody)],
) -> Response[Any]:
    """Show the form of the account in another language."""
    view = await open_run(visit, run_id)
    if isinstance(view, Response):
        return view
    language = find_language(data.language)
    if language is None:
        return to_run(run_id)
    if view.run.step is Step.ACCOUNT:
        page = replace(view.page, frame=replace(view.page.frame, language=language))
        form = AccountForm(
            is_signed_in=data.is_signed_in,
            company=data.company,
            person=data.person,
            email=data.email,
            accepts_terms=data.accepts_terms,
        )
        answer = show_account(replace(view, page=page), sign_in=data.mode == "sign_in", form=form)
    else:
        answer = to_run(run_id)
    answer.set_cookie(language_cookie(language))
    return answer
