"""One delivery: what was sent, every attempt with its answer, and sending it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from partnerhub.dashboard import words
from partnerhub.dashboard.deliveries.asked import PATH
from partnerhub.dashboard.deliveries.rows import as_row, list_owner_names
from partnerhub.identity.services import record_change
from partnerhub.kit.crypto import Keyring
from partnerhub.ui.frame import Toast, Tone
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.tenant import Tenant
from partnerhub.webhooks import queries as webhooks
from partnerhub.webhooks.schemas import Attempt, DeliveryDetail, Glimpse
from partnerhub.webhooks.services import ReplayScope, list_request_headers, replay


@dataclass(frozen=True)
class Try:
    """One attempt in the reader's words."""

    attempt: Attempt
    meaning: str
    tone: Tone
    request: str
    answer: str
    phases: Sequence[tuple[str, int]]


@get(PATH + "/{delivery_id:uuid}")
async def show_delivery(
    delivery_id: FromPath[UUID],
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
) -> Response[Any]:
    """Show one delivery with what was sent and every answer."""
    async with tenant.unit() as unit:
        detail = await webhooks.get_delivery(unit, partner_id=tenant.partner_id, delivery_id=delivery_id)
        delivery = detail.delivery
        names = await list_owner_names(unit, tenant, [delivery])
        endpoint = await webhooks.find_endpoint(
            unit, owner_kind=delivery.owner_kind, owner_id=delivery.owner_id, keyring=keyring
        )
        requests = await list_request_headers(
            unit, partner_id=tenant.partner_id, detail=detail, keyring=keyring
        )
    meaning, advice = _outcome(page, detail)
    return page.show(
        "dashboard/delivery.html",
        detail=detail,
        row=as_row(page, delivery, names, Glimpse(detail.body, None)),
        body=_pretty(detail.body),
        tries=[_try(page, *one) for one in reversed([*zip(detail.attempts, requests, strict=True)])],
        meaning=meaning,
        advice=advice,
        url=detail.attempts[-1].url if detail.attempts else endpoint.url if endpoint else "",
        may_send=endpoint is not None,
    )


@post(PATH + "/{delivery_id:uuid}/replay", status_code=303)
async def send_again(
    delivery_id: FromPath[UUID], page: NamedDependency[Page], tenant: NamedDependency[Tenant]
) -> Response[Any]:
    """Send one event again to where its owner's webhook leads now; lead to the event's deliveries."""
    async with tenant.unit() as unit:
        detail = await webhooks.get_delivery(unit, partner_id=tenant.partner_id, delivery_id=delivery_id)
        done = await replay(unit, partner_id=tenant.partner_id, scope=ReplayScope(delivery_id=delivery_id))
        await record_change(
            unit,
            partner_id=tenant.partner_id,
            actor=tenant.actor,
            action="delivery.replayed",
            object_kind="delivery",
            object_id=str(delivery_id),
            before=None,
            after={"deliveries": done.deliveries},
        )
    toast = (
        Toast(title=page.say(N_("On its way again. The event ID stays the same.")))
        if done.deliveries
        else Toast(title=page.say(N_("There is no webhook to send it to.")), kind="error")
    )
    return page.go(f"{PATH}?q={detail.delivery.event_id}", toast=toast)


def _outcome(page: Page, detail: DeliveryDetail) -> tuple[str, str]:
    """Say what came of the last attempt and what to do; nothing where there is nothing to say."""
    delivery = detail.delivery
    if delivery.last_error is None and not delivery.is_unusual:
        return "", ""
    meaning, advice = words.outcome_words(delivery.last_error or "ok_not_200", delivery.last_status)
    return page.say(meaning).format(status=delivery.last_status), page.say(advice)


def _try(page: Page, attempt: Attempt, request: Sequence[tuple[str, str]]) -> Try:
    meaning, _advice = words.outcome_words(attempt.error or "ok", attempt.status)
    is_unusual = attempt.error is None and attempt.status != 200
    lines = _lines(attempt.headers)
    body = attempt.body.decode("utf-8", "replace")
    phases = {
        "dns": attempt.dns_us,
        "connect": attempt.connect_us,
        "tls": attempt.tls_us,
        "first_byte": attempt.first_byte_us,
        "body": attempt.body_us,
    }
    return Try(
        attempt=attempt,
        meaning=page.say(meaning).format(status=attempt.status),
        tone="bad" if attempt.error else "warn" if is_unusual else "good",
        request="\n".join(_lines(request)),
        answer="\n".join([*lines, "", body] if body else lines),
        phases=[(page.say(words.PHASES[name]), spent) for name, spent in phases.items()],
    )


def _lines(headers: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{name}: {value}" for name, value in headers]


def _pretty(body: bytes) -> str:
    """Indent the body for reading; what was sent is compact and unchanged."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body.decode("utf-8", "replace")
