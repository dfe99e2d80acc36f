"""Receivers that fail in every way: what the log says, and when the event goes out again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from tests.kit.http.receivers import OK, Visit
from tests.kit.http.receivers import receiver as raw_receiver
from tests.webhooks.receivers import Got, Receiver, accept, answer
from tests.webhooks.steps import (
    PARTNER,
    MakeReceiver,
    MakeSender,
    accept_pieces,
    details,
    make_due,
    piece,
    publish,
    set_url,
    until,
    until_states,
)

from partnerhub.kit.clock import moved_by, now
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.webhooks import queries, services
from partnerhub.webhooks.jobs import expire_overdue
from partnerhub.webhooks.schemas import DeliveryState, DisabledReason, OwnerKind
from partnerhub.webhooks.stock import Caps
from partnerhub.webhooks.turns import NOTICE_JOB

Script = Callable[[Receiver, Got], Awaitable[web.StreamResponse | None]]
OldDays = Callable[[timedelta, str], Awaitable[None]]


@pytest.fixture
async def old_days(database: Database) -> AsyncIterator[OldDays]:
    """Give what makes the newest delivery so old and sets its state; days made for it are dropped."""
    made: set[str] = set()

    async def as_owner(statement: str) -> None:
        async with database.pool.connection() as connection, connection.transaction():
            await connection.execute("set local role hub_owner")
            await connection.execute(statement.encode())

    async def move(age: timedelta, state: str) -> None:
        day = (now() - age).date()
        name = f"delivery_{day:%Y%m%d}"
        if day < now().date() - timedelta(days=1):
            made.add(name)
            await as_owner(
                f"create table if not exists {name} partition of delivery"
                f" for values from ('{day}') to ('{day + timedelta(days=1)}')"
            )
        async with database.system() as unit:
            await unit.execute(
                "update delivery set created_at = now() - %s::interval, state = %s"
                " where created_at = (select max(created_at) from delivery)",
                (age, state),
            )

    yield move
    for name in made:
        await as_owner(f"drop table {name}")


async def _drop(_receiver: Receiver, _got: Got) -> None:
    """Cut the connection without an answer."""


async def _huge(_receiver: Receiver, _got: Got) -> web.Response:
    return web.Response(body=b"x" * 3_000_000)


async def _compressed(_receiver: Receiver, _got: Got) -> web.Response:
    return web.Response(body=b"\x1f\x8bnot really", headers={"Content-Encoding": "gzip"})


_FAILURES: list[tuple[Script, int | None, str]] = [
    (answer(500, text="broken"), 500, "server_error"),
    (answer(503), 503, "server_error"),
    (answer(404), 404, "client_error"),
    (answer(401), 401, "client_error"),
    (answer(429), 429, "throttled"),
    (answer(302, headers={"Location": "https://elsewhere.example/"}), 302, "redirect"),
    (answer(304), 304, "redirect"),
    (_drop, None, "closed"),
]


@pytest.mark.parametrize("failure", _FAILURES, ids=lambda failure: f"{failure[1]}")
async def test_anything_but_a_2xx_is_tried_again_and_logged_by_its_kind(
    database: Database,
    keyring: Keyring,
    make_sender: MakeSender,
    make_receiver: MakeReceiver,
    failure: tuple[Script, int | None, str],
) -> None:
    script, status, error = failure
    here = await make_receiver(script)
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, piece(endpoint))
    await here.wait_for(1)

    async def is_logged() -> bool:
        return bool((await details(database))[0].attempts)

    await until(is_logged)
    (detail,) = await details(database)
    attempt = detail.attempts[0]
    assert (attempt.status, attempt.error) == (status, error)
    assert detail.delivery.last_error == error
    if detail.delivery.next_at is not None:
        assert detail.delivery.next_at < now() + timedelta(seconds=4)
    here.script = accept
    await make_due(database)
    await until_states(database, delivered=1)
    assert set(here.ids) == {str(detail.delivery.event_id)}
    assert len({got.body for got in here.got}) == 1


async def test_a_redirect_is_never_followed(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    elsewhere = await make_receiver()
    here = await make_receiver(answer(307, headers={"Location": elsewhere.url()}))
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, piece(endpoint))
    await here.wait_for(2)
    assert elsewhere.got == []
    (detail,) = await details(database)
    assert ("location", elsewhere.url()) in detail.attempts[0].headers


@pytest.mark.parametrize("status", [201, 202, 204, 299])
async def test_every_2xx_is_success_and_the_log_marks_those_other_than_200(
    database: Database,
    keyring: Keyring,
    make_sender: MakeSender,
    make_receiver: MakeReceiver,
    status: int,
) -> None:
    here = await make_receiver(answer(status))
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, piece(endpoint))
    await until_states(database, delivered=1)
    (detail,) = await details(database)
    assert detail.delivery.is_unusual
    assert detail.delivery.last_status == status


async def test_an_answer_is_kept_up_to_8_kb_and_never_read_whole_when_it_is_huge(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(_huge)
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, piece(endpoint))
    await until_states(database, delivered=1)
    (detail,) = await details(database)
    (attempt,) = detail.attempts
    assert len(attempt.body) == 8192
    assert attempt.body_truncated


async def test_a_compressed_answer_is_kept_as_it_came(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(_compressed)
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, piece(endpoint))
    await until_states(database, delivered=1)
    (detail,) = await details(database)
    assert detail.attempts[0].body == b"\x1f\x8bnot really"


async def test_secrets_in_an_answers_headers_are_removed_from_the_log(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    secret = {
        "Set-Cookie": "sid=abc",
        "X-Api-Key": "k",
        "X-Access-Token": "t",
        "Authorization": "Bearer x",
        "X-Session-Id": "s",
    }
    here = await make_receiver(answer(200, headers={**secret, "X-Trace": "t-1"}, text="fine"))
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, piece(endpoint))
    await until_states(database, delivered=1)
    (detail,) = await details(database)
    headers = dict(detail.attempts[0].headers)
    assert headers["x-trace"] == "t-1"
    assert {headers[name.lower()] for name in secret} == {"[removed]"}


async def test_a_receiver_that_takes_longer_than_its_limit_has_failed(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    """Number webhooks have 5 s for the whole exchange, partner events 10; this one is in between."""
    number, drip, partner = await make_receiver(), await make_receiver(), await make_receiver()
    release = asyncio.Event()

    async def slowly(_receiver: Receiver, _got: Got) -> web.Response:
        await release.wait()
        return web.Response()

    async def dripping(_receiver: Receiver, _got: Got) -> None:
        await release.wait()

    number.script, partner.script, drip.script = slowly, slowly, dripping
    await make_sender()
    endpoint = await set_url(database, keyring, number.url())
    await set_url(database, keyring, partner.url(), owner_kind=OwnerKind.PARTNER, owner_id=PARTNER)
    await accept_pieces(database, piece(endpoint))
    await publish(database, name="channel_live", data={})
    await partner.wait_for(1)

    async def has_timed_out() -> bool:
        return any(detail.attempts for detail in await details(database))

    await until(has_timed_out, within=8)
    release.set()
    await partner.wait_for(1)

    async def partner_has_it() -> bool:
        return any(d.delivery.state is DeliveryState.DELIVERED for d in await details(database))

    await until(partner_has_it, within=3)
    attempts = {d.delivery.owner_kind: d.attempts[0] for d in await details(database)}
    late = attempts[OwnerKind.CHANNEL]
    assert (late.status, late.error) == (None, "timeout_first_byte")
    assert 4_900_000 < late.total_us < 6_500_000
    in_time = attempts[OwnerKind.PARTNER]
    assert (in_time.status, in_time.error) == (200, None)
    assert in_time.total_us > 4_900_000


async def test_a_port_that_nobody_listens_on_is_refused_and_a_name_that_is_not_is_dns(
    database: Database, keyring: Keyring, make_sender: MakeSender
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    await make_sender()
    refusing = await set_url(database, keyring, f"http://127.0.0.1:{port}/")
    private = await set_url(database, keyring, "https://acme.example/", owner_id="privateCH")
    async with database.tenant(PARTNER) as unit:
        # As if the rule had been laxer when it was set: the client refuses it all the same.
        await unit.execute("update endpoint set url = 'https://10.1.2.3/' where id = %s", (private.id,))
    await accept_pieces(database, piece(refusing), piece(private))

    async def both_tried() -> bool:
        return all(detail.attempts for detail in await details(database))

    await until(both_tried)
    errors = {d.delivery.endpoint_id: d.attempts[0].error for d in await details(database)}
    assert errors == {refusing.id: "refused", private.id: "blocked"}


async def test_retry_after_is_honoured_in_both_its_forms(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    later = (datetime.now(UTC) + timedelta(seconds=700)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    wanted = {"1": ("600", 600), "2": (later, 700), "3": ("999999", 3600), "4": ("soon", 0)}

    async def ask_for_time(_receiver: Receiver, got: Got) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": wanted[got.path[-1]][0]})

    here = await make_receiver(ask_for_time)
    await make_sender()
    for name in wanted:
        endpoint = await set_url(database, keyring, here.url(f"/{name}"), owner_id=name)
        await accept_pieces(database, piece(endpoint))

    async def all_tried() -> bool:
        return all(detail.attempts for detail in await details(database))

    await until(all_tried)
    for detail in await details(database):
        next_at = detail.delivery.next_at
        if detail.delivery.owner_id == "4":
            continue  # backs off as usual and may be under way again
        assert next_at is not None
        asked = wanted[detail.delivery.owner_id][1]
        waits = (next_at - detail.attempts[0].created_at).total_seconds()
        assert asked - 3 < waits < asked + 5


async def test_410_disables_the_endpoint_with_a_notice_and_loses_nothing(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(answer(410))
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, piece(endpoint, body=b"1"))
    await until_states(database, parked=1)
    await accept_pieces(database, piece(endpoint, body=b"2"))
    await until_states(database, parked=2)
    async with database.tenant(PARTNER) as unit:
        found = await queries.get_endpoint(unit, endpoint_id=endpoint.id, keyring=keyring)
    assert not found.enabled
    assert found.disabled_reason is DisabledReason.GONE
    async with database.pool.connection() as connection:
        rows = await connection.execute(
            "select args from procrastinate_jobs where task_name = %s", (NOTICE_JOB,)
        )
        assert await rows.fetchall() == [({"endpoint_id": str(endpoint.id), "reason": "gone"},)]
    assert len(here.got) == 1
    here.script = accept
    async with database.tenant(PARTNER) as unit:
        await services.enable_endpoint(unit, owner_kind=OwnerKind.CHANNEL, owner_id="numberCH")
    await until_states(database, delivered=2)
    assert sorted(got.body for got in here.got) == [b"1", b"1", b"2"]


async def test_a_paused_endpoint_gets_nothing_and_everything_once_it_is_resumed(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver()
    sender = await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, piece(endpoint), sender=sender)
    await here.wait_for(1)
    async with database.tenant(PARTNER) as unit:
        await services.disable_endpoint(unit, owner_kind=OwnerKind.CHANNEL, owner_id="numberCH")
    for _ in range(3):
        await accept_pieces(database, *(piece(endpoint) for _ in range(5)), sender=sender)
    await until_states(database, delivered=1, parked=15)
    async with database.tenant(PARTNER) as unit:
        await services.enable_endpoint(unit, owner_kind=OwnerKind.CHANNEL, owner_id="numberCH")
    await until_states(database, delivered=16)
    assert max(here.ids.values()) == 1


@pytest.mark.parametrize("state", ["pending", "parked"])
async def test_what_no_sender_came_by_for_is_given_up_with_its_own_code(
    database: Database, keyring: Keyring, old_days: OldDays, state: str
) -> None:
    endpoint = await set_url(database, keyring, "https://acme.example/hook")
    for age in (
        timedelta(days=1),
        timedelta(days=8, hours=23),
        timedelta(days=9, hours=1),
        timedelta(days=25),
    ):
        await accept_pieces(database, piece(endpoint))
        await old_days(age, state)
    assert await expire_overdue(database) == 2
    assert await expire_overdue(database) == 0
    async with database.system() as unit:
        rows = await unit.fetch_dicts(
            "select state, last_error, finished_at is not null as is_finished from delivery"
            " order by created_at"
        )
    given_up = {"state": "failed", "last_error": "expired", "is_finished": True}
    waiting = {"state": state, "last_error": None, "is_finished": False}
    assert rows == [given_up, given_up, waiting, waiting]


async def test_a_live_lease_is_not_given_up_under_its_sender(
    database: Database, keyring: Keyring, old_days: OldDays
) -> None:
    endpoint = await set_url(database, keyring, "https://acme.example/hook")
    await accept_pieces(database, piece(endpoint))
    await old_days(timedelta(days=10), "pending")
    async with database.system() as unit:
        await unit.execute(
            "update delivery set lease = gen_random_uuid(), due_at = now() + interval '15 seconds'"
        )
    assert await expire_overdue(database) == 0
    async with database.system() as unit:
        await unit.execute("update delivery set due_at = now() - interval '1 second'")
    assert await expire_overdue(database) == 1


async def test_after_seven_days_a_delivery_is_given_up(
    database: Database, keyring: Keyring, make_sender: MakeSender, make_receiver: MakeReceiver
) -> None:
    here = await make_receiver(answer(500))
    await make_sender()
    endpoint = await set_url(database, keyring, here.url())
    await accept_pieces(database, piece(endpoint))
    await here.wait_for(1)
    with moved_by(timedelta(days=7)):
        await make_due(database)
        await until_states(database, failed=1)
    (detail,) = await details(database)
    assert detail.delivery.last_error == "server_error"
    assert detail.delivery.finished_at is not None
    assert detail.delivery.next_at is None


async def test_a_kept_connection_that_ends_under_a_request_costs_no_attempt(
    database: Database, keyring: Keyring, make_sender: MakeSender
) -> None:
    """As when a server restarts: it answers one request on a connection and hangs up on the second."""

    async def hang_up_on_the_second(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.request()

    async with raw_receiver(hang_up_on_the_second) as here:
        sender = await make_sender(caps=Caps(endpoint_concurrency=1))
        endpoint = await set_url(database, keyring, here.url())
        await accept_pieces(database, *(piece(endpoint) for _ in range(6)), sender=sender)
        await until_states(database, delivered=6)
        assert {detail.delivery.attempts for detail in await details(database)} == {1}
        assert len(here.requests) > 6
