"""From what Embedded Signup shared to a number that runs.

A flow of steps that may stop anywhere and be taken up again: what Meta gave is committed before the next
call, every call to Meta may be repeated, and the run remembers where it stopped and why.

1. the code becomes a token, and the token's own scopes say which account was shared
2. the account and its number become rows (`channel_created`)
3. our app is subscribed to the account's webhooks
4. where the operator has a credit line, it pays for the account
5. the number is registered with the partner's region and a PIN (`channel_ready`, `running`, `live`)
6. Partner-Paid: the permission is shared (`channel_permission_granted`), and the run is done; Direct-Paid:
   the client is asked for it

Source: Meta's onboarding sequence for solution providers, November 2026.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from partnerhub.channels import errors as channel_errors
from partnerhub.channels import queries as channel_queries
from partnerhub.channels.access import open_access
from partnerhub.channels.jobs import ask_for_templates
from partnerhub.channels.life_cycle import Stage
from partnerhub.channels.schemas import Channel
from partnerhub.channels.services import (
    NumberFacts,
    WabaFacts,
    advance_channel,
    create_channel,
    create_waba,
    forget_pin,
    grant_permission,
    note_error,
    update_channel,
)
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit import clock, logs
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.errors import HubError
from partnerhub.kit.ids import uuid7
from partnerhub.meta import Account, MetaClient, MetaError, PhoneNumber
from partnerhub.meta.time_zones import zone_of
from partnerhub.onboarding import queries
from partnerhub.onboarding.errors import (
    ClientMayNotAdd,
    ConnectFailed,
    NumberTaken,
    PinNeeded,
    SignupIncomplete,
    SignupMismatch,
    StepWrong,
    StillWorking,
)
from partnerhub.onboarding.schemas import Run, SignupResult, Step
from partnerhub.onboarding.services.claims import channel_claim, hold, let_go, run_claim
from partnerhub.onboarding.services.credit import share_credit_line
from partnerhub.onboarding.services.steps import Place, check_may_add, move_to
from partnerhub.partners import queries as partners
from partnerhub.partners.schemas import Partner

_MANAGEMENT_SCOPE = "whatsapp_business_management"
_COEXISTENCE = "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING"
_PIN_MISMATCH = 133005
# Meta's default place has a word for people and none in the API.
_META_DEFAULT_REGION = "US"

_WITHOUT_ANSWER: Final = {
    "meta_unreachable": "Meta could not be reached. Try again in a moment.",
    "meta_unclear": (
        "Meta's answer was lost: the step may have been carried out. Try again; nothing is done twice."
    ),
    "meta_malformed": (
        "Meta's answer cannot be read: the step may have been carried out. Try again in a moment."
    ),
}

log = logs.get(__name__)


@dataclass(frozen=True)
class Connector:
    """What the flow works with; one per process."""

    db: Database
    meta: MetaClient
    keyring: Keyring
    app_id: str
    system_token: str
    # The operator's credit line at Meta; empty where clients pay Meta themselves.
    credit_line_id: str = ""

    def place_of_pin(self, channel_id: str) -> str:
        """Return where a number's PIN is sealed."""
        return f"channel.pin_sealed:{channel_id}"


@dataclass(frozen=True)
class _Shared:
    """The account and number that Meta says were shared."""

    token: str
    account: Account
    number: PhoneNumber
    is_coexistence: bool


@dataclass(frozen=True)
class _Attempt:
    """One request that works on a run: for whom, with which PIN, and what its claims are known by."""

    run_id: UUID
    partner: Partner
    actor: Actor
    pin: str
    holder: UUID


@dataclass(frozen=True)
class _Pin:
    """A PIN that is sent to Meta, and whether it is ours, kept from before the call."""

    pin: str
    is_kept: bool


