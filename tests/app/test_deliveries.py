"""The delivery log, one delivery, and sending it again, as a browser without script gets them."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from html import unescape
from urllib.parse import quote
from zoneinfo import ZoneInfo

from playwright.async_api import Browser as BrowserType
from playwright.async_api import expect

from partnerhub.identity import queries as identity
from partnerhub.kit import clock
from tests.hub_sample import Sample, accept_callbacks, make_sample
from tests.hub_stage import DELIVERIES, HubStage
from tests.plain_browser import Browser, Visit
from tests.statements import Counted
from tests.webhooks.receivers import answer

_EVENT = r'<a class="row-link"[^>]*>(.*?)(?: <span class="what">.*?)?</a>'
_WHAT = r'<span class="what">· ([^<]*)</span></a>'


def events(visit: Visit) -> list[str]:
    """Return the names in the log, in order."""
    return [name.replace("<wbr>", "") for name in visit.values(_EVENT)]


async def test_every_filter_of_the_page_narrows_the_log(stage: HubStage) -> None:
    sample = await make_sample(stage)
    kestrel = sample.channels["Kestrel Parcel"].id
    async with stage.browse(sample.owner) as browser:
        whole = await browser.get(DELIVERIES)
        assert events(whole)[-1] == "client_created"
        assert len(events(whole)) == 18
        for query, found in (
            ("state=failed", ["messages"]),
            ("state=discarded", []),
            ("owner=partner&q=channel_live", ["channel_live"]),
            ("owner=channel&q=channel_live", []),
            (f"q={kestrel}", ["messages"]),
            ("range=1h", events(whole)),
            ("range=nonsense", events(whole)),
            ("range=custom&from=2026-01-01T00:00&to=2026-01-02T00:00", []),
            ("q=nothing-like-it", []),
            ("q=%25", []),
            ("state=nonsense&owner=nonsense", events(whole)),
        ):
            page = await browser.get(f"{DELIVERIES}?{query}")
            assert (page.status, events(page)) == (200, found), query
            assert ("No delivery matches" in page.text) is not bool(found)
        assert len(events(await browser.get(f"{DELIVERIES}?q={sample.delivered}"))) == 1
        # A state keeps the words, and the words keep the state.
        tabs = (await browser.get(f"{DELIVERIES}?q=messages&state=failed")).values(
            r'<a href="([^"]*state=\w+[^"]*)"'
        )
        assert f"{DELIVERIES}?q=messages&state=parked" in tabs


async def test_a_row_says_what_happened_to_whom_and_when(stage: HubStage) -> None:
    sample = await make_sample(stage)
    async with stage.browse(sample.owner) as browser:
        page = await browser.get(f"{DELIVERIES}?q={sample.main}")
        assert page.values(_WHAT) == ["status read", "text", "status delivered"]
        assert "+49 1519 8765432 Sender" in page.words
        assert "+49 1511 2345678 Recipient" in page.words
        assert re.search(r"\d\d \w+ \d{4}, \d\d:\d\d:\d\d", page.words)
        assert "Time (UTC)" in page.words
        assert re.search(r"\b\d+(\.\d)? ms", page.words.replace("\u00a0", " "))
        # What a partner event is about is in its own data.
        page = await browser.get(f"{DELIVERIES}?q=phone_number_quality_changed")
        assert "Kestrel Parcel +49 30 555100012" in page.words


async def test_the_log_is_searched_by_numbers_ids_and_texts(stage: HubStage) -> None:
    sample = await make_sample(stage)
    async with stage.browse(sample.owner) as browser:
        for text, found in (
            ("+49 1519 876", 2),
            ("0049 (1519) 8765432", 2),
            ("wamid.HBgNNDkxNTE5ODc2NTQzMhUC1", 2),
            ("Ist der Rucksack noch da?", 2),
            ("+49 1519 0000000", 0),
            (str(sample.delivered), 1),
            (str(sample.delivered)[:9], 18),
        ):
            page = await browser.get(f"{DELIVERIES}?q={quote(text)}")
            assert len(events(page)) >= min(found, 1), text
            if found != 18:
                assert len(events(page)) == found, text


async def test_a_time_of_ones_own_is_in_the_readers_zone(stage: HubStage) -> None:
    sample = await make_sample(stage)
    at = clock.now().astimezone(ZoneInfo("Asia/Kolkata")).replace(second=0, microsecond=0, tzinfo=None)
    start, end = at - timedelta(hours=1), at + timedelta(minutes=10)
    span = f"range=custom&from={start.isoformat()}&to={end.isoformat()}"
    async with stage.browse(sample.owner) as browser:
        assert events(await browser.get(f"{DELIVERIES}?{span}")) == []
        done = await browser.send("/account", "/preferences", timezone="Asia/Kolkata", next="/account")
        assert f"It is {at.day} " in done.words
        page = await browser.get(f"{DELIVERIES}?{span}")
        assert len(events(page)) == 18
        assert "Time (UTC)" not in page.words
        assert "Asia/Kolkata" in page.words
        for wrong, told in (
            (f"from={end.isoformat()}&to={start.isoformat()}", "The end must be after the beginning."),
            ("from=yesterday", "Enter both times as day and time."),
        ):
            assert told in (await browser.get(f"{DELIVERIES}?range=custom&{wrong}")).words


async def test_the_strip_counts_what_the_list_shows(stage: HubStage) -> None:
    sample = await make_sample(stage)
    async with stage.browse(sample.owner) as browser:
        for query in ("range=24h", "owner=partner", "state=failed", "q=phone_number_quality_changed"):
            page = await browser.get(f"{DELIVERIES}?{query}")
            count = len(events(page))
            assert f"{count} {'delivery' if count == 1 else 'deliveries'} since" in page.words, query
            shown = json.loads(unescape(page.values(r'data-chart="([^"]*)"')[0]))
            assert sum(sum(one["values"]) for one in shown["series"]) == count
        assert "deliveries since" not in (await browser.get(f"{DELIVERIES}?q=wamid")).words


async def test_what_failed_is_counted_and_then_sent_again_once(stage: HubStage) -> None:
    sample = await make_sample(stage)
    plan = f"{DELIVERIES}/replay?state=failed"
    async with stage.browse(sample.member) as browser:
        assert "Replay 1 failed…" in (await browser.get(DELIVERIES)).words
        planned = await browser.get(plan)
        assert "1 event is sent again." in planned.words
        assert len(events(await browser.get(f"{DELIVERIES}?state=failed"))) == 1
        await _repair(stage, sample)
        form = {name: planned.field(name) for name in ("_csrf", "state", "owner", "q", "since", "until")}
        # The button pressed twice at once: two forms, one event.
        first, second = await asyncio.gather(
            *(browser.post(f"{DELIVERIES}/replay", **form) for _ in range(2))
        )
        told = {"1 event is on its way again." in page.words for page in (first, second)}
        assert told == {True, False}
        assert "1 is left out: a later delivery brought it" in (await browser.get(plan)).words
        # What is no plan of ours is planned, and nothing is sent.
        again = await browser.post(f"{DELIVERIES}/replay", **{**form, "until": "soon"})
        assert "0 events are sent again." in again.words
        assert (await browser.post(f"{DELIVERIES}/replay", **{**form, "_csrf": ""})).status == 403
        assert "A search in bodies cannot be sent again" in (await browser.get(f"{plan}&q=wamid")).words
    async with stage.database.tenant(sample.partner.id) as unit:
        entries = await identity.list_audit(unit, partner_id=sample.partner.id, limit=5)
    (entry,) = [one for one in entries if one.action == "delivery.replayed"]
    assert (entry.actor_id, (entry.after or {})["deliveries"]) == (sample.member.user_id, 1)
    assert (entry.after or {})["filter"]["states"] == ["failed"]
    other = await stage.person(brand_name="Other Chat")
    async with stage.browse(other) as browser:
        assert "0 events are sent again." in (await browser.get(plan)).words


async def test_a_page_of_many_rows_takes_no_more_statements_than_one_of_few(stage: HubStage) -> None:
    sample = await make_sample(stage)
    async with stage.browse(sample.owner) as browser:
        counts = []
        for query in ("q=" + str(sample.delivered), "q=messages", "q=phone_number_quality_changed", ""):
            async with stage.database.pool.connection() as connection:
                connection.cursor_factory = Counted
            await browser.get(f"{DELIVERIES}?{query}")
            Counted.statements.clear()
            await browser.get(f"{DELIVERIES}?{query}")
            counts.append(len(Counted.statements))
    assert max(counts[1:]) - min(counts[1:]) <= 1, counts  # names of numbers, where there are any
    # Two units of two to open, the session, the partner and the balance, and eight for the log.
    assert max(counts) <= 17, counts


async def test_turning_a_page_begins_it_at_its_top(stage: HubStage, browser: BrowserType) -> None:
    sample = await make_sample(stage)
    for _ in range(3):
        await accept_callbacks(stage, sample.partner.id, sample.main, count=20)
    async with stage.visit(browser, DELIVERIES, member=sample.owner) as opened:
        page = opened.page
        await expect(page.locator("u-chart canvas")).to_be_visible()
        await page.get_by_role("link", name="Next", exact=True).click()
        await expect(page.locator("#deliveries")).to_be_focused()
        assert await page.locator("#deliveries").evaluate("el => el.getBoundingClientRect().top") < 120
        await expect(page.locator(".row-link")).to_have_count(28)
        # The strip is drawn again after the swap.
        await expect(page.locator("u-chart canvas")).to_be_visible()
        await page.get_by_role("link", name="Previous").click()
        await expect(page.locator(".row-link")).to_have_count(50)
        await page.get_by_role("link", name="24 h").click()
        await expect(page).to_have_url(re.compile("range=24h"))
        await expect(page.locator("u-chart canvas")).to_be_visible()


async def test_a_delivery_says_what_was_sent_and_what_came_back(stage: HubStage) -> None:
    sample = await make_sample(stage)
    async with stage.browse(sample.member) as browser:
        failed = (await browser.get(f"{DELIVERIES}/{sample.failed}")).words
        for words in ("The server failed with 500.", '{"error":"queue unavailable"}', "server_error"):
            assert words in failed
        unusual = (await browser.get(f"{DELIVERIES}/{sample.unusual}")).words
        assert "The receiver answered 202, which counts as delivered." in unusual
        delivered = (await browser.get(f"{DELIVERIES}/{sample.delivered}")).words
        assert "The receiver took the event." in delivered
        assert "Headers of request 1" in delivered
        assert "webhook-timestamp: " in delivered
        assert "x-360dialog-signature: " in delivered


async def test_another_partners_delivery_is_neither_shown_nor_sent_again(stage: HubStage) -> None:
    sample, other = await make_sample(stage), await stage.person(brand_name="Other Chat")
    async with stage.browse(other) as browser:
        assert "Nothing was sent yet" in (await browser.get(DELIVERIES)).text
        page = await browser.get(f"{DELIVERIES}/{sample.delivered}")
        assert (page.status, "wamid" in page.text) == (404, False)
        page = await browser.send(DELIVERIES, f"{DELIVERIES}/{sample.delivered}/replay")
        assert page.status == 404
        assert (await browser.get(f"{DELIVERIES}/not-an-id")).status == 404
        assert events(await browser.get(f"{DELIVERIES}?q={sample.delivered}")) == []
    async with stage.browse(sample.owner) as browser:
        assert len(events(await browser.get(DELIVERIES))) == 18


async def test_what_failed_is_sent_again_under_the_same_id(stage: HubStage) -> None:
    sample = await make_sample(stage)
    failed = f"{DELIVERIES}/{sample.failed}"
    async with stage.browse(sample.owner) as browser:
        event_id = await _event_id(browser, failed)
        before = stage.receiver.ids[event_id]
        await _repair(stage, sample)
        again = await browser.send(failed, f"{failed}/replay")
        assert "On its way again. The event ID stays the same." in again.words
        assert again.path == f"{DELIVERIES}?q={event_id}"
        assert events(again) == ["messages", "messages"]
        async with stage.sending():
            await stage.receiver.wait_until(lambda: stage.receiver.ids[event_id] > before)


async def test_a_cursor_that_is_none_is_refused(stage: HubStage) -> None:
    owner = await stage.person()
    async with stage.browse(owner) as browser:
        page = await browser.get(f"{DELIVERIES}?cursor={quote('not a cursor')}")
    assert page.status == 400
    assert page.headers["x-request-id"] in page.words


async def _event_id(browser: Browser, path: str) -> str:
    (found,) = (await browser.get(path)).values(r"<dt>Event ID</dt><dd><span class=\"id\"><span>([^<]+)")
    return found


async def _repair(stage: HubStage, sample: Sample) -> None:
    """Let the broken server work again, and its breaker with it."""
    stage.receiver.script = answer(200)
    async with stage.database.system() as unit:
        await unit.execute(
            "update endpoint set breaker = 'closed', opened_at = null, probe_at = null where owner_id = %s",
            (sample.channels["Grove Mobility"].id,),
        )
