"""Messages customers send: from the phone page and the admin API to a signed webhook.

Every type of Meta's `messages` field can be made. A message opens the service window, and one that came
through an ad the free entry point too.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib

import msgspec

from partnerhub.kit.errors import Invalid
from partnerhub.simulator import media, webhooks
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.model import Json, Number, User, Waba, Window
from partnerhub.simulator.world import ENTRY_POINT_SECONDS

MEDIA_TYPES: dict[str, str] = {
    "image": "image/png",
    "video": "video/mp4",
    "audio": "audio/ogg; codecs=opus",
    "document": "application/pdf",
    "sticker": "image/webp",
}
TYPES = frozenset(
    {
        *MEDIA_TYPES,
        "text",
        "location",
        "contacts",
        "reaction",
        "button",
        "interactive",
        "order",
        "system",
        "edit",
        "revoke",
        "unsupported",
        "request_welcome",
    }
)


class Inbound(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One message a customer sends.

    `content` is the payload under the type's key, in Meta's shape. For media the simulator adds `mime_type`,
    `sha256`, `id` and `url`; `file_base64` is the file, a small sample when absent.
    """

    sender: str = msgspec.field(name="from")
    type: str = "text"
    content: Json | list[Json] = {}
    text: str | None = None
    """Short for `content: {"body": …}`."""
    context: Json | None = None
    referral: Json | None = None
    profile_name: str | None = None
    file_base64: str | None = None
    mime_type: str | None = None
    wamid: str | None = None
    group_id: str | None = None


class Received(msgspec.Struct, kw_only=True, frozen=True):
    """What became of an injected message."""

    wamid: str
    callbacks: list[int]


def sample_file(kind: str) -> bytes:
    """Return a small file for a media type; images are real pictures."""
    if kind in {"image", "sticker"}:
        rows = b"".join(
            b"\x00" + bytes((40 + 6 * x, 160, 90 + 4 * y)[c] for x in range(24) for c in range(3))
            for y in range(24)
        )
        return (
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", struct.pack(">IIBBBBB", 24, 24, 8, 2, 0, 0, 0))
            + _chunk(b"IDAT", zlib.compress(rows))
            + _chunk(b"IEND", b"")
        )
    if kind == "document":
        return b"%PDF-1.1\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    if kind == "audio":
        return b"OggS\x00\x02" + b"\x00" * 58
    return b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def open_window(
    sim: Simulator, number: Number, wa_id: str, *, seconds_ago: float = 0.0, by_ad: bool = False
) -> Window:
    """Note that a customer wrote; through an ad this opens the free entry point too."""
    window = sim.world.window(number, wa_id) or Window(id=f"{number.id}:{wa_id}")
    window.last_inbound = sim.world.clock.time() - seconds_ago
    if by_ad:
        window.entry_point_until = window.last_inbound + ENTRY_POINT_SECONDS
    sim.world.save(window)
    return window


def close_window(sim: Simulator, number: Number, wa_id: str) -> None:
    """Forget that a customer wrote."""
    window = sim.world.window(number, wa_id)
    if window is not None:
        sim.world.delete(window)


async def receive(sim: Simulator, number: Number, inbound: Inbound) -> Received:
    """Let a customer send a message to a number. Raises: Invalid."""
    if inbound.type not in TYPES:
        raise Invalid(f"Type must be one of {', '.join(sorted(TYPES))}.", fields={"type": "unknown"})
    wa_id = "".join(character for character in inbound.sender if character.isdigit())
    if not wa_id:
        raise Invalid("The sender is not a phone number.", fields={"from": "no digits"})
    world = sim.world
    user = world.user(wa_id)
    if inbound.profile_name and user.name != inbound.profile_name:
        user.name = inbound.profile_name
        world.save(user)
    wamid = inbound.wamid or world.ids.wamid(wa_id, inbound=True)
    message: Json = {}
    if inbound.context is not None:
        message["context"] = inbound.context
    if world.rules.with_wa_id and not user.hides_phone:
        message["from"] = wa_id
    if world.rules.with_user_id or user.hides_phone:
        message["from_user_id"] = user.user_id
    message |= {"id": wamid, "timestamp": str(int(world.clock.time())), "type": inbound.type}
    if inbound.group_id is not None:
        message["group_id"] = inbound.group_id
    content = _content(sim, number, user, inbound)
    if content is not None:
        message[inbound.type] = content
    if inbound.type == "unsupported":
        message["errors"] = [
            {
                "code": 131051,
                "title": "Message type unknown",
                "message": "Message type unknown",
                "error_data": {"details": "Message type is currently not supported."},
            }
        ]
    if inbound.referral is not None:
        message["referral"] = inbound.referral
    return await deliver(sim, number, user, message)


async def deliver(sim: Simulator, number: Number, user: User, message: Json) -> Received:
    """Store a finished inbound message, open the window and owe the webhook."""
    from_blocked = user.id in number.blocked
    sim.lifecycle.receive(
        number=number,
        wa_id=user.id,
        wamid=str(message["id"]),
        kind=str(message["type"]),
        body=msgspec.json.encode(message),
    )
    callbacks: list[int] = []
    if not from_blocked:
        sim.limits.count_inbound(number)
        if message["type"] != "system":
            open_window(sim, number, user.id, by_ad="referral" in message)
        callbacks = sim.callbacks.emit(
            waba=sim.world.get(Waba, number.waba_id),
            number=number,
            field="messages",
            value=webhooks.inbound_value(sim.world, number, user, message),
            event=("message", str(message["id"]), str(message["type"])),
        )
    await sim.store.commit()
    return Received(wamid=str(message["id"]), callbacks=callbacks)


def _content(sim: Simulator, number: Number, user: User, inbound: Inbound) -> Json | list[Json] | None:
    kind = inbound.type
    if kind == "text" and inbound.text is not None:
        return {"body": inbound.text}
    if kind in MEDIA_TYPES:
        return _media(sim, number, inbound)
    if kind == "system" and isinstance(inbound.content, dict):
        return {"wa_id": user.id, **inbound.content}
    if kind == "request_welcome":
        return None
    if kind == "unsupported":
        return inbound.content or {"type": "unknown"}
    if not inbound.content:
        raise Invalid(f"A message of type {kind} needs content.", fields={"content": "missing"})
    return inbound.content


def _media(sim: Simulator, number: Number, inbound: Inbound) -> Json:
    given = inbound.content if isinstance(inbound.content, dict) else {}
    mime_type = inbound.mime_type or str(given.get("mime_type") or MEDIA_TYPES[inbound.type])
    try:
        file = (
            base64.b64decode(inbound.file_base64, validate=True)
            if inbound.file_base64 is not None
            else sample_file(inbound.type)
        )
    except binascii.Error as problem:
        raise Invalid("The file is not valid base64.", fields={"file_base64": "not base64"}) from problem
    kept = media.keep(
        sim.world,
        number=number,
        content=file,
        mime_type=mime_type,
        filename=str(given.get("filename", "")),
        is_inbound=True,
    )
    content: Json = {
        **{name: value for name, value in given.items() if name in {"caption", "filename"}},
        "mime_type": mime_type,
        "sha256": base64.b64encode(bytes.fromhex(kept.sha256)).decode(),
        "id": kept.id,
        "url": media.url(sim.world, kept),
    }
    if inbound.type == "audio":
        content["voice"] = bool(given.get("voice", True))
    if inbound.type == "sticker":
        content["animated"] = bool(given.get("animated", False))
    if inbound.type == "document":
        content.setdefault("filename", "document.pdf")
    return content
