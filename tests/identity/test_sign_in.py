"""Signing in: the password, the limits, and what a stranger cannot learn."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from partnerhub.identity import queries, services
from partnerhub.identity.errors import (
    EmailInvalid,
    EmailTaken,
    HashingBusy,
    NoPlace,
    PasswordWeak,
    SignInLimited,
    SignInRefused,
)
from partnerhub.identity.passwords import STANDARD, Passwords, check_strength
from partnerhub.identity.schemas import PLATFORM, Hub, SessionScope, SignedIn, User
from partnerhub.identity.services.limits import begin_attempt
from partnerhub.identity.services.sign_in import sign_in_limits
from partnerhub.kit import clock
from partnerhub.kit.database import Database, Unit
from tests.identity.people import CHEAP, PASSWORD, make_user

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


async def sign_in(
    database: Database,
    email: str = "ops@acme.example",
    password: str = PASSWORD,
    *,
    ip: str = "203.0.113.7",
    hub: Hub = Hub.PARTNER,
    choose_scope: services.ScopeChooser | None = None,
) -> SignedIn:
    return await services.sign_in(
        database,
        email=email,
        password=password,
        ip=ip,
        user_agent="test",
        hub=hub,
        choose_scope=choose_scope,
        passwords=CHEAP,
    )


async def refuse(database: Database, email: str = "ops@acme.example", *, ip: str = "203.0.113.7") -> None:
    with pytest.raises(SignInRefused):
        await sign_in(database, email, "not the password", ip=ip)


async def test_the_right_password_starts_a_session_in_the_chosen_partner(database: Database) -> None:
    user = await make_user(database)

    async def choose(_unit: Unit, person: User) -> SessionScope:
        assert person.id == user.id
        return SessionScope(partner_id="onePA")

    signed_in = await sign_in(database, " OPS@Acme.example ", choose_scope=choose)
    async with database.system() as unit:
        session = await queries.find_session(unit, token=signed_in.token)
        log = await queries.list_audit(unit, partner_id="onePA")
        stored = await unit.fetch_value("select token_hash from session")
    assert session is not None
    assert (session.user_id, session.partner_id, session.hub) == (user.id, "onePA", Hub.PARTNER)
    assert [entry.action for entry in log] == ["session.started"]
    assert signed_in.token.encode() not in stored


@pytest.mark.parametrize(
    "case", ["wrong password", "unknown e-mail", "no password yet", "disabled", "endless"]
)
async def test_every_refusal_is_the_same_answer(database: Database, case: str) -> None:
    user = await make_user(database, password=None if case == "no password yet" else PASSWORD)
    if case == "disabled":
        async with database.system() as unit:
            await services.disable_user(unit, user_id=user.id)
    email = "nobody@acme.example" if case == "unknown e-mail" else user.email
    password = {"wrong password": "wrong-harbour-42", "endless": PASSWORD + "x" * 5_000}.get(case, PASSWORD)
    with pytest.raises(SignInRefused) as refused:
        await sign_in(database, email, password)
    assert (refused.value.code, refused.value.message, refused.value.fields) == (
        "sign_in_refused",
        "E-mail or password is not right.",
        {},
    )


async def test_an_unknown_email_costs_the_work_of_a_known_one(database: Database) -> None:
    """Compares medians of full-cost checks; without the dummy hash the ratio is above five."""
    full = Passwords()
    await make_user(database, passwords=full)

    async def seconds(email: str, ip: str) -> float:
        start = time.perf_counter()
        with pytest.raises(SignInRefused):
            await services.check_password(database, email=email, password="wrong", ip=ip, passwords=full)
        return time.perf_counter() - start

    known, unknown = [], []
    for number in range(9):
        known.append(await seconds("ops@acme.example", f"198.51.100.{number}"))
        unknown.append(await seconds("nobody@acme.example", f"198.51.100.{number}"))
    ratio = statistics.median(known) / statistics.median(unknown)
    assert 0.5 < ratio < 2, f"known/unknown = {ratio:.2f}"


async def test_attempts_are_limited_alike_for_known_and_unknown_people(database: Database) -> None:
    await make_user(database)
    with clock.set_to(NOON):
        for email in ("ops@acme.example", "nobody@acme.example"):
            for _ in range(5):
                await refuse(database, email)
            # The right password does not help while the limit holds.
            with pytest.raises(SignInLimited) as limited:
                await sign_in(database, email.upper())
            assert limited.value.retry_after_seconds == 60


async def test_the_wait_grows(database: Database) -> None:
    waits = []
    for minute in range(0, 40, 2):
        with clock.set_to(NOON + timedelta(minutes=minute)):
            for _ in range(6):
                try:
                    await refuse(database)
                except SignInLimited as limited:
                    waits.append(limited.retry_after_seconds)
                    break
    assert waits[0] == 60
    assert any(600 < wait <= 900 for wait in waits)
    assert waits[-1] > 3_600


async def test_a_stranger_at_another_address_does_not_lock_the_owner_out(database: Database) -> None:
    await make_user(database)
    for minute in range(0, 240, 15):
        with clock.set_to(NOON + timedelta(minutes=minute)):
            for _ in range(110):
                with suppress(SignInLimited):
                    await refuse(database, ip="198.51.100.66")
            assert (await sign_in(database, ip="203.0.113.7")).token


async def test_the_addresses_of_one_line_count_as_one(database: Database) -> None:
    await make_user(database)
    with clock.set_to(NOON):
        for number in range(5):
            await refuse(database, ip=f"2001:db8:1:2::{number}")
        with pytest.raises(SignInLimited):
            await sign_in(database, ip="2001:db8:1:2::5")
        assert (await sign_in(database, ip="2001:db8:1:3::5")).token


async def test_one_address_may_not_try_many_people(database: Database) -> None:
    with clock.set_to(NOON):
        for number in range(60):
            await refuse(database, f"person{number}@acme.example")
        with pytest.raises(SignInLimited):
            await sign_in(database, "person60@acme.example")


async def test_attempts_at_the_same_moment_all_count(database: Database) -> None:
    await make_user(database)
    with clock.set_to(NOON):
        outcomes = await asyncio.gather(
            *(sign_in(database, password="wrong") for _ in range(12)), return_exceptions=True
        )
    assert sum(isinstance(outcome, SignInRefused) for outcome in outcomes) == 5
    assert sum(isinstance(outcome, SignInLimited) for outcome in outcomes) == 7


async def test_right_passwords_never_reach_a_limit(database: Database) -> None:
    """A program may ask for a token as often as it likes, with the person at the dashboard beside it."""
    await make_user(database)
    with clock.set_to(NOON):
        for _ in range(62):
            await sign_in(database)


async def test_right_passwords_at_the_same_moment_all_pass(database: Database) -> None:
    await make_user(database)
    with clock.set_to(NOON):
        await asyncio.gather(*(sign_in(database) for _ in range(30)))
        # Nothing of them is left behind: five failures are still free, and no more.
        for _ in range(5):
            await refuse(database)
        with pytest.raises(SignInLimited):
            await sign_in(database)


async def test_wrong_passwords_among_right_ones_are_limited(database: Database) -> None:
    await make_user(database, email="ops@acme.example")
    with clock.set_to(NOON):
        outcomes = await asyncio.gather(
            *(sign_in(database, email="nobody@acme.example", password="wrong") for _ in range(12)),
            *(sign_in(database) for _ in range(12)),
            return_exceptions=True,
        )
    assert sum(isinstance(outcome, SignInRefused) for outcome in outcomes) == 5
    assert sum(isinstance(outcome, SignInLimited) for outcome in outcomes) == 7
    assert sum(isinstance(outcome, SignedIn) for outcome in outcomes) == 12


async def test_an_attempt_that_found_no_room_for_hashing_does_not_count(database: Database) -> None:
    await make_user(database)
    full = Passwords(time_cost=1, memory_kib=8, at_once=1, waiting=-1)  # no place at all
    with clock.set_to(NOON):
        for _ in range(7):
            with pytest.raises(HashingBusy):
                await services.check_password(
                    database, email="ops@acme.example", password=PASSWORD, ip="203.0.113.7", passwords=full
                )


async def test_an_attempt_that_never_ended_counts(database: Database) -> None:
    pair, alone = sign_in_limits(email="ops@acme.example", ip="203.0.113.7")
    with clock.set_to(NOON):
        for _ in range(5):
            async with database.system() as unit:
                assert (await begin_attempt(unit, limits=[*pair, *alone])).may_try
        async with database.system() as unit:
            refused = await begin_attempt(unit, limits=[*pair, *alone])
        assert (refused.wait_seconds, refused.is_crowded) == (60, True)


async def test_a_success_clears_the_persons_own_count(database: Database) -> None:
    await make_user(database)
    with clock.set_to(NOON):
        for _ in range(4):
            for _ in range(4):
                await refuse(database)
            await sign_in(database)


async def test_only_operators_enter_the_operators_hub(database: Database) -> None:
    await make_user(database)
    await make_user(database, email="root@acme.example", is_operator=True)
    with pytest.raises(NoPlace):
        await sign_in(database, hub=Hub.OPERATOR)
    signed_in = await sign_in(database, "root@acme.example", hub=Hub.OPERATOR)
    async with database.system() as unit:
        assert [user.email for user in await queries.list_operators(unit)] == ["root@acme.example"]
        log = await queries.list_audit(unit, partner_id=PLATFORM)
    assert (log[0].actor_kind, log[0].object_id) == ("operator", str(signed_in.session_id))


async def test_a_hash_of_other_costs_is_renewed_at_sign_in(database: Database) -> None:
    user = await make_user(database)
    dearer = Passwords(time_cost=2, memory_kib=16)
    await services.check_password(
        database, email=user.email, password=PASSWORD, ip="203.0.113.7", passwords=dearer
    )
    async with database.system() as unit:
        known = await queries.find_credential(unit, email=user.email)
    assert known is not None
    assert known.password_hash is not None
    assert known.password_hash.startswith("$argon2id$v=19$m=16,t=2,p=1$")


async def test_production_hashes_with_the_promised_cost() -> None:
    assert (await STANDARD.hash(PASSWORD)).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_hashing_takes_on_only_so_much() -> None:
    narrow = Passwords(time_cost=1, memory_kib=8, at_once=1, waiting=1)
    outcomes = await asyncio.gather(*(narrow.hash(PASSWORD) for _ in range(8)), return_exceptions=True)
    assert any(isinstance(outcome, HashingBusy) for outcome in outcomes)
    assert any(isinstance(outcome, str) for outcome in outcomes)
    assert await narrow.verify(await narrow.hash(PASSWORD), PASSWORD)


@pytest.mark.parametrize(
    "password",
    [
        "short-pass",
        "aaaaaaaaaaaaaaa",
        "abababababababab",
        "12345678901234",
        "Password1234",
        "acmeacmeacme1",
        "x" * 129,
    ],
)
def test_a_weak_password_is_refused_with_the_reason(password: str) -> None:
    with pytest.raises(PasswordWeak) as refused:
        check_strength(password, about=("acme",))
    assert refused.value.fields["password"] == refused.value.message


@pytest.mark.parametrize(
    "password", ["green-harbour-42", "correct horse battery", "пароль длинный очень", "ñ" * 8 + "abcde"]
)
def test_a_long_plain_sentence_is_a_good_password(password: str) -> None:
    check_strength(password, about=("ops", "Acme"))


@pytest.mark.parametrize(
    "email",
    [
        "",
        "acme",
        "a@b",
        "a b@acme.example",
        "a@acme.example\nBcc: x@y.example",
        "@acme.example",
        "a@-acme.example",
        "x" * 250 + "@acme.example",
    ],
)
async def test_what_is_no_email_address_is_refused(database: Database, email: str) -> None:
    with pytest.raises(EmailInvalid):
        await make_user(database, email=email)


async def test_an_email_belongs_to_one_person_and_the_unit_survives_the_refusal(database: Database) -> None:
    await make_user(database)
    async with database.system() as unit:
        with pytest.raises(EmailTaken):
            await services.create_user(unit, email="Ops@ACME.example", name="Other", password=None)
        assert await queries.find_user_by_email(unit, email="oPs@acme.example")
