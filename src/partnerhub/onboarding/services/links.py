"""Links as they come in: the signature where the partner asks for one, and what is kept of refused ones.

A signature belongs to the browser that opens it first and to the run that began with it. That browser may
reload and go back: it lands in its run again. With other parameters it may start anew while the link is in
time, until one of its runs goes past the account: the signature is that run's from then on, and no other run
of it goes further. Any other browser is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.ids import token, uuid7
from partnerhub.onboarding.entry import Entry
from partnerhub.onboarding.errors import (
    CookiesNeeded,
    IoSignatureBad,
    IoSignatureRefused,
    IoSignatureUsed,
    PartnerLinkUnknown,
)
from partnerhub.onboarding.io_signature import SignedLink, Window, read_signature
from partnerhub.onboarding.schemas import Run, StartedRun, UnknownBrowser
from partnerhub.onboarding.services.start import RUN_LIFETIME, is_browser_token, start_run
from partnerhub.partners import queries as partners
from partnerhub.partners.errors import PartnerUnknown
from partnerhub.webhooks.services import reveal_signing_key

_REFUSALS_KEPT: Final = 500
_REFUSALS_LIVE: Final = timedelta(days=30)


@dataclass(frozen=True)
class Visitor:
    """Who opened a link: the secret that its browser sent, whether it was just given one, and its address.

    `run_tokens` are the secrets of the runs that it began: two tabs that begin at once have one each.
    """

    browser_token: str | None
    run_tokens: Sequence[str] = field(default=(), kw_only=True)
    was_asked: bool
    ip: str


async def open_link(
    db: Database, *, partner_id: str, entry: Entry, visitor: Visitor, keyring: Keyring, window: Window
) -> StartedRun | UnknownBrowser:
    """Start a run for whoever opened the link, or lead its browser back to the run that it began with it.

    A signed link is given to a browser that proved to keep a cookie, so that neither a link preview nor the
    first half of a double click uses it up; the caller sends such a browser here again, with its cookie.
    Links that IO Signature keeps out are noted for the partner.
    Raises: PartnerLinkUnknown, OnboardingClosed, RedirectNotAllowed, StateRefused, IoSignatureRefused,
    CookiesNeeded.
    """
    try:
        async with db.system() as unit:
            signed = await _read(unit, partner_id=partner_id, entry=entry, keyring=keyring, window=window)
            if signed is not None and not is_browser_token(visitor.browser_token):
                signed.window.check(signed.signed_at, now=clock.now())
                if visitor.was_asked:
                    raise CookiesNeeded("This link works once your browser keeps cookies for this page.")
                return UnknownBrowser(token())
            return await start_run(
                unit,
                partner_id=partner_id,
                entry=entry,
                browser_token=visitor.browser_token,
                run_tokens=visitor.run_tokens,
                signed=signed,
            )
    except IoSignatureRefused as refused:
        await note_refused(db, partner_id=partner_id, refused=refused, ip=visitor.ip)
        raise


async def claim_signature(unit: Unit, *, run: Run) -> None:
    """Give a signature to the run whose client is known now; nothing for a run without one.

    Of two runs that come at once the second waits for the first's commit. Raises: IoSignatureUsed.
    """
    if not run.is_signed:
        return
    claimed = await unit.execute(
        "update io_use set run_id = %s, claimed_at = %s where signature_hash ="
        " (select signature_hash from onboarding_run where id = %s) and (claimed_at is null or run_id = %s)",
        (run.id, clock.now(), run.id, run.id),
    )
    if not claimed:
        raise IoSignatureUsed("Another sign-up went on with this link.", partner_id=run.partner_id)


async def note_refused(db: Database, *, partner_id: str, refused: IoSignatureRefused, ip: str) -> None:
    """Keep for the partner that IO Signature stopped somebody."""
    async with db.system() as unit:
        await _note(unit, partner_id=partner_id, refused=refused, ip=ip)


async def tidy_links(db: Database) -> None:
    """Delete uses and refusals that nobody asks for any more; the worker runs it every hour."""
    now = clock.now()
    async with db.system() as unit:
        # A run ends before its use goes, and a signature is too old long before that.
        await unit.execute("delete from io_use where used_at < %s", (now - 2 * RUN_LIFETIME,))
        await unit.execute("delete from io_refusal where last_at < %s", (now - _REFUSALS_LIVE,))


def network_of(ip: str) -> str:
    """Return the network an address belongs to: /24, or /48 of IPv6; empty for what is no address."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    prefix = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network((address, prefix), strict=False))


async def _read(
    unit: Unit, *, partner_id: str, entry: Entry, keyring: Keyring, window: Window
) -> SignedLink | None:
    try:
        partner = await partners.get_partner(unit, partner_id=partner_id)
    except PartnerUnknown as error:
        raise PartnerLinkUnknown("This link names no partner that we know.") from error
    if not partner.io_signature_enabled:
        return None
    secret = await reveal_signing_key(unit, partner_id=partner_id, keyring=keyring)
    if secret is None:
        raise IoSignatureBad("The partner has no platform secret to check the signature with.")
    return read_signature(partner_id=partner_id, entry=entry, secret=secret, window=window)


async def _note(unit: Unit, *, partner_id: str, refused: IoSignatureRefused, ip: str) -> None:
    now = clock.now()
    await unit.execute(
        "insert into io_refusal (id, partner_id, minute, reason, detail, network, last_at)"
        " values (%s, %s, %s, %s, %s, %s, %s)"
        " on conflict (partner_id, minute, reason, network) do update set times = io_refusal.times + 1,"
        " detail = excluded.detail, last_at = greatest(io_refusal.last_at, excluded.last_at)",
        (
            uuid7(),
            partner_id,
            now.replace(second=0, microsecond=0),
            refused.code,
            refused.message,
            network_of(ip),
            now,
        ),
    )
    # However many networks somebody has, they fill no table. Rows that another request is about to delete
    # are left to it: nobody waits for anybody. Only the surplus is locked: a lock beside an offset would take
    # the kept rows too, and two requests that hold half of them each would see no surplus.
    await unit.execute(
        "delete from io_refusal where id in (select id from io_refusal where id in (select id from io_refusal"
        " where partner_id = %s order by last_at desc, id desc offset %s) for update skip locked)",
        (partner_id, _REFUSALS_KEPT),
    )
