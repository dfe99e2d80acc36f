"""Routes that answer what happened: calls, callbacks, events, messages, counts, assets."""

from __future__ import annotations

import json

import msgspec
from litestar import delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from partnerhub.kit.errors import Invalid, NotFound
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.model import (
    App,
    Business,
    Json,
    Number,
    PreverifiedNumber,
    SignupCode,
    Template,
    User,
    Waba,
)
from partnerhub.simulator.recorder import RecordedCall
from partnerhub.simulator.store import Row, Value

_CALLBACK = "seq, app_id, entry_id, field, number_id, events, created_at, state, attempts, due_at, acked_at"
_STATES = frozenset({"pending", "acked", "expired", "dropped"})


@get("/state")
async def state(sim: NamedDependency[Simulator]) -> Json:
    """Return how much there is of everything, and what is still under way."""
    world = sim.world
    return {
        "counts": {
            "apps": len(world.table(App)),
            "businesses": len(world.table(Business)),
            "wabas": len(world.table(Waba)),
            "numbers": len(world.table(Number)),
            "templates": len(world.table(Template)),
            "users": len(world.table(User)),
        },
        "owed": {"callbacks": sim.callbacks.owed, "messages_and_reviews": sim.lifecycle.owed},
        "rules": msgspec.to_builtins(world.rules),
        "clock": {"now": world.clock.now().isoformat(), "shift_seconds": world.clock.shift_seconds},
    }


@get("/apps")
async def list_apps(sim: NamedDependency[Simulator]) -> list[Json]:
    """List apps, without their secrets."""
    apps: list[Json] = [msgspec.to_builtins(app) for app in sim.world.table(App).values()]
    for app in apps:
        app.pop("secret")
        if app["subscription"]:
            app["subscription"].pop("verify_token")
    return apps


@get("/businesses")
async def list_businesses(sim: NamedDependency[Simulator]) -> list[Business]:
    """List businesses."""
    return list(sim.world.table(Business).values())


@get("/wabas")
async def list_wabas(sim: NamedDependency[Simulator]) -> list[Json]:
    """List WABAs, without verify tokens."""
    wabas: list[Json] = [msgspec.to_builtins(waba) for waba in sim.world.table(Waba).values()]
    for waba in wabas:
        for subscription in waba["subscriptions"].values():
            subscription.pop("verify_token")
    return wabas


@get("/numbers")
async def list_numbers(
    sim: NamedDependency[Simulator], waba_id: FromQuery[str | None] = None
) -> list[Number]:
    """List numbers, with their PINs and verification codes: a person needs them here."""
    return [number for number in sim.world.table(Number).values() if waba_id in {None, number.waba_id}]


@get("/numbers/{number_id:str}")
async def get_number(sim: NamedDependency[Simulator], number_id: FromPath[str]) -> Number:
    """Return one number."""
    number = sim.world.table(Number).get(number_id)
    if number is None:
        raise NotFound(f"There is no number {number_id}.")
    return number


@get("/templates")
async def list_templates(
    sim: NamedDependency[Simulator], waba_id: FromQuery[str | None] = None
) -> list[Template]:
    """List templates."""
    return [
        template for template in sim.world.table(Template).values() if waba_id in {None, template.waba_id}
    ]


@get("/users")
async def list_users(sim: NamedDependency[Simulator], limit: FromQuery[int] = 1_000) -> list[User]:
    """List customers."""
    return list(sim.world.table(User).values())[:limit]


@get("/preverified_numbers")
async def list_preverified(sim: NamedDependency[Simulator]) -> list[PreverifiedNumber]:
    """List pre-verified numbers."""
    return list(sim.world.table(PreverifiedNumber).values())


@get("/codes")
async def list_codes(sim: NamedDependency[Simulator]) -> list[SignupCode]:
    """List the codes of Embedded Signup and whether they were used."""
    return list(sim.world.table(SignupCode).values())


@get("/calls")
async def list_calls(
    *,
    sim: NamedDependency[Simulator],
    path: FromQuery[str | None] = None,
    method: FromQuery[str | None] = None,
    number_id: FromQuery[str | None] = None,
    contains: FromQuery[str | None] = None,
    status: FromQuery[int | None] = None,
    limit: FromQuery[int] = 100,
) -> list[RecordedCall]:
    """List recorded Graph calls, newest first; `path` matches its end, `contains` looks into the body."""
    found: list[RecordedCall] = []
    for call in reversed(sim.recorder.calls):
        if (
            (path is None or call.path.endswith(path))
            and (method is None or call.method == method.upper())
            and (number_id is None or call.number_id == number_id)
            and (contains is None or contains in call.body)
            and (status is None or call.status == status)
        ):
            found.append(call)
            if len(found) >= limit:
                break
    return found


@delete("/calls", status_code=200)
async def clear_calls(sim: NamedDependency[Simulator]) -> Json:
    """Forget recorded calls and their counts."""
    sim.recorder.clear()
    return {"calls": 0}


def _callback(row: Row) -> Json:
    names = _CALLBACK.split(", ")
    found: Json = dict(zip(names, row, strict=True))
    found["events"] = json.loads(str(found["events"]))
    return found


