"""What an owner confirms by a one-time code on the Integration page: the platform secret, weaker settings.

Three steps, the same for every action, inside a dialog or (without script) as pages: what will happen, the
code from the mail, what came of it. A secret is shown in the answer alone; no address leads to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from partnerhub.dashboard.forms import Form
from partnerhub.dashboard.integration.page import PATH
from partnerhub.identity.errors import CodeExpired, CodeLimited, CodeWrong
from partnerhub.identity.schemas import CodePurpose, Hub
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.errors import HubError, NotFound
from partnerhub.partners.schemas import SettingsChange
from partnerhub.partners.services import (
    check_secret_replaceable,
    generate_platform_secret,
    reveal_platform_secret,
    update_settings,
)
from partnerhub.ui.frame import Toast
from partnerhub.web.errors import CodeNeeded
from partnerhub.web.guards import requires
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.principal import HubRequest, SignedInUser
from partnerhub.web.step_up import send_code, step_up
from partnerhub.web.tenant import Tenant

CONFIRM = PATH + "/confirm/{action:str}"


class ActionUnknown(NotFound):
    """There is nothing by this name to confirm."""

    code = "action_not_found"


@dataclass(frozen=True)
class CodeForm:
    """The code from the mail."""

    code: str = ""


@dataclass(frozen=True)
class Action:
    """One thing to confirm, in words marked for translation; `perform` returns a secret or nothing.

    `done` is what is told when there is no secret to show; `check` refuses, before a code is mailed or spent,
    what could not be performed.
    """

    name: str
    purpose: CodePurpose
    title: str
    text: str
    button: str
    perform: Callable[[Unit, Tenant, Keyring], Awaitable[str]]
    done: str = ""
    check: Callable[[Unit, str], Awaitable[None]] | None = None


async def _may_generate(unit: Unit, partner_id: str) -> None:
    await check_secret_replaceable(unit, partner_id=partner_id)


async def _generate(unit: Unit, tenant: Tenant, keyring: Keyring) -> str:
    return await generate_platform_secret(
        unit, partner_id=tenant.partner_id, actor=tenant.actor, keyring=keyring
    )


async def _view(unit: Unit, tenant: Tenant, keyring: Keyring) -> str:
    return await reveal_platform_secret(
        unit, partner_id=tenant.partner_id, actor=tenant.actor, keyring=keyring
    )


def _change(change: SettingsChange) -> Callable[[Unit, Tenant, Keyring], Awaitable[str]]:
    async def perform(unit: Unit, tenant: Tenant, keyring: Keyring) -> str:
        await update_settings(
            unit, partner_id=tenant.partner_id, change=change, actor=tenant.actor, keyring=keyring
        )
        return ""

    return perform


ACTIONS: Mapping[str, Action] = {
    action.name: action
    for action in (
        Action(
            name="generate-secret",
            purpose=CodePurpose.GENERATE_SECRET,
            title=N_("Generate a platform secret"),
            text=N_(
                "Every event to your webhook is signed with it from now on. A secret that you had signs"
                " beside it, in a second header, for as long as you set the overlap."
            ),
            button=N_("Generate platform secret"),
            perform=_generate,
            check=_may_generate,
        ),
        Action(
            name="view-secret",
            purpose=CodePurpose.VIEW_SECRET,
            title=N_("View the platform secret"),
            text=N_("It is shown to you once more. The audit log notes who looked."),
            button=N_("View secret"),
            perform=_view,
        ),
        Action(
            name="io-signature-off",
            purpose=CodePurpose.IO_SIGNATURE_OFF,
            title=N_("Turn IO Signature off"),
            text=N_("Anybody with your connect link can then start to connect a number, signed or not."),
            button=N_("Turn off"),
            perform=_change(SettingsChange(io_signature_enabled=False)),
            done=N_("IO Signature is off"),
        ),
        Action(
            name="legacy-tokens-on",
            purpose=CodePurpose.LEGACY_TOKENS_ON,
            title=N_("Turn legacy tokens on"),
            text=N_(
                "Whoever has an e-mail and password of this partner can then call the Partner API with them."
            ),
            button=N_("Turn on"),
            perform=_change(SettingsChange(legacy_token_auth_enabled=True)),
            done=N_("Legacy tokens are on"),
        ),
    )
}


@get(CONFIRM)
async def ask(
    action: FromPath[str],
    request: HubRequest,
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
) -> Response[Any]:
    """Say what will happen, and offer to mail the code."""
    found = _find(action)
    if failure := await _hindrance(tenant, found):
        return _step(request, page, found, step="failed", failure=failure, status=failure.status)
    return _step(request, page, found, step="ask")


@post(CONFIRM + "/code", status_code=200)
async def mail_code(
    *,
    action: FromPath[str],
    request: HubRequest,
    page: NamedDependency[Page],
    db: NamedDependency[Database],
    tenant: NamedDependency[Tenant],
    again: FromQuery[bool] = False,
) -> Response[Any]:
    """Mail a code and show the field for it; `again` where one was mailed before."""
    found = _find(action)
    if failure := await _hindrance(tenant, found):
        return _step(request, page, found, step="failed", failure=failure, status=failure.status)
    try:
        await send_code(db, request.user, purpose=found.purpose, language=page.frame.language)
    except CodeLimited as error:
        # The last code may still work.
        return _step(request, page, found, step="code", notice=page.explain(error), status=error.status)
    return _step(request, page, found, step="code", is_new=again)


@post(CONFIRM, status_code=200)
async def confirm(
    *,
    action: FromPath[str],
    request: HubRequest,
    page: NamedDependency[Page],
    db: NamedDependency[Database],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
    data: Form[CodeForm],
) -> Response[Any]:
    """Check the code, act, and show what came of it."""
    found = _find(action)
    if failure := await _hindrance(tenant, found):
        return _step(request, page, found, step="failed", failure=failure, status=failure.status)
    try:
        await step_up(db, request.user, purpose=found.purpose, code=data.code)
    except (CodeNeeded, CodeWrong, CodeExpired) as error:
        return _step(request, page, found, step="code", error=page.explain(error), status=422)
    try:
        async with tenant.unit() as unit:
            secret = await found.perform(unit, tenant, keyring)
    except HubError as error:
        return _step(request, page, found, step="failed", failure=error, status=error.status)
    if secret:
        return _step(request, page, found, step="secret", secret=secret)
    return page.go(PATH, toast=Toast(title=page.say(found.done)))


def _find(name: str) -> Action:
    if name not in ACTIONS:
        raise ActionUnknown("There is nothing by this name to confirm.")
    return ACTIONS[name]


async def _hindrance(tenant: Tenant, action: Action) -> HubError | None:
    """Return why the action could not be performed now, code or no code."""
    if action.check is None:
        return None
    try:
        async with tenant.unit() as unit:
            await action.check(unit, tenant.partner_id)
    except HubError as error:
        return error
    return None


def _step(
    request: HubRequest,
    page: Page,
    action: Action,
    *,
    step: str,
    status: int = 200,
    error: str = "",
    notice: str = "",
    is_new: bool = False,
    secret: str = "",
    failure: HubError | None = None,
) -> Response[Any]:
    person = request.user
    return page.show(
        "dashboard/confirm.html",
        part="dashboard/confirm_part.html",
        status=status,
        headers={"cache-control": "no-store"},
        action=action,
        title=page.say(action.title),
        text=page.say(action.text),
        button=page.say(action.button),
        step=step,
        email=person.session.email if isinstance(person, SignedInUser) else "",
        error=error,
        notice=notice,
        is_new=is_new,
        secret=secret,
        failure=None if failure is None else page.explain(failure),
        failure_code="" if failure is None else failure.code,
        back=PATH,
    )


def router() -> Router:
    """Return the routes of these steps; they are for owners."""
    return Router(
        "/",
        route_handlers=[ask, mail_code, confirm],
        guards=[requires(hub=Hub.PARTNER, owner=True)],
        opt={"hub": Hub.PARTNER},
    )
