"""Every component in every state, on a few pages: for development and for the tests of the components.

Mounted by the application in development only. Its data are constants; nothing here is stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Annotated

from jinja2 import Environment
from litestar import Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.enums import MediaType, RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.params import Body, FromPath, FromQuery

from partnerhub.kit import clock
from partnerhub.kit.cookies import read_cookies
from partnerhub.ui import policy
from partnerhub.ui.address import Address
from partnerhub.ui.frame import (
    THEME_COOKIE,
    Balance,
    Banner,
    Brand,
    Frame,
    Hub,
    Link,
    LinkGroup,
    Person,
    Place,
    Toast,
    Tone,
)
from partnerhub.ui.languages import LANGUAGE_COOKIE, negotiate
from partnerhub.ui.preferences import theme_of
from partnerhub.ui.templates import environment, render

GALLERY_PATH = "/gallery"
_PAGE_SIZE = 12


@dataclass(frozen=True)
class Account:
    """A row of the sample list."""

    id: str
    name: str
    number: str
    status: str
    tone: Tone
    level: int
    quality: str
    plan: str
    messages: int


def _accounts() -> tuple[Account, ...]:
    kinds = ("Clinics", "Mobility", "Insurance", "Logistics", "Fashion", "Foods", "Travel")
    trees = ("Maple", "Ember", "Birch", "Delta", "Alder", "Grove", "Fjord", "Cedar")
    states: tuple[tuple[str, Tone], ...] = (("Running", "good"), ("Pending", "info"), ("Blocked", "bad"))
    qualities = ((3, "High"), (2, "Medium"), (1, "Low"), (0, "Unknown"))
    plans = ("Regular", "Premium", "High throughput")
    found = []
    for place in range(57):
        status, tone = states[(0, 0, 2, 0, 1, 0, 2)[place % 7]]
        level, quality = qualities[(0, 0, 1, 2, 0, 3)[place % 6]]
        name = f"{trees[place % 8]} {kinds[place % 7]}"
        number = f"+49 15{place % 10} {(place * 7_919_377 + 1_234_567) % 10_000_000:07d}"
        found.append(
            Account(
                f"a{place:02d}Kd4CH",
                name,
                number,
                status,
                tone,
                level,
                quality,
                plans[place % 3],
                (place * 48_611 + 9_436) % 210_000,
            )
        )
    return tuple(found)


_ACCOUNTS = _accounts()


@dataclass(frozen=True)
class Form:
    """What the sample forms send."""

    code: str = ""
    confirmation: str = ""
    webhook_url: str = ""
    fail: str = ""
    name: str = field(default="")


@cache
def _environment() -> Environment:
    return environment({})


def _frame(request: Request[None, None, State], **changes: object) -> Frame:
    base = GALLERY_PATH
    query = request.query_params
    cookies = read_cookies(request.scope["headers"])
    values: dict[str, object] = {
        "brand": Brand(
            name="Partner Hub", support_url=f"{base}/error", imprint_url=base, privacy_url=f"{base}/popup"
        ),
        "path": request.url.path,
        "request_id": "0199d3a1-6f0e-7c41-9a55-2b0f6f2a9c11",
        "language": negotiate(
            chosen=query.get("lang"),
            cookie=cookies.get(LANGUAGE_COOKIE),
            accept_language=request.headers.get("accept-language"),
        ),
        "theme": theme_of(query.get("theme") or cookies.get(THEME_COOKIE)),
        "timezone": "Europe/Berlin",
        "csrf_token": "sample-token",
        "hub": Hub(
            name="Northwind Agency",
            href=base,
            kind="Partner hub",
            switch=f"{base}/toast",
            places=(
                Place(label="Northwind Agency", value="k9Lm2NPA", is_current=True),
                Place(label="Contoso Retail", value="c8Qw3RPA"),
            ),
            all_places=Link(label="All partners", href=f"{base}/list"),
        ),
        "balance": Balance(label="Balance", text="€1,284.50", href=f"{base}/list"),
        "person": Person(
            name="Jordan Example",
            email="owner@northwind.example",
            role="Owner",
            sign_out_action=f"{base}/toast",
            links=(Link(label="Your profile", href=base, icon="user"),),
        ),
        "navigation": (
            LinkGroup(
                links=(
                    Link(label="Components", href=base, icon="layout-dashboard"),
                    Link(label="WhatsApp accounts", href=f"{base}/list", icon="phone", count=57),
                    Link(label="Clients", href=f"{base}/clients", icon="users", count=31),
                )
            ),
            LinkGroup(
                label="Build",
                links=(
                    Link(label="Integration", href=f"{base}/settings", icon="plug"),
                    Link(label="Event log", href=f"{base}/events", icon="list"),
                    Link(label="API keys", href=f"{base}/keys", icon="key-round"),
                ),
            ),
            LinkGroup(
                label="Frames",
                links=(
                    Link(label="Sign-in", href=f"{base}/sign-in", icon="lock"),
                    Link(label="Error", href=f"{base}/error", icon="circle-alert"),
                    Link(label="Popup", href=f"{base}/popup", icon="smartphone"),
                ),
            ),
        ),
        "footer_links": (Link(label="Support", href=f"{base}/support", icon="life-buoy"),),
        "palette": (
            LinkGroup(
                label="Go to",
                links=(
                    Link(label="Components", href=base, keys="g c"),
                    Link(label="WhatsApp accounts", href=f"{base}/list", keys="g n"),
                    Link(label="Integration", href=f"{base}/settings", keys="g i"),
                ),
            ),
            LinkGroup(label="Frames", links=(Link(label="Sign-in", href=f"{base}/sign-in"),)),
            LinkGroup(
                label="Actions",
                links=(
                    Link(label="Dark theme", press="theme-dark"),
                    Link(label="Keyboard shortcuts", press="shortcuts"),
                ),
            ),
        ),
        "palette_search_url": f"{base}/search",
        "shortcuts": query.get("shortcuts") != "off",
        "banner": Banner(text="Sandbox: nothing here is sent or charged.") if query.get("banner") else None,
    }
    return Frame(**{**values, **changes})  # type: ignore[arg-type]  # a mapping of the fields above


def _page(
    request: Request[None, None, State],
    name: str,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    frame: Frame | None = None,
    keeps_opener: bool = False,
    **values: object,
) -> Response[str]:
    text = render(_environment(), f"ui/gallery/{name}", frame=frame or _frame(request), **values)
    return Response(
        text,
        status_code=status,
        media_type=MediaType.HTML,
        headers={**policy.security_headers(keeps_opener=keeps_opener), **(headers or {})},
    )


def _is_fragment(request: Request[None, None, State]) -> bool:
    return request.headers.get("hx-request") == "true"


@get("/")
async def components(request: Request[None, None, State]) -> Response[str]:
    """Show every component."""
    now = clock.now()
    moments = {
        "now": now,
        "minutes": now - timedelta(minutes=3),
        "hours": now - timedelta(hours=5),
        "days": now - timedelta(days=6),
    }
    return _page(request, "components.html", moments=moments)


def _found(address: Address) -> list[Account]:
    query, status, plan = ((address.get(name) or "").lower() for name in ("q", "status", "plan"))
    found = [
        account
        for account in _ACCOUNTS
        if query in f"{account.name} {account.number} {account.id}".lower()
        and status in {"", account.status.lower()}
        and plan in {"", account.plan.lower()}
    ]
    sort = address.get("sort") or ""
    keys = {"name": lambda a: a.name, "messages": lambda a: a.messages}
    if key := keys.get(sort.removeprefix("-")):
        found.sort(key=key, reverse=sort.startswith("-"))
    return found


@get("/list")
async def accounts(request: Request[None, None, State]) -> Response[str]:
    """Show a list with filters, sorting, pages and rows that open a drawer."""
    given = {name: request.query_params.get(name, "") for name in ("q", "status", "plan", "sort", "page")}
    address = Address(f"{GALLERY_PATH}/list", given)
    found = _found(address)
    number = max(1, int(given["page"]) if given["page"].isdigit() else 1)
    start = (number - 1) * _PAGE_SIZE
    return _page(
        request,
        "list_part.html" if _is_fragment(request) else "list.html",
        headers={"hx-push-url": str(address)},
        address=address,
        accounts=found[start : start + _PAGE_SIZE],
        first=start + 1,
        last=min(start + _PAGE_SIZE, len(found)),
        total=len(found),
        previous=address.with_(page=number - 1 if number > 2 else None) if number > 1 else None,
        next=address.with_(page=number + 1) if start + _PAGE_SIZE < len(found) else None,
    )


@get("/list/{account_id:str}")
async def account(request: Request[None, None, State], account_id: FromPath[str]) -> Response[str]:
    """Show one account: in the drawer, or as a page where there is no script."""
    one = next((a for a in _ACCOUNTS if a.id == account_id), _ACCOUNTS[0])
    name = "account_part.html" if _is_fragment(request) else "account.html"
    return _page(request, name, account=one, page=not _is_fragment(request))


@get("/secret")
async def secret(request: Request[None, None, State]) -> Response[str]:
    """Show the form that asks for a code, as a page; the components page has it as a dialog."""
    return _page(request, "secret.html", error=None)


@post("/secret", status_code=200)
async def create_secret(
    request: Request[None, None, State],
    data: Annotated[Form, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[str]:
    """Accept 123456, refuse any other code with the whole form again."""
    if data.code.replace(" ", "") != "123456":
        error = "That code is not right. Codes are valid for ten minutes."
        name = "secret_part.html" if _is_fragment(request) else "secret.html"
        return _page(request, name, status=422, error=error)
    toasts = (Toast(title="Secret created"),)
    if _is_fragment(request):
        return _page(request, "secret_done.html", toasts=toasts)
    return _page(request, "secret.html", frame=_frame(request, toasts=toasts), error=None)


@get("/delete")
async def delete(request: Request[None, None, State]) -> Response[str]:
    """Show a confirmation: inside the dialog, or as a page."""
    page = not _is_fragment(request)
    return _page(request, "delete.html" if page else "delete_part.html", error=None, page=page)


@post("/delete", status_code=200)
async def confirm_delete(
    request: Request[None, None, State],
    data: Annotated[Form, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[str]:
    """Ask for the right word, then say what happened."""
    page = not _is_fragment(request)
    if data.confirmation != "ACME":
        error = "Type the name exactly as shown."
        return _page(
            request, "delete.html" if page else "delete_part.html", status=422, error=error, page=page
        )
    toasts = (Toast(title="Client ACME deleted", text="31 numbers were closed."),)
    if page:
        return _page(request, "delete.html", frame=_frame(request, toasts=toasts), error=None, page=True)
    return _page(request, "toasts.html", toasts=toasts)


@post("/toast", status_code=200)
async def toast(
    request: Request[None, None, State],
    data: Annotated[Form, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[str]:
    """Answer with a toast: a success, an error with code and request, or a broken server."""
    frame = _frame(request)
    if data.fail == "500":
        return Response("", status_code=500, media_type=MediaType.HTML)
    if data.fail == "502":
        own = Toast(
            title="A service we depend on failed",
            kind="error",
            code="meta_failed",
            request_id=frame.request_id,
        )
        told = {"x-error-code": "meta_failed", "hx-reswap": "none"}
        return _page(request, "toasts.html", status=502, headers=told, toasts=(own,))
    one = Toast(title="Changes saved")
    if data.fail:
        one = Toast(
            title="The webhook was not saved",
            kind="error",
            text="The host name must not contain an underscore.",
            code="webhook_url_underscore",
            request_id=frame.request_id,
        )
    status = 422 if data.fail else 200
    if _is_fragment(request):
        return _page(request, "toasts.html", status=status, toasts=(one,))
    moments = dict.fromkeys(("now", "minutes", "hours", "days"), clock.now())
    return _page(
        request, "components.html", status=status, frame=_frame(request, toasts=(one,)), moments=moments
    )


@get("/sign-in")
async def sign_in(request: Request[None, None, State]) -> Response[str]:
    """Show the bare frame."""
    return _page(request, "sign_in.html", failed="failed" in request.query_params)


@get("/error")
async def error_page(request: Request[None, None, State]) -> Response[str]:
    """Show the error frame."""
    text = render(
        _environment(),
        "ui/error.html",
        frame=_frame(request),
        status=404,
        heading="This page does not exist",
        text="It may have moved, or the address has a typing mistake.",
        code="page_not_found",
    )
    return Response(text, status_code=404, media_type=MediaType.HTML, headers=policy.security_headers())


@get("/popup")
async def popup(request: Request[None, None, State]) -> Response[str]:
    """Show the onboarding frame with the partner's brand."""
    at = request.query_params.get("step", "2")
    states = {
        "1": ("current", "todo", "todo"),
        "2": ("done", "current", "todo"),
        "3": ("done", "done", "current"),
    }
    names = ("Account", "Connect WhatsApp", "Permission")
    chosen = states.get(at, ("done", "failed", "todo"))
    return _page(
        request,
        "popup.html",
        frame=_frame(request, partner_brand=Brand(name="Northwind Agency")),
        keeps_opener=True,
        steps=[{"label": name, "state": state} for name, state in zip(names, chosen, strict=True)],
        failed=at not in states,
    )


@get("/search")
async def search(request: Request[None, None, State], q: FromQuery[str] = "") -> list[dict[str, str]]:  # noqa: ARG001 - the palette's interface
    """Answer the palette with accounts."""
    return [
        {"label": one.name, "hint": one.id, "href": f"{GALLERY_PATH}/list/{one.id}", "group": "Accounts"}
        for one in _ACCOUNTS
        if q.lower() in f"{one.name} {one.id}".lower()
    ][:5]


_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    components,
    accounts,
    account,
    secret,
    create_secret,
    delete,
    confirm_delete,
    toast,
    sign_in,
    error_page,
    popup,
    search,
)


def gallery() -> Router:
    """Return the router of the gallery, for `app.py` to mount in development."""
    return Router(GALLERY_PATH, route_handlers=_HANDLERS, include_in_schema=False, opt={"public": True})
