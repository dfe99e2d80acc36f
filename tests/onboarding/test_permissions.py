"""What the partner may use is the client's to give and to take: told once each, in the run's own words."""

from __future__ import annotations

import asyncio
from typing import LiteralString

import pytest
from tests.channels.told import told_names
from tests.factories import MadePartner, make_channel, make_channel_key, make_partner
from tests.onboarding.runs import make_customer, open_run

from partnerhub.channels.queries import find_route_by_key
from partnerhub.kit.crypto import fingerprint
from partnerhub.kit.database import Database
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.entry import Entry
from partnerhub.onboarding.errors import ClientMayNotAdd, PermissionFixed, StepWrong
from partnerhub.onboarding.rules import Rules
from partnerhub.onboarding.schemas import Step

AT_PERMISSIONS = Entry(at_permissions=True)


@pytest.fixture
async def partner(database: Database) -> MadePartner:
    """A Direct-Paid partner."""
    return await make_partner(database, payment_model="direct_paid", redirect_url="https://p.example/cb")


async def _news(database: Database, partner: MadePartner) -> list[str]:
    return [name for name in await told_names(database, partner.id) if name.startswith("channel_permission")]


async def test_the_page_lists_every_number_or_the_one_that_is_asked_for(
    database: Database, partner: MadePartner
) -> None:
    first, second = await make_customer(database, partner, ["shared", "missing"])
    everything = await open_run(database, partner, AT_PERMISSIONS)
    assert (await everything.sign_in()).step is Step.PERMISSION
    assert sorted(await everything.shows()) == sorted([(first.id, True, False), (second.id, False, False)])
    one = await open_run(database, partner, Entry(at_permissions=True, number=second.phone_number))
    await one.sign_in()
    assert await one.shows() == [(second.id, False, False)]
    # A number that the client does not have is one to connect.
    other = await open_run(database, partner, Entry(at_permissions=True, number="4930999999"))
    assert (await other.sign_in()).step is Step.PRICES


async def test_given_and_taken_permissions_are_told_once_and_stand_in_the_redirect(
    database: Database, partner: MadePartner
) -> None:
    kept, taken, given = await make_customer(database, partner, ["shared", "shared", "missing"])
    key = await make_channel_key(database, channel=taken)
    run = await open_run(database, partner, AT_PERMISSIONS)
    await run.sign_in()
    shown = [kept.id, taken.id, given.id]
    done = await run.decide(shown=shown, shared=[kept.id, given.id])
    assert (done.step, sorted(done.channel_ids), done.revoked_ids) == (
        Step.DONE, sorted([kept.id, given.id]), [taken.id],
    )  # fmt: skip
    assert sorted(await _news(database, partner)) == [
        "channel_permission_granted",
        "channel_permission_revoked",
    ]
    async with database.system() as unit:
        assert await find_route_by_key(unit, key_hash=fingerprint(key.secret)) is None
    # Sent again, from the browser's history: nothing more happens.
    with pytest.raises(StepWrong):
        await run.decide(shown=shown, shared=[])
    assert len(await _news(database, partner)) == 2


async def test_taking_everything_back_still_names_channels(database: Database, partner: MadePartner) -> None:
    (only,) = await make_customer(database, partner, ["shared"])
    run = await open_run(database, partner, AT_PERMISSIONS)
    await run.sign_in()
    done = await run.decide(shown=[only.id], shared=[])
    target = onboarding.finish_run(done)
    assert target == f"https://p.example/cb?client={done.client_id}&channels=[]&revoked=[{only.id}]"


async def test_forms_sent_at_once_by_two_windows_tell_the_partner_once(
    database: Database, partner: MadePartner
) -> None:
    (first, second) = await make_customer(database, partner, ["missing", "missing"])
    runs = [await open_run(database, partner, AT_PERMISSIONS) for _ in range(2)]
    for run in runs:
        await run.sign_in()
    both = [first.id, second.id]
    ends = await asyncio.gather(
        *(run.decide(shown=both, shared=both) for run in (*runs, *runs)), return_exceptions=True
    )
    assert sum(isinstance(end, StepWrong) for end in ends) == 2
    assert sum(not isinstance(end, BaseException) for end in ends) == 2
    assert await _news(database, partner) == ["channel_permission_granted"] * 2


