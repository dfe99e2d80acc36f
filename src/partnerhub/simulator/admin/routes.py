"""Routes that change the simulated Meta: seed, inject, decide, break, move time, reset."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from partnerhub.kit.errors import Invalid, NotFound
from partnerhub.simulator import inbound, review
from partnerhub.simulator.admin import seeding
from partnerhub.simulator.admin.schemas import (
    AppBody,
    BusinessBody,
    ClockBody,
    EventBody,
    NumberBody,
    NumberChange,
    PreverifiedBody,
    SeedBody,
    StatusBody,
    TemplateBody,
    TemplateDecision,
    TokenBody,
    UserBody,
    WabaBody,
    WindowBody,
)
from partnerhub.simulator.config import Rules
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.errors import TITLES
from partnerhub.simulator.faults import Fault
from partnerhub.simulator.model import (
    App,
    Business,
    Json,
    Number,
    PreverifiedNumber,
    Template,
    Token,
    User,
    Waba,
)
from partnerhub.simulator.signup import flow


@post("/seed", status_code=200)
async def seed(sim: NamedDependency[Simulator], data: JSONBody[SeedBody]) -> seeding.Seeded:
    """Make a business, its WABA, numbers, templates, customers and a token in one call."""
    made = seeding.seed(sim, data)
    await sim.store.commit()
    return made


@put("/apps")
async def put_app(sim: NamedDependency[Simulator], data: JSONBody[AppBody]) -> App:
    """Make or change an app."""
    made = seeding.put_app(sim, data)
    await sim.store.commit()
    return made


@put("/businesses")
async def put_business(sim: NamedDependency[Simulator], data: JSONBody[BusinessBody]) -> Business:
    """Make or change a business."""
    made = seeding.put_business(sim, data)
    await sim.store.commit()
    return made


@put("/wabas")
async def put_waba(sim: NamedDependency[Simulator], data: JSONBody[WabaBody]) -> Waba:
    """Make or change a WABA."""
    made = seeding.put_waba(sim, data)
    await sim.store.commit()
    return made


@put("/wabas/{waba_id:str}/numbers")
async def put_number(
    sim: NamedDependency[Simulator], waba_id: FromPath[str], data: JSONBody[NumberBody]
) -> Number:
    """Make or change a number of a WABA, ready to send unless told otherwise."""
    made = seeding.put_number(sim, data, waba_id=waba_id)
    await sim.store.commit()
    return made


@put("/wabas/{waba_id:str}/templates")
async def put_template(
    sim: NamedDependency[Simulator], waba_id: FromPath[str], data: JSONBody[TemplateBody]
) -> Template:
    """Make or change a template without review."""
    made = seeding.put_template(sim, data, waba_id=waba_id)
    await sim.store.commit()
    return made


@put("/users")
async def put_user(sim: NamedDependency[Simulator], data: JSONBody[UserBody]) -> User:
    """Make or change a customer; one whose phone is on again gets what waited for it."""
    made = seeding.put_user(sim, data)
    await sim.store.commit()
    if data.is_reachable is True:
        await sim.lifecycle.come_online(made.id)
    return made


@put("/tokens")
async def put_token(sim: NamedDependency[Simulator], data: JSONBody[TokenBody]) -> Token:
    """Make or change an access token."""
    made = seeding.put_token(sim, data)
    await sim.store.commit()
    return made


@put("/preverified_numbers")
async def put_preverified(
    sim: NamedDependency[Simulator], data: JSONBody[PreverifiedBody]
) -> PreverifiedNumber:
    """Make or change a pre-verified number."""
    made = seeding.put_preverified(sim, data)
    await sim.store.commit()
    return made


@patch("/numbers/{number_id:str}")
async def change_number(
    sim: NamedDependency[Simulator], number_id: FromPath[str], data: JSONBody[NumberChange]
) -> Json:
    """Change quality, limits, status or name of a number, with the webhooks that follow."""
    number = _number(sim, number_id)
    callbacks = seeding.change_number(sim, number, data)
    await sim.store.commit()
    return {"number": msgspec.to_builtins(number), "callbacks": callbacks}


@delete("/numbers/{number_id:str}", status_code=200)
async def delete_number(sim: NamedDependency[Simulator], number_id: FromPath[str]) -> Json:
    """Remove a number."""
    sim.world.delete(_number(sim, number_id))
    await sim.store.commit()
    return {"deleted": number_id}


@post("/numbers/{number_id:str}/inbound", status_code=200)
async def inject(
    sim: NamedDependency[Simulator], number_id: FromPath[str], data: JSONBody[inbound.Inbound]
) -> inbound.Received:
    """Let a customer send a message of any type."""
    return await inbound.receive(sim, _number(sim, number_id), data)


@post("/numbers/{number_id:str}/window", status_code=200)
async def set_window(
    sim: NamedDependency[Simulator], number_id: FromPath[str], data: JSONBody[WindowBody]
) -> Json:
    """Open or close a customer's service window."""
    number = _number(sim, number_id)
    wa_id = "".join(character for character in data.user if character.isdigit())
    if data.is_open:
        inbound.open_window(sim, number, wa_id, seconds_ago=data.seconds_ago, by_ad=data.by_ad)
    else:
        inbound.close_window(sim, number, wa_id)
    await sim.store.commit()
    return {"is_open": sim.world.is_window_open(number, wa_id)}


