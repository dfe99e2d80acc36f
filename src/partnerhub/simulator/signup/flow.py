"""What finishing Embedded Signup makes: assets, a code of thirty seconds, and the message to the opener.

The verification code of a number is derived from the number, so that the dialog needs no session on this
side and survives a restart of the simulator between two clicks.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal

import msgspec

from partnerhub.kit.errors import Conflict, Invalid
from partnerhub.simulator import provision
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.model import App, Business, Json, Number, PreverifiedNumber, SignupCode, Waba

CODE_SECONDS = 30.0

FinishEvent = Literal["FINISH", "FINISH_ONLY_WABA", "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING"]

FINISH_EVENTS: tuple[FinishEvent, ...] = (
    "FINISH",
    "FINISH_ONLY_WABA",
    "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING",
)
CANCEL_STEPS = (
    "BUSINESS_ACCOUNT_SELECTION",
    "WABA_PHONE_PROFILE_PICKER",
    "WHATSAPP_BUSINESS_PROFILE_SETUP",
    "PHONE_NUMBER_SETUP",
    "PHONE_NUMBER_VERIFICATION",
    "PERMISSIONS",
)


class ChosenBusiness(msgspec.Struct, kw_only=True):
    """An existing portfolio by id, or a new one by name."""

    id: str | None = None
    name: str = "Acme"


class ChosenWaba(msgspec.Struct, kw_only=True):
    """An existing account by id, or a new one."""

    id: str | None = None
    name: str = "Acme"
    currency: str = "USD"
    timezone: str = "UTC"
    country: str = "US"


class ChosenNumber(msgspec.Struct, kw_only=True):
    """An existing number by id, a pre-verified one, or a new one with its verification code."""

    id: str | None = None
    preverified_id: str | None = None
    phone_number: str | None = None
    code: str = ""
    display_name: str = "Acme"
    category: str = "OTHER"
    description: str = ""
    website: str = ""
    pin: str | None = None
    """A two-step PIN the number had before, to try a mismatch at registration."""


class Finish(msgspec.Struct, kw_only=True):
    """Everything the dialog gathered."""

    app_id: str
    event: FinishEvent = "FINISH"
    business: ChosenBusiness = msgspec.field(default_factory=ChosenBusiness)
    waba: ChosenWaba = msgspec.field(default_factory=ChosenWaba)
    number: ChosenNumber | None = None
    version: int | str = 3


class Finished(msgspec.Struct, kw_only=True):
    """The code for `FB.login`'s callback and the message for the opener window."""

    code: str
    message: Json


def digits_of(phone_number: str) -> str:
    """Return the digits of a phone number. Raises: Invalid when there are too few or too many."""
    digits = "".join(character for character in phone_number if character.isdigit())
    if not 7 <= len(digits) <= 15:
        raise Invalid("Enter a phone number with its country code.", fields={"phone_number": "wrong length"})
    return digits


def verification_code(sim: Simulator, digits: str) -> str:
    """Return the code that the simulated SMS or call tells."""
    secret = sim.world.get(App, sim.config.app_id).secret
    digest = hmac.new(f"verify:{secret}".encode(), digits.encode(), hashlib.sha256).digest()
    return f"{int.from_bytes(digest[:4], 'big') % 10**6:06d}"


def check_number(sim: Simulator, phone_number: str, *, waba_id: str | None) -> str:
    """Return the digits of a number that may be added. Raises: Invalid, Conflict when it is in use."""
    digits = digits_of(phone_number)
    existing = sim.world.find_number(digits)
    if existing is not None and existing.is_registered and existing.waba_id != waba_id:
        raise Conflict(
            "This number is already registered to a WhatsApp account.",
            code="number_in_use",
            fields={"phone_number": "in use"},
        )
    return digits


