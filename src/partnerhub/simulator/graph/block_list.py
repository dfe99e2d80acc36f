"""`/{phone}/block_users`: whom a number does not want to hear from."""

from __future__ import annotations

from partnerhub.simulator.core import Simulator
from partnerhub.simulator.errors import GraphError, invalid
from partnerhub.simulator.graph import fields
from partnerhub.simulator.graph.call import Call
from partnerhub.simulator.model import Json, Number
from partnerhub.simulator.world import WINDOW_SECONDS

LIMIT = 64_000


def _users(sim: Simulator, call: Call) -> list[tuple[str, str]]:
    """Return what was given and the phone number it means."""
    given = call.document("block_users")
    if not isinstance(given, list) or not given:
        raise GraphError(100, message="(#100) The parameter block_users is required.")
    found = []
    for entry in given:
        text = str(entry.get("user") or entry.get("user_id") or "") if isinstance(entry, dict) else ""
        if not text:
            raise invalid("Param block_users must hold objects with a user.")
        user = sim.world.find_user_by_user_id(text)
        digits = (
            user.id if user is not None else "".join(character for character in text if character.isdigit())
        )
        found.append((text, digits))
    return found


async def list_blocked(sim: Simulator, call: Call, number: Number) -> Json:
    """List blocked users."""
    items = [
        {"messaging_product": "whatsapp", "wa_id": wa_id, "user_id": sim.world.user(wa_id).user_id}
        for wa_id in number.blocked
    ]
    return fields.page(call, items, base_url=sim.config.public_url, keys=number.blocked)


async def block(sim: Simulator, call: Call, number: Number) -> Json:
    """Block users who wrote in the last 24 hours; a mixed result is error 139100 with both lists."""
    added: list[Json] = []
    failed: list[Json] = []
    for text, wa_id in _users(sim, call):
        window = sim.world.window(number, wa_id)
        recent = window is not None and sim.world.clock.time() - window.last_inbound < WINDOW_SECONDS
        if not wa_id or not (recent or wa_id in number.blocked):
            failed.append(
                {
                    "input": text,
                    "wa_id": wa_id,
                    "errors": [
                        {
                            "message": "Re-engagement required",
                            "code": 131047,
                            "error_data": {"details": "The user has not written in the last 24 hours."},
                        }
                    ],
                }
            )
            continue
        if wa_id not in number.blocked:
            if len(number.blocked) >= LIMIT:
                raise GraphError(139101, "The block list is full.")
            number.blocked.append(wa_id)
        added.append({"input": text, "wa_id": wa_id})
    sim.world.save(number)
    await sim.store.commit()
    body: Json = {"messaging_product": "whatsapp", "block_users": {"added_users": added}}
    if failed:
        body["block_users"]["failed_users"] = failed
        raise GraphError(139100, "Some users could not be blocked.", extra=body)
    return body


async def unblock(sim: Simulator, call: Call, number: Number) -> Json:
    """Unblock users."""
    removed = []
    for text, wa_id in _users(sim, call):
        if wa_id in number.blocked:
            number.blocked.remove(wa_id)
        removed.append({"input": text, "wa_id": wa_id})
    sim.world.save(number)
    await sim.store.commit()
    return {"messaging_product": "whatsapp", "block_users": {"removed_users": removed}}
