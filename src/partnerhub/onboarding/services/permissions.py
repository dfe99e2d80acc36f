"""What the partner may use: the client gives and takes permissions, number by number."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from partnerhub.channels.services import grant_permission, lock_channel, revoke_permission
from partnerhub.kit import clock
from partnerhub.kit.database import Database
from partnerhub.onboarding import queries
from partnerhub.onboarding.errors import PermissionFixed, StepWrong
from partnerhub.onboarding.rules import Rules, has_choice, is_fixed
from partnerhub.onboarding.schemas import Run, Step
from partnerhub.onboarding.services.steps import Place, actor_of, move_to
from partnerhub.partners import queries as partners


async def decide_permissions(
    db: Database,
    *,
    run_id: UUID,
    browser_token: str,
    shown: Collection[str],
    shared: Collection[str],
    rules: Rules,
    ip: str,
    user_agent: str,
) -> Run:
    """Give the partner the numbers that are `shared`, take back the others that were `shown`, end the run.

    All of it in one commit, and each change told to the partner once. A number that was not on the page
    stays as it is, whatever another window did meanwhile.
    Raises: RunUnknown, StepWrong, PermissionFixed.
    """
    async with db.system() as unit:
        run = await queries.get_run(unit, run_id=run_id, browser_token=browser_token, for_update=True)
        if run.client_id is None or run.step is not Step.PERMISSION:
            raise StepWrong("Permissions are decided at another step.")
        partner = await partners.get_partner(unit, partner_id=run.partner_id)
        of_page = {
            number.channel_id: number
            for number in await queries.list_live_numbers(unit, run=run)
            if number.channel_id in shown
        }
        # Every row before the first change: a change ends with the audit log's lock, and whoever waits for
        # a number while holding that could be waited for.
        for channel_id in sorted(of_page):
            await lock_channel(unit, partner_id=run.partner_id, channel_id=channel_id)
        of_page = {
            number.channel_id: number
            for number in await queries.list_live_numbers(unit, run=run)
            if number.channel_id in of_page
        }
        actor = await actor_of(unit, run, ip=ip, user_agent=user_agent)
        revoked = [
            channel_id
            for channel_id, number in of_page.items()
            if number.is_shared and channel_id not in shared
        ]
        if any(is_fixed(partner, of_page[channel_id], rules) for channel_id in revoked):
            raise PermissionFixed(f"{partner.brand_name} pays for this number. Ask there to end it.")
        permitted = [channel_id for channel_id in of_page if channel_id in shared]
        await unit.execute(
            "update onboarding_run set step = %s, channel_ids = %s, revoked_ids = %s, modified_at = %s"
            " where id = %s",
            (Step.DONE.value, permitted, revoked, clock.now(), run.id),
        )
        for channel_id in permitted:
            await grant_permission(unit, partner_id=run.partner_id, channel_id=channel_id, actor=actor)
        for channel_id in revoked:
            await revoke_permission(unit, partner_id=run.partner_id, channel_id=channel_id, actor=actor)
        return await queries.get_run(unit, run_id=run_id, browser_token=browser_token)


async def choose_permissions(db: Database, *, run_id: UUID, browser_token: str, rules: Rules) -> Run:
    """Turn from connecting a number to what is shared of the numbers that the client has.

    Raises: RunUnknown, StepWrong where there is nothing to decide.
    """
    async with db.system() as unit:
        run = await queries.get_run(unit, run_id=run_id, browser_token=browser_token, for_update=True)
        if run.client_id is None or run.step not in {Step.PRICES, Step.CONNECT} or run.is_working:
            raise StepWrong("Permissions are decided at another step.")
        partner = await partners.get_partner(unit, partner_id=run.partner_id)
        if not has_choice(partner, await queries.list_live_numbers(unit, run=run), rules):
            raise StepWrong("There is nothing to decide.")
        await move_to(unit, run_id=run.id, place=Place(Step.PERMISSION))
        return await queries.get_run(unit, run_id=run_id, browser_token=browser_token)
