"""Numbers, money, dates and message text as people of each language read them.

Everything is formatted on the server by locale data; a page never concatenates. Times are shown in the
reader's zone, amounts come as integers of millionths.
"""

from __future__ import annotations

import re
from copy import copy
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal

import phonenumbers
from babel import dates, numbers
from markupsafe import Markup, escape

from partnerhub.kit import clock, money
from partnerhub.ui.languages import Language, locale_of


def number(value: float | Decimal, language: Language) -> str:
    """Write a number with grouping: 94,436."""
    return str(numbers.format_decimal(value, locale=locale_of(language)))


def percent(share: float | Decimal, language: Language, *, digits: int = 1) -> str:
    """Write a share of one as percentage: 0.984 is 98.4 %."""
    rounded = Decimal(str(share)).quantize(Decimal(1).scaleb(-digits - 2))
    return numbers.format_percent(rounded, locale=locale_of(language), decimal_quantization=False)


def amount(micros: int, currency: str, language: Language) -> str:
    """Write money as people do, rounded down, so that nobody reads money that is not there."""
    value = money.spendable(money.Micros(micros), currency)
    return numbers.format_currency(value, currency, locale=locale_of(language))


def exact_amount(micros: int, currency: str, language: Language, *, digits: int = 0) -> str:
    """Write money without rounding, as prices per message need it: €0.1131.

    With `digits`, at least so many decimals, so that prices stand below each other.
    """
    locale = locale_of(language)
    pattern = copy(locale.currency_formats["standard"])
    # Six decimals are a micro; the locale's own pattern would cut to the currency's.
    pattern.frac_prec = (max(money.exponent(currency), digits), 6)
    value = money.to_decimal(money.Micros(micros))
    return str(pattern.apply(value, locale, currency=currency, currency_digits=False))


def day(value: date | datetime, language: Language, zone: str) -> str:
    """Write a day: 14 Mar 2026."""
    local = value.astimezone(zone_of(zone)) if isinstance(value, datetime) else value
    return dates.format_date(local, "medium", locale=locale_of(language))


def moment(value: datetime, language: Language, zone: str, *, seconds: bool = False) -> str:
    """Write a day and a time of day: 14 Mar 2026, 09:30."""
    local = value.astimezone(zone_of(zone))
    clock_time = dates.format_time(local, "medium" if seconds else "short", locale=locale_of(language))
    return f"{dates.format_date(local, 'medium', locale=locale_of(language))}, {clock_time}"


def full_moment(value: datetime, language: Language, zone: str) -> str:
    """Write a moment to the second with its zone, as titles and logs need it."""
    return dates.format_datetime(value.astimezone(zone_of(zone)), "long", locale=locale_of(language))


def time_of_day(value: datetime, language: Language, zone: str, *, seconds: bool = False) -> str:
    """Write a time without its day: 09:30, as the axis of a chart of one day has it."""
    local = value.astimezone(zone_of(zone))
    return dates.format_time(local, "medium" if seconds else "short", locale=locale_of(language))


def short_day(value: datetime, language: Language, zone: str) -> str:
    """Write a day without its year: 14 Mar."""
    return dates.format_skeleton("MMMd", value.astimezone(zone_of(zone)), locale=locale_of(language))


def ago(value: datetime, language: Language) -> str:
    """Write how long ago, or in how long: 3 minutes ago."""
    delta = value - clock.now()
    return dates.format_timedelta(delta, add_direction=True, threshold=0.9, locale=locale_of(language))


def duration(milliseconds: float, language: Language) -> str:
    """Write a duration: < 0.1 ms, 0.4 ms, 184 ms, 3.2 s, 5 min."""
    if 0 < milliseconds < 0.05:
        return f"<\u00a0{number(0.1, language)}\u00a0ms"
    if 0 < milliseconds < 9.95:
        return f"{number(round(milliseconds, 1), language)}\u00a0ms"
    if milliseconds < 1000:
        return f"{number(round(milliseconds), language)}\u00a0ms"
    if milliseconds < 60_000:
        return f"{number(round(milliseconds / 1000, 1), language)}\u00a0s"
    delta = timedelta(milliseconds=milliseconds)
    return dates.format_timedelta(delta, format="short", threshold=1.5, locale=locale_of(language))


def size(count: int, language: Language) -> str:
    """Write a number of bytes: 512 B, 16.4 kB, 4.2 MB."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{number(round(value, 1 if unit != 'B' and value < 100 else None), language)}\u00a0{unit}"


def phone(number: str) -> str:
    """Write a phone number with its country code and blanks as its country does: +49 30 555100001."""
    try:
        parsed = phonenumbers.parse(f"+{number.removeprefix('+')}")
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def breakable(name: str) -> Markup:
    """Let a technical name break after its underscores where it does not fit."""
    return escape(name).replace("_", Markup("_<wbr>"))


def initials(name: str) -> str:
    """Return one or two letters that stand for a name."""
    words = re.findall(r"[^\W\d_]+|\d+", name)
    return "".join(word[0] for word in words[:2]).upper() or "?"


def zone_of(name: str) -> tzinfo:
    """Return the time zone of a name of the IANA list."""
    return UTC if name == "UTC" else dates.get_timezone(name)


# The same marks as in assets/js/preview.js; the test compares both on the same texts.
_MARKS = (
    (re.compile(r"```([^`]+)```"), "code"),
    (re.compile(r"(?<!\w)\*(\S(?:[^*\n]*\S)?)\*(?!\w)"), "b"),
    (re.compile(r"(?<![^\W_])_(\S(?:[^_\n]*\S)?)_(?![^\W_])"), "i"),
    (re.compile(r"(?<!\w)~(\S(?:[^~\n]*\S)?)~(?!\w)"), "s"),
    (re.compile(r"\{\{\s*(\w+)\s*\}\}"), "mark"),
)


def whatsapp_text(text: str) -> Markup:
    """Render WhatsApp's marks (*bold*, _italic_, ~struck~, ```mono```, {{1}}) as safe markup."""
    hits = [
        (match.start(), place, match, tag)
        for place, (p, tag) in enumerate(_MARKS)
        if (match := p.search(text))
    ]
    if not hits:
        return escape(text)
    _, _, match, tag = min(hits, key=lambda hit: hit[:2])
    if tag == "mark":
        inner = escape(match[0])
    else:
        inner = escape(match[1]) if tag == "code" else whatsapp_text(match[1])
    opened = Markup("<{0}>{1}</{0}>").format(Markup(tag), inner)  # noqa: S704 - tag is one of five constants
    return escape(text[: match.start()]) + opened + whatsapp_text(text[match.end() :])
