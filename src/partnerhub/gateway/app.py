"""The gateway as one ASGI application: limits, path, key, handler, answer.

`create_gateway` takes what the process has; `running` (or ASGI's lifespan) starts and ends what is the
gateway's own. It answers on every path by itself and imports no framework.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from time import perf_counter
from typing import Final

from partnerhub.gateway import callback, metrics
from partnerhub.gateway.asgi import AnyReply, BodyTooLarge, HeaderPairs, Reply, Request, Scope, Send
from partnerhub.gateway.context import Call, Context, GatewayConfig
from partnerhub.gateway.dialects import Dialect, Refused, Style, blocked, invalid_key, render, unknown_object
from partnerhub.gateway.groups import GroupBook
from partnerhub.gateway.limits import Places, Rate, Room
from partnerhub.gateway.table import CALLBACK_PATH, Endpoint, Node, find, is_graph_path
from partnerhub.kit import logs
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.errors import HubError, Unavailable
from partnerhub.kit.http import ExchangeError, HttpClient, Timeouts
from partnerhub.kit.ids import uuid7
from partnerhub.kit.pace import Receive
from partnerhub.kit.peers import TrustedProxies, source_of
from partnerhub.ledger.gate import Gate
from partnerhub.messaging.services import (
    Callbacks,
    Journal,
    LiveRoute,
    RouteBook,
    Sends,
    TemplateBook,
    Watch,
)
from partnerhub.meta.graph import Graph
from partnerhub.meta.media import MediaCalls
from partnerhub.webhooks.sender import Sender

_log = logs.get(__name__)
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
_NO_STORE: Final = (b"cache-control", b"no-store")
_TEXT: Final = b"text/plain; charset=utf-8"


class Busy(Unavailable):
    """This process answers as much as it can already."""

    code = "busy"


class MethodWrong(Refused):
    """The path exists, but not with this method."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(405, "method not allowed", code="method_not_allowed", graph_code=100)
        self.allowed = allowed


