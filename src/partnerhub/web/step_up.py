"""Step-up: the few actions that want a fresh proof, whoever is signed in.

A person proves it with a one-time code from the mail, sent for this one purpose. A partner key proves it by
its scope `security`, which the route's guard has checked. Legacy tokens never can.
"""

from __future__ import annotations

from datetime import datetime

from partnerhub.identity import services as identity
from partnerhub.identity.schemas import CodePurpose
from partnerhub.kit.database import Database
from partnerhub.partners.schemas import PartnerKey, Scope
from partnerhub.ui.languages import Language
from partnerhub.web.errors import CodeNeeded, ScopeMissing
from partnerhub.web.principal import Principal, SignedInUser


async def send_code(
    db: Database, principal: Principal, *, purpose: CodePurpose, language: Language
) -> datetime:
    """Mail the person a code for the purpose and return when it expires.

    Raises: CodeNeeded for who is not a person; CodeLimited.
    """
    if not isinstance(principal, SignedInUser):
        raise CodeNeeded("Only a signed-in person gets a code.")
    return await identity.request_code(
        db, user_id=principal.session.user_id, purpose=purpose, locale=language
    )


async def step_up(db: Database, principal: Principal, *, purpose: CodePurpose, code: str | None) -> None:
    """Let the action pass, or refuse; call it before the domain call. A code is spent by it.

    Raises: CodeNeeded without a code, CodeWrong, CodeExpired; ScopeMissing for keys without `security`.
    """
    match principal:
        case SignedInUser(session=session):
            if not code or not code.strip():
                raise CodeNeeded(
                    "Confirm this with a one-time code.", fields={"code": "Enter the code from the mail."}
                )
            await identity.check_code(db, user_id=session.user_id, purpose=purpose, code=code)
        case PartnerKey(scopes=scopes) if Scope.SECURITY in scopes:
            return
        case _:
            raise ScopeMissing("This needs a partner key with the scope “security”.")
