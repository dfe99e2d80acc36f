"""The phone number node: fields, verification, registration, settings, profile, block list."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from partnerhub.simulator import provision
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.errors import GraphError, invalid
from partnerhub.simulator.graph import apps, fields
from partnerhub.simulator.graph.call import Call
from partnerhub.simulator.model import App, Json, Number, Waba
from partnerhub.simulator.world import World, country_of

DEFAULT = (
    "verified_name",
    "code_verification_status",
    "display_phone_number",
    "quality_rating",
    "platform_type",
    "throughput",
    "webhook_configuration",
    "id",
)
REGIONS = frozenset({"AU", "ID", "IN", "JP", "SG", "KR", "DE", "CH", "GB", "BR", "BH", "ZA", "AE", "CA"})
STORAGE_STATUSES = frozenset(
    {"IN_COUNTRY_STORAGE_ENABLED", "IN_COUNTRY_STORAGE_DISABLED", "NO_STORAGE_ENABLED"}
)
_SETTINGS: dict[str, frozenset[str]] = {
    "calling": frozenset(
        {
            "audio",
            "call_hours",
            "call_icon_visibility",
            "call_icons",
            "callback_permission_status",
            "ip_addresses",
            "restrictions",
            "sip",
            "srtp_key_exchange_protocol",
            "status",
            "video",
        }
    ),
    "storage_configuration": frozenset({"status", "data_localization_region", "retention_minutes"}),
    "user_identity_change": frozenset({"enable_identity_key_check"}),
    "payload_encryption": frozenset({"status", "client_encryption_key", "cloud_encryption_key"}),
}
REGISTRATION_LIMIT = 10
REGISTRATION_SECONDS = 72 * 3_600.0
PIN_GUESSES = 5
PIN_LOCK_SECONDS = 12 * 3_600.0
PIN_PAUSE_SECONDS = 1.0
CODE_REQUESTS_AN_HOUR = 5


def summary(number: Number) -> Json:
    """Return the three facts that lists elsewhere show."""
    return {"display_phone_number": number.display_phone_number, "verified_name": number.verified_name}


def _webhooks(world: World, number: Number) -> Json:
    found: Json = {}
    if number.override_callback_uri:
        found["phone_number"] = number.override_callback_uri
    waba = world.table(Waba).get(number.waba_id)
    for app_id, subscription in (waba.subscriptions if waba is not None else {}).items():
        if subscription.override_callback_uri:
            found["whatsapp_business_account"] = subscription.override_callback_uri
        app = world.table(App).get(app_id)
        if app is not None and app.subscription is not None:
            found["application"] = app.subscription.callback_url
    return found


def _health(world: World, number: Number) -> Json:
    waba = world.table(Waba).get(number.waba_id)
    is_blocked = number.status == "BANNED" or not number.is_registered
    own: Json = {
        "entity_type": "PHONE_NUMBER",
        "id": number.id,
        "can_send_message": "BLOCKED" if is_blocked else "AVAILABLE",
    }
    if is_blocked:
        own["errors"] = [
            {
                "error_code": 141000,
                "error_description": "The phone number is not registered or is banned.",
                "possible_solution": "Register the phone number.",
            }
        ]
    entities = [own]
    if waba is not None:
        banned = waba.ban_state == "DISABLE"
        entities.append(
            {"entity_type": "WABA", "id": waba.id, "can_send_message": "BLOCKED" if banned else "AVAILABLE"}
        )
        entities.append({"entity_type": "BUSINESS", "id": waba.business_id, "can_send_message": "AVAILABLE"})
        entities.extend(
            {"entity_type": "APP", "id": app_id, "can_send_message": "AVAILABLE"}
            for app_id in waba.subscriptions
        )
    worst = "BLOCKED" if any(entity["can_send_message"] == "BLOCKED" for entity in entities) else "AVAILABLE"
    return {"can_send_message": worst, "entities": entities}


def getters(world: World) -> dict[str, fields.Getter[Number]]:
    """Return how each field of a number is read."""
    return {
        "id": lambda number: number.id,
        "display_phone_number": lambda number: number.display_phone_number,
        "verified_name": lambda number: number.verified_name,
        "code_verification_status": lambda number: number.code_verification_status,
        "quality_rating": lambda number: number.quality_rating,
        "quality_score": lambda number: {"score": number.quality_rating},
        "platform_type": lambda number: number.platform_type if number.is_registered else "NOT_APPLICABLE",
        "host_platform": lambda number: number.platform_type,
        "throughput": lambda number: {"level": number.throughput},
        "webhook_configuration": lambda number: _webhooks(world, number),
        "name_status": lambda number: number.name_status,
        "new_name_status": lambda number: number.new_name_status,
        "new_display_name": lambda number: number.new_display_name,
        "status": lambda number: number.status,
        "account_mode": lambda number: number.account_mode,
        "messaging_limit_tier": lambda number: world.business_of(number).messaging_limit,
        "whatsapp_business_manager_messaging_limit": lambda number: world.business_of(number).messaging_limit,
        "certificate": lambda number: f"cert-{number.id}" if number.name_status == "APPROVED" else None,
        "new_certificate": lambda number: (
            f"cert-{number.id}-new" if number.new_name_status == "APPROVED" else None
        ),
        "country_code": lambda number: country_of(number.digits),
        "country_dial_code": lambda number: number.display_phone_number.partition(" ")[0].lstrip("+"),
        "is_official_business_account": lambda number: number.is_official_business_account,
        "is_pin_enabled": lambda number: number.pin is not None,
        "is_on_biz_app": lambda number: number.is_on_biz_app,
        "is_preverified_number": lambda number: number.is_preverified_number,
        "last_onboarded_time": (
            lambda number: fields.graph_time(number.last_onboarded_at) if number.last_onboarded_at else None
        ),
        "search_visibility": lambda number: number.search_visibility,
        "username": lambda number: number.username,
        "health_status": lambda number: _health(world, number),
        "conversational_automation": lambda number: {
            "enable_welcome_message": False,
            "prompts": [],
            "commands": [],
            "id": number.id,
            **number.conversational_automation,
        },
        "eligibility_for_api_business_global_search": lambda _number: "NON_ELIGIBLE_UNDEFINED_COUNTRY",
    }


async def get_number(sim: Simulator, call: Call, number: Number) -> Json:
    """Return the number node."""
    return fields.select(
        number,
        getters(sim.world),
        call.query.get("fields"),
        default=DEFAULT,
        node_type="WhatsAppBusinessPhoneNumber",
    )


async def update_number(sim: Simulator, call: Call, number: Number) -> Json:
    """Set the PIN, the callback override, the display name or the search visibility."""
    params = call.params()
    known = {"pin", "webhook_configuration", "new_display_name", "search_visibility"}
    if not known & set(params):
        raise GraphError(100, message="(#100) The request must set at least one known parameter.")
    if "pin" in params:
        _set_pin(sim, number, _pin(call))
    configuration = call.document("webhook_configuration")
    if configuration is not None:
        if not isinstance(configuration, dict):
            raise invalid("Param webhook_configuration must be a JSON object.")
        url = str(configuration.get("override_callback_uri") or "")
        if url:
            apps.check_callback(url)
            await sim.callbacks.verify(url, str(configuration.get("verify_token") or ""))
        number.override_callback_uri = url
        number.override_verify_token = str(configuration.get("verify_token") or "") if url else ""
    if (name := call.text("new_display_name")) is not None:
        number.new_display_name = name
        number.new_name_status = "PENDING_REVIEW"
    if (visibility := call.text("search_visibility")) is not None:
        number.search_visibility = visibility
    sim.world.save(number)
    await sim.store.commit()
    return {"success": True}


def _pin(call: Call) -> str:
    pin = call.required("pin")
    if len(pin) != 6 or not pin.isascii() or not pin.isdigit():
        raise GraphError(
            100, "The PIN must have six digits.", message="(#100) Param pin must be 6 characters long."
        )
    return pin


def _set_pin(sim: Simulator, number: Number, pin: str) -> None:
    changed = number.pin is not None and number.pin != pin
    number.pin = pin
    number.pin_failures = []
    waba = sim.world.get(Waba, number.waba_id)
    if changed:
        sim.callbacks.emit(
            waba=waba,
            field="security",
            value={"display_phone_number": number.digits, "event": "PIN_CHANGED", "requester": "0"},
            event=("field", number.id, "PIN_CHANGED"),
            time=int(sim.world.clock.time()),
        )


def _count_registration(sim: Simulator, number: Number) -> None:
    now = sim.world.clock.time()
    number.registrations = [moment for moment in number.registrations if now - moment < REGISTRATION_SECONDS]
    if sim.world.rules.registration_limit and len(number.registrations) >= REGISTRATION_LIMIT:
        raise GraphError(
            133016, "Registration and deregistration are limited to 10 requests per number in 72 hours."
        )
    number.registrations.append(now)


def _check_pin(sim: Simulator, number: Number, pin: str) -> None:
    if number.pin is None or not sim.world.rules.pin:
        return
    now = sim.world.clock.time()
    number.pin_failures = [moment for moment in number.pin_failures if now - moment < PIN_LOCK_SECONDS]
    if len(number.pin_failures) >= PIN_GUESSES:
        raise GraphError(133008, "Too many wrong PINs; wait before trying again.")
    if number.pin_failures and now - number.pin_failures[-1] < PIN_PAUSE_SECONDS:
        raise GraphError(133009, "The PIN was entered too quickly after a wrong one.")
    if pin != number.pin:
        number.pin_failures.append(now)
        raise GraphError(133005, "The PIN does not match the number's two-step verification PIN.")
    number.pin_failures = []


async def register(sim: Simulator, call: Call, number: Number) -> Json:
    """Register a number on Cloud API with its PIN, or set the PIN when it has none."""
    if call.text("messaging_product") != "whatsapp":
        raise invalid("Param messaging_product must be whatsapp.")
    pin = _pin(call)
    region = call.text("data_localization_region")
    if region is not None and region.upper() not in REGIONS:
        raise GraphError(100, f"data_localization_region must be one of {', '.join(sorted(REGIONS))}.")
    if number.is_on_biz_app:
        raise GraphError(100, "Numbers shared with the WhatsApp Business app are registered by the app.")
    try:
        _count_registration(sim, number)
        if number.code_verification_status != "VERIFIED":
            raise GraphError(133006, "Verify the phone number before registering it.")
        _check_pin(sim, number, pin)
    finally:
        sim.world.save(number)
        await sim.store.commit()
    number.pin = pin
    if region is not None:
        number.data_localization_region = region.upper()
        number.settings["storage_configuration"] = {
            "status": "IN_COUNTRY_STORAGE_ENABLED",
            "data_localization_region": region.upper(),
        }
    if number.quality_rating == "UNKNOWN":
        number.quality_rating = "GREEN"
    provision.register(sim.world, number)
    await sim.store.commit()
    return {"success": True}


async def deregister(sim: Simulator, _call: Call, number: Number) -> Json:
    """Take a number out of service."""
    if number.is_on_biz_app:
        raise GraphError(100, "Numbers shared with the WhatsApp Business app cannot be deregistered.")
    try:
        _count_registration(sim, number)
        if not number.is_registered:
            raise GraphError(133010, "The phone number is not registered.")
    finally:
        sim.world.save(number)
        await sim.store.commit()
    number.status = "PENDING"
    sim.world.save(number)
    await sim.store.commit()
    return {"success": True}


async def request_code(sim: Simulator, call: Call, number: Number) -> Json:
    """Send a verification code; it shows on the admin API and in the sign-up dialog."""
    method = call.required("code_method").upper()
    call.required("language")
    if method not in {"SMS", "VOICE"}:
        raise GraphError(100, message="(#100) Param code_method must be one of {SMS, VOICE}")
    now = sim.world.clock.time()
    number.code_requests = [moment for moment in number.code_requests if now - moment < 3_600]
    if len(number.code_requests) >= CODE_REQUESTS_AN_HOUR:
        raise GraphError(136024, "Too many codes were requested; try again later.")
    number.code_requests.append(now)
    number.verification_code = sim.world.ids.code()
    sim.world.save(number)
    await sim.store.commit()
    return {"success": True}


async def verify_code(sim: Simulator, call: Call, number: Number) -> Json:
    """Check a verification code."""
    code = call.required("code").replace("-", "")
    if number.verification_code is None or code != number.verification_code:
        raise GraphError(136025, "The verification code is wrong or has expired.")
    number.verification_code = None
    number.code_verification_status = "VERIFIED"
    sim.world.save(number)
    await sim.store.commit()
    return {"success": True}


async def get_settings(_sim: Simulator, _call: Call, number: Number) -> Json:
    """Return calling, storage and identity settings."""
    calling = {
        "status": "DISABLED",
        "call_icon_visibility": "DEFAULT",
        "callback_permission_status": "DISABLED",
        "ip_addresses": {"default": []},
    }
    return {
        "storage_configuration": {"status": "IN_COUNTRY_STORAGE_DISABLED"},
        "user_identity_change": {"enable_identity_key_check": False},
        **number.settings,
        "calling": {**calling, **number.settings.get("calling", {})},
    }


def _is_one_of(value: object, known: AbstractSet[str]) -> bool:
    return isinstance(value, str) and value in known


def _check_setting(name: str, value: object) -> Json:
    """Check the parts of one setting that Graph would refuse. Raises: GraphError 100."""
    if not isinstance(value, dict):
        raise invalid(f"Param {name} must be a JSON object.")
    unknown = sorted(set(value) - _SETTINGS[name])
    if unknown:
        raise invalid(f"Param {name} has no key {unknown[0]!r}.")
    if name == "storage_configuration":
        if not _is_one_of(value.get("status"), STORAGE_STATUSES):
            raise invalid(f"Param status must be one of {', '.join(sorted(STORAGE_STATUSES))}.")
        if not _is_one_of(value.get("data_localization_region", "DE"), REGIONS):
            raise invalid(f"Param data_localization_region must be one of {', '.join(sorted(REGIONS))}.")
        if value.get("retention_minutes", 60) != 60:
            raise invalid("Param retention_minutes must be 60.")
    if name == "calling" and not _is_one_of(value.get("status", "ENABLED"), {"ENABLED", "DISABLED"}):
        raise invalid("Param status must be one of ENABLED, DISABLED.")
    return value


async def update_settings(sim: Simulator, call: Call, number: Number) -> Json:
    """Change calling, storage, identity or encryption settings."""
    given = {name: value for name in _SETTINGS if (value := call.document(name)) is not None}
    if not given:
        raise GraphError(100, message="(#100) The request must set at least one known parameter.")
    checked = {name: _check_setting(name, value) for name, value in given.items()}
    for name, value in checked.items():
        number.settings[name] = {**number.settings.get(name, {}), **value}
    if region := checked.get("storage_configuration", {}).get("data_localization_region"):
        number.data_localization_region = region
    sim.world.save(number)
    await sim.store.commit()
    return {"success": True}
