"""Calls on message templates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from partnerhub.meta.graph import Graph
from partnerhub.meta.shapes import Template, TemplateCreated

TEMPLATE_FIELDS = (
    "id",
    "name",
    "language",
    "status",
    "category",
    "sub_category",
    "previous_category",
    "parameter_format",
    "components",
    "rejected_reason",
    "quality_score",
    "message_send_ttl_seconds",
)


class TemplateCalls:
    """What is done on templates."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def list_all(
        self,
        account_id: str,
        *,
        token: str,
        fields: Sequence[str] = TEMPLATE_FIELDS,
        filters: Mapping[str, str] | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[Template]:
        """Yield the account's templates; `filters` as Meta names them (`name`, `status`, `language` …).

        Raises: MetaError.
        """
        query = {**(filters or {}), "fields": ",".join(fields), "limit": str(page_size)}
        return self._graph.pages(Template, f"/{account_id}/message_templates", token=token, query=query)

    async def get(self, template_id: str, *, token: str, fields: Sequence[str] = TEMPLATE_FIELDS) -> Template:
        """Return a template.

        Raises: MetaError.
        """
        return await self._graph.fetch(
            Template, "GET", f"/{template_id}", token=token, query={"fields": ",".join(fields)}
        )

    async def create(self, account_id: str, *, token: str, template: Mapping[str, object]) -> TemplateCreated:
        """Create a template from Meta's own fields and hand it to review.

        Raises: MetaError.
        """
        return await self._graph.fetch(
            TemplateCreated, "POST", f"/{account_id}/message_templates", token=token, json=template
        )

    async def edit(self, template_id: str, *, token: str, changes: Mapping[str, object]) -> None:
        """Change a template that is approved, rejected or paused, and hand it to review again.

        Approved ones: ten times in 30 days and once a day, never their category.

        Raises: MetaError.
        """
        await self._graph.do("POST", f"/{template_id}", token=token, json=changes)

    async def delete(self, account_id: str, *, token: str, name: str, template_id: str | None = None) -> None:
        """Delete a template in every language, or in the one that `template_id` names.

        Raises: MetaError.
        """
        await self._graph.do(
            "DELETE",
            f"/{account_id}/message_templates",
            token=token,
            query={"name": name, "hsm_id": template_id},
        )

    async def unpause(self, template_id: str, *, token: str) -> None:
        """Bring a paused template back.

        Raises: MetaError.
        """
        await self._graph.do("POST", f"/{template_id}/unpause", token=token)
