"""What the machines around a process ask: is it alive, is it ready, what does it count."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass, field

from litestar import MediaType, Response, Router, get
from litestar.di import NamedDependency
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from partnerhub.kit.database import Database
from partnerhub.web.principal import HubRequest


@dataclass(frozen=True)
class Metrics:
    """Who may see the metrics: bearers of the token, or without one callers on this machine."""

    token: str = field(default="", repr=False)

    def may_see(self, request: HubRequest) -> bool:
        """Say whether this caller may."""
        if self.token:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            return hmac.compare_digest(given.encode(), self.token.encode())
        peer = request.client.host if request.client else ""
        return "x-forwarded-for" not in request.headers and peer in {"127.0.0.1", "::1"}


@get("/healthz", media_type=MediaType.TEXT)
async def healthz() -> str:
    """Say that the process answers."""
    return "ok\n"


@get("/readyz", media_type=MediaType.TEXT)
async def readyz(db: NamedDependency[Database]) -> Response[str]:
    """Say whether the database answers."""
    try:
        async with asyncio.timeout(1), db.pool.connection(timeout=1) as connection:
            await connection.execute("select 1")
    except Exception:  # noqa: BLE001 - whatever the reason, it is not ready
        return Response("not ready\n", status_code=503, headers={"retry-after": "1"})
    return Response("ok\n")


@get("/metrics")
async def metrics(request: HubRequest, metrics_access: NamedDependency[Metrics]) -> Response[bytes]:
    """Return the process's metrics to whoever may see them."""
    if not metrics_access.may_see(request):
        return Response(b"forbidden\n", status_code=403, media_type=MediaType.TEXT)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def health_routes() -> Router:
    """Return the three routes; the application hands in `metrics_access`."""
    return Router("/", route_handlers=[healthz, readyz, metrics], opt={"public": True})
