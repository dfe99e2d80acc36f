"""The ASGI application: Graph in front, pages and admin API behind.

Graph's own paths never touch a framework; everything a person or a test uses beside Graph is Litestar.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig

from partnerhub.kit import logs
from partnerhub.kit.errors import HubError
from partnerhub.simulator.admin import questions, routes
from partnerhub.simulator.config import SimulatorConfig
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.graph import dispatch
from partnerhub.simulator.model import Json

log = logs.get(__name__)

_PAGES = re.compile(
    r"(?:/v\d+(?:\.\d+)?)?(/dialog(?:/.*)?|/(?:[a-z]{2}_[A-Z]{2}/)?sdk\.js)$"
    r"|(/simulator(?:/.*)?|/phone(?:/.*)?|/static/simulator/.*|/healthz|/favicon\.ico|/)$"
)


@get("/healthz", media_type=MediaType.JSON)
async def healthz(sim: NamedDependency[Simulator]) -> Json:
    """Say that the simulator answers and its store can be read."""
    await sim.store.query("select 1")
    return {"status": "ok"}


def _error(
    request: Request[Any, Any, State], problem: Exception
) -> Response[bytes]:  # Any: no user, no session
    body: Json
    if isinstance(problem, HubError):
        status, body = (
            problem.status,
            {"error": problem.code, "message": problem.message, "fields": problem.fields},
        )
    elif isinstance(problem, HTTPException):
        status, body = (
            problem.status_code,
            {"error": "invalid", "message": problem.detail, "fields": problem.extra or {}},
        )
    else:
        log.error("simulator_page_crashed", path=request.url.path, exc_info=problem)
        status, body = 500, {"error": "error", "message": "The simulator failed; see its log."}
    return Response(msgspec.json.encode(body), status_code=status, media_type=MediaType.JSON)


class SimulatorApp:
    """One simulator as an ASGI application; the server's lifespan starts and stops it."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.simulator = Simulator(config)
        self._pages = Litestar(
            route_handlers=[
                healthz,
                Router("/simulator", route_handlers=[*routes.HANDLERS, *questions.HANDLERS]),
            ],
            dependencies={"sim": Provide(lambda: self.simulator, sync_to_thread=False)},
            exception_handlers={Exception: _error, HTTPException: _error, HubError: _error},
            openapi_config=OpenAPIConfig(title="Meta simulator", version="1", path="/simulator/schema"),
            request_max_body_size=200 * 1_024 * 1_024,
            logging_config=None,
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # Any: ASGI's own untyped protocol
        """Answer one ASGI scope."""
        if scope["type"] == "http":
            page = _PAGES.fullmatch(scope["path"])
            if page is None:
                await dispatch.serve(self.simulator, scope, receive, send)
                return
            path = page.group(1) or page.group(2)
            inner: Any = {**scope, "path": path, "raw_path": path.encode()}  # Any: as above
            await self._pages(inner, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Any, send: Any) -> None:  # Any: ASGI's own untyped protocol
        await receive()
        try:
            await self.simulator.start()
        except Exception as problem:
            log.exception("simulator_start_failed")
            await send({"type": "lifespan.startup.failed", "message": str(problem)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.simulator.stop()
        await send({"type": "lifespan.shutdown.complete"})


def create_app(config: SimulatorConfig) -> SimulatorApp:
    """Make a simulator as an ASGI application."""
    return SimulatorApp(config)
