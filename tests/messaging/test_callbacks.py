"""Callbacks in: what is committed before Meta hears its 200."""

from __future__ import annotations

import asyncio
import json

import pytest

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.messaging.callbacks import ROUTE_JOB
from tests import factories
from tests.messaging.stock import Desk, change, make_number, post, status, value

ENTRY = {"id": "wamid.in", "type": "text", "text": {"body": "hé \ud83d"}}


async def test_a_numbers_callback_is_stored_byte_for_byte(
    desk: Desk, database: Database, keyring: Keyring
) -> None:
    channel = await make_number(database, keyring)
    raw = post([change(value(channel.external_id, messages=[ENTRY]))]).replace(b'", "', b'" ,\n"')
    taken = await desk.callbacks.take(raw)
    assert await desk.bodies() == [raw]
    assert await desk.deliveries() == [{"owner_kind": "channel", "owner_id": channel.id, "name": "messages"}]
    assert (taken.deliveries, taken.statuses, taken.stored) == (1, 0, 0)


async def test_a_mixed_callback_is_split_into_one_delivery_for_each_number(
    desk: Desk, database: Database, keyring: Keyring
) -> None:
    one, two = await make_number(database, keyring), await make_number(database, keyring)
    changes = [
        change(value(one.external_id, messages=[{"id": "wamid.1"}])),
        change(value(two.external_id, statuses=[status("wamid.2")])),
        change(value(one.external_id, calls=[{"id": "wacid.1"}]), "calls"),
    ]
    await desk.callbacks.take(post(changes))
    bodies = [json.loads(body) for body in await desk.bodies()]
    found = {body["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"]: body for body in bodies}
    assert [each["field"] for each in found[one.external_id]["entry"][0]["changes"]] == ["messages", "calls"]
    assert found[two.external_id]["entry"][0]["changes"] == [changes[1]]
    assert {row["owner_id"] for row in await desk.deliveries()} == {one.id, two.id}


async def test_a_number_without_a_webhook_uses_its_accounts(
    desk: Desk, database: Database, keyring: Keyring
) -> None:
    channel = await make_number(database, keyring, webhook=None, waba_webhook="https://client.example/all")
    await desk.callbacks.take(post([change(value(channel.external_id, messages=[ENTRY]))]))
    assert len(await desk.deliveries()) == 1


async def test_without_any_webhook_the_event_is_kept_for_a_replay(
    desk: Desk, database: Database, keyring: Keyring
) -> None:
    channel = await make_number(database, keyring, webhook=None)
    raw = post([change(value(channel.external_id, messages=[ENTRY]))])
    await desk.callbacks.take(raw)
    assert (await desk.bodies(), await desk.deliveries()) == ([raw], [])


async def test_a_repeat_is_taken_and_dropped(desk: Desk, database: Database, keyring: Keyring) -> None:
    channel = await make_number(database, keyring)
    raw = post([change(value(channel.external_id, messages=[ENTRY]))])
    await asyncio.gather(*(desk.callbacks.take(raw) for _ in range(5)))
    await desk.callbacks.take(raw)
    assert await desk.bodies() == [raw]


async def test_errors_without_an_id_are_never_taken_for_repeats(
    desk: Desk, database: Database, keyring: Keyring
) -> None:
    channel = await make_number(database, keyring)
    raw = post([change(value(channel.external_id, errors=[{"code": 130429}]))])
    await desk.callbacks.take(raw)
    await desk.callbacks.take(raw)
    assert await desk.bodies() == [raw, raw]


async def test_statuses_are_rows_with_what_the_ledger_prices_by(
    desk: Desk, database: Database, keyring: Keyring
) -> None:
    channel = await make_number(database, keyring)
    pricing = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "utility"}
    told = [
        status("wamid.1", "sent", pricing=pricing),
        status("wamid.2", "failed", errors=[{"code": 131047, "title": "x"}]),
        status("wamid.3", recipient_id="Y2Fw", recipient_type="group", recipient_participant_id="49152"),
    ]
    await desk.callbacks.take(post([change(value(channel.external_id, statuses=told))]))
    rows = await desk.statuses()
    shown = ("wamid", "status", "recipient", "participant", "error_code", "currency", "time_zone")
    assert [tuple(row[name] for name in shown) for row in rows] == [
        ("wamid.1", "sent", "4915112345678", "", None, "EUR", "Europe/Berlin"),
        ("wamid.2", "failed", "4915112345678", "", 131047, "EUR", "Europe/Berlin"),
        ("wamid.3", "delivered", "Y2Fw", "49152", None, "EUR", "Europe/Berlin"),
    ]
    assert rows[0]["pricing"]["category"] == "utility"
    assert {row["channel_id"] for row in rows} == {channel.id}


