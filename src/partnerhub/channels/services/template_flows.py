"""Templates with Meta: create, edit, delete, compare. Flows: read, call Meta, write what Meta said.

Creating waits for Meta's answer, as clients expect (the id at Meta is part of the answer). An answer that
never comes leaves open whether the template exists; the next comparison finds out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from partnerhub.channels.access import MetaAccess
from partnerhub.channels.drafts import read_draft, read_edit
from partnerhub.channels.errors import TemplateLimited, TemplateNameTaken, TemplateRefused
from partnerhub.channels.jobs import ask_for_templates
from partnerhub.channels.life_cycle import HubStatus
from partnerhub.channels.queries import get_template, get_waba
from partnerhub.channels.schemas import Template, Waba
from partnerhub.channels.services.templates import (
    RemoteTemplate,
    Synced,
    record_edit,
    record_template,
    remove_template,
    write_templates,
)
from partnerhub.identity.schemas import Actor
from partnerhub.kit import clock
from partnerhub.kit.database import Database, Unit
from partnerhub.meta import MetaError, RetryClass
from partnerhub.meta.shapes import Template as MetaTemplate

# Meta's subcodes: it has a template of this name and language; it has no such template (any more).
_NAME_TAKEN = 2388024
_GONE = 2593002


@dataclass(frozen=True)
class _Account:
    """A WABA account and the token that Meta lets in for it."""

    waba: Waba
    token: str = field(repr=False)


async def create_template(
    db: Database,
    access: MetaAccess,
    *,
    partner_id: str,
    waba_id: str,
    body: Mapping[str, object],
    actor: Actor,
) -> Template:
    """Hand a template to Meta's review and return it as `submitted`, or as Meta has decided already.

    `body` is the template as a caller wrote it. Raises: WabaUnknown, TemplateInvalid; TemplateNameTaken,
    TemplateRefused, TemplateLimited by Meta's word; MetaError.
    """
    asked_at = clock.now()
    account = await _open_account(db, access, partner_id, waba_id)
    draft = read_draft(body)
    try:
        made = await access.meta.templates.create(
            account.waba.external_id, token=account.token, template=draft.as_meta()
        )
    except MetaError as error:
        raise _translated(error) from error
    async with db.tenant(partner_id) as unit:
        return await record_template(
            unit,
            waba=account.waba,
            draft=draft,
            external_id=made.id,
            meta_status=made.status or "PENDING",
            category=made.category or draft.category,
            asked_at=asked_at,
            actor=actor,
        )


async def edit_template(
    db: Database,
    access: MetaAccess,
    *,
    partner_id: str,
    waba_id: str,
    template_id: str,
    body: Mapping[str, object],
    actor: Actor,
) -> Template:
    """Change a template at Meta; it is under review again.

    `body` is the change as a caller wrote it. Raises: WabaUnknown, TemplateUnknown, TemplateInvalid;
    TemplateRefused, TemplateLimited by Meta's word; MetaError.
    """
    account = await _open_account(db, access, partner_id, waba_id)
    async with db.tenant(partner_id) as unit:
        template = await get_template(unit, partner_id=partner_id, waba_id=waba_id, template_id=template_id)
    edit = read_edit(body)
    try:
        await access.meta.templates.edit(template.external_id, token=account.token, changes=edit.as_meta())
    except MetaError as error:
        raise _translated(error) from error
    async with db.tenant(partner_id) as unit:
        return await record_edit(unit, template=template, components=edit.components, actor=actor)


async def delete_template(
    db: Database, access: MetaAccess, *, partner_id: str, waba_id: str, template_id: str, actor: Actor
) -> Template:
    """Delete one language of a template at Meta and return what it was; one that Meta has forgotten too.

    Raises: WabaUnknown, TemplateUnknown; TemplateRefused, TemplateLimited by Meta's word; MetaError.
    """
    account = await _open_account(db, access, partner_id, waba_id)
    async with db.tenant(partner_id) as unit:
        template = await get_template(unit, partner_id=partner_id, waba_id=waba_id, template_id=template_id)
    try:
        await access.meta.templates.delete(
            account.waba.external_id,
            token=account.token,
            name=template.name,
            template_id=template.external_id,
        )
    except MetaError as error:
        if error.subcode != _GONE:
            raise _translated(error) from error
    async with db.tenant(partner_id) as unit:
        await remove_template(unit, template=template, actor=actor)
    return template


async def sync_templates(db: Database, access: MetaAccess, *, partner_id: str, waba_id: str) -> Synced:
    """Bring our rows to what Meta lists for the account; a changed status or category is told.

    Raises: WabaUnknown, MetaError.
    """
    account = await _open_account(db, access, partner_id, waba_id)
    asked_at = clock.now()
    remote = [
        _remote(one)
        async for one in access.meta.templates.list_all(account.waba.external_id, token=account.token)
    ]
    async with db.tenant(partner_id) as unit:
        return await write_templates(
            unit, partner_id=partner_id, waba_id=waba_id, remote=remote, asked_at=asked_at
        )


async def ask_for_all_templates(db: Database) -> None:
    """Let the worker compare the templates of every account with a number in use. A daily job.

    What is made at Meta by others is usually told by a callback; this finds what was not.
    """
    async with db.system() as unit:
        for row in await unit.fetch_dicts(
            "select id, partner_id from waba where exists"
            " (select from channel where channel.waba_id = waba.id and channel.hub_status <> %s) order by id",
            (HubStatus.TERMINATED.value,),
        ):
            await ask_for_templates(unit, partner_id=row["partner_id"], waba_id=row["id"])


async def _open_account(db: Database, access: MetaAccess, partner_id: str, waba_id: str) -> _Account:
    async with db.tenant(partner_id) as unit:
        waba = await get_waba(unit, partner_id=partner_id, waba_id=waba_id)
        sealed = await _sealed(unit, waba_id)
    return _Account(waba, access.token_of(waba_id=waba_id, access_sealed=sealed))


async def _sealed(unit: Unit, waba_id: str) -> bytes | None:
    sealed: bytes | None = await unit.fetch_value("select access_sealed from waba where id = %s", (waba_id,))
    return sealed


def _remote(one: MetaTemplate) -> RemoteTemplate:
    return RemoteTemplate(
        external_id=one.id,
        name=one.name or "",
        language=one.language or "",
        category=one.category or "",
        status=one.status or "PENDING",
        components=one.components,
        quality=one.quality_score.score if one.quality_score else None,
        rejected_reason=one.rejected_reason,
    )


def _translated(error: MetaError) -> Exception:
    """Say Meta's refusal in the words of the caller: what they can mend is theirs, not a failure upstream."""
    if error.subcode == _NAME_TAKEN:
        return TemplateNameTaken()
    if error.retry_class is RetryClass.THROTTLE:
        return TemplateLimited(error.message, retry_after_seconds=error.retry_after_seconds or 60)
    if error.retry_class is RetryClass.FINAL and error.http_status is not None and error.http_status < 500:
        said = [error.user_title, error.user_message or error.details or error.message]
        return TemplateRefused(
            " ".join(part for part in said if part),
            upstream_code=error.subcode or error.upstream_code,
            trace_id=error.trace_id,
        )
    return error
