"""Rows of templates: written after Meta said something, told to the partner where the word changed.

The calls to Meta are flows in `template_flows`; here are their steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import sql
from psycopg.types.json import Jsonb

from partnerhub.channels.drafts import TemplateDraft
from partnerhub.channels.jobs import ask_for_templates
from partnerhub.channels.life_cycle import PartnerEvent
from partnerhub.channels.queries import find_waba_by_external_id, get_template, get_waba
from partnerhub.channels.schemas import Document, Template, Waba
from partnerhub.channels.services.events import tell_partner
from partnerhub.identity.schemas import SYSTEM, Actor
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.database import Unit
from partnerhub.kit.ids import Kind, public_id

_STATUS_WORDS = {"PENDING": "submitted"}


@dataclass(frozen=True)
class RemoteTemplate:
    """A template as Meta lists it; `quality` is Meta's score word."""

    external_id: str
    name: str
    language: str
    category: str
    status: str
    components: Sequence[Document]
    quality: str | None = None
    rejected_reason: str | None = None


@dataclass(frozen=True)
class Synced:
    """What a comparison with Meta's list changed."""

    added: int
    changed: int
    removed: int


def status_word(meta_status: str) -> str:
    """Return our word for Meta's status: lower case, and `submitted` while it is under review."""
    return _STATUS_WORDS.get(meta_status.upper(), meta_status.lower())


async def record_template(
    unit: Unit,
    *,
    waba: Waba,
    draft: TemplateDraft,
    external_id: str,
    meta_status: str,
    category: str,
    asked_at: datetime,
    actor: Actor,
) -> Template:
    """Write the template that Meta has just taken.

    A row of the same name and language is one that Meta has forgotten: it is replaced.
    """
    now, template_id = clock.now(), public_id(Kind.TEMPLATE)
    author = Jsonb(actor.as_author())
    await unit.execute(
        "delete from template where waba_id = %s and (external_id = %s or (name = %s and language = %s))",
        (waba.id, external_id, draft.name, draft.language),
    )
    await unit.execute(
        "insert into template (id, partner_id, waba_id, external_id, name, language, category, status,"
        " components, created_at, modified_at, created_by, modified_by)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            template_id,
            waba.partner_id,
            waba.id,
            external_id,
            draft.name,
            draft.language,
            category,
            status_word(meta_status),
            Jsonb(list(draft.components)),
            asked_at,
            now,
            author,
            author,
        ),
    )
    await _tell_gateways(unit, waba.id)
    template = await get_template(unit, partner_id=waba.partner_id, waba_id=waba.id, template_id=template_id)
    await _record(unit, template, actor, action="template.created")
    return template


async def record_edit(
    unit: Unit, *, template: Template, components: Sequence[Document] | None, actor: Actor
) -> Template:
    """Write the change that Meta has just taken; the template is under review again."""
    await unit.execute(
        "update template set components = coalesce(%s, components), status = 'submitted',"
        " rejected_reason = null, modified_at = %s, modified_by = %s where id = %s and partner_id = %s",
        (
            None if components is None else Jsonb(list(components)),
            clock.now(),
            Jsonb(actor.as_author()),
            template.id,
            template.partner_id,
        ),
    )
    await _record(unit, template, actor, action="template.changed")
    return await get_template(
        unit, partner_id=template.partner_id, waba_id=template.waba_id, template_id=template.id
    )


async def remove_template(unit: Unit, *, template: Template, actor: Actor) -> None:
    """Forget the template that Meta has just deleted."""
    await unit.execute(
        "delete from template where id = %s and partner_id = %s", (template.id, template.partner_id)
    )
    await _tell_gateways(unit, template.waba_id)
    await _record(unit, template, actor, action="template.deleted")


