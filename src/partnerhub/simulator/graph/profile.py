"""What customers see of a number: profile, conversational components, username; and its public key."""

from __future__ import annotations

from partnerhub.simulator.core import Simulator
from partnerhub.simulator.errors import GraphError, invalid
from partnerhub.simulator.graph import fields
from partnerhub.simulator.graph.call import Call
from partnerhub.simulator.model import Json, Number, Upload

VERTICALS = frozenset(
    [
        "UNDEFINED",
        "OTHER",
        "AUTO",
        "BEAUTY",
        "APPAREL",
        "EDU",
        "ENTERTAIN",
        "EVENT_PLAN",
        "FINANCE",
        "GROCERY",
        "GOVT",
        "HOTEL",
        "HEALTH",
        "NONPROFIT",
        "PROF_SERVICES",
        "RETAIL",
        "TRAVEL",
        "RESTAURANT",
        "ALCOHOL",
        "ONLINE_GAMBLING",
        "PHYSICAL_GAMBLING",
        "OTC_DRUGS",
        "NOT_A_BIZ",
    ]
)
_LENGTHS = {"about": 139, "address": 256, "description": 512, "email": 128}
_NAMES = ("about", "address", "description", "email", "profile_picture_url", "websites", "vertical")


async def get_profile(_sim: Simulator, call: Call, number: Number) -> Json:
    """Return the business profile; without `fields` only what is set."""
    asked = call.query.get("fields")
    names = [name for name, _ in fields.split_fields(asked)] if asked else list(_NAMES)
    known = {"vertical": "UNDEFINED", **number.profile}
    profile = {name: known[name] for name in names if name in known}
    return {"data": [{**profile, "messaging_product": "whatsapp"}]}


async def update_profile(sim: Simulator, call: Call, number: Number) -> Json:
    """Change the business profile."""
    if call.text("messaging_product") != "whatsapp":
        raise invalid("Param messaging_product must be whatsapp.")
    profile = dict(number.profile)
    for name, most in _LENGTHS.items():
        if name in call.params():
            text = call.text(name) or ""
            if len(text) > most:
                raise invalid(f"Param {name} must be at most {most} characters long.")
            profile[name] = text
    if (vertical := call.text("vertical")) is not None:
        if vertical not in VERTICALS:
            raise invalid(f"Param vertical must be one of {', '.join(sorted(VERTICALS))}.")
        profile["vertical"] = vertical
    websites = call.document("websites")
    if websites is not None:
        if (
            not isinstance(websites, list)
            or len(websites) > 2
            or any(len(str(one)) > 256 for one in websites)
        ):
            raise invalid("Param websites must be an array of at most 2 URLs of at most 256 characters.")
        profile["websites"] = [str(one) for one in websites]
    if (handle := call.text("profile_picture_handle")) is not None:
        if not any(upload.handle == handle for upload in sim.world.table(Upload).values()):
            raise invalid("Param profile_picture_handle is not the handle of a finished upload.")
        profile["profile_picture_url"] = f"{sim.config.public_url}/static/simulator/business.svg"
    number.profile = profile
    sim.world.save(number)
    await sim.store.commit()
    return {"success": True}


async def get_automation(_sim: Simulator, _call: Call, number: Number) -> Json:
    """Return ice breakers, commands and the welcome switch."""
    return {
        "enable_welcome_message": False,
        "prompts": [],
        "commands": [],
        **number.conversational_automation,
        "id": number.id,
    }


async def update_automation(sim: Simulator, call: Call, number: Number) -> Json:
    """Change ice breakers, commands and the welcome switch."""
    changed = dict(number.conversational_automation)
    if (welcome := call.flag("enable_welcome_message")) is not None:
        changed["enable_welcome_message"] = welcome
    prompts = call.document("prompts")
    if prompts is not None:
        if not isinstance(prompts, list) or len(prompts) > 4 or any(len(str(one)) > 80 for one in prompts):
            raise invalid("Param prompts must be an array of at most 4 texts of at most 80 characters.")
        changed["prompts"] = [str(one) for one in prompts]
    commands = call.document("commands")
    if commands is not None:
        if (
            not isinstance(commands, list)
            or len(commands) > 30
            or any(not isinstance(one, dict) for one in commands)
        ):
            raise invalid("Param commands must be an array of at most 30 commands.")
        for one in commands:
            if (
                len(str(one.get("command_name", ""))) > 32
                or len(str(one.get("command_description", ""))) > 256
            ):
                raise invalid("A command has a name of 32 and a description of 256 characters at most.")
        changed["commands"] = commands
    number.conversational_automation = changed
    sim.world.save(number)
    await sim.store.commit()
    return {"success": True}


async def get_encryption(_sim: Simulator, _call: Call, number: Number) -> Json:
    """Return the business public key."""
    if number.public_key is None:
        return {"data": []}
    return {
        "data": [{"business_public_key": number.public_key, "business_public_key_signature_status": "VALID"}]
    }


async def set_encryption(sim: Simulator, call: Call, number: Number) -> Json:
    """Keep a business public key."""
    key = call.required("business_public_key")
    if "BEGIN PUBLIC KEY" not in key:
        raise invalid("Param business_public_key must be a PEM public key.")
    number.public_key = key
    sim.world.save(number)
    await sim.store.commit()
    return {"success": True}


async def get_username(_sim: Simulator, _call: Call, number: Number) -> Json:
    """Return the number's username."""
    if number.username is None:
        return {}
    return {"username": number.username, "status": number.username_status}


async def set_username(sim: Simulator, call: Call, number: Number) -> Json:
    """Claim a username."""
    username = call.required("username").lower()
    if not 3 <= len(username) <= 35 or not username.replace(".", "").replace("_", "").isalnum():
        raise GraphError(147001, message="(#147001) The username is not valid")
    if any(one.username == username and one is not number for one in sim.world.table(Number).values()):
        raise GraphError(147002, message="(#147002) The username is taken")
    number.username, number.username_status = username, "approved"
    sim.world.save(number)
    await sim.store.commit()
    return {"status": number.username_status}


async def delete_username(sim: Simulator, _call: Call, number: Number) -> Json:
    """Give the username back."""
    number.username = None
    sim.world.save(number)
    await sim.store.commit()
    return {"success": True}
