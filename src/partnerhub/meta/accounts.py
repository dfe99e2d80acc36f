"""Calls on WhatsApp Business accounts (WABAs) and the businesses that own or share them."""

from __future__ import annotations

from collections.abc import Sequence

from partnerhub.meta.graph import Graph
from partnerhub.meta.shapes import (
    Account,
    AssignedUser,
    HealthStatus,
    Page,
    PhoneNumber,
    SubscribedApp,
    WithHealth,
)

ACCOUNT_FIELDS = (
    "id",
    "name",
    "currency",
    "country",
    "timezone_id",
    "status",
    "account_review_status",
    "business_verification_status",
    "message_template_namespace",
    "ownership_type",
    "primary_funding_id",
    "owner_business_info",
)
NUMBER_FIELDS = (
    "id",
    "display_phone_number",
    "verified_name",
    "code_verification_status",
    "quality_rating",
    "platform_type",
    "throughput",
    "webhook_configuration",
    "name_status",
    "new_name_status",
    "status",
    "account_mode",
    "messaging_limit_tier",
    "is_official_business_account",
    "is_pin_enabled",
    "is_on_biz_app",
    "last_onboarded_time",
)


class AccountCalls:
    """What is done on a WABA."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    async def get(self, account_id: str, *, token: str, fields: Sequence[str] = ACCOUNT_FIELDS) -> Account:
        """Return a WABA.

        Raises: MetaError.
        """
        return await self._graph.fetch(
            Account, "GET", f"/{account_id}", token=token, query={"fields": ",".join(fields)}
        )

    async def get_health(self, account_id: str, *, token: str) -> HealthStatus:
        """Return whether the account's messages pass, and what stands in their way.

        Raises: MetaError.
        """
        return await read_health(self._graph, account_id, token=token)

    async def list_owned(self, business_id: str, *, token: str) -> list[Account]:
        """Return the WABAs a business owns.

        Raises: MetaError.
        """
        path = f"/{business_id}/owned_whatsapp_business_accounts"
        return [account async for account in self._graph.pages(Account, path, token=token)]

    async def list_shared(self, business_id: str, *, token: str) -> list[Account]:
        """Return the WABAs other businesses share with this one: how to find those a callback missed.

        Raises: MetaError.
        """
        path = f"/{business_id}/client_whatsapp_business_accounts"
        return [account async for account in self._graph.pages(Account, path, token=token)]

    async def subscribe_app(
        self,
        account_id: str,
        *,
        token: str,
        override_callback_uri: str | None = None,
        verify_token: str | None = None,
    ) -> None:
        """Let the token's app receive the account's webhooks, at its own address or an override.

        Repeating is harmless; without an override an earlier one is cleared. At most 200 characters.

        Raises: MetaError.
        """
        body: dict[str, object] = {}
        if override_callback_uri is not None:
            body = {"override_callback_uri": override_callback_uri, "verify_token": verify_token or ""}
        await self._graph.do("POST", f"/{account_id}/subscribed_apps", token=token, json=body or None)

    async def unsubscribe_app(self, account_id: str, *, token: str) -> None:
        """Stop the account's webhooks to the token's app.

        Raises: MetaError.
        """
        await self._graph.do("DELETE", f"/{account_id}/subscribed_apps", token=token)

    async def list_subscribed_apps(self, account_id: str, *, token: str) -> list[SubscribedApp]:
        """Return who receives the account's webhooks.

        Raises: MetaError.
        """
        page = await self._graph.fetch(
            Page[SubscribedApp], "GET", f"/{account_id}/subscribed_apps", token=token
        )
        return page.data

    async def assign_user(
        self, account_id: str, *, token: str, user_id: str, tasks: Sequence[str] = ("MANAGE",)
    ) -> None:
        """Give a system user tasks on the account; needed before a credit line is shared with it.

        Raises: MetaError.
        """
        await self._graph.do(
            "POST",
            f"/{account_id}/assigned_users",
            token=token,
            form={"user": user_id, "tasks": list(tasks)},
        )

    async def unassign_user(self, account_id: str, *, token: str, user_id: str) -> None:
        """Take a user's tasks on the account away.

        Raises: MetaError.
        """
        await self._graph.do("DELETE", f"/{account_id}/assigned_users", token=token, query={"user": user_id})

    async def list_assigned_users(
        self, account_id: str, *, token: str, business_id: str
    ) -> list[AssignedUser]:
        """Return a business's users with tasks on the account.

        Raises: MetaError.
        """
        path = f"/{account_id}/assigned_users"
        return [
            user
            async for user in self._graph.pages(
                AssignedUser, path, token=token, query={"business": business_id}
            )
        ]

    async def list_numbers(
        self, account_id: str, *, token: str, fields: Sequence[str] = NUMBER_FIELDS
    ) -> list[PhoneNumber]:
        """Return the account's numbers, the last onboarded first.

        Raises: MetaError.
        """
        query = {"fields": ",".join(fields), "sort": "last_onboarded_time_descending"}
        path = f"/{account_id}/phone_numbers"
        return [number async for number in self._graph.pages(PhoneNumber, path, token=token, query=query)]

    async def update(self, account_id: str, *, token: str, changes: dict[str, object]) -> None:
        """Change settings of the account, such as `is_enabled_for_insights`.

        Raises: MetaError.
        """
        await self._graph.do("POST", f"/{account_id}", token=token, json=changes)


async def read_health(graph: Graph, node_id: str, *, token: str) -> HealthStatus:
    """Return the health of a WABA, a number or a template.

    Raises: MetaError.
    """
    node = await graph.fetch(WithHealth, "GET", f"/{node_id}", token=token, query={"fields": "health_status"})
    return node.health_status or HealthStatus()
