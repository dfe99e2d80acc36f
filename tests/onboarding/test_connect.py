"""Connecting against the simulator: what is sent twice, at once, or for a number that somebody else has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from tests import factories
from tests.factories import MadePartner
from tests.identity.people import CHEAP, PASSWORD
from tests.meta.conftest import client_of
from tests.simulator import harness
from tests.simulator.harness import Meta

from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.kit.errors import HubError
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.onboarding import queries
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.entry import Entry
from partnerhub.onboarding.errors import ConnectFailed, NumberTaken, PinNeeded, StillWorking
from partnerhub.onboarding.schemas import Run, SignupResult, Step
from partnerhub.onboarding.services import Connector, claims
from partnerhub.partners.schemas import SettingsChange
from partnerhub.partners.services import update_settings


@pytest.fixture
async def simulator() -> AsyncIterator[Meta]:
    """Run a Meta."""
    async with harness.running(harness.CONFIG) as running:
        yield running


@pytest.fixture
async def connector(simulator: Meta, database: Database, keyring: Keyring) -> AsyncIterator[Connector]:
    """Give what the flow works with."""
    async with HttpClient(policy=AddressPolicy.TRUSTED) as http:
        yield Connector(
            db=database,
            meta=client_of(simulator.url, http),
            keyring=keyring,
            app_id=harness.APP_ID,
            system_token=harness.SYSTEM_TOKEN,
        )


async def open_run(database: Database, *, email: str, partner: MadePartner | None = None) -> Run:
    """Open a partner's link and sign up."""
    partner = partner or await factories.make_partner(database)
    async with database.system() as unit:
        started = await onboarding.start_run(
            unit, partner_id=partner.id, entry=Entry(), browser_token="b" * 43
        )
    return await onboarding.sign_up_client(
        database,
        run_id=started.run_id,
        browser_token="b" * 43,
        company="Acme",
        person="Ann",
        email=email,
        password=PASSWORD,
        accepts_terms=True,
        locale="en",
        ip="192.0.2.1",
        user_agent="test",
        passwords=CHEAP,
    )


async def shared(simulator: Meta, phone: str, **more: Any) -> SignupResult:
    """Finish Embedded Signup at Meta."""
    body = {"app_id": harness.APP_ID, "number": {"phone_number": phone}, **more}
    done = await simulator.admin("POST", "/signups", body)
    told = done["message"]["data"]
    return SignupResult(
        code=done["code"],
        event="FINISH",
        waba_id=told["waba_id"],
        phone_number_id=told["phone_number_id"],
        business_id=told["business_id"],
    )


async def connect(connector: Connector, run_id: UUID, result: SignupResult | None, pin: str = "") -> Run:
    return await onboarding.complete_signup(
        connector, run_id=run_id, browser_token="b" * 43, result=result, pin=pin
    )


async def stored(database: Database, run_id: UUID) -> Run:
    async with database.system() as unit:
        return await queries.get_run(unit, run_id=run_id, browser_token="b" * 43)


async def test_two_results_at_once_bring_one_number_and_leave_no_error(
    connector: Connector, simulator: Meta
) -> None:
    run = await open_run(connector.db, email="ann@acme.example")
    first, second = await shared(simulator, "+49 30 901820"), await shared(simulator, "+49 30 901821")
    # The first one's code once more: the form sent twice.
    ends = await asyncio.gather(
        *(connect(connector, run.id, result) for result in (first, second, first)), return_exceptions=True
    )
    assert all(isinstance(end, Run | HubError) for end in ends)
    assert any(isinstance(end, Run) for end in ends)
    after = await stored(connector.db, run.id)
    assert (after.step, after.error_code) == (Step.DONE, None)
    async with connector.db.system() as unit:
        rows = await unit.fetch_dicts("select id from channel")
    assert [row["id"] for row in rows] == after.channel_ids


@pytest.mark.parametrize(
    ("time_zone", "number", "kept"),
    [("Europe/Berlin", 47, "Europe/Berlin"), ("UTC", 0, "UTC"), ("Asia/Tashkent", 0, "UTC")],
)
async def test_an_accounts_time_zone_comes_as_metas_number_and_is_kept_with_its_name(
    connector: Connector, simulator: Meta, time_zone: str, number: int, kept: str
) -> None:
    run = await open_run(connector.db, email="ann@acme.example")
    result = await shared(simulator, "+49 30 901820", waba={"name": "Acme", "timezone": time_zone})
    told = await simulator.get(f"/{result.waba_id}?fields=timezone_id", token=harness.SYSTEM_TOKEN)
    assert told.json["timezone_id"] == str(number)
    await connect(connector, run.id, result)
    async with connector.db.system() as unit:
        rows = await unit.fetch_dicts("select timezone_id, time_zone from waba")
    assert rows == [{"timezone_id": number, "time_zone": kept}]


