"""Price files: read tolerantly, taken over whole or not at all, never rewriting what was in force."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import psycopg
import pytest

import partnerhub
from partnerhub.identity.schemas import SYSTEM
from partnerhub.kit.database import Database
from partnerhub.ledger import queries, services
from partnerhub.ledger.errors import RatesRefused
from partnerhub.ledger.price_files import read_markets, read_rates, text_of
from partnerhub.ledger.schemas import Category, ImportResult, PriceRule, RuleOp
from partnerhub.ledger.snapshots import load_prices
from tests.ledger.stock import MARKETS, RATES, order, stock_prices, utc

SAMPLES = Path(partnerhub.__file__).parent / "demo" / "data"
OCTOBER = date(2026, 10, 1)

CARD = """WhatsApp Business Platform,,,,,,
"Rates, effective October 1, 2026",,,,,,
Market,Currency,Marketing,Utility,Authentication,Authentication-International,Service
Argentina,$US,0.0618,0.0260,0.0260,n/a,0.0260
India,$US,0.0118,0.0014,0.0014,0.0304,0.0014
# a remark,,,,,,
,,,,,,
Rest of Central & Eastern Europe,$US,0.0860,0.0212,0.0212,,0.0212
"""


async def _import(
    database: Database,
    content: str | bytes,
    *,
    since: date | None = None,
    currency: str | None = None,
    dry_run: bool = False,
) -> ImportResult:
    async with database.system() as unit:
        return await services.import_rates(
            unit,
            content=content,
            source="card.csv",
            actor=SYSTEM,
            since=since,
            currency=currency,
            dry_run=dry_run,
        )


async def _rate(database: Database, market: str, day: str, *, category: str = "marketing") -> int | None:
    async with database.tenant("onePA") as unit:
        row = await queries.find_rate(
            unit, currency="EUR", market=market, category=category, day=date.fromisoformat(day)
        )
    return None if row is None else row.micros


async def _timeline(database: Database, market: str) -> list[tuple[str, str, int]]:
    async with database.system() as unit:
        rows = await unit.fetch_dicts(
            "select lower(valid)::text as since, coalesce(upper(valid)::text, '') as until, r.micros"
            " from rate r join rate_series s on s.id = r.series_id"
            " where s.market = %s and s.category = 'marketing' and s.currency = 'EUR' order by 1",
            (market,),
        )
    return [(row["since"], row["until"], row["micros"]) for row in rows]


def _refused(text: str, since: date | None = None, currency: str | None = None) -> dict[str, str]:
    with pytest.raises(RatesRefused) as caught:
        read_rates(text, since=since, currency=currency)
    return caught.value.fields


def test_a_card_of_meta_is_found_below_its_headings_and_read_by_column_names() -> None:
    lines = read_rates(CARD, since=OCTOBER, currency=None)
    assert len(lines) == 4 + 5 + 4
    india = {line.category: line.micros for line in lines if line.market == "India"}
    assert india == {
        Category.MARKETING: 11_800,
        Category.UTILITY: 1_400,
        Category.AUTHENTICATION: 1_400,
        Category.AUTHENTICATION_INTERNATIONAL: 30_400,
        Category.SERVICE: 1_400,
    }
    assert {line.currency for line in lines} == {"USD"}
    assert {line.line for line in lines} == {4, 5, 8}


def test_semicolons_bring_decimal_commas() -> None:
    text = "Market;Marketing;Utility\nIndia;0,8631;0,1150\nChile;1.200,5;2\n"
    lines = read_rates(text, since=OCTOBER, currency="INR")
    assert [line.micros for line in lines] == [863_100, 115_000, 1_200_500_000, 2_000_000]


def test_thousands_are_grouped_by_commas_in_files_with_commas() -> None:
    text = 'Market,Marketing,Utility\nIndonesia,"Rp 1,586.33","1,586"\n'.replace("Rp ", "")
    assert [line.micros for line in read_rates(text, since=OCTOBER, currency="IDR")] == [
        1_586_330_000,
        1_586_000_000,
    ]


def test_plain_rows_carry_tiers() -> None:
    text = (
        "effective_date,currency,market,category,rate,tier_from,tier_to\n"
        "2026-10-01,EUR,Germany,utility,0.055,0,1000\n"
        "2026-10-01,EUR,Germany,utility,0.050,1000,MAX\n"
    )
    assert [(line.tier_from, line.tier_to) for line in read_rates(text, since=None, currency=None)] == [
        (0, 1000),
        (1000, None),
    ]


def test_every_faulty_line_is_named() -> None:
    text = (
        "effective_date,currency,market,category,rate\n"
        "2026-10-01,EUR,Germany,marketing,0.1\n"
        "01.10.2026,EUR,Germany,utility,0.1\n"
        "2026-10-01,EURO,Germany,utility,0.1\n"
        "2026-10-01,EUR,,utility,0.1\n"
        "2026-10-01,EUR,Germany,shouting,0.1\n"
        "2026-10-01,EUR,Germany,utility,-0.1\n"
        "2026-10-01,EUR,Germany,utility,0.1234567\n"
        "2026-10-01,EUR,Germany,utility,free\n"
        "2026-10-01,EUR,germany,marketing,0.2\n"
        ",EUR,Germany,utility,0.1\n"
    )
    fields = _refused(text)
    assert list(fields) == [f"line {number}" for number in [3, 4, 5, 6, 7, 8, 9, 11, 10]]
    assert fields["line 10"] == "overlaps line 2"
    assert "date" in fields["line 3"]
    assert "effective date" in fields["line 11"]


def test_a_tier_that_is_none_is_named() -> None:
    head = "effective_date,currency,market,category,rate,tier_from,tier_to\n"
    assert _refused(head + "2026-10-01,EUR,Germany,utility,0.1,10,10\n").keys() == {"line 2"}
    assert _refused(head + "2026-10-01,EUR,Germany,utility,0.1,x,10\n").keys() == {"line 2"}


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "Market,Marketing\n", "Market,Marketing\nIndia,n/a\n"])
def test_a_file_without_prices_is_refused(text: str) -> None:
    assert _refused(text, OCTOBER, "EUR") == {}


def test_a_spreadsheet_under_a_csv_name_is_told_apart() -> None:
    with pytest.raises(RatesRefused, match="spreadsheet"):
        text_of(b"PK\x03\x04\x14\x00rest")
    assert text_of("\ufeffMarket".encode()) == "Market"
    assert text_of("Perú".encode("cp1252")) == "Perú"


def test_prefixes_are_digits() -> None:
    lines = read_markets("Country calling code;Market\n+1-809;LatAm\n 49 ;Germany\n", since=OCTOBER)
    assert [line.prefix for line in lines] == ["1809", "49"]
    with pytest.raises(RatesRefused) as caught:
        read_markets("prefix,market\n0,x\n12a,x\n49,\n49,Germany\n49,Spain\n", since=OCTOBER)
    assert caught.value.fields.keys() == {"line 2", "line 3", "line 4", "line 6"}


async def test_an_import_records_its_bytes_and_who_did_it(database: Database) -> None:
    await stock_prices(database)
    async with database.system() as unit:
        rows = await unit.fetch_dicts(
            "select kind, source, sha256, line_count, actor_id from price_change order by seq"
        )
    assert [(row["kind"], row["line_count"]) for row in rows] == [("markets", 8), ("rates", 20)]
    assert rows[1]["sha256"] == hashlib.sha256(RATES.encode()).digest()
    assert {row["actor_id"] for row in rows} == {"system"}


async def test_the_same_file_again_changes_nothing(database: Database) -> None:
    await stock_prices(database)
    again = await _import(database, RATES)
    assert (again.rates, again.unchanged, again.line_count) == ((), 20, 20)
    async with database.system() as unit:
        assert await unit.fetch_value("select count(*) from price_change") == 2


async def test_a_dry_run_says_what_would_change_and_changes_nothing(database: Database) -> None:
    await stock_prices(database)
    text = RATES + "2027-01-01,EUR,Germany,marketing,0.14\n2027-01-01,EUR,France,utility,0.03\n"
    result = await _import(database, text, dry_run=True)
    assert [(change.line, change.market, change.before, change.after) for change in result.rates] == [
        (22, "Germany", 136_500, 140_000),
        (23, "France", None, 30_000),
    ]
    assert result.is_dry_run
    assert await _rate(database, "Germany", "2027-06-01") == 136_500
    assert (await _import(database, text)).rates == result.rates
    assert await _rate(database, "Germany", "2026-12-31") == 136_500
    assert await _rate(database, "Germany", "2027-01-01") == 140_000


async def test_rates_may_arrive_in_any_order_of_their_days(database: Database) -> None:
    await stock_prices(database)
    head = "effective_date,currency,market,category,rate\n"
    await _import(database, head + "2027-04-01,EUR,Germany,marketing,0.3\n")
    await _import(
        database,
        head + "2027-01-01,EUR,Germany,marketing,0.2\n2025-01-01,EUR,Germany,marketing,0.05\n",
    )
    assert await _timeline(database, "Germany") == [
        ("2025-01-01", "2025-07-01", 50_000),
        ("2025-07-01", "2026-10-01", 110_000),
        ("2026-10-01", "2027-01-01", 136_500),
        ("2027-01-01", "2027-04-01", 200_000),
        ("2027-04-01", "", 300_000),
    ]
    assert await _rate(database, "Germany", "2024-12-31") is None


async def test_another_price_for_a_day_that_has_one_is_refused_and_nothing_is_written(
    database: Database,
) -> None:
    await stock_prices(database)
    text = (
        RATES.replace("India,marketing,0.0106", "India,marketing,0.0107")
        + "2027-01-01,EUR,France,utility,1\n"
    )
    with pytest.raises(RatesRefused) as caught:
        await _import(database, text)
    assert caught.value.fields == {"line 8": "overlaps what is stored for 2026-10-01"}
    assert await _rate(database, "India", "2026-11-01") == 10_600
    assert await _rate(database, "France", "2027-02-01", category="utility") is None


async def test_tiers_that_overlap_within_a_file_are_refused(database: Database) -> None:
    await stock_prices(database)
    with pytest.raises(RatesRefused) as caught:
        await _import(
            database,
            "effective_date,currency,market,category,rate,tier_from,tier_to\n"
            "2027-01-01,EUR,Germany,utility,0.05,0,1000\n"
            "2027-01-01,EUR,Germany,utility,0.04,999,\n",
        )
    assert caught.value.fields == {"line 3": "overlaps line 2 for 2027-01-01"}


async def test_tiers_take_the_place_of_a_flat_rate_on_their_day(database: Database) -> None:
    await stock_prices(database)
    await _import(
        database,
        "effective_date,currency,market,category,rate,tier_from,tier_to\n"
        "2027-01-01,EUR,Germany,utility,0.05,0,1000\n"
        "2027-01-01,EUR,Germany,utility,0.04,1000,\n",
    )
    async with database.system() as unit:
        prices = await load_prices(unit)
    new_year = date(2027, 1, 1)
    found = [prices.rate("EUR", "Germany", "utility", new_year, count=count) for count in (0, 999, 1000)]
    assert [row and row.micros for row in found] == [50_000, 50_000, 40_000]
    before = prices.rate("EUR", "Germany", "utility", date(2026, 12, 31), count=5_000)
    assert before is not None
    assert before.micros == 55_000


async def test_an_unknown_market_is_refused_and_old_rates_stay(database: Database) -> None:
    await stock_prices(database)
    with pytest.raises(RatesRefused) as caught:
        await _import(database, CARD, since=OCTOBER)
    assert caught.value.fields.keys() == {"line 4", "line 8"}
    assert await _rate(database, "Germany", "2026-11-01") == 136_500


async def test_names_of_markets_meet_however_they_are_written(database: Database) -> None:
    await stock_prices(database, markets=MARKETS + "2026-10-01,48,Rest of Central and Eastern  Europe,PL\n")
    await _import(
        database,
        "Market,Currency,Marketing\nREST OF CENTRAL & EASTERN EUROPE,EUR,0.08\nother,EUR,0.01\n",
        since=date(2027, 1, 1),
    )
    assert await _rate(database, "Rest of Central and Eastern  Europe", "2027-01-01") == 80_000
    assert await _rate(database, "Other", "2027-01-01") == 10_000


async def test_series_that_a_new_card_no_longer_has_are_told(database: Database) -> None:
    await stock_prices(database)
    result = await _import(
        database,
        "Market,Currency,Marketing\nGermany,EUR,0.14\nIndia,EUR,0.01\n",
        since=date(2027, 1, 1),
    )
    assert result.missing == (
        "EUR · France · marketing",
        "EUR · Kazakhstan · marketing",
        "EUR · North America · marketing",
        "EUR · Other · marketing",
        "EUR · Rest of Latin America · marketing",
    )
    assert await _rate(database, "France", "2027-02-01") == 77_300


async def test_the_database_itself_refuses_two_rates_for_one_day(database: Database) -> None:
    await stock_prices(database)
    for table, columns in (
        ("rate", "series_id, valid, micros, change_id"),
        ("market_prefix", "prefix, market, valid, change_id"),
    ):
        with pytest.raises(psycopg.errors.ExclusionViolation):
            async with database.system() as unit:
                await unit.execute(f"insert into {table} ({columns}) select {columns} from {table} limit 1")
        with psycopg.connect(database.url) as connection:
            connection.execute("set role hub_owner")
            with pytest.raises(psycopg.errors.ExclusionViolation):
                connection.execute(
                    f"insert into {table} ({columns}) select"
                    f" {columns.replace('valid', 'daterange(lower(valid) + 1, null)')} from {table} limit 1"
                )


async def test_a_market_changes_on_its_day(database: Database) -> None:
    await stock_prices(database)
    async with database.system() as unit:
        result = await services.import_markets(
            unit,
            content="prefix,market\n77,Middle Earth\n49,Germany\n",
            source="m",
            actor=SYSTEM,
            since=date(2027, 1, 1),
        )
        prices = await load_prices(unit)
    assert [(change.prefix, change.before, change.after) for change in result.markets] == [
        ("77", "Kazakhstan", "Middle Earth")
    ]
    assert result.unchanged == 1  # Germany goes on
    assert prices.market_of("7701", date(2026, 12, 31)) == "Kazakhstan"
    assert prices.market_of("7701", date(2027, 1, 1)) == "Middle Earth"


async def test_a_price_rule_reaches_the_snapshots(database: Database) -> None:
    await stock_prices(database)
    async with database.system() as unit:
        await load_prices(unit)
        await services.add_price_rule(
            unit,
            rule=PriceRule(op=RuleOp.PERCENT, value=100_000, priority=1, since=OCTOBER, partner_id="onePA"),
            actor=SYSTEM,
        )
        prices = await load_prices(unit)
    noon = utc("2026-11-20T12:00:00")
    assert prices.quote(order(), noon).max_micros == 150_150
    assert prices.quote(order(partner_id="twoPA"), noon).max_micros == 136_500


async def test_prices_are_never_loaded_with_the_eyes_of_one_tenant(database: Database) -> None:
    async with database.tenant("onePA") as unit:
        with pytest.raises(ValueError, match="system unit"):
            await load_prices(unit)


async def test_the_shipped_samples_fit_each_other(database: Database) -> None:
    async with database.system() as unit:
        await services.import_markets(
            unit, content=(SAMPLES / "sample-markets.csv").read_bytes(), source="sample", actor=SYSTEM
        )
    result = await _import(database, (SAMPLES / "sample-rates.csv").read_bytes())
    assert len(result.rates) == 352
    async with database.system() as unit:
        prices = await load_prices(unit)
    day = date(2026, 11, 20)
    markets = {
        recipient: prices.market_of(recipient, day)
        for recipient in (
            "18095550100",
            "12125550100",
            "77011234567",
            "79161234567",
            "5511987654321",
            "US.1349",
        )
    }
    assert list(markets.values()) == [
        "Rest of Latin America",
        "North America",
        "Kazakhstan",
        "Russia",
        "Brazil",
        "North America",
    ]
    usd = [
        prices.rate("USD", "India", category, day)
        for category in ("marketing", "utility", "authentication_international")
    ]
    assert [row and row.micros for row in usd] == [11_800, 1_400, 30_400]
    for currency in ("EUR", "USD"):
        for market in {row.market for row in prices.markets if row.until is None}:
            assert prices.rate(currency, market, "marketing", day) is not None, market
