"""The two addresses: where events go, where clients return to; saving them, and testing them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Response, post
from litestar.di import NamedDependency
from msgspec import UNSET

from partnerhub.dashboard import words
from partnerhub.dashboard.forms import Form, written
from partnerhub.dashboard.integration.page import PATH, Desk, Draft, Trial, Walk
from partnerhub.dashboard.reasons import tell_reason
from partnerhub.identity.schemas import Hub
from partnerhub.kit.errors import Invalid, TooMany
from partnerhub.kit.http import HttpClient
from partnerhub.partners.redirects import RedirectResult
from partnerhub.partners.schemas import SettingsChange
from partnerhub.partners.services import try_redirect_url, try_webhook_url
from partnerhub.ui.frame import Tone
from partnerhub.web.guards import requires
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.webhooks.schemas import TestResult


@dataclass(frozen=True)
class AddressesForm:
    """The addresses, and what stood in their fields before; an empty one clears it. `redirect_origins` has a
    site per line. A field that was not sent is left alone."""

    webhook_url: str = ""
    redirect_url: str = ""
    redirect_origins: str | None = None
    seen_webhook_url: str | None = None
    seen_redirect_url: str | None = None
    seen_redirect_origins: str | None = None


@post(PATH, status_code=303, guards=[requires(hub=Hub.PARTNER, owner=True)])
async def save_addresses(desk: NamedDependency[Desk], data: Form[AddressesForm]) -> Response[Any]:
    """Save the addresses; the earlier ones are overwritten and stay in the audit log."""
    change = _addresses(data.webhook_url, data.redirect_url, data.redirect_origins)
    seen = _addresses(data.seen_webhook_url, data.seen_redirect_url, data.seen_redirect_origins)
    return await desk.save(
        change,
        seen=seen,
        values=written(data),
        title=N_("Saved"),
        text="" if change == seen else N_("The earlier addresses are overwritten."),
    )


def _addresses(webhook: str | None, redirect: str | None, origins: str | None) -> SettingsChange:
    return SettingsChange(
        webhook_url=UNSET if webhook is None else webhook.strip() or None,
        redirect_url=UNSET if redirect is None else redirect.strip() or None,
        redirect_origins=UNSET if origins is None else origins.split(),
    )


@post(PATH + "/test", status_code=200, guards=[requires(hub=Hub.PARTNER, owner=True)])
async def test_webhook(
    desk: NamedDependency[Desk], outbound: NamedDependency[HttpClient], data: Form[AddressesForm]
) -> Response[Any]:
    """Call the webhook in the field now, saved or not, and explain what came of it."""
    situation = await desk.read()
    url = data.webhook_url.strip() or situation.settings.webhook_url or ""
    trial: Trial | None = None
    error = "" if url else desk.page.say(N_("Write the URL first."))
    try:
        if url:
            result = await try_webhook_url(
                desk.tenant.db,
                outbound,
                partner_id=desk.tenant.partner_id,
                url=url,
                actor=desk.tenant.actor,
                keyring=desk.keyring,
                allow_loopback=desk.messaging.allow_loopback,
            )
            trial = _trial(desk.page, result)
    except (Invalid, TooMany) as refused:
        error = " ".join(desk.page.wrong(refused).values()) or desk.page.explain(refused)
    status = 200 if trial else 422
    if desk.page.is_fragment:
        return desk.page.show(
            "dashboard/integration.html",
            part="dashboard/webhook_test_part.html",
            status=status,
            trial=trial,
            error=error,
        )
    draft = Draft(written(data), {"webhook_url": error} if error else {})
    return desk.show(situation, draft=draft, trial=trial, status=status)


@post(PATH + "/test-redirect", status_code=200, guards=[requires(hub=Hub.PARTNER, owner=True)])
async def test_redirect(
    desk: NamedDependency[Desk], outbound: NamedDependency[HttpClient], data: Form[AddressesForm]
) -> Response[Any]:
    """Open the redirect URL in the field now, saved or not, and explain what came of it."""
    walk: Walk | None = None
    error = ""
    try:
        result = await try_redirect_url(
            desk.tenant.db,
            outbound,
            partner_id=desk.tenant.partner_id,
            url=data.redirect_url,
            actor=desk.tenant.actor,
            allow_loopback=desk.messaging.allow_loopback,
        )
        walk = _walk(desk.page, result)
    except (Invalid, TooMany) as refused:
        error = " ".join(desk.page.wrong(refused).values()) or desk.page.explain(refused)
    status = 200 if walk else 422
    if desk.page.is_fragment:
        return desk.page.show(
            "dashboard/integration.html",
            part="dashboard/redirect_test_part.html",
            status=status,
            walk=walk,
            redirect_error=error,
        )
    draft = Draft(written(data), {"redirect_url": error} if error else {})
    return desk.show(await desk.read(), draft=draft, walk=walk, status=status)


def _walk(page: Page, result: RedirectResult) -> Walk:
    meaning, advice = words.REDIRECTS[result.code]
    told = {"status": result.last.status, "location": result.last.location or result.last.url}
    return Walk(
        result=result,
        meaning=page.say(meaning).format(**told),
        advice=page.say(advice) if result.code != "ok" else "",
        tone="good" if result.code == "ok" else "warn" if result.is_success else "bad",
        milliseconds=sum(hop.timings.total_us for hop in result.hops) / 1000,
    )


def _trial(page: Page, result: TestResult) -> Trial:
    meaning, advice = words.outcome_words(result.code, result.status)
    tone: Tone = "good" if result.code == "ok" else "warn" if result.is_success else "bad"
    request = [f"POST {result.url}", *(f"{name}: {value}" for name, value in result.request_headers)]
    response = [f"{name}: {value}" for name, value in result.response_headers]
    body = result.response_body.decode("utf-8", "replace")
    return Trial(
        result=result,
        meaning=page.say(meaning).format(status=result.status),
        advice=page.say(advice) if advice else "",
        detail=tell_reason(result.reason, page.say),
        tone=tone,
        request="\n".join([*request, "", result.request_body.decode("utf-8", "replace")]),
        response="\n".join([*response, "", body] if body else response),
        phases=[(page.say(words.PHASES.get(one.name, one.name)), one.microseconds) for one in result.phases],
    )
