"""Sending: the client's bytes go to Meta and Meta's bytes come back, both as they are.

A send is never repeated here. When its outcome is unknown the caller gets `retry_class` `ambiguous`, and only
a status callback can tell.
"""

from __future__ import annotations

from typing import Literal

from partnerhub.meta.graph import Graph, GraphAnswer

Edge = Literal["messages", "marketing_messages"]


class MessageCalls:
    """The phone number's sending edges."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    async def send(
        self,
        number_id: str,
        *,
        token: str,
        body: bytes,
        edge: Edge = "messages",
        content_type: str = "application/json",
    ) -> GraphAnswer:
        """Send a message, or mark one as read, and return Meta's answer, accepted or refused.

        `answer.read(MessageAccepted)` gives the message's id; `answer.error` what a refusal means.

        Raises: MetaError when there is no whole answer: `retry` when Meta cannot have the message,
        `ambiguous` when it may.
        """
        return await self._graph.call(
            "POST", f"/{number_id}/{edge}", token=token, body=body, content_type=content_type
        )
