"""From a path to a handler, and from its outcome to bytes: the one entrance to Graph.

`/{node}/{edge}` is looked up by the kind of object the node id names. Faults, recording, the error envelope
and the usage headers live here, so that handlers only speak of their subject.
"""

from __future__ import annotations

import asyncio
import time as monotonic
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from partnerhub.kit import logs
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.errors import GraphError, is_throttle, unknown_object
from partnerhub.simulator.faults import Fault
from partnerhub.simulator.graph import (
    access,
    apps,
    block_list,
    businesses,
    media,
    messages,
    numbers,
    oauth,
    profile,
    templates,
    wabas,
)
from partnerhub.simulator.graph.call import Call, Reply, parse_query, split_path
from partnerhub.simulator.model import (
    Allocation,
    App,
    Business,
    Entity,
    Json,
    Media,
    Number,
    Step,
    Template,
    Upload,
    Waba,
)
from partnerhub.simulator.recorder import RecordedCall

log = logs.get(__name__)

Handler = Callable[
    [Simulator, Call, Any], Awaitable[Json]
]  # Any: the node, of the kind the table is keyed by

_encode = msgspec.json.Encoder().encode

_RECORDED_BYTES = 65_536

ROOT: dict[tuple[str, str], Callable[[Simulator, Call], Awaitable[Json]]] = {
    ("GET", "/oauth/access_token"): oauth.access_token,
    ("POST", "/oauth/access_token"): oauth.access_token,
    ("GET", "/debug_token"): oauth.debug_token,
    ("GET", "/me"): oauth.me,
}

NODES: Mapping[type[Entity], dict[tuple[str, str], Handler]] = {
    App: {
        ("GET", ""): apps.get_app,
        ("GET", "subscriptions"): apps.list_subscriptions,
        ("POST", "subscriptions"): apps.subscribe,
        ("DELETE", "subscriptions"): apps.unsubscribe,
        ("POST", "uploads"): apps.open_upload,
    },
    Upload: {
        ("GET", ""): apps.get_upload,
        ("POST", ""): apps.send_upload,
    },
    Business: {
        ("GET", ""): businesses.get_business,
        ("GET", "owned_whatsapp_business_accounts"): businesses.owned_wabas,
        ("GET", "client_whatsapp_business_accounts"): businesses.client_wabas,
        ("GET", "extendedcredits"): businesses.extended_credits,
        ("GET", "system_users"): businesses.system_users,
    },
    Allocation: {
        ("GET", ""): businesses.get_allocation,
        ("DELETE", ""): businesses.revoke_allocation,
    },
    Waba: {
        ("GET", ""): wabas.get_waba,
        ("POST", ""): wabas.update_waba,
        ("GET", "phone_numbers"): wabas.list_numbers,
        ("POST", "phone_numbers"): wabas.add_number,
        ("GET", "subscribed_apps"): wabas.list_subscribed_apps,
        ("POST", "subscribed_apps"): wabas.subscribe_app,
        ("DELETE", "subscribed_apps"): wabas.unsubscribe_app,
        ("GET", "assigned_users"): wabas.list_assigned_users,
        ("POST", "assigned_users"): wabas.assign_user,
        ("DELETE", "assigned_users"): wabas.unassign_user,
        ("GET", "message_templates"): templates.list_templates,
        ("POST", "message_templates"): templates.create,
        ("DELETE", "message_templates"): templates.delete,
    },
    Number: {
        ("GET", ""): numbers.get_number,
        ("POST", ""): numbers.update_number,
        ("POST", "register"): numbers.register,
        ("POST", "deregister"): numbers.deregister,
        ("POST", "request_code"): numbers.request_code,
        ("POST", "verify_code"): numbers.verify_code,
        ("GET", "settings"): numbers.get_settings,
        ("POST", "settings"): numbers.update_settings,
        ("POST", "media"): media.upload,
        ("GET", "whatsapp_business_profile"): profile.get_profile,
        ("POST", "whatsapp_business_profile"): profile.update_profile,
        ("GET", "conversational_automation"): profile.get_automation,
        ("POST", "conversational_automation"): profile.update_automation,
        ("GET", "whatsapp_business_encryption"): profile.get_encryption,
        ("POST", "whatsapp_business_encryption"): profile.set_encryption,
        ("GET", "username"): profile.get_username,
        ("POST", "username"): profile.set_username,
        ("DELETE", "username"): profile.delete_username,
        ("GET", "block_users"): block_list.list_blocked,
        ("POST", "block_users"): block_list.block,
        ("DELETE", "block_users"): block_list.unblock,
    },
    Template: {
        ("GET", ""): templates.get_template,
        ("POST", ""): templates.edit,
        ("POST", "unpause"): templates.unpause,
    },
    Media: {
        ("GET", ""): media.metadata,
        ("DELETE", ""): media.delete,
    },
}

