"""What the partner may use: the page on which a client gives and takes permissions, and its forms."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from partnerhub.hosted.view import PUBLIC, Problem, View, Visit, open_run, stopped, to_run
from partnerhub.kit.errors import HubError
from partnerhub.onboarding import queries
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.errors import StepWrong
from partnerhub.web.navigation import N_


@post("/onboarding/run/{run_id:uuid}/permissions", opt=PUBLIC, status_code=303)
async def choose_permissions(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
) -> Response[Any]:
    """Turn to what is shared of the numbers that the client has."""
    try:
        await onboarding.choose_permissions(
            visit.db, run_id=run_id, browser_token=visit.browser_token, rules=visit.hosted.rules
        )
    except StepWrong:
        pass
    except HubError as error:
        return await stopped(visit, error)
    return to_run(run_id)


@post("/onboarding/run/{run_id:uuid}/permission", opt=PUBLIC, status_code=303)
async def decide_permissions(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
) -> Response[Any]:
    """Take the client's decision and end the run."""
    view = await open_run(visit, run_id)
    if isinstance(view, Response):
        return view
    form = await visit.request.form()
    try:
        await onboarding.decide_permissions(
            visit.db,
            run_id=run_id,
            browser_token=visit.browser_token,
            shown=_ids(form.getall("shown", [])),
            shared=_ids(form.getall("shared", [])),
            rules=visit.hosted.rules,
            ip=visit.ip,
            user_agent=visit.user_agent,
        )
    except StepWrong:
        pass
    except HubError as error:
        return await show_permission(view, error)
    return to_run(run_id)


async def show_permission(view: View, error: HubError | None = None) -> Response[Any]:
    """Show the numbers that this run is about, as they are now."""
    async with view.visit.db.system() as unit:
        numbers = await queries.list_sharable(unit, run=view.run, partner=view.partner, rules=view.rules)
    problem = (
        Problem(view.page.say(N_("That did not work")), view.page.explain(error), error.code)
        if error
        else None
    )
    return view.show(
        "hosted/permission.html",
        status=error.status if error else 200,
        values={"numbers": numbers, "is_new": bool(view.run.channel_ids), "problem": problem},
    )


def _ids(values: list[Any]) -> list[str]:  # Any: a form may carry files
    return [value for value in values if isinstance(value, str)]
