"""Prices are pure functions of dated data, the day in the WABA's time zone, and the recipient."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerhub.kit.database import Database
from partnerhub.kit.money import Micros
from partnerhub.ledger.errors import RateMissing
from partnerhub.ledger.gate import Gate
from partnerhub.ledger.pricing import Prices, category_of, local_day
from partnerhub.ledger.queries import get_price_list
from partnerhub.ledger.recipients import normalise
from partnerhub.ledger.schemas import Category, Market, MetaRule, PriceList, PriceRule, Rate, RuleOp
from tests.ledger.stock import BERLIN, RATES, charges, order, settle, status, stock_prices, utc

START, OCTOBER = date(2025, 7, 1), date(2026, 10, 1)
NOVEMBER = utc("2026-11-20T12:00:00")


def _rate(market: str, category: str, micros: int, since: date = OCTOBER, until: date | None = None) -> Rate:
    return Rate("EUR", market, category, Micros(micros), since, until)


PRICES = Prices(
    rates=(
        _rate("Germany", "marketing", 110_000, START, OCTOBER),
        _rate("Germany", "marketing", 136_500),
        _rate("Germany", "utility", 55_000),
        _rate("Germany", "service", 55_000),
        _rate("India", "marketing", 10_600),
        _rate("India", "authentication", 1_300),
        _rate("India", "authentication_international", 27_400),
        _rate("India", "service", 1_300),
    ),
    markets=(
        Market("49", "Germany", START),
        Market("91", "India", START),
        Market("1", "North America", START),
        Market("1809", "Rest of Latin America", START),
        Market("7", "Russia", START),
        Market("77", "Other", START, OCTOBER),
        Market("77", "Kazakhstan", OCTOBER),
    ),
    meta_rules=(
        MetaRule("marketing", "always", None, START),
        MetaRule("utility", "outside_window", None, START, OCTOBER),
        MetaRule("utility", "always", None, OCTOBER),
        MetaRule("service", "never", None, START, OCTOBER),
        MetaRule("service", "after_allowance", 1000, OCTOBER),
    ),
)


@pytest.mark.parametrize(
    ("reported", "category"),
    [
        ("marketing", Category.MARKETING),
        ("MARKETING_LITE", Category.MARKETING),
        ("marketing_lite_dynamic", Category.MARKETING),
        ("group_marketing", Category.MARKETING),
        ("group_marketing_lite", Category.MARKETING),
        ("group_utility", Category.UTILITY),
        ("group_service", Category.SERVICE),
        ("authentication-international", Category.AUTHENTICATION_INTERNATIONAL),
        ("AUTHENTICATION_INTERNATIONAL", Category.AUTHENTICATION_INTERNATIONAL),
        ("referral_conversion", None),
        ("something_new", None),
        (None, None),
    ],
)
def test_a_reported_category_is_read_however_it_is_written(
    reported: str | None, category: Category | None
) -> None:
    assert category_of(reported) is category


@pytest.mark.parametrize(
    ("recipient", "market"),
    [
        ("4915112345678", "Germany"),
        ("+49 (151) 123-456-78", "Germany"),
        ("12125550100", "North America"),
        ("18095550100", "Rest of Latin America"),
        ("DE.13491208655302741918", "Germany"),
        ("us.13491208655302741918", "North America"),
        ("DO.13491208655302741918", "Rest of Latin America"),
        ("US.ENT.11815799212886844830", "North America"),
        ("995551234567", None),
        ("ZZ.1349", None),
        ("120363024512345678", None),
        ("Y2FwaV9ncm91cDox", None),
    ],
)
def test_the_longest_prefix_or_the_country_of_a_user_id_tells_the_market(
    recipient: str, market: str | None
) -> None:
    assert PRICES.market_of(recipient, OCTOBER) == market


def test_a_market_that_becomes_its_own_does_so_on_its_day() -> None:
    assert PRICES.market_of("77011234567", date(2026, 9, 30)) == "Other"
    assert PRICES.market_of("77011234567", OCTOBER) == "Kazakhstan"
    assert PRICES.market_of("79161234567", OCTOBER) == "Russia"


def test_ways_of_writing_a_number_are_one_recipient() -> None:
    assert {normalise(text) for text in ("+49 151 123", "0049151123", "49-151/123", " 49151123 ")} == {
        "49151123"
    }
    assert normalise("US.1349") == "US.1349"


def test_a_quote_is_the_rate_of_the_day_in_the_time_zone_of_the_account() -> None:
    just_before = utc("2026-09-30T21:59:59.999999")  # 23:59:59 in Berlin
    assert PRICES.quote(order(), just_before).max_micros == 110_000
    assert PRICES.quote(order(), just_before + timedelta(microseconds=1)).max_micros == 136_500
    assert PRICES.quote(order(time_zone="America/New_York"), utc("2026-10-01T03:59:59")).max_micros == 110_000


def test_an_authentication_message_may_turn_out_to_be_international() -> None:
    quote = PRICES.quote(order(recipient="9198", category=Category.AUTHENTICATION), NOVEMBER)
    assert quote.max_micros == 27_400


def test_an_unknown_market_costs_the_dearest_rate_and_is_never_free() -> None:
    assert PRICES.quote(order(recipient="995551234567"), NOVEMBER).max_micros == 136_500
    unpriced = order(recipient="9198", category=Category.UTILITY)  # a market without a rate of its own
    assert PRICES.quote(unpriced, NOVEMBER).max_micros == 55_000


def test_a_category_without_any_rate_costs_the_dearest_of_the_currency() -> None:
    prices = Prices(rates=PRICES.rates[:2], markets=PRICES.markets, meta_rules=PRICES.meta_rules)
    assert prices.quote(order(category=Category.UTILITY), NOVEMBER).max_micros == 136_500


def test_a_currency_without_rates_is_refused_by_name() -> None:
    with pytest.raises(RateMissing) as caught:
        PRICES.quote(order(currency="BRL"), NOVEMBER)
    assert caught.value.code == "rate_missing"
    assert "BRL" in caught.value.message


def test_rates_that_start_later_do_not_count_yet() -> None:
    with pytest.raises(RateMissing):
        PRICES.quote(order(), utc("2025-06-30T12:00:00"))


def test_service_is_free_before_october_and_has_an_allowance_after() -> None:
    service = order(category=Category.SERVICE)
    before = PRICES.quote(service, utc("2026-09-15T12:00:00"))
    assert (before.max_micros, before.allowance) == (0, None)
    after = PRICES.quote(service, utc("2026-10-31T23:30:00"))  # already November in Berlin
    assert (after.max_micros, after.allowance, after.month) == (55_000, 1000, date(2026, 11, 1))


def test_what_was_reported_is_charged_at_the_rate_of_the_day_of_delivery() -> None:
    assert PRICES.price(status("w", "delivered", at=utc("2026-09-30T21:59:59"))) == 110_000
    assert PRICES.price(status("w", "delivered", at=utc("2026-09-30T22:00:00"))) == 136_500
    assert PRICES.price(status("w", "read", pricing_category="utility")) == 55_000


def test_utility_in_the_window_is_free_by_what_meta_says_not_by_our_rules() -> None:
    free = status(
        "w", "delivered", pricing_type="free_customer_service", pricing_category="utility", at=NOVEMBER
    )
    assert PRICES.price(free) == 0
    charged = status("w", "delivered", pricing_type="regular", pricing_category="utility", at=NOVEMBER)
    assert PRICES.price(charged) == 55_000


@pytest.mark.parametrize("kind", ["free_customer_service", "free_entry_point", "free_group_customer_service"])
def test_every_free_type_costs_nothing(kind: str) -> None:
    assert PRICES.price(status("w", "delivered", pricing_type=kind, pricing_category="marketing")) == 0


def test_a_member_of_a_group_is_charged_where_the_member_is() -> None:
    group = status("w", "delivered", recipient="Y2FwaV9ncm91cDox", participant="9198", at=NOVEMBER)
    assert PRICES.price(group) == 10_600


def test_nothing_reported_or_no_rate_gives_no_price_but_a_highest_one() -> None:
    silent = status("w", "delivered", pricing_type=None, pricing_category=None, at=NOVEMBER)
    assert PRICES.price(silent) is None
    assert PRICES.highest(silent) == 136_500
    strange = status("w", "delivered", pricing_category="general_purpose_ai", at=NOVEMBER)
    assert (PRICES.price(strange), PRICES.highest(strange)) == (None, 136_500)
    far = status("w", "delivered", recipient="995551234567", pricing_category="service", at=NOVEMBER)
    assert (PRICES.price(far), PRICES.highest(far)) == (None, 55_000)
    assert PRICES.highest(status("w", "delivered", currency="BRL")) is None


def test_an_unknown_time_zone_counts_as_utc() -> None:
    for name in ("Mars/Olympus", "", "../etc/passwd"):
        assert local_day(utc("2026-09-30T23:00:00"), name) == date(2026, 9, 30)


def _with_rules(*rules: PriceRule) -> Prices:
    return Prices(PRICES.rates, PRICES.markets, PRICES.meta_rules, rules)


def test_price_rules_apply_in_their_order_and_only_where_they_match() -> None:
    prices = _with_rules(
        PriceRule(op=RuleOp.PERCENT, value=100_000, priority=1, since=OCTOBER),
        PriceRule(
            op=RuleOp.FIXED, value=1_000, priority=2, since=OCTOBER, partner_id="onePA", currency="EUR"
        ),
        PriceRule(op=RuleOp.CEIL, value=100_000, priority=3, since=OCTOBER, market="Germany", currency="EUR"),
        PriceRule(
            op=RuleOp.FLOOR, value=90_000, priority=4, since=OCTOBER, category="utility", currency="EUR"
        ),
    )
    assert prices.quote(order(), NOVEMBER).max_micros == 100_000
    assert prices.quote(order(recipient="9198"), NOVEMBER).max_micros == 10_600 + 1_060 + 1_000
    assert prices.quote(order(recipient="9198", partner_id="twoPA"), NOVEMBER).max_micros == 11_660
    assert prices.quote(order(category=Category.UTILITY), NOVEMBER).max_micros == 90_000
    assert prices.quote(order(), utc("2026-09-15T12:00:00")).max_micros == 110_000  # not dated yet


def test_the_price_list_of_a_day_has_every_market_and_category_with_its_markup() -> None:
    rules = (
        PriceRule(op=RuleOp.PERCENT, value=100_000, priority=1, since=START, market="Germany"),
        PriceRule(op=RuleOp.FIXED, value=1, priority=2, since=START, partner_id="otherPA"),
    )
    prices = replace(PRICES, price_rules=rules)
    listed = prices.lines(partner_id="onePA", currency="EUR", day=OCTOBER)
    assert [(line.market, line.category.value, line.micros) for line in listed] == [
        ("Germany", "marketing", 150_150),
        ("Germany", "utility", 60_500),
        ("Germany", "service", 60_500),
        ("India", "marketing", 10_600),
        ("India", "authentication", 1_300),
        ("India", "authentication_international", 27_400),
        ("India", "service", 1_300),
    ]
    assert {(line.category.value, line.charged, line.allowance) for line in listed if line.allowance} == {
        ("service", "after_allowance", 1000)
    }
    before = prices.lines(partner_id="onePA", currency="EUR", day=OCTOBER - timedelta(days=1))
    assert [(line.market, line.micros) for line in before] == [("Germany", 121_000)]
    assert prices.lines(partner_id="onePA", currency="USD", day=OCTOBER) == []


async def test_a_price_list_names_the_version_that_an_import_changes(database: Database) -> None:
    async def read() -> PriceList:
        async with database.system() as unit:
            return await get_price_list(unit, partner_id="onePA", currency="EUR", day=NOVEMBER.date())

    assert (await read()).lines == ()
    await stock_prices(database)
    listed = await read()
    assert listed.lines
    assert listed.version is not None
    # The same file again changes nothing.
    await stock_prices(database)
    assert await read() == listed
    await stock_prices(database, rates=RATES.replace("0.1365", "0.1400").replace("2026-10-01", "2026-11-01"))
    assert (await read()).version not in {None, listed.version}


def test_a_markup_never_makes_a_free_message_cost() -> None:
    prices = _with_rules(PriceRule(op=RuleOp.FIXED, value=1_000, priority=1, since=START, currency="EUR"))
    assert prices.price(status("w", "delivered", pricing_type="free_entry_point")) == 0


def test_a_percentage_is_rounded_up_to_a_whole_micro() -> None:
    prices = _with_rules(PriceRule(op=RuleOp.PERCENT, value=1, priority=1, since=START))
    assert prices.quote(order(), NOVEMBER).max_micros == 136_501


_ZONES = st.sampled_from(
    [BERLIN, "America/New_York", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe"]
)


@given(
    zone=_ZONES,
    changes=st.lists(st.dates(date(2026, 1, 1), date(2027, 12, 31)), min_size=1, max_size=6, unique=True).map(
        sorted
    ),
    data=st.data(),
)
def test_one_rate_holds_at_every_instant_and_changes_at_local_midnight(
    zone: str, changes: list[date], data: st.DataObject
) -> None:
    """Also on the days when clocks change, which the sampled years hold for each of the zones."""
    ends = [*changes[1:], None]
    rates = [
        Rate("EUR", "Germany", "marketing", Micros(n + 1), since, until)
        for n, (since, until) in enumerate(zip(changes, ends, strict=True))
    ]
    prices = Prices(tuple(data.draw(st.permutations(rates))), PRICES.markets, PRICES.meta_rules)
    for n, day in enumerate(changes):
        midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        after = prices.price(status("w", "delivered", at=midnight, time_zone=zone))
        before = prices.price(
            status("w", "delivered", at=midnight - timedelta(microseconds=1), time_zone=zone)
        )
        assert after == n + 1
        assert before == (n or None)
    assert all(a < b for a, b in pairwise(changes))


@given(count=st.integers(0, 60_000))
def test_one_tier_holds_for_every_count(count: int) -> None:
    bands = [(0, 1_000), (1_000, 25_000), (25_000, None)]
    prices = Prices(
        tuple(
            Rate("EUR", "Germany", "utility", Micros(100 - n), START, None, low, high)
            for n, (low, high) in enumerate(bands)
        )
    )
    found = prices.rate("EUR", "Germany", "utility", OCTOBER, count=count)
    assert found is not None
    assert found.tier_from <= count
    assert found.tier_to is None or count < found.tier_to
    # An order is quoted at the list rate: what another provider's volume has earned is not known here.
    assert Prices(prices.rates, PRICES.markets, PRICES.meta_rules).quote(
        order(category=Category.UTILITY), NOVEMBER
    ).max_micros == Micros(100)


@pytest.mark.parametrize("names", [("delivered", "read"), ("read", "delivered")])
async def test_the_first_delivery_of_a_batch_decides_the_day_whichever_stands_first(
    database: Database, gate: Gate, names: tuple[str, ...]
) -> None:
    sent = order()
    await gate.reserve(sent)
    await gate.bind(sent.partner_id, sent.key, "w1")
    # Berlin's midnight lies between the two.
    moments = {"delivered": utc("2026-09-30T21:59:58"), "read": utc("2026-09-30T22:00:05")}
    await settle(database, *[status("w1", name, at=moments[name]) for name in names])
    (charge,) = await charges(database)
    assert charge.price_micros == 110_000