@post("/templates/{template_id:str}/decision", status_code=200)
async def decide(
    sim: NamedDependency[Simulator], template_id: FromPath[str], data: JSONBody[TemplateDecision]
) -> Json:
    """Decide about a template now, or lay down what its review will decide."""
    template = seeding.find(sim, Template, template_id)
    assert isinstance(template, Template)
    if data.when not in {"now", "review"}:
        raise Invalid("when must be now or review.", fields={"when": "unknown"})
    if data.when == "review":
        template.decision = {"status": data.status, "reason": data.reason, "category": data.category}
        sim.world.save(template)
        await sim.store.commit()
        return {"template": msgspec.to_builtins(template), "callbacks": []}
    changes: list[tuple[str, Json]] = []
    if data.quality_score is not None:
        changes.append(("message_template_quality_update", review.set_quality(template, data.quality_score)))
    if data.category is not None and data.category != template.category:
        changes.append(("template_category_update", review.change_category(template, data.category)))
    if data.status != template.status or not changes:
        template.review_due = None
        told = (
            review.pause(sim.world, template)
            if data.status == "PAUSED" and data.title is None
            else review.set_status(template, data.status, data.reason, title=data.title)
        )
        changes.append(("message_template_status_update", told))
    sim.world.save(template)
    sim.lifecycle.schedule(template)
    waba = sim.world.get(Waba, template.waba_id)
    callbacks = [
        callback
        for field, value in changes
        for callback in sim.callbacks.emit(
            waba=waba,
            field=field,
            value=value,
            event=("field", template.id, str(value.get("event", field))),
            time=int(sim.world.clock.time()),
        )
    ]
    await sim.store.commit()
    return {"template": msgspec.to_builtins(template), "callbacks": callbacks}


@post("/events", status_code=200)
async def emit(sim: NamedDependency[Simulator], data: JSONBody[EventBody]) -> Json:
    """Send any webhook."""
    waba = seeding.find(sim, Waba, data.waba_id) if data.waba_id is not None else None
    assert waba is None or isinstance(waba, Waba)
    number = _number(sim, data.number_id) if data.number_id is not None else None
    callbacks: list[int] = []
    for _ in range(data.copies):
        callbacks += sim.callbacks.emit(
            waba=waba,
            number=number,
            entry_id=data.entry_id,
            field=data.field,
            value=data.value,
            event=("field", data.entry_id or data.waba_id or "", str(data.value.get("event", data.field))),
            time=data.time,
        )
    await sim.store.commit()
    return {"callbacks": callbacks}


@post("/messages/{wamid:str}/status", status_code=200)
async def force_status(
    sim: NamedDependency[Simulator], wamid: FromPath[str], data: JSONBody[StatusBody]
) -> Json:
    """Give a message a status now, whatever was planned."""
    if data.status not in {"sent", "delivered", "read", "played", "failed"}:
        raise Invalid("status must be sent, delivered, read, played or failed.", fields={"status": "unknown"})
    if not await sim.lifecycle.force(wamid, data.status, code=data.code or 131000, details=data.details):
        raise NotFound(f"There is no message {wamid}.")
    return {"wamid": wamid, "status": data.status}


@get("/rules")
async def get_rules(sim: NamedDependency[Simulator]) -> Rules:
    """Return the rules in force."""
    return sim.world.rules


@patch("/rules")
async def change_rules(
    sim: NamedDependency[Simulator], data: JSONBody[dict[str, Any]]
) -> Rules:  # Any: any rule
    """Change single rules; they stay changed over a restart."""
    try:
        changed = msgspec.convert({**msgspec.to_builtins(sim.world.rules), **data}, Rules)
    except msgspec.ValidationError as problem:
        raise Invalid(str(problem), fields={"rules": str(problem)}) from problem
    sim.world.set_rules(changed)
    await sim.store.commit()
    return changed


