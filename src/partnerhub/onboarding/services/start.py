"""The beginning: a link becomes a run that belongs to one browser."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from psycopg.types.json import Jsonb

from partnerhub.kit import clock
from partnerhub.kit.crypto import fingerprint
from partnerhub.kit.database import Unit
from partnerhub.kit.ids import token, uuid7
from partnerhub.onboarding.entry import Entry, is_allowed_redirect
from partnerhub.onboarding.errors import OnboardingClosed, PartnerLinkUnknown, RedirectNotAllowed
from partnerhub.onboarding.schemas import StartedRun, Step
from partnerhub.partners import queries as partners
from partnerhub.partners.errors import PartnerUnknown

RUN_LIFETIME = timedelta(hours=24)
"""How long a client may take; a code from Meta lives 30 seconds, but people look for their phone."""

_TOKEN_LENGTH = 40


async def start_run(
    unit: Unit, *, partner_id: str, entry: Entry, browser_token: str | None = None
) -> StartedRun:
    """Start a run for whoever opened the link. Needs a system unit: nobody is known yet.

    `browser_token` is the secret that this browser already holds, so that runs in two tabs both go on.
    Raises: PartnerLinkUnknown, OnboardingClosed, RedirectNotAllowed.
    """
    try:
        partner = await partners.get_partner(unit, partner_id=partner_id)
    except PartnerUnknown as error:
        raise PartnerLinkUnknown("This link names no partner that we know.") from error
    if partner.blocked_new_submission:
        raise OnboardingClosed(f"{partner.brand_name} takes no new numbers at the moment.")
    redirect_url = entry.redirect_url or partner.redirect_url
    if entry.redirect_url and not is_allowed_redirect(
        entry.redirect_url, configured=partner.redirect_url, extra_origins=frozenset()
    ):
        raise RedirectNotAllowed("The link leads back to an address that the partner did not set.")
    # Signature and timestamp are for the entry alone and are not kept.
    parameters = {
        name: value
        for name, value in asdict(entry).items()
        if value and name not in {"io_signature", "io_timestamp", "redirect_url", "state", "repeated"}
    }
    run_id, now = uuid7(), clock.now()
    if browser_token is None or len(browser_token) < _TOKEN_LENGTH:
        browser_token = token()
    await unit.execute(
        "insert into onboarding_run (id, partner_id, browser_hash, step, parameters, redirect_url, state,"
        " created_at, modified_at, expires_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            run_id,
            partner_id,
            fingerprint(browser_token),
            Step.ACCOUNT.value,
            Jsonb(parameters),
            redirect_url,
            entry.state or None,
            now,
            now,
            now + RUN_LIFETIME,
        ),
    )
    return StartedRun(run_id=run_id, browser_token=browser_token)
