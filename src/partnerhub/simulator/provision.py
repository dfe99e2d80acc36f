"""Making assets whole: a WABA with its namespace, a number with its display form, the events that follow.

Shared by the admin API and Embedded Signup.
"""

from __future__ import annotations

from uuid import UUID

import phonenumbers

from partnerhub.simulator.callbacks import Callbacks
from partnerhub.simulator.model import App, Number, Waba
from partnerhub.simulator.world import World


def display(digits: str) -> str:
    """Format a number as Graph shows it, `+1 631-555-8151`."""
    try:
        return phonenumbers.format_number(
            phonenumbers.parse(f"+{digits}"), phonenumbers.PhoneNumberFormat.INTERNATIONAL
        )
    except phonenumbers.NumberParseException:
        return f"+{digits}"


def is_possible(digits: str) -> bool:
    """Tell whether a number with its country code could exist, judged by its length."""
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(f"+{digits}"))
    except phonenumbers.NumberParseException:
        return False


def namespace(world: World) -> str:
    """Make a template namespace: a UUID with underscores."""
    return str(UUID(int=world.ids.random.getrandbits(128), version=4)).replace("-", "_")


def announce_partner_added(world: World, callbacks: Callbacks, waba: Waba, app_id: str) -> None:
    """Tell an app that a business shared a WABA with it; `entry.id` is the provider's business."""
    app = world.get(App, app_id)
    has_field = app.subscription is not None and "account_update" in app.subscription.fields
    callbacks.emit(
        waba=None,
        entry_id=world.config.business_id,
        field="account_update",
        value={
            "event": "PARTNER_ADDED",
            "waba_info": {
                "waba_id": waba.id,
                "owner_business_id": waba.business_id,
                "partner_app_id": app_id,
            },
        },
        event=("field", waba.id, "PARTNER_ADDED"),
        time=int(world.clock.time()),
        apps=[app] if has_field else [],
    )


def register(world: World, number: Number) -> None:
    """Put a number in service."""
    number.status = "CONNECTED"
    number.last_onboarded_at = number.last_onboarded_at or world.clock.time()
    world.save(number)
