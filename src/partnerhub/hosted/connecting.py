"""From Meta's window to a registered number, and the numbers that a client has already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import Body, FromPath

from partnerhub.channels import queries as channels
from partnerhub.hosted.view import (
    PUBLIC,
    STATIC_PATH,
    FormBody,
    Problem,
    View,
    Visit,
    numbers_of,
    open_run,
    stopped,
    to_run,
)
from partnerhub.kit.errors import HubError
from partnerhub.onboarding import queries
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.errors import (
    ClientMayNotAdd,
    PinNeeded,
    StepWrong,
)
from partnerhub.onboarding.rules import has_choice
from partnerhub.onboarding.schemas import SignupResult
from partnerhub.web.navigation import N_


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
class RegisterForm:
    """The number's two-step verification PIN, and which number where the run has none yet."""

    pin: str = ""
    number: str = ""


@post("/onboarding/run/{run_id:uuid}/signup", opt=PUBLIC, status_code=303)
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


@post("/onboarding/run/{run_id:uuid}/register", opt=PUBLIC, status_code=303)
async def register(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    data: Annotated[RegisterForm, Body(media_type=FormBody)],
) -> Response[Any]:
    """Take up a registration that stopped, with the PIN where it was asked for."""
    digits = "".join(character for character in data.pin if character in "0123456789")
    return await _carry_on(visit, run_id, channel_id=data.number, pin=digits)


@post("/onboarding/run/{run_id:uuid}/cancelled", opt=PUBLIC, status_code=200)
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


@post("/onboarding/run/{run_id:uuid}/known", opt=PUBLIC, status_code=303)
async def take_known(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
) -> Response[Any]:
    """Go back to the partner with the numbers that are shared already."""
    try:
        await onboarding.choose_known_numbers(visit.db, run_id=run_id, browser_token=visit.browser_token)
    except StepWrong:
        return to_run(run_id)
    except HubError as error:
        return await stopped(visit, error)
    return to_run(run_id)


@post("/onboarding/run/{run_id:uuid}/again", opt=PUBLIC, status_code=303)
async def connect_again(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
) -> Response[Any]:
    """Go back to the connection, or from the permissions on to it."""
    try:
        await onboarding.go_back_to_connect(
            visit.db, run_id=run_id, browser_token=visit.browser_token, rules=visit.hosted.rules
        )
    except StepWrong:
        return to_run(run_id)
    except HubError as error:
        return await stopped(visit, error)
    return to_run(run_id)


async def _carry_on(
    visit: Visit, run_id: UUID, *, result: SignupResult | None = None, channel_id: str = "", pin: str = ""
) -> Response[Any]:
    view = await open_run(visit, run_id)
    if isinstance(view, Response):
        return view
    # Whatever comes of it, the run keeps it and its own page shows it, so that a reload sends nothing twice.
    try:
        await onboarding.complete_signup(
            visit.hosted.connector,
            run_id=run_id,
            browser_token=visit.browser_token,
            result=result,
            channel_id=channel_id,
            pin=pin,
            ip=visit.ip,
            user_agent=visit.user_agent,
        )
    except PinNeeded as error:
        # Without fields it was our own PIN that Meta did not take.
        return to_run(run_id, "?pin=refused" if error.fields else "")
    except HubError:
        pass
    return to_run(run_id)


def _show_working(view: View) -> Response[Any]:
    """Show that Meta is at it; the page looks by itself until the run stands elsewhere."""
    return view.show("hosted/working.html", values={"connect_script": f"{STATIC_PATH}/connect.js"})


async def show_connect(view: View, problem: Problem | None) -> Response[Any]:
    """Show the page that opens Meta's window, or that this client may add no number here."""
    if view.run.is_working:
        return _show_working(view)
    run, hosted, client_id = view.run, view.visit.hosted, view.run.client_id or ""
    refused = None
    async with view.visit.db.system() as unit:
        client = await channels.get_client(unit, partner_id=run.partner_id, client_id=client_id)
        known = await queries.list_known_numbers(unit, client_id=client_id, number=run.parameter("number"))
        try:
            await onboarding.check_may_add(unit, partner=view.partner, client_id=client_id)
        except ClientMayNotAdd as error:
            refused = error
            known = await queries.list_known_numbers(unit, client_id=client_id)
    if refused is not None:
        return view.show(
            "hosted/may_not_add.html",
            failed=True,
            status=refused.status,
            headers={"x-error-code": refused.code},
            values={
                "known": known,
                "has_choice": has_choice(view.partner, known, view.rules),
                "text": view.page.explain(refused),
                "code": refused.code,
            },
        )
    # What the client wrote of itself here; the link's words only filled that form.
    setup: dict[str, Any] = {  # Any: Meta's own nested shape
        "business": {
            "name": client.organisation or client.name,
            "email": client.contact_info.get("email", ""),
        }
    }
    if preverified := run.parameter("preverified_phone_number_id"):
        setup["preVerifiedPhone"] = {"ids": [preverified]}
    if view.partner.solution_id:
        setup["solutionID"] = view.partner.solution_id
    return view.show(
        "hosted/connect.html",
        failed=problem is not None and problem.tone == "bad",
        content_policy=hosted.connecting_policy(images=view.images),
        values={
            "connect_script": f"{STATIC_PATH}/connect.js",
            "known": known,
            "has_choice": has_choice(view.partner, known, view.rules),
            "asked_for": "" if known else run.parameter("number"),
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


async def show_register(view: View, problem: Problem | None, *, is_pin_refused: bool) -> Response[Any]:
    """Show where the registration stopped and what is needed, or that it goes on at this moment."""
    if view.run.is_working:
        return _show_working(view)
    needs_pin = view.run.error_code == PinNeeded.code
    refused = N_("Meta did not take this PIN. After a few wrong ones it locks the number for a while.")
    return view.show(
        "hosted/register.html",
        failed=problem is not None and not needs_pin,
        values={
            # That a PIN is asked for is no accident: the page itself says so.
            "problem": None if needs_pin else problem,
            "needs_pin": needs_pin,
            "errors": {"pin": view.page.say(refused) if needs_pin and is_pin_refused else ""},
            "numbers": await numbers_of(view),
        },
    )
