"""Single settings: the Solution ID, defaults of new numbers, the overlap of secrets, and two switches.

What makes the partner safer (legacy tokens off, IO Signature on) is one press; the other way is behind a
code, in `confirmations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Response, post
from litestar.di import NamedDependency
from msgspec import UNSET

from partnerhub.dashboard.forms import Form, written
from partnerhub.dashboard.integration.page import PATH, Desk, Draft
from partnerhub.identity.schemas import Hub
from partnerhub.partners.errors import SecretMissing
from partnerhub.partners.schemas import SettingsChange
from partnerhub.ui.frame import Toast
from partnerhub.web.guards import requires
from partnerhub.web.navigation import N_

_OWNER = [requires(hub=Hub.PARTNER, owner=True)]


@dataclass(frozen=True)
class SolutionForm:
    """Meta's id of the partner's solution; empty clears it."""

    solution_id: str = ""
    seen_solution_id: str | None = None


@dataclass(frozen=True)
class DefaultsForm:
    """Where new numbers keep their data, and how marketing goes out; a switch that is off sends nothing."""

    data_localization_region: str = ""
    mm_api_routing_enabled: str = ""
    seen_data_localization_region: str | None = None
    seen_mm_api_routing_enabled: str | None = None


@dataclass(frozen=True)
class OverlapForm:
    """How many hours an earlier secret signs beside a new one."""

    secret_overlap_hours: str = ""
    seen_secret_overlap_hours: str | None = None


@post(PATH + "/solution", status_code=303, guards=_OWNER)
async def save_solution(desk: NamedDependency[Desk], data: Form[SolutionForm]) -> Response[Any]:
    """Save the Solution ID."""
    return await desk.save(
        SettingsChange(solution_id=data.solution_id.strip() or None),
        seen=SettingsChange(
            solution_id=UNSET if data.seen_solution_id is None else data.seen_solution_id or None
        ),
        values=written(data),
        title=N_("Saved"),
    )


@post(PATH + "/defaults", status_code=303, guards=_OWNER)
async def save_defaults(desk: NamedDependency[Desk], data: Form[DefaultsForm]) -> Response[Any]:
    """Save what holds for numbers registered from now on."""
    region, routing = data.seen_data_localization_region, data.seen_mm_api_routing_enabled
    return await desk.save(
        SettingsChange(
            data_localization_region=data.data_localization_region,
            mm_api_routing_enabled=bool(data.mm_api_routing_enabled),
        ),
        seen=SettingsChange(
            data_localization_region=UNSET if region is None else region,
            mm_api_routing_enabled=UNSET if routing is None else bool(routing),
        ),
        values=written(data),
        title=N_("Saved"),
    )


@post(PATH + "/overlap", status_code=303, guards=_OWNER)
async def save_overlap(desk: NamedDependency[Desk], data: Form[OverlapForm]) -> Response[Any]:
    """Save for how long an earlier secret signs beside the next one."""
    hours, seen = _hours(data.secret_overlap_hours), _hours(data.seen_secret_overlap_hours or "")
    if hours is None:
        reason = desk.page.say(N_("The overlap is 0 to 720 hours."))
        draft = Draft(written(data), {"secret_overlap_hours": reason})
        return desk.show(await desk.read(), draft=draft, status=422)
    return await desk.save(
        SettingsChange(secret_overlap_hours=hours),
        seen=SettingsChange(secret_overlap_hours=UNSET if seen is None else seen),
        values=written(data),
        title=N_("Saved"),
    )


def _hours(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else None


@post(PATH + "/legacy-tokens/off", status_code=303, guards=_OWNER)
async def turn_legacy_tokens_off(desk: NamedDependency[Desk]) -> Response[Any]:
    """Refuse legacy tokens from now on, those that were given out included."""
    change = SettingsChange(legacy_token_auth_enabled=False)
    return await desk.save(change, values={}, title=N_("Legacy tokens are off"))


@post(PATH + "/io-signature/on", status_code=303, guards=_OWNER)
async def turn_io_signature_on(desk: NamedDependency[Desk]) -> Response[Any]:
    """Demand a signature on every onboarding link from now on."""
    try:
        await desk.change(SettingsChange(io_signature_enabled=True))
    except SecretMissing as error:
        return desk.page.go(PATH, toast=desk.page.toast(error, desk.page.say(N_("Nothing was changed"))))
    title = desk.page.say(N_("IO Signature is on"))
    text = desk.page.say(N_("Links without a valid signature are stopped from now on."))
    return desk.page.go(PATH, toast=Toast(title=title, text=text))