async def test_an_unreadable_status_reaches_the_client_and_is_kept(
    desk: Desk, database: Database, keyring: Keyring
) -> None:
    channel = await make_number(database, keyring)
    raw = post([change(value(channel.external_id, statuses=[status("wamid.1", timestamp="soon")]))])
    await desk.callbacks.take(raw)
    assert await desk.bodies() == [raw]
    assert [(row["error"], bytes(row["body"])) for row in await desk.changes()] == [
        ("unreadable_status", raw)
    ]


async def test_other_fields_are_stored_with_a_job_in_the_same_commit(desk: Desk) -> None:
    told = {"event": "APPROVED", "message_template_id": 7, "message_template_name": "n"}
    first, second = change(told, "message_template_status_update"), change({"event": "X"}, "account_update")
    await desk.callbacks.take(post([first, second], time=1763600000))
    rows = {row["field"]: row for row in await desk.changes()}
    assert set(rows) == {"message_template_status_update", "account_update"}
    assert json.loads(bytes(rows["message_template_status_update"]["body"]))["entry"] == [
        {"id": "104000000000001", "time": 1763600000, "changes": [first]}
    ]
    jobs = await desk.jobs()
    assert {job["name"] for job in jobs} == {ROUTE_JOB}
    assert {job["change_id"] for job in jobs} == {str(row["id"]) for row in rows.values()}
    await desk.callbacks.take(post([first, second], time=1763600000))
    assert len(await desk.changes()) == 2
    assert len(await desk.jobs()) == 2


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[1]", b'{"entry":[]}', b"\x00\xff", b'{"entry":[{"changes":7}]}']
)
async def test_what_cannot_be_read_is_kept_whole_and_once(desk: Desk, raw: bytes) -> None:
    await desk.callbacks.take(raw)
    await desk.callbacks.take(raw)
    assert [(row["error"], bytes(row["body"])) for row in await desk.changes()] == [("malformed", raw)]
    assert await desk.jobs() == []


async def test_a_number_that_is_not_ours_is_kept_beside_one_that_is(
    desk: Desk, database: Database, keyring: Keyring
) -> None:
    channel = await make_number(database, keyring)
    strange = change(value("999", messages=[{"id": "wamid.9"}]))
    await desk.callbacks.take(post([strange, change(value(channel.external_id, messages=[ENTRY]))]))
    assert len(await desk.bodies()) == 1
    [row] = await desk.changes()
    assert (row["error"], row["phone_number_id"], row["handled_at"]) == ("unknown_number", "999", None)
    assert json.loads(bytes(row["body"]))["entry"][0]["changes"] == [strange]


async def test_one_poisoned_callback_takes_nobody_with_it(
    desk: Desk, database: Database, keyring: Keyring
) -> None:
    channel = await make_number(database, keyring)
    good = [post([change(value(channel.external_id, messages=[{"id": f"wamid.{n}"}]))]) for n in range(4)]
    # Codes beyond what the column holds are beyond what Meta has; the database refuses the row.
    bad = post([change(value(channel.external_id, statuses=[status("w", timestamp="253402300800")]))])
    answers = await asyncio.gather(
        *(desk.callbacks.take(raw) for raw in (*good[:2], bad, *good[2:])), return_exceptions=True
    )
    assert [isinstance(answer, Exception) for answer in answers].count(True) <= 1
    assert set(good) <= set(await desk.bodies())


async def test_text_that_postgresql_cannot_hold_is_taken_all_the_same(
    desk: Desk, database: Database, keyring: Keyring
) -> None:
    channel = await make_number(database, keyring)
    raw = post(
        [change(value(channel.external_id, statuses=[status("wamid.\x00a", recipient_id="49\x00151")]))]
    )
    await desk.callbacks.take(raw)
    assert await desk.bodies() == [raw]
    assert [(row["wamid"], row["recipient"]) for row in await desk.statuses()] == [("wamid.a", "49151")]


async def test_a_thousand_updates_are_one_commit(desk: Desk, database: Database, keyring: Keyring) -> None:
    waba = await factories.make_waba(database)
    channels = [await make_number(database, keyring, waba=waba) for _ in range(3)]
    changes = [
        change(value(channels[number % 3].external_id, statuses=[status(f"wamid.{number}")]))
        for number in range(1_000)
    ]
    taken = await desk.callbacks.take(post(changes))
    assert (taken.deliveries, taken.statuses) == (3, 1_000)
    assert len(await desk.statuses()) == 1_000
    found = [each for body in await desk.bodies() for each in json.loads(body)["entry"][0]["changes"]]
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, changes))