async def test_only_numbers_that_were_shown_and_are_the_clients_change(
    database: Database, partner: MadePartner
) -> None:
    shown, unseen = await make_customer(database, partner, ["missing", "shared"])
    foreign = await make_channel(database, permission="missing")
    run = await open_run(database, partner, AT_PERMISSIONS)
    await run.sign_in()
    done = await run.decide(shown=[shown.id, foreign.id], shared=[shown.id, foreign.id])
    assert (done.channel_ids, done.revoked_ids) == ([shown.id], [])
    async with database.system() as unit:
        rows = await unit.fetch_dicts("select id, permission from channel")
    assert {row["id"]: row["permission"] for row in rows} == {
        shown.id: "shared",
        unseen.id: "shared",
        foreign.id: "missing",
    }


async def test_a_partner_paid_permission_is_given_by_itself_and_taken_only_where_the_operator_lets(
    database: Database,
) -> None:
    partner = await make_partner(database)
    shared, missing = await make_customer(database, partner, ["shared", "missing"])
    run = await open_run(database, partner, AT_PERMISSIONS)
    await run.sign_in()
    assert set(await run.shows()) == {(shared.id, True, True), (missing.id, False, False)}
    with pytest.raises(PermissionFixed):
        await run.decide(shown=[shared.id, missing.id], shared=[missing.id])
    assert await _news(database, partner) == []
    await run.decide(shown=[shared.id, missing.id], shared=[shared.id, missing.id])
    assert await _news(database, partner) == ["channel_permission_granted"]
    # With nothing to decide the page is skipped.
    assert (await (await open_run(database, partner, AT_PERMISSIONS)).sign_in()).step is Step.CONNECT
    lenient = Rules(partner_paid_withdrawal=True)
    free = await open_run(database, partner, AT_PERMISSIONS, rules=lenient)
    assert (await free.sign_in()).step is Step.PERMISSION
    assert (await free.decide(shown=[shared.id], shared=[])).revoked_ids == [shared.id]


async def test_clients_add_numbers_only_where_partner_and_contract_let_them(database: Database) -> None:
    partner = await make_partner(database)
    await make_customer(database, partner, ["shared"])
    run = await open_run(database, partner)
    client_id = (await run.sign_in()).client_id or ""

    async def is_refused() -> bool:
        made = await run.partner()
        async with database.system() as unit:
            try:
                await onboarding.check_may_add(unit, partner=made, client_id=client_id)
            except ClientMayNotAdd:
                return True
        return False

    statements: tuple[tuple[LiteralString, bool], ...] = (
        ("update partner set allow_client_to_add_phone_no = true", False),
        ("update partner set allow_client_to_add_phone_no = false", True),
        # One that stopped half way is finished, not replaced by another.
        ("update channel set account_mode = 'sandbox'", True),
        ("update channel set account_mode = 'live', terminated_at = now()", False),
        ("update channel set terminated_at = null", True),
        ("update partner set allow_client_to_add_phone_no = true", False),
        ("update client set max_channels = 1", True),
    )
    for statement, expected in statements:
        async with database.system() as unit:
            await unit.execute(statement)
        assert await is_refused() is expected, statement


async def test_a_link_gives_its_reference_to_a_client_that_has_none(
    database: Database, partner: MadePartner
) -> None:
    await make_customer(database, partner, [])
    for payload, kept in (("crm-1", "crm-1"), ("crm-2", "crm-1"), ("", "crm-1")):
        run = await open_run(database, partner, Entry(partner_payload=payload))
        await run.sign_in()
        async with database.system() as unit:
            assert await unit.fetch_value("select partner_payload from client") == kept
