"""Who the client is: a new account, or one that exists."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from partnerhub.channels.services import create_client
from partnerhub.identity.errors import EmailTaken
from partnerhub.identity.passwords import STANDARD, Passwords
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.identity.services import check_password, create_user, hit_limit
from partnerhub.kit import clock
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.errors import Invalid
from partnerhub.onboarding import queries
from partnerhub.onboarding.errors import AccountExists, StepWrong
from partnerhub.onboarding.schemas import Run, Step

_SIGN_UPS_AN_HOUR: Final = 60
"""From one address; an agency may sit behind one with many clients."""


class TermsNotAccepted(Invalid):
    """Sign-up needs the terms of service to be accepted."""

    code = "terms_not_accepted"


async def sign_up_client(
    db: Database,
    *,
    run_id: UUID,
    browser_token: str,
    company: str,
    person: str,
    email: str,
    password: str,
    accepts_terms: bool,
    locale: str,
    ip: str,
    user_agent: str,
    passwords: Passwords = STANDARD,
) -> Run:
    """Make the person and the client in one commit (`client_created`) and go on to the connection.

    Raises: RunUnknown, StepWrong, TermsNotAccepted, AccountExists, EmailInvalid, PasswordWeak, ClientInvalid,
    TooMany: sign-up tells whether an e-mail has an account, so nobody may ask it often.
    """
    if not accepts_terms:
        raise TermsNotAccepted(
            "Accept the terms of service to go on.", fields={"accepts_terms": "Needed to go on."}
        )
    # A form may carry what PostgreSQL's text cannot.
    company, person = company.replace("\x00", ""), person.replace("\x00", "")
    async with db.system() as unit:
        # In a commit of its own: attempts that fail count too.
        await hit_limit(unit, key=f"sign-up@{ip}", limit=_SIGN_UPS_AN_HOUR, window_seconds=3_600)
    async with db.system() as unit:
        run = await _at_account(unit, run_id, browser_token)
        try:
            user = await create_user(
                unit, email=email, name=person, password=password, locale=locale, passwords=passwords
            )
        except EmailTaken as error:
            raise AccountExists("There is an account with this e-mail. Sign in instead.") from error
        actor = Actor(kind=ActorKind.CLIENT, id=user.id, name=user.email, ip=ip, user_agent=user_agent)
        client = await create_client(
            unit,
            partner_id=run.partner_id,
            name=company,
            email=user.email,
            actor=actor,
            organisation=company,
            partner_payload=run.parameter("partner_payload") or None,
            contact_info={"email": user.email, "full_name": person, "language": locale},
            contact_name=person,
            user_id=user.id,
        )
        return await _go_to_connect(unit, run, browser_token, client.id)


async def sign_in_client(
    db: Database,
    *,
    run_id: UUID,
    browser_token: str,
    email: str,
    password: str,
    ip: str,
    user_agent: str,
    passwords: Passwords = STANDARD,
) -> Run:
    """Take the person's client of this partner, or make one, and go on to the connection.

    Raises: RunUnknown, StepWrong, SignInRefused, SignInLimited.
    """
    user = await check_password(db, email=email, password=password, ip=ip, passwords=passwords)
    async with db.system() as unit:
        run = await _at_account(unit, run_id, browser_token)
        client_id = await unit.fetch_value(
            "select id from client where partner_id = %s and user_id = %s order by created_at limit 1",
            (run.partner_id, user.id),
        )
        if client_id is None:
            actor = Actor(kind=ActorKind.CLIENT, id=user.id, name=user.email, ip=ip, user_agent=user_agent)
            client = await create_client(
                unit,
                partner_id=run.partner_id,
                name=run.parameter("name") or user.name or user.email,
                email=user.email,
                actor=actor,
                partner_payload=run.parameter("partner_payload") or None,
                contact_name=user.name,
                user_id=user.id,
            )
            client_id = client.id
        return await _go_to_connect(unit, run, browser_token, str(client_id))


async def _at_account(unit: Unit, run_id: UUID, browser_token: str) -> Run:
    # The row stays locked until the commit: a form that is sent twice finds the second step.
    run = await queries.get_run(unit, run_id=run_id, browser_token=browser_token, for_update=True)
    if run.step is not Step.ACCOUNT:
        raise StepWrong("This step is done already.")
    return run


async def _go_to_connect(unit: Unit, run: Run, browser_token: str, client_id: str) -> Run:
    await unit.execute(
        "update onboarding_run set client_id = %s, step = %s, error_code = null,"
        " error_message = null, modified_at = %s where id = %s",
        (client_id, Step.CONNECT.value, clock.now(), run.id),
    )
    return await queries.get_run(unit, run_id=run.id, browser_token=browser_token)
