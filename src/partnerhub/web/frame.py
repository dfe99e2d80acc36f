"""Fills the frame of a page: the hub, the balance, the person and the menu, read in one short unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from litestar.di import NamedDependency

from partnerhub.channels import queries as channel_queries
from partnerhub.identity.schemas import Hub
from partnerhub.kit.database import Database
from partnerhub.ledger import queries as ledger_queries
from partnerhub.partners import queries as partner_queries
from partnerhub.ui import formats
from partnerhub.ui.frame import Balance, Frame, Link, LinkGroup, Person, Place
from partnerhub.ui.frame import Hub as HubSlot
from partnerhub.web.hubs import HUBS
from partnerhub.web.navigation import N_, Menu, link_groups
from partnerhub.web.pages import Page, Pages
from partnerhub.web.principal import HubRequest, SignedInUser

_KINDS = {Hub.PARTNER: N_("Partner Hub"), Hub.CLIENT: N_("Client Hub"), Hub.OPERATOR: N_("Operator")}
_MOST_PLACES = 8
# What the frame has buttons for.
_PRESSED = (
    ("theme-light", N_("Light theme")),
    ("theme-dark", N_("Dark theme")),
    ("theme-system", N_("Theme of the system")),
    ("shortcuts", N_("Keyboard shortcuts")),
    ("sign-out", N_("Sign out")),
)
_ROLES = {"owner": N_("Owner"), "member": N_("Member")}


@dataclass(frozen=True)
class FrameSource:
    """What the frames of a process are filled from."""

    db: Database
    pages: Pages
    menus: Mapping[Hub, Menu] = field(default_factory=dict)
    actions: Mapping[Hub, Menu] = field(default_factory=dict)
    searches: Mapping[Hub, str] = field(default_factory=dict)
    balance_href: str | None = None

    async def fill(self, request: HubRequest) -> Frame:
        """Return the frame for whoever looks at the page."""
        person = request.user
        if not isinstance(person, SignedInUser):
            return self.pages.bare_frame(request.scope)
        frame = self.pages.bare_frame(request.scope, wished=person.session.locale)
        translate = self.pages.translator(frame.language)
        hub = person.session.hub
        groups = link_groups(self.menus.get(hub, ()), person=person, translate=translate)
        facts = HUBS[hub]
        name, balance = await self._read(person, frame, translate)
        session = person.session
        return replace(
            frame,
            hub=_hub_slot(person, name, translate),
            navigation=groups,
            palette=(
                LinkGroup(
                    links=[
                        *(link for group in groups for link in group.links),
                        Link(label=translate(N_("Your account")), href=facts.account),
                    ],
                    label=translate(N_("Pages")),
                ),
                LinkGroup(
                    links=self._actions(person, translate),
                    label=translate(N_("Actions")),
                ),
            ),
            palette_search_url=self.searches.get(hub),
            balance=balance,
            person=Person(
                name=session.user_name or session.email,
                email=session.email,
                role=translate(_ROLES[person.role]) if person.role else None,
                sign_out_action=facts.sign_out,
                links=(Link(label=translate(N_("Your account")), href=facts.account, icon="user"),),
            ),
        )

    def _actions(self, person: SignedInUser, translate: Callable[[str], str]) -> list[Link]:
        hub = person.session.hub
        own = link_groups(self.actions.get(hub, ()), person=person, translate=translate)
        switch = [Link(label=translate(N_("Switch partner")), href=HUBS[hub].switch)]
        return [
            *(link for group in own for link in group.links),
            *(switch if _belongs_elsewhere(person) else ()),
            *(Link(label=translate(label), press=press) for press, label in _PRESSED),
        ]

    async def _read(
        self, person: SignedInUser, frame: Frame, translate: Callable[[str], str]
    ) -> tuple[str, Balance | None]:
        session = person.session
        if session.hub is Hub.OPERATOR or session.partner_id is None:
            return self.pages.brand.name, None
        if session.hub is Hub.CLIENT:
            async with self.db.tenant(session.partner_id, client_id=session.client_id or "") as unit:
                client = await channel_queries.get_client(
                    unit, partner_id=session.partner_id, client_id=session.client_id or ""
                )
            return client.name, None
        async with self.db.tenant(session.partner_id) as unit:
            partner = await partner_queries.get_partner(unit, partner_id=session.partner_id)
            wallets = await ledger_queries.get_balance(unit, partner_id=partner.id)
        wallet = next((wallet for wallet in wallets if wallet.currency == partner.currency), None)
        if wallet is None or partner.payment_model != "partner_paid":
            return partner.brand_name, None
        balance = Balance(
            label=translate(N_("Balance")),
            text=formats.amount(wallet.available, wallet.currency, frame.language),
            href=self.balance_href,
            tone="bad" if wallet.available <= 0 else "neutral",
        )
        return partner.brand_name, balance


def _belongs_elsewhere(person: SignedInUser) -> bool:
    return any(place.partner_id != person.partner_id for place in person.places)


def _hub_slot(person: SignedInUser, name: str, translate: Callable[[str], str]) -> HubSlot:
    """Return the hub with the person's partners, where there is more than the one they look at."""
    hub = person.session.hub
    facts = HUBS[hub]
    slot = HubSlot(name=name, href=facts.home, kind=translate(_KINDS[hub]))
    if not _belongs_elsewhere(person):
        return slot
    # The one in use is always among those that the menu has room for.
    listed = sorted(person.places, key=lambda place: place.partner_id != person.partner_id)[:_MOST_PLACES]
    return replace(
        slot,
        places=[
            Place(label=one.name, value=one.partner_id, is_current=one.partner_id == person.partner_id)
            for one in listed
        ],
        switch=facts.switch,
        field="partner_id",
        all_places=Link(label=translate(N_("All partners")), href=facts.switch),
    )


async def provide_page(request: HubRequest, frames: NamedDependency[FrameSource]) -> Page:
    """Return the page of this request, its frame filled."""
    # Going back in history asks for the whole page, although the script asks.
    is_fragment = (
        request.headers.get("hx-request") == "true"
        and request.headers.get("hx-history-restore-request") != "true"
    )
    return Page(await frames.fill(request), is_fragment, frames.pages)