class Gateway:
    """One process's gateway; call it as an ASGI application."""

    def __init__(self, context: Context, watch: Watch, journal: Journal) -> None:
        """Use `create_gateway`."""
        self._context = context
        self._watch = watch
        self._journal = journal
        self._requests = Room(context.config.most_requests)
        self._callbacks = Room(context.config.most_callbacks)
        # Bodies of callbacks that are still coming; what they say who sent them is not proved yet.
        self._arriving = Places(
            context.config.most_bodies_of_one_sender, most=context.config.most_callbacks * 4
        )
        self._proxies = TrustedProxies(context.config.trusted_proxies)
        self._draining = False
        self._idle = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            # A websocket: closed before it opens, which the server answers with 403.
            await send({"type": "websocket.close", "code": 1000})

    # --- life ------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen for changes and take requests; at the end, finish and write what is in hand."""
        await self._watch.start()
        try:
            yield
        finally:
            await self.drain()
            await self._watch.close()

    async def drain(self, *, grace_seconds: float = 10.0) -> None:
        """Be unready, wait for requests under way, and write what waits. The server stops accepting."""
        self._draining = True
        deadline = perf_counter() + grace_seconds
        while (self._requests.used or self._callbacks.used) and perf_counter() < deadline:
            self._idle.clear()
            try:
                async with asyncio.timeout(deadline - perf_counter()):
                    await self._idle.wait()
            except TimeoutError:
                break
        await self._context.callbacks.close()
        await self._context.sends.close()
        await self._journal.close()

    async def _live(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            while True:
                message = await receive()
                if message["type"] == "lifespan.startup":
                    await stack.enter_async_context(self.running())
                    await send({"type": "lifespan.startup.complete"})
                elif message["type"] == "lifespan.shutdown":
                    await stack.aclose()
                    await send({"type": "lifespan.shutdown.complete"})
                    return

    # --- requests ----------------------------------------------------------------------------------------

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._proxies.apply(scope)
        request = Request(scope, receive, uuid7().hex, body_seconds=self._context.config.body_seconds)
        logs.request_id.set(request.id)
        if request.path == CALLBACK_PATH:
            request.body_seconds = self._context.config.callback_body_seconds
            started = perf_counter()
            handler, reply = await self._answer_meta(request)
            await self._write(request, send, handler, reply, started)
        elif request.path in _LOOKS:
            await self._write(request, send, "look", await self._look(request), perf_counter())
        else:
            await self._counted(request, send)

    async def _counted(self, request: Request, send: Send) -> None:
        """Answer within the limit of what may be under way."""
        started = perf_counter()
        try:
            with self._place(self._requests):
                handler, reply = await self._answer(request)
                await self._write(request, send, handler, reply, started)
        except Busy as error:
            await self._write(request, send, "refused", self._render(request, error, None), started)

    @contextmanager
    def _place(self, room: Room) -> Iterator[None]:
        if not room.enter():
            raise Busy("Too many requests are under way.")
        try:
            yield
        finally:
            room.leave()
            if not room.used:
                self._idle.set()

    async def _write(
        self, request: Request, send: Send, handler: str, reply: AnyReply, started: float
    ) -> None:
        extra: HeaderPairs = [(b"x-request-id", request.id.encode()), _NOSNIFF, _NO_STORE]
        try:
            status = await reply.write(send, extra)
        except ExchangeError as error:
            # The body broke off upstream; the server closes the connection, so that the client sees it too.
            _log.warning("download_broke_off", handler=handler, reason=error.message)
            status = 502
        metrics.observe(handler, status, perf_counter() - started)

    async def _answer_meta(self, request: Request) -> tuple[str, AnyReply]:
        try:
            if request.method == "GET":
                return "callback_verify", await callback.verify(self._context, request)
            if request.method == "POST":
                return "callback", await self._take(request)
            raise MethodWrong(("GET", "POST"))  # noqa: TRY301 - rendered like every other refusal
        except Exception as error:  # noqa: BLE001 - the last line: whatever it is, Meta gets an answer
            return "callback", self._fail(request, error, None)

    async def _take(self, request: Request) -> Reply:
        """Take a callback. While its body comes, it holds one of its sender's places and none of Meta's."""
        sender = source_of(request.ip)
        try:
            if not self._arriving.enter(sender):
                raise Busy("Too many callbacks are under way.")
            try:
                body = await callback.read(self._context, request)
            finally:
                self._arriving.leave(sender)
            with self._place(self._callbacks):
                return await callback.take(self._context, body)
        except (callback.SignatureWrong, BodyTooLarge, Unavailable) as error:
            metrics.CALLBACKS_REFUSED.labels(error.code).inc()
            raise

    async def _answer(self, request: Request) -> tuple[str, AnyReply]:
        match = find(request.method, request.path)
        endpoint = match.endpoint
        if endpoint is None:
            # Nobody without a key learns what exists.
            return "unknown", await self._refuse_path(request, match.allowed)
        try:
            live = await self._check_key(request)
            params = match.params
            self._check_node(endpoint, params, live)
            call = Call(
                request=request,
                live=live,
                params=params,
                dialect=endpoint.dialect,
            )
            return endpoint.name, await endpoint.handler(self._context, call)
        except Exception as error:  # noqa: BLE001 - the last line: whatever it is, the client gets an answer
            return endpoint.name, self._fail(request, error, endpoint.dialect)

    async def _refuse_path(self, request: Request, allowed: tuple[str, ...]) -> Reply:
        try:
            await self._check_key(request)
        except HubError as error:
            return self._render(request, error, None)
        if allowed:
            reply = self._render(request, MethodWrong(allowed), None)
            reply.headers.append((b"allow", ", ".join(allowed).encode()))
            return reply
        return self._render(request, blocked(), None)

    async def _check_key(self, request: Request) -> LiveRoute:
        """Return the route of the key that the request carries. Raises: Refused, DatabaseAway."""
        key = request.header(b"d360-api-key")
        if not key:
            scheme, _, given = request.header(b"authorization").partition(" ")
            key = given.strip() if scheme.lower() in {"bearer", "oauth"} else ""
        key = key or request.parameter("access_token")
        live = await self._context.routes.by_key(key) if key and len(key) < 1024 else None
        if live is None:
            raise invalid_key()
        return live

    def _check_node(self, endpoint: Endpoint, params: dict[str, str], live: LiveRoute) -> None:
        """Refuse an id in the path that is not the key's own. Raises: Refused."""
        match endpoint.node:
            case Node.PHONE:
                own = live.route.phone_number_id
            case Node.WABA:
                own = live.route.waba_external_id
            case Node.APP:
                own = self._context.config.app_id
            case Node.ANY:
                return
        if params["object_id"] != own:
            raise unknown_object(params["object_id"])

    def _fail(self, request: Request, error: Exception, dialect: Dialect | None) -> Reply:
        if isinstance(error, HubError):
            return self._render(request, error, dialect)
        _log.exception("gateway_broken", path=request.path, method=request.method)
        return self._render(request, HubError("internal server error", code="internal"), dialect)

    def _render(self, request: Request, error: HubError, dialect: Dialect | None) -> Reply:
        if dialect is None:
            dialect = Dialect.GRAPH if is_graph_path(request.path) else Dialect.MESSAGING
        style = self._context.config.error_style
        return render(error, dialect=dialect, style=style, request_id=request.id)

    # --- for the machines around us ----------------------------------------------------------------------

    async def _look(self, request: Request) -> Reply:
        if request.path == "/metrics":
            return self.metrics_reply(request)
        if request.path == "/readyz" and not await self.is_ready():
            return Reply(503, b"not ready\n", _TEXT, [(b"retry-after", b"1")])
        return Reply(200, b"ok\n", _TEXT)

    async def is_ready(self) -> bool:
        """Say whether this process can do its work: not draining, and the database answers."""
        if self._draining:
            return False
        if self._watch.is_live:
            return True
        try:
            async with asyncio.timeout(1), self._context.database.pool.connection(timeout=1) as connection:
                await connection.execute("select 1")
        except Exception:  # noqa: BLE001 - whatever the reason, it is not ready
            return False
        return True

    def metrics_reply(self, request: Request) -> Reply:
        """Return the metrics to who carries the token, or without one to callers on this machine."""
        token = self._context.config.metrics_token
        client = request.scope.get("client") or ("", 0)
        is_direct = not request.header(b"x-forwarded-for") and client[0] in {"127.0.0.1", "::1"}
        given = request.header(b"authorization").removeprefix("Bearer ")
        if not (hmac.compare_digest(given.encode(), token.encode()) if token else is_direct):
            return self._render(request, blocked(), Dialect.MESSAGING)
        self.update_gauges()
        return Reply(200, metrics.render(), metrics.CONTENT_TYPE)

    def update_gauges(self) -> None:
        """Bring the gauges up to date, before somebody reads them."""
        metrics.UNDER_WAY.set(self._requests.used + self._callbacks.used)
        metrics.KEY_CHECKS.labels("memory").set(self._context.routes.hits)
        metrics.KEY_CHECKS.labels("database").set(self._context.routes.misses)
        metrics.CALLBACKS_WAITING.set(self._context.callbacks.waiting)
        metrics.WATCH_LIVE.set(1 if self._watch.is_live else 0)


_LOOKS: Final = frozenset({"/healthz", "/readyz", "/metrics"})


def create_gateway(
    *,
    database: Database,
    keyring: Keyring,
    http: HttpClient,
    gate: Gate,
    sender: Sender,
    config: GatewayConfig,
) -> Gateway:
    """Build the gateway of one process.

    The caller opens and closes what it hands in: the database's pool, `gate.start()`, `sender.start()`; and
    closes them after the gateway has drained. `http` calls Meta at the two configured addresses only, so its
    policy is `TRUSTED`.
    """
    graph = Graph(
        http,
        base_url=config.graph_url,
        version=config.graph_version,
        app_secret=config.app_secrets[0],
        uses_appsecret_proof=False,
        timeouts=Timeouts(
            connect_seconds=5.0,
            first_byte_seconds=config.meta_answer_seconds,
            total_seconds=config.meta_answer_seconds * 1.5,
        ),
        retries=2,
        backoff_seconds=0.25,
    )
    routes = RouteBook(database, keyring, system_token=config.system_token)
    templates = TemplateBook(database)
    journal = Journal(database)

    def forget_all() -> None:
        routes.forget_all()
        templates.forget_all()

    watch = Watch(
        database,
        {"channel_keys": routes.forget, "routes": routes.forget, "templates": templates.forget},
        on_gap=forget_all,
    )
    routes.trust(watch)
    context = Context(
        config=config,
        database=database,
        keyring=keyring,
        graph=graph,
        media=MediaCalls(graph, app_id=config.app_id, origins=(config.media_url,)),
        routes=routes,
        sends=Sends(
            gate=gate,
            graph=graph,
            templates=templates,
            journal=journal,
            database=database,
            block_free_at_zero=config.block_free_at_zero,
        ),
        callbacks=Callbacks(database, routes, sender=sender),
        groups=GroupBook(graph),
        message_rate=Rate(per_second=config.messages_per_second, burst=int(config.messages_per_second * 2)),
        configuration_rate=Rate(
            per_second=config.configurations_per_second, burst=int(config.configurations_per_second * 10)
        ),
    )
    return Gateway(context, watch, journal)


__all__ = ["Gateway", "GatewayConfig", "Style", "create_gateway"]
