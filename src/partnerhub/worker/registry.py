"""The only place where job names meet their handlers.

Packages defer jobs by name in their own commit; here each name is bound to a function of a package that may
stand above the one that deferred it. `tests/worker/` proves that every name that is deferred anywhere is
bound here.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.errors import LockNotAvailable

from partnerhub.billing import services as billing
from partnerhub.channels import services as channels
from partnerhub.channels.access import MetaAccess
from partnerhub.channels.jobs import SYNC_TEMPLATES
from partnerhub.identity import services as identity
from partnerhub.identity.services import resets
from partnerhub.kit import logs, mail
from partnerhub.kit.database import Database
from partnerhub.kit.jobs import Queue
from partnerhub.ledger import queries as ledger
from partnerhub.messaging import jobs as messaging
from partnerhub.messaging.services import RouteBook
from partnerhub.onboarding import services as onboarding
from partnerhub.onboarding.services import upkeep as runs
from partnerhub.partners import notices
from partnerhub.partners import services as partners
from partnerhub.webhooks import jobs as webhooks
from partnerhub.webhooks.turns import NOTICE_JOB

log = logs.get(__name__)


@dataclass(frozen=True)
class Means:
    """What handlers work with."""

    database: Database
    mail_server: mail.MailServer
    meta: MetaAccess
    routes: RouteBook
    hub_url: str


def register_all(queue: Queue, means: Means) -> None:
    """Bind every name, and start what runs by the clock (UTC)."""
    db = means.database

    async def send_mail(*, mail_id: str) -> None:
        await mail.deliver(db, mail_id, server=means.mail_server)

    async def send_reset_link(*, email: str, link_base: str) -> None:
        await identity.send_reset_link(db, email=email, link_base=link_base)

    async def route_change(*, change_id: str) -> None:
        await messaging.route_change(db, means.routes, change_id=change_id)

    async def tell_endpoint_owner(*, endpoint_id: str, reason: str) -> None:
        await notices.warn_of_endpoint(db, endpoint_id=endpoint_id, reason=reason, hub_url=means.hub_url)

    async def sync_templates(*, partner_id: str, waba_id: str) -> None:
        await channels.sync_templates(db, means.meta, partner_id=partner_id, waba_id=waba_id)

    async def renew(*, partner_id: str, currency: str) -> None:
        await billing.warn_of_low_balance(db, partner_id=partner_id, currency=currency, hub_url=means.hub_url)

    queue.register(mail.JOB, send_mail, attempts=12)
    queue.register(resets.JOB, send_reset_link)
    queue.register(messaging.ROUTE_JOB, route_change)
    queue.register(NOTICE_JOB, tell_endpoint_owner)
    queue.register(SYNC_TEMPLATES, sync_templates)
    queue.register("billing.renew", renew)

    async def release_stale() -> None:
        await messaging.release_stale(db)

    async def route_waiting() -> None:
        await messaging.route_waiting(db, means.routes)

    async def forget_old() -> None:
        await messaging.forget_old(db)

    async def expire_overdue() -> None:
        await webhooks.expire_overdue(db)

    async def tidy_identity() -> None:
        await identity.tidy(db)

    async def tidy_runs() -> None:
        await runs.tidy_runs(db)

    async def tidy_links() -> None:
        await onboarding.tidy_links(db)

    async def terminate_due() -> None:
        await channels.terminate_due(db)

    async def ask_for_all_templates() -> None:
        await channels.ask_for_all_templates(db)

    async def drop_old_tokens() -> None:
        await partners.drop_old_tokens(db)

    async def keep_partitions() -> None:
        await keep_days(db)

    async def check_books() -> None:
        async with db.system() as unit:
            differences = await ledger.check_books(unit)
        for difference in differences:
            log.error("the books do not add up", difference=repr(difference))

    queue.register("messaging.release_stale", release_stale, cron="* * * * *")
    queue.register("messaging.route_waiting", route_waiting, cron="* * * * *")
    queue.register("messaging.forget_old", forget_old, cron="17 * * * *")
    queue.register("webhooks.expire_overdue", expire_overdue, cron="7 * * * *")
    queue.register("identity.tidy", tidy_identity, cron="27 * * * *")
    queue.register("onboarding.tidy_links", tidy_links, cron="33 * * * *")
    queue.register("onboarding.tidy_runs", tidy_runs, cron="57 2 * * *")
    queue.register("channels.terminate_due", terminate_due, cron="5 0 * * *")
    queue.register("channels.ask_for_all_templates", ask_for_all_templates, cron="13 4 * * *")
    queue.register("partners.drop_old_tokens", drop_old_tokens, cron="47 2 * * *")
    queue.register("kit.keep_partitions", keep_partitions, cron="37 * * * *")
    queue.register("ledger.check_books", check_books, cron="23 3 * * *")


async def keep_days(db: Database) -> None:
    """Make the partitions of the coming days and drop those past their retention.

    While something long reads the tables (a backup), old days stay: they are dropped at a later call.
    """
    async with db.system() as unit:
        await unit.fetch_value("select make_partitions()")
    try:
        async with db.system() as unit:
            await unit.fetch_value("select drop_partitions()")
    except LockNotAvailable:
        log.info("old days are dropped later", reason="somebody reads the tables")
