"""Numbers, money, times and message text, as people of each language read them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.async_api import Browser

from partnerhub.kit import clock
from partnerhub.ui import formats
from partnerhub.ui.languages import LANGUAGES, Language
from tests.browser import visit

MOMENT = datetime(2026, 3, 14, 8, 30, 5, tzinfo=UTC)


def plain(text: str) -> str:
    """Return the text with the several kinds of space made one."""
    return text.replace("\u00a0", " ").replace("\u202f", " ")


WRITTEN: dict[Language, list[str]] = {
    "en": ["94,436.5", "98.4%", "€1,284.50", "€0.1131", "14 Mar 2026", "14 Mar 2026, 09:30"],
    "de": ["94.436,5", "98,4 %", "1.284,50 €", "0,1131 €", "14.03.2026", "14.03.2026, 09:30"],
    "pt-BR": [
        "94.436,5",
        "98,4%",
        "€ 1.284,50",
        "€ 0,1131",
        "14 de mar. de 2026",
        "14 de mar. de 2026, 09:30",
    ],
    "es": ["94.436,5", "98,4 %", "1.284,50 €", "0,1131 €", "14 mar 2026", "14 mar 2026, 9:30"],
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_writes_in_its_own_way(language: Language) -> None:
    found = [
        formats.number(94436.5, language),
        formats.percent(0.984, language),
        formats.amount(1_284_500_000, "EUR", language),
        formats.exact_amount(113_100, "EUR", language),
        formats.day(date(2026, 3, 14), language, "UTC"),
        formats.moment(MOMENT, language, "Europe/Berlin"),
    ]
    assert [plain(text) for text in found] == WRITTEN[language]


def test_money_is_never_rounded_up() -> None:
    assert formats.amount(1_999_999, "EUR", "en") == "€1.99"
    assert formats.amount(-1, "EUR", "en") == "-€0.01"
    assert formats.amount(1_999_999, "JPY", "en") == "JP¥1"
    assert formats.amount(1_234_567, "KWD", "en") == "KWD1.234"


def test_an_exact_amount_keeps_every_digit_and_no_more() -> None:
    assert formats.exact_amount(1_000_000, "EUR", "en") == "€1.00"
    assert formats.exact_amount(1_500_000, "EUR", "en") == "€1.50"
    assert formats.exact_amount(1, "EUR", "en") == "€0.000001"
    assert formats.exact_amount(100_000_000, "USD", "en") == "US$100.00"
    assert formats.exact_amount(0, "EUR", "en") == "€0.00"
    assert formats.exact_amount(55_000, "EUR", "en", digits=4) == "€0.0550"
    assert formats.exact_amount(113_155, "EUR", "en", digits=4) == "€0.113155"


def test_a_moment_is_shown_in_the_readers_zone() -> None:
    assert formats.moment(MOMENT, "en", "America/Sao_Paulo") == "14 Mar 2026, 05:30"
    assert formats.moment(MOMENT, "en", "UTC", seconds=True) == "14 Mar 2026, 08:30:05"
    assert formats.day(datetime(2026, 3, 14, 23, 30, tzinfo=UTC), "en", "Europe/Berlin") == "15 Mar 2026"
    assert formats.time_of_day(MOMENT, "en", "Europe/Berlin") == "09:30"
    assert formats.short_day(MOMENT, "en", "UTC") == "14 Mar"
    assert formats.full_moment(MOMENT, "en", "UTC") == "14 March 2026, 08:30:05 UTC"


def test_times_near_by_are_told_by_distance() -> None:
    with clock.set_to(MOMENT):
        assert formats.ago(MOMENT - timedelta(minutes=3), "en") == "3 minutes ago"
        assert formats.ago(MOMENT - timedelta(days=6), "de") == "vor 6 Tagen"
        assert formats.ago(MOMENT + timedelta(hours=2), "en") == "in 2 hours"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (0.02, "< 0.1 ms"),
        (0.37, "0.4 ms"),
        (9.96, "10 ms"),
        (184.4, "184 ms"),
        (999, "999 ms"),
        (3210, "3.2 s"),
        (300_000, "5 mins"),
        (7_200_000, "2 hrs"),
    ],
)
def test_durations(milliseconds: float, text: str) -> None:
    assert plain(formats.duration(milliseconds, "en")) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("4930555100001", "+49 30 555100001"),
        ("+12025550108", "+1 202-555-0108"),
        ("5511955510004", "+55 11 95551-0004"),
        ("not a number", "not a number"),
    ],
)
def test_phone_numbers(number: str, text: str) -> None:
    assert formats.phone(number) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (16_384, "16.4 kB"), (123_456, "123 kB"), (4_200_000, "4.2 MB")],
)
def test_sizes(count: int, text: str) -> None:
    assert plain(formats.size(count, "en")) == text


@given(
    st.integers(-(10**15), 10**15),
    st.sampled_from(["EUR", "USD", "BRL", "JPY", "KWD", "XXX"]),
    st.sampled_from(LANGUAGES),
)
def test_every_amount_can_be_written(micros: int, currency: str, language: Language) -> None:
    assert formats.amount(micros, currency, language)
    assert formats.exact_amount(micros, currency, language)


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Northwind Agency", "NA"),
        ("acme", "A"),
        ("Ünal & Öz GmbH", "ÜÖ"),
        ("3M", "3M"),
        ("  ", "?"),
        ("株式会社", "株"),
    ],
)
def test_initials(name: str, letters: str) -> None:
    assert formats.initials(name) == letters


def test_a_technical_name_breaks_after_its_underscores_and_stays_text() -> None:
    assert formats.breakable("channel_live") == "channel_<wbr>live"
    assert formats.breakable("<b>_") == "&lt;b&gt;_<wbr>"


MESSAGES = [
    ("plain", "plain"),
    ("*bold*", "<b>bold</b>"),
    ("_it_ and ~gone~", "<i>it</i> and <s>gone</s>"),
    ("*bold _both_*", "<b>bold <i>both</i></b>"),
    ("```*raw*```", "<code>*raw*</code>"),
    ("{{1}} for {{name}}", "<mark>{{1}}</mark> for <mark>{{name}}</mark>"),
    ("2*3*4 and a_b_c", "2*3*4 and a_b_c"),
    ("* not * bold", "* not * bold"),
    ("**", "**"),
    ("<b>&\"'", "&lt;b&gt;&amp;&#34;&#39;"),
    ("*<img src=x>*", "<b>&lt;img src=x&gt;</b>"),
]


@pytest.mark.parametrize(("text", "markup"), MESSAGES)
def test_message_marks_become_safe_markup(text: str, markup: str) -> None:
    assert formats.whatsapp_text(text) == markup


@given(st.text(alphabet="*_~`{}<>&1a \n", max_size=60))
def test_no_message_opens_a_tag_of_its_own(text: str) -> None:
    markup = str(formats.whatsapp_text(text))
    for tag in ("b", "i", "s", "code", "mark"):
        markup = markup.replace(f"<{tag}>", "").replace(f"</{tag}>", "")
    assert "<" not in markup
    assert ">" not in markup


async def test_the_browser_draws_a_message_as_the_server_does(browser: Browser, gallery_url: str) -> None:
    async with visit(browser, gallery_url) as opened:
        await opened.page.get_by_role("textbox", name="Sample for").fill("")
        for text, _markup in MESSAGES:
            await opened.page.locator("#template-body").fill(text)
            drawn = await opened.page.locator(".bubble-body").inner_html()
            expected = str(formats.whatsapp_text(text)).replace("&#34;", '"').replace("&#39;", "'")
            assert drawn == expected
