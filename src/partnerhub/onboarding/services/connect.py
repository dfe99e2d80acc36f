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
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from partnerhub.channels import errors as channel_errors
from partnerhub.channels import queries as channel_queries
from partnerhub.channels.services import (
    WabaFacts,
    create_channel,
    create_waba,
    note_error,
)
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit import clock, logs
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.errors import HubError
from partnerhub.kit.ids import uuid7
from partnerhub.meta import Account, MetaError, PhoneNumber
from partnerhub.meta.time_zones import zone_of
from partnerhub.onboarding import queries
from partnerhub.onboarding.errors import (
    ClientMayNotAdd,
    ConnectFailed,
    NumberTaken,
    SignupIncomplete,
    SignupMismatch,
    StepWrong,
    StillWorking,
)
from partnerhub.onboarding.schemas import Run, SignupResult, Step
from partnerhub.onboarding.services.attempts import Attempt, Connector
from partnerhub.onboarding.services.claims import hold, let_go, run_claim
from partnerhub.onboarding.services.registration import facts_of, register
from partnerhub.onboarding.services.steps import Place, check_may_add, move_to
from partnerhub.partners import queries as partners

_MANAGEMENT_SCOPE = "whatsapp_business_management"
_COEXISTENCE = "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING"

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
class _Shared:
    """The account and number that Meta says were shared."""

    token: str
    account: Account
    number: PhoneNumber
    is_coexistence: bool


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
    attempt = Attempt(run_id=run.id, partner=partner, actor=actor, pin=pin, holder=holder)
    try:
        if run.step is Step.CONNECT:
            if result is None or not result.code:
                raise SignupIncomplete("Meta's window ended without a result. Open it again.")
            shared = await _exchange(connector, result)
            run = await _store(connector, run, attempt, shared)
        await register(connector, run, attempt)
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


async def _store(connector: Connector, run: Run, attempt: Attempt, shared: _Shared) -> Run:
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
                facts=facts_of(number, is_coexistence=shared.is_coexistence),
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


def _number_of(timezone_id: str | None) -> int | None:
    return int(timezone_id) if timezone_id and timezone_id.isdigit() else None
