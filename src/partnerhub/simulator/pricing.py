"""The `pricing` and `conversation` objects of message statuses, under each of Meta's price models.

Source: Meta's pricing pages. Until 2025-06-30 a conversation was priced; from 2025-07-01 each delivered
template; from 2026-10-01 service messages too, after 1,000 free ones per number and calendar month, and
utility templates also inside the service window.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from zoneinfo import ZoneInfo

from partnerhub.simulator.model import Json, MessageState, Number, Waba
from partnerhub.simulator.world import World

FREE_SERVICE_MESSAGES = 1_000


def price(world: World, number: Number, waba: Waba, wa_id: str, state: MessageState) -> None:
    """Decide the price class of a message when it is sent, and keep it in `state` for later statuses.

    A free service message uses up one of the month's; `give_back` returns it if the message fails.
    """
    rules = world.rules
    if state.priced:
        return
    state.priced = True
    in_entry_point = world.is_entry_point_open(number, wa_id)
    in_window = world.is_window_open(number, wa_id)
    category = state.category
    if rules.pricing_rules == "conversation":
        pricing: Json = {"billable": category != "service", "pricing_model": "CBP", "category": category}
        if in_entry_point:
            pricing = {"billable": False, "pricing_model": "CBP", "category": "referral_conversion"}
    elif in_entry_point:
        pricing = _pmp("free_entry_point", "referral_conversion")
    elif not state.is_template:
        is_free = rules.pricing_rules == "2025-07-01" or _take_free_service(world, number, waba)
        state.was_free_service = is_free and rules.pricing_rules == "2026-10-01"
        pricing = _pmp("free_customer_service" if is_free else "regular", "service")
    elif category == "utility" and in_window and rules.pricing_rules == "2025-07-01":
        pricing = _pmp("free_customer_service", "utility")
    else:
        pricing = _pmp("regular", category)
    if rules.prices:
        state.pricing = pricing
    if rules.webhook_version < 24 or in_entry_point:
        state.conversation = _conversation(world, number, wa_id, str(pricing["category"]))


def give_back(world: World, number: Number, state: MessageState) -> None:
    """Return the free service message of a message that failed after all."""
    if state.was_free_service and number.free_service_used > 0:
        state.was_free_service = False
        number.free_service_used -= 1
        world.save(number)


def _pmp(kind: str, category: str) -> Json:
    return {"billable": kind == "regular", "pricing_model": "PMP", "type": kind, "category": category}


def _take_free_service(world: World, number: Number, waba: Waba) -> bool:
    local = datetime.fromtimestamp(world.clock.time(), ZoneInfo(waba.timezone))
    month = f"{local:%Y-%m}"
    if number.free_month != month:
        number.free_month, number.free_service_used = month, 0
    if number.free_service_used >= FREE_SERVICE_MESSAGES:
        return False
    number.free_service_used += 1
    world.save(number)
    return True


def _conversation(world: World, number: Number, wa_id: str, category: str) -> Json:
    day = int(world.clock.time() // 86_400)
    digest = hashlib.md5(f"{number.id}:{wa_id}:{category}:{day}".encode(), usedforsecurity=False).hexdigest()
    return {
        "id": digest,
        "expiration_timestamp": str(int(world.clock.time() + 86_400)),
        "origin": {"type": category},
    }
