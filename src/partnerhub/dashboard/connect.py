"""Link and button: builds what a partner sends to its clients or puts on its own pages.

Nothing is stored: what is filled in lives in the address of the page, and the link and the code are written
from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from partnerhub.dashboard.means import connect_link
from partnerhub.dashboard.snippets import ButtonScript, Embedding
from partnerhub.identity.schemas import Hub
from partnerhub.onboarding.entry import is_allowed_redirect
from partnerhub.partners import queries as partners
from partnerhub.partners.schemas import Partner
from partnerhub.ui.address import Address
from partnerhub.web.guards import requires
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.tenant import Tenant

PATH = "/dashboard/partner/connect"

_CODES = {
    "": "HTML",
    "react": "React",
    "public-react": N_("Public button, React"),
    "public": N_("Public button, HTML"),
}
_CHOICES: Mapping[str, frozenset[str]] = {
    "lang": frozenset({"en", "de", "es", "pt"}),
    "plan_selection": frozenset({"regular", "premium"}),
    "next": frozenset({"login"}),
}
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_LONGEST = 2000  # what the hub reads of one value


@dataclass(frozen=True)
class LeftOut:
    """A value that the link would not survive: its field, what it is called, and what is wrong with it."""

    field: str
    label: str
    text: str


@dataclass(frozen=True)
class Code:
    """One way to embed the button; `is_public` is the public package's."""

    text: str
    is_public: bool


@get(PATH)
async def show_connect(
    *,
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    public_url: NamedDependency[str],
    button_script: NamedDependency[ButtonScript],
    number: FromQuery[str] = "",
    email: FromQuery[str] = "",
    name: FromQuery[str] = "",
    wanted_state: Annotated[str, QueryParameter(name="state")] = "",
    redirect_url: FromQuery[str] = "",
    wanted_next: Annotated[str, QueryParameter(name="next")] = "",
    plan_selection: FromQuery[str] = "",
    lang: FromQuery[str] = "",
    partner: FromQuery[str] = "",
    preverified_phone_number_id: FromQuery[str] = "",
    code: FromQuery[str] = "",
) -> Response[Any]:
    """Show the fields, and the link and code that come of them."""
    written = {
        "number": number.strip(),
        "email": email.strip(),
        "name": name.strip(),
        "state": wanted_state,
        "redirect_url": redirect_url.strip(),
        "next": wanted_next,
        "plan_selection": plan_selection,
        "lang": lang,
        "partner": partner.strip(),
        "preverified_phone_number_id": preverified_phone_number_id.strip(),
    }
    address = Address(PATH, {**written, "code": code if code in _CODES else ""})
    async with tenant.unit() as unit:
        found = await partners.get_partner(unit, partner_id=tenant.partner_id)
    values, left_out = _check(page, found, written)
    embedding = Embedding(
        hub_url=public_url,
        partner_id=found.id,
        link=connect_link(public_url, found.id),
        script=button_script,
        values=values,
        is_signed=found.io_signature_enabled,
    )
    return page.show(
        "dashboard/connect.html",
        part="dashboard/connect_part.html",
        headers={"hx-push-url": str(address)} if page.is_fragment else None,
        address=address,
        form=written,
        partner=found,
        embedding=embedding,
        left_out=left_out,
        code=_code(embedding, address.get("code") or ""),
        tabs=[
            {
                "label": page.say(label),
                "href": address.with_(code=key),
                "current": key == (address.get("code") or ""),
            }
            for key, label in _CODES.items()
        ],
    )


def _check(page: Page, partner: Partner, written: Mapping[str, str]) -> tuple[dict[str, str], list[LeftOut]]:
    """Return the values fit for a link, and what is left out of it with the reason."""
    values = {
        name: value for name, value in written.items() if value and value in _CHOICES.get(name, {value})
    }
    if "number" in values:
        values["number"] = re.sub(r"[^0-9]", "", values["number"])
    wrong: list[tuple[str, str, str]] = []
    if "number" in values and not 7 <= len(values["number"]) <= 15:
        wrong.append(("number", N_("Phone number"), N_("Write it with its country code: 7 to 15 digits.")))
    if "email" in values and not _EMAIL.fullmatch(values["email"]):
        wrong.append(("email", N_("E-mail"), N_("This is no e-mail address.")))
    if "preverified_phone_number_id" in values and not values["preverified_phone_number_id"].isdecimal():
        wrong.append(
            ("preverified_phone_number_id", N_("Pre-verified number ID"), N_("Meta's ids are digits only."))
        )
    if "redirect_url" in values and not is_allowed_redirect(
        values["redirect_url"], configured=partner.redirect_url, extra_origins=partner.redirect_origins
    ):
        wrong.append(
            (
                "redirect_url",
                N_("Redirect URL"),
                N_(
                    "It must lead to the site of your redirect URL (the same scheme, host and port) or to one"
                    " that you allowed."
                ),
            )
        )
    labels = {"name": N_("Company name"), "state": N_("State"), "partner": N_("Client reference")}
    wrong += [
        (name, label, N_("This is too long for a link: at most 2,000 characters."))
        for name, label in labels.items()
        if len(values.get(name, "")) > _LONGEST
    ]
    for name, _label, _text in wrong:
        del values[name]
    return values, [LeftOut(name, page.say(label), page.say(text)) for name, label, text in wrong]


def _code(embedding: Embedding, kind: str) -> Code:
    writers = {
        "": embedding.html,
        "react": embedding.react,
        "public-react": embedding.public_react,
        "public": embedding.public_html,
    }
    return Code(writers[kind](), is_public=kind.startswith("public"))


def router() -> Router:
    """Return the routes of this screen."""
    return Router(
        "/", route_handlers=[show_connect], guards=[requires(hub=Hub.PARTNER)], opt={"hub": Hub.PARTNER}
    )
