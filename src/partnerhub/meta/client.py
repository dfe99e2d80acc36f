"""The client as others hold it: one object, grouped by what a call is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from partnerhub.kit.http import Body, HttpClient, Timeouts
from partnerhub.meta.accounts import AccountCalls
from partnerhub.meta.app import AppCalls
from partnerhub.meta.credit import CreditCalls
from partnerhub.meta.graph import Graph, GraphAnswer, Value
from partnerhub.meta.media import MEDIA_ORIGIN, MediaCalls
from partnerhub.meta.messages import MessageCalls
from partnerhub.meta.numbers import NumberCalls
from partnerhub.meta.templates import TemplateCalls

_TIMEOUTS = Timeouts(connect_seconds=5.0, first_byte_seconds=25.0, total_seconds=30.0)


class MetaClient:
    """Meta's Graph API for one app. Tokens are passed with each call and kept nowhere.

    `http` should have the policy `TRUSTED`: the base URL is the operator's choice. `media_origins` are the
    only hosts besides it that ever get a token. A GET is tried again up to `retries` times while Meta is
    down. `graph` is there for those who bring their own shapes.
    """

    def __init__(
        self,
        http: HttpClient,
        *,
        app_id: str,
        app_secret: str,
        base_url: str = "https://graph.facebook.com",
        version: str = "v23.0",
        media_origins: Sequence[str] = (MEDIA_ORIGIN,),
        uses_appsecret_proof: bool = False,
        timeouts: Timeouts = _TIMEOUTS,
        retries: int = 2,
        backoff_seconds: float = 0.25,
    ) -> None:
        self.graph = graph = Graph(
            http,
            base_url=base_url,
            version=version,
            app_secret=app_secret,
            uses_appsecret_proof=uses_appsecret_proof,
            timeouts=timeouts,
            retries=retries,
            backoff_seconds=backoff_seconds,
        )
        self.app = AppCalls(graph, app_id=app_id, app_secret=app_secret)
        self.accounts = AccountCalls(graph)
        self.numbers = NumberCalls(graph)
        self.templates = TemplateCalls(graph)
        self.messages = MessageCalls(graph)
        self.media = MediaCalls(graph, app_id=app_id, origins=media_origins)
        self.credit = CreditCalls(graph)

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str,
        query: Mapping[str, Value] | None = None,
        body: Body = b"",
        content_type: str | None = None,
        timeouts: Timeouts | None = None,
    ) -> GraphAnswer:
        """Pass any call on and return Meta's answer, accepted or refused; see `Graph.call`.

        Raises: MetaError when there is no whole answer; InvalidGraphPath.
        """
        return await self.graph.call(
            method,
            path,
            token=token,
            query=query,
            body=body,
            content_type=content_type,
            timeouts=timeouts,
        )
