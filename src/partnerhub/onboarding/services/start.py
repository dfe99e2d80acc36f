"""The beginning: a link becomes a run that belongs to one browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from partnerhub.kit import clock
from partnerhub.kit.crypto import fingerprint
from partnerhub.kit.database import Unit
from partnerhub.kit.ids import token, uuid7
from partnerhub.onboarding.entry import (
    LONGEST_REDIRECT,
    LONGEST_STATE,
    Entry,
    can_come_back,
    is_allowed_redirect,
)
from partnerhub.onboarding.errors import (
    IoSignatureMissing,
    IoSignatureUsed,
    OnboardingClosed,
    PartnerLinkUnknown,
    RedirectNotAllowed,
    StateRefused,
    StepWrong,
)
from partnerhub.onboarding.io_signature import SignedLink
from partnerhub.onboarding.queries import get_run
from partnerhub.onboarding.schemas import StartedRun, Step
from partnerhub.partners import queries as partners
from partnerhub.partners.errors import PartnerUnknown

RUN_LIFETIME = timedelta(hours=24)
"""How long a client may take; a code from Meta lives 30 seconds, but people look for their phone."""

_TOKEN_LENGTH = 40
_Wish = tuple[dict[str, Any], str | None, str | None]  # parameters (JSON), redirect URL, state


async def start_run(
    unit: Unit,
    *,
    partner_id: str,
    entry: Entry,
    browser_token: str | None = None,
    run_tokens: Sequence[str] = (),
    signed: SignedLink | None = None,
) -> StartedRun:
    """Start a run for whoever opened the link. Needs a system unit: nobody is known yet.

    `browser_token` is the secret that this browser already holds, `run_tokens` are those of the runs that it
    began, so that runs in two tabs both go on.
    `signed` is the link's signature, checked. A browser that comes again gets the run it has.
    Raises: PartnerLinkUnknown, OnboardingClosed, RedirectNotAllowed, StateRefused, IoSignatureRefused.
    """
    try:
        partner = await partners.get_partner(unit, partner_id=partner_id)
    except PartnerUnknown as error:
        raise PartnerLinkUnknown("This link names no partner that we know.") from error
    if partner.io_signature_enabled and signed is None:
        raise IoSignatureMissing("The link has no signature.")
    if partner.blocked_new_submission:
        # What a client shared it may take back at any time; nothing else begins.
        if not entry.at_permissions:
            raise OnboardingClosed(f"{partner.brand_name} takes no new numbers at the moment.")
        entry = replace(entry, shows_login=True)
    redirect_url = entry.redirect_url or partner.redirect_url
    if entry.redirect_url and not (
        len(entry.redirect_url) <= LONGEST_REDIRECT
        and is_allowed_redirect(
            entry.redirect_url, configured=partner.redirect_url, extra_origins=partner.redirect_origins
        )
    ):
        raise RedirectNotAllowed("The link leads back to an address that the partner did not set.")
    if not can_come_back(entry.state):
        raise StateRefused(
            f"The link's state is longer than {LONGEST_STATE} characters, no UTF-8, or has a zero character."
        )
    # Signature and timestamp are for the entry alone and are not kept.
    parameters = {
        name: value
        for name, value in asdict(entry).items()
        if value and name not in {"io_signature", "io_timestamp", "redirect_url", "state", "repeated"}
    }
    if browser_token is None or not is_browser_token(browser_token):
        browser_token = token()
    held = {fingerprint(one): one for one in (*run_tokens, browser_token)}
    wish = (parameters, redirect_url, entry.state or None)
    same_run = (
        await _find_run(unit, signed, held=held, wish=wish)
        if signed is not None
        else await _find_unfinished(unit, partner_id=partner_id, held=held, wish=wish)
    )
    if same_run is not None:
        return same_run
    run = await _begin(unit, partner_id=partner_id, browser_token=browser_token, wish=wish, signed=signed)
    if signed is not None:
        await unit.execute(
            "insert into io_use (signature_hash, partner_id, browser_hash, run_id, signed_at, used_at)"
            " values (%s, %s, %s, %s, %s, %s) on conflict (signature_hash) do update"
            " set run_id = excluded.run_id, used_at = excluded.used_at",
            (
                signed.signature_hash,
                partner_id,
                fingerprint(browser_token),
                run.run_id,
                signed.signed_at,
                clock.now(),
            ),
        )
    return run


async def begin_anew(unit: Unit, *, run_id: UUID, browser_token: str) -> StartedRun:
    """End this browser's run and begin another by the same link: somebody else sits before it now.

    What the run brought so far stays with its client, as it would when its time is over.
    Raises: StepWrong where nobody is known yet, a request is at the run, it is done, or it began with a
    signature, which brings one client; what `get_run` raises.
    """
    run = await get_run(unit, run_id=run_id, browser_token=browser_token, for_update=True)
    if run.client_id is None or run.is_signed or run.is_working or run.step is Step.DONE:
        raise StepWrong("This sign-up cannot be left for another one.")
    await unit.execute(
        "update onboarding_run set expires_at = %s, modified_at = %s where id = %s",
        (clock.now(), clock.now(), run.id),
    )
    wish = (run.parameters, run.redirect_url, run.state)
    return await _begin(unit, partner_id=run.partner_id, browser_token=browser_token, wish=wish)


async def _begin(
    unit: Unit, *, partner_id: str, browser_token: str, wish: _Wish, signed: SignedLink | None = None
) -> StartedRun:
    parameters, redirect_url, state = wish
    run_id, now = uuid7(), clock.now()
    await unit.execute(
        "insert into onboarding_run (id, partner_id, browser_hash, signature_hash, step, parameters,"
        " redirect_url, state, created_at, modified_at, expires_at)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            run_id,
            partner_id,
            fingerprint(browser_token),
            signed.signature_hash if signed is not None else None,
            Step.ACCOUNT.value,
            Jsonb(parameters),
            redirect_url,
            state,
            now,
            now,
            now + RUN_LIFETIME,
        ),
    )
    return StartedRun(run_id=run_id, browser_token=browser_token)


def is_browser_token(text: str | None) -> bool:
    """Say whether a cookie's value is long enough to be a secret of ours."""
    return text is not None and len(text) >= _TOKEN_LENGTH


