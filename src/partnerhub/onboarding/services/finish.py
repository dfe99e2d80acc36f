"""The way back: to the partner's page with what this run brought."""

from __future__ import annotations

from uuid import UUID

from partnerhub.kit import clock
from partnerhub.kit.database import Database
from partnerhub.onboarding import queries
from partnerhub.onboarding.entry import redirect_with
from partnerhub.onboarding.errors import StepWrong
from partnerhub.onboarding.rules import NO_RULES, Rules
from partnerhub.onboarding.schemas import Run, Step
from partnerhub.onboarding.services.steps import Place, move_to, step_to_connect
from partnerhub.partners import queries as partners


async def choose_known_numbers(db: Database, *, run_id: UUID, browser_token: str) -> Run:
    """End the run with the numbers that the client already shares, without connecting a new one.

    One whose registration is not finished is none of them.
    Raises: RunUnknown, StepWrong.
    """
    async with db.system() as unit:
        run = await queries.get_run(unit, run_id=run_id, browser_token=browser_token, for_update=True)
        if run.client_id is None or run.step is not Step.CONNECT or run.is_working:
            raise StepWrong("There is nothing to choose at this step.")
        known = await queries.list_known_numbers(
            unit, client_id=run.client_id, number=run.parameter("number")
        )
        shared = [number.channel_id for number in known if number.is_shared and number.is_live]
        if not shared:
            raise StepWrong("There is no shared number yet.")
        await unit.execute(
            "update onboarding_run set step = %s, channel_ids = %s, modified_at = %s where id = %s",
            (Step.DONE.value, shared, clock.now(), run.id),
        )
        return await queries.get_run(unit, run_id=run_id, browser_token=browser_token)


async def go_back_to_connect(
    db: Database, *, run_id: UUID, browser_token: str, rules: Rules = NO_RULES
) -> Run:
    """Let the client connect a number: instead of one whose registration cannot succeed, or a further one.

    A run that brought a number or is finished stays, and so does one whose number is being registered at this
    moment. Raises: RunUnknown, StepWrong.
    """
    async with db.system() as unit:
        run = await queries.get_run(unit, run_id=run_id, browser_token=browser_token, for_update=True)
        is_asking = run.step is Step.PERMISSION and not run.channel_ids
        if run.is_working or not (is_asking or run.step in {Step.CONNECT, Step.REGISTER}):
            raise StepWrong("The number is being registered at this moment, or is already.")
        if run.client_id is None:
            raise StepWrong("This step is done already.")
        step = Step.CONNECT
        if is_asking:
            partner = await partners.get_partner(unit, partner_id=run.partner_id)
            step = await step_to_connect(unit, partner=partner, client_id=run.client_id, rules=rules)
        await move_to(unit, run_id=run.id, place=Place(step))
        return await queries.get_run(unit, run_id=run_id, browser_token=browser_token)


def finish_run(run: Run) -> str | None:
    """Return where the popup goes, None where neither link nor partner names an address: it ends there.

    Raises: StepWrong while the run is not done.
    """
    if run.step is not Step.DONE or run.client_id is None:
        raise StepWrong("The connection is not finished yet.")
    if run.redirect_url is None:
        return None
    return redirect_with(
        run.redirect_url,
        client_id=run.client_id,
        channel_ids=run.channel_ids,
        revoked_ids=run.revoked_ids,
        state=run.state or "",
    )