_CREDIT: dict[tuple[str, str], Handler] = {
    ("POST", "whatsapp_credit_sharing_and_attach"): businesses.share_and_attach_credit,
    ("POST", "whatsapp_credit_sharing"): businesses.share_credit,
    ("POST", "whatsapp_credit_attach"): businesses.attach_credit,
    ("GET", "owning_credit_allocation_configs"): businesses.list_allocations,
}

_UNCOUNTED_EDGES = frozenset({"messages", "marketing_messages", "media"})


async def serve(
    sim: Simulator, scope: Any, receive: Any, send: Any
) -> None:  # Any: ASGI's own untyped protocol
    """Answer one HTTP request as Graph."""
    event = await receive()
    body: bytes = event.get("body", b"")
    if event.get("more_body", False):
        parts = [body]
        while event.get("more_body", False):
            event = await receive()
            parts.append(event.get("body", b""))
        body = b"".join(parts)
    if event["type"] == "http.disconnect":
        return
    version, path = split_path(scope["path"])
    call = Call(
        method=scope["method"],
        path=path,
        version=version,
        segments=path.strip("/").split("/"),
        query=parse_query(scope["query_string"]),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
    )
    started = monotonic.perf_counter()
    trace = sim.world.ids.trace()
    error_code: int | None = None
    faults: list[Fault] = []
    try:
        if not sim.faults.is_empty:
            faults = _match_faults(sim, call)
            await _before(faults, call)
        reply = await _handle(sim, call)
    except GraphError as problem:
        error_code = problem.number
        status = problem.http
        if status == 400 and is_throttle(problem.number):
            status = sim.world.rules.throttle_status
        reply = Reply(status=status, body=_encode(problem.envelope(trace)))
    except _ResetBeforeAccept:
        reply = Reply(status=0)
    except Exception as problem:
        log.exception("simulator_crashed", path=path)
        error_code = 1
        reply = Reply(status=500, body=_encode(GraphError(1, str(problem)).envelope(trace)))
    for fault in faults:
        reply = _after(fault, reply)
    _record(sim, call, reply, error_code, started)
    await _answer(scope, send, call, reply, trace)


class _ResetBeforeAccept(Exception):
    """The connection breaks before the call was looked at."""


def _match_faults(sim: Simulator, call: Call) -> list[Fault]:
    node = sim.world.find_node(call.segments[0])
    waba = access.waba_of(sim.world, node) if node is not None else None
    recipient = None
    if call.segments[-1] in {"messages", "marketing_messages"}:
        try:
            recipient = "".join(
                character for character in str(call.params().get("to", "")) if character.isdigit()
            )
        except GraphError:
            recipient = None
    return sim.faults.match_call(
        method=call.method,
        path=call.path,
        number_id=node.id if isinstance(node, Number) else None,
        waba_id=waba.id if waba is not None else None,
        recipient=recipient,
    )


async def _before(faults: list[Fault], call: Call) -> None:
    for fault in faults:
        match fault.action:
            case "latency":
                await asyncio.sleep(fault.seconds)
            case "error":
                raise GraphError(fault.code or 131000, fault.details or None, http=fault.http_status)
            case "expired_token":
                raise access.expired()
            case "reset_before":
                raise _ResetBeforeAccept
            case "failed_status":
                call.failure = Step(
                    due=0.0, status="failed", code=fault.code or 131000, details=fault.details
                )
            case "no_statuses":
                call.without_statuses = True
            case _:
                pass


