"""Changing a partner's settings: one call for pages and APIs, every problem named at once, audited."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from msgspec import UNSET, structs
from psycopg import sql

from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Unit
from partnerhub.kit.errors import Problem
from partnerhub.partners.errors import SecretMissing, SettingsInvalid, SettingsOutdated
from partnerhub.partners.queries import get_settings
from partnerhub.partners.schemas import DATA_REGIONS, NO_SETTINGS, PartnerSettings, SettingsChange
from partnerhub.partners.services.partners import brand_name_problem
from partnerhub.webhooks import queries as webhook_queries
from partnerhub.webhooks import services as webhooks
from partnerhub.webhooks.schemas import OwnerKind
from partnerhub.webhooks.urls import find_header_problems, find_problems

# Settings that are columns of the partner's row; the webhook is `webhooks`' to keep.
_COLUMNS = (
    "brand_name",
    "logo_url",
    "redirect_url",
    "redirect_origins",
    "solution_id",
    "default_hosting_type",
    "data_localization_region",
    "legacy_token_auth_enabled",
    "mm_api_routing_enabled",
    "io_signature_enabled",
    "secret_overlap_hours",
    "allow_client_to_add_phone_no",
    "auto_approve_partner_change",
)

_MOST_ORIGINS = 20


def guarded_changes(settings: PartnerSettings, change: SettingsChange) -> frozenset[str]:
    """Return the changed settings that a page guards by a one-time code and a key needs `security` for."""
    partner = settings.partner
    guarded = set()
    if change.io_signature_enabled is False and partner.io_signature_enabled:
        guarded.add("io_signature_enabled")
    if change.legacy_token_auth_enabled is True and not partner.legacy_token_auth_enabled:
        guarded.add("legacy_token_auth_enabled")
    return frozenset(guarded)


async def update_settings(
    unit: Unit,
    *,
    partner_id: str,
    change: SettingsChange,
    actor: Actor,
    keyring: Keyring,
    seen: SettingsChange = NO_SETTINGS,
    allow_loopback: bool = False,
) -> PartnerSettings:
    """Change what `change` names and return the settings as they are then.

    `seen` is what a person had before their eyes when they wrote. Where a setting is different by now, what
    they left as it was is not written, so that a form that was open for long reverts nothing, and what they
    changed is refused. A new webhook or redirect URL overwrites the one before; the audit log keeps the
    history. Gateways hear of a change of routing by NOTIFY `routes` with the partner's id. `allow_loopback`
    is for development.
    Raises: SettingsInvalid, with a reason per setting; SettingsOutdated, naming each setting; SecretMissing,
    for IO Signature without a secret.
    """
    before = await get_settings(unit, partner_id=partner_id, keyring=keyring, for_update=True)
    if isinstance(change.brand_name, str):
        change = structs.replace(change, brand_name=change.brand_name.strip())
    change = _meant(before, change, seen)
    _check(before, change, allow_loopback=allow_loopback)
    if change.io_signature_enabled is True and not before.has_platform_secret:
        raise SecretMissing("Generate a platform secret before you turn IO Signature on.")
    wanted = {
        name: value
        for name in _COLUMNS
        if (value := getattr(change, name)) is not UNSET and value != _saved(before, name)
    }
    if wanted:
        assignments = sql.SQL(", ").join(
            sql.SQL("{} = %s").format(sql.Identifier(name)) for name in [*wanted, "modified_at"]
        )
        await unit.execute(
            sql.SQL("update partner set {} where id = %s").format(assignments),
            [*wanted.values(), clock.now(), partner_id],
        )
    has_new_headers = await _write_endpoint(unit, before, change, keyring, allow_loopback=allow_loopback)
    if "mm_api_routing_enabled" in wanted:
        await unit.notify("routes", partner_id)
    after = await get_settings(unit, partner_id=partner_id, keyring=keyring)
    old, new = _difference(before, after)
    if has_new_headers:
        # Two values may have one mask; that they were changed is recorded all the same.
        old["webhook_headers"], new["webhook_headers"] = (
            dict(before.webhook_headers),
            dict(after.webhook_headers),
        )
    if new:
        await record_change(
            unit,
            partner_id=partner_id,
            actor=actor,
            action="settings.changed",
            object_kind="partner",
            object_id=partner_id,
            before=old,
            after=new,
        )
    return after


def _meant(before: PartnerSettings, change: SettingsChange, seen: SettingsChange) -> SettingsChange:
    """Return a change without what its author left as they saw it, though it is so no longer.

    Raises: SettingsOutdated.
    """
    known = [name for name in seen.__struct_fields__ if getattr(seen, name) is not UNSET]
    stale = [name for name in known if getattr(seen, name) != _saved(before, name)]
    left = [name for name in stale if getattr(change, name) == getattr(seen, name)]
    outdated = [
        name
        for name in stale
        if getattr(change, name) not in (UNSET, getattr(seen, name), _saved(before, name))
    ]
    if outdated:
        reason = "Somebody else changed it since you saw it."
        problems = [Problem(name, SettingsOutdated.code, reason) for name in outdated]
        raise SettingsOutdated(
            f"Somebody else changed {' and '.join(outdated)} meanwhile.", problems=problems
        )
    return structs.replace(change, **dict.fromkeys(left, UNSET))


def _saved(settings: PartnerSettings, name: str) -> object:
    if name in ("webhook_url", "webhook_headers"):  # of headers the masks: nobody sees more of them
        return getattr(settings, name)
    # Never to have chosen a region is to have Meta's default.
    return settings.region if name == "data_localization_region" else getattr(settings.partner, name)


async def _write_endpoint(
    unit: Unit, before: PartnerSettings, change: SettingsChange, keyring: Keyring, *, allow_loopback: bool
) -> bool:
    """Write what `change` says of the webhook and say whether its headers are others than before.

    A URL that is set again as it was revives an endpoint that was parked or disabled.
    """
    partner_id = before.partner.id
    if change.webhook_url is UNSET and change.webhook_headers is UNSET:
        return False
    if change.webhook_url is None and not change.webhook_headers:
        removed = await webhooks.remove_endpoint(unit, owner_kind=OwnerKind.PARTNER, owner_id=partner_id)
        return removed and bool(before.webhook_headers)
    url = before.webhook_url if change.webhook_url is UNSET else change.webhook_url
    if url is None:
        if not change.webhook_headers:
            return False
        reason = "Set a webhook URL first; headers go with it."
        raise SettingsInvalid(reason, problems=[Problem("webhook_headers", "webhook_url_missing", reason)])
    current = await webhook_queries.find_endpoint(
        unit, owner_kind=OwnerKind.PARTNER, owner_id=partner_id, keyring=keyring, reveal=True
    )
    kept = dict(current.headers) if current else {}
    # A call that names the URL only keeps the headers that a firewall may be waiting for.
    headers = kept if change.webhook_headers is UNSET else change.webhook_headers
    await webhooks.set_endpoint(
        unit,
        partner_id=partner_id,
        owner_kind=OwnerKind.PARTNER,
        owner_id=partner_id,
        url=url,
        headers=headers,
        keyring=keyring,
        allow_loopback=allow_loopback,
    )
    return headers != kept


def _check(before: PartnerSettings, change: SettingsChange, *, allow_loopback: bool) -> None:
    checks: Mapping[str, Callable[[Any], str]] = {  # Any: the value of the setting, typed by the struct
        "brand_name": brand_name_problem,
        "solution_id": _solution_problem,
        "default_hosting_type": _hosting_problem,
        "data_localization_region": _region_problem,
        "secret_overlap_hours": _overlap_problem,
    }
    problems: list[Problem] = []
    for name, problem_of in checks.items():
        value = getattr(change, name)
        # What is set already may be said again: a past state such as `on_premise` survives a whole form.
        if value is UNSET or value is None or value == _saved(before, name):
            continue
        if problem := problem_of(value):
            problems.append(Problem(name, f"{name}_invalid", problem))
    urls = (
        ("webhook_url", change.webhook_url, None),
        ("redirect_url", change.redirect_url, None),
        # A logo that was saved under older rules may be said again as well.
        ("logo_url", change.logo_url, before.partner.logo_url),
    )
    for name, url, saved in urls:
        if isinstance(url, str) and url != saved:
            problems += find_problems(url, allow_loopback=allow_loopback, field=name)
    if change.redirect_origins is not UNSET:
        problems += _origin_problems(change.redirect_origins, allow_loopback=allow_loopback)
    if change.webhook_headers is not UNSET:
        found = find_header_problems(change.webhook_headers)
        problems += [replace(problem, field="webhook_headers") for problem in found]
    if problems:
        raise SettingsInvalid(" ".join(problem.message for problem in problems), problems=problems)


def _origin_problems(origins: list[str], *, allow_loopback: bool) -> list[Problem]:
    name = "redirect_origins"
    if len(origins) > _MOST_ORIGINS:
        return [Problem(name, f"{name}_too_many", f"At most {_MOST_ORIGINS} further origins.")]
    problems: list[Problem] = []
    for origin in origins:
        found = find_problems(origin, allow_loopback=allow_loopback, field=name)
        if not found and origin.partition("://")[2].strip("/").count("/") + ("?" in origin):
            reason = "An origin is https:// and a host name, without a path."
            found = [Problem(name, f"{name}_invalid", reason)]
        problems += found
    return problems


def _solution_problem(solution_id: str) -> str:
    fits = re.fullmatch(r"[0-9]{14,18}", solution_id, re.ASCII)
    return "" if fits else "The solution id is a number of 14 to 18 digits."


def _hosting_problem(hosting_type: str) -> str:
    return "" if hosting_type == "cloud_api" else "New numbers are hosted by Meta: choose cloud_api."


def _region_problem(region: str) -> str:
    return "" if region in DATA_REGIONS else f"Choose one of {', '.join(sorted(DATA_REGIONS))}."


def _overlap_problem(hours: int) -> str:
    return "" if 0 <= hours <= 720 else "The overlap is 0 to 720 hours."


def _difference(
    before: PartnerSettings, after: PartnerSettings
) -> tuple[dict[str, object], dict[str, object]]:
    old, new = _recorded(before), _recorded(after)
    changed = [name for name in new if new[name] != old[name]]
    return {name: old[name] for name in changed}, {name: new[name] for name in changed}


def _recorded(settings: PartnerSettings) -> dict[str, object]:
    columns: dict[str, object] = {name: getattr(settings.partner, name) for name in _COLUMNS}
    return {
        **columns,
        "webhook_url": settings.webhook_url,
        "webhook_headers": dict(settings.webhook_headers),
    }
