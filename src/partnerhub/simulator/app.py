"""The ASGI application: Graph in front, pages and admin API behind.

Graph's own paths never touch a framework; everything a person or a test uses beside Graph is Litestar.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.static_files import create_static_files_router

from partnerhub.kit import logs
from partnerhub.kit.errors import HubError
from partnerhub.simulator import pages
from partnerhub.simulator.admin import questions, routes
from partnerhub.simulator.config import SimulatorConfig
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.graph import dispatch
from partnerhub.simulator.model import Json
from partnerhub.simulator.phone import routes as phone
from partnerhub.simulator.signup import routes as signup

log = logs.get(__name__)

_PAGES = re.compile(
    r"(?:/v\d+(?:\.\d+)?)?(/dialog(?:/.*)?)"
    r"|(?:/[a-z]{2}_[A-Z]{2})?(/sdk\.js)"
    r"|(/simulator(?:/.*)?|/phone(?:/.*)?|/static/simulator/.*|/healthz|/favicon\.ico|/)"
)
"""Paths that are not Graph's; the groups hold them without version and language."""


@get("/healthz", media_type=MediaType.JSON)
async def healthz(sim: NamedDependency[Simulator]) -> Json:
    """Say that the simulator answers and its store can be read."""
    await sim.store.query("select 1")
    return {"status": "ok"}


def _error(
    request: Request[Any, Any, State], problem: Exception
) -> Response[Any]:  # Any: no user, no session
    fields: object = {}
    if isinstance(problem, HubError):
        status, code, message, fields = problem.status, problem.code, problem.message, problem.fields
    elif isinstance(problem, HTTPException):
        status, code, message, fields = problem.status_code, "invalid", problem.detail, problem.extra or {}
    else:
        log.error("simulator_page_crashed", path=request.url.path, exc_info=problem)
        status, code, message = 500, "error", "The simulator failed; see its log."
    if "text/html" in request.headers.get("accept", ""):
        shown = pages.page("problem.html", title="This did not work", message=message, code=code)
        shown.status_code = status
        return shown
    body: Json = {"error": code, "message": message, "fields": fields}
    return Response(msgspec.json.encode(body), status_code=status, media_type=MediaType.JSON)


_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def _is_foreign(scope: Any, public_host: str) -> bool:  # Any: ASGI's own untyped protocol
    """Return whether a page of another origin asks, directly or under a name of its own that leads here.

    Curl and tests send no Origin; Graph's own paths answer under every name.
    """
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get(b"host", "")
    if host.rpartition(":")[0] not in _OWN_NAMES and host not in {*_OWN_NAMES, public_host}:
        return True
    if scope["method"] in {"GET", "HEAD", "OPTIONS"}:
        return False
    origin = headers.get(b"origin")
    return origin is not None and origin.split("://")[-1] != host


class SimulatorApp:
    """One simulator as an ASGI application; the server's lifespan starts and stops it."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.simulator = Simulator(config)
        self._public_host = urlsplit(config.public_url).netloc
        self._pages = Litestar(
            route_handlers=[
                healthz,
                *signup.HANDLERS,
                *phone.HANDLERS,
                create_static_files_router("/static/simulator", directories=[pages.STATIC_FOLDER]),
                Router("/simulator", route_handlers=[*routes.HANDLERS, *questions.HANDLERS]),
            ],
            dependencies={"sim": Provide(lambda: self.simulator, sync_to_thread=False)},
            exception_handlers={Exception: _error, HTTPException: _error, HubError: _error},
            openapi_config=OpenAPIConfig(
                title="Meta simulator",
                version="1",
                path="/simulator/schema",
                render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            ),
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
            if _is_foreign(scope, self._public_host):
                await send({"type": "http.response.start", "status": 403, "headers": []})
                await send({"type": "http.response.body", "body": b"Another origin may not do this."})
                return
            path = page[1] or page[2] or page[3]
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
