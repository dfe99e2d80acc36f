"""The list of WhatsApp accounts, one of them, and its API key, as a browser without script gets them."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from playwright.async_api import Browser as ChromiumBrowser
from playwright.async_api import expect

from partnerhub.kit import clock
from partnerhub.kit.crypto import fingerprint
from tests import factories
from tests.browser import Look
from tests.factories import MadeChannel, MadeMember, MadePartner
from tests.hub_sample import make_sample
from tests.hub_stage import HOME, HubStage
from tests.plain_browser import Browser, Visit

_ROW = r'<a class="row-link" href="[^"]*">([^<]*)</a>'
_SECRET = re.compile(r"\b\w+AK\b")


def names(visit: Visit) -> list[str]:
    """Return the names in the list, in order."""
    return visit.values(_ROW)


async def make_numbers(stage: HubStage, owner: MadeMember, *names: str) -> dict[str, MadeChannel]:
    """Connect numbers, the first one last; each has a client and a phone number of its own."""
    made = {}
    for age, name in enumerate(names):
        client = await factories.make_client(
            stage.database, partner=MadePartner(owner.partner_id), name=f"{name} Holding"
        )
        made[name] = await factories.make_channel(
            stage.database,
            waba=await factories.make_waba(stage.database, client=client),
            phone_name=name,
            phone_number=f"49305551{age:04d}",
            created_at=clock.now() - timedelta(days=age),
        )
    return made


async def test_a_number_is_found_by_what_people_type(stage: HubStage) -> None:
    owner = await stage.person()
    await make_numbers(stage, owner, "Ann", "Ben", "Cay")
    await make_numbers(stage, await stage.person(brand_name="Other Chat"), "Ben")
    async with stage.browse(owner) as browser:
        for typed, found in (
            ("", ["Ann", "Ben", "Cay"]),
            ("ben", ["Ben"]),
            ("Ben Holding", ["Ben"]),
            ("+49 (30) 555-1 0002", ["Cay"]),
            ("0001", ["Ben"]),
            ("  cay  ", ["Cay"]),
            ("%", []),
            ("_", []),
            ("nobody", []),
        ):
            page = await browser.get(f"{HOME}?q={quote(typed)}")
            assert names(page) == found, typed
            assert ("No accounts match" in page.text) is not bool(found)


async def test_a_number_is_found_by_its_id_and_never_another_partners(stage: HubStage) -> None:
    owner, other = await stage.person(), await stage.person(brand_name="Other Chat")
    mine = (await make_numbers(stage, owner, "Ann", "Ben"))["Ben"]
    theirs = (await make_numbers(stage, other, "Cay"))["Cay"]
    async with stage.browse(owner) as browser:
        assert names(await browser.get(f"{HOME}?q={mine.id}")) == ["Ben"]
        assert names(await browser.get(f"{HOME}?q={theirs.id}")) == []


async def test_the_status_filter_tells_states_apart(stage: HubStage) -> None:
    owner = await stage.person()
    made = await make_numbers(stage, owner, "Live", "Broken", "Draft", "Ending", "Over")
    changes = {
        "Broken": "availability_status = 'error', error = 'It needs a PIN.'",
        "Draft": "hub_status = 'draft', account_mode = 'sandbox', integration_state = 'created'",
        "Ending": "hub_status = 'pending_deletion', cancelled_at = now()",
        "Over": "hub_status = 'terminated', cancelled_at = now(), terminated_at = now()",
    }
    async with stage.database.system() as unit:
        for name, change in changes.items():
            await unit.execute(f"update channel set {change} where id = %s", (made[name].id,))
    async with stage.browse(owner) as browser:
        for status, found in (
            ("", ["Live", "Broken", "Draft", "Ending", "Over"]),
            ("live", ["Live", "Broken"]),
            ("needs_action", ["Broken"]),
            ("draft", ["Draft"]),
            ("pending_deletion", ["Ending"]),
            ("terminated", ["Over"]),
            ("nonsense", ["Live", "Broken", "Draft", "Ending", "Over"]),
        ):
            assert names(await browser.get(f"{HOME}?status={status}")) == found, status
        everything = (await browser.get(HOME)).words
    for word in ("Needs action", "Ends this month", "Terminated"):
        assert word in everything


async def test_the_webhook_filter_tells_working_from_failing_and_none(stage: HubStage) -> None:
    sample = await make_sample(stage)
    async with stage.browse(sample.owner) as browser:
        every = set(names(await browser.get(HOME)))
        sets = {
            wanted: set(names(await browser.get(f"{HOME}?webhook={wanted}")))
            for wanted in ("delivering", "failing", "stopped", "none")
        }
        both = names(await browser.get(f"{HOME}?status=needs_action&webhook=none"))
        assert set(names(await browser.get(f"{HOME}?webhook=nonsense"))) == every
        assert "No accounts match" in (await browser.get(f"{HOME}?webhook=stopped")).words
    assert sets["failing"] == {"Grove Mobility"}
    assert sets["none"] == {"Delta", "Ember", "Iris Optics", "Lumen Energy"}
    assert sets["stopped"] == set()
    assert sets["delivering"] == every - sets["failing"] - sets["none"]
    assert both == ["Iris Optics"]


async def test_the_webhook_of_an_account_counts_for_its_numbers(stage: HubStage) -> None:
    sample = await make_sample(stage)
    async with stage.database.system() as unit:
        await unit.execute(
            "update endpoint set owner_kind = 'waba', owner_id ="
            " (select waba_id from channel where id = endpoint.owner_id) where owner_id = %s",
            (sample.main,),
        )
    async with stage.browse(sample.owner) as browser:
        assert "Acme Outdoor" in names(await browser.get(f"{HOME}?webhook=delivering"))
        assert "Acme Outdoor" not in names(await browser.get(f"{HOME}?webhook=none"))


async def test_a_long_list_is_sorted_and_paged_with_its_place_in_the_address(stage: HubStage) -> None:
    owner = await stage.person()
    every = [f"Number {place:02d}" for place in range(27)]
    await make_numbers(stage, owner, *every)
    async with stage.browse(owner) as browser:
        first = await browser.get(f"{HOME}?sort=-name")
        assert names(first) == every[:1:-1]
        assert "1–25 of 27" in first.words
        (following,) = first.values(r'rel="next" href="([^"]*)"')
        assert following == f"{HOME}?page=2&sort=-name"
        second = await browser.get(following)
        assert names(second) == [every[1], every[0]]
        assert "26–27 of 27" in second.words
        assert second.values(r'rel="prev" href="([^"]*)"') == [f"{HOME}?sort=-name"]
        beyond = await browser.get(f"{HOME}?page=9")
        assert (beyond.status, "This page is empty" in beyond.text) == (200, True)
        assert (await browser.get(f"{HOME}?page=0")).status == 400


async def test_a_filter_by_script_gets_the_part_alone_and_a_clean_address(stage: HubStage) -> None:
    owner = await stage.person()
    await make_numbers(stage, owner, "Ann", "Ben")
    async with stage.browse(owner) as browser:
        part = await browser.get(f"{HOME}?q=ben&status=&sort=", **{"HX-Request": "true"})
        again = await browser.get(
            f"{HOME}?q=ben", **{"HX-Request": "true", "HX-History-Restore-Request": "true"}
        )
    assert (names(part), part.headers["hx-push-url"]) == (["Ben"], f"{HOME}?q=ben")
    assert "<html" not in part.text
    assert "hx-request" in part.headers["vary"].lower()
    # The back button wants a whole page.
    assert "<html" in again.text


async def test_what_a_client_calls_itself_is_text(stage: HubStage) -> None:
    owner = await stage.person()
    name = "<img src=x onerror=alert(1)> & Söhne"
    made = await make_numbers(stage, owner, name)
    async with stage.browse(owner) as browser:
        for path in (HOME, f"{HOME}?q={made[name].id}", f"{HOME}/{made[name].id}"):
            page = await browser.get(path)
            assert name in page.words
            assert "<img src=x" not in page.text


async def test_another_partners_number_is_as_unknown_as_one_that_never_was(stage: HubStage) -> None:
    owner, other = await stage.person(), await stage.person(brand_name="Other Chat")
    theirs = (await make_numbers(stage, other, "Cay"))["Cay"]
    async with stage.browse(owner) as browser:
        for channel_id in (theirs.id, "a00Kd4CH"):
            for path in (f"{HOME}/{channel_id}", f"{HOME}/{channel_id}/api-key"):
                page = await browser.get(path)
                assert (page.status, "Cay" in page.text) == (404, False)
            page = await browser.send(HOME, f"{HOME}/{channel_id}/api-key")
            assert (page.status, _SECRET.search(page.words)) == (404, None)
    async with stage.database.system() as unit:
        assert await unit.fetch_value("select count(*) from channel_key") == 0


async def shown_key(browser: Browser, channel: MadeChannel) -> str:
    """Create a key by the button and return what the page shows."""
    at = f"{HOME}/{channel.id}"
    page = await browser.send(at, f"{at}/api-key")
    assert (page.status, "Copy the key now." in page.words) == (200, True)
    (secret,) = page.values(r'id="new-key" value="([^"]+)"')
    return secret


@pytest.mark.parametrize("role", ["owner", "member"])
async def test_a_key_is_shown_once_and_stops_every_earlier_one(stage: HubStage, role: str) -> None:
    person = await stage.person(role="owner" if role == "owner" else "member")
    channel = (await make_numbers(stage, person, "Ann"))["Ann"]
    async with stage.browse(person) as browser:
        assert "None yet" in (await browser.get(f"{HOME}/{channel.id}")).words
        first, second = await shown_key(browser, channel), await shown_key(browser, channel)
        assert first != second
        after = await browser.get(f"{HOME}/{channel.id}")
        assert f"{second[:6]}…" in after.words
        assert first not in after.text
        assert second not in after.text
        # Without script, the button leads to a page that asks first.
        asked = await browser.get(f"{HOME}/{channel.id}/api-key")
        assert "stops working at once" in asked.words
    async with stage.database.system() as unit:
        live = await unit.fetch_value("select key_hash from channel_key where revoked_at is null")
    assert bytes(live) == fingerprint(second)


async def test_a_key_that_may_not_be_is_refused_with_its_reason(stage: HubStage) -> None:
    owner = await stage.person()
    made = await make_numbers(stage, owner, "Withdrawn", "Over")
    async with stage.database.system() as unit:
        await unit.execute("update channel set permission = 'missing' where id = %s", (made["Withdrawn"].id,))
        await unit.execute("update channel set hub_status = 'terminated' where id = %s", (made["Over"].id,))
    async with stage.browse(owner) as browser:
        for name, code, status in (
            ("Withdrawn", "permission_missing", 403),
            ("Over", "channel_terminated", 409),
        ):
            at = f"{HOME}/{made[name].id}"
            page = await browser.send(at, f"{at}/api-key")
            assert (page.status, "No key was created" in page.words) == (status, True)
            assert code in page.words
            assert page.headers["x-request-id"] in page.words
            assert 'id="new-key"' not in page.text


async def test_a_phone_shows_what_is_wrong_and_nothing_of_what_is_right(
    stage: HubStage, browser: ChromiumBrowser
) -> None:
    sample = await make_sample(stage)
    async with stage.visit(browser, HOME, member=sample.owner, look=Look("light", 390)) as opened:
        ill = opened.page.get_by_role("row").filter(has_text="Grove Mobility")
        for words in ("Webhook", "Not answering", "Quality", "Low"):
            await expect(ill.get_by_text(words, exact=True)).to_be_visible()
        well = opened.page.get_by_role("row").filter(has_text="Birch Clinics")
        await expect(well.get_by_text("Live", exact=True)).to_be_visible()
        for words in ("Delivering", "High"):
            await expect(well.get_by_text(words, exact=True)).to_be_hidden()


async def test_a_number_that_cannot_send_leads_on_and_offers_no_key(stage: HubStage) -> None:
    owner = await stage.person()
    made = await make_numbers(stage, owner, "Draft", "Broken", "Withdrawn")
    draft = "account_mode = 'sandbox', integration_state = 'created', hub_status = 'draft'"
    async with stage.database.system() as unit:
        for name, change in (
            ("Draft", f"{draft}, permission = 'missing'"),
            ("Broken", f"{draft}, availability_status = 'error', error = 'It needs a PIN.'"),
            ("Withdrawn", "permission = 'missing'"),
        ):
            await unit.execute(f"update channel set {change} where id = %s", (made[name].id,))
    finish, permission = "Copy the link", "Copy the permission link"
    async with stage.browse(owner) as browser:
        pages = {name: await browser.get(f"{HOME}/{made[name].id}") for name in made}
        for name, page in pages.items():
            assert "Create the key" not in page.words, name
        for name in ("Draft", "Broken"):
            assert finish in pages[name].words
            number = "493055510000" if name == "Draft" else "493055510001"
            (link,) = pages[name].values(r'data-copy="(http[^"]*)"')
            assert link == f"{stage.url}/onboarding/{owner.partner_id}?number={number}&next=login"
        assert "This number needs action" in pages["Broken"].words
        assert permission in pages["Withdrawn"].words
        (link,) = pages["Withdrawn"].values(r'data-copy="(http[^"]*)"')
        assert link.startswith(f"{stage.url}/dashboard/app/{owner.partner_id}/permissions?number=")
        async with stage.database.system() as unit:
            await unit.execute(
                "update partner set io_signature_enabled = true where id = %s", (owner.partner_id,)
            )
        signed = await browser.get(f"{HOME}/{made['Draft'].id}")
        assert ("IO Signature is on" in signed.words, finish in signed.words) == (True, False)