@get("/clock")
async def get_clock(sim: NamedDependency[Simulator]) -> Json:
    """Return virtual time."""
    return _clock(sim)


@post("/clock", status_code=200)
async def move_clock(sim: NamedDependency[Simulator], data: JSONBody[ClockBody]) -> Json:
    """Move virtual time; everything that becomes due happens at once."""
    shift = sim.world.clock.shift_seconds
    if data.shift_seconds is not None:
        shift = data.shift_seconds
    if data.advance_seconds is not None:
        shift += data.advance_seconds
    clock = sim.world.clock
    frozen_at = clock.frozen_at
    if frozen_at is not None and data.advance_seconds is not None:
        frozen_at += data.advance_seconds
    if data.is_frozen is not None:
        frozen_at = (frozen_at or clock.time()) if data.is_frozen else None
    sim.world.shift_clock(shift)
    clock.freeze(frozen_at)
    await sim.store.commit()
    return _clock(sim)


def _clock(sim: Simulator) -> Json:
    return {
        "now": sim.world.clock.now().isoformat(),
        "timestamp": sim.world.clock.time(),
        "shift_seconds": sim.world.clock.shift_seconds,
        "is_frozen": not sim.world.clock.is_running,
    }


@get("/faults")
async def list_faults(sim: NamedDependency[Simulator]) -> list[Fault]:
    """List the faults in force."""
    return sim.faults.in_force()


@post("/faults", status_code=200)
async def add_fault(sim: NamedDependency[Simulator], data: JSONBody[Fault]) -> Fault:
    """Put a fault in force."""
    if data.action in {"error", "failed_status"} and data.code is not None and data.code not in TITLES:
        raise Invalid("code is not one of Meta's error codes.", fields={"code": "unknown"})
    return sim.faults.add(data)


@delete("/faults", status_code=200)
async def clear_faults(sim: NamedDependency[Simulator]) -> Json:
    """Lift every fault."""
    sim.faults.clear()
    return {"faults": []}


@delete("/faults/{fault_id:str}", status_code=200)
async def remove_fault(sim: NamedDependency[Simulator], fault_id: FromPath[str]) -> Json:
    """Lift one fault."""
    if not sim.faults.remove(fault_id):
        raise NotFound(f"There is no fault {fault_id}.")
    return {"deleted": fault_id}


@post("/callbacks/release", status_code=200)
async def release(sim: NamedDependency[Simulator]) -> Json:
    """Send everything a `hold` fault kept back, newest first."""
    return {"released": sim.callbacks.release_held()}


@post("/callbacks/pause", status_code=200)
async def pause(sim: NamedDependency[Simulator]) -> Json:
    """Stop delivering; events go on being owed."""
    sim.callbacks.pause()
    return {"is_paused": True}


@post("/callbacks/resume", status_code=200)
async def resume(sim: NamedDependency[Simulator]) -> Json:
    """Go on delivering."""
    sim.callbacks.resume()
    return {"is_paused": False}


@post("/callbacks/{seq:int}/redeliver", status_code=200)
async def redeliver(sim: NamedDependency[Simulator], seq: FromPath[int]) -> Json:
    """Send a callback once more, as a duplicate of Meta's would come."""
    if not await sim.callbacks.redeliver(seq):
        raise NotFound(f"There is no callback {seq}.")
    await sim.store.commit()
    return {"seq": seq}


@post("/reset", status_code=200)
async def reset(sim: NamedDependency[Simulator]) -> Json:
    """Forget everything but the configuration."""
    await sim.reset()
    return {"reset": True}


def _number(sim: Simulator, number_id: str) -> Number:
    number = seeding.find(sim, Number, number_id)
    assert isinstance(number, Number)
    return number


@post("/signups", status_code=200)
async def sign_up(sim: NamedDependency[Simulator], data: JSONBody[flow.Finish]) -> flow.Finished:
    """Finish an Embedded Signup without its dialog; a new number needs no verification code here."""
    if data.number is not None and data.number.phone_number is not None and not data.number.code:
        data.number.code = flow.verification_code(sim, flow.digits_of(data.number.phone_number))
    return await flow.finish(sim, data)


HANDLERS = [
    sign_up,
    seed,
    put_app,
    put_business,
    put_waba,
    put_number,
    put_template,
    put_user,
    put_token,
    put_preverified,
    change_number,
    delete_number,
    inject,
    set_window,
    decide,
    emit,
    force_status,
    get_rules,
    change_rules,
    get_clock,
    move_clock,
    list_faults,
    add_fault,
    clear_faults,
    remove_fault,
    release,
    pause,
    resume,
    redeliver,
    reset,
]
