"""Who the client is: a new account, or one that exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from partnerhub.channels.services import create_client, update_client
from partnerhub.identity.errors import EmailTaken
from partnerhub.identity.passwords import STANDARD, Passwords
from partnerhub.identity.queries import get_user
from partnerhub.identity.schemas import Actor, ActorKind, User
from partnerhub.identity.services import check_password, create_user, hit_limit, record_change
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.errors import Invalid
from partnerhub.kit.peers import source_of
from partnerhub.onboarding import queries
from partnerhub.onboarding.errors import AccountExists, StepWrong
from partnerhub.onboarding.rules import NO_RULES, Rules
from partnerhub.onboarding.schemas import Run, Step
from partnerhub.onboarding.services.links import claim_signature
from partnerhub.onboarding.services.steps import move_to, place_after_account
from partnerhub.partners import queries as partners

_SIGN_UPS_AN_HOUR: Final = 60
"""From one address; an agency may sit behind one with many clients."""

_LONGEST_NAME: Final = 200


class TermsNotAccepted(Invalid):
    """Sign-up needs the terms of service to be accepted."""

    code = "terms_not_accepted"


class SignUpInvalid(Invalid):
    """A field of the sign-up form is empty or too long."""

    code = "sign_up_invalid"


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
    rules: Rules = NO_RULES,
) -> Run:
    """Make the person and the client in one commit (`client_created`), note the accepted terms, and go on.

    Raises: RunUnknown, StepWrong, SignUpInvalid, TermsNotAccepted, AccountExists, EmailInvalid, PasswordWeak,
    TooMany: sign-up tells whether an e-mail has an account, so nobody may ask it often.
    """
    company, person = _clean(company), _clean(person)
    _check_form(
        {"company": (company, "Enter the company's name."), "person": (person, "Enter your name.")},
        accepts_terms=accepts_terms,
    )
    async with db.system() as unit:
        # In a commit of its own: attempts that fail count too.
        await hit_limit(unit, key=f"sign-up@{source_of(ip)}", limit=_SIGN_UPS_AN_HOUR, window_seconds=3_600)
    async with db.system() as unit:
        run = await _at_account(unit, run_id, browser_token)
        try:
            user = await create_user(
                unit, email=email, name=person, password=password, locale=locale, passwords=passwords
            )
        except EmailTaken as error:
            raise AccountExists("There is an account with this e-mail. Sign in instead.") from error
        actor = _actor(user, ip=ip, user_agent=user_agent)
        client_id = await _create(unit, run=run, user=user, company=company, actor=actor, rules=rules)
        return await _go_on(unit, run, browser_token, client_id, rules)


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
    rules: Rules = NO_RULES,
) -> Run:
    """Take the person's client of this partner and go on; who has none here stays for `add_client`.

    The link's `partner` (the partner's own reference) is kept on a client that has none; it never replaces
    one, because whoever writes a link could then change what the partner's software knows the client by.
    Raises: RunUnknown, StepWrong, SignInRefused, SignInLimited.
    """
    user = await check_password(db, email=email, password=password, ip=ip, passwords=passwords)
    async with db.system() as unit:
        run = await _at_account(unit, run_id, browser_token)
        client_id = await _take(unit, run=run, user=user, actor=_actor(user, ip=ip, user_agent=user_agent))
        if client_id is None:
            await unit.execute("update onboarding_run set user_id = %s where id = %s", (user.id, run.id))
            return await queries.get_run(unit, run_id=run.id, browser_token=browser_token)
        return await _go_on(unit, run, browser_token, client_id, rules)


async def add_client(
    db: Database,
    *,
    run_id: UUID,
    browser_token: str,
    company: str,
    accepts_terms: bool,
    ip: str,
    user_agent: str,
    rules: Rules = NO_RULES,
) -> Run:
    """Make the client of a person who signed in and has none of this partner (`client_created`), and go on.

    Raises: RunUnknown, StepWrong, SignUpInvalid, TermsNotAccepted.
    """
    company = _clean(company)
    _check_form({"company": (company, "Enter the company's name.")}, accepts_terms=accepts_terms)
    async with db.system() as unit:
        run = await _at_account(unit, run_id, browser_token)
        if run.user_id is None:
            raise StepWrong("Nobody has signed in yet.")
        user = await get_user(unit, user_id=run.user_id)
        actor = _actor(user, ip=ip, user_agent=user_agent)
        # Two windows of one person make one client.
        await unit.lock(f"client of {user.id} at {run.partner_id}")
        client_id = await _take(unit, run=run, user=user, actor=actor) or await _create(
            unit, run=run, user=user, company=company, actor=actor, rules=rules
        )
        return await _go_on(unit, run, browser_token, client_id, rules)


async def _take(unit: Unit, *, run: Run, user: User, actor: Actor) -> str | None:
    """Return the client that the person has of this partner, with the link's payload where it has none."""
    rows = await unit.fetch_dicts(
        "select id, partner_payload from client where partner_id = %s and user_id = %s"
        " order by created_at, id limit 1",
        (run.partner_id, user.id),
    )
    if not rows:
        return None
    client_id, payload = str(rows[0]["id"]), run.parameter("partner_payload")
    if payload and not rows[0]["partner_payload"]:
        await update_client(
            unit, partner_id=run.partner_id, client_id=client_id, actor=actor, partner_payload=payload
        )
    return client_id