async def test_the_region_of_a_number_is_the_partners_as_of_its_registration(
    connector: Connector, simulator: Meta
) -> None:
    db, partner = connector.db, await factories.make_partner(connector.db)
    chosen = (None, "DE", "US", "BR")
    numbers: list[str | None] = []

    async def choose(region: str) -> None:
        async with db.tenant(partner.id) as unit:
            await update_settings(
                unit,
                partner_id=partner.id,
                change=SettingsChange(data_localization_region=region),
                actor=SYSTEM,
                keyring=connector.keyring,
            )

    async def regions() -> list[tuple[str | None, str | None]]:
        """Read each number's region as Meta has it and as we show it."""
        async with db.system() as unit:
            rows = await unit.fetch_dicts("select external_id, data_localization_region from channel")
        ours = {row["external_id"]: row["data_localization_region"] for row in rows}
        at_meta = [await simulator.admin("GET", f"/numbers/{number}") for number in numbers]
        return [(told["data_localization_region"], ours[told["id"]]) for told in at_meta]

    for index, region in enumerate(chosen):
        if region:
            await choose(region)
        run = await open_run(db, email=f"client-{index}@acme.example", partner=partner)
        result = await shared(simulator, f"+49 30 90182{index}")
        assert (await connect(connector, run.id, result)).error_code is None
        numbers.append(result.phone_number_id)
    # US is Meta's default and is sent as no region; later choices leave earlier numbers alone.
    kept = [(None, None), ("DE", "DE"), (None, "US"), ("BR", "BR")]
    assert await regions() == kept

    # Not even a number that its client shares once more follows the choice.
    await choose("CH")
    for index in range(len(chosen)):
        await share_again(connector, simulator, partner, index)
    assert await regions() == kept


async def share_again(connector: Connector, simulator: Meta, partner: MadePartner, index: int) -> None:
    """Let a client finish Embedded Signup with its number once more, in another browser."""
    db, token = connector.db, f"{index}" * 43
    async with db.system() as unit:
        started = await onboarding.start_run(unit, partner_id=partner.id, entry=Entry(), browser_token=token)
    run = await onboarding.sign_in_client(
        db,
        run_id=started.run_id,
        browser_token=token,
        email=f"client-{index}@acme.example",
        password=PASSWORD,
        ip="192.0.2.1",
        user_agent="test",
        passwords=CHEAP,
    )
    if run.step is not Step.CONNECT:
        run = await onboarding.go_back_to_connect(db, run_id=run.id, browser_token=token)
    async with db.system() as unit:
        rows = await unit.fetch_dicts(
            "select w.external_id as waba, w.fb_business_id as business, c.external_id as number"
            " from channel c join waba w on w.id = c.waba_id where c.client_id = %s",
            (run.client_id,),
        )
    result = await shared(
        simulator,
        f"+49 30 90182{index}",
        waba={"id": rows[0]["waba"]},
        business={"id": rows[0]["business"]},
    )
    assert result.phone_number_id == rows[0]["number"]
    after = await onboarding.complete_signup(connector, run_id=run.id, browser_token=token, result=result)
    assert after.error_code is None


async def credit_line(simulator: Meta) -> str:
    """Return the provider's credit line at Meta."""
    path = f"/{harness.CONFIG.business_id}/extendedcredits"
    answer = await simulator.get(path, token=harness.SYSTEM_TOKEN)
    return str(answer.json["data"][0]["id"])


async def credit_calls(simulator: Meta) -> int:
    """Count how often a line was shared."""
    return len(await simulator.admin("GET", "/calls?path=/whatsapp_credit_sharing_and_attach"))


async def funding(simulator: Meta, result: SignupResult) -> dict[str, Any]:
    """Return what Meta says of an account's payment."""
    fields = "primary_funding_id,currency"
    answer = await simulator.get(f"/{result.waba_id}?fields={fields}", token=harness.SYSTEM_TOKEN)
    return dict(answer.json)


