"""The page as a whole: what every panel shows, and how each answers with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from partnerhub.dashboard import words
from partnerhub.dashboard.forms import SEEN
from partnerhub.dashboard.means import MessagingAddress, connect_link
from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring
from partnerhub.onboarding import queries as onboarding
from partnerhub.onboarding.samples import SAMPLES
from partnerhub.onboarding.schemas import Refusal
from partnerhub.partners import queries as partners
from partnerhub.partners.errors import SettingsInvalid, SettingsOutdated
from partnerhub.partners.redirects import RedirectResult
from partnerhub.partners.schemas import DATA_REGIONS, NO_SETTINGS, PartnerSettings, SettingsChange, TokenUse
from partnerhub.partners.services import update_settings
from partnerhub.ui.frame import Toast, Tone
from partnerhub.ui.languages import locale_of
from partnerhub.web.navigation import N_
from partnerhub.web.pages import Page
from partnerhub.web.principal import HubRequest, SignedInUser
from partnerhub.web.tenant import Tenant
from partnerhub.webhooks import queries as webhook_queries
from partnerhub.webhooks.schemas import (
    Delivery,
    DeliveryFilter,
    Endpoint,
    OpenDeliveries,
    OwnerKind,
    SigningKey,
    TestResult,
)
from partnerhub.webhooks.urls import INVALID_EXAMPLES, VALID_EXAMPLES

PATH = "/dashboard/partner/integration"
_REFUSALS_SHOWN = 10
_TOKEN_USE_SHOWN = timedelta(days=30)


@dataclass(frozen=True)
class Situation:
    """What the page shows of the partner, its webhook, its secret, and who still uses legacy tokens."""

    settings: PartnerSettings
    endpoint: Endpoint | None
    last: Delivery | None
    open: OpenDeliveries
    signing_keys: Sequence[SigningKey]
    token_uses: Sequence[TokenUse]
    refusals: Sequence[Refusal]


@dataclass(frozen=True)
class Draft:
    """What a person wrote into one of the forms, and what is wrong with it; empty on a fresh page."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """A test of an address in the reader's words."""

    result: TestResult
    meaning: str
    advice: str
    detail: str
    tone: Tone
    request: str
    response: str
    phases: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Walk:
    """What opening the redirect URL showed, in the reader's words."""

    result: RedirectResult
    meaning: str
    advice: str
    tone: Tone
    milliseconds: float