async def write_templates(
    unit: Unit,
    *,
    partner_id: str,
    waba_id: str,
    remote: Sequence[RemoteTemplate],
    asked_at: datetime | None = None,
) -> Synced:
    """Make our rows what Meta lists, whole list at once; a changed status or category is told.

    A row that changed since `asked_at`, when Meta was asked for the list, knows more than it and stays.

    Raises: WabaUnknown.
    """
    waba = await get_waba(unit, partner_id=partner_id, waba_id=waba_id)
    await unit.lock(f"templates of {waba_id}")
    known = {
        row["external_id"]: row
        for row in await unit.fetch_dicts(
            "select id, external_id, status, category, components, quality_score, rejected_reason,"
            " modified_at >= %s as is_newer from template where waba_id = %s",
            (asked_at, waba_id),
        )
    }
    gone = {ident for ident, row in known.items() if not row["is_newer"]} - {
        one.external_id for one in remote
    }
    # First, because a template made anew under an old name needs the name.
    await unit.execute(
        "delete from template where waba_id = %s and external_id = any(%s)", (waba_id, sorted(gone))
    )
    added = changed = 0
    for one in remote:
        row = known.get(one.external_id)
        if row is None:
            await _insert(unit, waba, one)
            added += 1
        elif not row["is_newer"] and await _bring_up_to_date(unit, waba, row, one):
            changed += 1
    if added or changed or gone:
        await _tell_gateways(unit, waba_id)
    return Synced(added=added, changed=changed, removed=len(gone))


async def change_template_status(
    unit: Unit,
    *,
    waba_external_id: str,
    template_external_id: str,
    meta_status: str,
    reason: str | None,
) -> bool:
    """Take Meta's word on a review and tell the partner (`waba_template_status_changed`); repeats do nothing.

    Needs a system unit. Returns whether anything changed. For a template we have not heard of, the account's
    list is asked for.
    """
    is_gone = meta_status.upper() == "DELETED"
    waba, template = await _locate(unit, waba_external_id, template_external_id, asks=not is_gone)
    if waba is None or template is None:
        return False
    if is_gone:
        await remove_template(unit, template=template, actor=SYSTEM)
        await _tell_status(unit, waba, template, meta_status, reason)
        return True
    word = status_word(meta_status)
    if (template.status, template.rejected_reason) == (word, reason):
        return False
    await _update(unit, template, "status = %s, rejected_reason = %s", [word, reason])
    await _tell_status(unit, waba, template, meta_status, reason)
    return True


async def change_template_category(
    unit: Unit, *, waba_external_id: str, template_external_id: str, category: str
) -> bool:
    """Take Meta's new category and tell the partner (`waba_template_category_changed`); repeats do nothing.

    An unknown template as above. Needs a system unit. Returns whether anything changed.
    """
    waba, template = await _locate(unit, waba_external_id, template_external_id)
    if waba is None or template is None or template.category == category:
        return False
    await _update(unit, template, "category = %s", [category])
    await _tell_category(unit, waba, template, category)
    return True


async def change_template_quality(
    unit: Unit, *, waba_external_id: str, template_external_id: str, score: str
) -> bool:
    """Take Meta's new quality score; an unknown template as above.

    Needs a system unit. Returns whether anything changed.
    """
    waba, template = await _locate(unit, waba_external_id, template_external_id)
    if waba is None or template is None or (template.quality_score or {}).get("score") == score:
        return False
    await _update(unit, template, "quality_score = %s", [_quality(score)])
    return True


async def _locate(
    unit: Unit, waba_external_id: str, template_external_id: str, *, asks: bool = True
) -> tuple[Waba, Template] | tuple[None, None]:
    waba = await find_waba_by_external_id(unit, external_id=waba_external_id)
    if waba is None:
        return None, None
    # Held until the commit: Meta sends one change several times, and at the same time.
    template_id = await unit.fetch_value(
        "select id from template where waba_id = %s and external_id = %s for update",
        (waba.id, template_external_id),
    )
    if template_id is None:
        if asks:
            # Made elsewhere, such as in Meta's own manager.
            await ask_for_templates(unit, partner_id=waba.partner_id, waba_id=waba.id)
        return None, None
    return waba, await get_template(
        unit, partner_id=waba.partner_id, waba_id=waba.id, template_id=template_id
    )


