"""Templates made and deleted with a number's key: Meta first, then our rows.

Meta judges what a template may say; its answer goes back as it came, and only what it took is written down,
so that the next send is priced by the right category.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from partnerhub.channels import queries as channel_queries
from partnerhub.channels import services as channels
from partnerhub.channels.jobs import ask_for_templates
from partnerhub.channels.schemas import Listing, Template
from partnerhub.identity.schemas import Actor
from partnerhub.kit import clock
from partnerhub.kit.database import Database
from partnerhub.messaging.routes import LiveRoute
from partnerhub.meta.errors import UNREADABLE
from partnerhub.meta.graph import Graph, GraphAnswer


class _Draft(msgspec.Struct):
    name: str = ""
    language: str = ""
    category: str = ""
    components: list[dict[str, Any]] = msgspec.field(default_factory=list)  # Any: as Meta takes them


class _Made(msgspec.Struct):
    id: str | int
    status: str = "PENDING"
    category: str = ""


async def create_template(
    database: Database, graph: Graph, *, live: LiveRoute, body: bytes, actor: Actor
) -> GraphAnswer:
    """Create a template at Meta and write down what it took.

    Raises: MetaError when Meta gave no whole answer.
    """
    asked_at = clock.now()
    answer = await _call(graph, "POST", live, body=body)
    if answer.status != 200:
        return answer
    try:
        await _record(database, live, body, answer, asked_at=asked_at, actor=actor)
    except (*UNREADABLE, psycopg.DataError):
        # Meta took what we cannot read or keep, such as a number for a name: its list says what it became.
        async with database.tenant(live.route.partner_id) as unit:
            await ask_for_templates(unit, partner_id=live.route.partner_id, waba_id=live.route.waba_id)
    return answer


async def _record(
    database: Database, live: LiveRoute, body: bytes, answer: GraphAnswer, *, asked_at: datetime, actor: Actor
) -> None:
    made = msgspec.json.decode(answer.body, type=_Made)
    draft = msgspec.json.decode(body, type=_Draft)
    route = live.route
    async with database.tenant(route.partner_id) as unit:
        waba = await channel_queries.get_waba(unit, partner_id=route.partner_id, waba_id=route.waba_id)
        await channels.record_template(
            unit,
            waba=waba,
            draft=channels.TemplateDraft(
                name=draft.name,
                language=draft.language,
                category=draft.category.upper(),
                components=tuple(draft.components),
            ),
            external_id=str(made.id),
            meta_status=made.status,
            category=(made.category or draft.category).upper(),
            asked_at=asked_at,
            actor=actor,
        )


async def delete_templates(
    database: Database, graph: Graph, *, live: LiveRoute, query: Mapping[str, str], actor: Actor
) -> GraphAnswer:
    """Delete templates at Meta by `name`, `hsm_id` or `hsm_ids`, and forget those it deleted.

    Raises: as `create_template`.
    """
    answer = await _call(graph, "DELETE", live, query=query)
    if answer.status != 200:
        return answer
    route = live.route
    async with database.tenant(route.partner_id) as unit:
        found = await channel_queries.list_templates(
            unit, partner_id=route.partner_id, waba_id=route.waba_id, listing=Listing(limit=10_000)
        )
        for template in found.rows:
            if _is_meant(template, query):
                await channels.remove_template(unit, template=template, actor=actor)
    return answer


def _is_meant(template: Template, asked: Mapping[str, str]) -> bool:
    """Say whether Meta's parameters name this template: ids win over the name, which means all languages."""
    ids = [*_ids(asked.get("hsm_id", "")), *_ids(asked.get("hsm_ids", ""))]
    if ids:
        return template.external_id in ids
    return template.name == asked.get("name")


def _ids(text: str) -> list[str]:
    return [part.strip(' "[]') for part in text.split(",") if part.strip(' "[]')]


async def _call(
    graph: Graph, method: str, live: LiveRoute, *, query: Mapping[str, str] | None = None, body: bytes = b""
) -> GraphAnswer:
    return await graph.call(
        method,
        f"/{live.route.waba_external_id}/message_templates",
        token=live.token,
        query=query,
        body=body,
        content_type="application/json" if body else None,
    )
