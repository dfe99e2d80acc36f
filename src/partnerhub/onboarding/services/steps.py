"""Which step comes next, and who may add a number: asked by steps and pages alike."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from partnerhub.channels import queries as channels
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.kit import clock
from partnerhub.kit.database import Unit
from partnerhub.onboarding import queries
from partnerhub.onboarding.errors import ClientMayNotAdd, OnboardingClosed
from partnerhub.onboarding.rules import Rules, has_choice
from partnerhub.onboarding.schemas import KnownNumber, Run, Step
from partnerhub.partners.schemas import Partner


@dataclass(frozen=True)
class Place:
    """Where a run goes: a step and, for REGISTER, the number that is taken up there."""

    step: Step
    number: KnownNumber | None = None


async def place_after_account(
    unit: Unit, *, run: Run, partner: Partner, client_id: str, rules: Rules
) -> Place:
    """Return where a client goes once it is known who it is."""
    if run.parameters.get("at_permissions"):
        known = await queries.list_known_numbers(unit, client_id=client_id, number=run.parameter("number"))
        if has_choice(partner, known, rules):
            return Place(Step.PERMISSION)
    step = await step_to_connect(unit, partner=partner, client_id=client_id, rules=rules)
    return await place_at_connect(unit, run=run, client_id=client_id) if step is Step.CONNECT else Place(step)


async def place_at_connect(unit: Unit, *, run: Run, client_id: str) -> Place:
    """Return CONNECT, or REGISTER where all that the client has is one number whose registration stopped.

    Beside another number it may have been left on purpose: the page offers to finish it.
    """
    known = await queries.list_known_numbers(unit, client_id=client_id, number=run.parameter("number"))
    if len(known) == 1 and not known[0].is_live:
        return Place(Step.REGISTER, known[0])
    return Place(Step.CONNECT)


async def step_to_connect(unit: Unit, *, partner: Partner, client_id: str, rules: Rules) -> Step:
    """Return the step towards a new number: prices first, where the client has not accepted today's.

    Raises: OnboardingClosed.
    """
    if partner.blocked_new_submission:
        raise OnboardingClosed(f"{partner.brand_name} takes no new numbers at the moment.")
    if partner.payment_model != "direct_paid":
        return Step.CONNECT
    accepted = await queries.has_accepted_prices(
        unit, client_id=client_id, currency=partner.currency, terms_url=rules.terms_url
    )
    return Step.CONNECT if accepted else Step.PRICES


async def check_may_add(unit: Unit, *, partner: Partner, client_id: str) -> None:
    """Let a client go to Meta's window for a further number.

    The first number may always come. One whose registration stopped counts: it is brought to its end, which
    needs no window, and does not open the way for others.
    Raises: ClientMayNotAdd.
    """
    known = await queries.list_known_numbers(unit, client_id=client_id)
    if known and not partner.allow_client_to_add_phone_no:
        raise ClientMayNotAdd(f"{partner.brand_name} does not let clients add numbers by themselves.")
    client = await channels.get_client(unit, partner_id=partner.id, client_id=client_id)
    if len(known) >= client.max_channels:
        raise ClientMayNotAdd(f"The account may have {client.max_channels} numbers and has {len(known)}.")


async def move_to(unit: Unit, *, run_id: UUID, place: Place) -> None:
    """Let the run stand at another step, without what stopped it before."""
    number = place.number
    await unit.execute(
        "update onboarding_run set step = %s, waba_id = %s, channel_ids = %s, error_code = null,"
        " error_message = null, modified_at = %s where id = %s",
        (
            place.step.value,
            number.waba_id if number else None,
            [number.channel_id] if number else [],
            clock.now(),
            run_id,
        ),
    )


async def actor_of(unit: Unit, run: Run, *, ip: str, user_agent: str) -> Actor:
    """Return the run's client as the one who acts; the run must have one."""
    client = await channels.get_client(unit, partner_id=run.partner_id, client_id=run.client_id or "")
    return Actor(
        kind=ActorKind.CLIENT,
        id=client.user_id or client.id,
        name=client.name,
        ip=ip,
        user_agent=user_agent,
    )
