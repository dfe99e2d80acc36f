"""What messages cost, for clients who pay for them: the page before a number is connected, and its form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import Body, FromPath

from partnerhub.hosted.market_names import market_name
from partnerhub.hosted.view import PUBLIC, FormBody, Problem, View, Visit, open_run, to_run
from partnerhub.kit import clock
from partnerhub.kit.errors import HubError
from partnerhub.kit.money import Micros
from partnerhub.ledger import queries as ledger
from partnerhub.ledger.schemas import Category, PriceLine, PriceList
from partnerhub.onboarding import queries
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.errors import PricesMissing, PricesNotAccepted, StepWrong
from partnerhub.onboarding.rules import has_choice
from partnerhub.ui.formats import exact_amount, number
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page

_CATEGORIES = {
    Category.MARKETING: (N_("Marketing"), N_("Offers and news that you send")),
    Category.UTILITY: (N_("Utility"), N_("Orders, appointments, deliveries")),
    Category.AUTHENTICATION: (N_("Authentication"), N_("One-time codes")),
    Category.AUTHENTICATION_INTERNATIONAL: (
        N_("Authentication from abroad"),
        N_("One-time codes, where your business is in another country"),
    ),
    Category.SERVICE: (N_("Service"), N_("Your answers within 24 hours")),
}
_PLANS = {"basic": N_("Basic"), "regular": N_("Regular"), "premium": N_("Premium")}


@dataclass(frozen=True)
class PricesForm:
    """What the client accepts: the list it saw, by its version."""

    accepts_prices: str = ""
    version: str = ""


@dataclass(frozen=True)
class PriceRow:
    """One category of the chosen market, in the reader's words."""

    name: str
    hint: str
    price: str


@dataclass(frozen=True)
class PricePage:
    """What the page shows; `rows` are those of the chosen `market`, none where nothing is priced."""

    currency: str
    day: date
    version: str
    plan: str
    may_pass: bool
    markets: list[tuple[str, str]]
    market: str
    rows: list[PriceRow]


@post("/onboarding/run/{run_id:uuid}/prices", opt=PUBLIC, status_code=303)
async def accept_prices(
    run_id: FromPath[UUID],
    visit: NamedDependency[Visit],
    data: Annotated[PricesForm, Body(media_type=FormBody)],
) -> Response[Any]:
    """Take that the client accepts prices and terms."""
    view = await open_run(visit, run_id)
    if isinstance(view, Response):
        return view
    try:
        await onboarding.accept_prices(
            visit.db,
            run_id=run_id,
            browser_token=visit.browser_token,
            accepts=bool(data.accepts_prices),
            version=data.version,
            rules=visit.hosted.rules,
            ip=visit.ip,
            user_agent=visit.user_agent,
        )
    except StepWrong:
        pass
    except HubError as error:
        return await show_prices(view, error=error)
    return to_run(run_id)


async def show_prices(view: View, *, market: str = "", error: HubError | None = None) -> Response[Any]:
    """Show today's prices of one market, what else is needed, and the button that accepts them."""
    run, partner, page = view.run, view.partner, view.page
    async with view.visit.db.system() as unit:
        listed = await ledger.get_price_list(
            unit,
            partner_id=partner.id,
            currency=partner.currency,
            day=clock.now().date(),
            country=partner.country,
        )
        known = await queries.list_known_numbers(
            unit, client_id=run.client_id or "", number=run.parameter("number")
        )
    status = 200 if error is None else 422 if error.status == 400 else error.status
    if error is None and not listed.lines:
        error = PricesMissing(f"No prices in {partner.currency} are set.")
    chosen = _chosen(listed, market)
    plan = _PLANS.get(run.parameter("plan_selection"), "")
    prices = PricePage(
        currency=listed.currency,
        day=listed.day,
        version=str(listed.version or ""),
        plan=page.say(plan) if plan else "",
        may_pass=view.rules.without_payment_method,
        markets=_markets(listed, page),
        market=chosen,
        rows=_rows(listed, chosen, page),
    )
    missing = error.fields["accepts_prices"] if isinstance(error, PricesNotAccepted) else ""
    return view.show(
        "hosted/prices.html",
        part="hosted/prices_part.html",
        status=status,
        values={
            "prices": prices,
            "has_choice": has_choice(partner, known, view.rules),
            "errors": {"accepts_prices": page.say(missing) if missing else ""},
            "problem": None
            if error is None or missing
            else Problem(page.say(N_("You cannot go on yet")), page.explain(error), error.code, "warn"),
        },
    )


def _markets(listed: PriceList, page: Page) -> list[tuple[str, str]]:
    names = {line.market: market_name(line.market, page) for line in listed.lines}
    return sorted(names.items(), key=lambda pair: pair[1].casefold())


def _chosen(listed: PriceList, wished: str) -> str:
    markets = {line.market for line in listed.lines}
    for market in (wished, listed.home):
        if market in markets:
            return str(market)
    return min(markets, default="")


def _rows(listed: PriceList, market: str, page: Page) -> list[PriceRow]:
    lines = [line for line in listed.lines if line.market == market]
    digits = max((_decimals(line.micros) for line in lines), default=0)
    return [_row(line, page, currency=listed.currency, digits=digits) for line in lines]


def _decimals(micros: Micros) -> int:
    return len(f"{micros % 1_000_000:06d}".rstrip("0"))


def _row(line: PriceLine, page: Page, *, currency: str, digits: int) -> PriceRow:
    name, hint = _CATEGORIES[line.category]
    words = page.say(hint)
    if line.charged == "outside_window":
        words = page.say(N_("Free within 24 hours after your customer has written"))
    elif line.allowance:
        words = page.say(N_("The first %(count)s of each month are free for each number")) % {
            "count": number(line.allowance, page.frame.language)
        }
    if line.charged == "never" or line.micros == 0:
        return PriceRow(page.say(name), words, page.say(N_("free")))
    price = exact_amount(line.micros, currency, page.frame.language, digits=digits)
    return PriceRow(page.say(name), words, price)
