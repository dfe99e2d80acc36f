"""What a template is priced as, from memory.

A send names its template; the category decides how much is reserved. The templates of a WABA account are
read once and again after the database said that they changed. A category that is a moment old costs nobody
anything: what Meta reports with the status is what is charged.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from partnerhub.kit.database import Database

_MOST_ACCOUNTS: Final = 20_000


class TemplateBook:
    """Remembers the category of every template of the WABA accounts that send."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._accounts: OrderedDict[str, Mapping[tuple[str, str], str]] = OrderedDict()
        self._running: dict[str, asyncio.Task[Mapping[tuple[str, str], str]]] = {}
        self._generation = 0

    def forget(self, waba_id: str) -> None:
        """Drop what is remembered of an account."""
        self._generation += 1
        self._running.pop(waba_id, None)
        self._accounts.pop(waba_id, None)

    def forget_all(self) -> None:
        """Drop everything that is remembered."""
        self._generation += 1
        self._running.clear()
        self._accounts.clear()

    async def find_category(self, *, waba_id: str, name: str, language: str) -> str | None:
        """Return Meta's category in capitals, or None for a template we have not heard of.

        Raises: DatabaseAway.
        """
        account = self._accounts.get(waba_id)
        if account is None:
            loading = self._running.get(waba_id)
            if loading is None:
                loading = self._running[waba_id] = asyncio.create_task(self._load(waba_id))
                loading.add_done_callback(lambda done: self._end(waba_id, done))
            account = await asyncio.shield(loading)
        return account.get((name, language))

    def _end(self, waba_id: str, loading: asyncio.Task[Mapping[tuple[str, str], str]]) -> None:
        if self._running.get(waba_id) is loading:
            del self._running[waba_id]

    async def _load(self, waba_id: str) -> Mapping[tuple[str, str], str]:
        generation = self._generation
        async with self._database.system() as unit:
            rows = await unit.fetch_dicts(
                "select name, language, category from template where waba_id = %s", (waba_id,)
            )
        account = {(row["name"], row["language"]): str(row["category"]) for row in rows}
        if generation == self._generation:
            self._accounts[waba_id] = account
            if len(self._accounts) > _MOST_ACCOUNTS:
                self._accounts.popitem(last=False)
        return account