async def _find_run(
    unit: Unit,
    signed: SignedLink,
    *,
    held: Mapping[bytes, str],
    wish: _Wish,
) -> StartedRun | None:
    """Find the run that this browser began with this signature, or None where it may begin one.

    `held` has the browser's secrets by their hash. Until the commit nobody else looks at the same signature.
    Raises: IoSignatureTooOld, IoSignatureInFuture, IoSignatureUsed.
    """
    now = clock.now()
    await unit.lock(f"io_use:{signed.signature_hash.hex()}")
    uses = await unit.fetch_dicts(
        "select io_use.browser_hash, run_id, claimed_at, parameters, redirect_url, state, expires_at"
        " from io_use join onboarding_run on onboarding_run.id = run_id where io_use.signature_hash = %s",
        (signed.signature_hash,),
    )
    use = uses[0] if uses else None
    own = held.get(bytes(use["browser_hash"])) if use is not None else None
    if use is not None and own is not None and use["expires_at"] > now:
        begun = (use["parameters"], use["redirect_url"], use["state"])
        if begun == wish:  # a reload, the back button, or the link once more
            return StartedRun(run_id=use["run_id"], browser_token=own)
    signed.window.check(signed.signed_at, now=now)
    if use is not None and own is None:
        raise IoSignatureUsed(
            "The link was opened in another browser, or another link of the same second was."
        )
    if use is not None and use["claimed_at"] is not None:
        raise IoSignatureUsed("Another sign-up went on with this link.")
    return None


async def _find_unfinished(
    unit: Unit, *, partner_id: str, held: Mapping[bytes, str], wish: _Wish
) -> StartedRun | None:
    """Find the newest run that this browser began with an equal link and can still go on with."""
    parameters, redirect_url, state = wish
    rows = await unit.fetch_dicts(
        "select id, browser_hash from onboarding_run where browser_hash = any(%s) and partner_id = %s"
        " and step <> %s and expires_at > %s and parameters = %s and redirect_url is not distinct from %s"
        " and state is not distinct from %s order by id desc limit 1",
        (
            list(held),
            partner_id,
            Step.DONE.value,
            clock.now(),
            Jsonb(parameters),
            redirect_url,
            state,
        ),
    )
    if not rows:
        return None
    return StartedRun(run_id=rows[0]["id"], browser_token=held[bytes(rows[0]["browser_hash"])])
