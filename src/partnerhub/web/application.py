"""Puts a process's routes together: middleware, dependencies, dialects, and the wrapper around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import MutableScopeHeaders
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope

from partnerhub.identity.passwords import STANDARD
from partnerhub.kit.database import Database
from partnerhub.web.access import operations_of
from partnerhub.web.authentication import Authentication, Browsers
from partnerhub.web.credentials import Credentials
from partnerhub.web.dialects import Answer, Dialect, answer, dialect_of
from partnerhub.web.failures import Failure, failure_of
from partnerhub.web.frame import FrameSource, provide_page
from partnerhub.web.guards import check_guards
from partnerhub.web.limits import CallLimiter
from partnerhub.web.tenant import provide_tenant
from partnerhub.web.wrapper import ASGIScope, HotRoutes, Wrapper

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]
"""What a process opens at start and closes at the end."""


@dataclass(frozen=True, kw_only=True)
class Outside:
    """How the process stands in the network."""

    public_url: str
    is_secure: bool
    trusted_proxies: Sequence[str] = ()
    max_body_bytes: int = 1024 * 1024
    larger_bodies: Mapping[str, int] = field(default_factory=dict)
    body_seconds: float = 20.0
    logs_access: bool = True


@dataclass(frozen=True)
class Application:
    """A finished application: `wrapper` is what a server runs, `operations` what it answers to."""

    wrapper: Wrapper
    operations: Sequence[str]


def build(
    handlers: Sequence[BaseRouteHandler | Router],
    *,
    db: Database,
    credentials: Credentials,
    browsers: Browsers,
    frames: FrameSource,
    outside: Outside,
    limiter: CallLimiter | None = None,
    dependencies: Mapping[str, object] | None = None,
    lifespan: Sequence[Lifespan] = (),
    hot: HotRoutes | None = None,
    hot_operations: Sequence[str] = (),
) -> Application:
    """Build an application of these routes.

    Handlers may ask for `db`, `tenant`, `page`, `frames`, `browsers`, `passwords`, `public_url` and for every
    name in `dependencies` (values, given as they are). `hot_operations` declares hot routes to the access
    matrix (`POST /messages`).
    Raises: RouteUnguarded.
    """

    def write_failure(failure: Failure, scope: Mapping[str, Any] | ASGIScope) -> Answer:  # Any: ASGI's scope
        if dialect_of(scope["path"]) is Dialect.PAGE:
            return frames.pages.error(failure, scope)
        return answer(failure, path=scope["path"])

    def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        said = write_failure(failure_of(error), request.scope)
        return Response(
            said.body, status_code=said.status, media_type=said.media_type, headers=dict(said.headers)
        )

    given = {
        "db": db,
        "frames": frames,
        "browsers": browsers,
        "passwords": STANDARD,
        "public_url": outside.public_url,
        **(dependencies or {}),
    }
    methods: dict[str, str] = {}

    async def name_methods(message: Message, scope: Scope) -> None:
        # The framework answers OPTIONS with the methods of the first handler that a path was given.
        if message["type"] != "http.response.start" or scope.get("method") != "OPTIONS":
            return
        if allowed := methods.get(scope.get("path_template", "")):
            MutableScopeHeaders.from_message(message)["allow"] = allowed

    app = Litestar(
        list(handlers),
        middleware=[
            Authentication(
                credentials, browsers=browsers, limiter=limiter or CallLimiter(per_second=0, burst=1)
            )
        ],
        exception_handlers={HTTPException: on_error, Exception: on_error},
        dependencies={
            **{name: _value(value) for name, value in given.items()},
            "tenant": Provide(provide_tenant),
            "page": Provide(provide_page),
        },
        lifespan=list(lifespan),
        before_send=[name_methods],
        logging_config=None,
        openapi_config=None,
        # The wrapper bounds bodies, also for paths that no route has.
        request_max_body_size=None,
    )
    check_guards(app.routes)
    methods.update(
        (route.path_format, ", ".join(sorted(route.methods)))
        for route in app.routes
        if isinstance(route, HTTPRoute)
    )
    wrapper = Wrapper(
        app,  # type: ignore[arg-type]  # the same ASGI callable, typed by other names
        write_failure=write_failure,
        hot=hot,
        trusted_proxies=outside.trusted_proxies,
        is_secure=outside.is_secure,
        max_body_bytes=outside.max_body_bytes,
        larger_bodies=outside.larger_bodies,
        body_seconds=outside.body_seconds,
        logs_access=outside.logs_access,
    )
    return Application(wrapper, (*operations_of(app.routes), *hot_operations))


def _value(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