async def finish(sim: Simulator, request: Finish) -> Finished:
    """Make the chosen assets, share them with the app, and return code and message.

    Raises: Invalid, Conflict.
    """
    world = sim.world
    app = world.get(App, request.app_id)
    business = _business(sim, request.business)
    waba = _waba(sim, request.waba, business)
    number = None
    if request.event != "FINISH_ONLY_WABA":
        if request.number is None:
            raise Invalid("Choose or enter a phone number.", fields={"phone_number": "missing"})
        number = _number(sim, request, request.number, waba)
    if app.id not in waba.shared_with:
        waba.shared_with.append(app.id)
    world.save(waba)
    code = SignupCode(
        id="AQ" + world.ids.word(120),
        app_id=app.id,
        user_id=world.ids.numeric(15),
        business_id=business.id,
        waba_ids=[waba.id],
        expires_at=world.clock.time() + CODE_SECONDS,
    )
    world.save(code)
    provision.announce_partner_added(world, sim.callbacks, waba, app.id)
    await sim.store.commit()
    data: Json = {"waba_id": waba.id, "business_id": business.id}
    if number is not None:
        data = {"phone_number_id": number.id, **data}
    message = {"data": data, "type": "WA_EMBEDDED_SIGNUP", "event": request.event, "version": request.version}
    return Finished(code=code.id, message=message)


def _business(sim: Simulator, chosen: ChosenBusiness) -> Business:
    if chosen.id is not None:
        return sim.world.get(Business, chosen.id)
    business = Business(
        id=sim.world.ids.numeric(15),
        name=chosen.name.strip() or "Acme",
        verification_status="not_verified",
        messaging_limit="TIER_250",
    )
    sim.world.save(business)
    return business


def _waba(sim: Simulator, chosen: ChosenWaba, business: Business) -> Waba:
    if chosen.id is not None:
        waba = sim.world.get(Waba, chosen.id)
        if waba.business_id != business.id:
            raise Invalid("The account belongs to another business.", fields={"waba": "another business"})
        return waba
    return Waba(
        id=sim.world.ids.numeric(15),
        name=chosen.name.strip() or business.name,
        business_id=business.id,
        currency=chosen.currency,
        timezone=chosen.timezone,
        country=chosen.country,
        template_namespace=provision.namespace(sim.world),
        created_at=sim.world.clock.time(),
    )


def _number(sim: Simulator, request: Finish, chosen: ChosenNumber, waba: Waba) -> Number:
    world = sim.world
    is_on_biz_app = request.event == "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING"
    preverified = None
    if chosen.id is not None:
        number = world.get(Number, chosen.id)
        if number.waba_id != waba.id:
            raise Invalid(
                "The number belongs to another account.", fields={"phone_number": "another account"}
            )
        return number
    if chosen.preverified_id is not None:
        preverified = world.get(PreverifiedNumber, chosen.preverified_id)
        digits = check_number(sim, preverified.digits, waba_id=waba.id)
    else:
        digits = check_number(sim, chosen.phone_number or "", waba_id=waba.id)
        if chosen.code.replace("-", "").strip() != verification_code(sim, digits):
            raise Invalid("The verification code is wrong.", fields={"code": "wrong"})
    number = world.find_number(digits) or Number(
        id=world.ids.numeric(15),
        waba_id=waba.id,
        digits=digits,
        display_phone_number=provision.display(digits),
        verified_name=chosen.display_name,
        quality_rating="UNKNOWN",
    )
    number.waba_id = waba.id
    number.verified_name = chosen.display_name.strip() or waba.name
    number.code_verification_status = "VERIFIED"
    number.status = "CONNECTED" if is_on_biz_app else "PENDING"
    number.is_on_biz_app = is_on_biz_app
    number.is_preverified_number = preverified is not None
    number.last_onboarded_at = world.clock.time()
    number.pin = chosen.pin or number.pin
    number.profile = {
        name: value
        for name, value in (
            ("vertical", chosen.category),
            ("description", chosen.description),
            ("websites", [chosen.website] if chosen.website else []),
        )
        if value
    }
    world.save(number)
    if preverified is not None:
        preverified.claimed_by = number.id
        world.save(preverified)
    return number