async def complete_signup(
    connector: Connector,
    *,
    run_id: UUID,
    browser_token: str,
    result: SignupResult | None,
    channel_id: str = "",
    pin: str = "",
    ip: str = "",
    user_agent: str = "",
) -> Run:
    """Bring the run from Embedded Signup's result to a running number; repeatable after any stop.

    `result` is what the browser reported; None takes up a registration that stopped: the run's own, or that
    of `channel_id`, a number which the client left unfinished earlier. `pin` is the number's existing
    two-step PIN, where the client had to give it.
    Raises: RunUnknown, StepWrong, StillWorking while another request is at it, SignupIncomplete,
    SignupMismatch, NumberTaken, ClientMayNotAdd, PinNeeded, ConnectFailed. The run keeps the reason.
    """
    async with connector.db.system() as unit:
        run = await queries.get_run(unit, run_id=run_id, browser_token=browser_token, for_update=True)
        if run.step is Step.CONNECT and channel_id:
            run = await _take_up(unit, run, channel_id)
        partner = await partners.get_partner(unit, partner_id=run.partner_id)
        client = (
            await channel_queries.get_client(unit, partner_id=run.partner_id, client_id=run.client_id)
            if run.client_id
            else None
        )
        if run.step in {Step.PERMISSION, Step.DONE}:
            return run
        if client is None or run.step not in {Step.CONNECT, Step.REGISTER}:
            raise StepWrong("Another step comes first.")
        holder = uuid7()
        await hold(unit, name=run_claim(run.id), partner_id=run.partner_id, holder=holder)
        # What stopped an earlier attempt is over.
        await unit.execute(
            "update onboarding_run set error_code = null, error_message = null where id = %s", (run.id,)
        )
    actor = Actor(
        kind=ActorKind.CLIENT,
        id=client.user_id or client.id,
        name=client.name,
        ip=ip,
        user_agent=user_agent,
    )
    attempt = _Attempt(run_id=run.id, partner=partner, actor=actor, pin=pin, holder=holder)
    try:
        if run.step is Step.CONNECT:
            if result is None or not result.code:
                raise SignupIncomplete("Meta's window ended without a result. Open it again.")
            shared = await _exchange(connector, result)
            run = await _store(connector, run, attempt, shared)
        await _register(connector, run, attempt)
    except StillWorking:
        # Nothing went wrong: the other request says how it ends.
        raise
    except MetaError as error:
        failed = _as_failure(error)
        await _remember(connector, run, failed)
        raise failed from error
    except HubError as error:
        await _remember(connector, run, error)
        raise
    finally:
        await let_go(connector.db, holder=holder)
    async with connector.db.system() as unit:
        return await queries.get_run(unit, run_id=run_id, browser_token=browser_token)


async def _take_up(unit: Unit, run: Run, channel_id: str) -> Run:
    known = await queries.list_known_numbers(unit, client_id=run.client_id or "")
    number = next((one for one in known if one.channel_id == channel_id and not one.is_live), None)
    if number is None:
        raise StepWrong("This number's registration is not waiting.")
    await move_to(unit, run_id=run.id, place=Place(Step.REGISTER, number))
    return replace(run, step=Step.REGISTER, waba_id=number.waba_id, channel_ids=[channel_id])


async def note_cancelled(
    db: Database, *, run_id: UUID, browser_token: str, step: str, error_id: str, message: str
) -> None:
    """Keep where the client left Meta's window, for whoever helps them.

    Raises: RunUnknown.
    """
    async with db.system() as unit:
        run = await queries.get_run(unit, run_id=run_id, browser_token=browser_token)
        if run.step is not Step.CONNECT:
            return
        words = " ".join(filter(None, (step, error_id, message))).replace("\x00", "")[:500]
        await unit.execute(
            "update onboarding_run set error_code = 'signup_cancelled', error_message = %s, modified_at = %s"
            " where id = %s",
            (words, clock.now(), run.id),
        )


async def _exchange(connector: Connector, result: SignupResult) -> _Shared:
    meta = connector.meta
    grant = await meta.app.exchange_code(code=result.code)
    info = await meta.app.debug_token(inspected=grant.access_token, token=connector.system_token)
    if not info.is_valid or (info.app_id and info.app_id != connector.app_id):
        raise SignupMismatch("Meta does not confirm the access that the window reported.")
    targets = info.targets(_MANAGEMENT_SCOPE)
    # The browser names the account; only the token proves it. Without a name, the newest one is it.
    account_id = result.waba_id or (targets[0] if targets else "")
    if not account_id:
        raise SignupIncomplete("No WhatsApp account was shared. Open Meta's window again and choose one.")
    if targets is not None and account_id not in targets:
        raise SignupMismatch("The account that the window reported is not one that was shared.")
    account = await meta.accounts.get(account_id, token=grant.access_token)
    numbers = await meta.accounts.list_numbers(account_id, token=grant.access_token)
    wanted = [number for number in numbers if number.id == result.phone_number_id] or (
        numbers if not result.phone_number_id else []
    )
    if not wanted:
        raise SignupIncomplete(
            "The account has no phone number yet. Open Meta's window again and add one."
            if not numbers
            else "The number that the window reported does not belong to the account."
        )
    return _Shared(
        token=grant.access_token,
        account=account,
        number=wanted[0],
        is_coexistence=result.event == _COEXISTENCE or bool(wanted[0].is_on_biz_app),
    )


