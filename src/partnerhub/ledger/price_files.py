"""Reads price files: rate cards as Meta publishes them, plain rows, and prefix tables. Stores nothing.

Meta's cards carry no fixed header row, so it is looked for by the words in it, and columns are taken by
name. Every fault is collected with its line number before anything is refused.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from partnerhub.kit import money
from partnerhub.kit.money import Micros
from partnerhub.ledger.errors import RatesRefused
from partnerhub.ledger.pricing import category_of
from partnerhub.ledger.schemas import Category

_NOTHING = {"", "n/a", "na", "-", "–", "—", "none"}
_DATE_NAMES = ("effective_date", "effective_from", "valid_from", "since")
_TIER_FROM_NAMES = ("tier_from", "tier_low", "tier_lo")
_TIER_TO_NAMES = ("tier_to", "tier_high", "tier_hi")
_PREFIX_NAMES = ("prefix", "calling_code", "country_calling_code", "country_code", "dialing_code")
# How cards write a currency that is no code.
_SIGNS = {"$US": "USD", "US$": "USD", "$": "USD", "€": "EUR", "£": "GBP", "₹": "INR", "R$": "BRL"}


@dataclass(frozen=True)
class RateLine:
    """One rate of a file. The tier counts the month's messages before this one; `tier_to` is outside."""

    line: int
    currency: str
    market: str
    category: Category
    micros: Micros
    since: date
    tier_from: int = 0
    tier_to: int | None = None


@dataclass(frozen=True)
class MarketLine:
    """One prefix of a file."""

    line: int
    prefix: str
    market: str
    since: date
    country: str = ""


@dataclass(frozen=True)
class _Table:
    names: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    has_decimal_comma: bool

    def cells(self, row: Sequence[str]) -> dict[str, str]:
        return {name: cell.strip() for name, cell in zip(self.names, row, strict=False) if name}


class _Fault(ValueError):
    """What is wrong with one line; collected, never shown alone."""


def text_of(content: bytes | str) -> str:
    """Return the file as text. Raises: RatesRefused for what is no text."""
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    if content.startswith(b"PK\x03\x04"):
        # Meta's cards of October 2026 were spreadsheets under a .csv name.
        raise RatesRefused("This is a spreadsheet, not text. Open it and save it as CSV (UTF-8).")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def read_rates(text: str, *, since: date | None, currency: str | None) -> list[RateLine]:
    """Return every rate of a rate card or of plain rows (`effective_date,currency,market,category,rate`).

    `since` and `currency` stand in where the file has no such column. Cells without a rate are skipped.

    Raises: RatesRefused, naming every faulty line.
    """
    table = _table(
        text,
        lambda names: "market" in names and ("marketing" in names or {"category", "rate"} <= set(names)),
        "a header with “Market” and “Marketing”, or with market, category and rate",
    )
    lines: list[RateLine] = []
    faults: dict[str, str] = {}
    for number, cells in _rows(table):
        try:
            lines.extend(_rates_of(number, cells, table, since, currency))
        except _Fault as fault:
            faults[f"line {number}"] = str(fault)
    _refuse(faults, lines, lambda row: (row.currency, row.market.casefold(), row.category, row.tier_from))
    return lines


def read_markets(text: str, *, since: date | None) -> list[MarketLine]:
    """Return every prefix of a table (`effective_date,prefix,market,country`).

    Raises: RatesRefused, naming every faulty line.
    """
    table = _table(
        text,
        lambda names: "market" in names and any(name in names for name in _PREFIX_NAMES),
        "a header with “prefix” and “market”",
    )
    lines: list[MarketLine] = []
    faults: dict[str, str] = {}
    for number, cells in _rows(table):
        try:
            lines.append(_market_of(number, cells, since))
        except _Fault as fault:
            faults[f"line {number}"] = str(fault)
    _refuse(faults, lines, lambda row: (row.prefix,))
    return lines


def _rates_of(
    number: int, cells: Mapping[str, str], table: _Table, since: date | None, currency: str | None
) -> Iterator[RateLine]:
    market = cells["market"]
    if not market:
        raise _Fault("no market")
    of_currency = _currency(cells, currency)
    day = _date(cells, since)
    tier_from, tier_to = _tier(cells)
    if "category" in cells and "rate" in cells:
        category = category_of(cells["category"])
        if category is None:
            raise _Fault(f"“{cells['category']}” is not a category")
        priced = [(category, cells["rate"])]
    else:
        priced = [
            (category, cell) for name, cell in cells.items() if (category := category_of(name)) is not None
        ]
    for category, cell in priced:
        if (micros := _rate(cell, has_decimal_comma=table.has_decimal_comma)) is not None:
            yield RateLine(number, of_currency, market, category, micros, day, tier_from, tier_to)


