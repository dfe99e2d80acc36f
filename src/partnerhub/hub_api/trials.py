"""Testing the webhook and the redirect URL: what was sent, what came back, and what it means."""

from __future__ import annotations

from collections.abc import Iterable

from litestar import post
from litestar.di import NamedDependency

from partnerhub.hub_api.bodies import HubJson, read_body
from partnerhub.hub_api.means import HubApi
from partnerhub.hub_api.shapes import (
    HeaderShape,
    HopShape,
    PhaseShape,
    RedirectTestShape,
    RequestShape,
    ResponseShape,
    TestShape,
    TimingShape,
    WebhookTestShape,
)
from partnerhub.kit.http import Timings
from partnerhub.partners.redirects import Hop, RedirectResult
from partnerhub.partners.schemas import Scope
from partnerhub.partners.services import try_redirect_url, try_webhook_url
from partnerhub.web.guards import requires
from partnerhub.web.principal import HubRequest
from partnerhub.web.tenant import Tenant
from partnerhub.webhooks.schemas import Phase, TestResult
from partnerhub.webhooks.verdicts import phases_of

_SETTING = [requires(scope=Scope.WRITE, owner=True)]


@post("/webhook_url/test", status_code=200, guards=_SETTING)
async def post_webhook_test(
    request: HubRequest, tenant: NamedDependency[Tenant], hub_api: NamedDependency[HubApi]
) -> HubJson:
    """Send a signed test event now; an answer that is no success is a result, not an error."""
    wanted = read_body(await request.body(), TestShape, may_be_empty=True)
    result = await try_webhook_url(
        tenant.db,
        hub_api.outbound,
        partner_id=tenant.partner_id,
        url=wanted.url,
        actor=tenant.actor,
        keyring=hub_api.keyring,
        allow_loopback=hub_api.allow_loopback,
    )
    return HubJson(_webhook(result))


@post("/redirect_url/test", status_code=200, guards=_SETTING)
async def post_redirect_test(
    request: HubRequest, tenant: NamedDependency[Tenant], hub_api: NamedDependency[HubApi]
) -> HubJson:
    """Open the redirect URL as a client's browser would, redirects included."""
    wanted = read_body(await request.body(), TestShape, may_be_empty=True)
    result = await try_redirect_url(
        tenant.db,
        hub_api.outbound,
        partner_id=tenant.partner_id,
        url=wanted.url,
        actor=tenant.actor,
        allow_loopback=hub_api.allow_loopback,
    )
    return HubJson(_redirect(result))


def _webhook(result: TestResult) -> WebhookTestShape:
    response = _response(
        result.status, result.response_headers, result.response_body, truncated=result.body_truncated
    )
    return WebhookTestShape(
        code=result.code,
        is_success=result.is_success,
        verdict=result.verdict,
        advice=result.advice,
        detail=result.detail,
        status=result.status,
        event_id=str(result.event_id),
        request=RequestShape(
            method="POST",
            url=result.url,
            headers=_headers(result.request_headers),
            body=_text(result.request_body),
        ),
        response=response,
        timing=TimingShape(total_microseconds=result.total_us, phases=_phases(result.phases)),
        peer_address=result.peer_address,
    )


def _redirect(result: RedirectResult) -> RedirectTestShape:
    last, outcome = result.last, result.last.outcome
    response = _response(outcome.status, outcome.headers, outcome.body, truncated=outcome.body_truncated)
    return RedirectTestShape(
        code=result.code,
        is_success=result.is_success,
        verdict=result.verdict,
        advice=result.advice,
        detail=outcome.detail,
        status=outcome.status,
        request=RequestShape(method="GET", url=last.url, headers=_headers(result.request_headers), body=""),
        response=response,
        timing=_timing(last.timings),
        peer_address=outcome.peer_address,
        hops=[_hop(hop) for hop in result.hops],
    )


def _hop(hop: Hop) -> HopShape:
    return HopShape(url=hop.url, status=hop.status, location=hop.location, timing=_timing(hop.timings))


def _timing(timings: Timings) -> TimingShape:
    return TimingShape(total_microseconds=timings.total_us, phases=_phases(phases_of(timings)))


def _phases(phases: Iterable[Phase]) -> list[PhaseShape]:
    return [PhaseShape(name=phase.name, microseconds=phase.microseconds) for phase in phases]


def _response(
    status: int | None, headers: Iterable[tuple[str, str]], body: bytes, *, truncated: bool
) -> ResponseShape | None:
    if status is None:
        return None
    return ResponseShape(status=status, headers=_headers(headers), body=_text(body), body_truncated=truncated)


def _headers(headers: Iterable[tuple[str, str]]) -> list[HeaderShape]:
    return [HeaderShape(name=name, value=value) for name, value in headers]


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
