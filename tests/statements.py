"""A cursor that remembers what was executed, for tests of how many statements a list takes."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncCursor


class Counted(AsyncCursor[Any]):  # Any: rows of every shape
    """Give it to a connection as `cursor_factory`; its statements are those of all such cursors."""

    statements: list[str] = []  # noqa: RUF012 - shared by all cursors on purpose

    async def execute(self, query: Any, *args: Any, **named: Any) -> Any:  # Any: the driver's own signature
        """Remember and execute."""
        self.statements.append(str(query))
        return await super().execute(query, *args, **named)
