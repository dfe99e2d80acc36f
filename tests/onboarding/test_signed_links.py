"""Signed links over real rows: who comes in, who may come back, and what a partner sees of the others."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from tests import factories
from tests.onboarding.runs import MadeRun

from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.onboarding import queries
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.entry import Entry, read_entry
from partnerhub.onboarding.errors import (
    CookiesNeeded,
    IoSignatureBad,
    IoSignatureInFuture,
    IoSignatureMalformed,
    IoSignatureMissing,
    IoSignatureRefused,
    IoSignatureTooOld,
    IoSignatureUsed,
    OnboardingClosed,
    PartnerLinkUnknown,
    RedirectNotAllowed,
)
from partnerhub.onboarding.io_signature import Window
from partnerhub.onboarding.schemas import Refusal, Run, StartedRun, Step, UnknownBrowser
from partnerhub.onboarding.services import Visitor
from partnerhub.onboarding.services.links import network_of
from partnerhub.partners import services as partners
from partnerhub.partners.errors import IoSignatureOn

NOW = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)
ANN, BEN = "a" * 43, "b" * 43
ACTOR = Actor(kind=ActorKind.USER, id="ownerU", name="owner@acme.example")


@dataclass(frozen=True)
class Door:
    """A partner whose onboarding asks for signatures, and its own server that makes links."""

    database: Database
    keyring: Keyring
    partner_id: str
    secret: str
    window: Window = Window()  # noqa: RUF009 - frozen

    def query(self, at: datetime | None = None, *, secret: str = "", **parameters: str) -> str:
        """Return the query of a fresh link."""
        time = str(int((at or clock.now()).timestamp()))
        message = f"{self.partner_id}|{time}".encode()
        signature = hmac.new((secret or self.secret).encode(), message, hashlib.sha512).hexdigest()
        more = "".join(f"&{name}={quote(value, safe='')}" for name, value in parameters.items())
        return f"io_signature={signature}&io_timestamp={time}{more}"

    async def open(
        self,
        query: str,
        browser: str | None = ANN,
        *,
        partner_id: str = "",
        was_asked: bool = False,
        ip: str = "203.0.113.7",
    ) -> StartedRun | UnknownBrowser:
        """Open a link in a browser."""
        return await onboarding.open_link(
            self.database,
            partner_id=partner_id or self.partner_id,
            entry=read_entry(query),
            visitor=Visitor(browser_token=browser, was_asked=was_asked, ip=ip),
            keyring=self.keyring,
            window=self.window,
        )

    async def run(self, query: str, browser: str = ANN) -> Run:
        """Open a link that gets in."""
        started = await self.open(query, browser)
        assert isinstance(started, StartedRun)
        async with self.database.system() as unit:
            return await queries.get_run(unit, run_id=started.run_id, browser_token=browser)

    async def sign_up(self, run: Run, email: str = "ann@acme.example") -> Run:
        """Send the first form."""
        return await MadeRun(self.database, run.id, self.partner_id, browser=ANN).sign_up(email)

    async def finish(self, run: Run) -> None:
        """Bring a run to its end."""
        await self.sign_up(run)
        async with self.database.system() as unit:
            await unit.execute("update onboarding_run set step = 'done' where id = %s", (run.id,))

    async def refusals(self) -> list[Refusal]:
        """Return what the partner sees."""
        async with self.database.tenant(self.partner_id) as unit:
            return await queries.list_refusals(unit, partner_id=self.partner_id)


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    """Hold the clock."""
    with clock.set_to(NOW):
        yield


@pytest.fixture
async def door(database: Database, keyring: Keyring) -> Door:
    """Make a partner with IO Signature on."""
    partner = await factories.make_partner(database)
    async with database.tenant(partner.id) as unit:
        secret = await partners.generate_platform_secret(
            unit, partner_id=partner.id, actor=ACTOR, keyring=keyring
        )
    await switch(database, partner.id, is_on=True)
    return Door(database, keyring, partner.id, secret)


def in_capitals(link: str) -> str:
    """Write a link's signature in upper-case hex."""
    start, end = link.index("=") + 1, link.index("&")
    return link[:start] + link[start:end].upper() + link[end:]