def _after(fault: Fault, reply: Reply) -> Reply:
    match fault.action:
        case "reset_after":
            return Reply(status=0)
        case "malformed_json":
            return Reply(status=reply.status, body=reply.body[: max(1, len(reply.body) // 2)])
        case "html_error":
            return Reply(
                status=fault.http_status or 502,
                body=b"<!DOCTYPE html><html><body><h1>Sorry, something went wrong.</h1></body></html>",
                content_type="text/html; charset=utf-8",
            )
        case _:
            return reply


async def _handle(sim: Simulator, call: Call) -> Reply:
    world = sim.world
    segments = call.segments
    if call.method == "POST" and len(segments) == 2 and segments[1] in {"messages", "marketing_messages"}:
        token = call.token = access.authenticate(world, call)
        number = world.get(Number, segments[0])
        access.authorize(world, token, number, edge=segments[1], method="post")
        return await messages.send(sim, call, number, through_marketing=segments[1] == "marketing_messages")
    if (root := ROOT.get((call.method, call.path))) is not None:
        return Reply(body=_encode(await root(sim, call)))
    if call.path == "/whatsapp_business/attachments" and call.method == "GET":
        return await media.download(sim, call)
    call.token = access.authenticate(world, call)
    edge = segments[1] if len(segments) == 2 else ""
    if len(segments) > 2 or not segments[0]:
        raise _unknown_path(call)
    if (credit := _CREDIT.get((call.method, edge))) is not None:
        owner = businesses.find_credit_line(sim, segments[0])
        if owner is not None:
            access.authorize(world, call.token, owner, edge=edge, method=call.method)
            return Reply(body=_encode(await credit(sim, call, owner)))
    node = world.find_node(segments[0])
    if node is None:
        if call.method == "GET" and not edge:
            media.count_unknown(sim, call)
        raise unknown_object(segments[0], call.method)
    access.authorize(world, call.token, node, edge=edge, method=call.method)
    handler = NODES.get(type(node), {}).get((call.method, edge))
    if handler is None:
        raise _unknown_path(call) if edge else unknown_object(segments[0], call.method)
    _count(sim, call, node, edge)
    return Reply(body=_encode(await handler(sim, call, node)))


def _unknown_path(call: Call) -> GraphError:
    return GraphError(2500, message=f"Unknown path components: {call.path}", http=400)


def _count(sim: Simulator, call: Call, node: Entity, edge: str) -> None:
    waba = access.waba_of(sim.world, node)
    if waba is None or edge in _UNCOUNTED_EDGES or isinstance(node, Media):
        return
    assert call.token is not None
    registered = any(number.is_registered for number in sim.world.list_numbers(waba.id))
    call.usage_of = waba.business_id
    call.usage = sim.limits.count_management(call.token.app_id, waba.id, has_registered_number=registered)


def _record(sim: Simulator, call: Call, reply: Reply, error_code: int | None, started: float) -> None:
    edge = (
        call.segments[1]
        if len(call.segments) > 1
        else call.segments[0]
        if call.path == "/debug_token"
        else ""
    )
    sim.recorder.counts[(call.method, edge, reply.status)] += 1
    token = call.token
    sim.recorder.calls.append(
        RecordedCall(
            at=sim.world.clock.time(),
            method=call.method,
            path=call.path,
            version=call.version,
            query={name: value for name, value in call.query.items() if name not in _SECRET_PARAMETERS},
            body=call.body[:_RECORDED_BYTES].decode("utf-8", "replace")
            if "multipart" not in call.headers.get("content-type", "")
            else f"<{len(call.body)} bytes of multipart>",
            token=f"{token.type} {token.user_id} …{token.id[-4:]}" if token is not None else "",
            status=reply.status,
            error_code=error_code,
            milliseconds=round((monotonic.perf_counter() - started) * 1_000, 3),
            number_id=call.segments[0] if call.segments[0] in sim.world.table(Number) else None,
            user_agent=call.headers.get("user-agent", ""),
        )
    )


_SECRET_PARAMETERS = frozenset({"access_token", "client_secret", "input_token", "code", "appsecret_proof"})


async def _answer(scope: Any, send: Any, call: Call, reply: Reply, trace: str) -> None:  # Any: ASGI
    if reply.status == 0:
        abort = scope.get("extensions", {}).get("simulator.abort")
        if abort is not None:
            abort()
            return
        reply = Reply(status=502, body=b"connection reset", content_type="text/plain")
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        (b"facebook-api-version", (call.version or "v25.0").encode()),
        (b"x-fb-trace-id", trace.encode()),
        (b"x-fb-request-id", trace.encode()),
        (b"x-app-usage", b'{"call_count":1,"total_cputime":1,"total_time":1}'),
        (b"cache-control", b"private, no-cache, no-store, must-revalidate"),
        *reply.headers,
    ]
    if call.usage is not None:
        used = {
            call.usage_of: [
                {
                    "type": "whatsapp_business_management",
                    "call_count": round(call.usage * 100),
                    "total_cputime": 1,
                    "total_time": 1,
                    "estimated_time_to_regain_access": 0,
                }
            ]
        }
        headers.append((b"x-business-use-case-usage", _encode(used)))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