async def test_the_operators_credit_line_pays_for_a_new_account(
    connector: Connector, simulator: Meta
) -> None:
    connector = replace(connector, credit_line_id=await credit_line(simulator))
    db, partner = connector.db, await factories.make_partner(connector.db)
    run = await open_run(db, email="client-0@acme.example", partner=partner)
    result = await shared(simulator, "+49 30 901820")
    assert (await connect(connector, run.id, result)).step is Step.DONE
    paid = await funding(simulator, result)
    assert paid["primary_funding_id"]
    assert paid["currency"] == "EUR"
    users = await simulator.get(
        f"/{result.waba_id}/assigned_users?business={harness.CONFIG.business_id}", token=harness.SYSTEM_TOKEN
    )
    assert [user["tasks"] for user in users.json["data"]] == [["MANAGE"]]
    async with db.system() as unit:
        assert await unit.fetch_value("select currency from waba") == "EUR"
    # Meta swaps no means of payment, so it is not asked to.
    await share_again(connector, simulator, partner, 0)
    assert await credit_calls(simulator) == 1
    assert await funding(simulator, result) == paid


async def test_without_a_credit_line_nothing_is_shared(connector: Connector, simulator: Meta) -> None:
    run = await open_run(connector.db, email="ann@acme.example")
    result = await shared(simulator, "+49 30 901820")
    assert (await connect(connector, run.id, result)).step is Step.DONE
    assert (await funding(simulator, result)).get("primary_funding_id") is None
    assert await credit_calls(simulator) == 0


@pytest.mark.parametrize("action", ["error", "reset_after"])
async def test_a_line_that_could_not_be_shared_stops_the_registration_until_it_is_taken_up_again(
    connector: Connector, simulator: Meta, action: str
) -> None:
    connector = replace(connector, credit_line_id=await credit_line(simulator))
    run = await open_run(connector.db, email="ann@acme.example")
    result = await shared(simulator, "+49 30 901820")
    path = "/*/whatsapp_credit_sharing_and_attach"
    await simulator.admin("POST", "/faults", {"action": action, "code": 10, "path": path, "times": 1})
    with pytest.raises(ConnectFailed):
        await connect(connector, run.id, result)
    stopped = await stored(connector.db, run.id)
    assert (stopped.step, stopped.error_code) == (Step.REGISTER, "connect_failed")
    again = await connect(connector, run.id, None)
    assert (again.step, again.error_code) == (Step.DONE, None)
    assert (await funding(simulator, result))["primary_funding_id"]
    assert await credit_calls(simulator) == (1 if action == "reset_after" else 2)


async def pins(connector: Connector, simulator: Meta, result: SignupResult) -> tuple[str | None, str | None]:
    """Return a number's PIN as Meta has it and as we keep it."""
    async with connector.db.system() as unit:
        (row,) = await unit.fetch_dicts("select id, pin_sealed from channel")
    sealed, place = row["pin_sealed"], connector.place_of_pin(row["id"])
    kept = connector.keyring.open(bytes(sealed), place=place).decode() if sealed else None
    return (await simulator.admin("GET", f"/numbers/{result.phone_number_id}"))["pin"], kept


async def fault(simulator: Meta, action: str, path: str = "/*/register", **more: Any) -> None:
    """Let something go wrong with the next call of a path."""
    await simulator.admin("POST", "/faults", {"action": action, "path": path, "times": 1, **more})


async def test_a_pin_that_may_be_the_numbers_is_not_given_up_for_a_typed_one(
    connector: Connector, simulator: Meta
) -> None:
    run = await open_run(connector.db, email="ann@acme.example")
    result = await shared(simulator, "+49 30 901820")
    await fault(simulator, "reset_after")
    with pytest.raises(ConnectFailed) as lost:
        await connect(connector, run.id, result)
    # What is not known is not said to be undone.
    assert "may have been carried out" in lost.value.message
    assert "did not carry out" not in lost.value.message
    at_meta, kept = await pins(connector, simulator, result)
    assert at_meta == kept is not None
    after = await connect(connector, run.id, None, "123456")
    assert (after.step, await pins(connector, simulator, result)) == (Step.DONE, (kept, kept))


async def test_a_typed_pin_is_kept_once_meta_took_it(connector: Connector, simulator: Meta) -> None:
    run = await open_run(connector.db, email="ann@acme.example")
    result = await shared(simulator, "+49 30 901820")
    path = f"/numbers/{result.phone_number_id}"
    await simulator.admin("PATCH", path, {"pin": "246810"})
    async with simulator.standing_still():
        for pin, is_told in (("", False), ("111111", True)):
            with pytest.raises(PinNeeded) as asked:
                await connect(connector, run.id, result if not pin else None, pin)
            assert bool(asked.value.fields) is is_told
            assert await pins(connector, simulator, result) == ("246810", None)
            await simulator.admin("POST", "/clock", {"advance_seconds": 120})
        await fault(simulator, "reset_after")
        with pytest.raises(ConnectFailed):
            await connect(connector, run.id, None, "246810")
        assert await pins(connector, simulator, result) == ("246810", None)
        await connect(connector, run.id, None, "246810")
    assert await pins(connector, simulator, result) == ("246810", "246810")


