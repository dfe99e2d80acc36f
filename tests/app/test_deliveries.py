"""The delivery log, one delivery, and sending it again, as a browser without script gets them."""

from __future__ import annotations

from urllib.parse import quote

from tests.hub_sample import Sample, make_sample
from tests.hub_stage import DELIVERIES, HubStage
from tests.plain_browser import Browser, Visit
from tests.webhooks.receivers import answer

_EVENT = r'<a class="row-link" href="[^"]*">(.*?)</a>'


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
