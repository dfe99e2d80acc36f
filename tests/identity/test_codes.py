"""One-time codes and password links: single use, short life, few guesses."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from partnerhub.identity import queries, services
from partnerhub.identity.errors import (
    CodeExpired,
    CodeLimited,
    CodeWrong,
    LinkExpired,
    PasswordWeak,
    PasswordWrong,
    SignInLimited,
    SignInRefused,
    UserUnknown,
)
from partnerhub.identity.mails import LOCALES, code_mail
from partnerhub.identity.schemas import PLATFORM, Actor, ActorKind, CodePurpose, Hub, SessionScope, User
from partnerhub.kit import clock, jobs
from partnerhub.kit.database import Database
from partnerhub.kit.errors import TooMany
from tests.identity.people import CHEAP, PASSWORD, last_code, mails_to, make_user

PURPOSE = CodePurpose.CREATE_KEY
NEW = "blue-lighthouse-7"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
BASE = "https://hub.example/reset-password"


async def send(database: Database, user: User, purpose: CodePurpose = PURPOSE) -> str:
    await services.request_code(database, user_id=user.id, purpose=purpose)
    return await last_code(database, user.email)


async def check(database: Database, user: User, code: str, purpose: CodePurpose = PURPOSE) -> None:
    await services.check_code(database, user_id=user.id, purpose=purpose, code=code)


def other(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def test_a_code_works_once(database: Database) -> None:
    user = await make_user(database)
    code = await send(database, user)
    await check(database, user, f" {code[:3]} {code[3:]} ")
    with pytest.raises(CodeExpired):
        await check(database, user, code)


async def test_a_code_is_worth_nothing_for_another_purpose_or_person(database: Database) -> None:
    user, stranger = await make_user(database), await make_user(database, email="other@acme.example")
    code = await send(database, user)
    await send(database, stranger)
    with pytest.raises(CodeExpired):
        await check(database, user, code, CodePurpose.VIEW_SECRET)
    if await last_code(database, stranger.email) != code:
        with pytest.raises(CodeWrong):
            await check(database, stranger, code)
    await check(database, user, code)


async def test_a_code_dies_after_ten_minutes(database: Database) -> None:
    user = await make_user(database)
    code = await send(database, user)
    with clock.moved_by(timedelta(minutes=10)), pytest.raises(CodeExpired):
        await check(database, user, code)


async def test_five_wrong_guesses_end_a_code_even_for_the_right_one(database: Database) -> None:
    user = await make_user(database)
    code = await send(database, user)
    for _ in range(5):
        with pytest.raises(CodeWrong):
            await check(database, user, other(code))
    with pytest.raises(CodeExpired):
        await check(database, user, code)


async def test_guesses_at_the_same_moment_all_count(database: Database) -> None:
    user = await make_user(database)
    code = await send(database, user)
    outcomes = await asyncio.gather(
        *(check(database, user, other(code)) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, CodeWrong) for outcome in outcomes) == 5
    assert sum(isinstance(outcome, CodeExpired) for outcome in outcomes) == 15


async def test_the_right_code_given_twice_at_once_passes_once(database: Database) -> None:
    user = await make_user(database)
    code = await send(database, user)
    outcomes = await asyncio.gather(*(check(database, user, code) for _ in range(6)), return_exceptions=True)
    assert outcomes.count(None) == 1


async def test_a_new_code_replaces_the_old_one(database: Database) -> None:
    user = await make_user(database)
    first = await send(database, user)
    second = await send(database, user)
    if first != second:
        with pytest.raises(CodeWrong):
            await check(database, user, first)
    await check(database, user, second)


async def test_codes_are_sent_only_so_often_and_the_last_one_still_works(database: Database) -> None:
    user = await make_user(database)
    with clock.set_to(datetime(2026, 11, 20, 12, tzinfo=UTC)):
        for _ in range(5):
            code = await send(database, user)
        with pytest.raises(CodeLimited) as limited:
            await send(database, user)
        assert limited.value.retry_after_seconds == 600
        await check(database, user, code)
        assert await send(database, user, CodePurpose.VIEW_SECRET)


async def test_a_person_gets_thirty_codes_an_hour_whatever_they_are_for(database: Database) -> None:
    user = await make_user(database)
    with clock.set_to(datetime(2026, 11, 20, 12, tzinfo=UTC)):
        for purpose in list(CodePurpose)[:6]:
            for _ in range(5):
                await services.request_code(database, user_id=user.id, purpose=purpose)
        with pytest.raises(CodeLimited):
            await send(database, user, list(CodePurpose)[6])
    with clock.set_to(datetime(2026, 11, 20, 13, 0, 1, tzinfo=UTC)):
        assert await send(database, user, list(CodePurpose)[6])


async def test_a_code_leaves_with_the_commit_or_not_at_all(database: Database) -> None:
    user = await make_user(database)

    async def fail() -> None:
        async with database.system() as unit:
            await services.send_code(unit, user_id=user.id, purpose=PURPOSE)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await mails_to(database, user.email) == []
    assert await jobs.Queue(database).counts() == {}
    with pytest.raises(UserUnknown):
        await services.request_code(database, user_id="nobodyU", purpose=PURPOSE)


async def test_the_code_itself_is_not_stored_beside_its_hash(database: Database) -> None:
    user = await make_user(database)
    code = await send(database, user)
    async with database.system() as unit:
        assert code not in str(await unit.fetch_dicts("select * from one_time_code"))


@pytest.mark.parametrize("locale", LOCALES)
def test_every_purpose_is_said_in_every_language(locale: str) -> None:
    texts = {
        purpose: code_mail(locale=locale, purpose=purpose, code="012345", minutes=10)
        for purpose in CodePurpose
    }
    assert all(text.text.startswith("012345\n") and "10" in text.text for text in texts.values())
    assert len({text.text for text in texts.values()}) == len(CodePurpose)


async def reset_token(database: Database, email: str) -> str:
    await services.request_password_reset(database, email=email, ip="203.0.113.7", link_base=BASE)
    await services.send_reset_link(database, email=email, link_base=BASE)
    found = re.search(re.escape(BASE) + r"\?token=(\S+)", (await mails_to(database, "ops@acme.example"))[-1])
    assert found
    return found.group(1)


async def reset(database: Database, link_token: str, password: str = NEW) -> None:
    await services.reset_password(
        database,
        link_token=link_token,
        password=password,
        ip="203.0.113.7",
        user_agent="test",
        link_base=BASE,
        passwords=CHEAP,
    )


async def can_sign_in(database: Database, password: str) -> bool:
    try:
        await services.check_password(
            database, email="ops@acme.example", password=password, ip="203.0.113.9", passwords=CHEAP
        )
    except SignInRefused:
        return False
    return True


async def test_a_reset_sets_the_password_once_and_ends_every_session(database: Database) -> None:
    user = await make_user(database)
    async with database.system() as unit:
        old = await services.start_session(
            unit, user=user, hub=Hub.PARTNER, scope=SessionScope("onePA"), ip="", user_agent=""
        )
    link_token = await reset_token(database, "OPS@acme.example")
    assert (await services.check_reset_link(database, link_token=link_token)).id == user.id
    with pytest.raises(PasswordWeak):
        await reset(database, link_token, "short")
    await reset(database, link_token)
    with pytest.raises(LinkExpired):
        await reset(database, link_token, "another-harbour-9")
    assert await can_sign_in(database, NEW)
    assert not await can_sign_in(database, PASSWORD)
    async with database.system() as unit:
        assert await queries.find_session(unit, token=old.token) is None
        assert (await queries.list_audit(unit, partner_id=PLATFORM))[0].action == "password.reset"
    assert (await mails_to(database, user.email))[-1].startswith("Your password was changed")


async def test_a_link_dies_by_age_by_a_newer_one_and_by_any_change(database: Database) -> None:
    await make_user(database)
    first = await reset_token(database, "ops@acme.example")
    second = await reset_token(database, "ops@acme.example")
    for wrong in (
        first,
        second[:-1] + ("A" if second[-1] != "A" else "B"),
        second.partition(".")[0],
        "",
        "x.y",
    ):
        with pytest.raises(LinkExpired):
            await services.check_reset_link(database, link_token=wrong)
    with clock.moved_by(timedelta(minutes=30)), pytest.raises(LinkExpired):
        await services.check_reset_link(database, link_token=second)


async def test_asking_for_a_link_writes_the_same_rows_for_an_unknown_email(database: Database) -> None:
    await make_user(database)
    written = []
    for email in ("ops@acme.example", "nobody@acme.example"):
        await services.request_password_reset(database, email=email, ip="203.0.113.7", link_base=BASE)
        async with database.system() as unit:
            written.append(
                await unit.fetch_dicts(
                    "select (select count(*) from mail) as mails, "
                    "(select count(*) from one_time_code) as links, "
                    "(select count(*) from rate_window where key like 'reset:%%') as counts"
                )
            )
    assert written == [
        [{"mails": 0, "links": 0, "counts": 4}],
        [{"mails": 0, "links": 0, "counts": 8}],
    ]
    assert await jobs.Queue(database).counts() == {"todo": 2}
    await services.send_reset_link(database, email="nobody@acme.example", link_base=BASE)
    assert await jobs.Queue(database).counts() == {"todo": 2}


async def test_a_zero_character_in_an_email_is_passed_over(database: Database) -> None:
    await services.request_password_reset(
        database, email="ops\x00@acme.example", ip="203.0.113.7", link_base=BASE
    )
    assert await jobs.Queue(database).counts() == {"todo": 1}


async def ask_for_links(database: Database, *, times: int, ip: str, email: str = "a@acme.example") -> int:
    """Ask so often for a link and say how often one was promised."""
    promised = 0
    for _ in range(times):
        with suppress(TooMany):
            await services.request_password_reset(database, email=email, ip=ip, link_base=BASE)
            promised += 1
    return promised


async def test_links_are_asked_for_only_so_often(database: Database) -> None:
    with clock.set_to(NOON):
        assert await ask_for_links(database, times=5, ip="203.0.113.7", email="A@acme.example ") == 3
        assert await ask_for_links(database, times=1, ip="203.0.113.7") == 0
    with clock.set_to(NOON + timedelta(minutes=15)):
        assert await ask_for_links(database, times=5, ip="203.0.113.7") == 2
    with clock.set_to(NOON + timedelta(hours=2)):
        # Neither does one line flood a box from all its addresses, nor many lines.
        assert await ask_for_links(database, times=9, ip="2001:db8::1") == 3
        assert await ask_for_links(database, times=1, ip="2001:db8::2") == 0
        assert sum([await ask_for_links(database, times=1, ip=f"198.51.100.{n}") for n in range(20)]) == 7


async def test_a_stranger_who_asks_for_links_does_not_keep_the_owner_from_one(database: Database) -> None:
    with clock.set_to(NOON):
        await ask_for_links(database, times=30, ip="198.51.100.66")
        assert await ask_for_links(database, times=1, ip="203.0.113.7") == 1


async def test_an_invited_person_chooses_the_first_password(database: Database) -> None:
    user = await make_user(database, password=None, locale="de")
    async with database.system() as unit:
        await services.send_invitation(unit, user_id=user.id, place="Acme\nChat", link_base=BASE)
    mail = (await mails_to(database, user.email))[-1]
    assert mail.startswith("Einladung zu Acme Chat")
    found = re.search(r"\?token=(\S+)", mail)
    assert found
    with clock.moved_by(timedelta(days=6)):
        await reset(database, found.group(1))
    assert await can_sign_in(database, NEW)


async def test_changing_the_password_needs_the_current_one_and_keeps_this_session(database: Database) -> None:
    user = await make_user(database)
    actor = Actor(ActorKind.USER, user.id, user.name, "203.0.113.7")
    tokens = []
    for _ in range(2):
        async with database.system() as unit:
            tokens.append(
                await services.start_session(
                    unit, user=user, hub=Hub.PARTNER, scope=SessionScope("onePA"), ip="", user_agent=""
                )
            )

    async def change(current: str) -> str:
        return await services.change_password(
            database,
            user_id=user.id,
            current=current,
            new=NEW,
            keep=tokens[0].session_id,
            actor=actor,
            link_base=BASE,
            passwords=CHEAP,
        )

    with pytest.raises(PasswordWrong) as refused:
        await change("wrong-harbour-42")
    assert set(refused.value.fields) == {"current_password"}
    fresh = await change(PASSWORD)
    assert await can_sign_in(database, NEW)
    async with database.system() as unit:
        kept = await queries.find_session(unit, token=fresh)
        assert kept is not None
        assert kept.id == tokens[0].session_id
        for old in tokens:
            assert await queries.find_session(unit, token=old.token) is None
    for _ in range(5):
        with pytest.raises(PasswordWrong):
            await change("wrong-harbour-42")
    with pytest.raises(SignInLimited):
        await change("wrong-harbour-42")
