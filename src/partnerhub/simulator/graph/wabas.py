"""The WABA node, its numbers, subscribed apps and assigned users."""

from __future__ import annotations

from partnerhub.simulator import provision
from partnerhub.simulator.core import Simulator
from partnerhub.simulator.errors import GraphError, invalid
from partnerhub.simulator.graph import apps, fields, numbers
from partnerhub.simulator.graph.call import Call
from partnerhub.simulator.model import App, Business, Json, Number, PreverifiedNumber, Waba, WabaSubscription
from partnerhub.simulator.time_zones import number_of
from partnerhub.simulator.world import World

TASKS = frozenset(
    {
        "MANAGE",
        "DEVELOP",
        "MANAGE_TEMPLATES",
        "MANAGE_PHONE",
        "VIEW_COST",
        "MANAGE_EXTENSIONS",
        "VIEW_PHONE_ASSETS",
        "MANAGE_PHONE_ASSETS",
        "VIEW_TEMPLATES",
        "VIEW_INSIGHTS",
        "MESSAGING",
        "MANAGE_USERS",
        "MANAGE_BILLING",
    }
)
_DEFAULT = ("id", "name", "currency", "timezone_id", "message_template_namespace")


def getters(world: World) -> dict[str, fields.Getter[Waba]]:
    """Return how each field of a WABA is read."""

    def business(waba: Waba) -> Business:
        return world.get(Business, waba.business_id)

    def owner(waba: Waba) -> Json:
        return {"id": waba.business_id, "name": business(waba).name}

    return {
        "id": lambda waba: waba.id,
        "name": lambda waba: waba.name,
        "account_review_status": lambda waba: waba.account_review_status,
        "auth_international_rate_eligibility": lambda waba: {
            "exception_countries": [{"country_code": code} for code in waba.international_authentication]
        },
        "business_verification_status": lambda waba: business(waba).verification_status,
        "country": lambda waba: waba.country,
        "creation_time": lambda waba: int(waba.created_at),
        "currency": lambda waba: waba.currency,
        "disable_marketing_messages_on_cloud_api": lambda waba: waba.disable_marketing_messages_on_cloud_api,
        "health_status": lambda waba: {
            "can_send_message": "BLOCKED" if waba.ban_state == "DISABLE" else "AVAILABLE",
            "entities": [
                {
                    "entity_type": "WABA",
                    "id": waba.id,
                    "can_send_message": "BLOCKED" if waba.ban_state == "DISABLE" else "AVAILABLE",
                },
                {"entity_type": "BUSINESS", "id": waba.business_id, "can_send_message": "AVAILABLE"},
            ],
        },
        "is_enabled_for_insights": lambda waba: waba.is_enabled_for_insights,
        "is_shared_with_partners": lambda waba: bool(waba.subscriptions),
        "marketing_messages_lite_api_status": lambda waba: (
            "ONBOARDED" if business(waba).marketing_terms else "ELIGIBLE"
        ),
        "marketing_messages_onboarding_status": (
            lambda waba: "ONBOARDED" if business(waba).marketing_terms else "ELIGIBLE"
        ),
        "message_template_namespace": lambda waba: waba.template_namespace,
        "on_behalf_of_business_info": owner,
        "owner_business": owner,
        "owner_business_info": owner,
        "ownership_type": lambda _waba: "CLIENT_OWNED",
        "primary_business_location": lambda waba: waba.country,
        "primary_funding_id": lambda waba: waba.primary_funding_id,
        "purchase_order_number": lambda waba: waba.purchase_order_number,
        "status": lambda waba: waba.status,
        "template_auto_archival_enabled": lambda _waba: False,
        "timezone_id": lambda waba: number_of(waba.timezone),
        "whatsapp_business_manager_messaging_limit": lambda waba: business(waba).messaging_limit,
        "subscribed_apps": lambda waba: {"data": _subscribed_apps(world, waba)},
        "phone_numbers": lambda waba: {
            "data": [{"id": number.id, **numbers.summary(number)} for number in world.list_numbers(waba.id)]
        },
    }


async def get_waba(sim: Simulator, call: Call, waba: Waba) -> Json:
    """Return the WABA node."""
    return fields.select(
        waba,
        getters(sim.world),
        call.query.get("fields"),
        default=_DEFAULT,
        node_type="WhatsAppBusinessAccount",
    )


async def update_waba(sim: Simulator, call: Call, waba: Waba) -> Json:
    """Change the few settings of a WABA that Graph allows."""
    if (insights := call.flag("is_enabled_for_insights")) is not None:
        waba.is_enabled_for_insights = insights or waba.is_enabled_for_insights
    if (disabled := call.flag("disable_marketing_messages_on_cloud_api")) is not None:
        waba.disable_marketing_messages_on_cloud_api = disabled
    if (order := call.text("purchase_order_number")) is not None:
        waba.purchase_order_number = order
    sim.world.save(waba)
    await sim.store.commit()
    return {"success": True}


async def list_numbers(sim: Simulator, call: Call, waba: Waba) -> Json:
    """List the numbers of a WABA, newest first unless `sort` says otherwise."""
    found = sim.world.list_numbers(waba.id)
    if sort := call.query.get("sort"):
        found.sort(key=lambda number: number.last_onboarded_at, reverse=not sort.endswith("ascending"))
    getters_ = numbers.getters(sim.world)
    items = [
        fields.select(
            number,
            getters_,
            call.query.get("fields"),
            default=numbers.DEFAULT,
            node_type="WhatsAppBusinessPhoneNumber",
        )
        for number in found
    ]
    return fields.page(call, items, base_url=sim.config.public_url, keys=[number.id for number in found])