def _market_of(number: int, cells: Mapping[str, str], since: date | None) -> MarketLine:
    prefix = re.sub(r"[\s+\-]", "", _first(cells, _PREFIX_NAMES))
    if not (prefix.isascii() and prefix.isdigit() and 1 <= len(prefix) <= 15 and prefix[0] != "0"):
        raise _Fault(f"“{prefix}” is not a prefix of E.164 digits")
    if not cells["market"]:
        raise _Fault("no market")
    return MarketLine(number, prefix, cells["market"], _date(cells, since), cells.get("country", ""))


def _table(text: str, is_header: Callable[[tuple[str, ...]], bool], wanted: str) -> _Table:
    for delimiter in (";", ",", "\t"):
        reader = csv.reader(io.StringIO(text), delimiter=delimiter)
        names: tuple[str, ...] | None = None
        rows: list[tuple[int, tuple[str, ...]]] = []
        try:
            for row in reader:
                if names is not None:
                    rows.append((reader.line_num, tuple(row)))
                elif len(row) > 1 and is_header(candidate := tuple(_name(cell) for cell in row)):
                    names = candidate
        except csv.Error as error:
            raise RatesRefused(f"Line {reader.line_num} is not CSV: {error}.") from error
        if names is not None:
            return _Table(names, tuple(rows), has_decimal_comma=delimiter == ";")
    raise RatesRefused(f"The file has no {wanted}.")


def _rows(table: _Table) -> Iterator[tuple[int, dict[str, str]]]:
    for number, row in table.rows:
        is_comment = bool(row) and row[0].lstrip().startswith("#")
        if not is_comment and any(cell.strip() for cell in row):
            cells = table.cells(row)
            yield number, {name: cells.get(name, "") for name in table.names if name}


def _name(cell: str) -> str:
    text = re.sub(r"\(.*?\)", "", cell).strip().casefold()
    return re.sub(r"[\s\-]+", "_", text)


def _first(cells: Mapping[str, str], names: Sequence[str]) -> str:
    return next((cells[name] for name in names if cells.get(name)), "")


def _date(cells: Mapping[str, str], fallback: date | None) -> date:
    text = _first(cells, _DATE_NAMES)
    if not text:
        if fallback is None:
            raise _Fault("no effective date; name one for the whole file (since)")
        return fallback
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _Fault(f"“{text}” is not a date like 2026-10-01") from None


def _currency(cells: Mapping[str, str], fallback: str | None) -> str:
    text = cells.get("currency", "")
    code = _SIGNS.get(text) or text.upper() or (fallback or "")
    if not code:
        raise _Fault("no currency; name one for the whole file (currency)")
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise _Fault(f"“{code}” is not a currency")
    return code


def _tier(cells: Mapping[str, str]) -> tuple[int, int | None]:
    low, high = _first(cells, _TIER_FROM_NAMES), _first(cells, _TIER_TO_NAMES)
    if not (low or "0").isdigit() or (high.casefold() not in {"", "max"} and not high.isdigit()):
        raise _Fault(f"“{low}” to “{high}” is not a tier")
    tier_from, tier_to = int(low or 0), int(high) if high.isdigit() else None
    if tier_to is not None and tier_to <= tier_from:
        raise _Fault(f"the tier from {tier_from} to {tier_to} is empty")
    return tier_from, tier_to


def _rate(cell: str, *, has_decimal_comma: bool) -> Micros | None:
    if cell.strip().casefold() in _NOTHING:
        return None
    text = re.sub(r"US\$|\$US|[$€£₹\s]", "", cell)
    if "," in text:
        # Both signs: the last one is decimal. A comma alone groups thousands only in files that separate
        # columns by commas too.
        groups = re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", text)
        is_grouping = groups and ("." in text or not has_decimal_comma)
        text = text.replace(",", "") if is_grouping else text.replace(".", "").replace(",", ".")
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise _Fault(f"“{cell}” is not a rate")
    try:
        return money.parse(text)
    except money.InvalidAmount:
        raise _Fault(f"“{cell}” is not a rate with at most six decimals") from None


def _refuse(
    faults: dict[str, str],
    lines: Sequence[RateLine] | Sequence[MarketLine],
    key: Callable[..., tuple[object, ...]],
) -> None:
    """Refuse the file for its faults, among them lines that say the same thing twice."""
    first: dict[tuple[object, ...], int] = {}
    for row in lines:
        what = (row.since, *key(row))
        if what in first:
            faults[f"line {row.line}"] = f"overlaps line {first[what]}"
        first.setdefault(what, row.line)
    if faults:
        raise RatesRefused.of_lines(faults)
    if not lines:
        raise RatesRefused("The file has no prices.")
