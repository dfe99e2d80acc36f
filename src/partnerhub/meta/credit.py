"""Calls on a solution provider's credit line, which pays for its clients' accounts."""

from __future__ import annotations

from partnerhub.meta.graph import Graph
from partnerhub.meta.shapes import AllocationConfig, CreditAllocation, CreditLine, Page


class CreditCalls:
    """What is done with credit lines; all with the provider's system user token."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    async def list_lines(self, business_id: str, *, token: str) -> list[CreditLine]:
        """Return a business's credit lines.

        Raises: MetaError.
        """
        page = await self._graph.fetch(
            Page[CreditLine], "GET", f"/{business_id}/extendedcredits", token=token
        )
        return page.data

    async def share_and_attach(
        self, line_id: str, *, token: str, account_id: str, currency: str
    ) -> CreditAllocation:
        """Let a credit line pay for a WABA; its currency is fixed from then on.

        Raises: MetaError.
        """
        return await self._graph.fetch(
            CreditAllocation,
            "POST",
            f"/{line_id}/whatsapp_credit_sharing_and_attach",
            token=token,
            query={"waba_id": account_id, "waba_currency": currency},
        )

    async def list_allocations(self, line_id: str, *, token: str) -> list[AllocationConfig]:
        """Return to whom a credit line is shared, the first page of them.

        Raises: MetaError.
        """
        page = await self._graph.fetch(
            Page[AllocationConfig], "GET", f"/{line_id}/owning_credit_allocation_configs", token=token
        )
        return page.data

    async def get_allocation(self, allocation_id: str, *, token: str) -> AllocationConfig:
        """Return a share of a credit line; its credential equals the account's `primary_funding_id`.

        Raises: MetaError.
        """
        return await self._graph.fetch(
            AllocationConfig,
            "GET",
            f"/{allocation_id}",
            token=token,
            query={"fields": "id,receiving_credential{id},request_status"},
        )

    async def revoke(self, allocation_id: str, *, token: str) -> None:
        """Take a share of a credit line back.

        Raises: MetaError.
        """
        await self._graph.do("DELETE", f"/{allocation_id}", token=token)