@dataclass(frozen=True)
class Desk:
    """One request of this screen, and what its handlers work with."""

    request: HubRequest
    page: Page
    tenant: Tenant
    keyring: Keyring
    messaging: MessagingAddress
    public_url: str

    async def read(self) -> Situation:
        """Read what the page shows."""
        partner_id = self.tenant.partner_id
        async with self.tenant.unit() as unit:
            settings = await partners.get_settings(unit, partner_id=partner_id, keyring=self.keyring)
            keys = await webhook_queries.list_signing_keys(unit, partner_id=partner_id)
            uses = await partners.list_token_uses(
                unit, partner_id=partner_id, since=clock.now() - _TOKEN_USE_SHOWN
            )
            refusals = await onboarding.list_refusals(unit, partner_id=partner_id, limit=_REFUSALS_SHOWN)
            endpoint = await webhook_queries.find_endpoint(
                unit, owner_kind=OwnerKind.PARTNER, owner_id=partner_id, keyring=self.keyring
            )
            if endpoint is None:
                return Situation(settings, None, None, OpenDeliveries(), keys, uses, refusals)
            found = await webhook_queries.list_deliveries(
                unit,
                partner_id=partner_id,
                filters=DeliveryFilter(owner_kind=OwnerKind.PARTNER, owner_id=partner_id),
                limit=1,
            )
            waiting = await webhook_queries.count_open(unit, partner_id=partner_id, endpoint_id=endpoint.id)
        return Situation(settings, endpoint, next(iter(found.items), None), waiting, keys, uses, refusals)

    async def change(self, change: SettingsChange, *, seen: SettingsChange = NO_SETTINGS) -> None:
        """Change settings. Raises: SettingsInvalid and whatever else `update_settings` refuses."""
        async with self.tenant.unit() as unit:
            await update_settings(
                unit,
                partner_id=self.tenant.partner_id,
                change=change,
                actor=self.tenant.actor,
                keyring=self.keyring,
                seen=seen,
                allow_loopback=self.messaging.allow_loopback,
            )

    async def save(
        self,
        change: SettingsChange,
        *,
        values: Mapping[str, str],
        title: str,
        text: str = "",
        seen: SettingsChange = NO_SETTINGS,
    ) -> Response[Any]:
        """Change settings and lead back to the page, or show it again with what is wrong at each field.

        `seen` is what the form showed before it was filled in; `title` and `text` are marked for translation.
        """
        try:
            await self.change(change, seen=seen)
        except SettingsInvalid as error:
            draft = Draft(values, self.page.wrong(error))
            return self.show(await self.read(), draft=draft, status=422)
        except SettingsOutdated as error:
            situation = await self.read()
            return self.show(situation, draft=self._beside(situation, values, error.fields), status=409)
        return self.page.go(
            PATH, toast=Toast(title=self.page.say(title), text=self.page.say(text) if text else "")
        )

    def _beside(self, situation: Situation, values: Mapping[str, str], names: Collection[str]) -> Draft:
        """Keep what was written, say beside it what is saved by now, and take that as seen."""
        saved = _form(situation.settings)
        now = {SEEN + name: saved[name] for name in names}
        said = self.page.say(
            N_("Somebody saved {value} here since you opened the page. Save again to overwrite it.")
        )
        nothing = self.page.say(
            N_("Somebody emptied this since you opened the page. Save again to write your value.")
        )
        errors = {
            name: said.format(value=f"“{' '.join(saved[name].split())}”") if saved[name] else nothing
            for name in names
        }
        return Draft({**values, **now}, errors)

    def show(
        self,
        situation: Situation,
        *,
        draft: Draft | None = None,
        trial: Trial | None = None,
        walk: Walk | None = None,
        status: int = 200,
    ) -> Response[Any]:
        """Answer with the whole page."""
        person = self.request.user
        partner = situation.settings.partner
        health, health_tone = words.HEALTH[situation.endpoint.health if situation.endpoint else None]
        draft = draft or Draft()
        form = _form(situation.settings)
        return self.page.show(
            "dashboard/integration.html",
            status=status,
            settings=situation.settings,
            situation=situation,
            health=self.page.say(health),
            health_tone=health_tone,
            form={**form, **{SEEN + name: text for name, text in form.items()}, **_changed(draft.values)},
            errors={**dict.fromkeys(form, ""), **draft.errors},
            trial=trial,
            walk=walk,
            error="",
            redirect_error="",
            refusals=[
                (self.page.say(words.REFUSALS[refusal.reason]), refusal) for refusal in situation.refusals
            ],
            samples=SAMPLES,
            regions=_regions(self.page),
            good_url=VALID_EXAMPLES[0].url,
            bad_urls=[
                (example.url, self.page.say(words.URL_RULES[example.code]))
                for example in INVALID_EXAMPLES
                if example.code and example.code in words.URL_RULES
            ],
            connect_link=connect_link(self.public_url, partner.id),
            api_url=f"{self.public_url}/api/v2/partners/{partner.id}",
            may_edit=isinstance(person, SignedInUser) and person.is_owner,
        )


async def provide_desk(
    *,
    request: HubRequest,
    page: NamedDependency[Page],
    tenant: NamedDependency[Tenant],
    keyring: NamedDependency[Keyring],
    messaging: NamedDependency[MessagingAddress],
    public_url: NamedDependency[str],
) -> Desk:
    """Bundle what every handler of this screen needs."""
    return Desk(request, page, tenant, keyring, messaging, public_url)


@get(PATH)
async def show_integration(desk: NamedDependency[Desk]) -> Response[Any]:
    """Show the settings; members see them read-only."""
    return desk.show(await desk.read())


def _form(settings: PartnerSettings) -> dict[str, str]:
    """Return what the fields of the page show."""
    partner = settings.partner
    return {
        "webhook_url": settings.webhook_url or "",
        "redirect_url": partner.redirect_url or "",
        "redirect_origins": "\n".join(partner.redirect_origins),
        "solution_id": partner.solution_id or "",
        "data_localization_region": settings.region,
        "mm_api_routing_enabled": "on" if partner.mm_api_routing_enabled else "",
        "secret_overlap_hours": str(partner.secret_overlap_hours),
    }


def _changed(values: Mapping[str, str]) -> dict[str, str]:
    """Return what a person wrote without the fields that they left as they were: those show what is saved."""
    left = {name for name, text in values.items() if values.get(SEEN + name) == text}
    return {name: text for name, text in values.items() if name.removeprefix(SEEN) not in left}


def _regions(page: Page) -> list[tuple[str, str]]:
    names = locale_of(page.frame.language).territories
    return sorted(
        ((code, f"{names.get(code, code)} ({code})") for code in DATA_REGIONS), key=lambda one: one[1]
    )