async def switch(database: Database, partner_id: str, *, is_on: bool) -> None:
    async with database.system() as unit:
        await unit.execute("update partner set io_signature_enabled = %s where id = %s", (is_on, partner_id))


async def test_a_signed_link_becomes_a_run_that_keeps_nothing_of_the_signature(door: Door) -> None:
    run = await door.run(door.query(email="a@b.example", state="s"))
    assert (run.parameters, run.state) == ({"email": "a@b.example"}, "s")
    assert await door.refusals() == []


async def test_the_same_browser_comes_back_to_its_run(door: Door) -> None:
    link = door.query(state="s")
    first = await door.run(link)
    assert (await door.run(link)).id == first.id
    # The same pair in another way of writing is the same link.
    assert (await door.run(in_capitals(link))).id == first.id
    # Whoever comes back late is led to what was begun, for as long as it may take, and begins nothing new.
    with clock.set_to(NOW + timedelta(hours=23)):
        assert (await door.run(link)).id == first.id
    await door.finish(first)
    assert (await door.run(link)).id == first.id
    with clock.set_to(NOW + timedelta(hours=25)), pytest.raises(IoSignatureTooOld):
        await door.open(link)


async def test_the_same_browser_may_begin_otherwise_until_a_client_signs_up(door: Door) -> None:
    first = await door.run(door.query(number="4930901820"))
    second = await door.run(door.query(number="4930901821"))
    assert second.id != first.id
    assert second.parameter("number") == "4930901821"
    with clock.set_to(NOW + timedelta(minutes=6)), pytest.raises(IoSignatureTooOld):
        await door.open(door.query(NOW, number="4930901822"))
    second = await door.sign_up(second)
    # The others end where they are, and the one that went on is still there.
    for other in (door.query(number="4930901822"), door.query(number="4930901820")):
        with pytest.raises(IoSignatureUsed):
            await door.open(other)
    with pytest.raises(IoSignatureUsed):
        await door.sign_up(first, "ben@acme.example")
    assert await door.run(door.query(number="4930901821")) == second
    assert (await door.run(door.query(NOW + timedelta(seconds=1)))).id not in {first.id, second.id}


async def test_of_the_runs_of_one_signature_one_makes_a_client_however_they_hurry(door: Door) -> None:
    runs = [await door.run(door.query(email=f"{name}@acme.example")) for name in "abc"]
    ends = await asyncio.gather(
        *(door.sign_up(run, run.parameter("email")) for run in runs), return_exceptions=True
    )
    assert sorted(type(end).__name__ for end in ends) == ["IoSignatureUsed", "IoSignatureUsed", "Run"]
    async with door.database.system() as unit:
        assert await unit.fetch_value("select count(*) from client") == 1
        # A refused sign-up leaves no person behind either.
        assert await unit.fetch_value("select count(*) from hub_user where email like '%@acme.example'") == 1


async def test_a_run_that_began_without_a_signature_ends_where_one_is_asked_for(door: Door) -> None:
    await switch(door.database, door.partner_id, is_on=False)
    waiting, done = await door.run("state=1"), await door.run("state=2")
    await door.finish(done)
    await switch(door.database, door.partner_id, is_on=True)
    signed = await door.run(door.query())
    with pytest.raises(IoSignatureMissing) as stopped:
        await door.sign_up(waiting, "ben@acme.example")
    assert stopped.value.partner_id == door.partner_id
    # Who is on the way back and who has a signature go on.
    async with door.database.system() as unit:
        assert (await queries.get_run(unit, run_id=done.id, browser_token=ANN)).step is Step.DONE
    assert (await door.sign_up(signed, "ben@acme.example")).client_id


async def test_another_browser_is_refused_and_the_first_goes_on(door: Door) -> None:
    link = door.query()
    first = await door.run(link)
    for late in (timedelta(0), timedelta(minutes=4)):
        with clock.set_to(NOW + late):
            for copy in (link, in_capitals(link), link + "&email=b@b.example"):
                with pytest.raises(IoSignatureUsed):
                    await door.open(copy, BEN)
    assert (await door.run(link)).id == first.id


