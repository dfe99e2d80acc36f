"""Changes beside messages: each taken to whoever owns its field, none lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from partnerhub.channels import queries as channels
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.messaging.changes import forget_old, route_change, route_waiting
from partnerhub.messaging.routes import RouteBook
from tests import factories
from tests.messaging.stock import Desk, change, make_number, post, status, value


@pytest.fixture
def routes(database: Database, keyring: Keyring) -> RouteBook:
    """Give routes that are looked up each time."""
    return RouteBook(database, keyring, system_token="the-system-token")


async def route_all(desk: Desk, routes: RouteBook) -> dict[str, Any]:  # Any: rows by field
    """Run the waiting jobs as the worker does, twice, and return what became of the changes."""
    jobs = await desk.jobs()
    for job in [*jobs, *jobs]:
        await route_change(desk.database, routes, change_id=job["change_id"])
    return {row["field"]: row for row in await desk.changes()}


async def test_a_review_of_a_template_is_written_and_told(
    desk: Desk, routes: RouteBook, database: Database
) -> None:
    waba = await factories.make_waba(database)
    made = await factories.make_template(database, waba=waba, status="submitted")
    told = {
        "event": "REJECTED",
        "message_template_id": int(made.external_id),
        "message_template_name": made.name,
        "message_template_language": "de",
        "reason": "INVALID_FORMAT",
    }
    await desk.callbacks.take(
        post([change(told, "message_template_status_update")], entry_id=waba.external_id, time=1)
    )
    row = (await route_all(desk, routes))["message_template_status_update"]
    assert (row["error"], row["handled_at"] is not None) == (None, True)
    async with database.tenant(waba.partner_id) as unit:
        template = await channels.get_template(
            unit, partner_id=waba.partner_id, waba_id=waba.id, template_id=made.id
        )
    assert (template.status, template.rejected_reason) == ("rejected", "INVALID_FORMAT")
    [event] = [json.loads(body) for body in await desk.bodies()]
    assert event["event"] == "waba_template_status_changed"


async def test_a_category_changes_when_it_is_done_and_not_when_it_is_coming(
    desk: Desk, routes: RouteBook, database: Database
) -> None:
    waba = await factories.make_waba(database)
    made = await factories.make_template(database, waba=waba, category="UTILITY")
    coming = {
        "message_template_id": int(made.external_id),
        "new_category": "UTILITY",
        "correct_category": "MARKETING",
    }
    done = {
        "message_template_id": int(made.external_id),
        "previous_category": "UTILITY",
        "new_category": "MARKETING",
    }

    async def category() -> str:
        async with database.tenant(waba.partner_id) as unit:
            found = await channels.get_template(
                unit, partner_id=waba.partner_id, waba_id=waba.id, template_id=made.id
            )
        return found.category

    await desk.callbacks.take(
        post([change(coming, "template_category_update")], entry_id=waba.external_id, time=1)
    )
    await route_all(desk, routes)
    assert await category() == "UTILITY"
    await desk.callbacks.take(
        post([change(done, "template_category_update")], entry_id=waba.external_id, time=2)
    )
    await route_all(desk, routes)
    assert await category() == "MARKETING"


async def test_a_quality_change_is_known_by_its_content(
    desk: Desk, routes: RouteBook, database: Database
) -> None:
    waba = await factories.make_waba(database)
    made = await factories.make_template(database, waba=waba)
    told = {
        "message_template_id": int(made.external_id),
        "previous_quality_score": "GREEN",
        "new_quality_score": "RED",
    }
    # One page of Meta's shows it under this name.
    await desk.callbacks.take(
        post([change(told, "message_template_status_update")], entry_id=waba.external_id, time=1)
    )
    await route_all(desk, routes)
    async with database.tenant(waba.partner_id) as unit:
        found = await channels.get_template(
            unit, partner_id=waba.partner_id, waba_id=waba.id, template_id=made.id
        )
    assert (found.quality_score or {})["score"] == "RED"


@pytest.mark.parametrize("written", ["{}", "+{}"])
async def test_a_numbers_limit_finds_it_by_its_digits(
    desk: Desk, routes: RouteBook, database: Database, written: str
) -> None:
    waba = await factories.make_waba(database)
    channel = await factories.make_channel(database, waba=waba)
    told = {
        "display_phone_number": written.format(channel.phone_number),
        "event": "THROUGHPUT_UPGRADE",
        "max_daily_conversations_per_business": "TIER_10K",
    }
    await desk.callbacks.take(
        post([change(told, "phone_number_quality_update")], entry_id=waba.external_id, time=1)
    )
    await route_all(desk, routes)
    async with database.tenant(waba.partner_id) as unit:
        found = await channels.get_channel(unit, partner_id=waba.partner_id, channel_id=channel.id)
    assert (found.current_limit, found.throughput) == ("TIER_10K", "HIGH")


async def test_a_name_is_taken_over_when_it_is_approved(
    desk: Desk, routes: RouteBook, database: Database
) -> None:
    waba = await factories.make_waba(database)
    channel = await factories.make_channel(database, waba=waba)
    told = {
        "display_phone_number": channel.phone_number,
        "decision": "APPROVED",
        "requested_verified_name": "Acme Shoes",
        "rejection_reason": "NONE",
    }
    await desk.callbacks.take(
        post([change(told, "phone_number_name_update")], entry_id=waba.external_id, time=1)
    )
    await route_all(desk, routes)
    async with database.tenant(waba.partner_id) as unit:
        found = await channels.get_channel(unit, partner_id=waba.partner_id, channel_id=channel.id)
    assert (found.phone_name, found.name_status) == ("Acme Shoes", "APPROVED")


async def test_history_goes_to_the_partner_in_the_partners_envelope(
    desk: Desk, routes: RouteBook, database: Database, keyring: Keyring
) -> None:
    waba = await factories.make_waba(database)
    channel = await make_number(database, keyring, waba=waba)
    threads = [{"metadata": {"phase": 0, "chunk_order": 1, "progress": 55}, "threads": [{"id": "49151"}]}]
    told = value(channel.external_id, history=threads)
    await desk.callbacks.take(post([change(told, "history")], entry_id=waba.external_id))
    assert await desk.bodies() == []
    await route_all(desk, routes)
    [event] = [json.loads(body) for body in await desk.bodies()]
    assert event["event"] == "history"
    assert event["data"] == {"id": waba.external_id, **told}


async def test_contacts_go_to_the_number_at_once_and_to_the_partner_by_a_job(
    desk: Desk, routes: RouteBook, database: Database, keyring: Keyring
) -> None:
    channel = await make_number(database, keyring)
    told = value(channel.external_id, state_sync=[{"type": "contact", "action": "add"}])
    raw = post([change(told, "smb_app_state_sync")])
    await desk.callbacks.take(raw)
    assert await desk.bodies() == [raw]
    await route_all(desk, routes)
    assert [json.loads(body).get("event") for body in await desk.bodies()] == [None, "smb_app_state_sync"]


async def test_a_field_nobody_owns_goes_to_its_number_as_meta_wrote_it(
    desk: Desk, routes: RouteBook, database: Database, keyring: Keyring
) -> None:
    channel = await make_number(database, keyring)
    told = value(channel.external_id, user_preferences=[{"wa_id": "49151", "value": "stop"}])
    raw = post([change(told, "user_preferences")])
    await desk.callbacks.take(raw)
    await route_all(desk, routes)
    assert await desk.bodies() == [raw]


@pytest.mark.parametrize(
    ("told", "field", "reason"),
    [
        ({"event": "X"}, "a_field_of_next_year", "no_owner"),
        (value("999", user_preferences=[]), "user_preferences", "unknown_number"),
        (
            {"message_template_id": 1, "event": "APPROVED"},
            "message_template_status_update",
            "nothing_changed",
        ),
        (
            {"display_phone_number": "1", "event": "ONBOARDING"},
            "phone_number_quality_update",
            "unknown_account",
        ),
    ],
)
async def test_what_nobody_can_take_is_kept_with_the_reason(
    desk: Desk, routes: RouteBook, told: dict[str, object], field: str, reason: str
) -> None:
    await desk.callbacks.take(post([change(told, field)], time=1))
    row = (await route_all(desk, routes))[field]
    assert row["error"] == reason


async def test_a_callback_that_came_before_its_number_is_delivered_once_the_number_is_there(
    desk: Desk, routes: RouteBook, database: Database
) -> None:
    raw = post([change(value("109555", messages=[{"id": "wamid.1"}], statuses=[status("wamid.2")]))])
    await desk.callbacks.take(raw)
    assert await route_waiting(database, routes) == 0
    waba = await factories.make_waba(database)
    channel = await factories.make_channel(database, waba=waba, external_id="109555")
    assert await route_waiting(database, routes) == 1
    assert await route_waiting(database, routes) == 0
    assert await desk.bodies() == [raw]
    assert [(row["wamid"], row["channel_id"]) for row in await desk.statuses()] == [("wamid.2", channel.id)]


async def test_what_is_told_of_an_account_before_it_is_known_is_taken_once_it_is(
    desk: Desk, routes: RouteBook, database: Database
) -> None:
    told = {"event": "PARTNER_ADDED", "waba_info": {"waba_id": "104555", "owner_business_id": "1"}}
    await desk.callbacks.take(post([change(told, "account_update")], entry_id="our-own-business", time=1))
    with capture_logs() as said:
        row = (await route_all(desk, routes))["account_update"]
        assert (row["error"], row["handled_at"]) == ("unknown_account", None)
        assert await route_waiting(database, routes) == 0
        await factories.make_waba(database, external_id="104555")
        assert await route_waiting(database, routes) == 1
        assert await route_waiting(database, routes) == 0
    [row] = await desk.changes()
    assert (row["error"], row["handled_at"] is not None) == (None, True)
    assert [one for one in said if one["log_level"] != "info"] == [], "that is the usual course"


async def test_contacts_that_came_before_their_number_go_both_ways(
    desk: Desk, routes: RouteBook, database: Database
) -> None:
    raw = post(
        [change(value("109556", state_sync=[{"type": "contact", "action": "add"}]), "smb_app_state_sync")]
    )
    await desk.callbacks.take(raw)
    await route_all(desk, routes)
    await factories.make_channel(database, external_id="109556")
    assert await route_waiting(database, routes) == 1
    bodies = [json.loads(body) for body in await desk.bodies()]
    assert {body.get("event", body.get("object")) for body in bodies} == {
        "smb_app_state_sync",
        "whatsapp_business_account",
    }


async def test_what_is_past_use_is_forgotten(desk: Desk, database: Database) -> None:
    await desk.callbacks.take(post([change({"event": "X"}, "account_update")], time=1))
    await forget_old(database)
    assert len(await desk.changes()) == 1
    async with database.system() as unit:
        await unit.execute("update meta_change set received_at = now() - interval '31 days'")
        await unit.execute("delete from callback_seen")
        await unit.execute(
            "insert into callback_seen values ('old', now() - interval '9 days'), ('new', now())"
        )
    await forget_old(database)
    assert await desk.changes() == []
    async with database.system() as unit:
        assert await unit.fetch_value("select count(*) from callback_seen") == 1