async def _store(connector: Connector, run: Run, attempt: _Attempt, shared: _Shared) -> Run:
    account, number, actor = shared.account, shared.number, attempt.actor
    digits = re.sub(r"[^0-9]", "", number.display_phone_number or "")
    if run.client_id is None or not digits:
        raise SignupIncomplete("Meta did not say which phone number was shared.")
    business = account.owner_business_info or account.on_behalf_of_business_info
    async with connector.db.system() as unit:
        step = await unit.fetch_value("select step from onboarding_run where id = %s for update", (run.id,))
        if step != Step.CONNECT.value:
            raise StepWrong("Another request has finished this step meanwhile.")
        await hold(unit, name=run_claim(run.id), partner_id=run.partner_id, holder=attempt.holder)
        # Two runs of one client, one after the other: the second must see the first one's number.
        await unit.lock(f"channels of {run.client_id}")
        known = await unit.fetch_value("select client_id from channel where external_id = %s", (number.id,))
        if known is None:
            await check_may_add(unit, partner=attempt.partner, client_id=run.client_id)
        try:
            waba = await create_waba(
                unit,
                partner_id=run.partner_id,
                client_id=run.client_id,
                external_id=account.id,
                facts=WabaFacts(
                    name=account.name,
                    namespace=account.message_template_namespace,
                    fb_business_id=business.id if business else None,
                    fb_business_name=business.name if business else None,
                    timezone_id=_number_of(account.timezone_id),
                    time_zone=zone_of(account.timezone_id),
                    currency=account.currency,
                    status=(account.account_review_status or "approved").lower(),
                    fb_account_status=(account.business_verification_status or "pending").lower(),
                ),
                access_token=shared.token,
                keyring=connector.keyring,
                actor=actor,
            )
            channel = await create_channel(
                unit,
                partner_id=run.partner_id,
                client_id=run.client_id,
                waba_id=waba.id,
                external_id=number.id,
                phone_number=digits,
                facts=_facts(number, is_coexistence=shared.is_coexistence),
                actor=actor,
            )
        except (channel_errors.WabaTaken, channel_errors.NumberTaken) as error:
            raise NumberTaken("This number already belongs to another account of this hub.") from error
        except channel_errors.TooManyChannels as error:
            raise ClientMayNotAdd(error.message) from error
        await unit.execute(
            "update onboarding_run set step = %s, waba_id = %s, channel_ids = %s, error_code = null,"
            " error_message = null, modified_at = %s where id = %s",
            (Step.REGISTER.value, waba.id, [channel.id], clock.now(), run.id),
        )
    return replace(run, step=Step.REGISTER, waba_id=waba.id, channel_ids=[channel.id])


async def _register(connector: Connector, run: Run, attempt: _Attempt) -> None:
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
            facts=_facts(number, is_coexistence=channel.is_on_biz_app),
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


async def _choose_pin(connector: Connector, channel: Channel, attempt: _Attempt) -> _Pin:
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


async def _remember(connector: Connector, run: Run, error: HubError) -> None:
    log.warning("onboarding stopped", run=str(run.id), code=error.code, step=run.step.value)
    async with connector.db.system() as unit:
        await unit.execute(
            # Not over what a request beside this one, such as the form sent twice, has brought about.
            "update onboarding_run set error_code = %s, error_message = %s, modified_at = %s"
            " where id = %s and step = %s",
            (error.code, error.message[:500].replace("\x00", ""), clock.now(), run.id, run.step.value),
        )
        if run.step is Step.REGISTER:
            for channel_id in run.channel_ids:
                await note_error(
                    unit, partner_id=run.partner_id, channel_id=channel_id, error=error.message[:500]
                )


def _as_failure(error: MetaError) -> HubError:
    said = error.user_message or error.details or error.message
    return ConnectFailed(
        _WITHOUT_ANSWER.get(error.code) or f"Meta did not carry out a step: {said}",
        upstream_code=error.upstream_code,
        trace_id=error.fbtrace_id,
    )


def _facts(number: PhoneNumber, *, is_coexistence: bool) -> NumberFacts:
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


def _number_of(timezone_id: str | None) -> int | None:
    return int(timezone_id) if timezone_id and timezone_id.isdigit() else None
