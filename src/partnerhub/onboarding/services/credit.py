"""The operator's credit line as a connected account's means of payment at Meta.

Only for operators who are Solution Partners: they pay Meta for their clients, and without a share of their
line nothing chargeable is sent (Meta's error 131042).
Source: Meta's onboarding sequence for solution providers, November 2026.
"""

from __future__ import annotations

from partnerhub.channels.schemas import Channel
from partnerhub.channels.services import WabaFacts, update_waba
from partnerhub.kit import logs
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.meta import MetaClient

log = logs.get(__name__)


async def share_credit_line(
    db: Database,
    meta: MetaClient,
    keyring: Keyring,
    *,
    channel: Channel,
    line_id: str,
    currency: str,
    token: str,
    system_token: str,
) -> None:
    """Let the operator's line pay for the channel's account; repeatable, and nothing without a line.

    `token` is the account's own. The account's currency is `currency` from then on: Meta fixes it. An account
    that has a means of payment keeps it, for Meta swaps none.
    Raises: MetaError.
    """
    if not line_id:
        return
    account_id = channel.waba.external_id
    account = await meta.accounts.get(account_id, token=token)
    if account.primary_funding_id:
        return
    # Meta shares a line only with accounts on which the system user that asks has a task.
    user_id = (await meta.app.debug_token(inspected=system_token, token=system_token)).user_id
    if user_id:
        await meta.accounts.assign_user(account_id, token=token, user_id=user_id)
    shared = await meta.credit.share_and_attach(
        line_id, token=system_token, account_id=account_id, currency=currency
    )
    log.info("credit line shared", waba=channel.waba_id, allocation=shared.allocation_config_id)
    async with db.system() as unit:
        await update_waba(
            unit,
            partner_id=channel.partner_id,
            waba_id=channel.waba_id,
            facts=WabaFacts(currency=currency),
            keyring=keyring,
        )