async def test_of_two_clients_in_one_second_the_first_gets_in_and_the_other_with_the_next(door: Door) -> None:
    link = door.query()
    ends = await asyncio.gather(*(door.open(link, one * 43) for one in "abcdefgh"), return_exceptions=True)
    assert sum(isinstance(end, StartedRun) for end in ends) == 1
    assert sum(isinstance(end, IoSignatureUsed) for end in ends) == 7
    loser = next(one * 43 for one, end in zip("abcdefgh", ends, strict=True) if isinstance(end, Exception))
    with clock.set_to(NOW + timedelta(seconds=1)):
        await door.run(door.query(), loser)


async def test_a_double_click_of_one_browser_ends_in_one_run(door: Door) -> None:
    link = door.query()
    runs = await asyncio.gather(*(door.run(link) for _ in range(6)))
    assert len({run.id for run in runs}) == 1


async def test_a_browser_that_is_not_known_yet_uses_nothing_up(door: Door) -> None:
    link = door.query()
    for token in (None, "", "short"):
        asked = await door.open(link, token)
        assert isinstance(asked, UnknownBrowser)
        assert len(asked.browser_token) == 43
    with pytest.raises(CookiesNeeded):
        await door.open(link, None, was_asked=True)
    await door.run(link)
    assert await door.refusals() == []
    # What does not get in anyway is not asked for a cookie first.
    with clock.set_to(NOW + timedelta(minutes=6)), pytest.raises(IoSignatureTooOld):
        await door.open(link, None)


async def test_each_reason_has_a_code_and_is_noted_for_the_partner(door: Door) -> None:
    tries: list[tuple[str, type[IoSignatureRefused]]] = [
        ("", IoSignatureMissing),
        ("io_signature=zz&io_timestamp=1", IoSignatureMalformed),
        (door.query(secret="another"), IoSignatureBad),
        (door.query(NOW - timedelta(seconds=301)), IoSignatureTooOld),
        (door.query(NOW + timedelta(seconds=61)), IoSignatureInFuture),
    ]
    await door.open(door.query())
    for number, (query, error) in enumerate(tries):
        with clock.set_to(NOW + timedelta(microseconds=number)), pytest.raises(error) as refused:
            await door.open(query, BEN)
        assert refused.value.status == 403
    with clock.set_to(NOW + timedelta(microseconds=9)), pytest.raises(IoSignatureUsed):
        await door.open(door.query(NOW), BEN)
    seen = await door.refusals()
    assert [one.reason for one in seen] == [
        "io_signature_used",
        "io_signature_in_future",
        "io_signature_too_old",
        "io_signature_bad",
        "io_signature_malformed",
        "io_signature_missing",
    ]
    assert {(one.network, one.times) for one in seen} == {("203.0.113.0/24", 1)}
    assert all(one.detail for one in seen)
    async with door.database.system() as unit:
        assert await unit.fetch_value("select count(*) from onboarding_run") == 1


async def test_the_window_is_the_installations_own(door: Door) -> None:
    wide = replace(door, window=Window(back=timedelta(hours=1), forward=timedelta(0)))
    await wide.run(wide.query(NOW - timedelta(hours=1)))
    with pytest.raises(IoSignatureTooOld):
        await wide.open(wide.query(NOW - timedelta(seconds=3601)))
    with pytest.raises(IoSignatureInFuture):
        await wide.open(wide.query(NOW + timedelta(seconds=1)))


async def test_a_link_that_is_stopped_for_another_reason_is_not_used_up(door: Door) -> None:
    with pytest.raises(RedirectNotAllowed):
        await door.open(door.query(redirect_url="https://evil.example/"))
    async with door.database.system() as unit:
        await unit.execute("update partner set blocked_new_submission = true")
    with pytest.raises(OnboardingClosed):
        await door.open(door.query())
    with pytest.raises(IoSignatureMissing):
        await door.open("")
    async with door.database.system() as unit:
        await unit.execute("update partner set blocked_new_submission = false")
    await door.run(door.query(), BEN)


async def test_with_the_switch_off_the_parameters_are_ignored(door: Door) -> None:
    await switch(door.database, door.partner_id, is_on=False)
    for query in ("", "io_signature=zz&io_timestamp=%00", door.query(secret="another"), door.query()):
        for browser in (ANN, BEN):
            assert (await door.run(query, browser)).parameters == {}
        assert isinstance(await door.open(query, None), StartedRun)
    assert await door.refusals() == []