async def test_two_runs_of_a_new_client_at_once_bring_one_number_where_it_may_not_add(
    connector: Connector, simulator: Meta
) -> None:
    db, partner = connector.db, await factories.make_partner(connector.db)
    async with db.system() as unit:
        await unit.execute("update partner set allow_client_to_add_phone_no = false")
    runs = [await open_run(db, email="client-0@acme.example", partner=partner)]
    runs.append(await come_again(db, partner, "client-0@acme.example"))
    results = [await shared(simulator, f"+49 30 90183{index}") for index in range(2)]
    ends = await asyncio.gather(
        *(connect(connector, run.id, result) for run, result in zip(runs, results, strict=True)),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["ClientMayNotAdd", "Run"]
    async with db.system() as unit:
        assert await unit.fetch_value("select count(*) from channel") == 1


async def come_again(db: Database, partner: MadePartner, email: str) -> Run:
    """Open another link, which begins another run, and sign in."""
    async with db.system() as unit:
        started = await onboarding.start_run(
            unit, partner_id=partner.id, entry=Entry(state="again"), browser_token="b" * 43
        )
    return await onboarding.sign_in_client(
        db,
        run_id=started.run_id,
        browser_token="b" * 43,
        email=email,
        password=PASSWORD,
        ip="192.0.2.1",
        user_agent="test",
        passwords=CHEAP,
    )


@pytest.mark.parametrize("runs", [1, 2])
async def test_registering_twice_at_once_leaves_one_pin(
    connector: Connector, simulator: Meta, runs: int
) -> None:
    db, partner = connector.db, await factories.make_partner(connector.db)
    run = await open_run(db, email="client-0@acme.example", partner=partner)
    result = await shared(simulator, "+49 30 901820")
    await fault(simulator, "error", "/*/subscribed_apps", code=131000)
    with pytest.raises(ConnectFailed):
        await connect(connector, run.id, result)
    ids = [run.id, run.id]
    if runs == 2:
        other = await come_again(db, partner, "client-0@acme.example")
        assert (other.step, other.channel_ids) == (
            Step.REGISTER,
            (await stored(db, run.id)).channel_ids,
        )
        ids[1] = other.id
    await fault(simulator, "latency", seconds=0.5)
    ends = await asyncio.gather(
        *(connect(connector, one, None) for one in (*ids, *ids)), return_exceptions=True
    )
    assert sorted(type(end).__name__ for end in ends) == ["Run", *["StillWorking"] * 3]
    at_meta, kept = await pins(connector, simulator, result)
    assert at_meta == kept is not None
    assert len(await simulator.admin("GET", "/calls?path=/register")) == 1
    # Nothing went wrong for those that were not let in, and what they are about can be ended by them, too.
    for one in ids:
        assert (await stored(db, one)).error_code is None
        assert (await connect(connector, one, None)).step is Step.DONE
    assert await pins(connector, simulator, result) == (kept, kept)


async def test_a_claim_of_a_killed_process_ends_by_time(connector: Connector, simulator: Meta) -> None:
    run = await open_run(connector.db, email="ann@acme.example")
    result = await shared(simulator, "+49 30 901820")
    async with connector.db.system() as unit:
        await claims.hold(unit, name=claims.run_claim(run.id), partner_id=run.partner_id, holder=UUID(int=1))
    with pytest.raises(StillWorking):
        await connect(connector, run.id, result)
    with clock.moved_by(claims.CLAIM_LIFETIME):
        result = await shared(simulator, "+49 30 901821")
        assert (await connect(connector, run.id, result)).step is Step.DONE
    async with connector.db.system() as unit:
        assert await unit.fetch_value("select count(*) from onboarding_claim") == 0


async def test_a_number_of_another_partners_client_stays_theirs(
    connector: Connector, simulator: Meta
) -> None:
    theirs = await open_run(connector.db, email="ann@acme.example")
    result = await shared(simulator, "+49 30 901820")
    await connect(connector, theirs.id, result)
    async with connector.db.system() as unit:
        before = await unit.fetch_dicts("select * from waba")
    mine = await open_run(connector.db, email="ben@birch.example")
    again = await shared(
        simulator, "+49 30 901822", waba={"id": result.waba_id}, business={"id": result.business_id}
    )
    assert again.waba_id == result.waba_id
    with pytest.raises(NumberTaken):
        await connect(connector, mine.id, again)
    async with connector.db.system() as unit:
        assert await unit.fetch_dicts("select * from waba") == before
    after = await stored(connector.db, mine.id)
    assert (after.step, after.channel_ids, after.error_code) == (Step.CONNECT, [], NumberTaken.code)
