"""The number's own part of connecting it: its registration at Meta, its PIN, its way to live.

One request at a time registers a number (`claims`). What Meta may have taken is committed before the call, so
that whoever comes after a kill finds the PIN.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from uuid import UUID

from partnerhub.channels import queries as channel_queries
from partnerhub.channels.access import open_access
from partnerhub.channels.jobs import ask_for_templates
from partnerhub.channels.life_cycle import Stage
from partnerhub.channels.schemas import Channel
from partnerhub.channels.services import (
    NumberFacts,
    advance_channel,
    forget_pin,
    grant_permission,
    update_channel,
)
from partnerhub.identity.schemas import Actor
from partnerhub.kit import clock
from partnerhub.meta import MetaError, PhoneNumber
from partnerhub.onboarding.errors import PinNeeded, SignupMismatch
from partnerhub.onboarding.schemas import Run, Step
from partnerhub.onboarding.services.attempts import Attempt, Connector
from partnerhub.onboarding.services.claims import channel_claim, hold, run_claim
from partnerhub.onboarding.services.credit import share_credit_line

_PIN_MISMATCH = 133005
# Meta's default place has a word for people and none in the API.
_META_DEFAULT_REGION = "US"


@dataclass(frozen=True)
class _Pin:
    """A PIN that is sent to Meta, and whether it is ours, kept from before the call."""

    pin: str
    is_kept: bool


async def register(connector: Connector, run: Run, attempt: Attempt) -> None:
    """Register the run's number at Meta and bring it to life; repeatable after any stop.

    Raises: StillWorking while another run registers the number, SignupMismatch, PinNeeded, MetaError.
    """
    meta, partner, actor = connector.meta, attempt.partner, attempt.actor
    channel, token = await _claim_channel(connector, run, attempt.holder)
    await meta.accounts.subscribe_app(channel.waba.external_id, token=token)
    await share_credit_line(
        connector.db,
        meta,
        connector.keyring,
        channel=channel,
        line_id=connector.credit_line_id,
        currency=partner.currency,
        token=token,
        system_token=connector.system_token,
    )
    await _advance(connector, channel, Stage.READY, actor)
    # A number that the WhatsApp Business app still uses is registered there already.
    if not channel.is_on_biz_app:
        # Meta moves no data: a number that was registered keeps its region, whatever the partner chose since.
        region, is_new = channel.data_localization_region, channel.stage not in {Stage.RUNNING, Stage.LIVE}
        if region is None and is_new:
            region = partner.data_localization_region
        chosen = await _choose_pin(connector, channel, attempt)
        try:
            await meta.numbers.register(
                channel.external_id,
                token=token,
                pin=chosen.pin,
                data_localization_region=None if region in {None, _META_DEFAULT_REGION} else region,
            )
        except MetaError as error:
            if error.upstream_code != _PIN_MISMATCH:
                raise
            raise await _pin_needed(connector, channel, chosen) from error
        facts = NumberFacts(data_localization_region=region, meta_status="CONNECTED")
        if not chosen.is_kept:
            facts = replace(facts, pin_sealed=_seal(connector, channel, chosen.pin))
        await _write_facts(connector, channel, facts)
    await _advance(connector, channel, Stage.RUNNING, actor)
    number = await meta.numbers.get(channel.external_id, token=token)
    async with connector.db.system() as unit:
        await update_channel(
            unit,
            partner_id=channel.partner_id,
            channel_id=channel.id,
            facts=facts_of(number, is_coexistence=channel.is_on_biz_app),
        )
        await advance_channel(
            unit, partner_id=channel.partner_id, channel_id=channel.id, to=Stage.LIVE, actor=actor
        )
        is_done = partner.payment_model == "partner_paid"
        if is_done:
            await grant_permission(unit, partner_id=channel.partner_id, channel_id=channel.id, actor=actor)
        await ask_for_templates(unit, partner_id=channel.partner_id, waba_id=channel.waba_id)
        await unit.execute(
            # A form that was sent twice must not bring back a run that went on meanwhile.
            "update onboarding_run set step = %s, error_code = null, error_message = null, modified_at = %s"
            " where id = %s and step = %s",
            (
                (Step.DONE if is_done else Step.PERMISSION).value,
                clock.now(),
                run.id,
                Step.REGISTER.value,
            ),
        )


async def _write_facts(connector: Connector, channel: Channel, facts: NumberFacts) -> None:
    async with connector.db.system() as unit:
        await update_channel(unit, partner_id=channel.partner_id, channel_id=channel.id, facts=facts)


async def _advance(connector: Connector, channel: Channel, stage: Stage, actor: Actor) -> None:
    order = list(Stage)
    async with connector.db.system() as unit:
        now_at = await channel_queries.get_channel(unit, partner_id=channel.partner_id, channel_id=channel.id)
        if order.index(now_at.stage) < order.index(stage):
            await advance_channel(
                unit, partner_id=channel.partner_id, channel_id=channel.id, to=stage, actor=actor
            )


async def _claim_channel(connector: Connector, run: Run, holder: UUID) -> tuple[Channel, str]:
    """Return the run's channel and the account's token; no other run registers this number meanwhile."""
    async with connector.db.system() as unit:
        channel = await channel_queries.get_channel(
            unit, partner_id=run.partner_id, channel_id=run.channel_ids[0]
        )
        await hold(unit, name=channel_claim(channel.id), partner_id=run.partner_id, holder=holder)
        sealed = await unit.fetch_value("select access_sealed from waba where id = %s", (channel.waba_id,))
    token = open_access(connector.keyring, waba_id=channel.waba_id, access_sealed=sealed)
    if token is None:
        raise SignupMismatch("The access to the account is gone. Open Meta's window again.")
    return channel, token


async def _choose_pin(connector: Connector, channel: Channel, attempt: Attempt) -> _Pin:
    """Return the PIN to register with: one that an earlier attempt sent, else the client's, else a new one.

    What an earlier attempt sent may be the number's by now, whether or not its answer came back. A new one is
    kept before the call: a PIN that Meta took and we forgot would lock the number's owner out. The client
    knows its own, so that one is kept only once Meta took it.
    """
    async with connector.db.system() as unit:
        for name in (run_claim(attempt.run_id), channel_claim(channel.id)):
            # The claims outlast the call to come, and whoever lost them in a slow one before stops here.
            await hold(unit, name=name, partner_id=channel.partner_id, holder=attempt.holder)
        sealed = await unit.fetch_value("select pin_sealed from channel where id = %s", (channel.id,))
        if sealed:
            kept = connector.keyring.open(bytes(sealed), place=connector.place_of_pin(channel.id))
            return _Pin(kept.decode(), is_kept=True)
        if attempt.pin:
            return _Pin(attempt.pin, is_kept=False)
        pin = f"{secrets.randbelow(1_000_000):06d}"
        await update_channel(
            unit,
            partner_id=channel.partner_id,
            channel_id=channel.id,
            facts=NumberFacts(pin_sealed=_seal(connector, channel, pin)),
        )
    return _Pin(pin, is_kept=True)


async def _pin_needed(connector: Connector, channel: Channel, refused: _Pin) -> PinNeeded:
    """Return that the client is asked; a PIN that Meta says is not the number's is kept no longer."""
    if refused.is_kept:
        async with connector.db.system() as unit:
            await forget_pin(unit, partner_id=channel.partner_id, channel_id=channel.id)
    reason = "The number has a two-step verification PIN. Enter it to go on."
    return PinNeeded(reason, fields={} if refused.is_kept else {"pin": reason})


def _seal(connector: Connector, channel: Channel, pin: str) -> bytes:
    return connector.keyring.seal(pin.encode(), place=connector.place_of_pin(channel.id))


def facts_of(number: PhoneNumber, *, is_coexistence: bool) -> NumberFacts:
    """Return what Meta says of a number as our facts of it."""
    return NumberFacts(
        phone_name=number.verified_name,
        meta_status=number.status,
        name_status=number.name_status,
        current_limit=number.whatsapp_business_manager_messaging_limit or number.messaging_limit_tier,
        current_quality_rating=number.quality_rating,
        throughput=number.throughput.level if number.throughput else None,
        is_on_biz_app=is_coexistence,
        is_oba=number.is_official_business_account,
    )