async def add_number(sim: Simulator, call: Call, waba: Waba) -> Json:
    """Create a number that must still be verified and registered."""
    world = sim.world
    country = (call.text("cc") or call.text("country_code") or "").lstrip("+")
    if preverified_id := call.text("preverified_id"):
        preverified = world.get(PreverifiedNumber, preverified_id)
        digits = preverified.digits
    else:
        preverified = None
        local = "".join(character for character in call.required("phone_number") if character.isdigit())
        digits = local if local.startswith(country) and len(local) > 10 else country + local
    if not 7 <= len(digits) <= 15:
        raise invalid("Param phone_number is not a valid phone number.")
    if not provision.is_possible(digits):
        raise GraphError(2388091, "The number is not eligible to receive a verification code.")
    name = call.required("verified_name")
    existing = world.find_number(digits)
    if existing is not None:
        if existing.waba_id == waba.id:
            raise GraphError(
                2388012,
                message="(#2388012) Phone number already exists on this account",
                user_title="Number exists",
            )
        if not call.flag("migrate_phone_number"):
            raise GraphError(2388001, "The number belongs to another account.")
        if existing.pin is not None:
            raise GraphError(2388103, "Two-step verification must be off before the number can be migrated.")
        existing.waba_id = waba.id
        existing.status = "PENDING"
        existing.code_verification_status = "NOT_VERIFIED"
        world.save(existing)
        await sim.store.commit()
        return {"id": existing.id}
    number = Number(
        id=world.ids.numeric(15),
        waba_id=waba.id,
        digits=digits,
        display_phone_number=provision.display(digits),
        verified_name=name,
        status="PENDING",
        quality_rating="UNKNOWN",
        code_verification_status="VERIFIED" if preverified is not None else "NOT_VERIFIED",
        is_preverified_number=preverified is not None,
        last_onboarded_at=world.clock.time(),
        name_status="APPROVED" if world.rules.template_review else "AVAILABLE_WITHOUT_REVIEW",
    )
    if preverified is not None:
        preverified.claimed_by = number.id
        world.save(preverified)
    world.save(number)
    await sim.store.commit()
    return {"id": number.id}


async def list_subscribed_apps(sim: Simulator, _call: Call, waba: Waba) -> Json:
    """List the apps subscribed to a WABA."""
    return {"data": _subscribed_apps(sim.world, waba)}


def _subscribed_apps(world: World, waba: Waba) -> list[Json]:
    found = []
    for app_id, subscription in waba.subscriptions.items():
        app = world.get(App, app_id)
        entry: Json = {
            "whatsapp_business_api_data": {
                "id": app.id,
                "link": f"https://www.facebook.com/games/?app_id={app.id}",
                "name": app.name,
            }
        }
        if subscription.override_callback_uri:
            entry["override_callback_uri"] = subscription.override_callback_uri
        found.append(entry)
    return found


async def subscribe_app(sim: Simulator, call: Call, waba: Waba) -> Json:
    """Subscribe the token's app; an override address is verified first, none clears the old one."""
    assert call.token is not None
    url = call.text("override_callback_uri") or ""
    verify_token = call.text("verify_token") or ""
    if url:
        if len(url) > 200:
            raise invalid("Param override_callback_uri must be at most 200 characters long.")
        apps.check_callback(url)
        if not verify_token:
            raise invalid("Param verify_token is required with override_callback_uri.")
        await sim.callbacks.verify(url, verify_token)
    waba.subscriptions[call.token.app_id] = WabaSubscription(
        override_callback_uri=url, verify_token=verify_token
    )
    sim.world.save(waba)
    await sim.store.commit()
    return {"success": True}


async def unsubscribe_app(sim: Simulator, call: Call, waba: Waba) -> Json:
    """Unsubscribe the token's app."""
    assert call.token is not None
    waba.subscriptions.pop(call.token.app_id, None)
    sim.world.save(waba)
    await sim.store.commit()
    return {"success": True}


def _tasks(call: Call) -> list[str]:
    given = call.document("tasks")
    tasks = (
        [str(task).strip() for task in given]
        if isinstance(given, list)
        else (call.text("tasks") or "").split(",")
    )
    tasks = [task.strip(" '\"[]") for task in tasks if task]
    if not tasks or any(task not in TASKS for task in tasks):
        raise GraphError(
            100, message=f"(#100) Param tasks must be an array of {{{', '.join(sorted(TASKS))}}}"
        )
    return tasks


async def list_assigned_users(_sim: Simulator, call: Call, waba: Waba) -> Json:
    """List the users with tasks on a WABA."""
    call.required("business")
    return {
        "data": [
            {"id": user, "name": "System user", "tasks": tasks} for user, tasks in waba.assigned_users.items()
        ]
    }


async def assign_user(sim: Simulator, call: Call, waba: Waba) -> Json:
    """Give a user tasks on a WABA."""
    waba.assigned_users[call.required("user")] = _tasks(call)
    sim.world.save(waba)
    await sim.store.commit()
    return {"success": True}


async def unassign_user(sim: Simulator, call: Call, waba: Waba) -> Json:
    """Take a user's tasks on a WABA away."""
    waba.assigned_users.pop(call.required("user"), None)
    sim.world.save(waba)
    await sim.store.commit()
    return {"success": True}
