"""The pages of the onboarding popup.

Three families of links lead in; all become one run with an address of its own, so that nothing of the link
stays in the browser's history. Every page keeps `window.opener`, names Meta's origins and no others, and the
end is a navigation to the partner's page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from litestar import Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery
from litestar.static_files import create_static_files_router

from partnerhub.hosted.account import show_account, sign_in, sign_up
from partnerhub.hosted.connecting import (
    cancelled,
    complete,
    connect_again,
    register,
    show_connect,
    show_register,
    take_known,
)
from partnerhub.hosted.entry import enter, leave
from partnerhub.hosted.forgotten import ask_for_link, reset_password, show_forgotten, show_reset
from partnerhub.hosted.language import change_language
from partnerhub.hosted.permissions import choose_permissions, decide_permissions, show_permission
from partnerhub.hosted.prices import accept_prices, show_prices
from partnerhub.hosted.view import (
    PUBLIC,
    STATIC_PATH,
    WITHOUT_FORMS,
    Hosted,
    Visit,
    kept_problem,
    numbers_of,
    open_run,
    provide_visit,
    to_run,
)
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.errors import StepWrong
from partnerhub.onboarding.schemas import Step

__all__ = ["Hosted", "router"]


@get("/onboarding/run/{run_id:uuid}", opt=PUBLIC)
async def show_run(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    mode: FromQuery[str] = "",
    pin: FromQuery[str] = "",
    market: FromQuery[str] = "",
) -> Response[Any]:
    """Show the step at which the run stands; back button and reload end here, too.

    `pin=refused` says that Meta did not take the PIN that was just entered; `market` names the one whose
    prices are looked at.
    """
    view = await open_run(visit, run_id)
    if isinstance(view, Response):
        return view
    match view.run.step:
        case Step.ACCOUNT:
            wanted = mode or ("sign_in" if view.run.parameters.get("shows_login") else "sign_up")
            return show_account(view, sign_in=wanted == "sign_in")
        case Step.PRICES:
            return await show_prices(view, market=market)
        case Step.CONNECT:
            return await show_connect(view, kept_problem(view))
        case Step.REGISTER:
            return await show_register(view, kept_problem(view), is_pin_refused=pin == "refused")
        case Step.PERMISSION:
            return await show_permission(view)
        case Step.DONE:
            return view.show(
                "hosted/done.html",
                values={
                    "go_on": f"/onboarding/run/{run_id}/finish" if view.run.redirect_url else "",
                    "connect_script": f"{STATIC_PATH}/connect.js",
                    "numbers": await numbers_of(view),
                },
            )


@get("/onboarding/run/{run_id:uuid}/finish", opt=PUBLIC)
async def finish(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
) -> Response[Any]:
    """Navigate the popup to the partner's page."""
    view = await open_run(visit, run_id)
    if isinstance(view, Response):
        return view
    try:
        target = onboarding.finish_run(view.run)
    except StepWrong:
        target = None
    if target is None:
        return to_run(run_id)
    # The target is written as it is: encoding its brackets would break clients that cut them by position.
    return Response(
        b"",
        status_code=303,
        headers={"location": target, "cache-control": "no-store", "referrer-policy": "no-referrer"},
    )


async def back_to_run(run_id: FromPath[UUID]) -> Response[Any]:
    """Lead to the run: the address of a form that came back stays in the bar, and has no page of its own."""
    return to_run(run_id)


def router() -> Router:
    """Return the routes of the popup."""
    forms = [
        sign_up,
        sign_in,
        leave,
        change_language,
        complete,
        register,
        cancelled,
        take_known,
        connect_again,
        accept_prices,
        choose_permissions,
        decide_permissions,
    ]
    addresses = sorted(path for form in forms for path in form.paths)
    files = create_static_files_router(
        path=STATIC_PATH, directories=[Path(__file__).parent / "static"], opt={**WITHOUT_FORMS}
    )
    return Router(
        "/",
        route_handlers=[
            enter,
            show_run,
            finish,
            show_forgotten,
            ask_for_link,
            show_reset,
            reset_password,
            *forms,
            get(addresses, opt=PUBLIC)(back_to_run),
            files,
        ],
        dependencies={"visit": Provide(provide_visit)},
    )