@get("/callbacks")
async def list_callbacks(
    *,
    sim: NamedDependency[Simulator],
    callback_state: FromQuery[str | None] = None,
    field: FromQuery[str | None] = None,
    number_id: FromQuery[str | None] = None,
    wamid: FromQuery[str | None] = None,
    after: FromQuery[int] = 0,
    limit: FromQuery[int] = 100,
) -> list[Json]:
    """List callbacks in the order they came to be, from `after` on."""
    conditions, values = ["seq > ?"], [after]
    wanted: list[Value] = [*values]
    if callback_state is not None:
        if callback_state not in _STATES:
            raise Invalid("callback_state must be pending, acked, expired or dropped.")
        conditions.append("state = ?")
        wanted.append(callback_state)
    if field is not None:
        conditions.append("field = ?")
        wanted.append(field)
    if number_id is not None:
        conditions.append("number_id = ?")
        wanted.append(number_id)
    if wamid is not None:
        conditions.append("instr(events, ?) > 0")
        wanted.append(wamid)
    rows = await sim.store.query(
        f"select {_CALLBACK} from callbacks where {' and '.join(conditions)} order by seq limit ?",
        (*wanted, limit),
    )
    return [_callback(row) for row in rows]


@get("/callbacks/{seq:int}")
async def get_callback(sim: NamedDependency[Simulator], seq: FromPath[int]) -> Json:
    """Return one callback with its body and every attempt."""
    rows = await sim.store.query(f"select {_CALLBACK} from callbacks where seq = ?", (seq,))
    if not rows:
        raise NotFound(f"There is no callback {seq}.")
    found = _callback(rows[0])
    body = (await sim.store.query("select body from callbacks where seq = ?", (seq,)))[0][0]
    assert isinstance(body, bytes)
    found["body"] = body.decode()
    names = ("n", "at", "milliseconds", "status", "error", "answer", "url")
    attempts = await sim.store.query(
        f"select {', '.join(names)} from attempts where callback_seq = ? order by n", (seq,)
    )
    found["attempt_log"] = [dict(zip(names, attempt, strict=True)) for attempt in attempts]
    return found


@get("/events")
async def list_events(
    *,
    sim: NamedDependency[Simulator],
    is_acked: FromQuery[bool | None] = None,
    kind: FromQuery[str | None] = None,
    since: FromQuery[float] = 0.0,
    after: FromQuery[int] = 0,
    limit: FromQuery[int] = 10_000,
) -> list[Json]:
    """List single events: `is_acked=true` are those for which a receiver answered 200.

    An event is `{callback, app_id, kind, id, what, is_acked}`; `kind` is `status`, `message` or `field`.
    Events of one batch share a callback. `after` is the last callback seen, `limit` counts callbacks.
    """
    conditions, values = ["seq > ?", "created_at >= ?"], [float(after), since]
    if is_acked is not None:
        conditions.append("state = 'acked'" if is_acked else "state != 'acked'")
    rows = await sim.store.query(
        f"select seq, app_id, events, state from callbacks where {' and '.join(conditions)} "
        "order by seq limit ?",
        (*values, limit),
    )
    return [
        {
            "callback": seq,
            "app_id": app_id,
            "kind": event[0],
            "id": event[1],
            "what": event[2],
            "is_acked": callback_state == "acked",
        }
        for seq, app_id, events, callback_state in rows
        for event in json.loads(str(events))
        if kind in {None, event[0]}
    ]


@get("/messages")
async def list_messages(
    *,
    sim: NamedDependency[Simulator],
    number_id: FromQuery[str | None] = None,
    wa_id: FromQuery[str | None] = None,
    direction: FromQuery[str | None] = None,
    wamid: FromQuery[str | None] = None,
    after: FromQuery[int] = 0,
    limit: FromQuery[int] = 100,
) -> list[Json]:
    """List messages in both directions, in order, from `after` on."""
    conditions = ["seq > ?"]
    values: list[Value] = [after]
    for name, value in (
        ("number_id", number_id),
        ("wa_id", wa_id),
        ("direction", direction),
        ("wamid", wamid),
    ):
        if value is not None:
            conditions.append(f"{name} = ?")
            values.append(value)
    names = ("seq", "wamid", "number_id", "wa_id", "direction", "type", "at", "status", "next_due")
    rows = await sim.store.query(
        f"select {', '.join(names)}, body, state from messages where {' and '.join(conditions)} "
        "order by seq limit ?",
        (*values, limit),
    )
    found = []
    for row in rows:
        body, moving = row[-2], row[-1]
        assert isinstance(body, bytes)
        assert isinstance(moving, bytes)
        found.append(
            {
                **dict(zip(names, row[:-2], strict=True)),
                "body": json.loads(body),
                "state": json.loads(moving),
            }
        )
    return found


@get("/counts")
async def counts(sim: NamedDependency[Simulator]) -> Json:
    """Count calls, messages by status, callbacks by state, attempts by answer."""
    messages = await sim.store.query("select direction, status, count(*) from messages group by 1, 2")
    callbacks = await sim.store.query("select state, count(*) from callbacks group by 1")
    attempts = await sim.store.query(
        "select coalesce(cast(status as text), 'none'), count(*) from attempts group by 1"
    )
    return {
        "calls": [
            {"method": method, "edge": edge, "status": status, "count": count}
            for (method, edge, status), count in sorted(sim.recorder.counts.items())
        ],
        "messages": [
            {"direction": direction, "status": status, "count": count}
            for direction, status, count in messages
        ],
        "callbacks": {str(name): count for name, count in callbacks},
        "attempts": {str(answer): count for answer, count in attempts},
        "owed": sim.callbacks.owed + sim.lifecycle.owed,
    }


HANDLERS = [
    state,
    list_apps,
    list_businesses,
    list_wabas,
    list_numbers,
    get_number,
    list_templates,
    list_users,
    list_preverified,
    list_codes,
    list_calls,
    clear_calls,
    list_callbacks,
    get_callback,
    list_events,
    list_messages,
    counts,
]
