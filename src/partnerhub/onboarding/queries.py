"""Reads of this package."""

from __future__ import annotations

import hmac
from uuid import UUID

from partnerhub.channels import queries as channels
from partnerhub.identity import queries as identity
from partnerhub.kit import clock
from partnerhub.kit.crypto import fingerprint
from partnerhub.kit.database import Unit
from partnerhub.ledger import queries as ledger
from partnerhub.onboarding.errors import IoSignatureMissing, IoSignatureUsed, RunOver, RunUnknown
from partnerhub.onboarding.rules import Rules, is_fixed
from partnerhub.onboarding.schemas import KnownNumber, Refusal, Run, Sharable, Step
from partnerhub.partners.schemas import Partner

RUN_COLUMNS = (
    "id, partner_id, signature_hash is not null as is_signed, client_id, user_id, step, parameters, "
    "redirect_url, state, waba_id, channel_ids, revoked_ids, "
    "error_code, error_message, created_at, expires_at"
)


async def get_run(unit: Unit, *, run_id: UUID, browser_token: str, for_update: bool = False) -> Run:
    """Return the run if it belongs to this browser and may go on.

    Raises: RunUnknown, RunOver, IoSignatureMissing where the partner asks for signatures since it began,
    IoSignatureUsed where another run went on with its signature.
    """
    if for_update:
        # By itself, so that the next statement sees what was committed while this one waited.
        await unit.execute("select from onboarding_run where id = %s for update", (run_id,))
    rows = await unit.fetch_dicts(
        f"select {RUN_COLUMNS}, browser_hash, (select io_signature_enabled from partner"
        " where partner.id = run.partner_id) as must_be_signed, exists (select from io_use"
        " where claimed_at is not null and io_use.signature_hash = run.signature_hash"
        " and run_id <> run.id) as is_overtaken, exists (select from onboarding_claim where ends_at > %s and"
        " (name = 'run:' || run.id or name in (select 'channel:' || unnest(run.channel_ids)))) as is_working"
        " from onboarding_run run where id = %s",
        (clock.now(), run_id),
    )
    if not rows or not hmac.compare_digest(bytes(rows[0].pop("browser_hash")), fingerprint(browser_token)):
        raise RunUnknown("This sign-up belongs to another browser or does not exist.")
    row = rows[0]
    if row["expires_at"] < clock.now():
        raise RunOver(
            "This sign-up took too long. Start again from the page that opened it.",
            partner_id=row["partner_id"],
        )
    must_be_signed, is_overtaken = row.pop("must_be_signed"), row.pop("is_overtaken")
    run = Run(**{**row, "step": Step(row["step"])})
    if run.step is not Step.DONE:
        if must_be_signed and not run.is_signed:
            raise IoSignatureMissing("The sign-up began without a signature.", partner_id=run.partner_id)
        if is_overtaken:
            raise IoSignatureUsed("Another sign-up went on with this link.", partner_id=run.partner_id)
    return run


async def find_email(unit: Unit, *, run: Run) -> str:
    """Return the e-mail address of whoever the run is about; empty while nobody has signed up or in."""
    user_id = run.user_id
    if run.client_id is not None:
        user_id = (
            await channels.get_client(unit, partner_id=run.partner_id, client_id=run.client_id)
        ).user_id
    return (await identity.get_user(unit, user_id=user_id)).email if user_id else ""


async def list_known_numbers(unit: Unit, *, client_id: str, number: str = "") -> list[KnownNumber]:
    """Return the client's numbers that are not terminated, or only the one with these digits."""
    return await unit.fetch_all(
        KnownNumber,
        "select id as channel_id, waba_id, phone_number, phone_name, permission = 'shared' as is_shared,"
        " account_mode = 'live' as is_live from channel "
        "where client_id = %s and terminated_at is null and (%s = '' or phone_number = %s) "
        'order by lower(id) collate "C", id collate "C"',
        (client_id, number, number),
    )


async def list_live_numbers(unit: Unit, *, run: Run) -> list[KnownNumber]:
    """Return the live numbers that a run is about: those it brought, else those that its link asks for."""
    number = "" if run.channel_ids else run.parameter("number")
    known = await list_known_numbers(unit, client_id=run.client_id or "", number=number)
    return [
        number
        for number in known
        if number.is_live and (not run.channel_ids or number.channel_id in run.channel_ids)
    ]


async def list_sharable(unit: Unit, *, run: Run, partner: Partner, rules: Rules) -> list[Sharable]:
    """Return the numbers of the permission page, each with whether its permission is fixed."""
    return [
        Sharable(number, is_fixed=is_fixed(partner, number, rules))
        for number in await list_live_numbers(unit, run=run)
    ]


async def has_accepted_prices(unit: Unit, *, client_id: str, currency: str, terms_url: str) -> bool:
    """Say whether the client has accepted the prices as they are now, in this currency, with these terms."""
    return bool(
        await unit.fetch_value(
            "select exists (select from price_acceptance where client_id = %s and currency = %s"
            " and terms_url = %s and price_version = %s)",
            (client_id, currency, terms_url, await ledger.find_price_version(unit)),
        )
    )


async def list_refusals(unit: Unit, *, partner_id: str, limit: int = 50) -> list[Refusal]:
    """Return what IO Signature kept out of the partner's onboarding, the newest first; 30 days are kept."""
    return await unit.fetch_all(
        Refusal,
        "select reason, detail, network, times, last_at from io_refusal where partner_id = %s"
        " order by last_at desc, id desc limit %s",
        (partner_id, limit),
    )
