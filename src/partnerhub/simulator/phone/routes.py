"""Routes of the phone: its two pages, what they poll, and what pressing does."""

from __future__ import annotations

import json
from typing import TypedDict

import msgspec
from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from partnerhub.kit.errors import NotFound
from partnerhub.simulator import inbound, media, pages
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.model import App, Json, Media, MessageState, Number, User, Waba
from partnerhub.simulator.phone import view

_SHOWN = 100
_CUSTOMERS = 60
_VISIBLE = frozenset({"delivered", "read", "played"})


class Chat(msgspec.Struct, kw_only=True):
    """One line of the chat list."""

    number_id: str
    name: str
    display: str


class Screen(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a phone shows now; without `messages` when nothing changed since `revision`."""

    revision: int
    is_typing: bool = False
    name: str = ""
    is_reachable: bool = True
    chats: list[Chat] | None = None
    bubbles: list[view.Bubble] | None = None


class Answer(msgspec.Struct, kw_only=True):
    """What the customer sends."""

    number_id: str
    type: str = "text"
    content: Json = {}
    context: Json | None = None
    file_base64: str | None = None
    mime_type: str | None = None


class Opened(msgspec.Struct, kw_only=True):
    """The customer looks at a chat."""

    number_id: str


class _Facts(TypedDict):
    wamid: str
    at: float
    status: str
    message: Json


@get("/", media_type=MediaType.HTML)
async def index(sim: NamedDependency[Simulator]) -> Response[str]:
    """Show what this simulator holds, and where to go."""
    world = sim.world
    wabas = world.table(Waba)
    return pages.page(
        "index.html",
        apps=list(world.table(App).values()),
        numbers=[(number, wabas[number.waba_id]) for number in world.table(Number).values()][:200],
        now=world.clock.now(),
        is_shifted=world.clock.shift_seconds != 0 or not world.clock.is_running,
        owed=sim.callbacks.owed + sim.lifecycle.owed,
        faults=len(sim.faults.in_force()),
    )


@get("/phone", media_type=MediaType.HTML)
async def phones(sim: NamedDependency[Simulator]) -> Response[str]:
    """List customers, the last active first."""
    rows = await sim.store.query(
        "select wa_id, max(seq) from messages group by wa_id order by 2 desc limit ?", (_CUSTOMERS,)
    )
    recent = [sim.world.user(str(wa_id)) for wa_id, _ in rows]
    seen = {user.id for user in recent}
    others = [user for user in sim.world.table(User).values() if user.id not in seen]
    return pages.page(
        "phones.html",
        users=[*recent, *others][:_CUSTOMERS],
        last=await _last_messages(sim),
    )


async def _last_messages(sim: Simulator) -> dict[str, str]:
    """Return the last message on each phone, in one line, by customer."""
    rows = await sim.store.query(
        "select wa_id, number_id, wamid, direction, at, status, body from messages where seq in"
        " (select max(seq) from messages where direction = 'in' or status in ('delivered', 'read', 'played')"
        " group by wa_id) order by seq desc limit ?",
        (_CUSTOMERS,),
    )
    numbers = sim.world.table(Number)
    found: dict[str, str] = {}
    for wa_id, number_id, wamid, direction, at, status, body in rows:
        assert isinstance(body, bytes)
        assert isinstance(at, float)
        number = numbers.get(str(number_id))
        facts: _Facts = {"wamid": str(wamid), "at": at, "status": str(status), "message": json.loads(body)}
        if direction == "in":
            bubble, sender = view.outgoing(sim.world, **facts), "You: "
        elif number is not None:
            bubble, sender = view.incoming(sim.world, number, **facts), f"{number.verified_name}: "
        else:
            continue
        found[str(wa_id)] = sender + (bubble.text or bubble.title or bubble.kind)
    return found


@get("/phone/{wa_id:str}", media_type=MediaType.HTML)
async def phone(sim: NamedDependency[Simulator], wa_id: FromPath[str]) -> Response[str]:
    """Show one customer's phone."""
    digits = "".join(character for character in wa_id if character.isdigit())
    if not digits:
        raise NotFound("A phone is named by its number.")
    return pages.page("phone.html", user=sim.world.user(digits))


@get("/simulator/phones/{wa_id:str}", media_type=MediaType.JSON)
async def screen(
    sim: NamedDependency[Simulator],
    wa_id: FromPath[str],
    number_id: FromQuery[str] = "",
    revision: FromQuery[int] = -1,
) -> Screen:
    """Return the chats of a phone and the bubbles of one of them."""
    world = sim.world
    current = sim.lifecycle.revision
    is_typing = sim.typing_until.get((number_id, wa_id), 0.0) > world.clock.time()
    if revision == current:
        return Screen(revision=current, is_typing=is_typing)
    user = world.user(wa_id)
    return Screen(
        revision=current,
        is_typing=is_typing,
        name=user.name,
        is_reachable=user.is_reachable,
        chats=await _chats(sim, wa_id),
        bubbles=await _bubbles(sim, wa_id, number_id) if number_id else [],
    )


async def _chats(sim: Simulator, wa_id: str) -> list[Chat]:
    rows = await sim.store.query(
        "select number_id, max(seq) from messages where wa_id = ? group by 1 order by 2 desc", (wa_id,)
    )
    numbers = sim.world.table(Number)
    order = [str(number_id) for number_id, _ in rows if number_id in numbers]
    order += [number_id for number_id in numbers if number_id not in order]
    return [
        Chat(
            number_id=number_id,
            name=numbers[number_id].verified_name,
            display=numbers[number_id].display_phone_number,
        )
        for number_id in order[:_CUSTOMERS]
    ]


async def _bubbles(sim: Simulator, wa_id: str, number_id: str) -> list[view.Bubble]:
    number = sim.world.table(Number).get(number_id)
    if number is None:
        return []
    rows = await sim.store.query(
        "select wamid, direction, at, status, body, state from messages where wa_id = ? and number_id = ? "
        "order by seq desc limit ?",
        (wa_id, number_id, _SHOWN),
    )
    found: list[view.Bubble] = []
    for wamid, direction, at, status, body, state in reversed(rows):
        assert isinstance(body, bytes)
        assert isinstance(at, float)
        assert isinstance(state, bytes)
        facts: _Facts = {"wamid": str(wamid), "at": at, "status": str(status), "message": json.loads(body)}
        if direction == "in":
            found.append(view.outgoing(sim.world, **facts))
        elif status in _VISIBLE:
            found.append(view.incoming(sim.world, number, **facts))
        elif status == "failed":
            failed = view.incoming(sim.world, number, **facts)
            failed.problem = msgspec.json.decode(state, type=MessageState).problem
            found.append(failed)
    return found


@post("/simulator/phones/{wa_id:str}/messages", status_code=200)
async def answer(
    sim: NamedDependency[Simulator], wa_id: FromPath[str], data: JSONBody[Answer]
) -> inbound.Received:
    """Send a message from the phone."""
    number = sim.world.table(Number).get(data.number_id)
    if number is None:
        raise NotFound(f"There is no number {data.number_id}.")
    return await inbound.receive(
        sim,
        number,
        inbound.Inbound(
            sender=wa_id,
            type=data.type,
            content=data.content,
            context=data.context,
            file_base64=data.file_base64,
            mime_type=data.mime_type,
        ),
    )


@post("/simulator/phones/{wa_id:str}/opened", status_code=200)
async def opened(sim: NamedDependency[Simulator], wa_id: FromPath[str], data: JSONBody[Opened]) -> Json:
    """Read a chat: every delivered message of it gets its `read`."""
    rows = await sim.store.query(
        "select wamid from messages where wa_id = ? and number_id = ? and direction = 'out' "
        "and status = 'delivered' order by seq desc limit ?",
        (wa_id, data.number_id, _SHOWN),
    )
    for (wamid,) in reversed(rows):
        await sim.lifecycle.force(str(wamid), "read")
    return {"read": len(rows)}


@get("/simulator/media/{media_id:str}")
async def picture(sim: NamedDependency[Simulator], media_id: FromPath[str]) -> Response[bytes]:
    """Give a stored file to the phone page; nothing but pictures is shown in place."""
    found = sim.world.table(Media).get(media_id)
    content = await media.read(sim.world, found) if found is not None else None
    if found is None or content is None:
        raise NotFound(f"There is no media {media_id}.")
    is_picture = media.bare_type(found.mime_type) in {"image/png", "image/jpeg", "image/webp"}
    return Response(
        content,
        media_type=found.mime_type if is_picture else "application/octet-stream",
        headers={
            "content-security-policy": "default-src 'none'; sandbox",
            "x-content-type-options": "nosniff",
            "content-disposition": "inline" if is_picture else "attachment",
        },
    )


HANDLERS = [index, phones, phone, screen, answer, opened, picture]