async def test_a_signature_opens_its_own_partners_door_only(door: Door) -> None:
    other = await factories.make_partner(door.database, io_signature_enabled=True)
    with pytest.raises(IoSignatureBad):
        await door.open(door.query(), partner_id=other.id)
    with pytest.raises(PartnerLinkUnknown):
        await door.open(door.query(), partner_id="nobodyPA")
    assert await door.refusals() == []
    async with door.database.tenant(other.id) as unit:
        assert [one.reason for one in await queries.list_refusals(unit, partner_id=other.id)] == [
            "io_signature_bad"
        ]
        assert await queries.list_refusals(unit, partner_id=door.partner_id) == []


async def test_whoever_forgets_to_check_the_link_starts_nothing(door: Door) -> None:
    with pytest.raises(IoSignatureMissing):
        async with door.database.system() as unit:
            await onboarding.start_run(unit, partner_id=door.partner_id, entry=Entry())


async def test_an_old_secret_signs_no_link_and_cannot_be_replaced_while_links_are_signed(door: Door) -> None:
    async def regenerate() -> str:
        async with door.database.tenant(door.partner_id) as unit:
            return await partners.generate_platform_secret(
                unit, partner_id=door.partner_id, actor=ACTOR, keyring=door.keyring
            )

    with pytest.raises(IoSignatureOn) as refused:
        await regenerate()
    assert (refused.value.code, refused.value.status) == ("io_signature_on", 409)
    await door.run(door.query())
    await switch(door.database, door.partner_id, is_on=False)
    secret = await regenerate()
    await switch(door.database, door.partner_id, is_on=True)
    # The old one still signs webhooks for its overlap, and no link.
    with pytest.raises(IoSignatureBad):
        await door.open(door.query())
    await door.run(door.query(secret=secret))


async def test_a_flood_is_counted_and_fills_no_table(door: Door) -> None:
    async def knock(ip: str) -> None:
        with pytest.raises(IoSignatureMissing):
            await door.open("", BEN, ip=ip)

    for _ in range(3):
        await asyncio.gather(*(knock("198.51.100.9") for _ in range(8)))
    (seen,) = await door.refusals()
    assert (seen.times, seen.network, seen.last_at) == (24, "198.51.100.0/24", NOW)
    async with door.database.system() as unit:
        await unit.execute(
            "insert into io_refusal (id, partner_id, minute, reason, detail, network, last_at)"
            " select gen_random_uuid(), %s, %s, 'io_signature_bad', '', n::text, %s::timestamptz"
            " - n * interval '1 second' from generate_series(1, 700) n",
            (door.partner_id, NOW, NOW),
        )
    await asyncio.gather(*(knock(f"2001:db8:{number}::1") for number in range(1, 9)))
    async with door.database.system() as unit:
        assert 500 <= await unit.fetch_value("select count(*) from io_refusal") <= 508
    newest = await door.refusals()
    assert len(newest) == 50
    assert {one.network for one in newest} >= {f"2001:db8:{number}::/48" for number in range(1, 9)}


async def test_what_nobody_asks_for_any_more_is_tidied(door: Door) -> None:
    run = await door.run(door.query())
    with pytest.raises(IoSignatureMissing):
        await door.open("")

    async def counts() -> tuple[int, int]:
        await onboarding.tidy_links(door.database)
        async with door.database.system() as unit:
            return (
                await unit.fetch_value("select count(*) from io_use"),
                await unit.fetch_value("select count(*) from io_refusal"),
            )

    with clock.set_to(run.expires_at):
        assert await counts() == (1, 1)
    with clock.set_to(NOW + timedelta(days=3)):
        assert await counts() == (0, 1)
    with clock.set_to(NOW + timedelta(days=31)):
        assert await counts() == (0, 0)
    # By then the window alone keeps the link out.
    with clock.set_to(NOW + timedelta(days=31)), pytest.raises(IoSignatureTooOld):
        await door.open(door.query(NOW), BEN)


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("", ""),
        ("unix", ""),
    ],
)
def test_of_an_address_only_the_network_is_kept(ip: str, network: str) -> None:
    assert network_of(ip) == network
