"""Signed links through the running hub: one of each attack over HTTP, and what browsers do by themselves."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

import pytest
from tests.app.popup_steps import ACCOUNT, run_of, send
from tests.hub_stage import HubStage, staged
from tests.plain_browser import Browser, Visit

from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.onboarding import queries
from partnerhub.onboarding.schemas import Refusal
from partnerhub.partners import services as partners
from partnerhub.partners.schemas import SettingsChange

ACTOR = Actor(kind=ActorKind.USER, id="ownerU", name="owner@acme.example")
ENTRIES = ("/dashboard/app/{}", "/dashboard/app/{}/permissions", "/onboarding/{}")


@dataclass(frozen=True)
class Site:
    """The hub, a partner that asks for signatures, and its page that makes links."""

    stage: HubStage
    partner_id: str
    secret: str

    def link(self, *, partner_id: str = "", entry: str = ENTRIES[2], **more: str) -> str:
        """Make a fresh link."""
        time = str(int(clock.now().timestamp()))
        message = f"{self.partner_id}|{time}".encode()
        signature = hmac.new(self.secret.encode(), message, hashlib.sha512).hexdigest()
        rest = "".join(f"&{name}={quote(value, safe='')}" for name, value in more.items())
        path = entry.format(partner_id or self.partner_id)
        return f"{path}?io_signature={signature}&io_timestamp={time}{rest}"

    async def refusals(self) -> list[Refusal]:
        """Return what the partner sees."""
        async with self.stage.database.tenant(self.partner_id) as unit:
            return await queries.list_refusals(unit, partner_id=self.partner_id)


@pytest.fixture
async def site(database: Database, keyring: Keyring) -> AsyncIterator[Site]:
    """Run the hub with a partner that turned IO Signature on."""
    async with staged(database, keyring) as stage:
        partner_id = (await stage.person()).partner_id
        async with database.tenant(partner_id) as unit:
            secret = await partners.generate_platform_secret(
                unit, partner_id=partner_id, actor=ACTOR, keyring=keyring
            )
            await partners.update_settings(
                unit,
                partner_id=partner_id,
                change=SettingsChange(io_signature_enabled=True),
                actor=ACTOR,
                keyring=keyring,
            )
        yield Site(stage, partner_id, secret)


def is_in(visit: Visit) -> bool:
    """Say whether a browser reached the first step, at an address that tells nothing."""
    is_run = re.fullmatch(r"/onboarding/run/[0-9a-f-]{36}", visit.path) is not None
    assert is_run == (visit.status == 200)
    assert "io_signature" not in visit.path
    return is_run


def is_stopped(visit: Visit, code: str) -> bool:
    """Say whether a browser got the page that stops it, with a way on, and kept its opener."""
    assert code in visit.text, visit.words
    assert visit.headers["x-error-code"] == code
    assert visit.headers["cross-origin-opener-policy"] == "unsafe-none"
    assert "it makes you a fresh link" in visit.words
    assert 'name="password"' not in visit.text
    return visit.status == 403


@pytest.mark.parametrize("entry", ENTRIES)
async def test_a_signed_link_leads_to_a_clean_address(site: Site, entry: str) -> None:
    async with site.stage.browse() as browser:
        link = site.link(entry=entry, email="ann@acme.example")
        first = await browser.get(link)
        assert is_in(first)
        assert "ann@acme.example" in first.text
        # Reload, back, and the link once more: the same run.
        assert (await browser.get(first.path)).status == 200
        assert (await browser.get(link)).path == first.path
        async with site.stage.browse() as other:
            assert is_stopped(await other.get(link), "io_signature_used")
            assert is_stopped(await other.get(link), "io_signature_used")
            assert (await other.get(first.path)).status == 404
        assert (await browser.get(link)).path == first.path
    assert [(one.reason, one.times, one.network) for one in await site.refusals()] == [
        ("io_signature_used", 2, "127.0.0.0/24")
    ]


async def test_one_attack_of_each_kind_is_stopped_and_noted(site: Site) -> None:
    link = site.link()
    path, _, query = link.partition("?")
    signature, time = (part.partition("=")[2] for part in query.split("&"))
    flipped = f"{int(signature[0], 16) ^ 1:x}" + signature[1:]
    reversed_fields = hmac.new(
        site.secret.encode(), f"{time}|{site.partner_id}".encode(), hashlib.sha512
    ).hexdigest()
    wrong = hmac.new(b"another", f"{site.partner_id}|{time}".encode(), hashlib.sha512).hexdigest()
    attacks = {
        "missing": ["", f"io_signature={signature}", f"io_signature=&io_timestamp={time}"],
        "malformed": [
            f"io_signature={signature[:-1]}&io_timestamp={time}",
            f"io_signature={signature}%20&io_timestamp={time}",
            f"io_signature={signature}&io_timestamp={time}%0A",
            f"{query}&io_timestamp={time}",
            f"{query}&{query}",
            f"io_signature={signature}&io_timestamp=%D9%A1{time[1:]}",
            f"io_signature={signature}&io_timestamp=%2B{time}",
            f"io_signature={signature}&io_timestamp=-{time}",
            f"io_signature={signature}&io_timestamp={time}.0",
            f"io_signature={signature}&io_timestamp={'9' * 400}",
        ],
        "bad": [
            f"io_signature={flipped}&io_timestamp={time}",
            f"io_signature={signature}&io_timestamp={int(time) + 1}",
            f"io_signature={reversed_fields}&io_timestamp={time}",
            f"io_signature={wrong}&io_timestamp={time}",
        ],
    }
    async with site.stage.browse() as browser:
        for reason, queries_ in attacks.items():
            for one in queries_:
                assert is_stopped(await browser.get(f"{path}?{one}"), f"io_signature_{reason}")
        with clock.moved_by(timedelta(minutes=6)):
            assert is_stopped(await browser.get(link), "io_signature_too_old")
        with clock.moved_by(timedelta(minutes=-2)):
            assert is_stopped(await browser.get(link), "io_signature_in_future")
        # None of it used the link up.
        assert is_in(await browser.get(link))
    seen = {one.reason: 0 for one in await site.refusals()}
    for one_refusal in await site.refusals():
        seen[one_refusal.reason] += one_refusal.times
    assert seen == {
        **{f"io_signature_{reason}": len(tries) for reason, tries in attacks.items()},
        "io_signature_too_old": 1,
        "io_signature_in_future": 1,
    }


async def test_of_two_clients_in_one_second_the_second_gets_in_with_a_fresh_link(site: Site) -> None:
    with clock.set_to(clock.now()):
        links = [site.link(state="one"), site.link(state="two")]
    assert links[0].split("&state")[0] == links[1].split("&state")[0]
    async with site.stage.browse() as one, site.stage.browse() as two:
        ends = await asyncio.gather(one.get(links[0]), two.get(links[1]))
        in_, out = sorted(ends, key=lambda visit: visit.status)
        assert is_in(in_)
        assert is_stopped(out, "io_signature_used")
        assert "the same second" in out.words
        loser = two if out is ends[1] else one
        with clock.moved_by(timedelta(seconds=2)):
            assert is_in(await loser.get(site.link()))


async def raw(browser: Browser, link: str, cookie: str = "") -> tuple[int, str, str]:
    """Ask once, following nothing; return status, target and the cookie that was set."""
    headers = {"cookie": cookie} if cookie else {}
    async with browser.http.get(browser.url + link, headers=headers, allow_redirects=False) as answer:
        made = answer.headers.get("set-cookie", "").partition(";")[0]
        browser.http.cookie_jar.clear()
        return answer.status, answer.headers.get("location", ""), made


async def test_a_preview_or_half_a_double_click_uses_nothing_up(site: Site) -> None:
    link = site.link(redirect_url=site.stage.receiver.url("/connected?a=1"))
    async with site.stage.browse() as browser:
        # A preview follows redirects and keeps no cookie.
        status, target, _ = await raw(browser, link)
        assert status == 303
        assert target.startswith(f"/onboarding/{site.partner_id}?io_browser=asked&io_signature=")
        status, _, _ = await raw(browser, target)
        assert status == 400
        refused = await browser.get(target)
        assert (refused.status, refused.headers["x-error-code"]) == (400, "cookies_needed")
        browser.http.cookie_jar.clear()
        # The first click is given up by the second before its answer arrives.
        await raw(browser, link)
        _, target, cookie = await raw(browser, link)
        status, target, again = await raw(browser, target, cookie)
        assert (status, again) == (303, cookie)
        status, _, _ = await raw(browser, target, cookie)
        assert status == 200
    assert await site.refusals() == []


async def test_with_the_switch_off_every_link_works(site: Site) -> None:
    async with site.stage.database.system() as unit:
        await unit.execute("update partner set io_signature_enabled = false")
    async with site.stage.browse() as browser:
        for query in ("", "io_signature=zz&io_timestamp=-1", "io_signature=&io_timestamp="):
            assert is_in(await browser.get(f"/onboarding/{site.partner_id}?{query}"))
        # No detour either.
        browser.http.cookie_jar.clear()
        assert (await browser.target(site.link())).startswith("/onboarding/run/")


async def test_the_partner_of_the_path_is_the_one_that_signed(site: Site) -> None:
    other = await site.stage.person(brand_name="Birch")
    async with site.stage.database.system() as unit:
        await unit.execute("update partner set io_signature_enabled = true")
    async with site.stage.browse() as browser:
        visit = await browser.get(site.link(partner_id=other.partner_id))
        assert is_stopped(visit, "io_signature_bad")
        missing = await browser.get(site.link(partner_id="nobodyPA"))
        assert (missing.status, missing.headers["x-error-code"]) == (404, "partner_link_unknown")


async def test_one_signature_brings_one_client_whatever_its_links_say(site: Site) -> None:
    with clock.set_to(clock.now()):
        links = [site.link(email=f"{name}@acme.example") for name in "abc"]
    async with site.stage.browse() as browser:
        pages = [await browser.get(link) for link in links]
        assert len({page.path for page in pages}) == 3
        first = await send(browser, pages[0], "account", **{**ACCOUNT, "email": "a@acme.example"})
        assert "Connect your number" in first.words
        # Nobody else begins by it either: the partner's page makes another link for another client.
        assert "Use another account" not in first.text
        assert (await send(browser, first, "leave")).path == run_of(first)
        for page in pages[1:]:
            late = await send(browser, page, "account", **{**ACCOUNT, "email": "b@acme.example"})
            assert is_stopped(late, "io_signature_used")
            assert is_stopped(await browser.get(page.path), "io_signature_used")
        assert (await browser.get(links[0])).path == run_of(first)


async def test_runs_without_a_signature_are_interrupted_once_one_is_asked_for(site: Site) -> None:
    async def switch(is_on: bool) -> None:
        async with site.stage.database.system() as unit:
            await unit.execute("update partner set io_signature_enabled = %s", (is_on,))

    await switch(False)
    async with site.stage.browse() as browser:
        page = await browser.get(f"/onboarding/{site.partner_id}")
        page = await send(browser, page, "account", **ACCOUNT)
        await switch(True)
        for action in ("known", "again", "permissions", "signup"):
            assert is_stopped(await send(browser, page, action), "io_signature_missing")
        assert is_stopped(await browser.get(page.path), "io_signature_missing")
        assert "Acme Chat" in (await browser.get(page.path)).words
    assert {one.reason for one in await site.refusals()} == {"io_signature_missing"}
