"""Whose a group is: a key reaches only the groups of its own number.

The token behind a key may be the operator's own, which opens the groups of every account, and a group's node
does not say whose it is. So a group is looked for in the list that Meta keeps for the number; what was found
there is remembered, for a group never changes its number.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from time import monotonic
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from partnerhub.messaging.services import LiveRoute
from partnerhub.meta.graph import Graph, GraphAnswer

# A number has 10,000 groups at most, and Meta lists 1,024 at once (source: Meta, groups API).
_PAGE: Final = 1024
_MOST_PAGES: Final = 12
_MOST_KNOWN: Final = 100_000
_MOST_NUMBERS: Final = 50_000
# Guessing costs Meta's limits, which all numbers share: so often at most is a number's list read for a miss.
_LIST_EVERY_SECONDS: Final = 2.0


class _Group(msgspec.Struct):
    id: str = ""


class _Data(msgspec.Struct):
    groups: list[_Group] = []


class _Cursors(msgspec.Struct):
    after: str = ""


class _Paging(msgspec.Struct):
    cursors: _Cursors | None = None


class _Page(msgspec.Struct):
    data: _Data | list[_Group]
    paging: _Paging | None = None


class GroupBook:
    """Remembers which groups are a number's, in one process."""

    def __init__(self, graph: Graph, *, list_every_seconds: float = _LIST_EVERY_SECONDS) -> None:
        self._graph = graph
        self._every = list_every_seconds
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._listed: OrderedDict[str, float] = OrderedDict()
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def owns(self, live: LiveRoute, group_id: str) -> bool | GraphAnswer:
        """Say whether the group is the number's; Meta's refusal where it does not tell.

        Who asks for an unknown group soon after another waits a moment, so that a new one is found.

        Raises: MetaError when there is no whole answer.
        """
        number = live.route.phone_number_id
        if (number, group_id) in self._known:
            return True
        lock = self._asking.setdefault(number, asyncio.Lock())
        async with lock:
            if (number, group_id) in self._known:
                return True
            await asyncio.sleep(max(self._listed.get(number, -self._every) + self._every - monotonic(), 0.0))
            refusal = await self._list(live)
        return (number, group_id) in self._known if refusal is None else refusal

    async def _list(self, live: LiveRoute) -> GraphAnswer | None:
        """Read the number's whole list; return Meta's answer where it refused."""
        number = live.route.phone_number_id
        after = ""
        for _ in range(_MOST_PAGES):
            query = {"limit": str(_PAGE), **({"after": after} if after else {})}
            answer = await self._graph.call("GET", f"/{number}/groups", token=live.token, query=query)
            if answer.status != 200:
                return answer
            page = answer.read(_Page)
            groups = page.data if isinstance(page.data, list) else page.data.groups
            self._remember(number, groups)
            after = page.paging.cursors.after if page.paging and page.paging.cursors else ""
            if not after or not groups:
                break
        self._listed.pop(number, None)
        self._listed[number] = monotonic()
        if len(self._listed) > _MOST_NUMBERS:
            self._listed.popitem(last=False)
        return None

    def _remember(self, number: str, groups: Iterable[_Group]) -> None:
        for group in groups:
            self._known[number, group.id] = None
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