async def _create(unit: Unit, *, run: Run, user: User, company: str, actor: Actor, rules: Rules) -> str:
    """Make the client and keep that it accepted the terms, and which."""
    client = await create_client(
        unit,
        partner_id=run.partner_id,
        name=company,
        email=user.email,
        actor=actor,
        organisation=company,
        partner_payload=run.parameter("partner_payload") or None,
        contact_info={"email": user.email, "full_name": user.name, "language": user.locale},
        contact_name=user.name,
        user_id=user.id,
    )
    await record_change(
        unit,
        partner_id=run.partner_id,
        actor=actor,
        action="terms.accepted",
        object_kind="client",
        object_id=client.id,
        before=None,
        after={"terms_url": rules.terms_url},
    )
    return client.id


def _actor(user: User, *, ip: str, user_agent: str) -> Actor:
    return Actor(kind=ActorKind.CLIENT, id=user.id, name=user.email, ip=ip, user_agent=user_agent)


def _clean(text: str) -> str:
    # A form may carry what PostgreSQL's text cannot.
    return text.replace("\x00", "").strip()


def _check_form(names: Mapping[str, tuple[str, str]], *, accepts_terms: bool) -> None:
    """Look at everything at once. Raises: SignUpInvalid, TermsNotAccepted."""
    wrong = {
        field: missing if not text else f"Use at most {_LONGEST_NAME} characters."
        for field, (text, missing) in names.items()
        if not 1 <= len(text) <= _LONGEST_NAME
    }
    terms = {} if accepts_terms else {"accepts_terms": "Needed to go on."}
    if wrong:
        raise SignUpInvalid("A field is empty or too long.", fields={**wrong, **terms})
    if terms:
        raise TermsNotAccepted("Accept the terms of service to go on.", fields=terms)


async def _at_account(unit: Unit, run_id: UUID, browser_token: str) -> Run:
    # The row stays locked until the commit: a form that is sent twice finds the second step.
    run = await queries.get_run(unit, run_id=run_id, browser_token=browser_token, for_update=True)
    if run.step is not Step.ACCOUNT:
        raise StepWrong("This step is done already.")
    await claim_signature(unit, run=run)
    return run


async def _go_on(unit: Unit, run: Run, browser_token: str, client_id: str, rules: Rules) -> Run:
    partner = await partners.get_partner(unit, partner_id=run.partner_id)
    place = await place_after_account(unit, run=run, partner=partner, client_id=client_id, rules=rules)
    await unit.execute("update onboarding_run set client_id = %s where id = %s", (client_id, run.id))
    await move_to(unit, run_id=run.id, place=place)
    return await queries.get_run(unit, run_id=run.id, browser_token=browser_token)