async def _insert(unit: Unit, waba: Waba, one: RemoteTemplate) -> None:
    now, system = clock.now(), Jsonb(SYSTEM.as_author())
    await unit.execute(
        "insert into template (id, partner_id, waba_id, external_id, name, language, category, status,"
        " components, quality_score, rejected_reason, created_at, modified_at, created_by, modified_by)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            public_id(Kind.TEMPLATE),
            waba.partner_id,
            waba.id,
            one.external_id,
            one.name,
            one.language,
            one.category,
            status_word(one.status),
            Jsonb(list(one.components)),
            _quality(one.quality),
            one.rejected_reason,
            now,
            now,
            system,
            system,
        ),
    )


async def _bring_up_to_date(
    unit: Unit,
    waba: Waba,
    row: dict[str, Any],  # Any: one row of the template table
    one: RemoteTemplate,
) -> bool:
    components = list(one.components)
    quality = row["quality_score"] if one.quality is None else {"reasons": None, "score": one.quality}
    said = (status_word(one.status), one.category, components, quality, one.rejected_reason)
    names = ("status", "category", "components", "quality_score", "rejected_reason")
    if said == tuple(row[name] for name in names):
        return False
    template = await get_template(unit, partner_id=waba.partner_id, waba_id=waba.id, template_id=row["id"])
    await _update(
        unit,
        template,
        "status = %s, category = %s, components = %s, quality_score = %s, rejected_reason = %s",
        [said[0], said[1], Jsonb(components), None if quality is None else Jsonb(quality), said[4]],
    )
    if template.status != said[0]:
        await _tell_status(unit, waba, template, one.status, one.rejected_reason)
    if template.category != said[1]:
        await _tell_category(unit, waba, template, one.category)
    return True


async def _update(unit: Unit, template: Template, assignments: LiteralString, values: list[object]) -> None:
    await unit.execute(
        sql.SQL("update template set {}, modified_at = %s, modified_by = %s where id = %s").format(
            sql.SQL(assignments)
        ),
        [*values, clock.now(), Jsonb(SYSTEM.as_author()), template.id],
    )
    await _tell_gateways(unit, template.waba_id)


async def _tell_gateways(unit: Unit, waba_id: str) -> None:
    await unit.notify("templates", waba_id)


async def _tell_status(
    unit: Unit, waba: Waba, template: Template, meta_status: str, reason: str | None
) -> None:
    # The event carries Meta's capitals while the list keeps lower case (Partner API reference 12.3).
    said = {"new_status": meta_status.upper(), "rejected_reason": reason}
    await tell_partner(
        unit,
        partner_id=waba.partner_id,
        event=PartnerEvent.TEMPLATE_STATUS,
        data={"id": waba.external_id, "template": {**_named(template), **said}},
    )


async def _tell_category(unit: Unit, waba: Waba, template: Template, category: str) -> None:
    said = {"new_category": category, "previous_category": template.category}
    await tell_partner(
        unit,
        partner_id=waba.partner_id,
        event=PartnerEvent.TEMPLATE_CATEGORY,
        data={"id": waba.external_id, "template": {**_named(template), **said}},
    )


def _named(template: Template) -> Document:
    return {
        "id": template.id,
        "external_id": template.external_id,
        "name": template.name,
        "language": template.language,
    }


def _quality(score: str | None) -> Jsonb | None:
    return None if score is None else Jsonb({"reasons": None, "score": score})


async def _record(unit: Unit, template: Template, actor: Actor, *, action: str) -> None:
    await record_change(
        unit,
        partner_id=template.partner_id,
        actor=actor,
        action=action,
        object_kind="template",
        object_id=template.id,
        before=None,
        after={"waba_id": template.waba_id, "name": template.name, "language": template.language},
    )
