"""Calls of the app itself: tokens and the app's webhook."""

from __future__ import annotations

from collections.abc import Iterable

from partnerhub.meta.graph import Graph
from partnerhub.meta.shapes import AppSubscription, Page, TokenGrant, TokenInfo, TokenInfoAnswer

_OBJECT = "whatsapp_business_account"


class AppCalls:
    """What needs the app's id and secret."""

    def __init__(self, graph: Graph, *, app_id: str, app_secret: str) -> None:
        self._graph = graph
        self._app_id = app_id
        self._app_secret = app_secret

    @property
    def app_token(self) -> str:
        """The app's own token, made of its id and secret; as secret as these."""
        return f"{self._app_id}|{self._app_secret}"

    async def exchange_code(self, *, code: str, redirect_uri: str | None = None) -> TokenGrant:
        """Exchange the code of Embedded Signup for the business's token.

        A code lives 30 seconds and works once. Sent as a form, so that the secret is in no URL.

        Raises: MetaError.
        """
        return await self._grant(code=code, redirect_uri=redirect_uri)

    async def fetch_app_token(self) -> TokenGrant:
        """Ask Meta for the app token; proves that id and secret belong together.

        Raises: MetaError.
        """
        return await self._grant(grant_type="client_credentials")

    async def _grant(self, **form: str | None) -> TokenGrant:
        return await self._graph.fetch(
            TokenGrant,
            "POST",
            "/oauth/access_token",
            token="",
            form={"client_id": self._app_id, "client_secret": self._app_secret, **form},
        )

    async def debug_token(self, *, inspected: str, token: str | None = None) -> TokenInfo:
        """Describe a token: its scopes, and for which accounts they hold, newest first.

        Asks with the app token unless another of the same app is given.

        Raises: MetaError.
        """
        answer = await self._graph.fetch(
            TokenInfoAnswer,
            "GET",
            "/debug_token",
            token=token or self.app_token,
            query={"input_token": inspected},
        )
        return answer.data

    async def subscribe(self, *, callback_url: str, verify_token: str, fields: Iterable[str]) -> None:
        """Point the app's webhook at `callback_url`; Meta calls it with a challenge before it answers.

        Raises: MetaError.
        """
        await self._graph.do(
            "POST",
            f"/{self._app_id}/subscriptions",
            token=self.app_token,
            form={
                "object": _OBJECT,
                "callback_url": callback_url,
                "verify_token": verify_token,
                "fields": ",".join(fields),
            },
        )

    async def list_subscriptions(self) -> list[AppSubscription]:
        """Return the app's webhooks.

        Raises: MetaError.
        """
        page = await self._graph.fetch(
            Page[AppSubscription], "GET", f"/{self._app_id}/subscriptions", token=self.app_token
        )
        return page.data

    async def unsubscribe(self) -> None:
        """Drop the app's webhook.

        Raises: MetaError.
        """
        await self._graph.do(
            "DELETE",
            f"/{self._app_id}/subscriptions",
            token=self.app_token,
            query={"object": _OBJECT},
        )
